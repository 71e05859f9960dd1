"""What a scan must offer before a measure is given: the table of ``docs/limits.md``, which the measures apply.

A gate looks at the scan alone (slices, resolution, noise, contrast medium, tube voltage). What a mass or organ itself
must offer (a core, a border with contrast) is judged where it is read; ``also`` says so in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from paraspinal.config import MeasureConfig
from paraspinal.quality.types import NOT_AT_REFERENCE_KVP, ScanQuality

Blood = Literal["any", "unenhanced", "contrast"]
_SAME_MM = 1e-6


@dataclass(frozen=True, slots=True)
class Gate:
    """Conditions under which a measure is given; otherwise it is ``not_assessed``.

    ``max_slice_mm`` and ``max_fwhm_mm`` name fields of `MeasureConfig`; slices are as thick as their distance or
    their stated thickness, whichever is more. ``noise`` and ``also`` are words for the table: how noise moves the
    detection limit, and what else is needed.
    """

    max_slice_mm: str | None = None
    max_fwhm_mm: str | None = None
    fwhm_known: bool = False
    noise_known: bool = False
    blood: Blood = "any"
    reference_kvp: bool = False
    noise: str = "any"
    also: str = ""


_CORE = "a core of 0.1 mL"
GATES: Mapping[str, Gate] = {
    "volume_ml, mesh_volume_ml, long_axis_mm, short_axis_mm, craniocaudal_mm, max_diameter_mm": Gate(
        also="`lower_bound` where the scan cuts the mass off"
    ),
    "sphericity, lobulation": Gate(also="the whole mass in view"),
    "attenuation_*_hu": Gate(also=f"{_CORE}; for `attenuation_sd_without_noise_hu` a known noise"),
    "post_contrast_attenuation_hu": Gate(blood="contrast", also=_CORE),
    "discrete_high_density_*": Gate(
        noise="the noise of the place, streaks included, raises the threshold; the detection limit is stated",
        also="threshold clears the aorta; a sphere of 600 HU that would be seen",
    ),
    "diffuse_hyperattenuation_fraction": Gate(blood="unenhanced", reference_kvp=True, also=_CORE),
    "macroscopic_fat_ml, fat_fraction, gas_ml": Gate(also=_CORE),
    "low_density_foci_*": Gate(
        noise="threshold follows the mass's own; none is denied where it exceeds 30 HU",
        also="an interior of a 12 mm ball",
    ),
    "rim_contrast_hu": Gate(blood="contrast", also="a core deeper than 5 mm"),
    "fluid_compatible_score": Gate(noise_known=True, noise="must be known", also=_CORE),
    "edge_width_mm": Gate(
        noise="≥ 40 HU and 2 × noise across the border", also="a steep border to soft tissue or fat"
    ),
    "well_defined_fraction": Gate(
        fwhm_known=True, noise="≥ 40 HU and 2 × noise across the border", also="as `edge_width_mm`"
    ),
    "midline_bridging_mm": Gate(also="a spine traced along the mass"),
    "airway_distance_mm": Gate(also="trachea or main bronchi, followed past the place nearest to the mass"),
    "airway_narrowing_fraction": Gate(
        max_slice_mm="erosion_max_slice_mm",
        also="trachea within 10 mm of the mass, and 10 mm of it that is clean above and below",
    ),
    "bone_interface_mm2": Gate(also="a vertebra"),
    "lytic_depth_mm, scalloping_depth_mm, bone_defect_area_mm2, bone_defect_cortex_kept_probability": Gate(
        max_slice_mm="erosion_max_slice_mm",
        noise="raises the limit, which the patient's own clean vertebrae set",
        also="six sides of vertebral bodies that face no mass; bone denser than the mass by 25 HU"
        " and 1.25 SDs of its own",
    ),
    "bone_interface_without_cortex_fraction, breakthrough_fraction": Gate(
        max_slice_mm="erosion_max_slice_mm",
        noise="raises the limit, which the patient's own clean vertebrae set",
        also="as the depths; a cortex 60 HU denser than the body's interior on 30 rays that face no mass",
    ),
    "foramen_width_mm, foramen_widening_mm": Gate(
        max_slice_mm="erosion_max_slice_mm",
        noise="raises the limit, which the patient's own clean foramina set",
        also="six foramina that no mass reaches, T2 to L5",
    ),
    "sclerotic_rim_hu": Gate(
        max_slice_mm="erosion_max_slice_mm",
        noise="raises the limit",
        also="a hollow; twelve rays of the same body that face no mass",
    ),
    "canal_extension_mm2": Gate(
        max_slice_mm="erosion_max_slice_mm",
        noise="raises the limit, which the patient's own clean foramina set",
        also="fat, or a sac of another density, in the foramen where it is widest; six foramina that no mass reaches",
    ),
    "height_ratio, endplate_depression_mm, endplate_step_mm": Gate(
        max_slice_mm="erosion_max_slice_mm",
        noise="raises the limit by an uneven rim",
        also="T3 to L5; end plates 40 HU denser than the disc; height and step: both plates of a body",
    ),
    "endplate_loss_fraction": Gate(
        max_slice_mm="erosion_max_slice_mm",
        noise="raises the limit, which the patient's own clean interspaces set",
        also="two clean interspaces near, or three others, T3 to L5; bodies 60 HU denser than the mass",
    ),
    "rib_width_mm": Gate(
        max_slice_mm="erosion_max_slice_mm", also="six of ribs 3 to 10, 30 to 60 mm from the head in view"
    ),
    "rib_erosion_depth_mm": Gate(
        max_slice_mm="erosion_max_slice_mm",
        noise="raises the limit, which the patient's own clean ribs set",
        also="ribs 3 to 10; three clean ribs as references",
    ),
    "rib_cortex_mm": Gate(
        max_slice_mm="cortex_max_slice_mm",
        max_fwhm_mm="cortex_max_fwhm_mm",
        fwhm_known=True,
        also="six of ribs 3 to 10 with flat walls along the slices; below a quarter of the blur's FWHM a limit",
    ),
    "ibsi.*": Gate(also="100 voxels of 2 mm for textures; the whole mass for shapes"),
    "trabecular_hu": Gate(also="0.3 mL, 4 mm inside; contrast medium is noted"),
    "cortical_peak_hu": Gate(
        max_slice_mm="erosion_max_slice_mm",
        noise="stated",
        also="T3 to L4; 90 rays of the wall that face no mass",
    ),
    "cortical_mass_hu_mm": Gate(
        max_slice_mm="cortex_max_slice_mm",
        max_fwhm_mm="cortex_max_fwhm_mm",
        fwhm_known=True,
        noise="stated",
        also="T3 to L5; 24 profiles of the wall that face no mass",
    ),
    "coarsening_index, vertical_persistence": Gate(
        max_slice_mm="coarsening_max_slice_mm",
        max_fwhm_mm="coarsening_max_fwhm_mm",
        fwhm_known=True,
        noise="the detection limit follows",
        also="1 mL, 3.5 mm inside; soft tissue beside the body",
    ),
    "spleen_volume_ml, spleen_length_mm, liver_volume_ml, liver_ml_per_m2, liver_craniocaudal_mm": Gate(
        also="the organ, told from its neighbours; `lower_bound` where it is cut"
    ),
    "effusion_*_ml, effusion_*_hu": Gate(
        also="the dependent pleural space in view; none below 50 mL is denied"
    ),
    "effusion_*_layering_hu": Gate(
        noise="raises the limit, which is at least 12 HU", also="a fluid 12 mm deep; a patient on the back"
    ),
    "effusion_*_blood_score": Gate(blood="unenhanced", reference_kvp=True, also="the density of the fluid"),
    "noise_sd_hu": Gate(also="150 even patches of soft tissue"),
    "edge_fwhm_mm": Gate(also="40 clean edges of skin or lung"),
    "liver_hu, aortic_lumen_hu": Gate(also="the organ, 4 mm (3 mm) inside"),
    "splenic_calcification_fraction": Gate(
        also="blood so dark that calcium of 260 HU stands out; the spleen whole in view, or its bed"
    ),
    "lumen_wall_contrast_hu": Gate(
        max_slice_mm="vessel_wall_max_slice_mm",
        max_fwhm_mm="vessel_wall_max_fwhm_mm",
        fwhm_known=True,
        blood="unenhanced",
        noise="raises the limit, which stretches of the vessel set",
        also="120 rays that leave the aorta into fat",
    ),
    "myocardium_hu": Gate(
        blood="unenhanced", also="60 mL of heart; below its limit where nothing is 6 HU denser than its blood"
    ),
    "splenic_lesions_count, splenic_lesion_max_mm": Gate(
        noise="none is denied where only lesions 30 HU darker would be seen", also="no arterial phase"
    ),
}
"""Keys of the contract (``*``: any ending) to their gate."""


def why_not(key: str, quality: ScanQuality, config: MeasureConfig, *, slice_mm: float) -> str | None:
    """Return why a scan cannot carry a measure, or None where it can.

    Parameters
    ----------
    key : str
        A key of the contract that has a gate of its own.
    slice_mm : float
        Effective slice thickness.

    Raises
    ------
    KeyError
        No gate has that key.
    """
    gate = {single: gate for keys, gate in GATES.items() for single in keys.split(", ")}[key]
    if gate.reference_kvp and not quality.at_reference_kvp:
        return NOT_AT_REFERENCE_KVP
    return _too_coarse(gate, quality, config, slice_mm) or _wrong_blood(gate, quality)


def _too_coarse(gate: Gate, quality: ScanQuality, config: MeasureConfig, slice_mm: float) -> str | None:
    if gate.max_slice_mm is not None and slice_mm > getattr(config, gate.max_slice_mm) + _SAME_MM:
        return f"slices thicker than {getattr(config, gate.max_slice_mm):g} mm"
    if gate.fwhm_known and quality.edge_fwhm_mm is None:
        return "the scan's own edge response could not be read"
    if gate.max_fwhm_mm is not None and (quality.edge_fwhm_mm or 0.0) > getattr(config, gate.max_fwhm_mm):
        return f"in-plane edge response broader than {getattr(config, gate.max_fwhm_mm):g} mm"
    if gate.noise_known and quality.noise_sd_hu is None:
        return "the scan's noise is not known"
    return None


def _wrong_blood(gate: Gate, quality: ScanQuality) -> str | None:
    state = quality.contrast_state
    if gate.blood == "any" or state is (gate.blood == "contrast"):
        return None
    if state is None:
        return f"needs {_BLOOD[gate.blood]}: {quality.contrast_evidence or 'contrast not known'}"
    return f"needs {_BLOOD[gate.blood]}: {'contrast medium in the blood' if state else 'unenhanced scan'}"


_BLOOD = {"any": "any scan", "unenhanced": "an unenhanced scan", "contrast": "contrast medium in the blood"}


def limits_table(config: MeasureConfig) -> str:
    """Return the gates as the Markdown table of ``docs/limits.md``."""
    rows = [
        "| measure | slices | in-plane FWHM | noise | contrast, tube voltage | also |",
        "|---|---|---|---|---|---|",
    ]
    for keys, gate in GATES.items():
        names = ", ".join(f"`{key}`" for key in keys.split(", "))
        slices = "any" if gate.max_slice_mm is None else f"≤ {getattr(config, gate.max_slice_mm):g} mm"
        limit = [] if gate.max_fwhm_mm is None else [f"≤ {getattr(config, gate.max_fwhm_mm):g} mm"]
        fwhm = ", ".join([*limit, *(["known"] if gate.fwhm_known else [])]) or "any"
        blood = "any" if gate.blood == "any" else f"{gate.blood} only"
        blood += ", 120 kVp only" if gate.reference_kvp else ""
        rows.append(f"| {names} | {slices} | {fwhm} | {gate.noise} | {blood} | {gate.also} |")
    return "\n".join(rows) + "\n"
