"""How sharply a mass ends: 10–90 % edge width along its normals, against the scan's own edge response.

Each border point gives one profile, to which a blurred step (error function) is fitted: place and SD on a grid,
the two levels in closed form. Bone outside is not counted: a border against it is read elsewhere. Pleura makes the
border to lung sharp, whatever the mass, so that a sharp one tells nothing and is not counted either; where most of it
is blurred, the mass itself ends so there, and it counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from paraspinal.config import MeasureConfig
from paraspinal.measure.gates import why_not
from paraspinal.measure.size import Mesh
from paraspinal.measure.surface import SurfacePoints, in_plane, profiles, surface_points
from paraspinal.measure.uncertainty import RECTANGULAR
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray

WIDTH_PER_SD = 2.5631  # 10–90 % width of a Gaussian edge over its SD
_FWHM_PER_SD = 2.3548
_REACH_MM = 5.0
STEP_MM = 0.4
_PLATE_MM = 1.5
_LUNG_REACH_MM = 2.4
_MAX_TILT = 0.35
_SDS_MM = np.arange(0.2, 3.61, 0.1)
_SHIFTS_MM = np.arange(-2.0, 2.01, 0.25)
MIN_R2 = 0.75  # a profile that a single step does not explain crosses something else
_NOISE_FACTOR = 2.0  # contrast over the noise of one averaged sample
_PATCH_MM2 = 16.0  # neighbouring points share noise and anatomy on about this area

_Array = npt.NDArray[np.float64]


def measure_margin(view: MassView, mesh: Mesh, quality: ScanQuality, config: MeasureConfig) -> Measurements:
    """Return ``edge_width_mm`` and ``well_defined_fraction`` of a mass's border against soft tissue and fat."""
    points = border_points(view, mesh)
    if points.count == 0:
        return _missing("no part of the border is steep enough to be read within one slice")
    t = np.arange(-_REACH_MM, _REACH_MM + STEP_MM / 2, STEP_MM)
    samples = profiles(view.hu, points, t, view.spacing_mm, plate_mm=_PLATE_MM)
    fit = fit_edges(samples, t)
    needed = max(config.edge_min_contrast_hu, _NOISE_FACTOR * (quality.noise_sd_hu or 0.0) / 2.0)
    counted = (fit.outside_hu > config.edge_lung_hu) & (fit.outside_hu < config.edge_bone_hu)
    readable = counted & (np.abs(fit.contrast_hu) >= needed) & (fit.r2 >= MIN_R2)
    every_width = _true_width(fit.sd_mm, points, view)
    to_lung, lung_width = _lung_border(samples, t, points, view, config)
    own = own_edge_mm(quality)
    if own is not None and _blurred(lung_width[to_lung], points.areas_mm2[to_lung], own, config):
        counted, readable = counted | to_lung, readable | to_lung
        every_width = np.where(to_lung, lung_width, every_width)
    if np.count_nonzero(counted) < config.edge_min_points:
        return _missing("the mass has no border but to lung or bone")
    if np.count_nonzero(readable) < config.edge_min_points:
        return _missing("too little contrast to the soft tissue outside (isodense border)")
    width, area = every_width[readable], points.areas_mm2[readable]
    share = float(area.sum() / points.areas_mm2[counted].sum())
    if share < config.edge_min_share:
        return _missing(f"only {share:.0%} of the border to soft tissue and fat can be read")
    return _records(width, area, quality, config, share=share, slice_mm=view.slice_mm)


@dataclass(frozen=True, slots=True)
class EdgeFit:
    """Fitted steps, one per profile.

    SD and place (mm, positive outside), contrast inside minus outside (HU), level outside, explained share.
    """

    sd_mm: _Array
    shift_mm: _Array
    contrast_hu: _Array
    outside_hu: _Array
    r2: _Array


def fit_edges(samples: _Array, t_mm: _Array) -> EdgeFit:
    """Fit a blurred step to each profile (n, m); positive `t_mm` lies outside.

    For a given place and SD the two levels are a linear fit, so that the best template is the one with the largest
    normalised correlation.
    """
    sds, shifts = (g.ravel() for g in np.meshgrid(_SDS_MM, _SHIFTS_MM, indexing="ij"))
    steps = 0.5 * (1.0 - erf((t_mm[None] - shifts[:, None]) / (2.0**0.5 * sds[:, None])))
    means = steps.mean(axis=1)
    centred = steps - means[:, None]
    norm = np.linalg.norm(centred, axis=1)
    level = samples.mean(axis=1)
    rest = samples - level[:, None]
    score = (rest @ centred.T) / norm
    best = np.argmax(np.abs(score), axis=1)
    row = np.arange(len(samples))
    contrast = score[row, best] / norm[best]
    total = np.maximum((rest**2).sum(axis=1), 1e-9)
    outside = level - contrast * means[best]
    return EdgeFit(sds[best], shifts[best], contrast, outside, score[row, best] ** 2 / total)


def border_points(view: MassView, mesh: Mesh) -> SurfacePoints:
    """Return the places of the border that are steep enough to be read within one slice."""
    centroids = mesh.vertices_mm[mesh.triangles].mean(axis=1)
    points = surface_points(view.mask, centroids, mesh.areas_mm2, view.spacing_mm)
    return in_plane(points, max_tilt=_MAX_TILT)


def own_edge_mm(quality: ScanQuality) -> float | None:
    """Return the 10–90 % width that the scan itself gives a sharp border in its plane, None where not known."""
    return None if quality.edge_fwhm_mm is None else WIDTH_PER_SD / _FWHM_PER_SD * quality.edge_fwhm_mm


def _lung_border(
    samples: _Array, t_mm: _Array, points: SurfacePoints, view: MassView, config: MeasureConfig
) -> tuple[BoolArray, _Array]:
    """Return which profiles end in lung, and the width of each; what lies behind a strip of lung is left out."""
    near = t_mm <= _LUNG_REACH_MM
    fit = fit_edges(samples[:, near], t_mm[near])
    to_lung = (fit.outside_hu <= config.edge_lung_hu) & (fit.contrast_hu > 0.0) & (fit.r2 >= MIN_R2)
    return to_lung, _true_width(fit.sd_mm, points, view)


def _blurred(width: _Array, area: _Array, own_mm: float, config: MeasureConfig) -> bool:
    """Tell whether more than half of a border, by area, is wider than a well-defined one."""
    if width.size < config.edge_min_points:
        return False
    return bool(area[width > config.well_defined_factor * own_mm].sum() > 0.5 * area.sum())


def _true_width(sd_mm: _Array, points: SurfacePoints, view: MassView) -> _Array:
    """Return 10–90 % widths without what the read-out itself adds.

    Linear interpolation adds the variance of a triangle (pixel² / 6), a tilted border that of a box (the way the
    border moves within one slice, squared, / 12).
    """
    steep = np.linalg.norm(points.normals[:, 1:], axis=1)
    smear = view.slice_mm * np.abs(points.normals[:, 0]) / np.maximum(steep, 1e-6)
    variance = sd_mm**2 - view.pixel_mm**2 / 6.0 - smear**2 / 12.0
    return np.asarray(WIDTH_PER_SD * np.sqrt(np.maximum(variance, 0.1**2)))


def _records(
    width: _Array,
    area: _Array,
    quality: ScanQuality,
    config: MeasureConfig,
    *,
    share: float,
    slice_mm: float,
) -> Measurements:
    independent = max(1.0, float(area.sum()) / _PATCH_MM2)
    low, median, high = np.percentile(width, (25, 50, 75))
    # the quartiles' distance is 1.349 SD, and a median's standard error 1.2533 SD / √n
    type_a = 1.2533 * (high - low) / 1.349 / independent**0.5
    note = f"read on {100 * share:.0f} % of the border to soft tissue and fat"
    out = {
        "edge_width_mm": Measurement.measured(
            median, "mm", type_a=float(type_a), method="type A: spread over the border", reason=note
        )
    }
    refusal = why_not("well_defined_fraction", quality, config, slice_mm=slice_mm)
    own = own_edge_mm(quality)
    if refusal is not None or own is None:
        return {**out, "well_defined_fraction": Measurement.missing("1", refusal or "edge response unknown")}
    sharp = float((area * (width <= config.well_defined_factor * own)).sum() / area.sum())
    spread = (max(sharp * (1.0 - sharp), 0.01) / independent) ** 0.5
    # Nothing is known of the rest of the border; an infiltrating one is the harder to read.
    spread = float(np.hypot(spread, (1.0 - share) * max(sharp, 1.0 - sharp) * RECTANGULAR))
    out["well_defined_fraction"] = Measurement.measured(
        sharp,
        "1",
        type_a=float(spread),
        method="type A: binomial over independent stretches of border, and what could not be read",
        reason=f"{note}; the scan's own edge is {own:.1f} mm wide",
    )
    return out


def _missing(reason: str) -> Measurements:
    return {
        "edge_width_mm": Measurement.missing("mm", reason),
        "well_defined_fraction": Measurement.missing("1", reason),
    }
