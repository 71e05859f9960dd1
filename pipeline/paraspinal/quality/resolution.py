"""In-plane edge response, read from the edges that every scan has: skin against air, lung against chest wall.

Only the air side of each edge is used. The distance between the 10 % and the 50 % level of a Gaussian edge is
1.2816 SD whatever lies behind the surface, so that the 2 mm of skin before darker fat matter little. The slope of the
air side is one half of the line spread, which is symmetric: its Fourier transform is the modulation transfer, of
kernels that overshoot as well.
"""

from __future__ import annotations

from dataclasses import dataclass

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
_TAIL_MM = 3.4  # the line spread is followed so far
STRUCTURE_PERIOD_MM = 3.0
"""Period at which the modulation transfer is read: that of coarse trabeculae."""
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
    return edge_response(volume, config=config).fwhm_mm


@dataclass(frozen=True, slots=True)
class EdgeResponse:
    """What the edges of a scan tell; None where too few clean ones were found.

    ``fwhm_mm`` is the full width at half maximum of the line spread; ``transfer`` the modulation transfer at a period
    of 3 mm (`STRUCTURE_PERIOD_MM`), above 1 where the kernel enhances such structure.
    """

    fwhm_mm: float | None
    transfer: float | None


@dataclass(frozen=True, slots=True)
class _Edges:
    """Clean edges: dark level (n,), SD in mm (n,), and the dark side from the middle on, 0 to 1 (n, m)."""

    dark: _Array
    sigma_mm: _Array
    tails: _Array


def edge_response(volume: CTVolume, *, config: QualityConfig | None = None) -> EdgeResponse:
    """Return line spread and modulation transfer in the plane; see `edge_fwhm_mm`.

    Breathing widens the lung's edges and the lowest stored value cuts off what a kernel undershoots beside skin, so
    that both can only lower the transfer: the higher of the two is given.
    """
    config = config or QualityConfig()
    found = [_slice_edges(volume, int(z), config) for z in sampled_slices(volume, config.sampled_slices)]
    dark, sigma, tails = (
        np.concatenate([getattr(f, k) for f in found]) for k in ("dark", "sigma_mm", "tails")
    )
    fwhm, transfers = None, []
    for (low, high), percentile in ((_AIR_HU, 50.0), (_LUNG_HU, 25.0)):
        chosen = (dark > low) & (dark <= high)
        if np.count_nonzero(chosen) < config.edge_min_profiles:
            continue
        if fwhm is None:
            fwhm = float(FWHM_PER_SD * np.percentile(sigma[chosen], percentile))
        transfers.append(_transfer(np.median(tails[chosen], axis=0)))
    return EdgeResponse(fwhm, max(transfers, default=None))


def _transfer(tail: _Array) -> float:
    """Return the Fourier transform of a symmetric line spread, one half of which is the slope of `tail`."""
    spread = -np.diff(tail)
    place = (np.arange(len(spread)) + 0.5) * _STEP_MM
    return float((spread * np.cos(2.0 * np.pi * place / STRUCTURE_PERIOD_MM)).sum() / spread.sum())


def _slice_edges(volume: CTVolume, z: int, config: QualityConfig) -> _Edges:
    """Return the clean edges of one slice."""
    image = volume.hu[z].astype(np.float32)
    pixel = np.asarray(volume.geometry.spacing_mm[1:])
    points, normals, smear = edge_candidates(volume, z, reach_mm=_REACH_MM)
    keep = smear < config.edge_max_smear_mm
    points, normals = points[keep], normals[keep]
    if len(points) == 0:
        return _Edges(np.zeros(0), np.zeros(0), np.zeros((0, _tail_places().size)))
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


def _tail_places() -> _Array:
    return np.arange(0.0, _TAIL_MM + _STEP_MM / 2, _STEP_MM)


def _widths(profiles: _Array, t: _Array) -> _Edges:
    """Return what the profiles (n, m) show whose two plateaus are flat."""
    outside, inside = profiles[:, t > 2.5], profiles[:, (t < -1.5) & (t > -3.5)]
    dark, bright = np.median(outside, axis=1), np.median(inside, axis=1)
    clean = (bright > _TISSUE_HU[0]) & (bright < _TISSUE_HU[1]) & (dark < _LUNG_HU[1])
    for plateau in (outside, inside):
        low, high = np.percentile(plateau, (10, 90), axis=1)
        clean &= high - low < _FLAT_HU
    profiles, dark, bright = profiles[clean], dark[clean], bright[clean]
    t10 = first_crossing(profiles, t, dark + 0.1 * (bright - dark))
    t50 = first_crossing(profiles, t, dark + 0.5 * (bright - dark))
    places = _tail_places()
    tails = [np.interp(places + x, t, p) for p, x in zip(profiles, t50, strict=True)]
    level = (np.reshape(tails, (len(profiles), len(places))) - dark[:, None]) / (bright - dark)[:, None]
    return _Edges(dark, (t10 - t50) / SD_10_TO_50, level)


def first_crossing(profiles: _Array, t: _Array, level: _Array) -> _Array:
    """Return where each profile, followed from the dark end, first reaches its level."""
    above = profiles >= level[:, None]
    k = above.shape[1] - 1 - np.argmax(above[:, ::-1], axis=1)
    k = np.minimum(k, above.shape[1] - 2)
    row = np.arange(len(profiles))
    here, there = profiles[row, k], profiles[row, k + 1]
    share = (here - level) / np.maximum(here - there, 1e-6)
    return np.asarray(t[k] + share * (t[1] - t[0]))
