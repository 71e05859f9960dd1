"""Fatty and gaseous parts of a mass."""

from __future__ import annotations

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.special import erf

from paraspinal.anatomy.morphology import dilate
from paraspinal.config import MeasureConfig
from paraspinal.measure.attenuation import NO_CORE, core_of
from paraspinal.measure.density import SMOOTHING_MM, robust_centre
from paraspinal.measure.native import masked_gaussian
from paraspinal.measure.uncertainty import half_range
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray

_MIN_FAT_MM3 = 30.0
_MIN_GAS_MM3 = 5.0
_GAS_BLUR_MM = 3.0  # blur and smoothing carry gas this far
_UNKNOWN_NOISE_HU = 20.0
_BIN_HU = 5.0
_FAT_SPREAD_HU = 15.0  # spread of fat itself, on top of noise
_ITERATIONS = 60
_FAT_UNITS = {"macroscopic_fat_ml": "mL", "fat_fraction": "1", "gas_ml": "mL"}


def measure_fat_and_gas(view: MassView, quality: ScanQuality, config: MeasureConfig) -> Measurements:
    """Return ``macroscopic_fat_ml``, ``fat_fraction`` and ``gas_ml``, all read off the border."""
    core = core_of(view, config)
    if core is None:
        return {k: Measurement.missing(u, NO_CORE) for k, u in _FAT_UNITS.items()}
    low, high = config.fat_hu
    # Between gas and soft tissue every density occurs, that of fat too.
    solid = core & ~_beside_gas(core & (view.hu < config.gas_hu), view)
    smooth = masked_gaussian(view.hu, solid, [SMOOTHING_MM / s for s in view.spacing_mm])
    floor = low - (quality.noise_sd_hu or _UNKNOWN_NOISE_HU)
    minimum = max(1, int(np.ceil(_MIN_FAT_MM3 / (view.voxel_ml * 1000.0))))
    readings = [
        _connected_ml(solid & (smooth > floor) & (smooth < high + step), view, minimum)
        for step in (-10.0, 0.0, 10.0)
    ]
    if not solid.any():
        return {k: Measurement.missing(u, "gas fills the mass") for k, u in _FAT_UNITS.items()}
    fraction, fraction_u = fat_mixture(view.hu[solid], quality.noise_sd_hu, config.fat_pure_hu)
    gas_minimum = max(1, int(np.ceil(_MIN_GAS_MM3 / (view.voxel_ml * 1000.0))))
    gas = [_connected_ml(core & (view.hu < config.gas_hu + s), view, gas_minimum) for s in (-50.0, 0.0, 50.0)]
    return {
        "macroscopic_fat_ml": _volume_or_none(
            readings,
            minimum * view.voxel_ml,
            "type A: threshold moved by 10 HU",
            "no macroscopic fat was found",
        ),
        "fat_fraction": Measurement.measured(
            fraction,
            "1",
            type_a=fraction_u,
            method="two-component mixture of the core's histogram",
            region="core",
            reason="voxels of fat; fat mixed into soft tissue within a voxel lowers the mean and is not counted",
        ),
        "gas_ml": _volume_or_none(
            gas, gas_minimum * view.voxel_ml, "type A: threshold moved by 50 HU", "no gas was found"
        ),
    }


def _beside_gas(gas: BoolArray, view: MassView) -> BoolArray:
    """Gas and the partial volume around it."""
    return dilate(gas, _GAS_BLUR_MM, view.spacing_mm) if gas.any() else gas


def _volume_or_none(readings: list[float], limit_ml: float, method: str, nothing: str) -> Measurement:
    """Return a volume read at three thresholds; below its limit when the middle one finds nothing."""
    if readings[1] == 0.0:
        return Measurement.below("mL", nothing, limit=limit_ml)
    return Measurement.measured(
        readings[1], "mL", type_a=half_range(readings), method=method, detection_limit=limit_ml, region="core"
    )


def _connected_ml(mask: BoolArray, view: MassView, minimum: int) -> float:
    """Return the volume (mL) of connected pieces of at least `minimum` voxels."""
    if np.count_nonzero(mask) < minimum:
        return 0.0
    sizes = np.bincount(np.asarray(cc3d.connected_components(mask, connectivity=6)).ravel())[1:]
    return float(sizes[sizes >= minimum].sum() * view.voxel_ml)


def fat_mixture(
    values: npt.NDArray[np.float32], noise_sd: float | None, fat_hu: float
) -> tuple[float, float]:
    """Return the share of fat voxels and its standard uncertainty, by expectation maximisation.

    The histogram is a mixture of fat (mean fixed at `fat_hu`, spread by noise) and soft tissue (mean and SD free).
    """
    clipped = np.clip(values, -250.0, 250.0)
    counts, edges = np.histogram(clipped, np.arange(-250.0, 250.0 + _BIN_HU, _BIN_HU))
    x = edges[:-1] + _BIN_HU / 2.0
    soft_mean, spread = robust_centre(clipped)
    sd = max(noise_sd if noise_sd is not None else spread, 1.0)
    fat_sd = float(np.hypot(sd, _FAT_SPREAD_HU))
    soft_mean, soft_sd, share = max(soft_mean, -20.0), max(spread, sd), 0.1
    for _ in range(_ITERATIONS):
        fat = share * np.exp(-0.5 * ((x - fat_hu) / fat_sd) ** 2) / fat_sd
        soft = (1.0 - share) * np.exp(-0.5 * ((x - soft_mean) / soft_sd) ** 2) / soft_sd
        belongs = fat / np.maximum(fat + soft, 1e-300)
        rest = counts * (1.0 - belongs)
        share = float((counts * belongs).sum() / counts.sum())
        weight = max(float(rest.sum()), 1e-9)
        soft_mean = max(float((rest * x).sum() / weight), -20.0)
        soft_sd = max(float(np.sqrt((rest * (x - soft_mean) ** 2).sum() / weight)), 0.7 * sd, _BIN_HU / 2.0)
    overlap = 0.5 * (1.0 - erf((soft_mean - fat_hu) / 2.0 / (2.0**0.5 * fat_sd)))
    independent = max(values.size / 10.0, 1.0)
    return share, float(np.hypot(np.sqrt(share * (1.0 - share) / independent), overlap))
