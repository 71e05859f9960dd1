"""Two structures of different grids on the finer one, where both were looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paraspinal.anatomy.given.grid import common_box, nearest, parallel
from paraspinal.anatomy.given.types import StructureMask, StructureSet
from paraspinal.volume import BoolArray, Geometry


@dataclass(frozen=True, slots=True)
class Pair:
    """Two structures on one grid; ``field`` are the voxels where both were looked at (None: all of the box)."""

    grid: Geometry
    a: BoolArray
    b: BoolArray
    field: BoolArray | None
    at_end: tuple[tuple[bool, bool], ...]


def on_one_grid(one: StructureMask, other: StructureMask, a: StructureSet, b: StructureSet) -> Pair | None:
    """Bring both onto the finer grid, in a box around them, less what lies outside a bounded grid of either."""
    finer_is_one = one.grid.voxel_ml <= other.grid.voxel_ml * (1.0 + 1e-6)
    base = one.grid if finer_is_one else other.grid
    base_bounded, rest_bounded = (a.bounded, b.bounded) if finer_is_one else (b.bounded, a.bounded)
    rest = other.grid if finer_is_one else one.grid
    if not base_bounded:
        base = _around(base, [one, other])
    box = common_box([one, other], base)
    field = None
    if box is not None and rest_bounded:
        if parallel(box, rest):
            box = _within(box, rest)
        else:
            field = _inside(rest, box)
    if box is None:
        return None
    masks = [nearest(m, box) for m in (one, other)]
    if field is not None:
        masks = [m & field for m in masks]
    limits = [g for g, bounded in ((base, base_bounded), (rest, rest_bounded)) if bounded]
    return Pair(box, masks[0], masks[1], field, _ends(box, limits))


def _around(grid: Geometry, masks: list[StructureMask]) -> Geometry:
    """Grow a grid that ends where its mask does, so that it holds both masks."""
    low, high = np.zeros(3), np.asarray(grid.shape, float)
    for mask in masks:
        corners = np.array(list(np.ndindex(2, 2, 2))) * np.asarray(mask.geometry.shape)
        index = grid.to_index(mask.geometry.to_lps(corners))
        low, high = np.minimum(low, index.min(axis=0)), np.maximum(high, index.max(axis=0))
    z, y, x = (int(v) for v in np.floor(low) - 3)
    sz, sy, sx = (int(v) for v in np.ceil(high) - np.floor(low) + 6)
    return grid.crop((z, y, x), (sz, sy, sx))


def _within(box: Geometry, limit: Geometry) -> Geometry | None:
    """Crop a box to the voxels whose middle lies inside a parallel grid."""
    start, stop = [], []
    first = limit.to_index(box.to_lps((0, 0, 0)))
    for k in range(3):
        index = first[k] + np.arange(box.shape[k]) * box.spacing_mm[k] / limit.spacing_mm[k]
        inside = np.flatnonzero((index >= -0.5) & (index < limit.shape[k] - 0.5))
        if inside.size == 0:
            return None
        start.append(int(inside[0]))
        stop.append(int(inside[-1]) + 1)
    size = [b - a for a, b in zip(start, stop, strict=True)]
    return box.crop((start[0], start[1], start[2]), (size[0], size[1], size[2]))


def _inside(limit: Geometry, box: Geometry) -> BoolArray:
    """Voxels of `box` that lie inside a grid of another direction."""
    out = np.ones(box.shape, bool)
    plane = np.indices(box.shape[1:]).reshape(2, -1).T
    for z in range(box.shape[0]):
        index = limit.to_index(box.to_lps(np.column_stack([np.full(len(plane), z), plane])))
        held = ((index >= -0.5) & (index < np.asarray(limit.shape) - 0.5)).all(axis=1)
        out[z] = held.reshape(box.shape[1:])
    return out


def _ends(box: Geometry, limits: list[Geometry]) -> tuple[tuple[bool, bool], ...]:
    """Tell for each axis whether the box's low and high end are those of a bounded grid."""
    out = []
    for k in range(3):
        low = high = False
        for grid in limits:
            if not parallel(box, grid):
                continue
            corner = grid.to_index(box.to_lps((0, 0, 0)))[k]
            last = corner + (box.shape[k] - 1) * box.spacing_mm[k] / grid.spacing_mm[k]
            step = box.spacing_mm[k] / grid.spacing_mm[k]
            low |= corner < step - 0.5 + 1e-3
            high |= last > grid.shape[k] - 0.5 - step - 1e-3
        out.append((bool(low), bool(high)))
    return tuple(out)
