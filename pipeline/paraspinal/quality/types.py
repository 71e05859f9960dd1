"""What this scan can carry."""

from __future__ import annotations

from dataclasses import dataclass

from paraspinal.result import ContrastPhase

REFERENCE_KVP = 120.0
"""Tube voltage of published HU bands: liver iron [LAWR], trabecular bone [BUDOFF], tissue [HU-tables].

Attenuation of iodine, calcium and iron falls by a fifth to a third from 100 to 140 kVp, so that bands do not carry
over."""
KVP_TOLERANCE = 5.0
NOT_AT_REFERENCE_KVP = (
    f"HU limits hold at {REFERENCE_KVP:g} kVp, and the tube voltage is another or not stated"
)


@dataclass(frozen=True, slots=True)
class ScanQuality:
    """Noise, resolution and contrast of a scan.

    ``noise_sd_hu`` is the voxel-to-voxel SD in soft tissue at vertebral level on the native grid;
    ``edge_fwhm_mm`` is the in-plane full width at half maximum of the edge response, None when it could not be
    read. ``calibration_sd_hu`` is the type B standard uncertainty of a mean HU. ``enhanced`` tells whether contrast
    medium was in the blood (None: not known), which can be clear when the phase is not. ``kvp`` is None where the
    headers do not state it, or state 0.
    """

    noise_sd_hu: float | None
    edge_fwhm_mm: float | None
    contrast_phase: ContrastPhase
    contrast_evidence: str
    kvp: float | None
    calibration_sd_hu: float
    metal_ml: float
    enhanced: bool | None = None

    @property
    def at_reference_kvp(self) -> bool:
        """Tell whether HU bands of the literature hold: the tube voltage is stated and the reference one."""
        return is_reference_kvp(self.kvp)

    @property
    def contrast_state(self) -> bool | None:
        """Tell whether contrast medium was in the blood; None when that is not known."""
        if self.enhanced is not None:
            return self.enhanced
        return None if self.contrast_phase == "indeterminate" else self.contrast_phase != "unenhanced"


def is_reference_kvp(kvp: float | None) -> bool:
    """Tell whether a tube voltage is the one at which HU bands of the literature were read."""
    return kvp is not None and abs(kvp - REFERENCE_KVP) <= KVP_TOLERANCE
