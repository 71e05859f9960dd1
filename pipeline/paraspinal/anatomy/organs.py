"""Liver and spleen: the largest even soft organ on the right, and the one beside the left posterior ribs.

Each begins at the centre of the largest sphere of even tissue that fits its place, and grows within a band of HU
around that core. Organs that touch broadly are parted at their neck, narrow bridges are cut with ever larger
openings until the organ no longer lies where it cannot be. What comes out too small, too large or in the wrong place
all the same is `indeterminate`, not forced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from paraspinal.anatomy.coordinates import SpineCoordinates
from paraspinal.anatomy.morphology import closed, components, dilate, distance_inside, erode, fill_slices
from paraspinal.anatomy.types import Organ
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_SPILL_WEIGHT = 8.0  # 5 % of an organ in the wrong place make it indeterminate (engineering default)


@dataclass(frozen=True, slots=True)
class SoftTissue:
    """Smoothed HU, where it is even, and where an organ may be at all: in the body, off bone, lung and vessels."""

    smooth: npt.NDArray[np.float32]
    even: BoolArray
    allowed: BoolArray


def even_tissue(
    hu: npt.NDArray[np.float32],
    body: BoolArray,
    excluded: BoolArray,
    padding: BoolArray,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> SoftTissue:
    """Find even soft tissue of the working grid ([z, y, x]).

    The body's wall is left out, but not where `padding` cuts the body: there the organ itself meets the end.
    """
    smooth = ndimage.gaussian_filter(np.clip(hu, -200, 300), 3.0 / np.asarray(grid.spacing_mm))
    steep = np.sqrt(sum(g**2 for g in np.gradient(smooth)))
    low, high = config.organ_hu
    inside = (smooth > low) & (smooth < high) & (steep < config.organ_gradient_hu)
    allowed = erode(body | padding, config.body_wall_mm, grid.spacing_mm) & body & ~excluded
    return SoftTissue(smooth, inside & allowed, allowed)


@dataclass(frozen=True, slots=True)
class FoundOrgan:
    """An organ's mask (None unless present) and what is known about it."""

    mask: BoolArray | None
    organ: Organ


def find_liver(
    tissue: SoftTissue, where: SpineCoordinates, grid: Geometry, *, config: AnatomyConfig
) -> FoundOrgan:
    """Find the liver, right of the spine's middle below the right lung."""
    place = np.zeros(tissue.even.shape, bool)
    place[where.box] = (where.left < -35.0) & (where.anterior > -10.0)
    return _grown(
        tissue,
        place,
        grid,
        limits_ml=config.liver_ml,
        min_radius_mm=24.0,
        foreign=lambda mask: _not_liver(mask, where),
        config=config,
    )


def find_spleen(
    tissue: SoftTissue,
    cage: BoolArray,
    liver: BoolArray | None,
    where: SpineCoordinates,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> FoundOrgan:
    """Find the spleen, left behind, near the ribs."""
    place = np.zeros(tissue.even.shape, bool)
    place[where.box] = (where.left > 48.0) & (where.anterior < 55.0)
    if cage.any():
        place &= cage & (distance_inside(cage, grid.spacing_mm) < 40.0)
    if liver is not None:
        place &= ~liver
        off = ~dilate(liver, 3.0, grid.spacing_mm)
        tissue = SoftTissue(tissue.smooth, tissue.even & off, tissue.allowed & off)
    return _grown(
        tissue,
        place,
        grid,
        limits_ml=config.spleen_ml,
        min_radius_mm=12.0,
        foreign=lambda mask: _in_box(where.left < 20.0, mask, where),
        config=config,
    )


def _grown(
    tissue: SoftTissue,
    place: BoolArray,
    grid: Geometry,
    *,
    limits_ml: tuple[float, float],
    min_radius_mm: float,
    foreign: Callable[[BoolArray], BoolArray],
    config: AnatomyConfig,
) -> FoundOrgan:
    if not place.any():
        return FoundOrgan(None, Organ("not_in_view", 0.9, reason="its place lies outside the scan"))
    depth = distance_inside(tissue.even, grid.spacing_mm)
    depth[~place] = 0.0
    seed = np.unravel_index(int(np.argmax(depth)), depth.shape)
    if float(depth[seed]) < min_radius_mm:
        return FoundOrgan(None, Organ("indeterminate", 0.3, reason="no large even tissue at its place"))
    core = np.zeros(tissue.even.shape, bool)
    core[tuple(slice(max(0, int(c) - 2), int(c) + 3) for c in seed)] = True
    level = float(np.median(tissue.smooth[core & tissue.even]))
    band = (np.abs(tissue.smooth - level) < config.organ_band_hu) & tissue.allowed
    inside = distance_inside(band, grid.spacing_mm)
    best = FoundOrgan(None, Organ("indeterminate", 0.3, reason="its core could not be grown"))
    for opening in config.organ_opening_mm:
        labels, _ = components(inside > opening)
        if labels[seed] == 0:
            break
        mask = dilate(labels == labels[seed], opening, grid.spacing_mm) & band
        mask = fill_slices(closed(mask, 4.0, grid.spacing_mm) & (tissue.smooth > -20.0))
        for part in (mask, _split(mask, foreign(mask), inside, seed)):
            elsewhere = foreign(part)
            best = _judged(part & ~elsewhere, grid, limits_ml, _share(part, elsewhere))
            if best.mask is not None:
                return best
    return best


def _split(
    mask: BoolArray, foreign: BoolArray, depth: npt.NDArray[np.float32], seed: tuple[np.intp, ...]
) -> BoolArray:
    """Part two organs that touch: a watershed on depth between the seed and the deepest voxel of the other one."""
    if not (mask & foreign).any():
        return mask
    other = np.unravel_index(int(np.argmax(np.where(mask & foreign, depth, -1.0))), mask.shape)
    markers = np.zeros(mask.shape, np.int32)
    markers[seed], markers[other] = 1, 2
    parts = watershed(-ndimage.gaussian_filter(depth, 1.0), markers, mask=mask)
    return np.asarray(parts == 1)


def _judged(mask: BoolArray, grid: Geometry, limits_ml: tuple[float, float], spill: float) -> FoundOrgan:
    """Withdraw an organ of the wrong size, or of which too much lies where it cannot be: it ran into a neighbour."""
    volume = float(mask.sum()) * grid.voxel_ml
    confidence = float(np.clip(0.9 - _SPILL_WEIGHT * spill, 0.1, 0.9))
    if not limits_ml[0] <= volume <= limits_ml[1]:
        reason = f"the tissue grown at its place measures {volume:.0f} mL"
        return FoundOrgan(None, Organ("indeterminate", 0.3, reason=reason))
    if confidence < 0.5:
        reason = "it could not be told from its neighbours"
        return FoundOrgan(None, Organ("indeterminate", confidence, reason=reason))
    return FoundOrgan(mask, Organ("present", confidence))


def _share(mask: BoolArray, elsewhere: BoolArray) -> float:
    return float((mask & elsewhere).sum()) / max(1, int(mask.sum()))


def _in_box(part: BoolArray, mask: BoolArray, where: SpineCoordinates) -> BoolArray:
    out = np.zeros(mask.shape, bool)
    out[where.box] = part
    return out


def _not_liver(mask: BoolArray, where: SpineCoordinates) -> BoolArray:
    """Where a liver cannot be: far left, left behind (spleen), or above its own right dome (heart)."""
    inside = mask[where.box]
    right = inside & (where.left < -40.0)
    left_behind = (where.left > 45.0) & (where.anterior < 60.0)
    foreign = (where.left > 110.0) | left_behind
    if right.any():
        area = right.sum(axis=(1, 2))
        # The dome is where a good part of the right lobe still is; what reaches higher is heart.
        dome = int(np.flatnonzero(area > 0.15 * area.max()).max())
        foreign[dome + 1 :] = True
        foreign[max(0, dome - 5) :] |= where.left[max(0, dome - 5) :] > 10.0
    return _in_box(foreign, mask, where)


def refine_organ(
    mask: BoolArray, hu: npt.NDArray[np.float32], free: BoolArray, grid: Geometry, *, config: AnatomyConfig
) -> BoolArray:
    """Return the organ on the working grid: its coarse mask, and the rim of like HU that smoothing had cut off."""
    light = ndimage.gaussian_filter(np.clip(hu, -200, 400), 1.0)
    inner = erode(mask, 6.0, grid.spacing_mm)
    level = float(np.median(light[inner if inner.any() else mask]))
    like = np.abs(light - level) < 1.6 * config.organ_band_hu
    return np.asarray((mask | dilate(mask, 5.0, grid.spacing_mm)) & like & free)
