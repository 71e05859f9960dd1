"""Psoas major, left and right: the muscle beside the lumbar bodies.

From its thickest round section beside L2-L5 the middle of the muscle is followed up and down. What lies nearer
to that line, by a watershed on depth, than to the middle of another muscle or organ (quadratus lumborum,
kidney, bowel) is psoas.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from paraspinal.anatomy.morphology import distance_inside, keep_larger, opened
from paraspinal.anatomy.types import Organ, Vertebra
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_LIKELY = 0.85  # confidence of a muscle followed over two vertebrae (engineering default)
_SIDES = (("left", 1.0), ("right", -1.0))


@dataclass(frozen=True, slots=True)
class _Flank:
    """One side's box beside the lumbar spine: depth inside muscle (mm) and the place of each voxel (mm)."""

    box: tuple[slice, slice, slice]
    depth: npt.NDArray[np.float32]
    front: npt.NDArray[np.float32]
    side: npt.NDArray[np.float32]


def find_psoas(
    hu: npt.NDArray[np.float32],
    canal_yx: npt.NDArray[np.float64],
    excluded: BoolArray,
    vertebrae: Iterable[Vertebra],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> tuple[dict[str, BoolArray], dict[str, Organ]]:
    """Return the masks found (``psoas_left``, ``psoas_right``) and the state of both, on the working grid.

    Parameters
    ----------
    canal_yx : ndarray, (nz, 2)
        Middle of the canal in every slice (index); NaN where it was not traced.
    excluded : ndarray of bool, [z, y, x]
        What is not muscle for certain: bone, vertebral column, aorta, gas.
    """
    masks: dict[str, BoolArray] = {}
    states: dict[str, Organ] = {}
    vertebrae = tuple(vertebrae)
    span = _lumbar_slices(vertebrae, canal_yx, grid)
    usual = _usual_side(vertebrae, grid, config=config)
    for name, sign in _SIDES:
        key = f"psoas_{name}"
        if span is None:
            states[key] = Organ("not_in_view", 0.8, reason="no lumbar vertebra lies in the scan")
            continue
        flank = _flank(hu, canal_yx, excluded, span, sign, grid, config=config)
        found = _muscle(flank, usual[span], grid, config=config)
        if found is None:
            reason = "no muscle of its size could be followed beside the lumbar spine"
            states[key] = Organ("indeterminate", 0.3, reason=reason)
            continue
        masks[key] = np.zeros(hu.shape, bool)
        masks[key][flank.box] = found
        states[key] = Organ("present", _LIKELY)
    return masks, states


def _lumbar_slices(
    vertebrae: Iterable[Vertebra], canal_yx: npt.NDArray[np.float64], grid: Geometry
) -> slice | None:
    """Slices from the middle of T12 to the middle of S1, as far as they were traced."""
    index = {v.label: float(grid.to_index(v.centroid_lps_mm)[0]) for v in vertebrae}
    lumbar = [z for label, z in index.items() if label.startswith("L")]
    traced = np.flatnonzero(np.isfinite(canal_yx[:, 0]))
    if not lumbar or not traced.size:
        return None
    half = 0.6 * 35.0 / grid.spacing_mm[0]
    low = index.get("S1", min(lumbar) - half)
    high = index.get("T12", max(lumbar) + half)
    first, last = max(int(traced[0]), round(low)), min(int(traced[-1]), round(high))
    return slice(first, last + 1) if last - first >= 3 else None


def _usual_side(
    vertebrae: Iterable[Vertebra], grid: Geometry, *, config: AnatomyConfig
) -> npt.NDArray[np.float64]:
    """Usual distance (mm) of the muscle's middle from the canal's in every slice: it diverges downwards."""
    index = sorted(
        (float(grid.to_index(v.centroid_lps_mm)[0]), int(v.label[1:])) for v in vertebrae if v.label[0] == "L"
    )
    high, low = config.psoas_side_l1_l5_mm
    if not index:
        return np.full(grid.shape[0], 0.5 * (high + low))
    known = np.array([z for z, _ in index])
    side = np.array([np.interp(number, [1, 5], [high, low]) for _, number in index])
    return np.asarray(np.interp(np.arange(grid.shape[0]), known, side))


def _flank(
    hu: npt.NDArray[np.float32],
    canal_yx: npt.NDArray[np.float64],
    excluded: BoolArray,
    span: slice,
    sign: float,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> _Flank:
    _, sy, sx = grid.spacing_mm
    canal = canal_yx[span]
    front, side = config.psoas_box_mm
    y0 = max(0, int(canal[:, 0].min() - front / sy))
    y1 = min(hu.shape[1], int(canal[:, 0].max() + 14.0 / sy) + 2)
    ends = sorted((canal[:, 1].mean() + sign * 8.0 / sx, canal[:, 1].mean() + sign * side / sx))
    x0, x1 = (
        max(0, int(ends[0] - np.ptp(canal[:, 1]))),
        min(hu.shape[2], int(ends[1] + np.ptp(canal[:, 1])) + 2),
    )
    box = (span, slice(y0, y1), slice(x0, x1))
    light = ndimage.gaussian_filter(np.clip(hu[box], -200, 300), 0.8)
    low, high = config.psoas_hu
    muscle = (light > low) & (light < high) & ~excluded[box]
    depth = distance_inside(muscle, grid.spacing_mm)
    z, y, _ = depth.shape
    fronts = np.broadcast_to((canal[:, 0, None] - np.arange(y0, y1)) * sy, (z, y))[:, :, None]
    sides = (sign * (np.arange(x0, x1) - canal[:, 1, None]) * sx)[:, None, :]
    return _Flank(
        box,
        depth,
        np.broadcast_to(fronts, depth.shape).astype(np.float32),
        np.broadcast_to(sides, depth.shape).astype(np.float32),
    )


def _muscle(
    flank: _Flank, usual: npt.NDArray[np.float64], grid: Geometry, *, config: AnatomyConfig
) -> BoolArray | None:
    line = _middle_line(flank, usual, grid, config=config)
    if len(line) * grid.spacing_mm[0] < config.psoas_min_mm:
        return None
    depth = ndimage.gaussian_filter(flank.depth, 0.7)
    markers = np.zeros(depth.shape, np.int32)
    (front_low, front_high), (side_low, side_high) = config.psoas_front_mm, config.psoas_side_mm
    elsewhere = (flank.side > side_high + 10.0) | (flank.front > front_high + 8.0)
    # Quadratus lumborum and erector spinae lie behind, the latter also medially.
    elsewhere |= (flank.front < front_low - 3.0) & (flank.side > side_low + 12.0)
    # So do the middles of other organs, farther from the line than the muscle is thick.
    middle = np.full((3, depth.shape[0]), np.nan)
    middle[:, line[:, 0]] = [line[:, 0], flank.front[tuple(line.T)], flank.side[tuple(line.T)]]
    away = np.hypot(flank.front - middle[1][:, None, None], flank.side - middle[2][:, None, None])
    elsewhere |= away > config.psoas_apart_mm
    peaks = (depth == ndimage.maximum_filter(depth, 5)) & (depth > 3.0)
    markers[peaks & elsewhere] = 2
    for z, y, x in line:
        markers[z, y, x] = 1
    inside = (flank.depth > 0.0) & (flank.front > front_low - 8.0)
    parts = watershed(-depth, markers, mask=inside)
    psoas = (parts == 1) & (flank.side < side_high + 14.0)
    # The rim of an enhanced kidney or vertebra is as dense as muscle, but thin.
    psoas = opened(psoas, config.psoas_end_radius_mm, grid.spacing_mm)
    psoas = keep_larger(psoas, 2.0 / grid.voxel_ml)
    low, high = line[:, 0].min(), line[:, 0].max()
    psoas[:low] = False
    psoas[high + 1 :] = False
    return psoas if psoas.any() else None


def _middle_line(
    flank: _Flank, usual: npt.NDArray[np.float64], grid: Geometry, *, config: AnatomyConfig
) -> npt.NDArray[np.intp]:
    """Return the best path of the muscle's middle through the slices; rows (z, y, x) of the box.

    Dynamic programming: depth speaks for the middle, distance from the usual place against it; the path may begin
    and end at any slice.
    """
    (front_low, front_high), (side_low, side_high) = config.psoas_front_mm, config.psoas_side_mm
    place = (flank.front > front_low) & (flank.front < front_high)
    place &= (flank.side > side_low) & (flank.side < side_high)
    aside = usual[:, None, None].astype(np.float32)
    off = np.hypot(flank.front - config.psoas_ahead_mm, flank.side - aside) / config.psoas_spread_mm
    score = np.minimum(flank.depth, config.psoas_usual_radius_mm) / config.psoas_usual_radius_mm
    score = score - 0.5 * off**2 - config.psoas_end_radius_mm / config.psoas_usual_radius_mm
    score[~place | (flank.depth <= config.psoas_end_radius_mm)] = -1.0
    total = score.copy()
    for z in range(1, len(score)):
        total[z] += np.maximum(ndimage.maximum_filter(total[z - 1], 3), 0.0)
    z, y, x = (int(k) for k in np.unravel_index(int(np.argmax(total)), total.shape))
    points = [(z, y, x)]
    while z > 0:
        y0, x0 = max(0, y - 1), max(0, x - 1)
        near = total[z - 1, y0 : y + 2, x0 : x + 2]
        if float(near.max()) <= 0.0:
            break
        dy, dx = np.unravel_index(int(np.argmax(near)), near.shape)
        z, y, x = z - 1, y0 + int(dy), x0 + int(dx)
        points.append((z, y, x))
    line = np.array(points[::-1], np.intp)
    thickest = float(flank.depth[tuple(line.T)].max())
    return line if thickest >= config.psoas_min_radius_mm else line[:0]
