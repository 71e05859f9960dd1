"""Put together what one scan can carry."""

from __future__ import annotations

import cc3d
import numpy as np

from paraspinal.config import QualityConfig
from paraspinal.quality.noise import noise_sd
from paraspinal.quality.phase import contrast_phase
from paraspinal.quality.resolution import edge_fwhm_mm
from paraspinal.quality.types import ScanQuality, is_reference_kvp
from paraspinal.volume import CTVolume, Region


def assess_quality(
    volume: CTVolume, *, aortic_lumen_hu: float | None = None, config: QualityConfig | None = None
) -> ScanQuality:
    """Judge noise, edge response, contrast phase, calibration and metal of a scan.

    Parameters
    ----------
    volume : CTVolume
        Native voxels with what the headers say.
    aortic_lumen_hu : float, optional
        Mean of the aortic lumen, once the aorta was found; without it the phase stays indeterminate.
    config : QualityConfig, optional
        Thresholds.
    """
    config = config or QualityConfig()
    phase, enhanced, evidence = contrast_phase(
        volume.acquisition, aortic_lumen_hu=aortic_lumen_hu, config=config
    )
    kvp = volume.acquisition.kvp or None  # some writers put 0 for "not known"
    known = is_reference_kvp(kvp)
    return ScanQuality(
        noise_sd_hu=noise_sd(volume, config=config),
        edge_fwhm_mm=edge_fwhm_mm(volume, config=config),
        contrast_phase=phase,
        contrast_evidence=evidence,
        kvp=kvp,
        calibration_sd_hu=config.calibration_sd_hu if known else config.calibration_sd_unknown_kvp_hu,
        metal_ml=metal_ml(volume, config=config),
        enhanced=enhanced,
    )


def metal_ml(volume: CTVolume, *, config: QualityConfig | None = None) -> float:
    """Return the volume (mL) of connected voxels that are denser than any bone."""
    config = config or QualityConfig()
    dense = volume.hu > config.metal_hu
    if not dense.any():
        return 0.0
    box = Region.of(dense).mask
    voxel = volume.geometry.voxel_ml
    sizes = np.bincount(np.asarray(cc3d.connected_components(box, connectivity=26)).ravel())[1:]
    return float(sizes[sizes * voxel >= config.metal_min_ml].sum() * voxel)
