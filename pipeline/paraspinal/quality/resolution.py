"""In-plane edge response, read from the edges that every scan has: skin against air, lung against chest wall.

Only the air side of each edge is used. The distance between the 10 % and the 50 % level of a Gaussian edge is
1.2816 SD whatever lies behind the surface, so that the 2 mm of skin before darker fat matter little.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.config import QualityConfig
from paraspinal.quality.sampling import sampled_slices
from paraspinal.volume import CTVolume

_EDGE_HU = -500.0
_REACH_MM = 5.0
_STEP_MM = 0.1
_AIR_HU = (-1100.0, -920.0)
_LUNG_HU = (-920.0, -700.0)
_TISSUE_HU = (-150.0, 150.0)
_FLAT_HU = 150.0  # a plateau whose 80 % range exceeds this is not one
_POINTS_PER_SLICE = 300
FWHM_PER_SD = 2.3548
SD_10_TO_50 = 1.2816

_Array = npt.NDArray[np.float64]


def edge_fwhm_mm(volume: CTVolume, *, config: QualityConfig | None = None) -> float | None:
    """Return the full width at half maximum of the in-plane line spread.

    Body-to-air edges come first; edges of the lung stand in where the skin is out of the field, and then the lower
    quartile is taken because breathing only widens.

    Parameters
    ----------
    volume : CTVolume
        Native voxels.
    config : QualityConfig, optional
        How much an edge may be smeared by its tilt, and how many clean profiles are needed.

    Returns
    -------
    float or None
        Millimetres; None when too few clean edges were found.
    """
    config = config or QualityConfig()
    found = [_slice_edges(volume, int(z), config) for z in sampled_slices(volume, config.sampled_slices)]
    air, sigma = (np.concatenate([f[k] for f in found]) for k in (0, 1))
    for (low, high), percentile in ((_AIR_HU, 50.0), (_LUNG_HU, 25.0)):
        chosen = sigma[(air > low) & (air <= high)]
        if chosen.size >= config.edge_min_profiles:
            return float(FWHM_PER_SD * np.percentile(chosen, percentile))
    return None


def _slice_edges(volume: CTVolume, z: int, config: QualityConfig) -> tuple[_Array, _Array]:
    """Return the dark level and the SD (mm) of every clean edge of one slice."""
    image = volume.hu[z].astype(np.float32)
    pixel = np.asarray(volume.geometry.spacing_mm[1:])
    points, normals, smear = edge_candidates(volume, z, reach_mm=_REACH_MM)
    keep = smear < config.edge_max_smear_mm
    points, normals = points[keep], normals[keep]
    if len(points) == 0:
        return np.zeros(0), np.zeros(0)
    t = np.arange(-_REACH_MM, _REACH_MM + _STEP_MM / 2, _STEP_MM)
    places = points[:, None, :] + t[None, :, None] * normals[:, None, :] / pixel
    profiles = ndimage.map_coordinates(image, places.transpose(2, 0, 1), order=3, mode="nearest")
    return _widths(profiles.astype(np.float64), t)


def edge_candidates(volume: CTVolume, z: int, *, reach_mm: float) -> tuple[_Array, _Array, _Array]:
    """Return the edges of one slice that lie farther than `reach_mm` from its border.

    Edge pixels (n, 2) and unit normals (n, 2), both [y, x], normals towards the dark side, and how far (mm) each edge
    moves within one slice.
    """
    image = volume.hu[z].astype(np.float32)
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    tissue = (smooth > _EDGE_HU).astype(np.uint8)
    border = tissue.astype(bool) & ~cv2.erode(tissue, np.ones((3, 3), np.uint8)).astype(bool)
    margin = int(np.ceil(reach_mm / min(volume.geometry.spacing_mm[1:]))) + 1
    inner = np.zeros_like(border)
    inner[margin:-margin, margin:-margin] = True
    y, x = np.nonzero(border & inner)
    step = max(1, y.size // _POINTS_PER_SLICE)
    y, x = y[::step], x[::step]
    _, dy, dx = volume.geometry.spacing_mm
    gy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)[y, x] / dy
    gx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)[y, x] / dx
    size = np.maximum(np.hypot(gy, gx), 1e-6)
    last = volume.geometry.shape[0] - 1
    above, below = min(z + 1, last), max(z - 1, 0)
    rise = volume.hu[above, y, x].astype(np.float32) - volume.hu[below, y, x].astype(np.float32)
    smear = np.abs(rise) / max(above - below, 1) / size  # how far the edge moves within one slice
    normals = -np.stack([gy / size, gx / size], axis=1)
    points = np.stack([y, x], axis=1)
    return points.astype(np.float64), normals.astype(np.float64), smear.astype(np.float64)


def _widths(profiles: _Array, t: _Array) -> tuple[_Array, _Array]:
    """Return dark level and edge SD of the profiles (n, m) whose two plateaus are flat."""
    outside, inside = profiles[:, t > 2.5], profiles[:, (t < -1.5) & (t > -3.5)]
    dark, bright = np.median(outside, axis=1), np.median(inside, axis=1)
    clean = (bright > _TISSUE_HU[0]) & (bright < _TISSUE_HU[1]) & (dark < _LUNG_HU[1])
    for plateau in (outside, inside):
        low, high = np.percentile(plateau, (10, 90), axis=1)
        clean &= high - low < _FLAT_HU
    profiles, dark, bright = profiles[clean], dark[clean], bright[clean]
    t10 = first_crossing(profiles, t, dark + 0.1 * (bright - dark))
    t50 = first_crossing(profiles, t, dark + 0.5 * (bright - dark))
    return dark, (t10 - t50) / SD_10_TO_50


def first_crossing(profiles: _Array, t: _Array, level: _Array) -> _Array:
    """Return where each profile, followed from the dark end, first reaches its level."""
    above = profiles >= level[:, None]
    k = above.shape[1] - 1 - np.argmax(above[:, ::-1], axis=1)
    k = np.minimum(k, above.shape[1] - 2)
    row = np.arange(len(profiles))
    here, there = profiles[row, k], profiles[row, k + 1]
    share = (here - level) / np.maximum(here - there, 1e-6)
    return np.asarray(t[k] + share * (t[1] - t[0]))
