"""A coarse look at a volume: the body, the column of bone in it and the lungs, for `sanity` alone.

Nothing here is measured from or handed on. Every step treats both directions of every axis alike, so that the
signs read from it change sign, and nothing else, when an axis is mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.config import OrientationConfig
from paraspinal.volume import BoolArray, CTVolume

Floats = npt.NDArray[np.float32]

# Engineering defaults of a coarse look; what is judged from it is measured on mirrored scans in docs/loading.md.
_FAINT_HU, _BONE_HU = 100.0, 300.0  # from enhanced soft tissue to what only bone and contrast medium reach
_SMOOTH_SD, _ROUGH_SD = 15.0, 40.0  # SD of 3 × 3 pixels: blood in contrast is even, bone is not
_FREE_GAS_HU = -955.0
_MAX_GAS, _MIN_DEEP = (
    0.4,
    0.1,
)  # shares of a lung that read as free gas, and that lie behind the column's middle
_COLUMN_BOX_MM = 28.0  # a vertebral body
_NO_DATA_HU = -1024.0
_BORDER_PX = 2


@dataclass(frozen=True, slots=True)
class CoarseBody:
    """What is seen of the patient, on one grid [z, y, x].

    Parameters
    ----------
    hu : ndarray, float32
    step_mm : tuple of float
        Distance of voxels along (z, y, x).
    body, lungs : ndarray, bool
        The patient, cavities included; aerated lung.
    column_yx : ndarray, float, shape (z, 2)
        Middle of the column of bone; NaN where none is seen.
    middle_yx : ndarray, float, shape (z, 2)
        Middle of the body in front of and behind the column, and from side to side at its height.
    half_depth : ndarray, float, shape (z,)
        Half the body's depth at the column, in voxels.
    half_width : ndarray, float, shape (z,)
        Half the body's width at the column's height, in voxels.
    """

    hu: Floats
    step_mm: tuple[float, float, float]
    body: BoolArray
    lungs: BoolArray
    column_yx: npt.NDArray[np.float64]
    middle_yx: npt.NDArray[np.float64]
    half_depth: npt.NDArray[np.float64]
    half_width: npt.NDArray[np.float64]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.step_mm)) / 1000.0


def look(volume: CTVolume, *, config: OrientationConfig) -> CoarseBody | None:
    """Return the coarse look, or None where no whole body with a column of bone is in view."""
    hu, step = shrink(volume, config=config)
    body = _body(hu, step)
    if np.count_nonzero(body) * float(np.prod(step)) / 1000.0 < config.min_body_ml:
        return None
    column = _trace_column(hu, body, step, config)
    if np.count_nonzero(np.isfinite(column[:, 0])) * step[0] < config.min_column_mm:
        return None
    outline = _outline(body, column, step, _field_of_view(hu))
    if outline is None:
        return None
    if abs(np.nanmedian((column[:, 1] - outline[:, 1]) / outline[:, 3])) > config.column_aside:
        return None
    lungs = _lungs(hu, body, column[:, 0], outline[:, 0], step, config)
    return CoarseBody(hu, step, body, lungs, column, outline[:, :2], outline[:, 2], outline[:, 3])


def shrink(volume: CTVolume, *, config: OrientationConfig) -> tuple[Floats, tuple[float, float, float]]:
    """Return some slices of a volume, averaged in plane, with the new distances (z, y, x) in mm."""
    sz, sy, sx = volume.geometry.spacing_mm
    nz, ny, nx = volume.hu.shape
    every = max(1, round(config.slice_step_mm / sz))
    kept = range((nz - 1) % every // 2, nz, every)  # as far from the first slice as from the last
    size = (max(1, round(nx * sx / config.pixel_mm)), max(1, round(ny * sy / config.pixel_mm)))
    small = [cv2.resize(volume.hu[z], size, interpolation=cv2.INTER_AREA) for z in kept]
    hu = np.maximum(np.stack(small).astype(np.float32), np.float32(_NO_DATA_HU))
    return hu, (sz * every, ny * sy / size[1], nx * sx / size[0])


def _body(hu: Floats, step: tuple[float, float, float]) -> BoolArray:
    """Return the largest object that survives an opening (the table does not), with what it encloses."""
    size = 2 * round(8.0 / step[1]) + 1
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    dense = (hu > -250.0).astype(np.uint8)
    labels, count = ndimage.label(np.stack([cv2.morphologyEx(s, cv2.MORPH_OPEN, ball) for s in dense]))
    if count == 0:
        return np.zeros(hu.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    solid = labels == sizes.argmax()
    return np.asarray(solid | (between(solid, 1) & between(solid, 2)))


def between(mask: BoolArray, axis: int) -> BoolArray:
    """Voxels with a voxel of `mask` before and behind them along `axis` (its own included)."""
    ahead = np.logical_or.accumulate(mask, axis=axis)
    behind = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis=axis), axis)
    return np.asarray(ahead & behind)


def evenness(hu: Floats) -> tuple[Floats, Floats]:
    """Return mean and SD of 3 × 3 pixels in plane."""
    mean = np.stack([cv2.blur(s, (3, 3)) for s in hu])
    square = np.stack([cv2.blur(s * s, (3, 3)) for s in hu])
    return mean, np.sqrt(np.maximum(square - mean * mean, 0.0))


def _trace_column(
    hu: Floats, body: BoolArray, step: tuple[float, float, float], config: OrientationConfig
) -> npt.NDArray[np.float64]:
    """Return the middle (y, x) of the bone that runs through all slices near the middle of the body.

    A path through all slices with the most bone around it: a heart full of contrast medium or the sternum ends
    somewhere, the spine does not. Above `column_bone` more bone does not count, so that they gain no lead.
    """
    _, sd = evenness(hu)
    bone = np.clip((hu - _FAINT_HU) / (_BONE_HU - _FAINT_HU), 0, 1) * np.clip(
        (sd - _SMOOTH_SD) / (_ROUGH_SD - _SMOOTH_SD), 0, 1
    )
    bone = ndimage.uniform_filter1d(bone * body, 2 * round(12.0 / step[0]) + 1, axis=0)
    size = 2 * round(_COLUMN_BOX_MM / 2 / step[1]) + 1
    around = np.stack([cv2.blur(s, (size, size), borderType=cv2.BORDER_CONSTANT) for s in bone])
    sides = np.flatnonzero(
        np.count_nonzero(body, axis=(0, 1)) > 0.05 * np.count_nonzero(body) / body.shape[2]
    )
    off = np.abs(np.arange(hu.shape[2]) - (sides[0] + sides[-1]) / 2) * step[2]
    around *= off <= config.column_band_mm
    path = _best_path(np.minimum(around, config.column_bone) + 0.1 * around)
    seen = around[np.arange(len(path)), path[:, 0], path[:, 1]] >= config.column_bone / 2
    return np.where(seen[:, None], path.astype(float), np.nan)


def _best_path(gain: Floats) -> npt.NDArray[np.intp]:
    """Return (y, x) per slice of the path of most gain that moves by at most one pixel between slices."""
    best = gain.copy()
    for z in range(1, len(best)):
        best[z] += cv2.dilate(best[z - 1], np.ones((3, 3), np.uint8))
    path = np.zeros((len(best), 2), np.intp)
    y, x = np.unravel_index(int(best[-1].argmax()), best[-1].shape)
    path[-1] = y, x
    for z in range(len(best) - 2, -1, -1):
        y0, x0 = max(0, path[z + 1, 0] - 1), max(0, path[z + 1, 1] - 1)
        window = best[z, y0 : y0 + 3 - (path[z + 1, 0] == 0), x0 : x0 + 3 - (path[z + 1, 1] == 0)]
        dy, dx = np.unravel_index(int(window.argmax()), window.shape)
        path[z] = y0 + dy, x0 + dx
    return path


def _outline(
    body: BoolArray, column: npt.NDArray[np.float64], step: tuple[float, float, float], field: BoolArray
) -> npt.NDArray[np.float64] | None:
    """Return the body's middle (y, x), half depth and half width through the column, smoothed, as [z, 4].

    A slice of which the field of view cuts off a good part tells no middle: it is taken from those above and below.
    None where that is so in half the slices, in depth or in width.
    """
    seen = np.flatnonzero(np.isfinite(column[:, 0]))
    near, reach = 2, round(24.0 / step[1])
    values = np.full((len(body), 4), np.nan)
    for z in seen:
        y, x = (int(v) for v in column[z])
        depth = np.flatnonzero(body[z][:, max(0, x - near) : x + near + 1].any(axis=1))
        width = np.flatnonzero(body[z][max(0, y - reach) : y + reach + 1].any(axis=0))
        if depth.size and _whole(body[z], field):
            values[z, 0], values[z, 2] = (depth[0] + depth[-1]) / 2, (depth[-1] - depth[0] + 1) / 2
        if width.size and _whole(body[z].T, field.T):
            values[z, 1], values[z, 3] = (width[0] + width[-1]) / 2, (width[-1] - width[0] + 1) / 2
    if np.isfinite(values).sum(axis=0).min() <= len(seen) / 2:
        return None
    everywhere, size = np.arange(len(body)), 2 * round(20.0 / step[0]) + 1
    smooth = []
    for value in values.T:
        known = np.flatnonzero(np.isfinite(value))
        line = np.interp(everywhere, known, value[known])
        smooth.append(ndimage.median_filter(line, size, mode="nearest"))
    return np.stack(smooth, axis=1)


def _whole(body: BoolArray, field: BoolArray) -> bool:
    """Tell whether most lines along the first axis enter and leave the body inside the field of view.

    Where a circle loses its edge along 0.4 of its width, its middle moves by less than a twentieth of its radius.
    """
    lines = np.flatnonzero(body.any(axis=0))
    first = body[:, lines].argmax(axis=0)
    last = len(body) - 1 - body[::-1, lines].argmax(axis=0)
    return bool(min(field[first, lines].mean(), field[last, lines].mean()) > 0.6)


def _field_of_view(hu: Floats) -> BoolArray:
    """Pixels [y, x] well inside the reconstructed field: off the border, and off the circle if there is one."""
    ny, nx = hu.shape[1:]
    inside = np.zeros((ny, nx), bool)
    inside[_BORDER_PX : ny - _BORDER_PX, _BORDER_PX : nx - _BORDER_PX] = True
    corners = hu[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    if float(corners.max()) <= _NO_DATA_HU + 1:
        y, x = np.ogrid[:ny, :nx]
        radius = np.hypot((y - (ny - 1) / 2) / ny, (x - (nx - 1) / 2) / nx)
        inside &= radius < 0.5 - _BORDER_PX / min(ny, nx)
    return inside


def _lungs(
    hu: Floats,
    body: BoolArray,
    column_y: npt.NDArray[np.float64],
    middle_y: npt.NDArray[np.float64],
    step: tuple[float, float, float],
    config: OrientationConfig,
) -> BoolArray:
    """Return the pieces of air in the body that are lung.

    Lung is a mixture of air and tissue, so few of its voxels read as free gas does; and unless it is large, part of
    it lies farther from the body's middle than the column does: the lungs' recesses do, bowel does not.
    """
    labels, count = ndimage.label((hu < -400.0) & body)
    lungs = np.zeros(hu.shape, bool)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * float(np.prod(step)) / 1000.0
    column = np.where(np.isfinite(column_y), column_y, np.nanmedian(column_y))
    back = float(np.sign(np.nanmedian(column_y - middle_y)))
    y = np.arange(hu.shape[1])[None, :, None]
    behind = np.broadcast_to((y - column[:, None, None]) * back > 0, hu.shape)
    for label in np.flatnonzero(sizes[1:] >= config.min_lung_ml) + 1:
        piece = labels == label
        gas = np.count_nonzero(hu[piece] < _FREE_GAS_HU) / np.count_nonzero(piece)
        deep = np.count_nonzero(piece & behind) / np.count_nonzero(piece)
        if gas < _MAX_GAS and (sizes[label] >= config.sure_lung_ml or deep >= _MIN_DEEP):
            lungs |= piece
    return lungs
