"""Measurements that touch slices which the loader filled in say so."""

from __future__ import annotations

import numpy as np

from paraspinal.anatomy.types import Anatomy
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray, CTVolume, Geometry, Region

_REASON = "touches slices that were interpolated"
# Which structure a patient's measurement reads; any other may read the whole scan.
_STRUCTURES = {
    "spleen": "spleen",
    "splenic": "spleen",
    "liver": "liver",
    "hepatic": "liver",
    "aortic": "aorta",
}


def as_interpolated(measurements: Measurements) -> Measurements:
    """Return the measurements marked as resting on interpolated slices; what was not found there is not denied."""
    return {key: _as_interpolated(m) for key, m in measurements.items()}


def _as_interpolated(m: Measurement) -> Measurement:
    reason = f"{_REASON}; {m.reason}" if m.reason else _REASON
    if m.status == "below_detection_limit":
        return Measurement.missing(m.unit, reason)
    if m.status == "lower_bound":
        return m.model_copy(update={"reason": reason})
    return m.model_copy(update={"status": "interpolated", "reason": reason}) if m.status == "measured" else m


def touches(volume: CTVolume, region: Region, grid: Geometry) -> bool:
    """Tell whether a region of `grid` reaches into interpolated slices of the volume."""
    if not volume.interpolated:
        return False
    low = np.asarray(region.start, dtype=np.float64) - 0.5
    corners = [low + np.asarray(region.mask.shape) * np.array(c) for c in np.ndindex(2, 2, 2)]
    z = volume.geometry.to_index(grid.to_lps(corners))[:, 0]
    return any(z.min() - 0.5 <= slice_ <= z.max() + 0.5 for slice_ in volume.interpolated)


def mark_patient(measurements: Measurements, volume: CTVolume, anatomy: Anatomy) -> Measurements:
    """Mark the measurements of the patient whose structure an interpolated slice crosses."""
    if not volume.interpolated:
        return measurements
    crossed = {
        name: _crossed(volume, anatomy.mask(name), anatomy.geometry) for name in set(_STRUCTURES.values())
    }
    marked = as_interpolated(measurements)
    return {
        key: marked[key] if crossed.get(_STRUCTURES.get(key.split("_")[0], ""), True) else m
        for key, m in measurements.items()
    }


def _crossed(volume: CTVolume, mask: BoolArray, grid: Geometry) -> bool:
    return bool(mask.any()) and touches(volume, Region.of(mask), grid)
