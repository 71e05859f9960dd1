"""Put together what one scan can carry."""

from __future__ import annotations

import cc3d
import numpy as np

from paraspinal.config import QualityConfig
from paraspinal.quality.body_edge import breathing_score, field_cut
from paraspinal.quality.noise import noise_map, noise_sd
from paraspinal.quality.phase import contrast_phase
from paraspinal.quality.reconstruction import reconstruction_method
from paraspinal.quality.resolution import edge_response
from paraspinal.quality.slices import slice_fwhm_mm
from paraspinal.quality.types import LumenReadings, ScanQuality, SliceSource, is_reference_kvp
from paraspinal.volume import CTVolume, Region


def assess_quality(
    volume: CTVolume,
    *,
    aortic_lumen_hu: float | None = None,
    lumens: LumenReadings | None = None,
    config: QualityConfig | None = None,
) -> ScanQuality:
    """Judge noise, resolution, contrast phase, calibration, metal, field of view and breathing of a scan.

    Parameters
    ----------
    volume : CTVolume
        Native voxels with what the headers say.
    aortic_lumen_hu : float, optional
        Mean of the aortic lumen, once the aorta was found; without it the phase stays indeterminate.
    lumens : LumenReadings, optional
        All that was read of the vessels, the liver and the kidneys; stands for `aortic_lumen_hu` where given.
    config : QualityConfig, optional
        Thresholds.
    """
    config = config or QualityConfig()
    phase, enhanced, evidence = contrast_phase(
        volume.acquisition, lumens=lumens or LumenReadings(aorta=aortic_lumen_hu), config=config
    )
    method, method_evidence = reconstruction_method(volume.acquisition)
    profile, profile_source = slice_profile(volume, config=config)
    kvp = volume.acquisition.kvp or None  # some writers put 0 for "not known"
    known = is_reference_kvp(kvp)
    edges = edge_response(volume, config=config)
    return ScanQuality(
        noise_sd_hu=noise_sd(volume, config=config),
        edge_fwhm_mm=edges.fwhm_mm,
        contrast_phase=phase,
        contrast_evidence=evidence,
        kvp=kvp,
        calibration_sd_hu=config.calibration_sd_hu if known else config.calibration_sd_unknown_kvp_hu,
        metal_ml=metal_ml(volume, config=config),
        enhanced=enhanced,
        noise=noise_map(volume, config=config),
        slice_fwhm_mm=profile,
        slice_source=profile_source,
        reconstruction=method,
        reconstruction_evidence=method_evidence,
        field_cut=field_cut(volume, config=config),
        breathing_score=breathing_score(volume, config=config),
        structure_transfer=edges.transfer,
    )


def slice_profile(volume: CTVolume, *, config: QualityConfig) -> tuple[float, SliceSource]:
    """Return the slice profile's width (mm): measured, or the header's thickness, or the distance of the slices."""
    measured = slice_fwhm_mm(volume, config=config)
    if measured is not None:
        return measured, "edges"
    thickness = volume.acquisition.slice_thickness_mm
    if thickness:
        return thickness, "header"
    return volume.geometry.spacing_mm[0], "distance"


def metal_ml(volume: CTVolume, *, config: QualityConfig | None = None) -> float:
    """Return the volume (mL) of connected voxels that are denser than any bone."""
    config = config or QualityConfig()
    # Slice by slice: a mask of the whole volume costs more time than all the rest of the judgement.
    held = np.flatnonzero([int(image.max()) > config.metal_hu for image in volume.hu])
    if held.size == 0:
        return 0.0
    box = Region.of(volume.hu[held[0] : held[-1] + 1] > config.metal_hu).mask
    voxel = volume.geometry.voxel_ml
    sizes = np.bincount(np.asarray(cc3d.connected_components(box, connectivity=26)).ravel())[1:]
    return float(sizes[sizes * voxel >= config.metal_min_ml].sum() * voxel)
