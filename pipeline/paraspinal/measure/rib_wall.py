"""The cortex around a rib's cross-sections: profiles across its wall, and which of them can be fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.measure.cortex_model import FittedWalls, Prior, fit_walls
from paraspinal.measure.rib_section import ANGLES, Points, Rays, RibSections, sampled
from paraspinal.quality.types import ScanQuality
from paraspinal.volume import CTVolume

Flags = npt.NDArray[np.bool_]

PLACES_MM = np.arange(-5.0, 3.01, 0.25)
"""Along a profile: 0 half way between cortex and soft tissue, positive outside."""
_FWHM_PER_SD = 2.3548
_LUNG_HU = -150.0
_LUNG_KEPT_SD = 1.2  # the lung's border reaches so many SDs of the blur into the layer before it
_DEEPEST_MM = 5.0
_LEAST_CURVE_MM = 3.0  # a wall that bends more is not flat over the scan's blur
_LEAST_INCIDENCE = 0.6  # cosine between ray and normal
_MOST_BLUR = 1.3  # along a profile that crosses slices, against that in the plane
_SMOOTHINGS = 3
_OUTSIDE_HU = 20.0  # between fat and muscle
_MOST_MISFIT_SDS = 4.0
_EVERY = 2  # neighbouring rays read the same wall


@dataclass(frozen=True, slots=True)
class RibWalls:
    """Fitted profiles across the walls of ribs: which rib and section each belongs to, and the fit."""

    rib: npt.NDArray[np.intp]
    section: npt.NDArray[np.intp]
    hu: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    fitted: FittedWalls

    def mean_profile(self) -> tuple[Rays, Rays, Rays]:
        """Return places (mm), and the mean HU there of the profiles and of their models, where most of them reach."""
        own = self.usable()
        weights = self.weights[own]
        count = weights.sum(axis=0)
        shown = count >= 0.5 * len(weights)
        model = self.fitted.model(PLACES_MM)[own]
        means = [(weights * hu).sum(axis=0)[shown] / count[shown] for hu in (self.hu[own], model)]
        return PLACES_MM[shown], means[0], means[1]

    def usable(self) -> Flags:
        """Return the profiles that their model explains: none of another bone, a callus or a calcified joint."""
        return usable_fits(self.fitted.residual_hu)


def usable_fits(residual_hu: Rays) -> Flags:
    """Return which fits leave no more than four times the usual deviation."""
    known = residual_hu[np.isfinite(residual_hu)]
    typical = float(np.median(known)) if known.size else 0.0
    return np.asarray(residual_hu <= _MOST_MISFIT_SDS * max(typical, 1.0))


def blur_along(volume: CTVolume, quality: ScanQuality, directions: Points) -> Rays:
    """Return the SD (mm) of the scan's response along unit directions (..., 3), interpolation included.

    In the plane it is that of the scan's edge, across slices that of the slice profile. Linear interpolation between
    samples h apart adds h²/6 on average, the variance of a triangle.
    """
    dz, dy, dx = volume.geometry.spacing_mm
    thick = max(quality.slice_fwhm_mm or 0.0, volume.effective_slice_mm)
    plane = ((quality.edge_fwhm_mm or 0.0) / _FWHM_PER_SD) ** 2 + dx * dy / 6.0
    across = (thick / _FWHM_PER_SD) ** 2 + dz**2 / 6.0
    share = directions[..., 2] ** 2
    return np.asarray(np.sqrt(plane * (1.0 - share) + across * share))


def fit_ribs(
    volume: CTVolume, quality: ScanQuality, ribs: Sequence[RibSections], prior: Prior
) -> RibWalls | None:
    """Fit the cortex on the flat stretches of all ribs at once; None where there is none.

    The density of the cortex is one for all of them.
    """
    read = [_profiles(volume, quality, sections) for sections in ribs]
    rows = [flat for *_, flat in read]
    if not any(flat.any() for flat in rows):
        return None
    hu, depth, blur = (np.concatenate([r[k][r[3]] for r in read]) for k in range(3))
    owner = np.concatenate([np.full(np.count_nonzero(flat), k) for k, flat in enumerate(rows)])
    section = np.concatenate([np.nonzero(flat)[0] for flat in rows])
    weights = up_to_the_lung(hu, PLACES_MM, depth, blur)
    innermost = (weights > 0) & (1.0 - depth[:, None] >= PLACES_MM)
    inside = (hu * innermost).sum(axis=1) / np.maximum(innermost.sum(axis=1), 1)
    fitted = fit_walls(
        hu,
        PLACES_MM,
        weights,
        blur,
        prior=prior,
        outside_hu=np.full(len(hu), _OUTSIDE_HU),
        inside_hu=inside,
    )
    return RibWalls(owner, section, hu, weights, fitted)


def _profiles(
    volume: CTVolume, quality: ScanQuality, sections: RibSections
) -> tuple[npt.NDArray[np.float64], Rays, Rays, Flags]:
    """Return, by section and ray: HU along the wall's normal, how deep to look, the blur, and whether it is flat."""
    radii = sections.radii_mm
    x, y = radii * np.cos(ANGLES), radii * np.sin(ANGLES)
    turns = _turned(x) + 1j * _turned(y)
    step = np.abs(turns)
    normal = -1j * turns / np.maximum(step, 1e-6)
    bend = np.angle(np.roll(normal, -1, axis=1) / np.roll(normal, 1, axis=1))
    curve = step / np.maximum(np.abs(bend), 1e-3)  # from one neighbour to the other, by the turn on the way
    inward = normal.real * x + normal.imag * y
    depth = np.minimum(inward, _DEEPEST_MM)
    axes = normal.real[..., None] * sections.planes[:, None, 0] + (
        normal.imag[..., None] * sections.planes[:, None, 1]
    )
    blur = blur_along(volume, quality, axes)
    flat = (curve >= _LEAST_CURVE_MM) & (inward >= _LEAST_INCIDENCE * radii)
    flat &= blur <= _MOST_BLUR * blur_along(volume, quality, np.array([1.0, 0.0, 0.0]))
    flat[:, 1::_EVERY] = False
    border = sections.centres_mm[:, None] + radii[..., None] * sections.directions()
    hu = sampled(volume, border[..., None, :] + PLACES_MM[:, None] * axes[..., None, :]).astype(float)
    flat &= np.isfinite(hu).all(axis=-1)
    return hu, depth, blur, flat


def _turned(values: Rays) -> Rays:
    """Return the difference of both neighbours of smoothed values around a ring."""
    for _ in range(_SMOOTHINGS):
        values = 0.25 * (np.roll(values, 1, axis=1) + 2.0 * values + np.roll(values, -1, axis=1))
    return np.asarray(np.roll(values, -1, axis=1) - np.roll(values, 1, axis=1))


def up_to_the_lung(
    hu: npt.NDArray[np.float64], places_mm: Rays, depth_mm: Rays, blur_mm: Rays
) -> npt.NDArray[np.float64]:
    """Return 1 from a depth outwards, up to where the lung begins to show; 0 elsewhere, (n, samples)."""
    lung = (hu < _LUNG_HU) & (places_mm > 0.0)
    begins = np.where(lung.any(axis=1), places_mm[np.argmax(lung, axis=1)], np.inf)
    kept = (-depth_mm[:, None] <= places_mm) & ((begins - _LUNG_KEPT_SD * blur_mm)[:, None] > places_mm)
    return kept.astype(float)
