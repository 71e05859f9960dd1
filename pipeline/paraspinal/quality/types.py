"""What this scan can carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from paraspinal.result import ContrastPhase
from paraspinal.volume import Geometry

SliceSource = Literal["edges", "header", "distance"]
"""Where the slice profile comes from: leaning surfaces, the header's thickness, or the distance of the slices."""

REFERENCE_KVP = 120.0
"""Tube voltage of published HU bands: liver iron [LAWR], trabecular bone [BUDOFF], tissue [HU-tables].

Attenuation of iodine, calcium and iron falls by a fifth to a third from 100 to 140 kVp, so that bands do not carry
over."""
KVP_TOLERANCE = 5.0
NOT_AT_REFERENCE_KVP = (
    f"HU limits hold at {REFERENCE_KVP:g} kVp, and the tube voltage is another or not stated"
)


@dataclass(frozen=True, slots=True)
class LumenReadings:
    """Mean HU of what contrast medium fills in turn; None for what was not found or is not in view.

    ``right_heart`` is the right heart or the pulmonary trunk; ``heart_in_view`` tells whether it should have been
    readable. Cortex and medulla are those of the better kidney, ``renal_pelvis`` is the densest of what the
    kidneys hold.
    """

    aorta: float | None = None
    right_heart: float | None = None
    heart_in_view: bool = False
    liver: float | None = None
    renal_cortex: float | None = None
    renal_medulla: float | None = None
    renal_pelvis: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class NoiseMap:
    """Noise SD (HU) of single voxels in coarse blocks.

    ``sd_hu`` is float32 [slice, y, x]: one layer for each of ``slices`` (indices of the scan's slices), each divided
    evenly into blocks; NaN where a block holds too little homogeneous soft tissue. ``geometry`` is the scan's.
    """

    geometry: Geometry
    slices: npt.NDArray[np.intp]
    sd_hu: npt.NDArray[np.float32]

    def at(self, point_lps_mm: tuple[float, float, float]) -> float | None:
        """Return the noise of the block that holds a point, from the nearest layer; None where it was not read."""
        z, y, x = self.geometry.to_index(point_lps_mm)
        layer = int(np.argmin(np.abs(self.slices - z)))
        _, height, width = self.geometry.shape
        row = int(np.floor((y + 0.5) * self.sd_hu.shape[1] / height))
        column = int(np.floor((x + 0.5) * self.sd_hu.shape[2] / width))
        if not (0 <= row < self.sd_hu.shape[1] and 0 <= column < self.sd_hu.shape[2]):
            return None
        value = float(self.sd_hu[layer, row, column])
        return value if np.isfinite(value) else None


@dataclass(frozen=True, slots=True, eq=False)
class FieldCut:
    """Where the field of view cuts the body.

    ``share`` (n,) is the part of the body's outline that lies on the border of the field, at ``heights_mm`` (n,),
    LPS z; ``ranges_mm`` lists (lowest, highest) LPS z of the runs that are cut.
    """

    heights_mm: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]
    ranges_mm: tuple[tuple[float, float], ...] = ()

    @property
    def mean_share(self) -> float:
        """Share of the whole outline that is cut."""
        return float(self.share.mean())


@dataclass(frozen=True, slots=True)
class ScanQuality:
    """Noise, resolution and contrast of a scan.

    ``noise_sd_hu`` is the voxel-to-voxel SD in soft tissue at vertebral level on the native grid;
    ``edge_fwhm_mm`` is the in-plane full width at half maximum of the edge response, None when it could not be
    read. ``calibration_sd_hu`` is the type B standard uncertainty of a mean HU. ``enhanced`` tells whether contrast
    medium was in the blood (None: not known), which can be clear when the phase is not. ``kvp`` is None where the
    headers do not state it, or state 0. ``noise`` says where noise was read; ``slice_fwhm_mm`` is the full width at
    half maximum of the slice profile, from ``slice_source``. ``reconstruction`` is FBP, iterative or deep, None
    where the headers do not tell (``reconstruction_evidence`` says why). ``field_cut`` is None without a body in
    view. ``breathing_score`` is how unevenly the lungs grow above their lower end (still chests read up to about
    0.35), None where no lung ends in view. ``structure_transfer`` is the in-plane modulation transfer at a period of
    3 mm, above 1 with a kernel that enhances edges; None where too few edges show it.
    """

    noise_sd_hu: float | None
    edge_fwhm_mm: float | None
    contrast_phase: ContrastPhase
    contrast_evidence: str
    kvp: float | None
    calibration_sd_hu: float
    metal_ml: float
    enhanced: bool | None = None
    noise: NoiseMap | None = None
    slice_fwhm_mm: float | None = None
    slice_source: SliceSource | None = None
    reconstruction: str | None = None
    reconstruction_evidence: str = ""
    field_cut: FieldCut | None = None
    breathing_score: float | None = None
    structure_transfer: float | None = None

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
