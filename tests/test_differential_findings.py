"""Findings from measurements: uncertainty becomes probability, and what was not measured is never absent."""

from __future__ import annotations

import numpy as np
import pytest

from paraspinal.config import DifferentialConfig
from paraspinal.differential import (
    load_model,
    mass_findings,
    patient_differential,
    patient_findings,
)
from paraspinal.differential.levels import band_probabilities, span_probabilities
from paraspinal.differential.names import CATALOGUE
from paraspinal.masses.types import Mass
from paraspinal.result import Finding, Measurement, Measurements, Side
from paraspinal.volume import Region

CONFIG = DifferentialConfig()


def _mass(number: int = 1, side: Side = "left", pair: int | None = None, flags: tuple[str, ...] = ()) -> Mass:
    return Mass(
        id=number,
        state="present",
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


def _m(value: float, unit: str = "mL", sd: float | None = None, **more: object) -> Measurement:
    return Measurement.measured(value, unit, type_a=sd, **more)  # type: ignore[arg-type]


def _by_name(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def _spleen(m: Measurement) -> dict[str, Finding]:
    return _by_name(patient_findings({"spleen_volume_ml": m}, {}, ()))


def test_nothing_measured_is_not_assessed_and_never_absent() -> None:
    for finding in (*mass_findings(_mass(), {}, {}), *patient_findings({}, {}, ())):
        if finding.name not in {"level", "bilateral"}:
            assert finding.state == "not_assessed", finding.name
            assert finding.probability is None
            assert finding.reason


def test_every_finding_has_a_name_of_the_catalogue_and_its_kind() -> None:
    findings = (*mass_findings(_mass(flags=("vascular",)), {}, {}), *patient_findings({}, {}, (_mass(),)))
    assert {f.name for f in findings} <= set(CATALOGUE)
    assert all(f.kind == CATALOGUE[f.name] for f in findings)


@pytest.mark.parametrize(
    ("volume", "sd", "state", "probability"),
    [
        (600.0, 20.0, "present", 1.0),
        (314.0, 20.0, "indeterminate", 0.5),
        (334.0, 20.0, "present", 0.8413),
        (150.0, 20.0, "absent", 0.0),
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


@pytest.mark.parametrize(("limit", "expected"), [(0.002, 0.05), (0.005, 0.2), (0.1, 0.5), (None, 0.05)])
def test_below_the_detection_limit_is_absent_as_far_as_the_limit_allows(
    limit: float | None, expected: float
) -> None:
    speck = Measurement.missing("mL", "none", status="below_detection_limit", detection_limit=limit)
    found = _by_name(mass_findings(_mass(), {"discrete_high_density_ml": speck}, {}))["discrete_high_density"]
    assert found.probability == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("lumen", "liver", "state"), [(40.0, 95.0, "present"), (180.0, 95.0, "not_assessed")]
)
def test_liver_iron_is_judged_unenhanced_only(lumen: float, liver: float, state: str) -> None:
    patient: Measurements = {
        "aortic_lumen_hu": _m(lumen, "[hnsf'U]", 3.0),
        "liver_hu": _m(liver, "[hnsf'U]", 3.0),
    }
    assert _by_name(patient_findings(patient, {}, ()))["liver_iron"].state == state


def test_trabeculae_are_judged_by_the_median_vertebra() -> None:
    def spine(*values: float) -> dict[str, Measurements]:
        return {f"T{7 + i}": {"coarsening_index": _m(v, "1", 0.1)} for i, v in enumerate(values)}

    t = CONFIG.coarsening_index
    coarse = _by_name(patient_findings({}, spine(t + 1, t + 1, t - 1), ()))["trabecular_coarsening"]
    fine = _by_name(patient_findings({}, spine(t - 1, t - 1, t + 1), ()))["trabecular_coarsening"]
    one = _by_name(patient_findings({}, spine(t + 1), ()))["trabecular_coarsening"]
    assert (coarse.state, fine.state, one.state) == ("present", "absent", "not_assessed")


def test_an_effusion_is_absent_only_when_both_sides_were_judged() -> None:
    dry, wet = _m(0.0, sd=5.0), _m(300.0, sd=20.0)
    one_dry = _by_name(patient_findings({"effusion_left_ml": dry}, {}, ()))["pleural_effusion"]
    one_wet = _by_name(patient_findings({"effusion_left_ml": wet}, {}, ()))["pleural_effusion"]
    both = _by_name(patient_findings({"effusion_left_ml": dry, "effusion_right_ml": dry}, {}, ()))
    assert (one_dry.state, one_wet.state) == ("not_assessed", "present")
    assert both["pleural_effusion"].state == "absent"


def test_pairs_are_two_sided_and_a_single_mass_is_not() -> None:
    pair = (_mass(1, "left", 1), _mass(2, "right", 1))
    assert _by_name(patient_findings({}, {}, pair))["bilateral"].state == "present"
    assert _by_name(patient_findings({}, {}, pair))["multiple"].state == "present"
    assert _by_name(patient_findings({}, {}, (_mass(),)))["bilateral"].state == "absent"
    assert _by_name(mass_findings(pair[0], {}, {}))["bilateral"].state == "present"


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
    assert found.flags == ("vascular", "unlike_masses")


def test_a_pair_speaks_together_and_outweighs_a_smaller_single_mass() -> None:
    model = load_model("emh-differential-1")
    left = (_mass(1, "left", 7), [_finding("bilateral", 0.98), _finding("low_density_foci", 0.1)], 30.0)
    right = (_mass(2, "right", 7), [_finding("bilateral", 0.98), _finding("low_density_foci", 0.95)], 30.0)
    single = (_mass(3, "left"), [_finding("cystic_or_fluid", 0.99)], 50.0)
    found = patient_differential([single, left, right], [], model)
    assert {e.finding for e in found.evidence} == {"bilateral", "low_density_foci"}
    foci = next(e for e in found.evidence if e.finding == "low_density_foci")
    assert foci.sentence.startswith("Low-density foci in the mass")
    assert patient_differential([], [], model).posterior is None
