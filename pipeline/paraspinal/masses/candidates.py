"""Soft tissue beside the spine, parted into compact regions.

Everything soft inside the chest wall (or beside the lumbar column) that is no known structure is parted at its necks
by a watershed on the distance to its border; parts that are joined broadly and look alike are put together again, so
that one organ or one mass is one region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from paraspinal.anatomy.morphology import dilate, distance_inside, opened
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.masses.compartments import Compartments
from paraspinal.volume import BoolArray, Spacing

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SoftRegions:
    """Compact regions of soft tissue in the box of the spine coordinates.

    ``labels`` numbers them (0: none); ``radius_mm`` is the radius of the largest sphere inside each (index 0 unused).
    """

    labels: Labels
    radius_mm: npt.NDArray[np.float64]


def soft_regions(anatomy: Anatomy, places: Compartments, *, config: MassConfig) -> SoftRegions:
    """Part the soft tissue of the search space into compact regions."""
    where, spacing = anatomy.spine, anatomy.geometry.spacing_mm
    hu = anatomy.hu[where.box]
    smooth = ndimage.gaussian_filter(np.clip(hu, -300, 300), 1.0)
    soft = (hu > config.soft_hu[0]) & (smooth < config.soft_hu[1]) & places.search
    soft &= ~_known(anatomy, places, config=config)
    thick = opened(soft, config.opening_mm, spacing)
    depth = ndimage.gaussian_filter(distance_inside(thick, spacing), 1.0)
    markers = _markers(depth, thick, config=config)
    basins = watershed(-depth, markers, mask=thick).astype(np.int32)
    merged = _merge_alike(basins, depth, smooth, anatomy.geometry.voxel_ml, config=config)
    peak = np.zeros(int(merged.max()) + 1)
    np.maximum.at(peak, merged.ravel(), depth.ravel())
    return SoftRegions(merged, peak)


def _known(anatomy: Anatomy, places: Compartments, *, config: MassConfig) -> BoolArray:
    """Aerated lung, aorta, liver and spleen, in the box.

    A mass of like density that touches an organ is easily taken into it. What bulges from an organ into the
    compartment and is no wider than ``organ_bulge_mm``, and what in the compartment differs from the rest of the
    organ, is therefore given back to the search.
    """
    box, spacing = anatomy.spine.box, anatomy.geometry.spacing_mm
    known = anatomy.mask("lungs")[box] & (anatomy.hu[box] < config.soft_hu[0])
    known |= dilate(anatomy.mask("aorta")[box], config.aortic_wall_mm, spacing)
    for name in ("liver", "spleen"):
        organ = anatomy.mask(name)[box]
        if organ.any():
            bulge = ~opened(organ, config.organ_bulge_mm, spacing)
            unlike = _unlike_rest(organ, anatomy.hu[box], spacing, config=config)
            known |= organ & ~(places.zone & (bulge | unlike))
    return np.asarray(known)


def _unlike_rest(
    organ: BoolArray, hu: npt.NDArray[np.float32], spacing: Spacing, *, config: MassConfig
) -> BoolArray:
    """Parts of an organ whose HU, averaged over some millimetres inside it, differ from its median."""
    sigma = [config.unlike_sigma_mm / s for s in spacing]
    weight = ndimage.gaussian_filter(organ.astype(np.float32), sigma)
    mean = ndimage.gaussian_filter(np.where(organ, np.clip(hu, -100, 250), 0.0).astype(np.float32), sigma)
    mean = np.where(organ, mean / np.maximum(weight, 1e-3), 0.0)
    inside = mean[organ]
    level = float(np.median(inside))
    spread = 1.4826 * float(
        np.median(np.abs(inside - level))
    )  # robust SD: vessels and lesions do not widen it
    return np.asarray(organ & (np.abs(mean - level) > max(config.unlike_hu, 2.5 * spread)))


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
    peak = np.zeros(count)
    np.maximum.at(peak, basins.ravel(), depth.ravel())
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


def _find(root: npt.NDArray[np.int64], k: int) -> int:
    while root[k] != k:
        k = int(root[k])
    return k
