from __future__ import annotations

import numpy as np
import pytest

from paraspinal.anatomy.levels import LABELS, LevelEvidence, label_probabilities, naming_posterior
from paraspinal.errors import AnalysisError

NAN = float("nan")


def evidence(rib: list[float], sacral: list[float] | None = None, **marks: float) -> LevelEvidence:
    count = len(rib)
    return LevelEvidence(
        spacing_mm=np.full(count, NAN),
        rib=np.array(rib),
        sacral=np.array(sacral if sacral else [NAN] * count),
        **marks,
    )


def best(found: LevelEvidence) -> list[str]:
    return [max(p, key=lambda name: p[name]) for p in label_probabilities(found)]


def test_the_last_rib_names_t12() -> None:
    found = evidence([0, 0, 0, 1, 1, 1, 1])
    assert best(found) == ["L3", "L2", "L1", "T12", "T11", "T10", "T9"]


def test_the_sacrum_names_the_lumbar_levels() -> None:
    found = LevelEvidence(
        spacing_mm=np.array([NAN, 35.0, 36.0, 35.0]),
        rib=np.array([1.0, 0.0, 0.0, 0.0]),  # at the sacrum, bone reaches far to the side as a rib does
        sacral=np.array([1.0, 0.0, 0.0, 0.0]),
    )
    assert best(found) == ["S1", "L5", "L4", "L3"]


def test_the_first_rib_names_t1() -> None:
    found = evidence([1, 1, 1, 1, 0, 0])
    assert best(found)[3:] == ["T1", "C7", "C6"]


def test_without_an_anchor_nothing_is_certain() -> None:
    probabilities = label_probabilities(evidence([1, 1, 1, 1]))
    assert max(probabilities[0].values()) < 0.5


def test_the_carina_helps_where_no_end_of_the_ribs_is_seen() -> None:
    without = label_probabilities(evidence([1] * 6))[3]
    with_carina = label_probabilities(evidence([1] * 6, carina=3.0))[3]
    assert max(with_carina, key=lambda name: with_carina[name]) == "T5"
    assert with_carina["T5"] > 2 * without["T5"]


def test_spacing_alone_leans_the_right_way() -> None:
    lumbar = LevelEvidence(np.array([36.0, 36.0, 35.0, 34.0]), np.full(4, NAN), np.full(4, NAN))
    upper = LevelEvidence(np.array([22.0, 21.0, 20.0, 19.0]), np.full(4, NAN), np.full(4, NAN))
    assert label_probabilities(lumbar)[0].get("L5", 0) > label_probabilities(upper)[0].get("L5", 0)


@pytest.mark.parametrize("count", [1, 5, 13])
def test_probabilities_sum_to_one_and_follow_one_sequence(count: int) -> None:
    found = evidence([0.5] * count)
    assert sum(n.probability for n in naming_posterior(found)) == pytest.approx(1.0)
    for lower, upper in zip(label_probabilities(found)[:-1], label_probabilities(found)[1:], strict=True):
        for label, p in lower.items():
            above = LABELS[LABELS.index(label) + 1]
            assert upper.get(above, 0.0) == pytest.approx(p, abs=0.02)


def test_one_misread_landmark_does_not_outvote_the_ribs() -> None:
    ribs = [0, 0, 1, 1, 1, 1, 1]
    assert best(evidence(ribs, apex=2.0)) == best(evidence(ribs))


def test_a_whole_spine_is_named_up_to_the_atlas() -> None:
    ribs = [0.9, 0.9, *[0.0] * 5, *[1.0] * 12, *[0.0] * 7]
    assert best(evidence(ribs)) == list(LABELS)
    assert LABELS[-1] == "C1"


def test_a_longer_sequence_is_named_where_it_overlaps_the_spine() -> None:
    ribs = [NAN, 0.9, 0.9, *[0.0] * 5, *[1.0] * 12, *[0.0] * 7]
    named = label_probabilities(evidence(ribs))
    assert sum(named[0].values()) < 0.05  # below all names, or S2 at most
    assert best(evidence(ribs[1:])) == [max(p, key=lambda name: p[name]) for p in named[1:]]


def test_more_vertebrae_than_a_spine_has_are_refused_by_code() -> None:
    with pytest.raises(AnalysisError) as caught:
        label_probabilities(evidence([0.5] * 40))
    assert caught.value.code == "too_many_vertebrae"
