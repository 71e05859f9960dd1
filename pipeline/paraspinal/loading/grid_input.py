"""A file with one volume in it (NIfTI, NRRD, MetaImage) as a series: fewer facts about how it was made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.headers import short_digest
from paraspinal.dicomio.metaimage import parse_metaimage
from paraspinal.dicomio.nifti import parse_nifti
from paraspinal.dicomio.nrrd import parse_nrrd
from paraspinal.dicomio.rawgrid import HEADER_LIMIT, GridError, GridHeader, axis_letters, stored_voxels
from paraspinal.errors import LoadError
from paraspinal.loading.canonical import OBLIQUE_DEG, Canonical, canonical_grid, source_view
from paraspinal.loading.codes import note, refuse
from paraspinal.loading.hounsfield import AIR_FLOOR_HU, LOW_DENSITY_HU, odd_scale
from paraspinal.loading.opening import GridKind, Source
from paraspinal.loading.sources import RATIO_APPLIES_FROM, SourceFile
from paraspinal.loading.types import LoadedSeries
from paraspinal.loading.voxels import voxel_notes
from paraspinal.result import LoadCode, Loading
from paraspinal.volume import BoolArray, CTVolume, Geometry, HUArray, Index3, Spacing

_INT16 = np.iinfo(np.int16)
_MIB = 1 << 20
_PARSERS: dict[str, Callable[[bytes], GridHeader]] = {
    "nifti": parse_nifti,
    "nrrd": parse_nrrd,
    "metaimage": parse_metaimage,
}


@dataclass(frozen=True, slots=True)
class GridSummary:
    """What the header of a single volume says.

    ``shape`` and ``spacing_mm`` are in canonical order [z, y, x]; ``orientation`` names the sides that the file's
    first, second and third index run towards; ``codes`` are what the header alone gives rise to. ``data_file`` holds
    the voxels, where that is another file and is there.
    """

    kind: GridKind
    shape: Index3
    spacing_mm: Spacing
    orientation: str
    plane: str
    oblique_deg: float
    dtype: str
    codes: tuple[LoadCode, ...] = ()
    data_file: SourceFile | None = None


@dataclass(frozen=True, slots=True)
class _Checked:
    """A header that was accepted, the grid of the file, and the canonical one."""

    header: GridHeader
    source: Geometry
    canonical: Canonical


@dataclass(slots=True)
class _Tally:
    """What the conversion of the planes came across, in voxels; the extremes leave padding out."""

    low: float = np.inf
    high: float = -np.inf
    padded: int = 0
    invalid: int = 0
    clipped: int = 0
    fractional: bool = field(default=False)


def grid_summary(source: Source, *, config: LoadingConfig) -> GridSummary:
    """Return what the header of a single volume says, without reading its voxels.

    Raises
    ------
    LoadError
        If the header is refused; the voxels may still be.
    """
    kind, file = _volume_file(source)
    with_grid = _checked(kind, file, source.label, config)
    geometry = with_grid.canonical.geometry
    return GridSummary(
        kind=kind,
        shape=geometry.shape,
        spacing_mm=geometry.spacing_mm,
        orientation=axis_letters(with_grid.source),
        plane=with_grid.canonical.plane,
        oblique_deg=with_grid.canonical.oblique_deg,
        dtype=with_grid.header.dtype.name,
        codes=tuple(_grid_notes(with_grid.canonical)),
        data_file=_data_file(with_grid.header, file),
    )


def load_grid(source: Source, *, config: LoadingConfig) -> LoadedSeries:
    """Load the single volume of `source`, which must be in Hounsfield units.

    The notes of the source itself are left to the caller, as for DICOM.

    Raises
    ------
    LoadError
        If it is not 3-D, too large, cut off, of unknown orientation, or not in Hounsfield units.
    """
    kind, file = _volume_file(source)
    label = source.label
    checked = _checked(kind, file, label, config)
    stored, digest = _stored(checked.header, file, label, config)
    hu, padding, tally = _hounsfield(stored, checked, config.padding_hu)
    _check_values(tally, label)
    volume = CTVolume(
        hu=hu, geometry=checked.canonical.geometry, padding=padding, source_axes=checked.canonical.axes
    )
    uid = f"derived-{_content_digest(volume)}"
    return LoadedSeries(
        volume=volume,
        loading=Loading(
            verdict="ok",
            policy=config.policy,
            codes=(
                *_value_notes(tally),
                *_grid_notes(checked.canonical),
                *voxel_notes(hu, padding, volume.geometry),
            ),
            chosen_because="the only volume of the file",
        ),
        uid=uid,
        uid_digest=short_digest(uid, 16),
        input_digest=digest,
        source=kind,
    )


def _volume_file(source: Source) -> tuple[GridKind, SourceFile]:
    for kind in ("nifti", "nrrd", "metaimage"):
        if source.kind == kind and source.only is not None:
            return kind, source.only
    raise ValueError(f"a {source.kind} is no single volume")


def _checked(kind: GridKind, file: SourceFile, label: str, config: LoadingConfig) -> _Checked:
    try:
        header = _PARSERS[kind](file.head(HEADER_LIMIT))
        geometry = header.geometry()
    except (GridError, OSError) as error:
        raise _refusal(error, label) from error
    if header.nbytes > config.max_volume_gib * 2**30:
        raise refuse(
            "too_large",
            f"{label} holds {header.nbytes / 2**30:.1f} GiB of voxels (loading.max_volume_gib).",
            bytes=header.nbytes,
        )
    if (problem := odd_scale(header.slope, header.intercept, _stored_range(header.dtype))) is not None:
        raise refuse("not_hounsfield", f"The conversion of {label} {problem}.", file=label)
    lowest = header.slope * _stored_range(header.dtype)[0] + header.intercept
    if lowest > LOW_DENSITY_HU:  # known before any voxel is read: a label map, most often
        raise _no_fat_or_air(label, lowest, f"no value below {lowest:g} fits into {header.dtype.name}")
    if min(geometry.shape) < config.min_slices:
        raise refuse(
            "too_few_slices", f"{label} has {min(geometry.shape)} slices.", shape=list(geometry.shape)
        )
    return _Checked(header, geometry, canonical_grid(geometry, max_oblique_deg=config.max_oblique_deg))


def _stored_range(dtype: np.dtype[Any]) -> tuple[float, float]:
    limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(np.float32)
    return float(limits.min), float(limits.max)


def _refusal(error: GridError | OSError, label: str) -> LoadError:
    if isinstance(error, GridError):
        return refuse(error.code, f"{label} cannot be taken: {error}.", file=label)
    return refuse(
        "unreadable_file", f"{label} cannot be read ({error.strerror or 'it is damaged'}).", file=label
    )


def _stored(
    header: GridHeader, file: SourceFile, label: str, config: LoadingConfig
) -> tuple[npt.NDArray[Any], str]:
    """Return the stored voxels [z, y, x] in file order, and a digest of the file or files they come from."""
    data = file
    if header.data_file is not None:
        found = _data_file(header, file)
        if found is None:
            raise refuse(
                "data_file_missing", f"The file with the voxels of {label} is not beside it.", file=label
            )
        data = found
    # A packed file is smaller than its voxels, a plain one hardly larger.
    limit = max(config.max_file_mib * _MIB, header.nbytes + HEADER_LIMIT)
    if max(file.size, data.size) > limit:
        raise refuse("too_large", f"{label} is larger than loading.max_file_mib allows.", bytes=data.size)
    ratio = header.nbytes / max(data.size, 1)
    if header.packing != "none" and header.nbytes > RATIO_APPLIES_FROM and ratio > config.max_zip_ratio:
        raise refuse(
            "too_large",
            f"{label} expands {ratio:.0f} times (loading.max_zip_ratio).",
            ratio=round(ratio, 1),
        )
    try:
        digest = hashlib.sha256(file.read() if data is not file else b"")
        blob = data.read()
        digest.update(blob)
        return stored_voxels(header, blob), digest.hexdigest()[:16]
    except (GridError, OSError) as error:
        raise _refusal(error, label) from error


def _data_file(header: GridHeader, file: SourceFile) -> SourceFile | None:
    """Return the file beside a header that holds its voxels; None where there is none, or they follow the header."""
    return None if header.data_file is None else file.beside(header.data_file.removeprefix("./"))


def _hounsfield(
    stored: npt.NDArray[Any], checked: _Checked, padding_hu: float
) -> tuple[HUArray, BoolArray | None, _Tally]:
    """Return int16 HU in canonical order, where they are padding (None: nowhere), and what was come across.

    Plane by plane, so that no second copy of the volume is made in a wider type.
    """
    shape, axes = checked.canonical.geometry.shape, checked.canonical.axes
    hu = np.empty(shape, dtype=np.int16)
    padding = np.zeros(shape, dtype=np.bool_)
    tally = _Tally()
    hu_planes, padding_planes = source_view(hu, axes), source_view(padding, axes)
    for index, plane in enumerate(stored):
        hu_planes[index], padding_planes[index] = _plane(plane, checked.header, padding_hu, tally)
    return hu, padding if tally.padded else None, tally


def _plane(
    stored: npt.NDArray[Any], header: GridHeader, padding_hu: float, tally: _Tally
) -> tuple[npt.NDArray[Any], BoolArray]:
    values = stored
    if (header.slope, header.intercept) != (1.0, 0.0) or stored.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            values = stored.astype(np.float64) * header.slope + header.intercept
    invalid = ~np.isfinite(values)
    with np.errstate(invalid="ignore"):
        padding = np.asarray(values <= padding_hu) | invalid
    tally.invalid += int(np.count_nonzero(invalid))
    tally.padded += int(np.count_nonzero(padding))
    inside = values[~padding]
    if inside.size:
        tally.low, tally.high = min(tally.low, float(inside.min())), max(tally.high, float(inside.max()))
    values = np.where(
        padding, np.asarray(AIR_FLOOR_HU, dtype=np.promote_types(values.dtype, np.int16)), values
    )
    if values.dtype.kind == "f":
        whole = np.rint(values)
        tally.fractional |= not np.array_equal(whole, values)
        values = whole
    if values.dtype != np.int16:
        tally.clipped += int(np.count_nonzero((values < _INT16.min) | (values > _INT16.max)))
        values = np.clip(values, _INT16.min, _INT16.max).astype(np.int16)
    return values, padding


def _check_values(tally: _Tally, label: str) -> None:
    low, high = (tally.low, tally.high) if np.isfinite(tally.low) else (0.0, 0.0)
    # A label map or a shifted scan (0 … 4095) holds no fat or air either.
    if low > LOW_DENSITY_HU:
        raise _no_fat_or_air(label, low, f"lowest value {low:g}, highest {high:g}")


def _no_fat_or_air(label: str, lowest: float, why: str) -> LoadError:
    return refuse(
        "not_hounsfield",
        f"No voxel of {label} reads as fat or air ({why}): it is no CT in Hounsfield units.",
        lowest=lowest,
    )


def _value_notes(tally: _Tally) -> list[LoadCode]:
    found = []
    if tally.invalid:
        found.append(note("not_a_number", voxels=tally.invalid))
    if tally.fractional:
        found.append(note("fractional_values"))
    if tally.clipped:
        found.append(note("clipped_to_int16", voxels=tally.clipped))
    if tally.padded:
        found.append(note("padding", voxels=tally.padded))
    return found


def _grid_notes(canonical: Canonical) -> list[LoadCode]:
    found = []
    if canonical.oblique_deg > OBLIQUE_DEG:
        found.append(note("oblique", angle_deg=round(canonical.oblique_deg, 3)))
    if canonical.axes.order[0] != 0:
        found.append(note("non_axial"))
    return [*found, note("kvp_unknown"), note("thickness_unknown")]


def _content_digest(volume: CTVolume) -> str:
    place = np.asarray(volume.geometry.matrix, dtype=np.float32).round(3) + 0.0
    digest = hashlib.sha256(place.tobytes())
    digest.update(volume.hu.data)
    return digest.hexdigest()[:16]
