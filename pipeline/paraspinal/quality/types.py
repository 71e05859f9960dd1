"""What this scan can carry."""

from __future__ import annotations

from dataclasses import dataclass

from paraspinal.result import ContrastPhase


@dataclass(frozen=True, slots=True)
class ScanQuality:
    """Noise, resolution and contrast of a scan.

    ``noise_sd_hu`` is the voxel-to-voxel SD in soft tissue at vertebral level on the native grid;
    ``edge_fwhm_mm`` is the in-plane full width at half maximum of the edge response, None when it could not be
    read. ``calibration_sd_hu`` is the type B standard uncertainty of a mean HU. ``enhanced`` tells whether contrast
    medium was in the blood (None: not known), which can be clear when the phase is not.
    """

    noise_sd_hu: float | None
    edge_fwhm_mm: float | None
    contrast_phase: ContrastPhase
    contrast_evidence: str
    kvp: float | None
    calibration_sd_hu: float
    metal_ml: float
    enhanced: bool | None = None
