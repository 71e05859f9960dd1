"""Dense parts of a mass: specks that stand out, and density all over."""

from __future__ import annotations

import cc3d
import cv2
import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.config import MeasureConfig
from paraspinal.measure.attenuation import NO_CORE, core_of
from paraspinal.measure.gates import why_not
from paraspinal.measure.native import masked_gaussian
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray

_MAD_TO_SD = 1.4826
_FWHM_PER_SD = 2.3548
_UNKNOWN_FWHM_MM = 1.5
_SPECK_HU = 600.0  # the calcification for which the detection limit is stated
SMOOTHING_MM = 1.5
"""SD of the Gaussian over which densities are averaged before a share of the mass is counted."""
_SURROUNDINGS_MM = 9.0  # width of the median against which a voxel is dark or dense
_MEDIAN_RANGE_HU = (-200.0, 310.0)
_OFF_BORDER_MM = 1.0  # partial volume at the border is no noise
_NOISY_PERCENTILE = 90.0  # of the mass's places: the limit is stated for its noisy parts
_OWN_SHARE = 0.9
_FOREIGN_VOXELS = 20


def robust_centre(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return the median and the SD from the median absolute deviation."""
    median = float(np.median(values))
    return median, float(_MAD_TO_SD * np.median(np.abs(values - median)))


def measure_high_density(
    view: MassView, quality: ScanQuality, config: MeasureConfig, *, aortic_lumen_hu: float | None
) -> Measurements:
    """Return ``discrete_high_density_{ml,count,fraction}`` and ``diffuse_hyperattenuation_fraction``.

    A speck is seeded by a voxel far above the noise *of its place* and grown over connected voxels that are still
    above it: streaks from shoulders and metal make noise local. With contrast medium the threshold also clears the
    aortic lumen, so that a vessel is not called calcification. The detection limit is the volume of the smallest
    sphere of 600 HU whose peak, after the scan's blur and slice thickness, reaches the seed threshold where the mass
    is noisy. Nothing found is below that limit, and not assessed where there is no such sphere.
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
    noise = np.maximum(max(spread, quality.noise_sd_hu or 0.0), local_noise(view, config))
    floor = config.calcification_hu
    state = quality.contrast_state
    if state is not False:
        blood = aortic_lumen_hu if aortic_lumen_hu is not None else (300.0 if state else floor)
        floor = max(floor, blood + config.contrast_margin_hu)
    seed = np.maximum(floor, median + config.calcification_seed_sd * noise)
    grow = np.maximum(0.5 * (median + seed), median + config.calcification_grow_sd * noise)
    own, foreign = _own_and_foreign(view.hu > grow, view.mask)
    allowed = own & (_distance_to(view.bone | foreign, view) >= config.bone_distance_mm)
    specks = _to_half_height(seeded(allowed, view.hu > seed), view.hu, median)
    count = int(cc3d.connected_components(specks, connectivity=26, return_N=True)[1]) if specks.any() else 0
    volume = np.count_nonzero(specks) * view.voxel_ml
    total = np.count_nonzero(view.mask) * view.voxel_ml
    needed = float(np.percentile(seed[view.mask], _NOISY_PERCENTILE))
    limit = _speck_limit_ml(view, quality, contrast=_SPECK_HU - median, needed=needed - median)
    figures = {"ml": volume, "count": float(count), "fraction": volume / total}
    limits = {"ml": limit, "count": 1.0, "fraction": limit / total} if limit is not None else {}
    shift = _speck_uncertainty(specks, view)
    type_a = {"ml": shift, "count": None, "fraction": shift / total}
    out = {
        f"discrete_high_density_{k}": Measurement.measured(
            figures[k],
            units[k],
            type_a=type_a[k],
            method="type A: half a voxel on the specks' border" if k != "count" else "",
            detection_limit=limits.get(k),
            reason=f"connected voxels above {needed:.0f} HU",
        )
        if count
        else _none_seen(units[k], limits.get(k), f"no connected voxels above {needed:.0f} HU")
        for k in keys
    }
    out["diffuse_hyperattenuation_fraction"] = _diffuse(view, core & ~specks, quality, config)
    return out


def _none_seen(unit: str, limit: float | None, reason: str) -> Measurement:
    """Return the record of nothing found: below a limit, or not assessed where nothing could have been found."""
    if limit is None:
        return Measurement.missing(unit, "noise and slice thickness would hide a calcification of any size")
    return Measurement.below(unit, reason, limit=limit)


def local_noise(view: MassView, config: MeasureConfig) -> npt.NDArray[np.float32]:
    """Return the SD (HU) of the noise around every voxel, streaks included, [z, y, x].

    Read from the voxels darker than their in-plane surroundings (median): noise and streaks go both ways, dense
    specks one way only, so that they do not raise their own threshold.
    """
    width = max(5, 2 * round(_SURROUNDINGS_MM / 2.0 / view.pixel_mm) + 1)
    low, step = _MEDIAN_RANGE_HU[0], (_MEDIAN_RANGE_HU[1] - _MEDIAN_RANGE_HU[0]) / 255.0
    coarse = np.clip(np.rint((view.hu - low) / step), 0, 255).astype(
        np.uint8
    )  # OpenCV's large median takes bytes
    below = view.hu - (low + step * np.stack([cv2.medianBlur(k, width) for k in coarse]))
    squared = np.minimum(below, 0.0) ** 2
    inside = view.deeper_than(_OFF_BORDER_MM)
    sigma = [config.streak_reach_mm / s for s in view.spacing_mm]
    # half of the voxels lie below their surroundings; a streak's end is as noisy as its middle
    variance = ndimage.maximum_filter(
        np.where(inside, 2.0 * masked_gaussian(squared, inside, sigma), 0.0),
        size=[2 * round(s) + 1 for s in sigma],
    )
    return np.asarray(np.sqrt(variance), dtype=np.float32)


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
    axial = np.minimum(1.0, 2.0 / 3.0 * diameter / view.slice_mm)
    seen = np.flatnonzero(contrast * in_plane * axial >= needed)
    return float(np.pi / 6.0 * diameter[seen[0]] ** 3 / 1000.0) if seen.size else None


def _diffuse(view: MassView, region: BoolArray, quality: ScanQuality, config: MeasureConfig) -> Measurement:
    refusal = why_not("diffuse_hyperattenuation_fraction", quality, config, slice_mm=view.slice_mm)
    if refusal is not None:
        return Measurement.missing("1", refusal)
    if not region.any():
        return Measurement.missing("1", NO_CORE)
    smooth = masked_gaussian(view.hu, region, [SMOOTHING_MM / s for s in view.spacing_mm])
    shares = [
        float(np.mean(smooth[region] > config.diffuse_hyperattenuation_hu + step))
        for step in (-quality.calibration_sd_hu, 0.0, quality.calibration_sd_hu)
    ]
    return Measurement.measured(
        shares[1],
        "1",
        type_b=0.5 * (max(shares) - min(shares)),
        method="type B: threshold moved by the scanner's calibration",
        region="core, discrete high density left out",
        reason="iron, blood and protein look alike",
    )
