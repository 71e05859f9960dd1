"""Cortical mass per area of the vertebral bodies: what survives the blur of a shell that is too thin to measure.

The shell of a vertebral body is about 0.35 mm thick [SILVA]; its thickness and density cannot be told apart below the
scan's blur, but their product can (Treece, Poole and Gee, Med Image Anal 2012;16:952, "Imaging the femoral cortex:
thickness, density and mass from clinical CT"). Profiles of the unrolled side wall (`wall`) are fitted with a blurred
rectangular cortex of given density (`cortex_model`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from paraspinal.config import MeasureConfig
from paraspinal.measure.cortex_model import FittedWalls, Prior, fit_walls
from paraspinal.measure.erosion import CleanWalls
from paraspinal.measure.gates import why_not
from paraspinal.measure.rib_wall import blur_along, up_to_the_lung, usable_fits
from paraspinal.measure.wall import ANGLES, BodyWall, Grid
from paraspinal.measure.wall_border import RADII_MM
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement
from paraspinal.volume import BoolArray, CTVolume

KEY = "cortical_mass_hu_mm"
UNIT = "[hnsf'U].mm"
_PLACES_MM = np.arange(-4.0, 2.51, 0.5)
_EVERY = 2  # neighbouring rays were averaged
_LEAST_INCIDENCE = 0.7
_START_MM, _OUTSIDE_HU = 0.4, 50.0
_BLUR_RELATIVE_SD = 0.15  # rays beside each other were averaged over a wall that is not flat
_LEAST_PROFILES = 24
_ALIKE_PROFILES = 2.0
_MEDIAN = 1.2533  # standard error of a median against that of a mean
_RELATIVE_SD = 0.1  # border between shell and trabeculae, curvature (engineering default)


def cortical_masses(
    walls: CleanWalls | None,
    volume: CTVolume,
    quality: ScanQuality,
    config: MeasureConfig,
    *,
    cortex_hu: float | None = None,
) -> Mapping[str, Measurement]:
    """Return ``cortical_mass_hu_mm`` by vertebra: thickness × (density − what is inside), median over the clean wall.

    Parameters
    ----------
    cortex_hu : float, optional
        Density of cortical bone, as the ribs tell it; the product hardly depends on it.
    """
    refusal = why_not(KEY, quality, config, slice_mm=volume.effective_slice_mm)
    if walls is None or refusal is not None:
        return (
            {} if walls is None else {w.label: Measurement.missing(UNIT, refusal or "") for w in walls.walls}
        )
    read = [_rays(wall, walls.clean[wall.label]) for wall in walls.walls]
    owner = np.concatenate([np.full(len(r[0]), k) for k, r in enumerate(read)]) if read else np.zeros(0)
    if not owner.size:
        return {}
    hu, directions, incidence = (np.concatenate([r[k] for r in read]) for k in range(3))
    blur = blur_along(volume, quality, directions) / incidence
    fit = _fit(hu, blur, cortex_hu or config.rib_cortex_hu)
    mass = fit.thickness_mm * incidence * (fit.cortex_hu - fit.inside_hu)
    sound = usable_fits(fit.residual_hu) & (mass > 0.0)
    return {w.label: _median(mass[sound & (owner == k)], quality) for k, w in enumerate(walls.walls)}


def _fit(hu: npt.NDArray[np.float64], blur: npt.NDArray[np.float64], cortex_hu: float) -> FittedWalls:
    depth = np.full(len(hu), -_PLACES_MM[0])
    inside = hu[:, _PLACES_MM[0] + 1.5 >= _PLACES_MM].mean(axis=1)
    return fit_walls(
        hu,
        _PLACES_MM,
        up_to_the_lung(hu, _PLACES_MM, depth, blur),
        blur,
        prior=Prior(cortex_hu, 1.0, _BLUR_RELATIVE_SD),
        outside_hu=np.full(len(hu), _OUTSIDE_HU),
        inside_hu=inside,
        start_mm=_START_MM,
    )


def _rays(
    wall: BodyWall, clean: BoolArray
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return profiles (n, samples) about the border, directions (n, 3) and cosines against the wall's normal (n,)."""
    incidence = _incidence(wall)
    take = clean & np.isfinite(wall.radius_mm) & (incidence >= _LEAST_INCIDENCE)
    take[1::_EVERY] = False
    take[:, 1::_EVERY] = False
    rows, columns = np.nonzero(take)
    at = (wall.radius_mm[take][:, None] + _PLACES_MM - RADII_MM[0]) / (RADII_MM[1] - RADII_MM[0])
    at = np.clip(at, 0.0, len(RADII_MM) - 1.001)
    low = at.astype(int)
    profiles = wall.profiles[rows, columns].astype(np.float64)
    before, after = (np.take_along_axis(profiles, k, axis=1) for k in (low, low + 1))
    hu = before + (at - low) * (after - before)
    return hu, wall.directions[columns], incidence[take].astype(np.float64)


def _incidence(wall: BodyWall) -> Grid:
    """Return the cosine between each ray and the normal of the wall that it leaves."""
    radius = np.nan_to_num(wall.radius_mm, nan=wall.typical_mm)
    smooth = np.stack([np.convolve(np.pad(row, 2, mode="edge"), np.full(5, 0.2), "valid") for row in radius])
    step = max(float(np.linalg.norm(wall.feet_lps_mm[1] - wall.feet_lps_mm[0])), 1e-3)
    around = np.gradient(smooth, float(ANGLES[1] - ANGLES[0]), axis=1) / smooth
    along = np.gradient(smooth, step, axis=0)
    return np.asarray(1.0 / np.sqrt(1.0 + around**2 + along**2), np.float32)


def _median(masses: npt.NDArray[np.float64], quality: ScanQuality) -> Measurement:
    if masses.size < _LEAST_PROFILES:
        return Measurement.missing(UNIT, "too little of the side wall is free of masses, ribs and vessels")
    value = float(np.median(masses))
    sampling = _MEDIAN * float(masses.std()) / float(np.sqrt(masses.size / _ALIKE_PROFILES))
    return Measurement.measured(
        value,
        UNIT,
        type_a=sampling,
        type_b=float(np.hypot(_RELATIVE_SD * value, quality.calibration_sd_hu)),
        method="type A: spread along the wall; type B: form of the profile, scanner calibration",
        region="side wall, middle 70 % of the height",
        reason="the shell's thickness lies below what CT resolves",
    )
