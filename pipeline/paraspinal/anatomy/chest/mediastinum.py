"""Heart region and prevertebral region: where tissue is explained by what normally lies there."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from paraspinal.anatomy.chest.diaphragm import Domes
from paraspinal.anatomy.grid import Float32Volume, halved
from paraspinal.anatomy.morphology import dilate, largest, opened
from paraspinal.anatomy.spine.canal import CanalTrace
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_SOFT_HU = -20.0
_FAT_HU = -150.0


def heart_region(
    hu: Float32Volume,
    masks: Mapping[str, BoolArray],
    domes: Domes,
    carina_z: float | None,
    trace: CanalTrace,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> BoolArray | None:
    """Thick soft tissue above the diaphragm, between the lungs and in front of the spine; None where there is little.

    It holds the heart and the roots of its vessels; no chamber is told apart.
    """
    nz, ny, _ = hu.shape
    top = nz if carina_z is None else int(carina_z - config.heart_below_carina_mm / grid.spacing_mm[0])
    front = (trace.at(np.arange(nz))[:, 0, None] - np.arange(ny)[None, :]) * grid.spacing_mm[1]
    place = _between_lungs(masks["lungs"]) & ~masks["lungs"] & masks["body"]
    place &= (front > config.heart_front_mm)[:, :, None]
    place &= np.asarray(np.arange(nz)[:, None, None] > domes.height[None] + 1.0)
    place &= (np.arange(nz) < top)[:, None, None]
    others = [masks[name] for name in ("airway", "aorta", "effusion_left", "effusion_right") if name in masks]
    for other in others:
        place &= ~other
    place &= hu > _SOFT_HU
    coarse = halved(grid)
    core = largest(opened(coarse.most(place), 10.0, coarse.geometry.spacing_mm))
    if core.sum() * coarse.geometry.voxel_ml < config.min_heart_ml:
        return None
    return np.asarray(dilate(coarse.back(core), 5.0, grid.spacing_mm) & place)


def _between_lungs(lungs: BoolArray) -> BoolArray:
    """Convex hull of the lungs in every slice: it holds the mediastinum and no chest wall."""
    out = np.zeros(lungs.shape, np.uint8)
    for z in np.flatnonzero(lungs.any(axis=(1, 2))):
        points = cv2.findNonZero(lungs[z].astype(np.uint8))
        cv2.fillConvexPoly(out[z], cv2.convexHull(points), 1)
    return out > 0


def prevertebral_region(
    hu: Float32Volume,
    masks: Mapping[str, BoolArray],
    where: SpineCoordinates,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> BoolArray | None:
    """Return oesophagus, azygos vein and thoracic duct with their fat: in front of the bodies, beside the aorta.

    Its depth follows the front of the column; it ends at lung, airway and aorta. Only slices that show lung on both
    sides hold it: below lies the retroperitoneum.
    """
    box = where.box
    middle = np.abs(where.left) < 8.0
    ahead = np.where(masks["column"][box] & middle, where.anterior, -np.inf).max(axis=(1, 2))
    known = np.isfinite(ahead)
    if not known.any():
        return None
    slices = np.arange(len(ahead))
    start = np.interp(slices, slices[known], ahead[known])[:, None, None]
    region: BoolArray = np.asarray(where.anterior > start - 12.0)
    region &= where.anterior < start + config.prevertebral_depth_mm
    region &= np.abs(where.left) < config.prevertebral_half_mm
    region &= (hu[box] > _FAT_HU) & masks["body"][box] & ~masks["column"][box] & ~masks["lungs"][box]
    sides = np.asarray(masks["lung_left"].any(axis=(1, 2)) & masks["lung_right"].any(axis=(1, 2)))
    region &= sides[box[0], None, None]
    out = np.zeros(hu.shape, bool)
    out[box] = region
    for name in ("airway", "aorta", "heart", "canal", "bone"):
        if name in masks:
            out &= ~masks[name]
    return out if out.any() else None
