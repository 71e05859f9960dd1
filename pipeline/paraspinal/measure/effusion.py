"""Pleural effusion of one side: volume and density."""

from __future__ import annotations

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.measure.organ import HU, organ_density, organ_volume, without_organ
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import CTVolume

_EFFUSION_DEPTH_MM = 2.0


def measure_effusion(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, side: str, config: MeasureConfig
) -> Measurements:
    """Return volume and density of the effusion of one `side`; what was not seen is below its detection limit."""
    name = f"effusion_{side}"
    keys = f"{name}_ml", f"{name}_hu"
    organ = anatomy.organs.get(name)
    if organ is not None and organ.presence == "absent":
        limit = config.effusion_limit_ml
        none = Measurement.below("mL", "none seen", limit=limit)
        return {keys[0]: none, keys[1]: Measurement.missing(HU, "no effusion was seen")}
    mask = anatomy.mask(name)
    if not mask.any():
        return without_organ(anatomy, name, dict(zip(keys, ("mL", HU), strict=True)))
    return {
        keys[0]: organ_volume(anatomy, name, mask),
        keys[1]: organ_density(volume, anatomy, mask, quality, _EFFUSION_DEPTH_MM),
    }
