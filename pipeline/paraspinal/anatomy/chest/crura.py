"""Crura of the diaphragm: the thin sheet of muscle that hugs column and aorta from T10 to L2.

In every slice, rays start between column and aorta and meet the crus as a narrow ridge of muscle's density. On each
side the path of best ridge (dynamic programming) from behind to in front is followed; it is kept where the ridge
stands out over enough of the arc, slice after slice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.grid import Float32Volume
from paraspinal.anatomy.morphology import components
from paraspinal.anatomy.polar import open_paths
from paraspinal.anatomy.types import Vertebra
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_STEP_MM = 1.0
_RADII_MM = np.arange(8.0, 62.0, _STEP_MM)
_ANGLES_DEG = np.arange(0.0, 126.0, 4.0)
"""From straight ahead to behind the transverse process."""
_BESIDE_DEG = (28.0, 68.0)
"""Every crus passes here; what lies before the aorta alone is a vessel or node."""
_SLOPE = 4  # the sheet may run 4 mm inwards or outwards from one ray to the next (about 50 degrees)
_HALF_MM = (1.0, 4.0)  # a ridge's flank lies this far from its middle: sheets of 2 to 8 mm
_FADE_MM = 2.0  # a wall's own density fades over one working voxel
_FILM_MM = 2.5  # nearer to bone or vessel their own fading border passes for a film of muscle
_LEVELS = ("T10", "T11", "T12", "L1", "L2")
_HALF_VERTEBRA_MM = 16.0
_AORTA_NEAR_MM, _TOWARDS_AORTA = 60.0, 0.35
_BARRED = ("bone", "canal", "psoas_left", "psoas_right", "kidney_left", "kidney_right", "ribs")
_GAP_HU = (-110.0, 90.0)  # fat and lung are alike for a ridge's flank, and so are muscle and what is denser


def find_crura(
    hu: Float32Volume,
    masks: Mapping[str, BoolArray],
    vertebrae: Sequence[Vertebra],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> BoolArray:
    """Return both crura, bool [z, y, x]; empty where no sheet stands out, or none of T10 to L2 is in view.

    Parameters
    ----------
    masks : mapping
        What was found before: column, bone, canal; aorta, psoas, kidneys and ribs where they were found.
    """
    spanned = [v for v in vertebrae if v.label in _LEVELS]
    out = np.zeros(hu.shape, bool)
    if not spanned:
        return out
    at = grid.to_index(np.array([v.centroid_lps_mm for v in spanned]))[:, 0]
    more = _HALF_VERTEBRA_MM / grid.spacing_mm[0]
    rows = slice(max(0, round(float(at.min() - more))), min(len(hu), round(float(at.max() + more)) + 1))
    none = np.zeros(hu[rows].shape, bool)
    aorta = masks["aorta"][rows] if "aorta" in masks else none
    column = masks["column"][rows]
    axis = _axis(column, aorta, grid)
    if axis is None:
        return out
    barred = none
    for name in _BARRED:
        if name in masks:
            barred = barred | masks[name][rows]
    out[rows] = follow_sheets(hu[rows], column | aorta, barred, axis, grid, config=config)
    return out


def _axis(column: BoolArray, aorta: BoolArray, grid: Geometry) -> npt.NDArray[np.float64] | None:
    """Return in every slice a point in the front of the column, drawn towards an aorta that lies on it; voxels."""
    out = np.full((len(column), 2), np.nan)
    for z, (bodies, vessel) in enumerate(zip(column, aorta, strict=True)):
        found = np.argwhere(bodies)
        if not len(found):
            continue
        y, x = found.mean(axis=0)
        out[z] = 0.5 * (y + np.percentile(found[:, 0], 3)), x
        lumen = np.argwhere(vessel)
        lumen = lumen[np.linalg.norm(lumen - out[z], axis=1) * grid.spacing_mm[1] < _AORTA_NEAR_MM]
        if len(lumen):
            out[z] += _TOWARDS_AORTA * (lumen.mean(axis=0) - out[z])
    seen = np.flatnonzero(np.isfinite(out[:, 0]))
    if not seen.size:
        return None
    whole = [np.interp(np.arange(len(out)), seen, out[seen, k]) for k in (0, 1)]
    return np.asarray(ndimage.gaussian_filter1d(np.stack(whole, axis=1), 3.0, axis=0))


def follow_sheets(
    hu: Float32Volume,
    core: BoolArray,
    barred: BoolArray,
    axis_yx: npt.NDArray[np.float64],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> BoolArray:
    """Follow the sheet on both sides through all slices, bool [z, y, x].

    Parameters
    ----------
    core : ndarray of bool, [z, y, x]
        What the crura hug: column and aorta.
    barred : ndarray of bool, [z, y, x]
        Other structures that are no crus: bone, canal, psoas, kidneys.
    axis_yx : ndarray, [z, 2]
        Where rays start in every slice, working voxels: between column and aorta.
    """
    hug = np.stack([_distance(plane, grid) for plane in core])
    left, right = (_one_side(hu, hug, barred, axis_yx, grid, sign, config) for sign in (1.0, -1.0))
    return left | right


def _distance(plane: BoolArray, grid: Geometry) -> npt.NDArray[np.float32]:
    """Return the distance in a slice from column and aorta, mm; 0 inside them."""
    if not plane.any():
        return np.full(plane.shape, np.inf, np.float32)
    distance = cv2.distanceTransform((~plane).view(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(distance * grid.spacing_mm[1], np.float32)


def _one_side(
    hu: Float32Volume,
    hug: npt.NDArray[np.float32],
    barred: BoolArray,
    axis_yx: npt.NDArray[np.float64],
    grid: Geometry,
    sign: float,
    config: AnatomyConfig,
) -> BoolArray:
    angle = np.radians(_ANGLES_DEG)
    z = np.arange(len(hu))
    away = _RADII_MM / grid.spacing_mm[1]
    y = axis_yx[:, 0, None, None] - away * np.cos(angle)[:, None]
    x = axis_yx[:, 1, None, None] + sign * away * np.sin(angle)[:, None]
    at = np.stack([np.broadcast_to(z[:, None, None], y.shape), y, x])
    value = ndimage.map_coordinates(hu, at, order=1, mode="nearest")
    gap = ndimage.map_coordinates(np.minimum(hug, 99.0), at, order=1, mode="nearest")
    other = ndimage.map_coordinates(barred.astype(np.float32), at, order=1, mode="nearest") > 0.5
    # Behind the wall of the aorta and the cortex, where their own density fades, a sheet begins; nothing is within.
    flank = np.where(other, np.float32(_GAP_HU[1]), np.where(gap < _FADE_MM, np.float32(_GAP_HU[0]), value))
    ridge = _ridge(flank, config) * np.clip(1.5 - 1.5 * gap / config.crus_gap_mm, 0.0, 1.0)
    ridge[gap < _FADE_MM] = -0.02
    ridge[other] = -0.5
    # A crus runs along the spine for centimetres; vessels and nodes do not.
    rows = max(1, round(config.crus_along_mm / grid.spacing_mm[0]))
    even = ndimage.uniform_filter1d(ridge, rows, axis=0, mode="nearest")
    path = open_paths(even, slope=_SLOPE)
    here = np.take_along_axis(ndimage.maximum_filter1d(ridge, 3, axis=2), path[..., None], axis=2)[..., 0]
    off_wall = np.take_along_axis(gap, path[..., None], axis=2)[..., 0] > _FILM_MM
    found = (
        off_wall
        & (here > config.crus_ridge)
        & (np.take_along_axis(even, path[..., None], axis=2)[..., 0] > 0.0)
    )
    found = ndimage.median_filter(found.astype(np.uint8), (3, 5), mode="nearest") > 0
    arc = found.sum(axis=1) * float(np.diff(_ANGLES_DEG[:2])[0])
    beside = (_BESIDE_DEG[0] <= _ANGLES_DEG) & (_BESIDE_DEG[1] >= _ANGLES_DEG)
    found &= ((arc >= config.crus_arc_deg) & found[:, beside].any(axis=1))[:, None]
    closed = other | (gap <= 0.5)
    return _painted(value, closed, path, found, at, hu.shape, grid, config)


def _ridge(value: npt.NDArray[np.float32], config: AnatomyConfig) -> npt.NDArray[np.float32]:
    """Return how far muscle's density stands out over both flanks, 0 to 1, along the last axis (radius)."""
    low, high = config.crus_hu
    clipped = np.clip(value, *_GAP_HU)
    smooth = ndimage.uniform_filter1d(clipped, 3, axis=2, mode="nearest")
    best = np.zeros_like(smooth)
    for half in np.arange(_HALF_MM[0] + 1.0, _HALF_MM[1] + 2.0):
        k = round(half / _STEP_MM)
        inner, outer = np.roll(clipped, k, axis=2), np.roll(clipped, -k, axis=2)
        inner[..., :k], outer[..., -k:] = 90.0, 90.0
        best = np.maximum(best, smooth - np.maximum(inner, outer))
    fits = (value > low) & (value < high)
    return np.where(fits, np.clip(best / config.crus_contrast_hu, 0.0, 1.0), 0.0).astype(np.float32)


def _painted(
    value: npt.NDArray[np.float32],
    closed: BoolArray,
    path: npt.NDArray[np.int64],
    found: BoolArray,
    at: npt.NDArray[np.float64],
    shape: tuple[int, ...],
    grid: Geometry,
    config: AnatomyConfig,
) -> BoolArray:
    """Paint what is muscle around the path, out to half the greatest thickness, and keep long sheets."""
    reach = round(0.5 * config.crus_thick_mm / _STEP_MM)
    radius = np.arange(len(_RADII_MM))
    soft = (value > config.crus_hu[0]) & ~closed
    near = np.abs(radius - path[..., None]) <= reach
    edge = np.where(soft | ~near, len(_RADII_MM), np.abs(radius - path[..., None]))
    outside = radius >= path[..., None]
    stop_out = np.where(outside, edge, len(_RADII_MM)).min(axis=2)
    stop_in = np.where(~outside, edge, len(_RADII_MM)).min(axis=2)
    off = radius - path[..., None]
    sheet = near & soft & (off < stop_out[..., None]) & (-off < stop_in[..., None]) & found[..., None]
    out = np.zeros(shape, bool)
    index = np.rint(at[:, sheet]).astype(int)
    inside = ((index >= 0) & (index < np.asarray(shape)[:, None])).all(axis=0)
    out[tuple(index[:, inside])] = True
    out |= ndimage.binary_closing(out, np.ones((1, 3, 3), bool))
    labels, _ = components(out, connectivity=26)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if (box[0].stop - box[0].start) * grid.spacing_mm[0] < config.crus_along_mm:
            out[box][labels[box] == number] = False
    return out
