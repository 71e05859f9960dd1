"""The findings of the whole patient, from measurements and the search for masses."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from paraspinal.config import DifferentialConfig
from paraspinal.differential.elsewhere import sites_elsewhere
from paraspinal.differential.grading import (
    boolean,
    counted,
    either,
    graded,
    not_assessed,
    probability_above,
)
from paraspinal.differential.sides import number_of_masses
from paraspinal.masses.types import MassSearch
from paraspinal.quality.types import NOT_AT_REFERENCE_KVP, ScanQuality
from paraspinal.result import Finding, Measurements

DEFAULTS = DifferentialConfig()
NOTHING_SEARCHED = MassSearch(masses=(), explained_away=(), coverage=())


def patient_findings(
    patient: Measurements,
    vertebrae: Mapping[str, Measurements],
    search: MassSearch = NOTHING_SEARCHED,
    *,
    quality: ScanQuality | None = None,
    config: DifferentialConfig = DEFAULTS,
) -> tuple[Finding, ...]:
    """Return the findings of the whole patient.

    Signs that rest on a band of HU (iron, blood pool, sclerosis) are judged on unenhanced series at 120 kVp only;
    without `quality` neither is known.
    """
    c = config
    return (
        *number_of_masses(search, config=c),
        *_spleen(patient, c),
        _liver_size(patient, c),
        counted("splenic_lesion", patient, "splenic_lesions_count", config=c),
        _effusion(patient, c),
        graded("rib_expansion", patient, "rib_width_mm", c.rib_expanded_mm, config=c),
        _thinning(patient, c),
        _coarsening(vertebrae, c),
        _central_depression(vertebrae, c),
        *_by_density(patient, vertebrae, quality, c),
        *sites_elsewhere(search),
    )


def _by_density(
    patient: Measurements,
    vertebrae: Mapping[str, Measurements],
    quality: ScanQuality | None,
    config: DifferentialConfig,
) -> tuple[Finding, ...]:
    """Return the signs that rest on a band of HU, or why the scan does not carry them."""
    refusal = _no_density(quality)
    if refusal is not None:
        return (
            not_assessed("liver_iron", refusal, ("liver_hu",)),
            not_assessed("blood_pool_low", refusal, ("aortic_lumen_hu",)),
            not_assessed("myocardial_iron", refusal, ("myocardium_hu",)),
            not_assessed("diffuse_osteosclerosis", refusal, ("trabecular_hu",)),
        )
    lumen, bone = config.blood_pool_low_hu, config.osteosclerosis_hu
    return (
        graded("liver_iron", patient, "liver_hu", config.liver_iron_hu, config=config),
        graded("blood_pool_low", patient, "aortic_lumen_hu", lumen, config=config, below=True),
        _myocardial_iron(patient, config),
        _over_vertebrae("diffuse_osteosclerosis", vertebrae, "trabecular_hu", bone, config),
    )


def _myocardial_iron(patient: Measurements, config: DifferentialConfig) -> Finding:
    """Judge the myocardium against a limit that is itself uncertain: one iron-laden heart was published at 56 HU."""
    name, key = "myocardial_iron", "myocardium_hu"
    m, limit, sd = patient.get(key), config.myocardial_iron_hu, config.myocardial_iron_sd_hu
    p = None if m is None else probability_above(m, limit, config=config, threshold_sd=sd)
    if m is None or p is None:
        reason = f"{key} was not measured" if m is None else m.reason or f"{key}: {m.status}"
        return not_assessed(name, reason, (key,))
    return boolean(name, p, (key,), config=config, reason=m.reason)


def _no_density(quality: ScanQuality | None) -> str | None:
    """Return why bands of HU do not hold in a scan; None when they do."""
    if quality is None:
        return "contrast phase and tube voltage are not known"
    if quality.contrast_state is not False:
        state = "contrast medium in the blood" if quality.contrast_state else "contrast not known"
        return f"judged on unenhanced series only: {state}"
    return None if quality.at_reference_kvp else NOT_AT_REFERENCE_KVP


def _spleen(patient: Measurements, config: DifferentialConfig) -> tuple[Finding, ...]:
    key = "spleen_volume_ml"
    enlarged = graded("splenomegaly", patient, key, config.spleen_enlarged_ml, config=config)
    m = patient.get(key)
    if m is not None and m.status == "below_detection_limit":
        gone = boolean("spleen_absent", 0.9, (key,), config=config, reason=m.reason)
        small = not_assessed("spleen_small_or_calcified", "no spleen was found", (key,))
        return (enlarged, gone, small)
    if m is None or m.value is None:
        reason = enlarged.reason or "spleen not measured"
        unknown = ("spleen_absent", "spleen_small_or_calcified")
        return (enlarged, *(not_assessed(name, reason, (key,)) for name in unknown))
    there = boolean("spleen_absent", 0.02, (key,), config=config)
    return (enlarged, there, _small_spleen(patient, config))


def _small_spleen(patient: Measurements, config: DifferentialConfig) -> Finding:
    """Return whether the spleen is small or calcified; absent needs both denied, present one of them."""
    name, key, calcium = "spleen_small_or_calcified", "spleen_volume_ml", "splenic_calcification_fraction"
    if patient[key].status == "lower_bound":
        small = not_assessed(name, "the spleen is cut off", (key,))
    else:
        small = graded(name, patient, key, config.spleen_small_ml, config=config, below=True)
    if small.state == "present":
        return small
    dense = graded(name, patient, calcium, config.spleen_calcified_fraction, config=config)
    return either(name, [small, dense], config=config)


def _liver_size(patient: Measurements, config: DifferentialConfig) -> Finding:
    """Judge by volume per body surface, without height and weight by volume, without one by craniocaudal extent.

    The extent spans both lobes and reads long.
    """
    by_surface = graded(
        "hepatomegaly", patient, "liver_ml_per_m2", config.liver_enlarged_ml_per_m2, config=config
    )
    if by_surface.state != "not_assessed":
        return by_surface
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
    return either(name, [_effusion_of(patient, key, config) for key in keys], config=config)


def _effusion_of(patient: Measurements, key: str, config: DifferentialConfig) -> Finding:
    """One side: where the pleural space was seen and shows no fluid, an effusion is improbable, however thin."""
    name, m = "pleural_effusion", patient.get(key)
    if m is not None and m.status == "below_detection_limit":
        return boolean(name, config.unseen_probability, (key,), config=config, reason=m.reason)
    return graded(name, patient, key, config.effusion_ml, config=config)


def _thinning(patient: Measurements, config: DifferentialConfig) -> Finding:
    """Judge the ribs' cortex against a limit that is itself uncertain: published figures are maxima along the rib.

    A cortex below what the scan resolves is thinner than the limit.
    """
    name, key = "cortical_thinning", "rib_cortex_mm"
    m = patient.get(key)
    limit, sd = config.rib_cortex_thin_mm, config.rib_cortex_thin_sd_mm
    p = None if m is None else probability_above(m, limit, config=config, threshold_sd=sd)
    if p is None:
        return not_assessed(name, (m and m.reason) or f"{key} was not measured", (key,))
    return boolean(name, 1.0 - p, (key,), config=config)


def _coarsening(vertebrae: Mapping[str, Measurements], config: DifferentialConfig) -> Finding:
    """Judge trabeculae against a limit that is itself uncertain: no published series gives one.

    Marrow expands in all vertebrae: more than half of them must be coarse. Those that are so alone (a haemangioma)
    are named.
    """
    name, key = "trabecular_coarsening", "coarsening_index"
    limit, sd = config.coarsening_index, config.coarsening_index_sd
    told = {
        level: p
        for level, m in vertebrae.items()
        if key in m and (p := probability_above(m[key], limit, config=config, threshold_sd=sd)) is not None
    }
    if len(told) < config.coarsening_min_vertebrae:
        why = next((m[key].reason for m in vertebrae.values() if key in m and m[key].value is None), None)
        count = f"{len(told)} of {len(vertebrae)} vertebrae could be read"
        count = f"{count}; {config.coarsening_min_vertebrae} are needed"
        return not_assessed(name, f"{count} ({why})" if why else count, (key,))
    found = boolean(name, statistics.median_low(told.values()), (key,), config=config)
    alone = [level for level, p in told.items() if p >= config.present_from]
    if found.state == "present" or not alone:
        return found
    return found.model_copy(update={"reason": f"coarse in {', '.join(alone)} only: a focal change"})


def _central_depression(vertebrae: Mapping[str, Measurements], config: DifferentialConfig) -> Finding:
    """Judge steps in the middle of both end plates of several vertebrae: a Schmorl node is one plate's."""
    name, key, several = "endplate_central_depression", "endplate_step_mm", config.endplate_step_vertebrae
    read = [m[key] for m in vertebrae.values() if key in m]
    told = [
        p for m in read if (p := probability_above(m, config.endplate_step_mm, config=config)) is not None
    ]
    if len(told) < several:
        why = next((m.reason for m in read if m.value is None and m.reason), None)
        count = f"both end plates of {len(told)} vertebrae could be read; {several} are needed"
        return not_assessed(name, f"{count} ({why})" if why else count, (key,))
    return boolean(name, sorted(told)[-several], (key,), config=config)


def _over_vertebrae(
    name: str,
    vertebrae: Mapping[str, Measurements],
    key: str,
    threshold: float,
    config: DifferentialConfig,
    *,
    threshold_sd: float = 0.0,
) -> Finding:
    """Judge a diffuse change by the median, over vertebrae, of the probability that each lies above the threshold.

    Their errors are largely common (noise estimate, kernel, calibration), so that the median keeps the uncertainty
    of a single vertebra. Vertebrae below their detection limit count by what the limit allows.
    """
    read = [m[key] for m in vertebrae.values() if key in m]
    each = [probability_above(m, threshold, config=config, threshold_sd=threshold_sd) for m in read]
    told = [p for p in each if p is not None]
    if len(told) < config.coarsening_min_vertebrae:
        why = next((m.reason for m, p in zip(read, each, strict=True) if p is None and m.reason), None)
        count = f"{len(told)} of {len(read)} vertebrae could be read; {config.coarsening_min_vertebrae} are needed"
        return not_assessed(name, f"{count} ({why})" if why else count, (key,))
    return boolean(name, statistics.median(told), (key,), config=config)
