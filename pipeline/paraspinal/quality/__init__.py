"""What this scan can carry: noise, resolution, contrast phase."""

from paraspinal.quality.noise import noise_sd
from paraspinal.quality.resolution import edge_fwhm_mm
from paraspinal.quality.scan import assess_quality, metal_ml
from paraspinal.quality.types import ScanQuality

__all__ = ["ScanQuality", "assess_quality", "edge_fwhm_mm", "metal_ml", "noise_sd"]
