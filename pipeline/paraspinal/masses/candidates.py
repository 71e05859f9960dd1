"""Soft tissue beside the spine, parted into compact regions.

Everything soft inside the chest wall (or beside the lumbar column) that is no known structure is parted at its necks
by a watershed on the distance to its border; parts that are joined broadly and look alike are put together again, so
that one organ or one mass is one region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from paraspinal.anatomy.morphology import dilate, distance_inside, opened
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.masses.average import averaged_within, robust_sd
from paraspinal.masses.compartments import Compartments
from paraspinal.masses.heights import psoas_top_s
from paraspinal.masses.muscle import lumps_in_muscle
from paraspinal.volume import BoolArray, Region, Spacing

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SoftRegions:
    """Compact regions of soft tissue in the box of the spine coordinates.

    ``labels`` numbers them (0: none); ``radius_mm`` is the radius of the largest sphere inside each and ``step_hu``
    its difference from the muscle around it, whose density is ``muscle_hu``; 0 for what is no lump within muscle
    (index 0 unused). ``soft`` is all soft tissue that was parted.
    """

    labels: Labels
    radius_mm: npt.NDArray[np.float64]
    step_hu: npt.NDArray[np.float64]
    muscle_hu: float
    soft: BoolArray


def soft_regions(anatomy: Anatomy, places: Compartments, *, config: MassConfig) -> SoftRegions:
    """Part the soft tissue of the search space into compact regions."""
    where, spacing = anatomy.spine, anatomy.geometry.spacing_mm
    hu = anatomy.hu[where.box]
    smooth = ndimage.gaussian_filter(np.clip(hu, -300, 300), 1.0)
    soft = _soft(hu, smooth, anatomy.mask("bone")[where.box], config=config) & places.search
    soft &= ~_known(anatomy, places, config=config)
    lumps = lumps_in_muscle(anatomy, places, soft, config=config)
    lump = lumps.labels > 0
    rest = soft & ~lump
    lumbar = where.s < psoas_top_s(anatomy)
    thick = np.where(
        lumbar, opened(rest, config.lumbar_opening_mm, spacing), opened(rest, config.opening_mm, spacing)
    )
    inside = distance_inside(thick, spacing)
    depth = ndimage.gaussian_filter(inside, 1.0)
    markers = _markers(depth, thick, config=config)
    basins = watershed(-depth, markers, mask=thick).astype(np.int32)
    merged = _merge_alike(basins, depth, smooth, anatomy.geometry.voxel_ml, config=config)
    count = int(merged.max())
    labels = np.where(lump, lumps.labels + count, merged).astype(np.int32)
    inside = np.where(lump, distance_inside(lump, spacing), inside)
    peak = _peaks(labels, inside, count + len(lumps.step_hu))
    steps = np.concatenate([np.zeros(count + 1), lumps.step_hu[1:]])
    return SoftRegions(labels, peak, steps, lumps.muscle_hu, soft)


def _soft(
    hu: npt.NDArray[np.float32], smooth: npt.NDArray[np.float32], bone: BoolArray, *, config: MassConfig
) -> BoolArray:
    """Soft tissue, up to bone.

    Bright tissue is told from noise by its surroundings' mean; beside bone that mean is the bone's.
    """
    beside_bone = ndimage.binary_dilation(bone, iterations=2) & ~bone
    soft = (hu > config.soft_hu[0]) & (
        (smooth < config.soft_hu[1]) | (beside_bone & (hu < config.soft_hu[1]))
    )
    return np.asarray(soft)


def _known(anatomy: Anatomy, places: Compartments, *, config: MassConfig) -> BoolArray:
    """Aerated lung, aorta, crura, liver, spleen and kidneys, in the box.

    A mass of like density that touches an organ is easily taken into it. What bulges from an organ into the
    compartment and is no wider than ``organ_bulge_mm``, and what in the compartment differs from the rest of the
    organ, is therefore given back to the search.
    """
    box, spacing = anatomy.spine.box, anatomy.geometry.spacing_mm
    known = anatomy.mask("lungs")[box] & (anatomy.hu[box] < config.soft_hu[0])
    known |= dilate(anatomy.mask("aorta")[box], config.aortic_wall_mm, spacing)
    if "crura" in anatomy.masks:
        known |= anatomy.masks["crura"][box]
    for name in ("liver", "spleen", "kidney_left", "kidney_right"):
        organ = anatomy.mask(name)[box] if name in anatomy.masks else np.zeros(known.shape, bool)
        if organ.any():
            own = Region.of(organ).padded((1, 1, 1), _shape(organ)).box
            part = organ[own]
            bulge = ~opened(part, config.organ_bulge_mm, spacing)
            unlike = _unlike_rest(part, anatomy.hu[box][own], spacing, config=config)
            known[own] |= part & ~(places.zone[own] & (bulge | unlike))
    return np.asarray(known)


def _shape(mask: BoolArray) -> tuple[int, int, int]:
    z, y, x = mask.shape
    return (z, y, x)


def _unlike_rest(
    organ: BoolArray, hu: npt.NDArray[np.float32], spacing: Spacing, *, config: MassConfig
) -> BoolArray:
    """Parts of an organ whose HU, averaged over some millimetres inside it, differ from its median."""
    mean = averaged_within(hu, organ, spacing, sigma_mm=config.unlike_sigma_mm)
    level = float(np.median(mean[organ]))
    limit = max(config.unlike_hu, 2.5 * robust_sd(mean[organ]))
    return np.asarray(organ & (np.abs(mean - level) > limit))


def _markers(depth: npt.NDArray[np.float32], thick: BoolArray, *, config: MassConfig) -> Labels:
    """One marker per local maximum of depth that rises above its surroundings."""
    size = config.marker_window_voxels
    peak = (depth == ndimage.maximum_filter(depth, size)) & thick & (depth > 0.8 * config.opening_mm)
    return np.asarray(ndimage.label(peak, structure=np.ones((3, 3, 3)))[0], np.int32)


def _merge_alike(
    basins: Labels,
    depth: npt.NDArray[np.float32],
    smooth: npt.NDArray[np.float32],
    voxel_ml: float,
    *,
    config: MassConfig,
) -> Labels:
    """Join neighbouring basins whose neck is nearly as wide as the thinner of them and whose HU agree."""
    count = int(basins.max()) + 1
    index = np.arange(count)
    peak = _peaks(basins, depth, count)
    size = np.maximum(np.bincount(basins.ravel(), minlength=count), 1)
    level = np.bincount(basins.ravel(), weights=smooth.ravel(), minlength=count) / size
    necks: dict[tuple[int, int], float] = {}
    for axis in range(3):
        low = np.take(basins, np.arange(basins.shape[axis] - 1), axis)
        high = np.take(basins, np.arange(1, basins.shape[axis]), axis)
        width = np.minimum(
            np.take(depth, np.arange(basins.shape[axis] - 1), axis),
            np.take(depth, np.arange(1, basins.shape[axis]), axis),
        )
        touch = (low != high) & (low > 0) & (high > 0)
        first, second = np.minimum(low[touch], high[touch]), np.maximum(low[touch], high[touch])
        for a, b, w in zip(first.tolist(), second.tolist(), width[touch].tolist(), strict=True):
            if w > necks.get((a, b), 0.0):
                necks[(a, b)] = w
    root = index.copy()
    few = config.merge_always_ml / voxel_ml
    for (a, b), width_mm in sorted(necks.items(), key=lambda item: -item[1]):
        ra, rb = _find(root, a), _find(root, b)
        if ra == rb:
            continue
        alike = abs(level[ra] - level[rb]) < config.merge_hu
        thin, thick = sorted((peak[ra], peak[rb]))
        # A muscle that runs into a mass is as wide at the neck as anywhere: the step in thickness tells them apart.
        alike &= thick < config.merge_step * thin or min(size[ra], size[rb]) < few
        if alike and width_mm > config.merge_neck * thin:
            root[rb] = ra
            total = size[ra] + size[rb]
            level[ra] = (level[ra] * size[ra] + level[rb] * size[rb]) / total
            size[ra], peak[ra] = total, max(peak[ra], peak[rb])
    final = np.array([_find(root, int(k)) for k in index])
    final[0] = 0
    return np.asarray(final[basins], np.int32)


def _peaks(labels: Labels, depth: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float64]:
    """Return the greatest depth within each of `count` labels; 0 for the background."""
    peak = np.zeros(count)
    inside = labels > 0
    np.maximum.at(peak, labels[inside], depth[inside])
    return peak


def _find(root: npt.NDArray[np.int64], k: int) -> int:
    while root[k] != k:
        k = int(root[k])
    return k


class _Described(Protocol):
    @property
    def label(self) -> int: ...
    @property
    def mean_hu(self) -> float: ...


def join_touching(
    regions: SoftRegions, candidates: Sequence[_Described], *, config: MassConfig
) -> tuple[SoftRegions, set[int]]:
    """Join candidates that touch and differ by less than `merge_hu`; also return the labels that grew by it."""
    mean = {c.label: c.mean_hu for c in candidates}
    root = np.arange(len(regions.radius_mm))
    boxes = ndimage.find_objects(regions.labels)
    for label in mean:
        grown = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in boxes[label - 1])
        here = regions.labels[grown]
        around = np.unique(here[ndimage.binary_dilation(here == label) & (here != label)])
        for other in map(int, around):
            if other in mean and abs(mean[other] - mean[label]) < config.merge_hu:
                a, b = sorted((_find(root, label), _find(root, other)))
                root[b] = a
    final = {label: _find(root, label) for label in mean}
    names = {a for label, a in final.items() if a != label}
    if not names:
        return regions, set()
    table = np.arange(len(regions.radius_mm), dtype=np.int32)
    radius = regions.radius_mm.copy()
    for label, a in final.items():
        table[label] = a
        radius[a] = max(radius[a], radius[label])
    return replace(regions, labels=table[regions.labels], radius_mm=radius), names
