"""Attenuation of a mass, read from native voxels of its core."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paraspinal.config import MeasureConfig
from paraspinal.measure.uncertainty import DENSITY_METHOD, half_range, noise_of_mean
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray

_FIGURES = ("mean", "median", "sd", "p5", "p95")
_MEDIAN_FACTOR = 1.2533  # the median's standard error over the mean's, for normal noise: √(π/2)
_TAIL_FACTOR = 2.11  # the same for the 5th and 95th percentile
_SD_FACTOR = 0.7071  # a standard deviation's relative standard error is 1 / √(2n)
NO_CORE = "no part of the mass lies deep enough inside its border to be free of partial volume"


def read_figures(values: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return mean, median, population SD, p5 and p95 of values in HU (IBSI Q4LE, Y12H, 48AT as SD, percentiles)."""
    p5, median, p95 = (float(v) for v in np.percentile(values, (5, 50, 95)))
    wide = values.astype(np.float64)
    return {"mean": float(wide.mean()), "median": median, "sd": float(wide.std()), "p5": p5, "p95": p95}


def core_of(view: MassView, config: MeasureConfig) -> BoolArray | None:
    """Return the voxels deep enough to be free of partial volume; None when they are too few."""
    core = view.deeper_than(config.core_depth_mm)
    return core if np.count_nonzero(core) * view.voxel_ml >= config.min_core_ml else None


def measure_attenuation(view: MassView, quality: ScanQuality, config: MeasureConfig) -> Measurements:
    """Return ``attenuation_*_hu`` and ``post_contrast_attenuation_hu`` of a mass."""
    core = core_of(view, config)
    keys = [f"attenuation_{name}_hu" for name in _FIGURES]
    if core is None:
        missing = Measurement.missing("[hnsf'U]", NO_CORE)
        return dict.fromkeys([*keys, "post_contrast_attenuation_hu"], missing)
    figures = read_figures(view.hu[core])
    half = 0.5 * view.pixel_mm
    moved = [view.deeper_than(config.core_depth_mm + step) for step in (-half, half)]
    shifted = [read_figures(view.hu[m]) for m in moved if m.any()]
    mean_u = noise_of_mean(figures["sd"], int(np.count_nonzero(core)), view.pixel_mm, quality)
    factors = (1.0, _MEDIAN_FACTOR, _SD_FACTOR, _TAIL_FACTOR, _TAIL_FACTOR)
    out: Measurements = {}
    for name, factor in zip(_FIGURES, factors, strict=True):
        border = half_range([figures[name], *(s[name] for s in shifted)])
        out[f"attenuation_{name}_hu"] = Measurement.measured(
            figures[name],
            "[hnsf'U]",
            type_a=float(np.hypot(border, factor * mean_u)),
            type_b=None if name == "sd" else quality.calibration_sd_hu,
            method=DENSITY_METHOD,
            region=f"core, {config.core_depth_mm:g} mm inside the border",
        )
    out["post_contrast_attenuation_hu"] = _post_contrast(out["attenuation_mean_hu"], quality)
    return out


def _post_contrast(mean: Measurement, quality: ScanQuality) -> Measurement:
    """One contrast phase gives a post-contrast attenuation, never an enhancement."""
    state = quality.contrast_state
    if state:
        return mean.model_copy(update={"reason": f"one phase only: {quality.contrast_evidence}"})
    reason = "unenhanced scan" if state is False else f"contrast not known: {quality.contrast_evidence}"
    return Measurement.missing(mean.unit, reason)
