"""Thin bone: ribs, sternum, processes; no enhanced vessel or organ."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.morphology import dilate
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_HU_RANGE = (-200, 600)  # beyond it nothing tells thin bone from thick


def bone_contrast(
    hu: npt.NDArray[np.float32], grid: Geometry, *, config: AnatomyConfig
) -> npt.NDArray[np.float32]:
    """Return how far each voxel stands out against what fills a cube that no rib fills (white top-hat), HU.

    An enhanced kidney or aorta is thick, keeps its level under the opening and so vanishes.
    """
    nz, ny, nx = (2 * round(config.rib_thick_mm / step) + 1 for step in grid.spacing_mm)
    kernel = np.ones((ny, nx), np.uint8)
    clipped = np.clip(hu, *_HU_RANGE)
    low = np.stack([cv2.erode(plane, kernel, borderType=cv2.BORDER_REPLICATE) for plane in clipped])
    low = ndimage.minimum_filter1d(low, nz, axis=0, mode="nearest")
    low = ndimage.maximum_filter1d(low, nz, axis=0, mode="nearest")
    thick = np.stack([cv2.dilate(plane, kernel, borderType=cv2.BORDER_REPLICATE) for plane in low])
    return np.asarray(hu - thick, np.float32)


def rib_bone(
    hu: npt.NDArray[np.float32],
    contrast: npt.NDArray[np.float32],
    body: BoolArray,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> BoolArray:
    """Return all bone that may belong to a rib, thin and averaged ones included; leaks are left to the tracking."""
    core = dilate(hu > config.rib_core_hu, config.rib_cortex_reach_mm, grid.spacing_mm)
    return np.asarray((hu > config.rib_bone_hu) & (contrast > config.rib_stands_out_hu) & core & body)


def thin_bone(
    hu: npt.NDArray[np.float32],
    contrast: npt.NDArray[np.float32],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> BoolArray:
    """Return bone that is surely thin and has cortex; what is left of an organ's rim has no cortical bone near."""
    cortical = dilate(hu > config.rib_cortex_hu, config.rib_cortex_reach_mm, grid.spacing_mm)
    return np.asarray((hu > config.bone_threshold_hu) & cortical & (contrast > config.rib_top_hat_hu))
