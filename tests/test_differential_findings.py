"""Findings from measurements: uncertainty becomes probability, and what was not measured is never absent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from paraspinal.config import DifferentialConfig
from paraspinal.differential import (
    differential_of,
    load_model,
    mass_differentials,
    mass_findings,
    patient_differential,
    patient_findings,
)
from paraspinal.differential.levels import band_probabilities, span_probabilities
from paraspinal.differential.names import CATALOGUE, CONTEXT_FIELDS
from paraspinal.masses.types import Mass, MassSearch
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Coverage, ExplainedAway, Finding, Measurement, Measurements, Side
from paraspinal.volume import Region

CONFIG = DifferentialConfig()


def _mass(
    number: int = 1,
    side: Side = "left",
    pair: int | None = None,
    flags: tuple[str, ...] = (),
    state: str = "present",
) -> Mass:
    return Mass(
        id=number,
        state=state,  # type: ignore[arg-type]
        side=side,
        region=Region((0, 0, 0), np.ones((1, 1, 1), dtype=bool)),
        levels=("T9", "T10"),
        level_probabilities={"T9": 0.5, "T10": 0.5},
        centroid_lps_mm=(0.0, 0.0, 0.0),
        key_slice=0,
        confidence=1.0,
        pair_id=pair,
        flags=flags,
    )


def _search(
    *masses: Mass,
    levels: tuple[str, ...] = tuple(f"T{n}" for n in range(4, 13)),
    hidden: dict[tuple[str, str], float] | None = None,
) -> MassSearch:
    """Return a search that covered both sides of `levels`, less what `hidden` (level, side) says."""
    coverage = tuple(
        Coverage(level=level, side=side, assessed_fraction=(hidden or {}).get((level, side), 1.0))
        for level in levels
        for side in ("left", "right")
    )
    return MassSearch(masses, (), coverage)


def _m(value: float, unit: str = "mL", sd: float | None = None, **more: object) -> Measurement:
    return Measurement.measured(value, unit, type_a=sd, **more)  # type: ignore[arg-type]


def _by_name(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def _spleen(m: Measurement) -> dict[str, Finding]:
    return _by_name(patient_findings({"spleen_volume_ml": m}, {}))


def test_nothing_measured_is_not_assessed_and_never_absent() -> None:
    for finding in (*mass_findings(_mass(), {}), *patient_findings({}, {})):
        if finding.name != "level":
            assert finding.state == "not_assessed", finding.name
            assert finding.probability is None
            assert finding.reason


def test_every_finding_has_a_name_of_the_catalogue_and_its_kind() -> None:
    findings = (
        *mass_findings(_mass(flags=("vascular",)), {}),
        *patient_findings({}, {}, _search(_mass())),
    )
    assert {f.name for f in findings} <= set(CATALOGUE)
    assert all(f.kind == CATALOGUE[f.name] for f in findings)


@pytest.mark.parametrize(
    ("volume", "sd", "state", "probability"),
    [
        (600.0, 20.0, "present", 0.99),
        (314.0, 20.0, "indeterminate", 0.5),
        (334.0, 20.0, "present", 0.8413),
        (150.0, 20.0, "absent", 0.01),
    ],
)
def test_uncertainty_decides_between_present_and_indeterminate(
    volume: float, sd: float, state: str, probability: float
) -> None:
    found = _spleen(_m(volume, sd=sd))["splenomegaly"]
    assert found.state == state
    assert found.probability == pytest.approx(probability, abs=2e-4)
    assert found.measurements == ("spleen_volume_ml",)


def test_a_cut_off_spleen_is_enlarged_only_when_the_visible_part_is() -> None:
    large = _m(500.0, sd=10.0, status="lower_bound", reason="cut off below")
    small = _m(200.0, sd=10.0, status="lower_bound", reason="cut off below")
    assert _spleen(large)["splenomegaly"].state == "present"
    assert _spleen(small)["splenomegaly"].state == "not_assessed"


def test_a_spleen_that_was_looked_for_and_not_found_is_absent_not_normal() -> None:
    gone = Measurement.missing(
        "mL", "no spleen in view", status="below_detection_limit", detection_limit=20.0
    )
    found = _spleen(gone)
    assert found["spleen_absent"].state == "present"
    assert found["splenomegaly"].state == "absent"


@pytest.mark.parametrize(("limit", "expected"), [(0.002, 0.05), (0.005, 0.2), (0.1, 0.5)])
def test_below_the_detection_limit_is_absent_as_far_as_the_limit_allows(
    limit: float | None, expected: float
) -> None:
    speck = Measurement.missing("mL", "none", status="below_detection_limit", detection_limit=limit)
    found = _by_name(mass_findings(_mass(), {"discrete_high_density_ml": speck}))["discrete_high_density"]
    assert found.probability == pytest.approx(expected, abs=1e-9)


def test_without_a_detection_limit_nothing_is_denied() -> None:
    speck = Measurement.missing("mL", "none", status="below_detection_limit")
    foci = Measurement.missing("1", "none", status="below_detection_limit")
    found = _by_name(
        mass_findings(_mass(), {"discrete_high_density_ml": speck, "low_density_foci_count": foci})
    )
    assert found["discrete_high_density"].state == found["low_density_foci"].state == "not_assessed"
    assert found["discrete_high_density"].reason == "none"


@pytest.mark.parametrize(
    ("count", "state"),
    [
        (Measurement.measured(1.0, "1"), "present"),
        (Measurement.measured(2.0, "1", status="lower_bound", reason="cut off"), "present"),
        (Measurement.below("1", "none", limit=1.0), "absent"),
        (Measurement.missing("1", "noise hides foci"), "not_assessed"),
    ],
)
def test_foci_are_counted(count: Measurement, state: str) -> None:
    found = _by_name(mass_findings(_mass(), {"low_density_foci_count": count}))["low_density_foci"]
    assert found.state == state
    assert found.probability is None or 0.0 < found.probability < 1.0


def _quality(phase: str = "unenhanced", kvp: float | None = 120.0) -> ScanQuality:
    return ScanQuality(15.0, 1.2, phase, "evidence.", kvp, 4.0, 0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("quality", "judged"),
    [
        (_quality(), True),
        (_quality("portal"), False),
        (_quality("indeterminate"), False),
        (_quality(kvp=100.0), False),
        (_quality(kvp=None), False),
        (None, False),
    ],
)
def test_bands_of_hu_hold_unenhanced_and_at_120_kvp_only(quality: ScanQuality | None, judged: bool) -> None:
    patient: Measurements = {"aortic_lumen_hu": _m(30.0, "HU", 3.0), "liver_hu": _m(95.0, "HU", 3.0)}
    spine = {level: {"trabecular_hu": _m(500.0, "HU", 10.0)} for level in ("T8", "T9", "T10")}
    found = _by_name(patient_findings(patient, spine, quality=quality))
    for name in ("liver_iron", "blood_pool_low", "diffuse_osteosclerosis"):
        assert found[name].state == ("present" if judged else "not_assessed"), name
        assert judged or found[name].reason


def test_too_few_vertebrae_are_the_reason_for_no_statement() -> None:
    spine = {"T9": {"trabecular_hu": _m(160.0, "HU", 5.0, reason="a remark on this one")}}
    found = _by_name(patient_findings({}, spine, quality=_quality()))["diffuse_osteosclerosis"]
    assert found.state == "not_assessed"
    assert found.reason == "1 of 1 vertebrae could be read; 2 are needed"


def test_trabeculae_are_judged_by_the_median_vertebra() -> None:
    def spine(*values: float) -> dict[str, Measurements]:
        return {f"T{7 + i}": {"coarsening_index": _m(v, "1", 0.1)} for i, v in enumerate(values)}

    t = CONFIG.coarsening_index
    coarse = _by_name(patient_findings({}, spine(t + 1, t + 1, t - 1)))["trabecular_coarsening"]
    fine = _by_name(patient_findings({}, spine(t - 1, t - 1, t + 1)))["trabecular_coarsening"]
    one = _by_name(patient_findings({}, spine(t + 1)))["trabecular_coarsening"]
    assert (coarse.state, fine.state, one.state) == ("present", "absent", "not_assessed")


@pytest.mark.parametrize(("limit", "state"), [(0.4, "absent"), (2.0, "indeterminate")])
def test_unseen_trabeculae_are_fine_only_as_far_as_the_limit_allows(limit: float, state: str) -> None:
    unseen = {"coarsening_index": Measurement.below("1", "none", limit=limit)}
    found = _by_name(patient_findings({}, {"T8": unseen, "T9": unseen}))["trabecular_coarsening"]
    assert found.state == state
    assert found.probability >= CONFIG.unseen_probability


def test_an_effusion_is_absent_only_when_both_sides_were_judged() -> None:
    dry, wet = _m(0.0, sd=5.0), _m(300.0, sd=20.0)
    one_dry = _by_name(patient_findings({"effusion_left_ml": dry}, {}))["pleural_effusion"]
    one_wet = _by_name(patient_findings({"effusion_left_ml": wet}, {}))["pleural_effusion"]
    both = _by_name(patient_findings({"effusion_left_ml": dry, "effusion_right_ml": dry}, {}))
    assert (one_dry.state, one_wet.state) == ("not_assessed", "present")
    assert both["pleural_effusion"].state == "absent"


def test_two_sides_without_fluid_deny_an_effusion() -> None:
    none = Measurement.below("mL", "none seen", limit=50.0)
    found = _by_name(patient_findings({"effusion_left_ml": none, "effusion_right_ml": none}, {}))
    assert found["pleural_effusion"].state == "absent"
    assert found["pleural_effusion"].probability < 0.15


@pytest.mark.parametrize("sd", [0.1, 6.0])
def test_an_uncertain_size_is_no_certain_band(sd: float) -> None:
    model = load_model("emh-differential-1")
    band = {}
    for size in (29.0, 31.0):
        finding = Finding(name="size_mm", kind="numeric", state="present", value=size, uncertainty=sd)
        band[size] = differential_of((finding,), model).posterior["emh"]
    unlike = abs(band[29.0] - band[31.0])
    exact = Finding(name="size_mm", kind="numeric", state="present", value=29.0)
    step = abs(
        differential_of((exact,), model).posterior["emh"]
        - differential_of((exact.model_copy(update={"value": 31.0}),), model).posterior["emh"]
    )
    assert unlike == pytest.approx(step, abs=1e-6) if sd < 1 else unlike < 0.6 * step


def test_pairs_are_two_sided_and_a_single_mass_is_not() -> None:
    pair = (_mass(1, "left", 1), _mass(2, "right", 1))
    found = _by_name(patient_findings({}, {}, _search(*pair)))
    assert (found["bilateral"].state, found["multiple"].state) == ("present", "present")
    assert _by_name(mass_findings(pair[0], {}, search=_search(*pair)))["bilateral"].state == "present"
    alone = _by_name(patient_findings({}, {}, _search(_mass())))
    assert (alone["bilateral"].state, alone["multiple"].state) == ("absent", "absent")
    assert _by_name(mass_findings(_mass(), {}, search=_search(_mass())))["bilateral"].state == "absent"


@pytest.mark.parametrize(
    ("search", "bilateral", "multiple"),
    [
        # the right side was not seen at T10: an effusion, the end of the scan, or nothing known at all
        (_search(_mass(), hidden={("T10", "right"): 0.3}), "not_assessed", "absent"),
        (MassSearch((_mass(),), (), ()), "not_assessed", "not_assessed"),
        # the left side, where the mass lies, says nothing on the right one
        (_search(_mass(), hidden={("T10", "left"): 0.3}), "absent", "absent"),
        (_search(_mass(), levels=("T9", "T10", "T11")), "absent", "not_assessed"),
        # a doubtful candidate on the other side, or half of a pair in doubt
        (_search(_mass(), _mass(2, "right", state="indeterminate")), "indeterminate", "indeterminate"),
        (
            _search(_mass(1, "left", 1), _mass(2, "right", 1, state="indeterminate")),
            "indeterminate",
            "indeterminate",
        ),
        (_search(_mass(1, "left"), _mass(2, "right")), "indeterminate", "present"),
    ],
)
def test_a_second_mass_is_denied_only_where_it_would_have_been_seen(
    search: MassSearch, bilateral: str, multiple: str
) -> None:
    found = _by_name(patient_findings({}, {}, search))
    assert (found["bilateral"].state, found["multiple"].state) == (bilateral, multiple)
    own = _by_name(mass_findings(search.masses[0], {}, search=search))["bilateral"]
    assert own.state == bilateral
    assert own.reason


def test_a_guessed_level_is_not_stated() -> None:
    known = mass_findings(_mass(), {})[0]
    unsure = replace(_mass(), level_probabilities={"T5": 0.5, "T7": 0.5})
    guessed = mass_findings(unsure, {})[0]
    assert (known.name, known.state) == ("level", "present")
    assert (guessed.state, guessed.probabilities["upper"]) == ("indeterminate", 0.5)
    assert "0.50" in guessed.reason
    cut = mass_findings(_mass(flags=("cut_by_scan",)), {})[0]
    assert known.reason is None
    assert "further levels" in cut.reason


def test_the_umbrella_of_erosion_follows_its_kinds() -> None:
    deep, none = _m(6.0, "mm", 0.5), _m(0.2, "mm", 0.3)
    both = _by_name(mass_findings(_mass(), {"lytic_depth_mm": deep, "scalloping_depth_mm": none}))
    assert both["vertebral_erosion"].state == "present"
    free = _by_name(mass_findings(_mass(), {"lytic_depth_mm": none, "scalloping_depth_mm": none}))
    assert free["vertebral_erosion"].state == "not_assessed"  # nothing is known of the cortex outside hollows
    kept = {"lytic_depth_mm": none, "scalloping_depth_mm": none, "breakthrough_fraction": _m(0.02, "1", 0.05)}
    assert _by_name(mass_findings(_mass(), kept))["vertebral_erosion"].state == "absent"


def test_an_unsure_kind_shares_the_probability_of_the_hollow() -> None:
    deep = _m(6.0, "mm", 0.5)
    for kept in (0.05, 0.5, 0.9):
        read = {
            "lytic_depth_mm": deep,
            "scalloping_depth_mm": Measurement.below("mm", "none seen", limit=2.0),
            "bone_defect_cortex_kept_probability": _m(kept, "1", 0.01),
        }
        found = _by_name(mass_findings(_mass(), read))
        lytic, smooth = found["bone_destruction"].probability, found["pressure_scalloping"].probability
        assert smooth == pytest.approx(max(kept, 0.1), abs=0.03)
        assert lytic == pytest.approx(max(1.0 - kept, 0.1), abs=0.03)
        assert found["vertebral_erosion"].probability > 0.9  # that there is a hollow is sure
    two = {"lytic_depth_mm": deep, "scalloping_depth_mm": deep}
    both = _by_name(mass_findings(_mass(), two | {"bone_defect_cortex_kept_probability": _m(0.9, "1", 0.01)}))
    assert both["bone_destruction"].state == both["pressure_scalloping"].state == "present"


def _coarse(probability: float) -> Finding:
    return Finding(
        name="trabecular_coarsening",
        kind="boolean",
        state="present" if probability > 0.5 else "absent",
        probability=probability,
    )


def test_lost_cortex_is_marrow_that_broke_through_only_where_marrow_expands() -> None:
    def found(share: float, *patient: Finding) -> Finding:
        measured = {"breakthrough_fraction": _m(share, "1", 0.08)}
        return _by_name(mass_findings(_mass(), measured, patient=patient))["marrow_expansion_breakthrough"]

    assert found(0.6, _coarse(0.95)).state == "present"
    assert found(0.6, _coarse(0.05)).state == "absent"
    assert found(0.05, _coarse(0.95)).state == "absent"
    alone = found(0.6)
    assert alone.state == "not_assessed"
    assert "cause" in alone.reason


def test_every_finding_of_the_catalogue_that_ct_shows_is_told() -> None:
    told = {f.name for f in (*mass_findings(_mass(), {}), *patient_findings({}, {}, _search(_mass())))}
    coded = {"calcification", "cystic_or_fluid", "iron_high_density"}
    densities = {"hu_unenhanced", "hu_enhanced", "hu_phase_unstated"}
    assert told == set(CATALOGUE) - set(CONTEXT_FIELDS.values()) - coded - densities


def test_a_cut_spleen_is_called_neither_normal_nor_free_of_calcification() -> None:
    model = load_model("emh-differential-1")
    cut = _m(295.0, sd=10.0, status="lower_bound", reason="cut off below")
    found = patient_findings({"spleen_volume_ml": cut}, {})
    assert _by_name(found)["spleen_small_or_calcified"].state == "not_assessed"
    sentences = [e.sentence for e in differential_of(found, model).evidence]
    assert not any(s.startswith("Spleen of normal size:") for s in sentences)
    assert any(s.startswith("Excluded: spleen absent") for s in sentences)
    whole = _by_name(patient_findings({"spleen_volume_ml": _m(150.0, sd=5.0)}, {}))
    assert whole["spleen_small_or_calcified"].state == "not_assessed"
    assert "calcification" in whole["spleen_small_or_calcified"].reason
    small = _by_name(patient_findings({"spleen_volume_ml": _m(20.0, sd=2.0)}, {}))
    assert small["spleen_small_or_calcified"].state == "present"


def test_level_bands_share_a_span() -> None:
    assert span_probabilities("T5", "T8") == {"upper": 0.5, "lower_thoracic": 0.5, "lumbar": 0.0}
    assert span_probabilities("T8", "T5") == span_probabilities("T5", "T8")
    assert band_probabilities({"T12": 0.25, "L1": 0.75}, ("T12", "L1"))["lumbar"] == pytest.approx(0.75)
    assert band_probabilities({}, ("?", "?")) == {}


def _finding(name: str, probability: float) -> Finding:
    return Finding(name=name, kind="boolean", state="indeterminate", probability=probability)


def test_unlike_masses_are_not_mixed() -> None:
    model = load_model("emh-differential-1")
    fatty = (
        _mass(1, flags=("vascular",)),
        [_finding("fat", 0.99), _finding("trabecular_coarsening", 0.9)],
        60.0,
    )
    fluid = (_mass(2), [_finding("cystic_or_fluid", 0.99), _finding("foraminal_widening", 0.99)], 5.0)
    found = patient_differential([fluid, fatty], [], model)
    alone = patient_differential([fatty], [], model)
    assert found.posterior == alone.posterior
    assert found.masses == (1,)
    assert found.flags == ("vascular", "unlike_masses")


def test_a_pair_speaks_together_and_outweighs_a_smaller_single_mass() -> None:
    model = load_model("emh-differential-1")
    left = (_mass(1, "left", 7), [_finding("bilateral", 0.98), _finding("low_density_foci", 0.1)], 30.0)
    right = (_mass(2, "right", 7), [_finding("bilateral", 0.98), _finding("low_density_foci", 0.95)], 30.0)
    single = (_mass(3, "left"), [_finding("cystic_or_fluid", 0.99)], 50.0)
    found = patient_differential([single, left, right], [], model)
    assert {e.finding for e in found.evidence} == {"bilateral", "low_density_foci"}
    assert found.masses == (1, 2)
    each = mass_differentials([single, left, right], [], model)
    assert each[1].posterior == each[2].posterior == found.posterior
    assert each[3].posterior != found.posterior
    assert [each[k].masses for k in (1, 2, 3)] == [(1, 2), (1, 2), (3,)]
    foci = next(e for e in found.evidence if e.finding == "low_density_foci")
    assert foci.sentence.startswith("Low-density foci in the mass")
    assert patient_differential([], [], model).posterior is None


def test_sites_elsewhere_are_never_denied_and_say_what_was_searched() -> None:
    region = ExplainedAway(
        reason="consolidation",
        structure="lung",
        volume_ml=12.0,
        centroid_lps_mm=(0.0, 0.0, 0.0),
        confidence=0.4,
    )
    psoas = region.model_copy(update={"reason": "psoas", "volume": 90.0})
    found = _by_name(patient_findings({}, {}, replace(_search(), explained_away=(region, psoas))))
    for name in ("other_emh_site", "lymphadenopathy"):
        assert found[name].state == "not_assessed"
        assert found[name].probability is None
    reason = found["other_emh_site"].reason or ""
    assert "T4 to T12" in reason
    assert "1 region beside it" in reason
    assert "largest 12 mL" in reason


def test_without_a_search_no_site_was_searched() -> None:
    found = _by_name(patient_findings({}, {}))
    assert "no level" in (found["other_emh_site"].reason or "")
