"""The border of a candidate on the native grid, half-way between it and what it borders on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.morphology import distance_inside
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.volume import BoolArray, CTVolume, FloatArray, Region, Spacing

_OWN_SHARE = 0.9  # of a dense piece that lies at the mass; a vessel or kidney goes on
_APART_MM = 1.5  # from what the mass may not enter


def native_region(
    coarse: BoolArray, blocked: BoolArray, volume: CTVolume, anatomy: Anatomy, *, config: MassConfig
) -> Region | None:
    """Refine a candidate to native voxels.

    Parameters
    ----------
    coarse, blocked : ndarrays, [z, y, x]
        The candidate and what it may not enter (bone, other regions, vessels) on the working grid.

    Returns
    -------
    Region or None
        None when nothing is left.

    Notes
    -----
    Within `border_reach_mm` of the coarse border a voxel belongs to the mass when its HU is nearer to the mass than
    to the darkest tissue around it (lung or fat), which puts the border at half height of the edge; towards bone
    at half-way to it. Dense pieces that lie within that reach and touch nothing blocked are the mass's own: a
    calcified rim is no bone.
    """
    box = Region.of(coarse)
    reach = tuple(int(np.ceil((config.border_reach_mm + 4.0) / s)) for s in anatomy.geometry.spacing_mm)
    box = box.padded((reach[0], reach[1], reach[2]), anatomy.geometry.shape)
    start, stop, index = _native_box(box, volume, anatomy)
    crop = volume.hu[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))].astype(np.float32)
    inside = _resample(distance_signed(box.mask, anatomy), index)
    wall = _resample(blocked[box.box].astype(np.float32), index) > 0.5
    spacing = volume.geometry.spacing_mm
    smooth = ndimage.gaussian_filter(crop, [0.5 / s for s in spacing])
    core = inside > min(3.0, 0.6 * float(inside.max()))
    if not core.any():
        return None
    level = float(np.median(crop[core]))
    size = [2 * max(1, round(4.0 / s)) + 1 for s in spacing]
    darkest = ndimage.minimum_filter(ndimage.gaussian_filter(crop, [1.2 / s for s in spacing]), size)
    limit = np.minimum(0.5 * (level + np.maximum(darkest, -900.0)), level - config.border_min_step_hu)
    dense = smooth >= level + config.border_bone_step_hu
    dense &= ~_own_dense(dense, inside, wall, spacing, config=config)
    soft = (smooth > limit) & ~dense
    mask = soft & (inside > -config.border_reach_mm) & ~wall
    mask |= inside > config.border_reach_mm  # calcifications and low-density foci inside stay inside
    mask &= ~wall
    mask = _connected_to(_smoothed(mask, spacing) & ~wall, core)
    mask = _without_thin(ndimage.binary_fill_holes(mask), spacing, config=config)
    if not mask.any():
        return None
    tight = Region.of(mask)
    begin = tuple(a + b for a, b in zip(start, tight.start, strict=True))
    return Region((begin[0], begin[1], begin[2]), tight.mask)


def _own_dense(
    dense: BoolArray,
    inside: npt.NDArray[np.float32],
    wall: BoolArray,
    spacing: Spacing,
    *,
    config: MassConfig,
) -> BoolArray:
    """Dense pieces that lie almost wholly at the mass and apart from bone, vessels and other regions."""
    numbered, count = ndimage.label(dense)
    if not count:
        return dense
    near_wall = ndimage.binary_dilation(wall, iterations=max(1, round(_APART_MM / min(spacing))))
    size = np.bincount(numbered.ravel(), minlength=count + 1)
    here = np.bincount(numbered[inside > -config.border_reach_mm], minlength=count + 1)
    apart = np.bincount(numbered[near_wall], minlength=count + 1) == 0
    own = apart & (here >= _OWN_SHARE * size)
    own[0] = False
    return np.asarray(own[numbered])


def _smoothed(mask: BoolArray, spacing_mm: Spacing) -> BoolArray:
    """Even out what noise frayed: a voxel belongs to the mass when most of its 1 mm surroundings do."""
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), [1.0 / s for s in spacing_mm]) > 0.5)


def _without_thin(mask: BoolArray, spacing: Spacing, *, config: MassConfig) -> BoolArray:
    """Return a mass without what hangs on it and is much thinner than itself: pleura, vessels, intercostal muscle.

    An opening by a share of its own radius; what then lies close to the rest still belongs to it, and so does
    another lobe that only a waist joins.
    """
    if not mask.any():
        return mask
    tight = Region.of(mask)
    depth = distance_inside(np.pad(tight.mask, 1), spacing)[1:-1, 1:-1, 1:-1]
    radius = config.thin_share * float(depth.max())
    core = depth > radius
    part = tight.mask & (distance_inside(~core, spacing) <= radius + config.thin_keeps_mm)
    kept = np.zeros_like(mask)
    kept[tight.box] = part
    numbered, count = ndimage.label(kept)
    if count > 1:
        sizes = np.bincount(numbered.ravel())
        sizes[0] = 0
        kept = np.isin(numbered, np.flatnonzero(sizes > config.lobe_share * sizes.max()))
    return np.asarray(kept)


def distance_signed(mask: BoolArray, anatomy: Anatomy) -> npt.NDArray[np.float32]:
    """Signed distance (mm) to a working-grid mask's border, inside positive."""
    spacing = anatomy.geometry.spacing_mm
    half = 0.5 * min(spacing)
    outside = distance_inside(~mask, spacing) if not mask.all() else np.zeros(mask.shape, np.float32)
    return np.asarray(
        np.where(mask, distance_inside(np.pad(mask, 1), spacing)[1:-1, 1:-1, 1:-1] - half, half - outside),
        np.float32,
    )


def _native_box(
    box: Region, volume: CTVolume, anatomy: Anatomy
) -> tuple[list[int], list[int], list[FloatArray]]:
    """Native start and stop of a working-grid box, and the box-relative working index of each native voxel."""
    start: list[int] = []
    stop: list[int] = []
    index: list[FloatArray] = []
    for s, n, native, coarse in zip(
        box.start, box.mask.shape, volume.geometry.shape, anatomy.geometry.shape, strict=True
    ):
        ratio = native / coarse
        first, last = max(0, int(np.floor(s * ratio))), min(native, int(np.ceil((s + n) * ratio)))
        start.append(first)
        stop.append(last)
        index.append((np.arange(first, last) + 0.5) / ratio - 0.5 - s)
    return start, stop, index


def _resample(values: npt.NDArray[np.float32], index: list[FloatArray]) -> npt.NDArray[np.float32]:
    """Linear interpolation of a box at separable fractional indices."""
    grid = np.meshgrid(*index, indexing="ij")
    return np.asarray(ndimage.map_coordinates(values, grid, order=1, mode="nearest"), np.float32)


def _connected_to(mask: BoolArray, core: BoolArray) -> BoolArray:
    labels, _ = ndimage.label(mask)
    keep = np.unique(labels[core & mask])
    return np.asarray(np.isin(labels, keep[keep > 0]))
