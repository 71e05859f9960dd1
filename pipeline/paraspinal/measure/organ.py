"""What all organs share: presence, volume, length and density on the working grid and its native voxels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.types import Anatomy
from paraspinal.measure.native import native_samples, signed_distance_mm
from paraspinal.measure.uncertainty import RECTANGULAR, half_range, noise_of_mean
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements, Status
from paraspinal.volume import BoolArray, CTVolume, Region

HU = "[hnsf'U]"
"""Unit of a density."""
BORDER_METHOD = "type A: border moved by half a working voxel"
_FACE_TO_AREA = 2.0 / 3.0  # the faces of a voxel object overstate its surface by 3/2 on average
_MIN_SAMPLES = 30
_ABSENT_LIMIT_ML = (
    20.0  # an organ that is said to be absent would have been seen from here on (engineering default)
)


def organ_mask(anatomy: Anatomy, name: str, unit: str) -> tuple[BoolArray, Measurement | None]:
    """Return an organ's mask, and the record that stands in for its measurements where there is none."""
    mask, organ = anatomy.mask(name), anatomy.organs.get(name)
    if mask.any():
        return mask, None
    status: Status = (
        "not_in_view" if organ is not None and organ.presence == "not_in_view" else "not_assessed"
    )
    default = "not in the scanned volume" if status == "not_in_view" else "not found"
    reason = f"{name.replace('_', ' ')}: {(organ.reason if organ is not None else None) or default}"
    if organ is not None and organ.presence == "absent" and unit == "mL":
        return mask, Measurement.below(unit, reason, limit=_ABSENT_LIMIT_ML)
    return mask, Measurement.missing(unit, reason, status=status)


def without_organ(anatomy: Anatomy, name: str, units: Mapping[str, str]) -> Measurements:
    """Return the records that stand for the measurements (key to unit) of an organ that was not outlined."""
    return {
        key: organ_mask(anatomy, name, unit)[1] or Measurement.missing(unit, "not outlined")
        for key, unit in units.items()
    }


def cut_status(anatomy: Anatomy, name: str) -> tuple[Status, str | None]:
    """Return ``lower_bound`` and its reason for an organ that the scan cuts off, else ``measured``."""
    organ = anatomy.organs.get(name)
    if organ is None or not organ.truncated:
        return "measured", None
    return "lower_bound", f"the scan cuts it off ({', '.join(organ.truncated)})"


def organ_volume(anatomy: Anatomy, name: str, mask: BoolArray) -> Measurement:
    """Return the voxel-counted volume (mL); half a working voxel of border as type A."""
    spacing = anatomy.geometry.spacing_mm
    part = np.pad(Region.of(mask).mask, 1)
    faces = [np.count_nonzero(np.diff(part, axis=a)) * np.prod(spacing) / spacing[a] for a in range(3)]
    shift = 0.5 * float(np.prod(spacing)) ** (1.0 / 3.0)
    status, reason = cut_status(anatomy, name)
    return Measurement.measured(
        np.count_nonzero(part) * anatomy.geometry.voxel_ml,
        "mL",
        type_a=float(_FACE_TO_AREA * sum(faces) * shift * RECTANGULAR / 1000.0),
        method=BORDER_METHOD,
        status=status,
        reason=reason,
    )


def organ_length(anatomy: Anatomy, name: str, length_mm: float) -> Measurement:
    """Return a length of an organ (mm); one working voxel at either end as type A."""
    status, reason = cut_status(anatomy, name)
    type_a = anatomy.geometry.spacing_mm[0] * RECTANGULAR
    return Measurement.measured(
        length_mm, "mm", type_a=type_a, method=BORDER_METHOD, status=status, reason=reason
    )


def organ_depth(anatomy: Anatomy, mask: BoolArray) -> tuple[Region, npt.NDArray[np.float32]]:
    """Return a mask's region grown by one voxel, and the distance (mm) to its border in it, positive inside."""
    region = Region.of(mask).padded((1, 1, 1), anatomy.geometry.shape)
    return region, signed_distance_mm(region.mask, anatomy.geometry.spacing_mm)


def organ_density(
    volume: CTVolume,
    anatomy: Anatomy,
    mask: BoolArray,
    quality: ScanQuality | None,
    depth_mm: float,
) -> Measurement:
    """Return the median HU of native voxels inside an organ (robust against vessels and lesions in it)."""
    half = 0.5 * anatomy.geometry.spacing_mm[0]
    region, depth = organ_depth(anatomy, mask)
    geometry = anatomy.geometry.crop(region.start, region.mask.shape)
    reads = [native_samples(volume, geometry, depth >= depth_mm + s) for s in (0.0, -half, half)]
    values = reads[0]
    if values.size < _MIN_SAMPLES:
        return Measurement.missing(HU, "too little of it lies deep enough to be free of partial volume")
    border = half_range(float(np.median(r)) for r in reads if r.size >= _MIN_SAMPLES)
    noise = 0.0
    if quality is not None:
        pixel = anatomy.geometry.spacing_mm[1]  # samples lie one working voxel apart
        noise = 1.2533 * noise_of_mean(float(values.std(dtype=np.float64)), values.size, pixel, quality)
    return Measurement.measured(
        float(np.median(values)),
        HU,
        type_a=float(np.hypot(border, noise)),
        type_b=None if quality is None else quality.calibration_sd_hu,
        method=f"{BORDER_METHOD}, noise; type B: scanner calibration",
        region=f"{depth_mm:g} mm inside the border",
    )
