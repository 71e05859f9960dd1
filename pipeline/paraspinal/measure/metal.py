"""Metal in or beside vertebrae: screws, rods and cages, whose streaks and brightness no measure of bone survives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from paraspinal.anatomy.types import Anatomy
from paraspinal.quality.types import ScanQuality
from paraspinal.volume import BoolArray, CTVolume

REASON = "metal in or beside the vertebra"
_METAL_HU = 2500.0  # as in the scan's quality (engineering default)
_LEAST_ML = 0.05
_BESIDE_MM = 8.0
_MOST = 20_000


def metal_levels(volume: CTVolume, anatomy: Anatomy, quality: ScanQuality) -> frozenset[str]:
    """Return the labels of the vertebrae that hold metal, or have some within 8 mm of their outline.

    Metal is what exceeds 2,500 HU over 0.05 mL and more.
    """
    if quality.metal_ml == 0.0:
        return frozenset()
    voxels = np.argwhere(volume.hu > _METAL_HU)
    metal = volume.geometry.to_lps(voxels[:: max(1, len(voxels) // _MOST)])
    each_ml = volume.geometry.voxel_ml * len(voxels) / max(1, len(metal))
    return frozenset(
        v.label
        for v in anatomy.vertebrae
        if np.count_nonzero(_beside(metal, anatomy, v.number)) * each_ml >= _LEAST_ML
    )


def _beside(places_mm: npt.NDArray[np.float64], anatomy: Anatomy, number: int) -> BoolArray:
    """Tell which places (n, 3) lie within or beside the outline of a vertebra."""
    outline = np.argwhere(anatomy.labels.data == number)
    if not len(outline):
        return np.zeros(len(places_mm), bool)
    tree = cKDTree(anatomy.geometry.to_lps(outline))
    away, _ = tree.query(places_mm, distance_upper_bound=_BESIDE_MM)
    return np.asarray(np.isfinite(away))
