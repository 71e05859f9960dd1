"""Low-density foci: interior regions that are darker than noise explains.

The region is smoothed, and a place is a focus when it lies so far below the median that a uniform region with this
noise would show one only in `foci_false_rate` of cases. That height follows from the expected Euler characteristic
of a Gaussian random field: a larger or less smooth region has more chances to be dark by accident.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import brentq

from paraspinal.anatomy.morphology import dilate
from paraspinal.config import MeasureConfig
from paraspinal.measure.attenuation import NO_CORE
from paraspinal.measure.native import masked_gaussian
from paraspinal.measure.uncertainty import noise_of_mean
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray

_FWHM_PER_SD = 2.3548
_HALF_NORMAL_MEDIAN = 0.6745
_APART_MM = 5.0  # a second focus begins so far from a deeper one
_MIN_REGION_MM = 12.0  # a smaller interior holds too little normal tissue to compare with


@dataclass(frozen=True)
class Foci:
    """Regions darker than noise explains: labels 1…n [z, y, x], their volumes and mean HU.

    ``needed_hu`` is how far below ``median_hu`` the smoothed density must lie for a focus deep inside the region.
    """

    labels: npt.NDArray[np.uint32]
    volumes_mm3: npt.NDArray[np.float64]
    means_hu: npt.NDArray[np.float64]
    median_hu: float
    needed_hu: float

    @property
    def count(self) -> int:
        """Number of foci."""
        return int(self.volumes_mm3.size)


def find_foci(
    hu: npt.NDArray[np.float32],
    interior: BoolArray,
    spacing_mm: Sequence[float],
    *,
    smoothing_mm: float,
    min_diameter_mm: float,
    min_contrast_hu: float,
    false_rate: float,
    noise_fwhm_mm: float,
    background_mm: float | None = None,
) -> Foci | None:
    """Return the low-density foci of a region, or None when it is too small to tell.

    Parameters
    ----------
    hu, interior : ndarray [z, y, x]
        Native or averaged HU, and the region free of partial volume.
    smoothing_mm : float
        SD of the Gaussian, inside `interior` only.
    min_diameter_mm, min_contrast_hu : float
        Smaller or fainter regions are not counted. The diameter is that of the sphere of equal volume.
    false_rate : float
        False foci expected in a uniform region.
    noise_fwhm_mm : float
        Width of the noise's own correlation, for the smoothness of the smoothed field.
    background_mm : float, optional
        SD of the wide Gaussian with which a place is compared instead of the region's median: organs are unevenly
        perfused over lengths that lesions do not have.
    """
    voxel = float(np.prod(spacing_mm))
    volume = np.count_nonzero(interior) * voxel
    if volume < np.pi / 6.0 * _MIN_REGION_MM**3:
        return None
    sigma = [smoothing_mm / s for s in spacing_mm]
    smooth = masked_gaussian(hu, interior, sigma)
    median = float(np.median(smooth[interior]))
    usual = np.float32(median)
    drop = (
        masked_gaussian(smooth, interior, _wide(background_mm, spacing_mm)) if background_mm else usual
    ) - smooth
    noise, spread = _local_noise(interior, sigma, drop)
    height = _height(
        volume, float(np.hypot(_FWHM_PER_SD * smoothing_mm, noise_fwhm_mm / 2.0**0.5)), false_rate
    )
    certain = interior & (drop > np.maximum(height * noise, 0.6 * min_contrast_hu))
    dark = interior & (drop > 0.5 * np.maximum(height * noise, 0.6 * min_contrast_hu))
    labels, depth = _parts(_half_as_deep(dark, drop, spacing_mm), drop)
    sizes = np.bincount(labels.ravel(), minlength=depth.size) * voxel
    means = _means(hu, labels, depth.size)
    keep = np.isin(np.arange(depth.size), labels[certain]) & (median - means >= 0.5 * min_contrast_hu)
    keep &= sizes >= np.pi / 6.0 * min_diameter_mm**3
    keep[0] = False
    new = np.zeros(depth.size, dtype=np.uint32)
    new[keep] = np.arange(1, int(keep.sum()) + 1)
    return Foci(
        new[labels], np.asarray(sizes[keep]), means[keep], median, max(height * spread, 0.6 * min_contrast_hu)
    )


def _local_noise(
    interior: BoolArray, sigma: Sequence[float], drop: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], float]:
    """Return the noise SD of the smoothed field at every voxel, and deep inside the region.

    Near the border fewer voxels are averaged: the variance is that of the squared kernel over the squared weight.
    Dark foci must not raise the yardstick, so that only the brighter half of the region tells the spread.
    """
    weight = ndimage.gaussian_filter(interior.astype(np.float32), sigma, mode="constant", truncate=3.0)
    narrow = [s / 2.0**0.5 for s in sigma]
    squared = ndimage.gaussian_filter(interior.astype(np.float32), narrow, mode="constant", truncate=3.0)
    relative = np.sqrt(np.maximum(squared, 1e-6)) / np.maximum(weight, 1e-3)
    bright = interior & (drop < 0)
    spread = float(np.median(-drop[bright] / relative[bright])) / _HALF_NORMAL_MEDIAN if bright.any() else 0.0
    return np.asarray(spread * relative, dtype=np.float32), spread


def _wide(sd_mm: float, spacing_mm: Sequence[float]) -> list[float]:
    return [sd_mm / s for s in spacing_mm]


def _half_as_deep(dark: BoolArray, drop: npt.NDArray[np.float32], spacing_mm: Sequence[float]) -> BoolArray:
    """Return where half of a focus's own depth is reached: there the border of a blurred focus lies.

    A deeper neighbour (fat of a fold) that a focus runs into would take its border from it: what lies apart from the
    deepest place is judged by its own depth.
    """
    labels, depth = _parts(dark, drop)
    deepest = (labels > 0) & (drop > 0.5 * depth[labels])
    rest = dark & ~dilate(deepest, _APART_MM, (spacing_mm[0], spacing_mm[1], spacing_mm[2]))
    labels, depth = _parts(rest, drop)
    return np.asarray(deepest | ((labels > 0) & (drop > 0.5 * depth[labels])))


def _parts(
    mask: BoolArray, drop: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float64]]:
    """Return the 6-connected parts of a mask as labels, and the largest drop in each (index 0 is outside)."""
    labels = np.asarray(cc3d.connected_components(mask, connectivity=6), dtype=np.uint32)
    depth = np.zeros(int(labels.max()) + 1)
    np.maximum.at(depth, labels[mask], drop[mask])
    return labels, depth


def _means(
    hu: npt.NDArray[np.float32], labels: npt.NDArray[np.uint32], count: int
) -> npt.NDArray[np.float64]:
    inside = labels > 0
    sums = np.bincount(labels[inside], weights=hu[inside], minlength=count)
    return np.asarray(sums / np.maximum(np.bincount(labels[inside], minlength=count), 1), dtype=np.float64)


def _height(volume_mm3: float, fwhm_mm: float, false_rate: float) -> float:
    """Return the height (SDs) that a smooth Gaussian field over a ball exceeds `false_rate` times.

    Expected Euler characteristic with its volume, surface and length terms (Worsley et al. 1996,
    doi:10.1002/(SICI)1097-0193(1996)4:1<58::AID-HBM4>3.0.CO;2-O).
    """
    radius = (3.0 * volume_mm3 / (4.0 * np.pi)) ** (1.0 / 3.0) / fwhm_mm
    length, surface, resels = 4.0 * radius, 2.0 * np.pi * radius**2, 4.0 / 3.0 * np.pi * radius**3
    c = 4.0 * np.log(2.0)

    def excess(height: float) -> float:
        tail = np.exp(-(height**2) / 2.0)
        peaks = length * c**0.5 / (2.0 * np.pi) + surface * c / (2.0 * np.pi) ** 1.5 * height
        peaks += resels * c**1.5 / (2.0 * np.pi) ** 2 * (height**2 - 1.0)
        return float(np.log(peaks * tail) - np.log(false_rate))

    return float(brentq(excess, 1.2, 12.0)) if excess(1.2) > 0 else 3.0


def measure_foci(view: MassView, quality: ScanQuality, config: MeasureConfig) -> Measurements:
    """Return ``low_density_foci_{count,ml,mean_hu}`` of a mass."""
    interior = view.clear_of_border(config.foci_depth_mm)
    foci = find_foci(
        view.hu,
        interior,
        view.spacing_mm,
        smoothing_mm=config.foci_smoothing_mm,
        min_diameter_mm=config.foci_min_mm,
        min_contrast_hu=config.foci_min_contrast_hu,
        false_rate=config.foci_false_rate,
        noise_fwhm_mm=quality.edge_fwhm_mm or 1.5,
    )
    units = {"count": "1", "ml": "mL", "mean_hu": "[hnsf'U]"}
    if foci is None:
        reason = NO_CORE if not interior.any() else "the interior is too small to compare a focus with"
        return {f"low_density_foci_{k}": Measurement.missing(u, reason) for k, u in units.items()}
    limit = np.pi / 6.0 * config.foci_min_mm**3 / 1000.0
    if foci.count == 0:
        return _none_seen(foci, limit, config)
    note = f"regions {foci.needed_hu:.0f} HU or more below the median of {foci.median_hu:.0f} HU, smoothed"
    volume = float(foci.volumes_mm3.sum()) / 1000.0
    return {
        "low_density_foci_count": Measurement.measured(foci.count, "1", reason=note),
        "low_density_foci_ml": Measurement.measured(
            volume,
            "mL",
            type_a=_volume_uncertainty(foci, view),
            method="type A: half a voxel on the foci's border",
            detection_limit=limit,
            reason=note,
        ),
        "low_density_foci_mean_hu": _mean(foci, view, quality),
    }


def _none_seen(foci: Foci, limit_ml: float, config: MeasureConfig) -> Measurements:
    """Return the records of a mass without foci: below the limit, unless noise would have hidden real ones."""
    mean = Measurement.missing("[hnsf'U]", "no low-density focus was found")
    if foci.needed_hu > config.foci_visible_hu:
        reason = f"noise hides foci less than {foci.needed_hu:.0f} HU darker than the mass"
        count, volume = Measurement.missing("1", reason), Measurement.missing("mL", reason)
    else:
        reason = (
            f"no region of {config.foci_min_mm:g} mm lies {foci.needed_hu:.0f} HU below the median, smoothed"
        )
        count = Measurement.below("1", reason, limit=1.0)
        volume = Measurement.below("mL", reason, limit=limit_ml)
    return {"low_density_foci_count": count, "low_density_foci_ml": volume, "low_density_foci_mean_hu": mean}


def _volume_uncertainty(foci: Foci, view: MassView) -> float:
    shift = 0.5 * (view.voxel_ml * 1000.0) ** (1.0 / 3.0)
    return float((4.836 * foci.volumes_mm3 ** (2.0 / 3.0)).sum() * shift * 3.0**-0.5 / 1000.0)


def _mean(foci: Foci, view: MassView, quality: ScanQuality) -> Measurement:
    values = view.hu[foci.labels > 0]
    return Measurement.measured(
        float(values.mean(dtype=np.float64)),
        "[hnsf'U]",
        type_a=noise_of_mean(float(values.std(dtype=np.float64)), values.size, view.pixel_mm, quality),
        type_b=quality.calibration_sd_hu,
        method="type A: noise over independent voxels; type B: scanner calibration",
        reason="read over the whole focus, its blurred border included",
    )
