"""The vertebra that a mass faces: its wall as expected and as read, and what is missing between them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from paraspinal.masses.types import Mass
from paraspinal.measure.erosion import CleanWalls, FacingWall, facing_walls
from paraspinal.measure.wall import Grid, rays_at
from paraspinal.report import drawing
from paraspinal.report.planes import Array, Cut, flat_cut
from paraspinal.volume import BoolArray, CTVolume

EXPECTED: drawing.Colour = (255, 255, 255)
READ: drawing.Colour = (86, 180, 233)
MISSING: drawing.Colour = (213, 94, 0)
_FIELD_MM, _PIXELS = 80.0, 400
_FACING_MM = 3.0
_SHOWN_MM = 1.5  # a wall that lies less deep is drawn, but no bone is called missing
_TINT = 0.45


def render_facing_wall(
    volume: CTVolume, walls: CleanWalls, mass: Mass
) -> tuple[Image.Image, FacingWall, int] | None:
    """Return an axial cut through the body that a mass faces most, where its wall lies deepest, and the slice.

    Dashed: the wall that is expected; line: the wall that was read; tinted: bone that is missing between them where
    the mass lies. None where the mass faces no wall that has a reference.
    """
    facing = rays_at(walls.walls, mass.region, volume.geometry, within_mm=_FACING_MM)
    seen = facing_walls(walls, facing)
    if not seen:
        return None
    view = max(
        seen, key=lambda v: (float(np.nan_to_num(v.depth_mm, nan=-1.0).max()) > _SHOWN_MM, v.rays.sum())
    )
    row = _height(view)
    centre = volume.geometry.to_index(view.wall.feet_lps_mm[row])
    z = int(np.clip(round(float(centre[0])), 0, volume.geometry.shape[0] - 1))
    cut = flat_cut(
        volume,
        "axial",
        (float(z), float(centre[1]), float(centre[2])),
        size_mm=_FIELD_MM,
        mm_per_px=_FIELD_MM / _PIXELS,
    )
    image = drawing.canvas(cut, drawing.BONE_WINDOW)
    expected, read = (_line(volume, cut, view, radius, row) for radius in (view.reference_mm, view.border_mm))
    image = _tinted(image, expected, read, view.rays[row] & (view.depth_mm[row] > _SHOWN_MM))
    image = drawing.draw_polyline(image, _dense(expected), EXPECTED, dashed=True)
    image = drawing.draw_polyline(image, _dense(read), READ)
    for outline in cut.outlines(mass.region, volume.geometry.shape, projected=False):
        image = drawing.draw_polyline(image, outline, drawing.mass_colour(mass.id), closed=True)
    drawing.draw_sides(image, cut)
    drawing.draw_scale_bar(image, cut)
    return image, view, z


def _height(view: FacingWall) -> int:
    """Return the height at which the wall lies deepest, or is faced most."""
    depth = np.where(view.rays, np.nan_to_num(view.depth_mm, nan=-1.0), -1.0)
    if float(depth.max()) > _SHOWN_MM:
        return int(np.unravel_index(int(depth.argmax()), depth.shape)[0])
    return int(view.rays.sum(axis=1).argmax())


def _line(volume: CTVolume, cut: Cut, view: FacingWall, radius_mm: Grid, row: int) -> Array:
    """Return pixels (n, 2) of one height of a wall, NaN where it is not known."""
    points = view.wall.feet_lps_mm[row] + radius_mm[row][:, None] * view.wall.directions
    known = np.isfinite(points).all(axis=1)
    out = np.full((len(points), 2), np.nan)
    out[known] = cut.pixels(volume.geometry.to_index(points[known]))
    return out


def _dense(line: Array) -> Array:
    """Return the known points of a line, about one a pixel, so that dashes are short."""
    known = line[np.isfinite(line).all(axis=1)]
    if len(known) < 2:
        return known
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(known, axis=0), axis=1))])
    at = np.arange(0.0, along[-1], 1.0)
    return np.column_stack([np.interp(at, along, known[:, k]) for k in (0, 1)])


def _tinted(image: Image.Image, expected: Array, read: Array, missing: BoolArray) -> Image.Image:
    """Tint what lies between two lines, from ray to ray, where bone is missing."""
    array = np.array(image)
    layer = np.zeros(array.shape[:2], np.uint8)
    for k in range(len(missing) - 1):
        quad: npt.NDArray[np.float64] = np.stack([expected[k], expected[k + 1], read[k + 1], read[k]])
        if (missing[k] or missing[k + 1]) and np.isfinite(quad).all():
            cv2.fillConvexPoly(layer, np.rint(quad).astype(np.int32), 1)
    there = layer > 0
    array[there] = np.rint((1 - _TINT) * array[there] + _TINT * np.asarray(MISSING)).astype(np.uint8)
    return Image.fromarray(array)
