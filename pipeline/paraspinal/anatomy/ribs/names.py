"""Ribs with names: number, side, head, and their voxels in a map of rib numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from paraspinal.anatomy.morphology import fill_slices
from paraspinal.anatomy.ribs.instances import RibTrack
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.discs import DiscBorders
from paraspinal.anatomy.spine.levels import LABELS, Naming
from paraspinal.anatomy.spine.straighten import SpineFrame
from paraspinal.anatomy.types import RIB_NUMBERS, UNCERTAIN_RIB_NUMBERS, Rib
from paraspinal.config import AnatomyConfig
from paraspinal.result import Side
from paraspinal.volume import BoolArray, Geometry

_HEAD_SIDE_MM, _HEAD_FRONT_MM = 17.0, 5.0
"""Where a rib's head meets the vertebra, beside and before the canal's middle (costovertebral joint)."""
_HEAD_HEIGHT = 0.8  # between the lower (0) and the upper disc (1) of its vertebra
_NECK_RADIUS_MM = 6.5  # half the height of a rib's neck, and its cortex
_SOFT_HU, _CORTEX_HU = 50.0, 700.0  # muscle; denser cortex than this is no nearer
_COUNT_ON = 0.99  # probability that a rib without its head is the next one
_TWELFTH_MIN_MM = 12.0  # shorter bone beyond the processes is a transverse process


def name_ribs(
    tracks: Sequence[RibTrack],
    posterior: Sequence[Naming],
    hu: npt.NDArray[np.float32],
    bone: BoolArray,
    column: BoolArray,
    borders: DiscBorders,
    frame: SpineFrame,
    where: SpineCoordinates,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> tuple[tuple[Rib, ...], npt.NDArray[np.uint16]]:
    """Name the ribs after the vertebrae that bear them, and paint them.

    Returns
    -------
    tuple of Rib
        Left ribs, then right ones, cranial first.
    ndarray of uint16, [z, y, x]
        The number of each voxel's rib; 0 elsewhere.
    """
    best = max(posterior, key=lambda naming: naming.probability)
    labels = np.zeros(grid.shape, np.uint16)
    ribs = []
    order = sorted(tracks, key=lambda t: (t.side, -(t.place if t.place is not None else -99)))
    for track in order:
        label = _label(track, best, config=config)
        if label is None or track.place is None:
            continue
        confidence = best.probability if track.headed else best.probability * _followed(track, tracks)
        number = _number(label, track.side, confidence, track.place, config=config)
        voxels, head = _with_neck(track, bone, column, borders, frame, grid)
        voxels = _sharpened(voxels, track.path, hu, grid, config=config)
        free = labels[tuple(voxels.T)] == 0
        labels[tuple(voxels[free].T)] = number
        ribs.append(
            Rib(
                label=RIB_NUMBERS.get(number) or UNCERTAIN_RIB_NUMBERS[number],
                side=track.side,
                bearer=label,
                number=number,
                confidence=float(confidence),
                head_lps_mm=None if head is None else _lps(head, grid),
                length_mm=track.length_mm,
                truncated=_truncated(track, grid),
            )
        )
    return tuple(ribs), labels


def _label(track: RibTrack, naming: Naming, *, config: AnatomyConfig) -> str | None:
    """Name of the vertebra that bears the track; None for what is no rib."""
    if track.place is None or not 0 <= naming.first + track.place < len(LABELS):
        return None
    label = LABELS[naming.first + track.place]
    if label in ("L1", "C7"):  # a lumbar or cervical rib only where that reading of the whole spine has one
        return label if track.reach_mm >= config.rib_sure_reach_mm else None
    if not label.startswith("T"):
        return None
    return label if not track.headed or track.length_mm >= _TWELFTH_MIN_MM or track.cut else None


def _followed(track: RibTrack, tracks: Sequence[RibTrack]) -> float:
    """Confidence that a rib without its head was counted right: each one before it may have been missed."""
    headed = [t.place for t in tracks if t.side == track.side and t.headed and t.place is not None]
    steps = min((abs(p - track.place) for p in headed if track.place is not None), default=4)
    return float(_COUNT_ON**steps)


def _number(label: str, side: Side, confidence: float, place: int, *, config: AnatomyConfig) -> int:
    if label.startswith("T") and confidence >= config.min_level_confidence:
        return (91 if side == "left" else 103) + int(label[1:])
    return min(UNCERTAIN_RIB_NUMBERS) + (0 if side == "left" else 12) + int(np.clip(place, 0, 11))


def _with_neck(
    track: RibTrack,
    bone: BoolArray,
    column: BoolArray,
    borders: DiscBorders,
    frame: SpineFrame,
    grid: Geometry,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64] | None]:
    """Add the neck: bone along the line from the shaft to the joint, without the transverse process behind it."""
    spacing = np.asarray(grid.spacing_mm)
    count = len(borders.s_mm) - 1
    if not track.headed or track.place is None or not 0 <= track.place < count:
        return track.voxels, None
    low, high = borders.s_mm[track.place], borders.s_mm[track.place + 1]
    s = float(np.clip(low + _HEAD_HEIGHT * (high - low), 0.0, frame.length_mm))
    sign = 1.0 if track.side == "left" else -1.0
    across = frame.left[int(np.clip(round(s), 0, len(frame.left) - 1))]
    joint = frame.position(s, _HEAD_FRONT_MM)[0] + sign * _HEAD_SIDE_MM * across
    shaft = track.path[0] * spacing
    corner = [
        np.floor((np.minimum(joint, shaft) - _NECK_RADIUS_MM) / spacing),
        np.ceil((np.maximum(joint, shaft) + _NECK_RADIUS_MM) / spacing),
    ]
    low_corner = np.maximum(corner[0].astype(int), 0)
    high_corner = np.minimum(corner[1].astype(int) + 1, grid.shape)
    box = tuple(slice(a, b) for a, b in zip(low_corner, high_corner, strict=True))
    found = np.argwhere(bone[box] & ~column[box]) + low_corner
    found = found[_beside_line(found * spacing, joint, shaft) <= _NECK_RADIUS_MM]
    lateral = np.abs((track.voxels * spacing - joint) @ across)
    medial = lateral < abs(float((shaft - joint) @ across)) - 2.0
    near = _beside_line(track.voxels * spacing, joint, shaft) <= _NECK_RADIUS_MM
    voxels = np.unique(np.vstack([track.voxels[~medial | near], found]), axis=0)
    inside = (joint >= 0).all() and (joint / spacing < np.asarray(grid.shape)).all()
    return voxels, joint if inside else None


def _sharpened(
    voxels: npt.NDArray[np.int64],
    path: npt.NDArray[np.float64],
    hu: npt.NDArray[np.float32],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> npt.NDArray[np.int64]:
    """Keep what is bone against the rib's own cortex nearby, and the marrow within.

    Partial volume makes a dense rib look thicker than a thin one at any fixed threshold; its border lies a fixed
    share of the way from soft tissue to its cortex.
    """
    spacing = np.asarray(grid.spacing_mm)
    _, step = cKDTree(path * spacing).query(voxels * spacing)
    value = hu[tuple(voxels.T)]
    peak = np.full(len(path), np.nan)
    for k in np.unique(step):
        near = value[np.abs(step - k) <= 1]
        peak[k] = np.percentile(near, 90)
    floor = _SOFT_HU + config.rib_border_share * (np.minimum(peak[step], _CORTEX_HU) - _SOFT_HU)
    low = voxels.min(axis=0)
    mask = np.zeros(voxels.max(axis=0) - low + 1, bool)
    mask[tuple((voxels[value > floor] - low).T)] = True
    filled = fill_slices(mask)
    return np.asarray(np.argwhere(filled) + low, np.int64)


def _beside_line(
    points: npt.NDArray[np.float64], start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Distance of points to the segment from `start` to `end`."""
    way = end - start
    along = np.clip((points - start) @ way / max(float(way @ way), 1e-9), 0.0, 1.0)
    return np.asarray(np.linalg.norm(points - start - along[:, None] * way, axis=1))


def _lps(point_mm: npt.NDArray[np.float64], grid: Geometry) -> tuple[float, float, float]:
    x, y, z = grid.to_lps(point_mm / np.asarray(grid.spacing_mm))
    return (float(x), float(y), float(z))


def _truncated(track: RibTrack, grid: Geometry) -> tuple[str, ...]:
    """Sides on which the scan cuts a rib."""
    if not track.cut:
        return ()
    sides = {
        "inferior": track.voxels[:, 0].min() <= 1,
        "superior": not track.headed or track.voxels[:, 0].max() >= grid.shape[0] - 2,
        track.side: track.voxels[:, 2].min() <= 1 or track.voxels[:, 2].max() >= grid.shape[2] - 2,
        "anterior": track.voxels[:, 1].min() <= 1,
        "posterior": track.voxels[:, 1].max() >= grid.shape[1] - 2,
    }
    named = tuple(side for side, hit in sides.items() if hit)
    return named or (track.side,)


def rib_label_names() -> Mapping[int, str]:
    """Return the names of all rib numbers."""
    return {**RIB_NUMBERS, **UNCERTAIN_RIB_NUMBERS}
