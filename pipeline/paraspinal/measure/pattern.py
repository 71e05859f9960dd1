"""Rim and fluid: how a mass's density is arranged."""

from __future__ import annotations

import numpy as np

from paraspinal.config import MeasureConfig
from paraspinal.measure.attenuation import NO_CORE, core_of
from paraspinal.measure.density import robust_centre
from paraspinal.measure.gates import why_not
from paraspinal.measure.uncertainty import noise_of_mean
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements

_EXCESS_SD_HU = 10.0  # structure beyond noise at which the homogeneity of the score falls to 1/e


def measure_pattern(view: MassView, quality: ScanQuality, config: MeasureConfig) -> Measurements:
    """Return ``rim_contrast_hu`` and ``fluid_compatible_score`` of a mass."""
    return {
        "rim_contrast_hu": _rim(view, quality, config),
        "fluid_compatible_score": _fluid(view, quality, config),
    }


def _rim(view: MassView, quality: ScanQuality, config: MeasureConfig) -> Measurement:
    """Mean of the shell minus mean of what lies deeper; both off the border, with contrast medium only."""
    unit = "[hnsf'U]"
    refusal = why_not("rim_contrast_hu", quality, config, slice_mm=view.slice_mm)
    if refusal is not None:
        return Measurement.missing(unit, refusal)
    low, high = config.rim_depth_mm
    core = view.deeper_than(high)
    shell = view.deeper_than(low) & ~core
    if np.count_nonzero(core) * view.voxel_ml < config.min_core_ml:
        return Measurement.missing(unit, "the mass is too small to tell a rim from a core")
    parts = [view.hu[m] for m in (shell, core)]
    noise = [noise_of_mean(float(p.std()), p.size, view.pixel_mm, quality) for p in parts]
    return Measurement.measured(
        float(parts[0].mean(dtype=np.float64) - parts[1].mean(dtype=np.float64)),
        unit,
        type_a=float(np.hypot(noise[0], noise[1])),
        method="type A: noise over independent voxels; calibration cancels",
        region=f"{low:g} to {high:g} mm inside the border minus deeper",
    )


def _fluid(view: MassView, quality: ScanQuality, config: MeasureConfig) -> Measurement:
    """Grade 0…1: closeness of the core's median to fluid, times homogeneity beyond noise.

    score = exp(−(d / 15 HU)²) · exp(−(s / 10 HU)²), with d the distance of the median from 0–20 HU and s the SD
    beyond noise. Never decisive alone: plexiform neurofibroma reads 15–20 HU and some cysts 28–46 HU.
    """
    core = core_of(view, config)
    if core is None:
        return Measurement.missing("1", NO_CORE)
    refusal = why_not("fluid_compatible_score", quality, config, slice_mm=view.slice_mm)
    if refusal is not None:
        return Measurement.missing("1", refusal)
    median, spread = robust_centre(view.hu[core])

    def score(centre: float) -> float:
        away = max(-centre, centre - config.fluid_max_hu, 0.0) / config.fluid_falloff_hu
        excess = max(spread**2 - (quality.noise_sd_hu or 0.0) ** 2, 0.0) ** 0.5 / _EXCESS_SD_HU
        return float(np.exp(-(away**2) - excess**2))

    calibration = quality.calibration_sd_hu
    spread_of_score = abs(score(median + calibration) - score(median - calibration)) / 2.0
    return Measurement.measured(
        score(median),
        "1",
        type_b=spread_of_score,
        method="type B: calibration carried through the score",
        reason="graded: density and homogeneity only; never decisive alone",
    )
