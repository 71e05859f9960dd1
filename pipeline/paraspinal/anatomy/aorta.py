"""The descending and abdominal aorta, tracked along the straightened spine with or without contrast.

Score of a point: how round and sharp the outward fall of HU is around it at any aortic radius, how even the inside
is, and how close it lies to where the aorta runs. The best path along the spine is the centre line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.bodies import ColumnOutline
from paraspinal.anatomy.canal import best_path
from paraspinal.anatomy.coordinates import SpineCoordinates
from paraspinal.anatomy.straighten import STEP_MM, SpineFrame, sample_planes
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_STEP = 2.0
_FORWARD = np.arange(14.0, 92.0, _STEP)
_LEFT = np.arange(-40.0, 62.0, _STEP)
_RADII_MM = (8.0, 10.0, 12.0, 14.0, 16.0, 19.0)


@dataclass(frozen=True, slots=True)
class AortaTrack:
    """Centre (mm in front, mm left), radius and score in 2 mm steps of arc length from ``first_s``."""

    first_s: float
    anterior_mm: npt.NDArray[np.float64]
    left_mm: npt.NDArray[np.float64]
    radius_mm: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]


def track_aorta(
    hu: npt.NDArray[np.float32],
    frame: SpineFrame,
    outline: ColumnOutline,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> AortaTrack | None:
    """Track the aorta beside the spine; None where nothing round and even runs there for ``min_aorta_mm``."""
    planes = sample_planes(hu, frame, grid, anterior_mm=_FORWARD, left_mm=_LEFT)[:: int(_STEP / STEP_MM)]
    planes = ndimage.gaussian_filter(np.clip(planes, -150, 600), (1.0, 0.5, 0.5))
    edge, radius = _roundness(planes)
    mean = ndimage.uniform_filter(planes, (1, 5, 5))
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(planes**2, (1, 5, 5)) - mean**2, 0))
    even = np.clip(1.0 - spread / np.maximum(40.0, 0.2 * mean), 0.0, 1.0)
    gain = edge + 0.3 * even + _place_prior() - config.aorta_min_score
    gain[(mean < config.aorta_hu[0]) | (mean > config.aorta_hu[1])] = -1.0
    gain[_near_column(outline, len(planes))] = -1.0
    path = best_path(gain.astype(np.float32), reach=1, slope_cost=0.05)
    if len(path.yx) * _STEP < config.min_aorta_mm:
        return None
    rows = np.arange(path.first, path.first + len(path.yx))
    a, lateral = path.yx[:, 0], path.yx[:, 1]
    smooth = max(1.0, 6.0 / _STEP)
    return AortaTrack(
        path.first * _STEP,
        ndimage.gaussian_filter1d(_FORWARD[a], smooth, mode="nearest"),
        ndimage.gaussian_filter1d(_LEFT[lateral], smooth, mode="nearest"),
        ndimage.median_filter(radius[rows, a, lateral].astype(float), 9, mode="nearest"),
        gain[rows, a, lateral].astype(float),
    )


def _roundness(planes: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Best mean outward fall of HU over a circle (0–1) and its radius, per voxel of [s, anterior, left]."""
    best = np.full(planes.shape, -1.0, np.float32)
    radius = np.zeros(planes.shape, np.float32)
    for r in _RADII_MM:
        total = np.zeros(planes.shape, np.float32)
        for angle in np.arange(16) * np.pi / 8:
            direction = np.array([np.cos(angle), np.sin(angle)])
            inner = _moved(planes, (r - 3.0) / _STEP * direction)
            outer = _moved(planes, (r + 3.0) / _STEP * direction)
            total += np.clip((inner - outer) / 100.0, -0.5, 1.0)
        total /= 16.0
        better = total > best
        best[better], radius[better] = total[better], r
    return best, radius


def _moved(planes: npt.NDArray[np.float32], offset: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Value of [s, a + offset₀, l + offset₁] (nearest voxel, edges repeated)."""
    da, dl = (round(float(v)) for v in offset)
    a = np.clip(np.arange(planes.shape[1]) + da, 0, planes.shape[1] - 1)
    lateral = np.clip(np.arange(planes.shape[2]) + dl, 0, planes.shape[2] - 1)
    return planes[:, a][:, :, lateral]


def _place_prior() -> npt.NDArray[np.float32]:
    """Preference (≤ 0) for where the aorta runs: in front of the column, to its left (engineering default)."""
    a = (_FORWARD[:, None] - 46.0) / 30.0
    lateral = (_LEFT[None, :] - 16.0) / 28.0
    return np.asarray(-0.25 * (a**2 + lateral**2), np.float32)[None]


def _near_column(outline: ColumnOutline, planes: int) -> BoolArray:
    forward = _FORWARD[:, None] - outline.centre_mm
    radius = np.hypot(forward, _LEFT[None, :])
    angle = np.mod(np.arctan2(np.broadcast_to(_LEFT[None, :], radius.shape), forward), 2 * np.pi)
    column = (
        np.rint(angle / (2 * np.pi) * outline.radius_mm.shape[1]).astype(int) % outline.radius_mm.shape[1]
    )
    rows = np.minimum(np.arange(planes) * int(_STEP / STEP_MM), len(outline.radius_mm) - 1)
    return np.asarray(radius[None] < outline.radius_mm[rows][:, column] + 6.0)


def aorta_mask(
    track: AortaTrack, hu: npt.NDArray[np.float32], where: SpineCoordinates, *, config: AnatomyConfig
) -> BoolArray:
    """Return the tracked vessel in `where`'s box: the disc of its radius, without lung and fat at the rim."""
    index = (where.s - track.first_s) / _STEP
    row = np.clip(np.rint(index), 0, len(track.radius_mm) - 1).astype(int)
    distance = np.hypot(where.anterior - track.anterior_mm[row], where.left - track.left_mm[row])
    inside = (index > -0.5) & (index < len(track.radius_mm) - 0.5)
    soft = hu[where.box] > config.aorta_hu[0] - 20.0
    return np.asarray(inside & soft & (distance <= track.radius_mm[row] + 0.5))
