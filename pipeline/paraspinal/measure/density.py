"""Dense, fatty and gaseous parts of a mass."""

from __future__ import annotations

import cc3d
import edt
import numpy as np
import numpy.typing as npt
from scipy.special import erf

from paraspinal.config import MeasureConfig
from paraspinal.measure.attenuation import NO_CORE, contrast_state, core_of
from paraspinal.measure.native import masked_gaussian
from paraspinal.measure.uncertainty import half_range
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray

_MAD_TO_SD = 1.4826
_FWHM_PER_SD = 2.3548
_UNKNOWN_FWHM_MM = 1.5
_SPECK_HU = 600.0  # the calcification for which the detection limit is stated
_SMOOTHING_MM = 1.5
_OWN_SHARE = 0.9
_FOREIGN_VOXELS = 20
_MIN_FAT_MM3 = 30.0
_MIN_GAS_MM3 = 5.0
_BIN_HU = 5.0
_FAT_SPREAD_HU = 15.0  # spread of fat itself, on top of noise
_ITERATIONS = 60


def robust_centre(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return the median and the SD from the median absolute deviation."""
    median = float(np.median(values))
    return median, float(_MAD_TO_SD * np.median(np.abs(values - median)))


# ---- discrete high density -------------------------------------------------------------------------------------


def measure_high_density(
    view: MassView, quality: ScanQuality, config: MeasureConfig, *, aortic_lumen_hu: float | None
) -> Measurements:
    """Return ``discrete_high_density_{ml,count,fraction}`` and ``diffuse_hyperattenuation_fraction``.

    A speck is seeded by a voxel far above noise and grown over connected voxels that are still above it. With
    contrast medium the threshold also clears the aortic lumen, so that a vessel is not called calcification. The
    detection limit is the volume of the smallest sphere of 600 HU whose peak, after the scan's blur and slice
    thickness, reaches the seed threshold.
    """
    core = core_of(view, config)
    keys = ("ml", "count", "fraction")
    units = {"ml": "mL", "count": "1", "fraction": "1"}
    if core is None:
        return {
            **{f"discrete_high_density_{k}": Measurement.missing(units[k], NO_CORE) for k in keys},
            "diffuse_hyperattenuation_fraction": Measurement.missing("1", NO_CORE),
        }
    median, spread = robust_centre(view.hu[core])
    noise = max(spread, quality.noise_sd_hu or 0.0)
    floor = config.calcification_hu
    state = contrast_state(quality)
    if state is not False:
        blood = aortic_lumen_hu if aortic_lumen_hu is not None else (300.0 if state else floor)
        floor = max(floor, blood + config.contrast_margin_hu)
    seed = max(floor, median + config.calcification_seed_sd * noise)
    grow = max(0.5 * (median + seed), median + config.calcification_grow_sd * noise)
    own, foreign = _own_and_foreign(view.hu > grow, view.mask)
    allowed = own & (_distance_to(view.bone | foreign, view) >= config.bone_distance_mm)
    specks = _to_half_height(seeded(allowed, view.hu > seed), view.hu, median)
    count = int(cc3d.connected_components(specks, connectivity=26, return_N=True)[1]) if specks.any() else 0
    volume = np.count_nonzero(specks) * view.voxel_ml
    total = np.count_nonzero(view.mask) * view.voxel_ml
    limit = _speck_limit_ml(view, quality, contrast=_SPECK_HU - median, needed=seed - median)
    figures = {"ml": volume, "count": float(count), "fraction": volume / total}
    limits = {"ml": limit, "count": None, "fraction": limit / total if limit is not None else None}
    out = {
        f"discrete_high_density_{k}": Measurement.measured(
            figures[k],
            units[k],
            type_a=None if k == "count" else _speck_uncertainty(specks, view) / (total if k != "ml" else 1.0),
            method="type A: half a voxel on the specks' border",
            detection_limit=limits[k],
            reason=f"connected voxels above {seed:.0f} HU",
        )
        for k in keys
    }
    out["diffuse_hyperattenuation_fraction"] = _diffuse(view, core & ~specks, state, config)
    return out


def _own_and_foreign(dense: BoolArray, mass: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Part dense voxels into those of pieces inside the mass, and larger pieces that reach in from outside.

    The edge of a rib or vertebra that the outline of the mass overlaps belongs to the bone it hangs on.
    """
    labels = np.asarray(cc3d.connected_components(dense, connectivity=26))
    total = np.bincount(labels.ravel())
    inside = np.bincount(labels[mass], minlength=total.size)
    own = inside >= _OWN_SHARE * total
    own[0] = False
    foreign = ~own & (total >= _FOREIGN_VOXELS)  # noise outside is no bone
    foreign[0] = False
    return np.asarray(own[labels] & mass), np.asarray(foreign[labels])


def seeded(grown: BoolArray, seeds: BoolArray) -> BoolArray:
    """Return the 26-connected pieces of `grown` that hold a seed."""
    if not (grown & seeds).any():
        return np.zeros_like(grown)
    labels = np.asarray(cc3d.connected_components(grown, connectivity=26))
    keep = np.zeros(int(labels.max()) + 1, dtype=bool)
    keep[labels[grown & seeds]] = True
    keep[0] = False
    return np.asarray(keep[labels])


def _to_half_height(specks: BoolArray, hu: npt.NDArray[np.float32], base: float) -> BoolArray:
    """Draw each speck's border where half of its own height above `base` is reached, as blur leaves its volume."""
    if not specks.any():
        return specks
    labels = np.asarray(cc3d.connected_components(specks, connectivity=26))
    peak = np.full(int(labels.max()) + 1, -np.inf)
    np.maximum.at(peak, labels[specks], hu[specks])
    return np.asarray(specks & (hu > 0.5 * (base + peak[labels])))


def _distance_to(structure: BoolArray, view: MassView) -> npt.NDArray[np.float32]:
    if not structure.any():
        return np.full(structure.shape, np.inf, dtype=np.float32)
    return np.asarray(edt.edt(~structure, anisotropy=view.spacing_mm, black_border=False))


def _speck_uncertainty(specks: BoolArray, view: MassView) -> float:
    """Return the standard uncertainty (mL) of the specks' volume: half a voxel all around, as of a sphere."""
    volume = np.count_nonzero(specks) * view.voxel_ml * 1000.0
    shift = 0.5 * (view.voxel_ml * 1000.0) ** (1.0 / 3.0)
    return float(4.836 * volume ** (2.0 / 3.0) * shift * 3.0**-0.5 / 1000.0)


def _speck_limit_ml(view: MassView, quality: ScanQuality, *, contrast: float, needed: float) -> float | None:
    """Return the smallest detectable sphere (mL): in-plane Gaussian blur, a slice-thick box along z."""
    sigma = (quality.edge_fwhm_mm or _UNKNOWN_FWHM_MM) / _FWHM_PER_SD
    diameter = np.arange(0.3, 20.0, 0.05)
    in_plane = 1.0 - np.exp(-((diameter / 2.0) ** 2) / (2.0 * sigma**2))
    # the mean chord of a sphere is 2/3 of its diameter; half a slice may be lost to the slice's position
    axial = np.minimum(1.0, 2.0 / 3.0 * diameter / view.spacing_mm[0])
    seen = np.flatnonzero(contrast * in_plane * axial >= needed)
    return float(np.pi / 6.0 * diameter[seen[0]] ** 3 / 1000.0) if seen.size else None


def _diffuse(view: MassView, region: BoolArray, state: bool | None, config: MeasureConfig) -> Measurement:
    if state is not False:
        reason = "contrast medium in the blood" if state else "contrast not known"
        return Measurement.missing("1", f"read on unenhanced scans only: {reason}")
    if not region.any():
        return Measurement.missing("1", NO_CORE)
    smooth = masked_gaussian(view.hu, region, [_SMOOTHING_MM / s for s in view.spacing_mm])
    shares = [
        float(np.mean(smooth[region] > config.diffuse_hyperattenuation_hu + step))
        for step in (-4.0, 0.0, 4.0)
    ]
    return Measurement.measured(
        shares[1],
        "1",
        type_a=half_range(shares),
        method="type A: threshold moved by the calibration's 4 HU",
        region="core, discrete high density left out",
        reason="iron, blood and protein look alike",
    )


# ---- fat and gas -----------------------------------------------------------------------------------------------


def measure_fat_and_gas(view: MassView, quality: ScanQuality, config: MeasureConfig) -> Measurements:
    """Return ``macroscopic_fat_ml``, ``fat_fraction`` and ``gas_ml``, all read off the border."""
    core = core_of(view, config)
    if core is None:
        return {k: Measurement.missing(u, NO_CORE) for k, u in _FAT_UNITS.items()}
    low, high = config.fat_hu
    smooth = masked_gaussian(view.hu, core, [_SMOOTHING_MM / s for s in view.spacing_mm])
    minimum = max(1, int(np.ceil(_MIN_FAT_MM3 / (view.voxel_ml * 1000.0))))
    readings = [
        _connected_ml(core & (smooth > 2 * low) & (smooth < high + step), view, minimum)
        for step in (-10.0, 0.0, 10.0)
    ]
    fraction, fraction_u = fat_mixture(view.hu[core], quality.noise_sd_hu, config.fat_pure_hu)
    gas_minimum = max(1, int(np.ceil(_MIN_GAS_MM3 / (view.voxel_ml * 1000.0))))
    gas = [_connected_ml(core & (view.hu < config.gas_hu + s), view, gas_minimum) for s in (-50.0, 0.0, 50.0)]
    return {
        "macroscopic_fat_ml": Measurement.measured(
            readings[1],
            "mL",
            type_a=half_range(readings),
            method="type A: threshold moved by 10 HU",
            detection_limit=_MIN_FAT_MM3 / 1000.0,
            region="core",
        ),
        "fat_fraction": Measurement.measured(
            fraction,
            "1",
            type_a=fraction_u,
            method="two-component mixture of the core's histogram",
            region="core",
            reason="voxels of fat; fat mixed into soft tissue within a voxel lowers the mean and is not counted",
        ),
        "gas_ml": Measurement.measured(
            gas[1],
            "mL",
            type_a=half_range(gas),
            method="type A: threshold moved by 50 HU",
            detection_limit=_MIN_GAS_MM3 / 1000.0,
            region="core",
        ),
    }


_FAT_UNITS = {"macroscopic_fat_ml": "mL", "fat_fraction": "1", "gas_ml": "mL"}


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
