"""What this scan can carry: noise, resolution, contrast phase, reconstruction, metal, field of view, breathing."""

from paraspinal.quality.body_edge import breathing_score, field_cut
from paraspinal.quality.noise import noise_map, noise_sd
from paraspinal.quality.resolution import edge_fwhm_mm
from paraspinal.quality.scan import assess_quality, metal_ml
from paraspinal.quality.slices import slice_fwhm_mm
from paraspinal.quality.types import FieldCut, LumenReadings, NoiseMap, ScanQuality

__all__ = [
    "FieldCut",
    "LumenReadings",
    "NoiseMap",
    "ScanQuality",
    "assess_quality",
    "breathing_score",
    "edge_fwhm_mm",
    "field_cut",
    "metal_ml",
    "noise_map",
    "noise_sd",
    "slice_fwhm_mm",
]
