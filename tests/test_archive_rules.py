"""Rules choose series, one a study, and give a reason for every other one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from paraspinal.archive.rules import Rules, choose
from paraspinal.archive.store import SeriesEntry


def _entry(
    name: str, study: str = "s", *, refusal: str | None = None, score: float = 1.0, **row: Any
) -> SeriesEntry:
    facts = {"modality": "CT", "slices": 100, "spacing_mm": (1.0, 0.7, 0.7), "thickness_mm": 1.0} | row
    return SeriesEntry(name, name, study, facts["modality"], "ok", refusal, score, "", {}, facts)


def _codes(entries: list[SeriesEntry], rules: Rules) -> dict[str, str]:
    return {c.entry.id: "" if c.taken else c.code for c in choose(entries, rules)}


@pytest.mark.parametrize(
    ("rules", "row", "code"),
    [
        ({}, {"modality": "MR"}, "rule_modality"),
        ({"region": ("chest",)}, {"region": "head"}, "rule_region"),
        ({"region": ("chest",)}, {}, ""),
        ({"max_thickness_mm": 2.5}, {"thickness_mm": 5.0}, "rule_thickness"),
        ({"max_thickness_mm": 2.5}, {"spacing_mm": (3.0, 0.7, 0.7)}, "rule_thickness"),
        ({"min_slices": 101}, {}, "rule_slices"),
        ({"kernel": "soft"}, {"kernel": "B70f"}, "rule_kernel"),
        ({"kernel": "sharp"}, {"kernel": "STANDARD"}, "rule_kernel"),
        ({"contrast": "no"}, {"contrast": True}, "rule_contrast"),
        ({"contrast": "yes"}, {}, "rule_contrast"),
        ({"since": "20240101"}, {"date": "20231231"}, "rule_date"),
        ({"until": "20240101"}, {}, "rule_date"),
        ({"since": "20240101", "until": "20240131"}, {"date": "20240115"}, ""),
    ],
)
def test_a_rule_that_is_broken_is_named(rules: dict[str, Any], row: dict[str, Any], code: str) -> None:
    assert _codes([_entry("a", **row)], Rules(**rules)) == {"a": code}


def test_the_best_of_a_study_is_taken_and_the_others_name_it() -> None:
    entries = [_entry("thin", score=5.0), _entry("thick", score=3.0), _entry("scout", refusal="localizer")]
    choices = {c.entry.id: c for c in choose(entries, Rules())}
    assert choices["thin"].taken
    assert choices["thick"].code == "less_suited"
    assert "thin" in choices["thick"].reason
    assert "3.0 against 5.0" in choices["thick"].reason
    assert choices["scout"].code == "localizer"
    assert _codes(entries, Rules(per_study=False))["thick"] == ""


def test_a_runner_up_steps_in_where_the_best_breaks_a_rule() -> None:
    entries = [_entry("sharp", score=5.0, kernel="LUNG"), _entry("soft", score=3.0, kernel="B30f")]
    assert _codes(entries, Rules(kernel="soft")) == {"sharp": "rule_kernel", "soft": ""}


@pytest.mark.parametrize("wanted", ["soft", "sharp"])
def test_a_kernel_that_is_not_known_passes(wanted: str) -> None:
    assert _codes([_entry("a", kernel="XYZ")], Rules(kernel=wanted)) == {"a": ""}


@pytest.mark.parametrize("region", ["chest", "abdomen"])
def test_one_of_several_regions_is_enough(region: str) -> None:
    entries = [_entry("both", "s", region="chest+abdomen"), _entry("head", "t", region="head")]
    assert _codes(entries, Rules(region=(region,))) == {"both": "", "head": "rule_region"}


def test_a_modality_that_is_none_cannot_be_asked_for() -> None:
    with pytest.raises(ValidationError, match="no such modality"):
        Rules(modality="MUELLER")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 9)), max_size=20))
def test_every_series_has_one_choice_and_a_study_one_that_is_taken(
    drawn: list[tuple[str, bool, float]],
) -> None:
    entries = [
        _entry(f"{k}", study, refusal="x" if bad else None, score=score)
        for k, (study, bad, score) in enumerate(drawn)
    ]
    entries.sort(key=lambda e: (e.study, e.refusal is not None, -(e.score or 0)))
    choices = list(choose(entries, Rules()))
    assert [c.entry.id for c in choices] == [e.id for e in entries]
    for study in {e.study for e in entries}:
        own = [c for c in choices if c.entry.study == study]
        assert sum(c.taken for c in own) == any(c.entry.refusal is None for c in own)
        assert all(c.taken or c.code for c in own)
