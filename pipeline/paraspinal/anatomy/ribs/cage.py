"""The inner chest wall: the space inside the ribs.

In every axial slice the ribs are met by rays from a point in front of the spine; ribs slope, so a slice meets few of
them, and the wall between is bridged by closing along the body axis and by the neighbouring angles and slices.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.morphology import closed_along_z
from paraspinal.anatomy.spine.canal import CanalTrace
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_ANGLES = 96
_NEAREST_WALL = 18  # voxels; nothing nearer to the middle of the chest is chest wall


_STERNUM_SIDE_MM, _STERNUM_FRONT_MM = 35.0, 100.0
"""The sternum lies this close to the midline and this far before the canal; farther out contrast in bowel may."""


def chest_wall(ribs: BoolArray, thin: BoolArray, trace: CanalTrace, grid: Geometry) -> BoolArray:
    """Return the bone that bounds the chest: the followed ribs, and the sternum.

    Other thin bone (scapula, arms, pelvis, contrast in bowel) is no wall; where no rib was followed there is none.
    """
    if not ribs.any():
        return ribs.copy()
    _, ny, nx = ribs.shape
    middle = trace.at(np.arange(len(ribs))) * np.asarray(grid.spacing_mm[1:])
    near = np.abs(np.arange(nx) * grid.spacing_mm[2] - middle[:, 1:]) < _STERNUM_SIDE_MM
    front = middle[:, :1] - np.arange(ny) * grid.spacing_mm[1] > _STERNUM_FRONT_MM
    above = np.arange(len(ribs)) >= int(np.flatnonzero(ribs.any(axis=(1, 2)))[0])
    return np.asarray(ribs | (thin & front[:, :, None] & near[:, None, :] & above[:, None, None]))


def inside_cage(
    ribs: BoolArray,
    lungs: BoolArray,
    body: BoolArray,
    trace: CanalTrace,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> BoolArray:
    """Return the space inside the rib cage on the working grid; empty in slices without ribs.

    Parameters
    ----------
    ribs, lungs, body : ndarrays, [z, y, x]
        Bone of the wall (`chest_wall`), aerated lung, and the body. The wall lies beyond the outermost lung of a ray,
        so enhanced vessels of the lung are not taken for it.
    """
    _, ny, nx = ribs.shape
    wall = ribs & body
    reach = round(config.cage_closing_mm / grid.spacing_mm[0] / 2)
    wall = closed_along_z(wall, reach)
    centre = _centres(trace, body, grid, config=config)
    radius = _inner_radius(wall, lungs, centre, max_radius=int(np.hypot(ny, nx) / 2))
    radius = _bridged_along(radius, round(config.cage_bridge_mm / grid.spacing_mm[0]))
    enough = np.isfinite(radius).mean(axis=1) > config.cage_min_share
    radius = _bridged(radius, enough)
    out = np.zeros(ribs.shape, bool)
    angle = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for z in np.flatnonzero(enough):
        # The polygon holds every voxel that its border touches.
        corners = centre[z, ::-1] + (radius[z][:, None] - 0.5) * direction
        plane = np.zeros((ny, nx), np.uint8)
        cv2.fillPoly(plane, [np.rint(corners * 16).astype(np.int32)], 1, shift=4)
        out[z] = plane > 0
    return out & body


def _centres(
    trace: CanalTrace, body: BoolArray, grid: Geometry, *, config: AnatomyConfig
) -> npt.NDArray[np.float64]:
    """Middle of the chest per slice: in front of the canal, at its side position."""
    centre = trace.at(np.arange(body.shape[0])).copy()
    centre[:, 0] -= config.cage_centre_mm / grid.spacing_mm[1]
    return centre


def _inner_radius(
    wall: BoolArray, lungs: BoolArray, centre: npt.NDArray[np.float64], *, max_radius: int
) -> npt.NDArray[np.float64]:
    """Distance (voxels) to the first wall voxel beyond all lung per [slice, angle]; NaN where a ray meets none."""
    angles = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
    r = np.arange(_NEAREST_WALL, max_radius, 1.0)
    y = np.rint(centre[:, 0, None, None] + r * np.sin(angles)[:, None]).astype(int)
    x = np.rint(centre[:, 1, None, None] + r * np.cos(angles)[:, None]).astype(int)
    inside = (y >= 0) & (y < wall.shape[1]) & (x >= 0) & (x < wall.shape[2])
    z = np.arange(wall.shape[0])[:, None, None]
    place = (z, np.clip(y, 0, wall.shape[1] - 1), np.clip(x, 0, wall.shape[2] - 1))
    # A lung voxel farther out means that the wall lies farther still.
    lung_ahead = np.logical_or.accumulate((lungs[place] & inside)[..., ::-1], axis=2)[..., ::-1]
    hit = wall[place] & inside & ~lung_ahead
    return np.where(hit.any(axis=2), r[np.argmax(hit, axis=2)], np.nan)


def _bridged_along(radius: npt.NDArray[np.float64], reach: int) -> npt.NDArray[np.float64]:
    """Fill a missing [slice, angle] between known slices of that angle, or from one within `reach` slices."""
    out = radius.copy()
    slices = np.arange(len(radius))
    for k in range(radius.shape[1]):
        known = np.flatnonzero(np.isfinite(radius[:, k]))
        if known.size == 0:
            continue
        nearest = np.abs(slices[:, None] - known[None, :]).min(axis=1)
        close = nearest <= reach
        out[close, k] = np.interp(slices[close], known, radius[known, k])
    return out


def _bridged(radius: npt.NDArray[np.float64], enough: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Fill gaps over angle, then take the median over neighbouring angles and slices against single leaks."""
    out = np.zeros_like(radius)
    position = np.arange(3 * _ANGLES)
    for z in np.flatnonzero(enough):
        three = np.tile(radius[z], 3)
        known = np.isfinite(three)
        out[z] = np.interp(position, position[known], three[known])[_ANGLES : 2 * _ANGLES]
    wrapped = np.pad(out, ((0, 0), (2, 2)), mode="wrap")
    return np.asarray(ndimage.median_filter(wrapped, (5, 5), mode="nearest")[:, 2:-2], float)
