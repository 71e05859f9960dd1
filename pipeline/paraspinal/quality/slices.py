"""Slice sensitivity: how far along z a voxel averages, read from surfaces that lean against the slice.

Within one slice a surface that moves sideways by `tilt` mm per mm of height is smeared by the slice profile: the
squared width of its edge is ``in-plane² + (tilt × profile)²``. The tilt is the way between the edges of the two
neighbouring slices, so that the profile is what is left. Skin and lung surfaces serve, on their air side as for the
in-plane response. Breathing widens the lung's; a lean surface that curves within a slice is left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.config import QualityConfig
from paraspinal.quality.resolution import FWHM_PER_SD, SD_10_TO_50, edge_candidates, first_crossing
from paraspinal.quality.sampling import sampled_slices
from paraspinal.volume import CTVolume

_REACH_MM = 12.0
_STEP_MM = 0.2
_END_MM = 3.0  # the ends of a profile must be flat, and no crossing may lie there
_DARK_MAX_HU = -700.0
_TISSUE_HU = (-150.0, 150.0)
_FLAT_HU = 200.0
_STEEP = 0.15  # a surface that leans less shows the in-plane response alone
_LEAN = (0.7, 2.5)
_LIKELY_LEAN = 0.25  # the quick look underestimates the lean of surfaces that move by more than their width
_STEEP_PER_SLICE = 25
_AGREEMENT = (40.0, 50.0, 60.0)  # percentiles of the surfaces' figures

_Array = npt.NDArray[np.float64]


def slice_fwhm_mm(volume: CTVolume, *, config: QualityConfig | None = None) -> float | None:
    """Return the full width at half maximum of the slice sensitivity profile, as of a Gaussian of the same edge.

    A boxcar of the nominal thickness reads as 0.7–0.8 of it; helical scans read near their nominal thickness.

    Parameters
    ----------
    volume : CTVolume
        Native voxels.
    config : QualityConfig, optional
        How many leaning edges are needed.

    Returns
    -------
    float or None
        Millimetres; None where too few surfaces lean, where they disagree (noise, motion), or where the in-plane
        response hides the profile.
    """
    config = config or QualityConfig()
    if volume.geometry.shape[0] < 3:
        return None
    found = [_slice_edges(volume, int(z)) for z in sampled_slices(volume, config.slice_profile_slices)]
    tilt, width = (np.concatenate([f[k] for f in found]) for k in (0, 1))
    steep, lean = tilt < _STEEP, (tilt > _LEAN[0]) & (tilt < _LEAN[1])
    if min(steep.sum(), lean.sum()) < config.slice_min_profiles:
        return None
    in_plane = float(np.median(width[steep]))
    squared = np.maximum(width[lean] ** 2 - in_plane**2, 0.0) / tilt[lean] ** 2
    low, profile, high = (float(v) for v in np.sqrt(np.percentile(squared, _AGREEMENT)))
    smear = profile * float(np.median(tilt[lean]))
    agree = high - low <= config.slice_max_spread * profile
    return profile if agree and smear > config.slice_min_smear * in_plane else None


def _slice_edges(volume: CTVolume, z: int) -> tuple[_Array, _Array]:
    """Return the lean (mm per mm) and the width (FWHM, mm) of the clean edges of one slice."""
    nothing = np.zeros(0), np.zeros(0)
    if not 0 < z < volume.geometry.shape[0] - 1:
        return nothing
    points, normals, smear = edge_candidates(volume, z, reach_mm=_REACH_MM)
    distance = volume.geometry.spacing_mm[0]
    leaning = np.flatnonzero(smear / distance > _LIKELY_LEAN)
    steep = np.flatnonzero(smear / distance <= _LIKELY_LEAN)
    steep = steep[:: max(1, steep.size // _STEEP_PER_SLICE)]
    chosen = np.concatenate([leaning, steep])
    if chosen.size == 0:
        return nothing
    t = np.arange(-_REACH_MM, _REACH_MM + _STEP_MM / 2, _STEP_MM)
    pixel = np.asarray(volume.geometry.spacing_mm[1:])
    places = points[chosen, None, :] + t[None, :, None] * normals[chosen, None, :] / pixel
    below, here, above = (_profiles(volume, z + k, places) for k in (-1, 0, 1))
    return _leans_and_widths(below, here, above, t, distance)


def _profiles(volume: CTVolume, z: int, places: _Array) -> _Array:
    image = volume.hu[z].astype(np.float32)
    return np.asarray(
        ndimage.map_coordinates(image, places.transpose(2, 0, 1), order=1, mode="nearest"), np.float64
    )


def _leans_and_widths(
    below: _Array, here: _Array, above: _Array, t: _Array, distance_mm: float
) -> tuple[_Array, _Array]:
    outside, inside = here[:, t > _REACH_MM - _END_MM], here[:, t < _END_MM - _REACH_MM]
    dark, bright = np.median(outside, axis=1), np.median(inside, axis=1)
    clean = (bright > _TISSUE_HU[0]) & (bright < _TISSUE_HU[1]) & (dark < _DARK_MAX_HU)
    for plateau in (outside, inside):
        low, high = np.percentile(plateau, (10, 90), axis=1)
        clean &= high - low < _FLAT_HU
    below, here, above, dark, bright = (a[clean] for a in (below, here, above, dark, bright))
    half = dark + 0.5 * (bright - dark)
    at = first_crossing(here, t, half)
    shoulder = first_crossing(here, t, dark + 0.1 * (bright - dark))
    low, high = first_crossing(below, t, half), first_crossing(above, t, half)
    tilt = np.abs(high - low) / (2.0 * distance_mm)
    limit = _REACH_MM - _END_MM
    # The edge must move evenly through the three slices, or the surface curves within them.
    even = np.abs(high + low - 2.0 * at) < 0.25 * np.abs(high - low) + 0.5
    usable = even & (np.abs(low) < limit) & (np.abs(high) < limit)
    return tilt[usable], ((shoulder - at) / SD_10_TO_50 * FWHM_PER_SD)[usable]
