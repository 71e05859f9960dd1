"""Hollows of a wall: how deep its border lies under the one that is expected, and over how large an area."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from paraspinal.measure.wall import ANGLES, BodyWall, Grid
from paraspinal.volume import BoolArray

_FINER = 2
FLOOR_MM2 = 5.0
"""A depth counts that so much of a hollow's floor reaches: no single ray tells it."""


def depth_under(wall: BodyWall, expected_mm: Grid, border_mm: Grid, rays: BoolArray) -> Grid:
    """Return how deep (mm) a wall's border lies under the one that is expected, NaN where it is not told.

    Depth is the way to the nearest point of the expected surface: along a ray that meets it obliquely the way is
    longer. A border outside that surface has a negative depth.
    """
    inwards = expected_mm - border_mm
    told = rays & np.isfinite(inwards)
    out = np.where(told, inwards, np.nan).astype(np.float32)
    inside = told & (inwards > 0.0)
    if inside.any():
        tree = cKDTree(_surface(wall, expected_mm))
        # Points of the surface lie a millimetre apart: no depth is more than the way along the ray.
        out[inside] = np.minimum(tree.query(wall.points(border_mm)[inside])[0], inwards[inside])
    return out


def _surface(wall: BodyWall, expected_mm: Grid) -> np.ndarray:
    """Return points of the expected surface, twice as dense as the rays."""
    rows, columns = expected_mm.shape
    at = np.meshgrid(
        np.linspace(0, rows - 1, _FINER * (rows - 1) + 1),
        np.linspace(0, columns - 1, _FINER * (columns - 1) + 1),
        indexing="ij",
    )
    points = np.moveaxis(wall.points(expected_mm), -1, 0)
    finer = [ndimage.map_coordinates(axis, at, order=1, mode="nearest") for axis in points]
    out = np.stack(finer, axis=-1).reshape(-1, 3)
    return np.asarray(out[np.isfinite(out).all(axis=1)])


@dataclass(frozen=True, slots=True)
class Deepest:
    """The deepest hollow of a wall: depth (mm) that its floor reaches, area (mm²), and its rays."""

    depth_mm: float
    area_mm2: float
    rays: BoolArray


def deepest_hollow(
    wall: BodyWall,
    depth_mm: Grid,
    limit_mm: float,
    *,
    least_area_mm2: float,
    floor_mm2: float = FLOOR_MM2,
) -> Deepest | None:
    """Return the deepest hollow of which more than an area lies beyond a limit, as deep as `floor_mm2` of it."""
    deep = np.nan_to_num(depth_mm, nan=-1.0) > limit_mm
    if not deep.any():
        return None
    cell = cell_areas(wall)
    labels = np.asarray(cc3d.connected_components(deep[None].astype(np.uint8), connectivity=6))[0]
    best: Deepest | None = None
    for k in range(1, int(labels.max()) + 1):
        part = labels == k
        area = float(cell[part].sum())
        if area < least_area_mm2:
            continue
        order = np.argsort(depth_mm[part])[::-1]
        reached = np.searchsorted(np.cumsum(cell[part][order]), floor_mm2)
        value = float(depth_mm[part][order][min(int(reached), order.size - 1)])
        if best is None or value > best.depth_mm:
            best = Deepest(value, area, part)
    return best


def cell_areas(wall: BodyWall) -> Grid:
    """Return the area (mm²) of wall that each ray stands for."""
    step = float(np.linalg.norm(wall.feet_lps_mm[1] - wall.feet_lps_mm[0]))
    turn = float(ANGLES[1] - ANGLES[0])
    radius = np.nan_to_num(wall.radius_mm, nan=wall.typical_mm)
    return np.asarray(radius * turn * step, np.float32)
