"""Cortex of the vertebral bodies, as far as CT shows it.

The true shell is about 0.35 mm thick, thinner than the scan's blur, so that its thickness is not readable; the peak
HU of a normal's profile is the surrogate that has been proposed (Dougherty, Med Eng Phys 2000;22:487).
"""

from __future__ import annotations

import numpy as np

from paraspinal.config import MeasureConfig
from paraspinal.measure.erosion import CleanWalls
from paraspinal.measure.gates import why_not
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement

_HU = "[hnsf'U]"
_KEY = "cortical_peak_hu"
_LEAST_RAYS = 90
_ALIKE_RAYS = 9.0  # rays beside each other that read the same stretch of cortex
_MEDIAN = 1.2533  # standard error of a median against that of a mean


def cortical_peak(
    walls: CleanWalls | None, label: str, quality: ScanQuality, config: MeasureConfig, *, slice_mm: float
) -> Measurement:
    """Return ``cortical_peak_hu``: the median, over the side wall that faces no mass, of the greatest HU of each ray.

    It falls with the scan's blur: compare it within a scan, or between scans of one protocol.
    """
    refusal = why_not(_KEY, quality, config, slice_mm=slice_mm)
    if refusal is not None:
        return Measurement.missing(_HU, refusal)
    wall = None if walls is None else next((w for w in walls.walls if w.label == label), None)
    if walls is None or wall is None:
        return Measurement.missing(
            _HU, "the side wall is read from T3 to L4, where enough of the body is in view"
        )
    peaks = wall.peak_hu[walls.clean[label]]
    if peaks.size < _LEAST_RAYS:
        return Measurement.missing(_HU, "too little of the side wall is free of masses, ribs and vessels")
    spread = float(peaks.std(dtype=np.float64))
    return Measurement.measured(
        float(np.median(peaks)),
        _HU,
        type_a=_MEDIAN * spread / float(np.sqrt(peaks.size / _ALIKE_RAYS)),
        type_b=quality.calibration_sd_hu,
        method="type A: spread along the wall; type B: scanner calibration",
        region="side wall, middle 70 % of the height",
        reason="falls with the scan's blur: compare within one protocol",
    )
