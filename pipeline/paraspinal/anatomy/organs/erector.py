"""Erector spinae and its deep companions (autochthonous muscles of the back), left and right.

Seen from behind, every column of voxels beside the midline meets fat, muscle and then bone: ribs, transverse
processes, laminae. The muscle lies between its fascia (the roof) and that bone (the floor), which is carried on
from process to process and from rib to rib. It ends to the side where roof and floor come together. Above the
lumbar spine, flat muscles of the shoulder girdle lie on it, of about the same thickness in everybody; they are
taken off the roof.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.morphology import closed, ellipse, keep_larger, opened, per_slice
from paraspinal.anatomy.types import Vertebra
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

Map = npt.NDArray[np.float32]

_GIRDLE_MM = {"C": 10.0, "T": 3.0, "L": 1.5, "S": 1.5}
_GIRDLE_THORACIC_MM = ([1, 4, 8, 12], [10.0, 7.0, 4.0, 3.0])  # at T1, T4, T8, T12
_LEAN_HU = -30.0  # half way from fat (-100) to muscle (+50)
_CLEFT_HU = 0.0  # fat and muscle side by side in one voxel lie below
_MARBLED_HU = -45.0  # muscle with much fat in it, still more muscle than fat
_SKIN_MM = 4.0  # skin is 1-4 mm thick; where there is no fat under it, it is not muscle
_MIN_PIECE_ML = 2.0  # smaller pieces are noise; a slab of one vertebra holds 15 mL
_SMOOTH_MM = 2.1  # what is thinner than two voxels of the working grid is the grid's
_FLAT_MM = 6.0  # skin and fascia are thinner than this, erector spinae is thicker


@dataclass(frozen=True, slots=True)
class _Back:
    """The box behind the canal: voxels [z, y, x] with the distance of every column from the canal's middle (mm)."""

    box: tuple[slice, slice, slice]
    light: Map
    body: BoolArray
    side: Map
    canal_y: Map


def find_erector_spinae(
    hu: npt.NDArray[np.float32],
    body: BoolArray,
    canal_yx: npt.NDArray[np.float64],
    covered_mm: npt.NDArray[np.float64],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> tuple[BoolArray, BoolArray]:
    """Return the left and the right muscle on the working grid, [z, y, x].

    Parameters
    ----------
    canal_yx : ndarray, (nz, 2)
        Middle of the canal in every slice (index); NaN where it was not traced.
    covered_mm : ndarray, (nz,)
        Thickness of the muscles of the shoulder girdle that lie on the back in every slice.
    """
    left, right = np.zeros(hu.shape, bool), np.zeros(hu.shape, bool)
    back = _behind_the_canal(hu, body, canal_yx, grid, config=config)
    if back is None:
        return left, right
    step = grid.spacing_mm[1]
    roof = _roof(back, grid) - (covered_mm[back.box[0], None] / step).astype(np.float32)
    floor = _floor(back, roof, grid, config=config)
    girdle = covered_mm[back.box[0]] > config.erector_girdle_mm
    inside = _inside(roof, floor, back, girdle, grid, config=config)
    y = np.arange(back.light.shape[1], dtype=np.float32)[None, :, None]
    bed = floor + config.erector_off_bone_mm / step
    muscle = (y > bed[:, None]) & (y <= roof[:, None]) & inside[:, None]
    bone = back.light > config.bone_threshold_hu - 30.0
    lean = (back.light > _MARBLED_HU) & ~bone & back.body
    # Streaks of fat inside belong to it: what its fascia encloses is one muscle.
    muscle &= closed(muscle & lean, config.erector_streak_mm, grid.spacing_mm) & ~bone & back.body
    muscle = opened(muscle, _SMOOTH_MM, grid.spacing_mm)
    piece = _MIN_PIECE_ML / grid.voxel_ml
    left[back.box] = keep_larger(muscle & (back.side > 0)[:, None], piece)
    right[back.box] = keep_larger(muscle & (back.side < 0)[:, None], piece)
    return left, right


def girdle_over_back(vertebrae: tuple[Vertebra, ...], grid: Geometry) -> npt.NDArray[np.float64]:
    """Return how thick the muscles of the shoulder girdle lie on the back (mm) in every slice of the grid.

    Trapezius, rhomboids and latissimus: textbook anatomy, thick between the shoulder blades, an aponeurosis of
    1-2 mm from L1 down.
    """
    if not vertebrae:
        return np.zeros(grid.shape[0])
    z = np.array([float(grid.to_index(v.centroid_lps_mm)[0]) for v in vertebrae])
    thick = np.array([_girdle_mm(v.label) for v in vertebrae])
    order = np.argsort(z)
    return np.asarray(np.interp(np.arange(grid.shape[0]), z[order], thick[order]))


def _girdle_mm(label: str) -> float:
    if label.startswith("T"):
        return float(np.interp(int(label[1:]), *_GIRDLE_THORACIC_MM))
    return _GIRDLE_MM.get(label[:1], 0.0)


def _behind_the_canal(
    hu: npt.NDArray[np.float32],
    body: BoolArray,
    canal_yx: npt.NDArray[np.float64],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> _Back | None:
    traced = np.flatnonzero(np.isfinite(canal_yx[:, 0]))
    if not traced.size:
        return None
    z = slice(int(traced[0]), int(traced[-1]) + 1)
    _, sy, sx = grid.spacing_mm
    reach = config.erector_side_mm / sx
    y0 = max(0, int(np.nanmin(canal_yx[:, 0]) - config.erector_front_mm / sy))
    x0 = max(0, int(np.nanmin(canal_yx[:, 1]) - reach))
    x1 = min(hu.shape[2], int(np.nanmax(canal_yx[:, 1]) + reach) + 2)
    box = (z, slice(y0, hu.shape[1]), slice(x0, x1))
    light = ndimage.gaussian_filter(np.clip(hu[box], -200, 300), 0.7)
    side = (np.arange(x0, x1)[None, :] - canal_yx[z, 1:2]) * sx
    return _Back(box, light, body[box], side.astype(np.float32), (canal_yx[z, 0] - y0).astype(np.float32))


def _roof(back: _Back, grid: Geometry) -> Map:
    """Index y of the most posterior muscle of every column [z, x]; NaN where there is none."""
    sy = grid.spacing_mm[1]
    skin = max(1, round(_SKIN_MM / sy))
    within = per_slice(back.body, cv2.MORPH_ERODE, ellipse(skin, skin))
    pixels = max(1, round(0.5 * _FLAT_MM / sy))
    lean = per_slice((back.light > _LEAN_HU) & within, cv2.MORPH_OPEN, ellipse(pixels, pixels))
    return _smooth(_last(lean), grid, along_mm=4.0, across_mm=3.0)


def _floor(back: _Back, roof: Map, grid: Geometry, *, config: AnatomyConfig) -> Map:
    """Index y of the posterior surface of bone in every column [z, x], carried on between processes and ribs."""
    sz, sy, _ = grid.spacing_mm
    bone = back.light > config.bone_threshold_hu - 30.0
    y = np.arange(bone.shape[1], dtype=np.float32)[None, :, None]
    bone &= (y >= (back.canal_y - config.erector_front_mm / sy)[:, None, None]) & (y <= roof[:, None])
    surface = _last(bone)
    middle = np.abs(back.side) < config.spinous_half_mm
    surface[middle] = np.nan
    low = np.where(np.isnan(surface), -1e3, surface)
    wide = max(1, round(config.erector_bridge_mm / sz))
    near = max(1, wide // 2)
    # Beside the midline facets stand out and multifidus fills what lies between; farther out only
    # processes and ribs do.
    bridged = np.where(
        np.abs(back.side) < config.erector_core_mm,
        ndimage.maximum_filter1d(low, 2 * near + 1, axis=0, mode="nearest"),
        ndimage.maximum_filter1d(low, 2 * wide + 1, axis=0, mode="nearest"),
    )
    floor = np.where(bridged > -1.0, bridged, np.nan).astype(np.float32)
    floor = _carried_outward(floor, back.side, rise=config.erector_floor_rise / sy)
    floor = _bridged_across(floor, back.side, grid, config=config)
    floor = np.fmax(floor, (back.canal_y + config.erector_behind_mm / sy)[:, None])
    return _smooth(floor, grid, along_mm=6.0, across_mm=4.0)


def _bridged_across(floor: Map, side: Map, grid: Geometry, *, config: AnatomyConfig) -> Map:
    """Carry the floor straight over the gap between lamina and rib or process, on either side of the midline."""
    size = 2 * max(1, round(config.erector_gap_mm / grid.spacing_mm[2])) + 1
    out = floor.copy()
    for half in (side > 0, side <= 0):
        own = np.where(half & np.isfinite(floor), floor, -1e3)
        closing = ndimage.grey_closing(own, size=(1, size))
        known = half & (closing > -1.0)
        out[known] = closing[known]
    return out


def _carried_outward(floor: Map, side: Map, *, rise: float) -> Map:
    """Fill what is unknown from the nearest known column on the same side; outward the floor rises."""
    out = floor.copy()
    for half in (side > 0, side <= 0):
        known = np.isfinite(floor) & half
        if not known.any():
            continue
        index = ndimage.distance_transform_edt(
            ~known, sampling=(20.0, 1.0), return_distances=False, return_indices=True
        )
        nearest = floor[tuple(index)] + rise * np.maximum(0.0, np.abs(side) - np.abs(side[tuple(index)]))
        out[half] = nearest[half]
    return out


def _inside(
    roof: Map, floor: Map, back: _Back, girdle: BoolArray, grid: Geometry, *, config: AnatomyConfig
) -> BoolArray:
    """Columns [z, x] between the midline and the place where roof and floor meet."""
    sz, sy, _ = grid.spacing_mm
    thick = np.nan_to_num((roof - floor) * sy, nan=0.0)
    thick = ndimage.gaussian_filter1d(thick, 6.0 / sz, axis=0)
    side = np.abs(back.side)
    ends = (thick < config.erector_edge_mm) & (side > config.erector_core_mm)
    # Under latissimus a fatty cleft is the muscle's border; in the loin clefts lie inside of it.
    cleft = (_lean_share(roof, floor, back, sz) < config.erector_cleft_share) & girdle[:, None]
    ends |= cleft & (side > config.erector_cleft_mm)
    out = np.zeros(thick.shape, bool)
    for sign in (1.0, -1.0):
        own = np.where((sign * back.side > 0) & ends, side, config.erector_side_mm).min(axis=1)
        half = 2 * max(1, round(6.0 / sz)) + 1
        own = ndimage.median_filter(own, half, mode="nearest")
        # Gluteus joins it below the iliac crest; it never widens so fast.
        for z in range(len(own) - 2, -1, -1):
            own[z] = min(own[z], own[z + 1] + config.erector_widening * sz)
        out |= (sign * back.side > config.erector_midline_mm) & (side < own[:, None])
    return np.asarray(out & (thick > 2.0))


def _lean_share(roof: Map, floor: Map, back: _Back, sz: float) -> Map:
    """Share of lean tissue between roof and floor of every column [z, x], averaged over 6 mm of height."""
    y = np.arange(back.light.shape[1], dtype=np.float32)[None, :, None]
    between = (y > floor[:, None]) & (y <= roof[:, None])
    lean = (between & (back.light > _CLEFT_HU)).sum(axis=1).astype(np.float32)
    sigma = (6.0 / sz, 0.7)
    return np.asarray(
        ndimage.gaussian_filter(lean, sigma)
        / np.maximum(ndimage.gaussian_filter(between.sum(axis=1).astype(np.float32), sigma), 0.5)
    )


def _last(mask: BoolArray) -> Map:
    """Highest index y of a voxel of each column; NaN where there is none."""
    found = mask.any(axis=1)
    index = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
    return np.where(found, index, np.nan).astype(np.float32)


def _smooth(values: Map, grid: Geometry, *, along_mm: float, across_mm: float) -> Map:
    """Gaussian over (z, x) that passes over what is unknown."""
    known = np.isfinite(values)
    sigma = (along_mm / grid.spacing_mm[0], across_mm / grid.spacing_mm[2])
    weight = ndimage.gaussian_filter(known.astype(np.float32), sigma)
    total = ndimage.gaussian_filter(np.where(known, values, 0.0).astype(np.float32), sigma)
    return np.where(weight > 0.3, total / np.maximum(weight, 1e-3), np.nan).astype(np.float32)
