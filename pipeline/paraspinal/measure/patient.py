"""Whole-patient measurements: spleen, liver, effusions, blood pool, scan."""

from __future__ import annotations

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.measure import aortic_wall, myocardium, rib
from paraspinal.measure.blood_pool import measure_aortic_lumen
from paraspinal.measure.effusion import measure_effusion
from paraspinal.measure.liver import measure_liver
from paraspinal.measure.scan import measure_scan
from paraspinal.measure.spleen import measure_spleen
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurements
from paraspinal.volume import CTVolume


def measure_patient(
    volume: CTVolume,
    anatomy: Anatomy,
    quality: ScanQuality,
    *,
    config: MeasureConfig,
    ribs: rib.RibSurvey | None = None,
) -> Measurements:
    """Return the whole-patient keys of the contract.

    What was not found is ``not_in_view`` or ``not_assessed`` with the organ's reason, what the scan cuts off a lower
    bound. `ribs` is what was read of them (`survey_ribs`), read here without.
    Organs lie on the working grid; their densities are native voxels at the centres of its voxels.
    """
    out: Measurements = {}
    out |= measure_spleen(volume, anatomy, quality, config)
    out |= measure_liver(volume, anatomy, quality, config)
    for side in ("left", "right"):
        out |= measure_effusion(volume, anatomy, quality, side, config)
    out["aortic_lumen_hu"] = measure_aortic_lumen(volume, anatomy, quality, config=config)
    out[aortic_wall.KEY] = aortic_wall.measure_wall_contrast(volume, anatomy, quality, config)
    out[myocardium.KEY] = myocardium.measure_myocardium(volume, anatomy, quality, config)
    read, thick = ribs or rib.survey_ribs(volume, anatomy, quality, config), volume.effective_slice_mm
    out[rib.WIDTH] = rib.measure_rib_width(read, quality, config, slice_mm=thick)
    out[rib.CORTEX] = rib.measure_rib_cortex(read, quality, config, slice_mm=thick)
    return out | measure_scan(quality)
