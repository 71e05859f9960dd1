"""The bone under the floor of a hollow: denser than the same bone elsewhere where a slow process pressed on it."""

from __future__ import annotations

import numpy as np

from paraspinal.measure.erosion import CleanWalls, Defect, Judged, facing_walls
from paraspinal.measure.wall import BodyWall, Grid
from paraspinal.measure.wall_border import RADII_MM
from paraspinal.result import Measurement
from paraspinal.volume import BoolArray

KEY = "sclerotic_rim_hu"
_UNIT = "[hnsf'U]"
_DEPTH_MM = (1.0, 4.0)  # under the floor
_LEAST_RAYS = 12
_ALIKE_RAYS = 6.0  # rays beside each other tell of the same bone


def measure_sclerotic_rim(judged: Judged, walls: CleanWalls, *, outside_hu: float) -> Measurement:
    """Return ``sclerotic_rim_hu``: how far the bone under the deepest hollow stands above that at its own depth.

    Read 1 to 4 mm under the floor and, on rays of the same body that face no mass, at the same distances from its
    axis. A floor that keeps its cortex blurs into that stretch; the limit holds what clean rays differ by.
    """
    if not judged.defects:
        return Measurement.missing(_UNIT, "no hollow was found, under which a rim could lie")
    worst = max(judged.defects, key=lambda d: d.depth_mm)
    wall = next(w for w in walls.walls if w.label == worst.label)
    floor = _floor(worst, walls, outside_hu)
    clean = walls.clean[wall.label] & ~worst.rays
    if floor is None or np.count_nonzero(clean) < _LEAST_RAYS:
        return Measurement.missing(_UNIT, f"too little of {wall.label} faces no mass, or no floor was read")
    under = _under(wall, floor, worst.rays)
    usual = _usual(wall, float(np.nanmedian(floor[worst.rays])), clean)
    if under.size == 0 or usual.size < _LEAST_RAYS:
        return Measurement.missing(_UNIT, f"the floor in {wall.label} lies too near to the body's axis")
    spread = float(np.hypot(*(v.std() / np.sqrt(max(v.size / _ALIKE_RAYS, 1.0)) for v in (under, usual))))
    rim, limit = float(under.mean() - usual.mean()), 2.0 * spread
    if rim <= limit:
        return Measurement.below(
            _UNIT, f"no denser than the same bone elsewhere in {wall.label}", limit=limit
        )
    return Measurement.measured(
        rim,
        _UNIT,
        type_a=spread,
        method="type A: spread over independent rays under the floor and elsewhere",
        detection_limit=limit,
        region=wall.label,
        reason="its floor keeps a cortex, whose blur is part of it" if worst.cortex_kept else None,
    )


def _floor(defect: Defect, walls: CleanWalls, outside_hu: float) -> Grid | None:
    for facing in facing_walls(walls, {defect.label: defect.rays}, outside_hu=outside_hu):
        return facing.border_mm if np.isfinite(facing.border_mm[defect.rays]).any() else None
    return None


def _under(wall: BodyWall, floor_mm: Grid, rays: BoolArray) -> Grid:
    """Return the mean HU of each ray between 1 and 4 mm under a floor."""
    below = floor_mm[rays][:, None] - RADII_MM[None]
    return _means(wall.profiles[rays], (below >= _DEPTH_MM[0]) & (below <= _DEPTH_MM[1]))


def _usual(wall: BodyWall, floor_mm: float, clean: BoolArray) -> Grid:
    """Return the mean HU of clean rays at the same distances from the axis, where their own wall is not near."""
    below = floor_mm - RADII_MM
    there = (below >= _DEPTH_MM[0]) & (below <= _DEPTH_MM[1])
    own = wall.radius_mm[clean][:, None] - RADII_MM[None]
    return _means(wall.profiles[clean], there[None] & (own >= _DEPTH_MM[0]))


def _means(profiles: Grid, where: BoolArray) -> Grid:
    count = where.sum(axis=-1)
    total = np.where(where, profiles, 0.0).sum(axis=-1)
    return np.asarray(total[count > 0] / count[count > 0], np.float32)
