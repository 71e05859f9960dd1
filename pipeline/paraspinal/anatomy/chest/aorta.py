"""The descending and abdominal aorta, tracked along the straightened spine with or without contrast.

Score of a point: how round and sharp the outward fall of HU is around it at any aortic radius, how even the inside
is, and how close it lies to where the aorta runs. The best path along the spine is the centre line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.polar import closed_paths
from paraspinal.anatomy.spine.bodies import ColumnOutline
from paraspinal.anatomy.spine.canal import BestPath, best_path
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.straighten import STEP_MM, SpineFrame, sample_planes
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_STEP = 2.0
_FORWARD = np.arange(14.0, 92.0, _STEP)
_LEFT = np.arange(-60.0, 61.0, _STEP)
_RADII_MM = (8.0, 10.0, 12.0, 14.0, 16.0, 19.0)
_SLOPE_COST = (
    0.1  # of a step of 2 mm to the side per 2 mm: where crura hide its border the vessel runs straight on
)
_ANGLE = np.arange(32) * 2 * np.pi / 32
_EDGE_MM = np.arange(4.0, 30.0, 1.0)  # an aorta of 6 cm is looked for as well
_FULL_EDGE_HU = 120.0  # blood without contrast medium against fat; a stronger edge (lung) counts no more
_FAT_HU = -80.0


@dataclass(frozen=True, slots=True)
class AortaTrack:
    """Centre (mm in front, mm left) and outline in 2 mm steps of arc length from ``first_s``, caudal first.

    ``outline_mm`` is the radius [step, angle]; angle 0 points forward, 90° to the patient's left. ``side``
    is -1 where the aorta runs on the right.
    """

    first_s: float
    anterior_mm: npt.NDArray[np.float64]
    left_mm: npt.NDArray[np.float64]
    outline_mm: npt.NDArray[np.float64]
    side: float = 1.0

    @property
    def radius_mm(self) -> npt.NDArray[np.float64]:
        """Radius of the circle of equal area, per step."""
        return np.asarray(np.sqrt((self.outline_mm**2).mean(axis=1)))


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
    edge = roundness(planes, _RADII_MM)
    mean = ndimage.uniform_filter(planes, (1, 5, 5))
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(planes**2, (1, 5, 5)) - mean**2, 0))
    even = np.clip(1.0 - spread / np.maximum(40.0, 0.2 * mean), 0.0, 1.0)
    no_vessel = (mean < config.aorta_hu[0]) | (mean > config.aorta_hu[1]) | _near_column(outline, len(planes))
    score = np.asarray(edge + 0.3 * even - config.aorta_min_score, np.float32)
    path, side = _left_or_right(score, no_vessel, config=config)
    if len(path.yx) * _STEP < config.min_aorta_mm:
        return None
    rows = np.arange(path.first, path.first + len(path.yx))
    smooth = max(1.0, 6.0 / _STEP)
    centre = np.column_stack([_FORWARD[path.yx[:, 0]], _LEFT[path.yx[:, 1]]])
    centre = ndimage.gaussian_filter1d(centre, smooth, axis=0, mode="nearest")
    for _ in range(2):  # the first outline moves the centre to its middle
        middle = outline_centroid(vessel_outline(planes[rows], centre))
        centre = centre + ndimage.gaussian_filter1d(middle, smooth, axis=0, mode="nearest")
    return _carried_to_the_ends(
        AortaTrack(
            path.first * _STEP, centre[:, 0], centre[:, 1], vessel_outline(planes[rows], centre), side
        ),
        frame.length_mm,
    )


def _left_or_right(
    score: npt.NDArray[np.float32], no_vessel: BoolArray, *, config: AnatomyConfig
) -> tuple[BestPath, float]:
    """Best path on the usual side (1.0), or on the other (-1.0: right arch, mirrored body) where it is far better."""
    paths, totals = [], []
    for side in (1.0, -1.0):
        gain = score + _place_prior(side)
        gain[no_vessel] = -1.0
        path = best_path(gain, reach=1, slope_cost=_SLOPE_COST)
        rows = np.arange(path.first, path.first + len(path.yx))
        paths.append(path)
        totals.append(float(gain[rows, path.yx[:, 0], path.yx[:, 1]].sum()))
    mirrored = totals[1] > config.right_aorta_factor * totals[0]
    return (paths[1], -1.0) if mirrored else (paths[0], 1.0)


def vessel_outline(
    planes: npt.NDArray[np.float32],
    centre: npt.NDArray[np.float64],
    *,
    origin: tuple[float, float] = (float(_FORWARD[0]), float(_LEFT[0])),
) -> npt.NDArray[np.float64]:
    """Radius [step, angle] of the strongest outward fall of HU around the centre, near the vessel's usual radius.

    Parameters
    ----------
    planes : ndarray, [step, forward, left]
        Smoothed HU on pixels of 2 mm, the first at `origin` (mm).
    centre : ndarray, [step, 2]
        Forward and left position (mm) of the vessel.
    """
    steps = np.arange(len(planes))[:, None, None]
    forward = centre[:, 0, None, None] + _EDGE_MM * np.cos(_ANGLE)[:, None]
    left = centre[:, 1, None, None] + _EDGE_MM * np.sin(_ANGLE)[:, None]
    at = [np.broadcast_to(steps, forward.shape), (forward - origin[0]) / _STEP, (left - origin[1]) / _STEP]
    value = ndimage.map_coordinates(planes, at, order=1, mode="nearest")
    fall = np.zeros_like(value)
    fall[..., 2:-2] = value[..., :-4] - value[..., 4:]
    blood = ndimage.median_filter(value[..., 0].mean(axis=1), min(15, len(planes)), mode="nearest")
    full = np.maximum(_FULL_EDGE_HU, blood - _FAT_HU)[:, None, None]
    gain = np.clip(fall / full, -0.5, 1.0)
    gain = ndimage.gaussian_filter1d(gain, 1.0, axis=0)
    # The usual radius: where most angles see an edge, steadied along the vessel.
    ring = ndimage.gaussian_filter1d(np.clip(gain, -0.3, 1.0).mean(axis=1), 2.0, axis=0)
    usual = ndimage.median_filter(_EDGE_MM[np.argmax(ring, axis=1)], min(15, len(planes)), mode="nearest")
    pull = ((_EDGE_MM - usual[:, None]) / (0.3 * usual[:, None])) ** 2
    radius = _EDGE_MM[closed_paths((gain - 0.35 * pull[:, None]).astype(np.float32))]
    wrapped = np.pad(radius, ((0, 0), (1, 1)), mode="wrap")
    return np.asarray(ndimage.median_filter(wrapped, (5, 3), mode="nearest")[:, 1:-1], float)


def outline_centroid(outline: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Middle (forward, left) of the area inside each outline, from its centre."""
    cubes = outline**3
    total = 1.5 * (outline**2).sum(axis=1)
    forward, left = (cubes * np.cos(_ANGLE)).sum(axis=1), (cubes * np.sin(_ANGLE)).sum(axis=1)
    return np.asarray(np.column_stack([forward, left]) / total[:, None])


def _carried_to_the_ends(track: AortaTrack, length_mm: float) -> AortaTrack:
    """Carry a track that meets an end of the traced canal on by 30 mm: the slices there lean away from the planes."""
    extra = round(30.0 / _STEP)
    below = extra if track.first_s < 3 * _STEP else 0
    last = track.first_s + (len(track.anterior_mm) - 1) * _STEP
    above = extra if last > length_mm - 3 * _STEP else 0

    def longer(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.pad(values, [(below, above)] + [(0, 0)] * (values.ndim - 1), mode="edge")

    return AortaTrack(
        track.first_s - below * _STEP,
        longer(track.anterior_mm),
        longer(track.left_mm),
        longer(track.outline_mm),
        track.side,
    )


def roundness(planes: npt.NDArray[np.float32], radii_mm: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Best mean outward fall of HU over a circle of one of the radii (0–1), per voxel of [step, forward, left]."""
    best = np.full(planes.shape, -1.0, np.float32)
    margin = int(np.ceil((max(radii_mm) + 3.0) / _STEP))
    padded = np.pad(planes, ((0, 0), (margin, margin), (margin, margin)), mode="edge")

    def moved(offset: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Return the nearest voxel at an offset in the plane, edges repeated."""
        a, b = (margin + round(float(v)) for v in offset)
        return padded[:, a : a + planes.shape[1], b : b + planes.shape[2]]

    total, fall = np.empty_like(planes), np.empty_like(planes)
    for r in radii_mm:
        total[:] = 0.0
        for angle in np.arange(16) * np.pi / 8:
            direction = np.array([np.cos(angle), np.sin(angle)]) / _STEP
            np.subtract(moved((r - 3.0) * direction), moved((r + 3.0) * direction), out=fall)
            np.clip(fall, -50.0, 100.0, out=fall)
            total += fall
        np.maximum(best, total / np.float32(1600.0), out=best)
    return best


def _place_prior(side: float) -> npt.NDArray[np.float32]:
    """Preference (≤ 0) for where the aorta runs: in front of the column, to its left (engineering default)."""
    a = (_FORWARD[:, None] - 46.0) / 30.0
    lateral = (side * _LEFT[None, :] - 16.0) / 28.0
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
    """Return the tracked vessel in `where`'s box: what lies inside its outline, without lung and fat at the rim."""
    index = (where.s - track.first_s) / _STEP
    row = np.clip(np.rint(index), 0, len(track.anterior_mm) - 1).astype(int)
    forward, left = where.anterior - track.anterior_mm[row], where.left - track.left_mm[row]
    near = np.hypot(forward, left)
    out = np.zeros(near.shape, bool)
    inside = (index > -0.5) & (index < len(track.anterior_mm) - 0.5) & (near < _EDGE_MM[-1])
    angle = np.mod(np.arctan2(left[inside], forward[inside]), 2 * np.pi) * len(_ANGLE) / (2 * np.pi)
    closed_outline = np.pad(track.outline_mm, ((0, 0), (0, 1)), mode="wrap")
    limit = ndimage.map_coordinates(closed_outline, [index[inside], angle], order=1, mode="nearest")
    out[inside] = near[inside] <= limit
    return out & (hu[where.box] > config.aorta_hu[0] - 60.0)
