"""The findings of one mass, from its measurements."""

from __future__ import annotations

from collections.abc import Sequence

from paraspinal.config import DifferentialConfig
from paraspinal.differential.grading import boolean, counted, either, graded, not_assessed, probability_above
from paraspinal.differential.levels import band_probabilities, level_finding
from paraspinal.differential.sides import bilateral_of_mass
from paraspinal.masses.types import Mass, MassSearch
from paraspinal.result import Finding, Measurements

DEFAULTS = DifferentialConfig()

CUT_FLAG = "cut_by_scan"
"""How the search for masses marks what the end of the scan cuts off."""
_KEPT = "bone_defect_cortex_kept_probability"
_FURTHER = "the mass is cut off by the scan and may reach further levels"
_DIFFUSE = ("trabecular_coarsening", "rib_expansion")
_TWO_PHASES = ("enhancement", "enhancement_pattern")
_NO_PAIR = "needs two registered series of different contrast phase"


def mass_findings(
    mass: Mass,
    measurements: Measurements,
    *,
    search: MassSearch | None = None,
    patient: Sequence[Finding] = (),
    config: DifferentialConfig = DEFAULTS,
) -> tuple[Finding, ...]:
    """Return the findings of one mass; what was not measured is ``not_assessed``, never absent.

    Parameters
    ----------
    mass : Mass
        Its levels, side and partner.
    measurements : Measurements
        Those of the mass, by the keys of the result.
    search : MassSearch, optional
        The patient's other masses and the coverage, without which nothing is said on the other side.
    patient : sequence of Finding, optional
        Those of the whole patient, which tell whether marrow expands anywhere.
    config : DifferentialConfig, optional
        Thresholds.
    """
    c = config
    found = search or MassSearch(masses=(mass,), explained_away=(), coverage=())
    thresholds = (
        ("midline_bridging", "midline_bridging_mm", c.midline_bridging_mm),
        ("discrete_high_density", "discrete_high_density_ml", c.calcification_ml),
        ("diffuse_hyperattenuation", "diffuse_hyperattenuation_fraction", c.hyperattenuation_fraction),
        ("fat", "macroscopic_fat_ml", c.fat_ml),
        ("gas", "gas_ml", c.gas_ml),
        ("rim_enhancement", "rim_contrast_hu", c.rim_contrast_hu),
        ("foraminal_widening", "foramen_widening_mm", c.foramen_widening_mm),
        ("disc_involvement", "endplate_loss_fraction", c.endplate_loss_fraction),
        ("intraspinal_extension", "canal_extension_mm2", c.canal_extension_mm2),
    )
    bands = band_probabilities(mass.level_probabilities, mass.levels)
    level = level_finding(bands, present_from=c.level_present_from)
    return (
        level.model_copy(update={"reason": level.reason or _FURTHER}) if CUT_FLAG in mass.flags else level,
        bilateral_of_mass(mass, found, config=c),
        _size(measurements),
        _margin(measurements, c),
        *(graded(name, measurements, key, limit, config=c) for name, key, limit in thresholds),
        counted("low_density_foci", measurements, "low_density_foci_count", config=c),
        _fluid(measurements, c),
        *_erosion(measurements, patient, c),
        _rib_erosion(measurements, c),
        _aortic(mass),
        *(
            Finding(name=name, kind="categorical", state="not_assessed", reason=_NO_PAIR)
            for name in _TWO_PHASES
        ),
    )


def _erosion(
    measurements: Measurements, patient: Sequence[Finding], config: DifferentialConfig
) -> tuple[Finding, ...]:
    """Return the three kinds of erosion, and the umbrella, which is derived from all three kinds."""
    # Hollows are missed more often than what else lies below its limit.
    config = config.model_copy(update={"unseen_probability": config.unseen_hollow_probability})
    lytic = graded("bone_destruction", measurements, "lytic_depth_mm", config.lytic_depth_mm, config=config)
    smooth = graded(
        "pressure_scalloping", measurements, "scalloping_depth_mm", config.scalloping_depth_mm, config=config
    )
    marrow = _breakthrough(measurements, patient, config)
    told = [f for f in (lytic, smooth) if f.probability is not None]
    # A hollow is of one kind, so that the doubt whether one was missed counts once.
    hollow = max(told, key=lambda f: f.probability or 0.0) if len(told) == 2 else None
    parts = (lytic, smooth, marrow) if hollow is None else (hollow, marrow)
    lytic, smooth = _shared(lytic, smooth, measurements, config)
    erosion = either("vertebral_erosion", parts, config=config)
    keys = tuple(dict.fromkeys(key for f in (lytic, smooth, marrow) for key in f.measurements))
    return (lytic, smooth, marrow, erosion.model_copy(update={"measurements": keys}))


def _rib_erosion(measurements: Measurements, config: DifferentialConfig) -> Finding:
    """Judge the rib beside a mass; a shallow bite may be missed as a hollow of a vertebra is."""
    config = config.model_copy(update={"unseen_probability": config.unseen_hollow_probability})
    limit = config.rib_erosion_depth_mm
    return graded("rib_erosion", measurements, "rib_erosion_depth_mm", limit, config=config)


def _shared(
    lytic: Finding, smooth: Finding, measurements: Measurements, config: DifferentialConfig
) -> tuple[Finding, Finding]:
    """Return both kinds with the probability of the one hollow that was read shared between them.

    Noise can hide whether its floor has a cortex. Where hollows of both kinds were read, or none, each speaks for
    itself.
    """
    keys = ("lytic_depth_mm", "scalloping_depth_mm")
    read = [k for k in keys if k in measurements and measurements[k].value is not None]
    kept = measurements.get(_KEPT)
    deep = lytic if read == ["lytic_depth_mm"] else smooth
    if len(read) != 1 or kept is None or kept.value is None or deep.probability is None:
        return lytic, smooth
    unseen, reason = config.unseen_probability, f"depth, times the probability of this kind ({_KEPT})"
    shares = ((lytic, 1.0 - kept.value), (smooth, kept.value))
    first, second = (
        boolean(
            f.name,
            max(deep.probability * share, unseen),
            (*f.measurements, _KEPT),
            config=config,
            reason=f"{reason}; {deep.reason}" if deep.reason else reason,
        )
        for f, share in shares
    )
    return first, second


def _breakthrough(
    measurements: Measurements, patient: Sequence[Finding], config: DifferentialConfig
) -> Finding:
    """Return whether expanding marrow broke through a cortex: it is gone from bone that kept its form.

    A cortex that is gone looks the same where a tumour has crossed it; only diffuse expansion elsewhere tells them
    apart. Where that could not be judged, lost cortex stays a measurement without a finding.
    """
    name, key = "marrow_expansion_breakthrough", "breakthrough_fraction"
    m = measurements.get(key)
    lost = None if m is None else probability_above(m, config.breakthrough_fraction, config=config)
    if lost is None:
        return not_assessed(name, (m and m.reason) or f"{key} was not measured", (key,))
    if lost <= config.absent_to:
        return boolean(name, lost, (key,), config=config)
    diffuse = [f for f in patient if f.name in _DIFFUSE and f.probability is not None]
    if not diffuse:
        why = "cortex is lost, but neither coarse trabeculae nor wide ribs, which tell the cause, were judged"
        return not_assessed(name, why, (key,))
    expands = max(f.probability for f in diffuse if f.probability is not None)
    return boolean(
        name,
        lost * expands,
        (key, *(k for f in diffuse for k in f.measurements)),
        config=config,
        reason="cortex lost, times the probability that marrow expands anywhere",
    )


def _size(measurements: Measurements) -> Finding:
    key = "long_axis_mm"
    m = measurements.get(key)
    if m is None or m.value is None or m.status == "lower_bound":
        why = "cut off" if m is not None and m.status == "lower_bound" else "not measured"
        return Finding(
            name="size_mm", kind="numeric", state="not_assessed", measurements=(key,), reason=f"{key}: {why}"
        )
    spread = None if m.uncertainty is None else m.uncertainty.combined
    return Finding(
        name="size_mm",
        kind="numeric",
        state="present",
        value=m.value,
        uncertainty=spread,
        measurements=(key,),
    )


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


def _aortic(mass: Mass) -> Finding:
    """Return contact with the aorta where the search flagged it; no flag is no statement."""
    name = "aortic_contact"
    if not any("vascular" in flag or "aort" in flag for flag in mass.flags):
        return not_assessed(name, "the search flagged no contact, which does not exclude it")
    return Finding(name=name, kind="boolean", state="present", reason="flagged by the search")
