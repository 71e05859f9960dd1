"""Attenuation of a mass, read from native voxels of its core."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paraspinal.config import MeasureConfig
from paraspinal.measure.gates import why_not
from paraspinal.measure.uncertainty import DENSITY_METHOD, half_range, noise_of_mean
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray

_FIGURES = ("mean", "median", "sd", "p5", "p95")
_MEDIAN_FACTOR = 1.2533  # the median's standard error over the mean's, for normal noise: √(π/2)
_TAIL_FACTOR = 2.11  # the same for the 5th and 95th percentile
_SD_FACTOR = 0.7071  # a standard deviation's relative standard error is 1 / √(2n)
_DEEPEST_SHARE = 0.6  # of the greatest depth
_STRUCTURE = "attenuation_sd_without_noise_hu"
_NOISE_DOUBT = 0.1  # noise SD is read within 10 % (docs/limits.md)
NO_CORE = "no part of the mass lies deep enough inside its border to be free of partial volume"


def read_figures(values: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return mean, median, population SD, p5 and p95 of values in HU (IBSI Q4LE, Y12H, 48AT as SD, percentiles)."""
    p5, median, p95 = (float(v) for v in np.percentile(values, (5, 50, 95)))
    wide = values.astype(np.float64)
    return {"mean": float(wide.mean()), "median": median, "sd": float(wide.std()), "p5": p5, "p95": p95}


def core_of(view: MassView, config: MeasureConfig) -> BoolArray | None:
    """Return the voxels deep enough to be free of partial volume; None when they are too few."""
    core = view.clear_of_border(config.core_depth_mm)
    return core if np.count_nonzero(core) * view.voxel_ml >= config.min_core_ml else None


def measure_attenuation(view: MassView, quality: ScanQuality, config: MeasureConfig) -> Measurements:
    """Return ``attenuation_*_hu`` (the SD with noise and without) and ``post_contrast_attenuation_hu`` of a mass."""
    core = core_of(view, config)
    keys = [*(f"attenuation_{name}_hu" for name in _FIGURES), _STRUCTURE]
    if core is None:
        missing = Measurement.missing("[hnsf'U]", NO_CORE)
        return dict.fromkeys([*keys, "post_contrast_attenuation_hu"], missing)
    figures = read_figures(view.hu[core])
    half = 0.5 * view.pixel_mm
    # In a small or ill-defined mass even the core holds partial volume; its deepest part tells how much.
    deepest = max(config.core_depth_mm + half, _DEEPEST_SHARE * float(view.depth_mm.max()))
    moved = [view.clear_of_border(depth) for depth in (config.core_depth_mm - half, deepest)]
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
    out[_STRUCTURE] = _structure(figures["sd"], int(np.count_nonzero(core)), view, quality)
    refusal = why_not("post_contrast_attenuation_hu", quality, config, slice_mm=view.slice_mm)
    mean = out["attenuation_mean_hu"]
    # One contrast phase gives a post-contrast attenuation, never an enhancement.
    phase = {"reason": f"one phase only: {quality.contrast_evidence}"}
    out["post_contrast_attenuation_hu"] = (
        Measurement.missing(mean.unit, refusal) if refusal else mean.model_copy(update=phase)
    )
    return out


def _structure(sd: float, voxels: int, view: MassView, quality: ScanQuality) -> Measurement:
    """SD that the scan's noise does not explain: √(SD² − noise²), or how much of it could have hidden."""
    unit, noise = "[hnsf'U]", quality.noise_sd_hu
    if noise is None:
        return Measurement.missing(unit, "the scan's noise is not known")
    independent = (sd / noise_of_mean(sd, voxels, view.pixel_mm, quality)) ** 2 if sd > 0.0 else 1.0
    # a variance's relative standard error is √(2 / n), and the noise's own doubt counts twice in its square
    error = float(np.hypot(sd**2 * np.sqrt(2.0 / independent), 2.0 * _NOISE_DOUBT * noise**2))
    excess = sd**2 - noise**2
    if excess <= 2.0 * error:
        return Measurement.below(unit, "no structure beyond noise", limit=float(np.sqrt(2.0 * error)))
    value = float(np.sqrt(excess))
    return Measurement.measured(
        value,
        unit,
        type_a=error / (2.0 * value),
        method="type A: scatter of a variance, and the doubt of the noise",
        region="core",
    )
