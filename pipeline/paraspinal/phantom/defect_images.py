"""Defects of the set of images: what was imaged is repeated, mixed with others, or re-ordered."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from paraspinal.dicomio.write import synthetic_uid
from paraspinal.errors import UsageError
from paraspinal.phantom.defect_kinds import Defect
from paraspinal.phantom.defect_planes import Scene
from paraspinal.phantom.plane import Imager, Plane, Values, point

Tags = Mapping[str, Any]

AIR_HU = -1024.0
_ENHANCEMENT_HU = 25.0
# Share of the enhancement that a value takes: none in fat, all in soft tissue, none in bone.
_UPTAKE_HU, _UPTAKE = (-100.0, 40.0, 150.0, 400.0), (0.0, 1.0, 1.0, 0.0)
_OTHER_NOISE_HU = 5.0
_MIP_SLICES = 5
_REFORMATS = 5
_SECONDS_BETWEEN = 30


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a series that is to be written.

    ``name`` identifies it (its UID follows from it), ``tags`` go into its header alone, by keyword; ``values`` are
    HU, or what the image holds instead, float32 [rows, columns].
    """

    name: str
    plane: Plane
    values: Values
    tags: Tags = field(default_factory=dict)
    number: int = 0
    cut_off: bool = False

    def tagged(self, **tags: Any) -> Image:
        """Return the image with more tags."""
        return replace(self, tags={**self.tags, **tags})


@dataclass(frozen=True, slots=True)
class Series:
    """The images in the order of their files, with tags for all of them."""

    images: tuple[Image, ...]
    uid_seed: str
    scene: Scene
    imager: Imager
    tags: Tags = field(default_factory=dict)

    def tagged(self, **tags: Any) -> Series:
        """Return the series with more tags."""
        return replace(self, tags={**self.tags, **tags})

    def valued(self, change: Callable[[Values], Values]) -> Series:
        """Return the series with all values changed but those of a localizer."""
        images = tuple(
            image
            if "LOCALIZER" in image.tags.get("ImageType", ())
            else replace(image, values=np.asarray(change(image.values), np.float32))
            for image in self.images
        )
        return replace(self, images=images)

    def uid(self, what: str) -> str:
        """Return a UID that belongs to this series."""
        return str(synthetic_uid(self.uid_seed, what))


Step = Callable[[Series, Defect], Series]


def _middle(series: Series, count: int) -> range:
    if count > len(series.images):
        raise UsageError(
            f"There are no {count} images to spoil.",
            code="defect_needs_slices",
            remedy=f"The series has {len(series.images)}.",
        )
    first = (len(series.images) - count) // 2
    return range(first, first + count)


def _enhanced(values: Values, hu: float) -> Values:
    """Return soft tissue with more contrast medium in it; fat, lung and bone stay, mixtures take their share."""
    share = np.interp(values, _UPTAKE_HU, _UPTAKE)
    return np.asarray(values + np.rint(hu * share), np.float32)


def _moment(image: Image, index: int) -> Tags:
    seconds = index * _SECONDS_BETWEEN
    time = f"12{seconds // 60:02d}{seconds % 60:02d}"
    return {
        **image.tags,
        "AcquisitionNumber": index + 1,
        "AcquisitionTime": time,
        "ContentTime": time,
    }


def _at_time(image: Image, index: int) -> Image:
    """Return the image at a later time: more contrast medium, and noise of its own."""
    if index == 0:
        return image
    name = f"{image.name} time {index + 1}"
    return replace(image, name=name, tags=_moment(image, index), values=_imaged_again(image, name, index))


def _imaged_again(image: Image, name: str, index: int) -> Values:
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    noise = np.rint(_OTHER_NOISE_HU * generator.standard_normal(image.values.shape))
    seen = _enhanced(image.values, _ENHANCEMENT_HU * index) + noise
    return np.asarray(np.maximum(seen, AIR_HU), np.float32)


def _one_position(series: Series, defect: Defect) -> Series:
    middle = series.images[len(series.images) // 2]
    images = tuple(
        replace(_at_time(middle, k), name=image.name, number=0) for k, image in enumerate(series.images)
    )
    return replace(series, images=images)


def _duplicate(series: Series, defect: Defect) -> Series:
    images = list(series.images)
    for index in reversed(_middle(series, defect.count())):
        images.insert(index + 1, replace(images[index], name=f"{images[index].name} again"))
    return replace(series, images=tuple(images))


def _duplicate_other(series: Series, defect: Defect) -> Series:
    (index,) = _middle(series, 1)
    one = series.images[index]
    name = f"{one.name} other"
    other = replace(one, name=name, values=_imaged_again(one, name, 1))
    return replace(series, images=(*series.images[: index + 1], other, *series.images[index + 1 :]))


def _times(series: Series, count: int) -> Series:
    return replace(series, images=tuple(_at_time(image, k) for k in range(count) for image in series.images))


def _two_phases(series: Series, defect: Defect) -> Series:
    return _times(series, 2)


def _four_d(series: Series, defect: Defect) -> Series:
    count = defect.count()
    each = len(series.images)
    images = tuple(
        image.tagged(TemporalPositionIdentifier=k // each + 1, NumberOfTemporalPositions=count)
        for k, image in enumerate(_times(series, count).images)
    )
    return replace(series, images=images)


def _coronal_plane(series: Series, y: int) -> Plane:
    g = series.scene.geometry
    z_axis, _, x_axis = g.axes_lps.T
    (nz, _, nx), (sz, sy, sx) = g.shape, g.spacing_mm
    corner = point(g.to_lps((nz - 1, y, 0)))
    return Plane(corner, point(x_axis), point(-z_axis), (sz, sx), (nz, nx), sy)


def _mixed_orientation(series: Series, defect: Defect) -> Series:
    rows = np.linspace(0, series.scene.geometry.shape[1] - 1, _REFORMATS + 2)[1:-1]
    reformats = []
    for k, y in enumerate(rows):
        plane = _coronal_plane(series, round(float(y)))
        image = Image(f"reformat {k + 1}", plane, series.imager(plane))
        reformats.append(image.tagged(ImageType=["DERIVED", "SECONDARY", "REFORMATTED"]))
    half = len(series.images) // 2
    return replace(series, images=(*series.images[:half], *reformats, *series.images[half:]))


def _two_scans(series: Series, defect: Defect) -> Series:
    second = [
        _at_time(image, 1).tagged(
            SeriesInstanceUID=series.uid("series 2"), SeriesNumber=2, SeriesDescription="Second scan"
        )
        for image in series.images
    ]
    return replace(series, images=(*series.images, *second))


def _localizer(series: Series, defect: Defect) -> Series:
    """Add a frontal radiograph: the mean attenuation along the way of the rays, stretched like a scout."""
    plane = _coronal_plane(series, series.scene.geometry.shape[1] // 2)
    depth = [_coronal_plane(series, y) for y in range(0, series.scene.geometry.shape[1], 4)]
    mean = np.mean([np.clip(series.imager(p) + 1000.0, 0.0, None) for p in depth], axis=0)
    image = Image("localizer", plane, np.asarray(mean - 500.0, np.float32))
    return replace(
        series,
        images=(
            image.tagged(
                ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
                SeriesInstanceUID=series.uid("series localizer"),
                SeriesNumber=99,
                SeriesDescription="Topogram",
            ),
            *series.images,
        ),
    )


def _shuffled(series: Series, defect: Defect) -> Series:
    generator = np.random.default_rng((series.scene.seed, 3))
    numbers = generator.permutation(len(series.images)) + 1
    images = [replace(series.images[i], number=int(numbers[i])) for i in generator.permutation(len(numbers))]
    return replace(series, images=tuple(images))


def _reversed(series: Series, defect: Defect) -> Series:
    return replace(series, images=series.images[::-1])


def _empty_position(series: Series, defect: Defect) -> Series:
    chosen = _middle(series, defect.count())
    images = tuple(
        image.tagged(ImagePositionPatient=None) if k in chosen else image
        for k, image in enumerate(series.images)
    )
    return replace(series, images=images)


def _mip(series: Series, defect: Defect) -> Series:
    values = [image.values for image in series.images]
    half = _MIP_SLICES // 2
    images = tuple(
        replace(image, values=np.max(values[max(0, k - half) : k + half + 1], axis=0))
        for k, image in enumerate(series.images)
    )
    return replace(series, images=images).tagged(
        ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"], SeriesDescription="Thin MIP"
    )


# In the order in which they act.
IMAGE_STEPS: Mapping[str, Step] = {
    "mip": _mip,
    "one-position": _one_position,
    "two-phases": _two_phases,
    "four-d": _four_d,
    "duplicate": _duplicate,
    "duplicate-other": _duplicate_other,
    "empty-position": _empty_position,
    "mixed-orientation": _mixed_orientation,
    "two-scans": _two_scans,
    "reversed": _reversed,
    "localizer": _localizer,
    "shuffled": _shuffled,
}
