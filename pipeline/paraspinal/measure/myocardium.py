"""The myocardium on unenhanced scans: it shows only where it is denser than the blood (anaemia, iron).

Which part of the heart is denser is judged on every other slice, averaged, and read on the slices between: where
there is no second population, what noise made dense in one half is as dense as the rest in the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.measure.blood_pool import measure_aortic_lumen
from paraspinal.measure.gates import why_not
from paraspinal.measure.native import masked_gaussian
from paraspinal.measure.organ import HU
from paraspinal.measure.uncertainty import half_range, noise_of_mean
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement
from paraspinal.volume import BoolArray, CTVolume, Region

Float32 = npt.NDArray[np.float32]

KEY = "myocardium_hu"

_DEPTH_MM = 6.0  # under the border to lung, whose kernel overshoots
_SMOOTHING_MM = (2.0, 2.5, 3.0)
_SOFT_HU = (-60.0, 90.0)  # about the lumen: no fat, no calcium
_FIRST_STEP_HU = 12.0
_ROUNDS, _SETTLED_HU = 12, 0.2
_LEAST_DEEP_ML = 60.0
_LEAST_WALL_ML = 6.0  # of either half
_LEAST_STEP_HU = 6.0  # shading across a heart is no wall
_LIMIT_HU = 10.0  # a wall so much denser than the blood is not missed
_BLURRED_HU = 1.5  # what blood in and beside a wall of 1 cm takes from it (engineering default)
_METHOD = "type A: average made narrower and wider, noise; type B: scanner calibration, blur"


@dataclass(frozen=True, slots=True)
class TwoTissues:
    """Medians (HU) of the denser and the darker part of the heart, and how much of the former was read (mL)."""

    wall_hu: float
    blood_hu: float
    wall_ml: float
    spread_hu: float
    samples: int


def measure_myocardium(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, config: MeasureConfig
) -> Measurement:
    """Return ``myocardium_hu``: the median of the heart's denser tissue, where it has two."""
    refusal = why_not(KEY, quality, config, slice_mm=volume.effective_slice_mm)
    if refusal is not None:
        return Measurement.missing(HU, refusal)
    organ = anatomy.organs.get("heart")
    mask = anatomy.mask("heart")
    if not mask.any() or (organ is not None and organ.presence != "present"):
        return Measurement.missing(HU, f"heart: {(organ.reason if organ else None) or 'not found'}")
    lumen = measure_aortic_lumen(volume, anatomy, quality, config=config).value
    if lumen is None:
        return Measurement.missing(HU, "the aortic lumen, with which it is compared, was not read")
    found = [two_tissues(anatomy, mask, lumen, smoothing_mm=s) for s in _SMOOTHING_MM]
    middle = found[1]
    if middle is None:
        return Measurement.missing(HU, "too little of the heart lies deep enough to tell blood from wall")
    step = middle.wall_hu - middle.blood_hu
    if middle.wall_ml < _LEAST_WALL_ML or step < _LEAST_STEP_HU:
        limit = middle.blood_hu + _LIMIT_HU
        return Measurement.below(HU, "no tissue of the heart is denser than its blood", limit=limit)
    noise = 1.2533 * noise_of_mean(middle.spread_hu, middle.samples, anatomy.geometry.spacing_mm[1], quality)
    return Measurement.measured(
        middle.wall_hu,
        HU,
        type_a=float(np.hypot(half_range(f.wall_hu for f in found if f is not None), noise)),
        type_b=float(np.hypot(quality.calibration_sd_hu, _BLURRED_HU)),
        method=_METHOD,
        detection_limit=middle.blood_hu + _LIMIT_HU,
        region=f"{middle.wall_ml:.0f} mL, {step:.0f} HU denser than the heart's blood",
    )


def two_tissues(
    anatomy: Anatomy, heart: BoolArray, lumen_hu: float, *, smoothing_mm: float
) -> TwoTissues | None:
    """Part the heart half way between its blood and its denser tissue; None where too little of it can be judged."""
    grid = anatomy.geometry
    region = Region.of(heart)
    hu = np.asarray(anatomy.hu[region.box], np.float32)
    soft = region.mask & (hu > lumen_hu + _SOFT_HU[0]) & (hu < lumen_hu + _SOFT_HU[1])
    deep = _deep(region.mask, grid.spacing_mm) & soft
    if np.count_nonzero(deep) * grid.voxel_ml < _LEAST_DEEP_ML:
        return None
    even = np.zeros_like(soft)
    even[::2] = True
    sigma = [smoothing_mm / s for s in grid.spacing_mm]
    parts = [
        _darkest_and_densest(masked_gaussian(hu, soft & half, sigma), deep, deep & ~half)
        for half in (even, ~even)
    ]
    darkest, densest = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    read = np.concatenate([hu[deep & ~half] for half in (even, ~even)])
    wall_hu, blood_hu = lumen_hu + _FIRST_STEP_HU, lumen_hu
    wall = blood = read[:0]
    for _ in range(_ROUNDS):
        middle = 0.5 * (wall_hu + blood_hu)
        wall, blood = read[darkest > middle], read[densest <= middle]
        if wall.size * grid.voxel_ml < _LEAST_WALL_ML or blood.size == 0:
            break
        before, wall_hu, blood_hu = wall_hu, float(np.median(wall)), float(np.median(blood))
        if abs(wall_hu - before) < _SETTLED_HU:
            break
    spread = float(wall.std(dtype=np.float64)) if wall.size else 0.0
    return TwoTissues(wall_hu, blood_hu, wall.size * grid.voxel_ml, spread, int(wall.size))


def _darkest_and_densest(smooth: Float32, deep: BoolArray, where: BoolArray) -> tuple[Float32, Float32]:
    """Return the least and the greatest averaged HU about every place: a place lies inside where all are alike."""
    cross = ndimage.generate_binary_structure(3, 1)
    low = ndimage.minimum_filter(np.where(deep, smooth, np.inf), footprint=cross)
    high = ndimage.maximum_filter(np.where(deep, smooth, -np.inf), footprint=cross)
    return np.asarray(low[where], np.float32), np.asarray(high[where], np.float32)


def _deep(mask: BoolArray, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """Return what lies free of partial volume under the border of a mask."""
    away = edt.edt(np.pad(mask, 1), anisotropy=spacing_mm)[1:-1, 1:-1, 1:-1]
    return np.asarray(away > _DEPTH_MM + 0.5 * spacing_mm[1])
