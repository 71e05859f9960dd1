"""The wall of the trunk: what lies inside of ribs, intercostal and abdominal muscles.

In every slice rays run from outside to the middle of the trunk. Each meets skin, fat, then lean tissue: the
wall begins. The wall ends at the inner edge of a rib, or where fat, lung or gas follows the muscle. Where an
organ of muscle's density lies against the wall nothing shows its end: there the wall is as thick as in the
neighbourhood, over angle and height.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

Map = npt.NDArray[np.float32]

_ANGLES = 120
_STEP_MM = 2.0
_LEAN_HU = -30.0  # half way from fat to muscle
_ENOUGH = 0.1  # share of rays nearby that suffices: ribs leave wide gaps
_UNSEEN = 1e-3


def inside_wall(
    hu: npt.NDArray[np.float32],
    body: BoolArray,
    bone: BoolArray,
    centre_yx: npt.NDArray[np.float64],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> BoolArray:
    """Return what lies inside of the trunk's wall, [z, y, x].

    Parameters
    ----------
    centre_yx : ndarray, (nz, 2)
        A point inside the trunk in every slice (index).
    """
    _, sy, sx = grid.spacing_mm
    nz, ny, nx = hu.shape
    angle = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
    reach = float(np.hypot(ny * sy, nx * sx)) * 0.75
    radius = np.arange(0.0, reach, _STEP_MM, dtype=np.float32)
    outer, rib, soft = (np.zeros((nz, _ANGLES), np.float32) for _ in range(3))
    direction = np.sin(angle)[:, None] / sy, np.cos(angle)[:, None] / sx
    for z in range(nz):
        ys = (centre_yx[z, 0] + radius * direction[0]).astype(np.float32)
        xs = (centre_yx[z, 1] + radius * direction[1]).astype(np.float32)
        outer[z], rib[z], soft[z] = _ray_wall(
            cv2.remap(hu[z], xs, ys, cv2.INTER_LINEAR, borderValue=-1024.0),
            cv2.remap(body[z].astype(np.uint8), xs, ys, cv2.INTER_NEAREST) > 0,
            cv2.remap(bone[z].astype(np.uint8), xs, ys, cv2.INTER_NEAREST) > 0,
            config,
        )
    usual = _around(outer, grid, percent=60)
    usual = np.maximum(usual, _hull(usual, angle) - config.wall_hollow_mm)
    astray = outer < usual - config.wall_skin_mm  # a thin part of the wall was missed
    outer = np.where(astray, usual, outer)
    rib, soft = np.where(astray, np.nan, rib), np.where(astray, np.nan, soft)
    inner = _inner(outer, rib, soft, grid)
    return _within(inner, centre_yx, hu.shape, grid) & body


def _ray_wall(values: Map, body: BoolArray, bone: BoolArray, config: AnatomyConfig) -> tuple[Map, Map, Map]:
    """Outer radius (mm; 0 unknown) and thickness to a rib's inner edge and to fat or lung (NaN unknown), [angle]."""
    count = values.shape[1]
    index = np.arange(count)
    skin = round(config.wall_skin_mm / _STEP_MM)
    inside = ndimage.binary_erosion(body, np.ones((1, 2 * skin + 1)))
    lean = ndimage.binary_opening((values > _LEAN_HU) & inside, np.ones((1, 2)))
    last = np.where(lean.any(axis=1), count - 1 - np.argmax(lean[:, ::-1], axis=1), 0)
    deep = round(config.wall_depth_mm / _STEP_MM)
    window = (index <= last[:, None]) & (index > last[:, None] - deep)
    rib = bone & window
    # Inner edge of the outermost bone: the first gap inwards of its outer edge. What is thicker is no rib.
    edge = np.where(rib.any(axis=1), count - 1 - np.argmax(rib[:, ::-1], axis=1), 0)
    gap = ~bone & (index < edge[:, None])
    rib_end = count - 1 - np.argmax(gap[:, ::-1], axis=1)
    met = rib.any(axis=1) & (edge - rib_end <= config.wall_rib_mm / _STEP_MM)
    soft = (values < _LEAN_HU) & window
    soft_end = count - 1 - np.argmax(soft[:, ::-1], axis=1)
    seen = last > 0
    to_rib = np.where(met & seen, (last - rib_end) * _STEP_MM, np.nan)
    to_soft = np.where(soft.any(axis=1) & seen & ~met, (last - soft_end) * _STEP_MM, np.nan)
    to_soft[to_soft > config.wall_muscle_mm] = np.nan  # fat behind an organ that lies against the wall
    return (last * _STEP_MM).astype(np.float32), to_rib.astype(np.float32), to_soft.astype(np.float32)


def _inner(outer: Map, rib: Map, soft: Map, grid: Geometry) -> Map:
    """Inner radius of the wall [z, angle] from its outer radius and the thickness to ribs and to fat or lung.

    The inner side of the ribs is a smooth surface and is carried on over what lies between them. Where there
    are no ribs, the wall is as thick as most rays see muscle; fat behind an organ that lies against the wall is
    met far too deep, so that the lesser half of the rays is believed.
    """
    outside = _smooth(outer, grid, known=outer > 0)
    near = (16.0 / grid.spacing_mm[0], 4.0)
    known = np.isfinite(rib)
    # Carried on as a radius it errs where the trunk is not round, as a thickness where muscle lies on it:
    # each inwards.
    radius = _smooth(np.where(known, outer - rib, 0.0).astype(np.float32), grid, known=known, wide=True)
    depth = _smooth(np.where(known, rib, 0.0).astype(np.float32), grid, known=known, wide=True)
    ribs = np.maximum(radius, outside - depth)
    trust = ndimage.gaussian_filter(known.astype(np.float32), near, mode=("nearest", "wrap"))
    seen = np.isfinite(soft)
    reach = max(1, round(12.0 / grid.spacing_mm[0]))
    around = np.pad(np.where(seen, soft, np.inf), ((reach, reach), (3, 3)), mode="wrap")
    windows = np.lib.stride_tricks.sliding_window_view(around, (2 * reach + 1, 7))
    ordered = np.sort(windows.reshape(*soft.shape, -1), axis=2)
    count = np.isfinite(ordered).sum(axis=2)
    rank = (0.4 * np.maximum(count - 1, 0)).astype(np.intp)
    lesser = np.take_along_axis(ordered, rank[:, :, None], axis=2)[:, :, 0]
    lesser[count <= 4] = np.nan
    known = np.isfinite(lesser)
    softs = _smooth(np.where(known, lesser, 0.0).astype(np.float32), grid, known=known, wide=True)
    share = np.clip(trust / 0.1, 0.0, 1.0)
    return np.asarray(share * ribs + (1.0 - share) * (outside - softs), np.float32)


def _around(values: Map, grid: Geometry, *, percent: int) -> Map:
    """Percentile over 16 mm of height and neighbouring angles, [z, angle]."""
    reach = max(1, round(8.0 / grid.spacing_mm[0]))
    around = np.pad(values, ((0, 0), (2, 2)), mode="wrap")
    out = ndimage.percentile_filter(around, percent, size=(2 * reach + 1, 5), mode="nearest")
    return np.asarray(out[:, 2:-2], np.float32)


def _hull(radius: Map, angle: npt.NDArray[np.float64]) -> Map:
    """Radius [z, angle] of the convex hull of each slice's outline: a trunk is convex but for its shallow grooves."""
    out = np.empty_like(radius)
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for z, own in enumerate(radius):
        points = (own[:, None] * unit).astype(np.float32)
        hull = cv2.convexHull(points)[:, 0].astype(np.float64)
        edge = np.roll(hull, -1, axis=0) - hull
        normal = np.stack([edge[:, 1], -edge[:, 0]], axis=1)
        ahead = normal @ unit.T
        limit = (normal * hull).sum(axis=1)[:, None]
        towards = np.where(
            np.sign(limit) == np.sign(ahead), limit / np.where(ahead == 0, 1e-9, ahead), np.inf
        )
        out[z] = np.maximum(own, np.min(np.where(towards >= 0, towards, np.inf), axis=0))
    return np.where(np.isfinite(out), out, radius).astype(np.float32)


def _smooth(values: Map, grid: Geometry, *, known: BoolArray, wide: bool = False) -> Map:
    """Normalised Gaussian over (z, angle); what has no neighbour at all takes the mean."""
    fine = (8.0 / grid.spacing_mm[0], 2.0)
    out = np.full(values.shape, values[known].mean() if known.any() else 12.0, np.float32)
    for scale in (8.0, 3.0, 1.0) if wide else (3.0, 0.5):
        sigma = (fine[0] * scale, fine[1] * scale)
        weight = ndimage.gaussian_filter(known.astype(np.float32), sigma, mode=("nearest", "wrap"))
        total = ndimage.gaussian_filter(
            np.where(known, values, 0.0).astype(np.float32), sigma, mode=("nearest", "wrap")
        )
        trust = np.clip(weight / _ENOUGH, 0.0, 1.0)
        out = np.asarray((1 - trust) * out + trust * total / np.maximum(weight, _UNSEEN), np.float32)
    return out


def _within(
    inner: Map, centre_yx: npt.NDArray[np.float64], shape: tuple[int, ...], grid: Geometry
) -> BoolArray:
    _, sy, sx = grid.spacing_mm
    out = np.zeros(shape, bool)
    wrapped = np.concatenate([inner, inner[:, :1]], axis=1)
    ys, xs = np.arange(shape[1]), np.arange(shape[2])
    for z in range(shape[0]):
        dy = ((ys - centre_yx[z, 0]) * sy).astype(np.float32)[:, None]
        dx = ((xs - centre_yx[z, 1]) * sx).astype(np.float32)[None, :]
        turn = np.mod(np.arctan2(dy, dx), 2 * np.pi) * (_ANGLES / (2 * np.pi))
        low = np.minimum(turn.astype(np.int32), _ANGLES - 1)
        part = turn - low
        limit = (1 - part) * wrapped[z, low] + part * wrapped[z, low + 1]
        out[z] = np.hypot(dy, dx) < limit
    return out
