"""Pleural effusion of one side: volume, density, and whether it is blood by density and by what has settled."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.measure.gates import why_not
from paraspinal.measure.native import native_samples
from paraspinal.measure.organ import HU, organ_density, organ_depth, organ_volume, without_organ
from paraspinal.measure.uncertainty import noise_of_mean
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray, CTVolume

_EFFUSION_DEPTH_MM = 2.0
_LAYER_DEPTH_MM = 3.0
_UPPER, _DEPENDENT = 0.4, 0.65  # of the fluid's depth in a slice
_LEAST_ROWS = 6
_LEAST_SAMPLES = 120
_SHADING_HU = 4.0  # ribs and breathing shade a fluid by as much between front and back (engineering default)
_SEEN_SD = 3.0


def measure_effusion(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, side: str, config: MeasureConfig
) -> Measurements:
    """Return volume, density, layering and blood score of the effusion of one `side`.

    What was not seen is below its detection limit.
    """
    name = f"effusion_{side}"
    units = {
        f"{name}_ml": "mL",
        f"{name}_hu": HU,
        f"{name}_layering_hu": HU,
        f"{name}_blood_score": "1",
    }
    ml, density_key, layers, score = units
    organ = anatomy.organs.get(name)
    if organ is not None and organ.presence == "absent":
        none = Measurement.below("mL", "none seen", limit=config.effusion_limit_ml)
        unseen = {key: Measurement.missing(unit, "no effusion was seen") for key, unit in units.items()}
        return unseen | {ml: none}
    mask = anatomy.mask(name)
    if not mask.any():
        return without_organ(anatomy, name, units)
    density = organ_density(volume, anatomy, mask, quality, _EFFUSION_DEPTH_MM)
    layering, dependent_hu = _layering(volume, anatomy, mask, quality)
    return {
        ml: organ_volume(anatomy, name, mask),
        density_key: density,
        layers: layering,
        score: _blood(density, layering, dependent_hu, volume, quality, config),
    }


def _layering(
    volume: CTVolume, anatomy: Anatomy, mask: BoolArray, quality: ScanQuality
) -> tuple[Measurement, float | None]:
    """Return how much denser the dependent part of a fluid is than its upper part, and its HU.

    Cells settle in blood that stands (haematocrit effect). The patient is taken to lie on the back, as the search for
    fluid does.
    """
    region, depth = organ_depth(anatomy, mask)
    share = _share_of_depth(region.mask)
    geometry = anatomy.geometry.crop(region.start, region.mask.shape)
    deep = depth >= _LAYER_DEPTH_MM
    upper, lower = (
        native_samples(volume, geometry, np.asarray(deep & part))
        for part in (share < _UPPER, share > _DEPENDENT)
    )
    if min(upper.size, lower.size) < _LEAST_SAMPLES:
        return Measurement.missing(HU, "too thin to tell layers"), None
    step = float(np.median(lower)) - float(np.median(upper))
    pixel = anatomy.geometry.spacing_mm[1]
    noise = math.hypot(
        *(
            1.2533 * noise_of_mean(float(v.std(dtype=np.float64)), v.size, pixel, quality)
            for v in (upper, lower)
        )
    )
    doubt = math.hypot(noise, _SHADING_HU)
    if step < _SEEN_SD * doubt:
        return Measurement.below(HU, "no denser layer has settled", limit=_SEEN_SD * doubt), None
    found = Measurement.measured(
        step,
        HU,
        type_a=noise,
        type_b=_SHADING_HU,
        method="type A: noise; type B: shading between front and back",
        region="behind 0.65 of the depth, less before 0.4",
    )
    return found, float(np.median(lower))


def _share_of_depth(mask: BoolArray) -> npt.NDArray[np.float32]:
    """Return the place of every voxel between the fluid's front (0) and back (1) in its slice; NaN in thin slices."""
    out = np.full(mask.shape, np.nan, np.float32)
    rows = np.arange(mask.shape[1], dtype=np.float32)
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        known = np.flatnonzero(mask[z].any(axis=1))
        first, last = int(known[0]), int(known[-1])
        if last - first >= _LEAST_ROWS:
            out[z] = ((rows - first) / (last - first))[:, None]
    return out


def _blood(
    density: Measurement,
    layering: Measurement,
    dependent_hu: float | None,
    volume: CTVolume,
    quality: ScanQuality,
    config: MeasureConfig,
) -> Measurement:
    """Grade a fluid from simple (0) to blood (1) by its density, or by that of what has settled in it."""
    refusal = why_not("effusion_*_blood_score", quality, config, slice_mm=volume.effective_slice_mm)
    if refusal is not None:
        return Measurement.missing("1", refusal)
    if density.value is None or density.uncertainty is None:
        return Measurement.missing("1", density.reason or "the fluid's density was not read")
    simple, blood = config.fluid_max_hu, config.blood_from_hu
    middle, spread = 0.5 * (simple + blood), (blood - simple) / 4.0
    sd = math.hypot(spread, density.uncertainty.combined)
    densest = density.value if dependent_hu is None else max(density.value, dependent_hu)

    def grade(hu: float) -> float:
        return 0.5 * math.erfc((middle - hu) / (sd * math.sqrt(2.0)))

    low, high = grade(densest - density.uncertainty.combined), grade(densest + density.uncertainty.combined)
    settled = "" if layering.value is None else f", a layer {layering.value:.0f} HU denser has settled"
    return Measurement.measured(
        grade(densest),
        "1",
        type_a=0.5 * (high - low),
        method="type A: uncertainty of the density",
        reason=f"simple fluid lies below {simple:g} HU, blood above {blood:g} HU{settled}",
    )
