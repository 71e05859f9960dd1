"""When an analysis may say `no_mass`, and what it says it could not assess."""

from __future__ import annotations

import pytest

from analysis_factory import LEVELS, make_analysis, make_coverage, make_mass, make_search
from paraspinal.analysis.outcome import (
    decide_outcome,
    describe_gaps,
    not_assessed_sentences,
    orientation_doubt,
)
from paraspinal.config import Config
from paraspinal.masses.types import MassSearch
from paraspinal.result import Coverage, LoadCode, Loading

CONFIG = Config()


def outcome(search: MassSearch, *, spine_mm: float = 60.0) -> tuple[str, str]:
    return decide_outcome(spine_mm=spine_mm, search=search, config=CONFIG)


def test_no_mass_names_the_levels_it_holds_for() -> None:
    kind, reason = outcome(make_search())
    assert kind == "no_mass"
    assert "T9 to T11" in reason
    assert "3 levels" in reason


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.59])
def test_a_compartment_that_could_hide_a_mass_rules_out_no_mass(fraction: float) -> None:
    gap = Coverage(level="T10", side="right", assessed_fraction=fraction, reasons=("10% filled by effusion",))
    coverage = tuple(c for c in make_coverage() if (c.level, c.side) != ("T10", "right"))
    kind, reason = outcome(make_search(coverage=(*coverage, gap)))
    assert kind == "inconclusive"
    assert "right T10 (filled by effusion" in reason


def test_a_gap_without_a_stated_reason_counts_as_a_gap() -> None:
    coverage = (*make_coverage(), Coverage(level="T12", side="left", assessed_fraction=0.1))
    assert outcome(make_search(coverage=coverage))[0] == "inconclusive"


def test_the_end_of_the_scan_narrows_the_claim_instead() -> None:
    cut = Coverage(
        level="T12", side="left", assessed_fraction=0.2, reasons=("80% of the level lies outside the scan",)
    )
    kind, reason = outcome(make_search(coverage=(*make_coverage(), cut)))
    assert kind == "no_mass"
    assert "T12" not in reason


def test_an_effusion_at_the_end_of_the_scan_is_still_a_gap() -> None:
    reasons = ("30% of the level lies outside the scan", "60% filled by effusion")
    cut = Coverage(level="T12", side="left", assessed_fraction=0.2, reasons=reasons)
    assert outcome(make_search(coverage=(*make_coverage(), cut)))[0] == "inconclusive"


def _hiding(level: str, *, up_to_mm: float) -> tuple[Coverage, ...]:
    return tuple(
        c.model_copy(update={"min_detectable_mm": up_to_mm if c.level == level else 22.6})
        for c in make_coverage()
    )


def test_where_a_large_mass_could_be_missed_no_mass_is_not_said() -> None:
    kind, reason = outcome(make_search(coverage=_hiding("T11", up_to_mm=43.0)))
    assert kind == "no_mass"
    assert "No mass of 23 mm or more beside the spine at T9 to T10 (2 levels" in reason
    assert "At T11 a mass below 43 mm could have been missed" in reason


def test_a_level_between_is_not_claimed_with_its_neighbours() -> None:
    assert "at T9, T11 (2 levels" in outcome(make_search(coverage=_hiding("T10", up_to_mm=43.0)))[1]


def test_too_few_levels_that_would_show_a_mass_are_inconclusive() -> None:
    coverage = tuple(c.model_copy(update={"min_detectable_mm": 40.0}) for c in make_coverage())
    kind, reason = outcome(make_search(coverage=coverage))
    assert kind == "inconclusive"
    assert "only 0 levels" in reason


def test_one_side_is_not_enough_for_no_mass() -> None:
    left = tuple(c for c in make_coverage() if c.side == "left")
    assert outcome(make_search(coverage=left))[0] == "inconclusive"


def test_a_statement_about_doubtful_levels_says_so() -> None:
    told = [
        decide_outcome(spine_mm=60, search=make_search(), config=CONFIG, uncertain_levels=levels)[1]
        for levels in ((), ("T10",), ("L4",))
    ]
    assert ["names uncertain" in reason for reason in told] == [False, True, False]


def test_nothing_covered_is_never_no_mass() -> None:
    assert outcome(make_search(coverage=()))[0] == "inconclusive"


def test_an_indeterminate_candidate_is_inconclusive_and_a_present_one_a_mass() -> None:
    doubtful, sure = make_mass(mass_id=1, state="indeterminate"), make_mass(mass_id=2)
    assert outcome(make_search(doubtful))[0] == "inconclusive"
    kind, reason = outcome(make_search(doubtful, sure))
    assert kind == "mass"
    assert "1 more indeterminate" in reason


def test_a_present_mass_counts_whatever_was_not_covered() -> None:
    assert outcome(make_search(make_mass(), coverage=make_coverage(0.0)))[0] == "mass"


def test_too_little_spine_is_not_assessable() -> None:
    assert outcome(make_search(), spine_mm=39.9)[0] == "not_assessable"
    assert outcome(make_search(), spine_mm=40.0)[0] == "no_mass"


def test_a_failed_anatomy_is_not_assessable_and_says_why() -> None:
    kind, reason = decide_outcome(spine_mm=0, search=make_search(), config=CONFIG, failure="no bone.")
    assert kind == "not_assessable"
    assert "no bone." in reason


def test_gaps_are_grouped_by_side_and_reason() -> None:
    gaps = [
        c.model_copy(update={"assessed_fraction": f})
        for c, f in zip(
            make_coverage(reasons=("10% filled by effusion",)), (0.1, 0.5, 0.2, 0.5, 0.4, 0.5), strict=True
        )
    ]
    assert describe_gaps(gaps) == [
        f"left {', '.join(LEVELS)} (filled by effusion; 10–40 % assessed)",
        f"right {', '.join(LEVELS)} (filled by effusion; 50 % assessed)",
    ]


def test_everything_missing_is_said_once() -> None:
    masses = (make_mass(mass_id=1), make_mass(mass_id=2, side="right"))
    sentences = not_assessed_sentences(
        make_analysis(*masses).result, config=CONFIG, notes=("A note.", "A note.")
    )
    assert "Not measured (unenhanced scan): rim_contrast_hu [mass 1, mass 2]." in sentences
    assert "Not measured (slices > 3 mm): trabecular_hu [T9]." in sentences
    assert "Organs not in view: liver." in sentences
    assert sentences.count("A note.") == 1
    assert not any("spleen_volume_ml" in sentence for sentence in sentences)


def test_a_compartment_seen_in_part_is_listed_even_if_no_mass_may_be_said() -> None:
    result = make_analysis().result.model_copy(
        update={"coverage": make_coverage(0.7, reasons=("30% filled by spleen",))}
    )
    sentences = not_assessed_sentences(result, config=CONFIG)
    assert sentences[0] == "Not fully covered: left T9, T10, T11 (filled by spleen; 70 % assessed)."


def test_uncertain_levels_are_listed() -> None:
    strict = Config.model_validate({"outcome": {"min_level_confidence": 0.96}})
    sentences = not_assessed_sentences(make_analysis().result, config=strict)
    assert "Levels uncertain: T9, T10, T11 (lowest confidence 95 %)." in sentences
    assert not any("Levels" in s for s in not_assessed_sentences(make_analysis().result, config=CONFIG))


def test_a_contradicted_orientation_leaves_nothing_to_assess() -> None:
    code = LoadCode(code="orientation_left_right", text="The organs lie on the other side.")
    doubt = orientation_doubt(Loading(verdict="ok", codes=(code,)))
    assert doubt is not None
    kind, reason = decide_outcome(spine_mm=0, search=make_search(), config=CONFIG, failure=doubt)
    assert kind == "not_assessable"
    assert "other side" in reason
    assert (
        orientation_doubt(Loading(verdict="ok", codes=(LoadCode(code="oblique", text="Oblique."),))) is None
    )
