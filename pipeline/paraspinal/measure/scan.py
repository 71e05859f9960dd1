"""What the scan itself can carry, as measurements."""

from __future__ import annotations

from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements


def measure_scan(quality: ScanQuality) -> Measurements:
    """Return ``noise_sd_hu`` and ``edge_fwhm_mm``."""
    return {
        "noise_sd_hu": _or_missing(quality.noise_sd_hu, "[hnsf'U]", "too little homogeneous soft tissue"),
        "edge_fwhm_mm": _or_missing(quality.edge_fwhm_mm, "mm", "too few clean edges of skin or lung"),
    }


def _or_missing(value: float | None, unit: str, reason: str) -> Measurement:
    return Measurement.missing(unit, reason) if value is None else Measurement.measured(value, unit)
