"""Ribs: which vertebra bears one on which side, and how far it reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.coordinates import SpineCoordinates
from paraspinal.anatomy.morphology import components, dilate
from paraspinal.config import AnatomyConfig
from paraspinal.result import Side
from paraspinal.volume import BoolArray, Geometry


@dataclass(frozen=True, slots=True)
class RibNeck:
    """The medial end of a rib.

    ``s_mm`` is its arc length along the canal, ``reach_mm`` the farthest distance from the midline of the bone
    that it belongs to, ``piece`` that bone's component.
    """

    side: Side
    s_mm: float
    reach_mm: float
    piece: int


@dataclass(frozen=True, slots=True)
class RibCage:
    """Rib necks, and the mask of the bone that bears them, in the box of the spine coordinates."""

    necks: tuple[RibNeck, ...]
    mask: BoolArray


def find_ribs(
    hu: npt.NDArray[np.float32],
    where: SpineCoordinates,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> RibCage:
    """Find the posterior parts of ribs among the bone beside the spine.

    A rib is thin, begins at the transverse process and reaches farther to the side than any transverse process.
    Thick bright objects (an enhanced aorta or kidney) are no ribs. Ribs that touch each other laterally still
    have necks of their own.
    """
    lateral = np.abs(where.left)
    band = (lateral > config.rib_cut_mm) & (where.anterior > -60.0) & (where.anterior < 60.0)
    thin = thin_bone(hu[where.box], grid, config=config) & band
    labels, counts = components(thin)
    reach = ndimage.maximum(lateral, labels, index=np.arange(counts.size))
    is_rib = (counts * grid.voxel_ml >= config.rib_min_ml) & (np.asarray(reach) >= config.rib_min_reach_mm)
    is_rib[0] = False
    ribs = is_rib[labels]
    medial = ribs & (lateral < config.rib_cut_mm + 10.0) & (np.abs(where.anterior + 4.0) < 26.0)
    necks = _necks(medial, labels, np.asarray(reach), where)
    return RibCage(necks, ribs & np.isin(labels, [neck.piece for neck in necks]))


def thin_bone(hu: npt.NDArray[np.float32], grid: Geometry, *, config: AnatomyConfig) -> BoolArray:
    """Return bone that is thin and has cortex: ribs, sternum, processes; no enhanced vessel or organ.

    An enhanced kidney or aorta is thick, keeps its level under an opening and so vanishes in the top-hat; what is
    left of its rim has no cortical bone near. Filters are cubes, which are separable.
    """
    size = [2 * round(config.rib_thick_mm / step) + 1 for step in grid.spacing_mm]
    clipped = np.clip(hu, -200, 600)
    low = ndimage.minimum_filter(clipped, size, mode="nearest")
    stands_out = hu - ndimage.maximum_filter(low, size, mode="nearest") > config.rib_top_hat_hu
    cortical = dilate(hu > config.rib_cortex_hu, config.rib_cortex_reach_mm, grid.spacing_mm)
    return np.asarray((hu > config.bone_threshold_hu) & cortical & stands_out)


def _necks(
    medial: BoolArray,
    labels: npt.NDArray[np.integer],
    reach: npt.NDArray[np.floating],
    where: SpineCoordinates,
) -> tuple[RibNeck, ...]:
    parts, counts = components(medial, connectivity=26)
    index = np.arange(1, counts.size)
    if index.size == 0:
        return ()
    s = ndimage.mean(where.s, parts, index)
    left = ndimage.mean(where.left, parts, index)
    owner = ndimage.maximum(labels, parts, index).astype(int)
    return tuple(
        RibNeck("left" if side > 0 else "right", float(position), float(reach[own]), int(own))
        for position, side, own, count in zip(s, left, owner, counts[1:], strict=True)
        if count >= 6
    )
