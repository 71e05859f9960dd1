"""Findings that a user states replace derived ones, move the differential, and are on record."""

from __future__ import annotations

import pytest

from paraspinal.differential import apply_overrides, differential_of, load_model, parse_override
from paraspinal.errors import UsageError
from paraspinal.result import Finding

PATIENT = (Finding(name="splenomegaly", kind="boolean", state="present", probability=0.9),)
MASSES = {
    n: (Finding(name="calcification", kind="boolean", state="present", probability=0.8),) for n in (1, 2)
}

MODEL = load_model("emh-differential-1")


def applied(*texts: str):
    return apply_overrides([parse_override(text) for text in texts], PATIENT, MASSES, MODEL)


def test_a_name_alone_means_the_patient_and_else_every_mass() -> None:
    done = applied("splenomegaly=absent", "calcification=absent")
    assert [(f.state, f.probability) for f in done.patient] == [("absent", 0.0)]
    assert {f.state for findings in done.masses.values() for f in findings} == {"absent"}
    assert [r.target for r in done.records] == [
        "patient: splenomegaly",
        "mass 1: calcification",
        "mass 2: calcification",
    ]
    assert done.records[0].before == "present (probability 0.90)"


def test_one_mass_can_be_meant() -> None:
    done = applied("2:calcification=not_assessed", "1:margin=well")
    assert [f.state for f in done.masses[1]] == ["present", "present"]
    assert done.masses[1][1].value == "well"
    assert done.masses[2][0].state == "not_assessed"
    assert done.records[1].before == "not among the findings"


def test_what_reads_the_same_thing_is_set_aside_with_its_words() -> None:
    measured = Finding(name="discrete_high_density", kind="boolean", state="present", probability=0.97)
    override = parse_override("1:calcification=absent")
    done = apply_overrides([override], PATIENT, {1: (measured,)}, MODEL)
    assert {f.name: f.state for f in done.masses[1]} == {
        "discrete_high_density": "not_assessed",
        "calcification": "absent",
    }
    assert "discrete_high_density present (probability 0.97)" in done.records[0].before


def test_what_no_scan_shows_becomes_the_patients_and_moves_the_differential() -> None:
    before = differential_of(PATIENT, MODEL).posterior
    after = differential_of(applied("nf1=present").patient, MODEL).posterior
    assert after["neurogenic_tumour"] > before["neurogenic_tumour"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("splenomegaly", "override_invalid"),
        ("splenomegaly=", "override_invalid"),
        ("splenomegaly=yes", "override_invalid"),
        ("x:splenomegaly=absent", "override_invalid"),
        ("spleenomegaly=absent", "finding_unknown"),
        ("margin=round", "finding_value"),
        ("size_mm=-3", "finding_value"),
    ],
)
def test_what_is_no_statement_is_refused(text: str, code: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_override(text)
    assert refused.value.code == code


def test_a_mass_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError) as refused:
        applied("3:calcification=absent")
    assert refused.value.code == "mass_unknown"
