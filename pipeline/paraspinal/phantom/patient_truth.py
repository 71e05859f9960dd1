"""What is true of a phantom's whole body: the values that measurements should read, and the findings that hold.

A value stands here only where the spec or the labels fix it; what the scan cuts off has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paraspinal.phantom.company_truth import company_findings, company_measurements
from paraspinal.phantom.end_plates import plate_truth
from paraspinal.phantom.rib_truth import cortical_mass_hu_mm, rib_findings, rib_measurements
from paraspinal.phantom.spec import PhantomSpec
from paraspinal.phantom.spine import plan_spine

_ENLARGED_SPLEEN_ML = 314.0  # upper limit of a normal spleen [PRASS]
_EFFUSION_ML = 50.0  # from here on an effusion is to be found; thinner ones may go either way


def patient_truth(
    spec: PhantomSpec, *, organs: Mapping[str, Mapping[str, Any]], levels: Sequence[str]
) -> dict[str, Any]:
    """Return ``measurements`` (key to value), ``vertebrae`` (label to key to value), ``findings`` (name to bool).

    Parameters
    ----------
    organs : mapping
        Structure name to ``volume_ml`` and ``truncated``, as they lie in the scan.
    levels : sequence of str
        Vertebrae that the scan shows whole.
    """
    plates = _plates(spec)
    return {
        "measurements": _volumes(organs)
        | _densities(spec, organs)
        | company_measurements(spec, organs)
        | rib_measurements(spec),
        "vertebrae": {
            level: _vertebra(spec) | plates.get(level, {})
            for level in levels
            if level not in spec.bone.haemangiomas
        },
        "findings": _company(spec, organs)
        | company_findings(spec, organs)
        | _bone(spec)
        | rib_findings(spec)
        | {"endplate_central_depression": spec.bone.endplates == "h_shaped"},
    }


def _volumes(organs: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    keys = {
        "spleen_volume_ml": "spleen",
        "liver_volume_ml": "liver",
        "effusion_left_ml": "effusion_left",
        "effusion_right_ml": "effusion_right",
    }
    return {
        key: organs[name]["volume_ml"]
        for key, name in keys.items()
        if name in organs and not organs[name]["truncated"]
    }


def _densities(spec: PhantomSpec, organs: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """HU of the spec hold in an unenhanced scan at 120 kVp."""
    if spec.phase != "unenhanced" or spec.kvp != 120:
        return {}
    known = {"liver_hu": ("liver", spec.organs.liver_hu), "aortic_lumen_hu": ("aorta", spec.organs.blood_hu)}
    return {key: hu for key, (name, hu) in known.items() if name in organs}


def _plates(spec: PhantomSpec) -> dict[str, dict[str, float]]:
    """Return heights and depressions by vertebra; both are ratios and depths that the body's size leaves alone."""
    size = spec.size_factor or 1.0
    spine = plan_spine(np.random.default_rng((spec.seed, 1)), size_factor=size, patient=spec.patient)
    return plate_truth(spine.free, spec.bone)


def _vertebra(spec: PhantomSpec) -> dict[str, float]:
    if spec.bone.strut_spacing_mm > 0 or spec.kvp != 120 or spec.phase != "unenhanced":
        return {}
    return {"trabecular_hu": spec.bone.trabecular_hu} | cortical_mass_hu_mm(spec)


def _company(spec: PhantomSpec, organs: Mapping[str, Mapping[str, Any]]) -> dict[str, bool]:
    out: dict[str, bool] = {}
    gone = "spleen" in spec.patient.missing
    spleen = organs.get("spleen")
    if gone:
        out |= {"spleen_absent": True, "splenomegaly": False}
    elif spleen is not None:
        enlarged = spleen["volume_ml"] > _ENLARGED_SPLEEN_ML
        out["spleen_absent"] = False
        if enlarged or not spleen["truncated"]:
            out["splenomegaly"] = enlarged
            out["splenic_lesion"] = spec.organs.spleen_lesion is not None
    fluid = [organs.get(f"effusion_{side}", {}).get("volume_ml", 0.0) for side in ("left", "right")]
    if max(fluid) >= _EFFUSION_ML or max(fluid) == 0.0:
        out["pleural_effusion"] = max(fluid) > 0.0
    return out


def _bone(spec: PhantomSpec) -> dict[str, bool]:
    structure = spec.bone.trabeculae
    if structure is None:
        return {"trabecular_coarsening": spec.bone.strut_spacing_mm > 0}
    # Between them the struts of osteoporosis and of marrow expansion are as far apart.
    return {} if 1.6 < structure.spacing_mm < 2.0 else {"trabecular_coarsening": structure.spacing_mm >= 2.0}
