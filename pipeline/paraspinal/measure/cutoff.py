"""What the end of the scan leaves of a mass's measurements.

A sum over the mass (a volume, an extent, a count, an area) is at least what the visible part holds. A share or a
shape of the whole cannot be told from a part, and nothing found in a part does not deny it in the rest.
"""

from __future__ import annotations

from paraspinal.result import Measurement, Measurements

CUT_OFF = "cut off by the scan"

SUMS = frozenset(
    {
        *(
            "volume_ml",
            "mesh_volume_ml",
            "long_axis_mm",
            "short_axis_mm",
            "craniocaudal_mm",
            "max_diameter_mm",
        ),
        *("discrete_high_density_ml", "discrete_high_density_count", "macroscopic_fat_ml", "gas_ml"),
        *("low_density_foci_count", "low_density_foci_ml", "bone_interface_mm2", "midline_bridging_mm"),
        "canal_extension_mm2",
    }
)
"""Measurements that can only grow when more of the mass is seen."""

OF_THE_WHOLE = frozenset(
    {
        *("sphericity", "lobulation", "discrete_high_density_fraction", "diffuse_hyperattenuation_fraction"),
        *("fat_fraction", "fluid_compatible_score", "rim_contrast_hu", "low_density_foci_mean_hu"),
        *("bone_interface_without_cortex_fraction", "breakthrough_fraction", "well_defined_fraction"),
    }
)
"""Measurements that need the whole mass."""


def as_cut_off(measurements: Measurements) -> Measurements:
    """Return the measurements of a mass's visible part as what they tell of the mass."""
    return {key: _as_cut_off(key, m) for key, m in measurements.items()}


def _as_cut_off(key: str, m: Measurement) -> Measurement:
    if m.status in ("not_assessed", "not_in_view", "failed"):
        return m
    if key in OF_THE_WHOLE or key.startswith("ibsi.shape."):
        return Measurement.missing(m.unit, CUT_OFF)
    if m.status == "below_detection_limit" or (key in SUMS and m.value == 0.0):
        return Measurement.missing(m.unit, f"{CUT_OFF}: none in the visible part")
    reason = f"{CUT_OFF}; {m.reason}" if m.reason else CUT_OFF
    if key in SUMS:
        return m.model_copy(update={"status": "lower_bound", "reason": reason})
    return m.model_copy(
        update={"reason": f"visible part only; {m.reason}" if m.reason else "visible part only"}
    )
