"""The liver: size and density."""

from __future__ import annotations

import numpy as np

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.measure.body_surface import UNIT, per_surface
from paraspinal.measure.organ import HU, organ_density, organ_length, organ_mask, organ_volume, without_organ
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurements
from paraspinal.volume import CTVolume


def measure_liver(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, config: MeasureConfig
) -> Measurements:
    """Return volume (also by body surface), craniocaudal extent and density of the liver."""
    units = {
        "liver_volume_ml": "mL",
        "liver_ml_per_m2": UNIT,
        "liver_craniocaudal_mm": "mm",
        "liver_hu": HU,
    }
    mask, missing = organ_mask(anatomy, "liver", "mL")
    if missing is not None:
        return without_organ(anatomy, "liver", units)
    height = np.count_nonzero(mask.any(axis=(1, 2))) * anatomy.geometry.spacing_mm[0]
    size = organ_volume(anatomy, "liver", mask)
    return {
        "liver_volume_ml": size,
        "liver_ml_per_m2": per_surface(size, volume.acquisition),
        "liver_craniocaudal_mm": organ_length(anatomy, "liver", height),
        "liver_hu": organ_density(volume, anatomy, mask, quality, config.organ_depth_mm),
    }
