"""The blood pool: the lumen of the aorta."""

from __future__ import annotations

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.measure.organ import HU, organ_density, organ_mask
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement
from paraspinal.volume import CTVolume

_LUMEN_DEPTH_MM = 3.0


def measure_aortic_lumen(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality | None = None, *, config: MeasureConfig
) -> Measurement:
    """Return ``aortic_lumen_hu``: the median of native voxels in the middle of the aorta.

    `quality` may be left out when the contrast phase, which needs this figure, is still to be judged; the
    calibration's type B is then left out too.
    """
    mask, missing = organ_mask(anatomy, "aorta", HU)
    if missing is not None:
        return missing
    return organ_density(volume, anatomy, mask, quality, _LUMEN_DEPTH_MM)
