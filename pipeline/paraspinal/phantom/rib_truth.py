"""What is true of a phantom's ribs and of the shells of its vertebrae."""

from __future__ import annotations

import numpy as np

from paraspinal.phantom.ribs import RIB_FLAT, RIB_HALF_MM
from paraspinal.phantom.spec import PhantomSpec

_THINNED_MM = (0.7, 0.95)  # a cortex between them may go either way
_EXPANDED_MM = (11.5, 13.5)
_REFERENCE_KVP = 120


def rib_measurements(spec: PhantomSpec) -> dict[str, float]:
    """Return the ribs' width (diameter of the circle of their section's area) and the thickness of their wall."""
    return {"rib_width_mm": _width_mm(spec), "rib_cortex_mm": spec.bone.rib_cortex_mm}


def rib_findings(spec: PhantomSpec) -> dict[str, bool]:
    """Return whether ribs are thinned and expanded, where that is clear."""
    out = {}
    if not _THINNED_MM[0] < spec.bone.rib_cortex_mm < _THINNED_MM[1]:
        out["cortical_thinning"] = spec.bone.rib_cortex_mm <= _THINNED_MM[0]
    if not _EXPANDED_MM[0] < _width_mm(spec) < _EXPANDED_MM[1]:
        out["rib_expansion"] = _width_mm(spec) >= _EXPANDED_MM[1]
    return out


def cortical_mass_hu_mm(spec: PhantomSpec) -> dict[str, float]:
    """Return the mass per area of a vertebral body's shell above its interior, where that is one density."""
    bone = spec.bone
    if spec.kvp != _REFERENCE_KVP or bone.strut_spacing_mm > 0 or bone.trabeculae is not None:
        return {}
    return {"cortical_mass_hu_mm": bone.cortex_mm * (bone.cortex_hu - bone.trabecular_hu)}


def _width_mm(spec: PhantomSpec) -> float:
    return 2.0 * RIB_HALF_MM * spec.patient.rib_scale * float(np.sqrt(RIB_FLAT))
