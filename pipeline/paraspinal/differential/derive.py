"""Findings from measurements: those of one mass, and those of the patient."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from paraspinal.config import DifferentialConfig
from paraspinal.differential.grading import boolean, graded, not_assessed, probability_above
from paraspinal.differential.levels import band_probabilities, level_finding
from paraspinal.masses.types import Mass
from paraspinal.result import ContrastPhase, Finding, Measurement, Measurements, Uncertainty

DEFAULTS = DifferentialConfig()


def mass_findings(
    mass: Mass, measurements: Measurements, patient: Measurements, *, config: DifferentialConfig = DEFAULTS
) -> tuple[Finding, ...]:
    """Return the findings of one mass; what was not measured is ``not_assessed``, never absent.

    Parameters
    ----------
    mass : Mass
        Its levels, side and partner.
    measurements : Measurements
        Those of the mass, by the keys of the result.
    patient : Measurements
        Whole-patient measurements: unenhanced or not decides whether dense tissue can be judged.
    """
    c = config
    thresholds = (
        ("midline_bridging", "midline_bridging_mm", c.midline_bridging_mm),
        ("discrete_high_density", "discrete_high_density_ml", c.calcification_ml),
        ("fat", "macroscopic_fat_ml", c.fat_ml),
        ("low_density_foci", "low_density_foci_count", c.foci_count),
        ("gas", "gas_ml", c.gas_ml),
        ("rim_enhancement", "rim_contrast_hu", c.rim_contrast_hu),
        ("intraspinal_extension", "canal_extension_mm2", c.canal_extension_mm2),
        ("bone_destruction", "lytic_depth_mm", c.lytic_depth_mm),
        ("pressure_scalloping", "scalloping_depth_mm", c.scalloping_depth_mm),
    )
    return (
        level_finding(band_probabilities(mass.level_probabilities, mass.levels)),
        _side(mass, c),
        _size(measurements),
        _margin(measurements, c),
        *(graded(name, measurements, key, limit, config=c) for name, key, limit in thresholds),
        _fluid(measurements, c),
        _dense(measurements, patient, c),
        *_aortic(mass),
    )


def _side(mass: Mass, config: DifferentialConfig) -> Finding:
    if mass.side == "midline":
        return not_assessed("bilateral", "the mass lies in the midline")
    if mass.pair_id is not None:
        return boolean("bilateral", 0.98, (), config=config)
    return boolean("bilateral", 0.1, (), config=config, reason="no partner was found on the other side")


def _size(measurements: Measurements) -> Finding:
    key = "long_axis_mm"
    m = measurements.get(key)
    if m is None or m.value is None or m.status == "lower_bound":
        why = "cut off" if m is not None and m.status == "lower_bound" else "not measured"
        return Finding(
            name="size_mm", kind="numeric", state="not_assessed", measurements=(key,), reason=f"{key}: {why}"
        )
    return Finding(name="size_mm", kind="numeric", state="present", value=m.value, measurements=(key,))


def _margin(measurements: Measurements, config: DifferentialConfig) -> Finding:
    key = "well_defined_fraction"
    m = measurements.get(key)
    p = None if m is None else probability_above(m, config.well_defined_fraction, config=config)
    if p is None:
        reason = (m.reason if m is not None else None) or f"{key} was not measured"
        return Finding(
            name="margin", kind="categorical", state="not_assessed", measurements=(key,), reason=reason
        )
    sure = max(p, 1.0 - p) >= config.present_from
    return Finding(
        name="margin",
        kind="categorical",
        state="present" if sure else "indeterminate",
        value="well" if p >= 0.5 else "ill",
        probabilities={"well": p, "ill": 1.0 - p},
        measurements=(key,),
    )


def _fluid(measurements: Measurements, config: DifferentialConfig) -> Finding:
    """Take the graded score as the probability; it never decides alone, so it stays off 0 and 1."""
    key = "fluid_compatible_score"
    m = measurements.get(key)
    if m is None or m.value is None:
        return not_assessed("fluid_compatible", (m and m.reason) or f"{key} was not measured", (key,))
    edge = config.unseen_probability
    return boolean("fluid_compatible", min(max(m.value, edge), 1.0 - edge), (key,), config=config)


def _dense(measurements: Measurements, patient: Measurements, config: DifferentialConfig) -> Finding:
    name, key = "diffuse_hyperattenuation", "diffuse_hyperattenuation_fraction"
    if not _unenhanced(patient, None, config):
        return not_assessed(name, "judged on unenhanced series only", (key,))
    return graded(name, measurements, key, config.hyperattenuation_fraction, config=config)


def _aortic(mass: Mass) -> tuple[Finding, ...]:
    """Return contact with the aorta where the search flagged it; no flag is no statement."""
    if not any("vascular" in flag or "aort" in flag for flag in mass.flags):
        return ()
    return (Finding(name="aortic_contact", kind="boolean", state="present", reason="flagged by the search"),)


def patient_findings(
    patient: Measurements,
    vertebrae: Mapping[str, Measurements],
    masses: Sequence[Mass],
    *,
    config: DifferentialConfig = DEFAULTS,
    contrast_phase: ContrastPhase | None = None,
) -> tuple[Finding, ...]:
    """Return the findings of the whole patient.

    Without `contrast_phase` a scan counts as unenhanced when the aortic lumen lies below
    ``unenhanced_aorta_max_hu``.
    """
    c = config
    plain = _unenhanced(patient, contrast_phase, c)
    found = [
        *_number_of_masses(masses, c),
        *_spleen(patient, c),
        _liver_size(patient, c),
        graded("splenic_lesion", patient, "splenic_lesions_count", c.splenic_lesion_count, config=c),
        _effusion(patient, c),
        _over_vertebrae("trabecular_coarsening", vertebrae, "coarsening_index", c.coarsening_index, c),
        _over_vertebrae("diffuse_osteosclerosis", vertebrae, "trabecular_hu", c.osteosclerosis_hu, c),
    ]
    if plain:
        found.append(graded("liver_iron", patient, "liver_hu", c.liver_iron_hu, config=c))
        low = graded("blood_pool_low", patient, "aortic_lumen_hu", c.blood_pool_low_hu, config=c, below=True)
        return (*found, low)
    reason = "judged on unenhanced series only"
    return (
        *found,
        not_assessed("liver_iron", reason, ("liver_hu",)),
        not_assessed("blood_pool_low", reason, ("aortic_lumen_hu",)),
    )


def _unenhanced(patient: Measurements, phase: ContrastPhase | None, config: DifferentialConfig) -> bool:
    if phase is not None:
        return phase == "unenhanced"
    lumen = patient.get("aortic_lumen_hu")
    return lumen is not None and lumen.value is not None and lumen.value < config.unenhanced_aorta_max_hu


def _number_of_masses(masses: Sequence[Mass], config: DifferentialConfig) -> tuple[Finding, ...]:
    """State two-sidedness by pairs and the count; what was not covered may hide more, so absence is soft."""
    sure = [mass for mass in masses if mass.state == "present"]
    if not sure:
        return ()
    pairs = any(mass.pair_id is not None for mass in sure)
    several = 0.98 if len(sure) > 1 else 0.5 if len(masses) > 1 else 0.1
    return (
        boolean("bilateral", 0.98 if pairs else 0.1, (), config=config),
        boolean("multiple", several, (), config=config),
    )


def _spleen(patient: Measurements, config: DifferentialConfig) -> tuple[Finding, ...]:
    key = "spleen_volume_ml"
    enlarged = graded("splenomegaly", patient, key, config.spleen_enlarged_ml, config=config)
    small = "spleen_small_or_calcified"
    m = patient.get(key)
    if m is not None and m.status == "below_detection_limit":
        gone = boolean("spleen_absent", 0.9, (key,), config=config, reason=m.reason)
        return (enlarged, gone, not_assessed(small, "no spleen was found", (key,)))
    if m is None or m.value is None:
        reason = enlarged.reason or "spleen not measured"
        return (enlarged, not_assessed("spleen_absent", reason, (key,)), not_assessed(small, reason, (key,)))
    there = boolean("spleen_absent", 0.02, (key,), config=config)
    if m.status == "lower_bound" and m.value < config.spleen_small_ml:
        return (enlarged, there, not_assessed(small, "the spleen is cut off", (key,)))
    return (enlarged, there, graded(small, patient, key, config.spleen_small_ml, config=config, below=True))


def _liver_size(patient: Measurements, config: DifferentialConfig) -> Finding:
    """Judge by volume; by craniocaudal extent only without one, since it spans both lobes and reads long."""
    volume = graded("hepatomegaly", patient, "liver_volume_ml", config.liver_enlarged_ml, config=config)
    measured = patient.get("liver_volume_ml")
    if volume.state != "not_assessed" or (measured is not None and measured.value is not None):
        return volume
    return graded(
        "hepatomegaly", patient, "liver_craniocaudal_mm", config.liver_enlarged_craniocaudal_mm, config=config
    )


def _effusion(patient: Measurements, config: DifferentialConfig) -> Finding:
    """Both sides must be judged before an effusion is absent; one side is enough for present."""
    name, keys = "pleural_effusion", ("effusion_left_ml", "effusion_right_ml")
    sides = [graded(name, patient, key, config.effusion_ml, config=config) for key in keys]
    told = [side.probability for side in sides if side.probability is not None]
    here = 1.0
    for p in told:
        here *= 1.0 - p
    if len(told) == 2 or 1.0 - here >= config.present_from:
        return boolean(name, 1.0 - here, keys, config=config)
    reason = next((s.reason for s in sides if s.probability is None and s.reason), "not measured")
    return not_assessed(name, reason, keys)


def _over_vertebrae(
    name: str,
    vertebrae: Mapping[str, Measurements],
    key: str,
    threshold: float,
    config: DifferentialConfig,
) -> Finding:
    """Judge a diffuse change by the median over vertebrae.

    Their errors are largely common (noise estimate, kernel, calibration), so the median keeps the median
    uncertainty of a single vertebra.
    """
    read = [m[key] for m in vertebrae.values() if key in m]
    values = [m.value for m in read if m.value is not None]
    if len(values) < config.coarsening_min_vertebrae:
        reason = next((m.reason for m in read if m.reason), f"{key} was not measured")
        return not_assessed(name, reason, (key,))
    sds = [m.uncertainty.combined for m in read if m.value is not None and m.uncertainty is not None]
    median = Measurement(
        value=statistics.median(values),
        unit=read[0].unit,
        status="measured",
        uncertainty=Uncertainty(type_a=statistics.median(sds)) if sds else None,
    )
    return graded(name, {key: median}, key, threshold, config=config)
