from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from levels_truth import LEVELS, NEAR_MM, UNCERTAIN, Levels
from paraspinal.anatomy import Anatomy, segment_anatomy
from paraspinal.anatomy.spine.levels import (
    LABELS,
    LevelEvidence,
    label_probabilities,
    naming_posterior,
    unusual_plans,
)
from paraspinal.anatomy.types import Vertebra
from paraspinal.errors import AnalysisError
from paraspinal.loading import load_series
from paraspinal.volume import CTVolume, Geometry

NAN = float("nan")


def evidence(rib: list[float], sacral: list[float] | None = None, **marks: float) -> LevelEvidence:
    count = len(rib)
    return LevelEvidence(
        spacing_mm=np.full(count, NAN),
        rib=np.array(rib),
        sacral=np.array(sacral if sacral else [NAN] * count),
        **marks,
    )


def probable(found: LevelEvidence) -> list[dict[str, float]]:
    return label_probabilities(naming_posterior(found), len(found.rib))


def best(found: LevelEvidence) -> list[str]:
    return [max(p, key=lambda name: p[name]) for p in probable(found)]


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
    probabilities = probable(evidence([1, 1, 1, 1]))
    assert max(probabilities[0].values()) < 0.5


def test_the_carina_helps_where_no_end_of_the_ribs_is_seen() -> None:
    without = probable(evidence([1] * 6))[3]
    with_carina = probable(evidence([1] * 6, carina=3.0))[3]
    assert max(with_carina, key=lambda name: with_carina[name]) == "T5"
    assert with_carina["T5"] > 2 * without["T5"]


def test_spacing_alone_leans_the_right_way() -> None:
    lumbar = LevelEvidence(np.array([36.0, 36.0, 35.0, 34.0]), np.full(4, NAN), np.full(4, NAN))
    upper = LevelEvidence(np.array([22.0, 21.0, 20.0, 19.0]), np.full(4, NAN), np.full(4, NAN))
    assert probable(lumbar)[0].get("L5", 0) > probable(upper)[0].get("L5", 0)


@pytest.mark.parametrize("count", [1, 5, 13])
def test_probabilities_sum_to_one_and_follow_one_sequence(count: int) -> None:
    found = evidence([0.5] * count)
    assert sum(n.probability for n in naming_posterior(found)) == pytest.approx(1.0)
    for lower, upper in zip(probable(found)[:-1], probable(found)[1:], strict=True):
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
    named = probable(evidence(ribs))
    assert sum(named[0].values()) < 0.05  # below all names, or S2 at most
    assert best(evidence(ribs[1:])) == [max(p, key=lambda name: p[name]) for p in named[1:]]


def test_more_vertebrae_than_a_spine_has_are_refused_by_code() -> None:
    with pytest.raises(AnalysisError) as caught:
        probable(evidence([0.5] * 40))
    assert caught.value.code == "too_many_vertebrae"


# --- how far bone reaches --------------------------------------------------------------------------------------


def reaching(*mm: float, cut: tuple[int, ...] = (), **marks: object) -> LevelEvidence:
    """Evidence of the reach of each vertebra's bone, caudal first, alike on both sides."""
    reach = np.array([mm, mm], float)
    bound = np.zeros(reach.shape, bool)
    bound[:, list(cut)] = True
    nothing = np.full(len(mm), NAN)
    return LevelEvidence(nothing, nothing, nothing, reach_mm=reach, reach_cut=bound, **marks)  # type: ignore[arg-type]


PROCESSES = (44.0, 47.0, 42.0, 38.0)  # L4 … L1


def test_a_short_last_rib_is_still_the_twelfth() -> None:
    found = probable(reaching(*PROCESSES, 56, 118, 136, 138))
    assert found[4]["T12"] > 0.9


def test_a_long_last_rib_above_five_lumbar_vertebrae_says_eleven_pairs() -> None:
    found = LevelEvidence(
        spacing_mm=np.full(9, NAN),
        rib=np.full(9, NAN),
        sacral=np.array([1.0, 0, 0, 0, 0, 0, 0, 0, 0]),
        reach_mm=np.array([[60, 50, 44, 47, 42, 38, 0, 118, 136]] * 2, float),
        reach_cut=np.zeros((2, 9), bool),
    )
    posterior = naming_posterior(found)
    assert best(found)[7] == "T11"
    assert "eleven rib pairs" in unusual_plans(posterior)


def test_the_first_rib_is_known_by_its_short_reach() -> None:
    found = probable(reaching(125, 121, 117, 111, 99, 75, 0))
    assert found[5]["T1"] > 0.9


def test_a_rib_that_the_scan_cuts_is_no_short_rib() -> None:
    whole = probable(reaching(125, 121, 117, 111, 99, 75))
    cut = probable(reaching(125, 121, 117, 111, 99, 75, cut=(4, 5)))
    assert cut[5].get("T1", 0) < whole[5]["T1"] - 0.3


def test_ribs_of_a_chest_without_ends_leave_the_levels_open() -> None:
    found = probable(reaching(*[125.0] * 5, cut=(0, 1, 2, 3, 4)))
    assert max(found[0].values()) < 0.5


def test_pieces_of_the_sacrum_below_its_second_need_no_name() -> None:
    ribs = (60, 60, 60, 60, 55, *PROCESSES, 82, 120, 134)
    found = probable(reaching(*ribs, crest=5.0))
    assert max(found[9], key=lambda name: found[9][name]) == "T12"


def test_an_unusual_count_is_reported_only_where_it_is_probable() -> None:
    assert unusual_plans(naming_posterior(reaching(*PROCESSES, 82, 120, 134))) == {}


def test_a_level_that_the_user_sets_is_certain_and_names_the_rest() -> None:
    found = probable(reaching(*[125.0] * 4, fixed={1: "T9"}))
    assert [list(p.items()) for p in found] == [[(name, 1.0)] for name in ("T10", "T9", "T8", "T7")]


# --- real series -----------------------------------------------------------------------------------------------


def _by_place(found: Anatomy, truth: Levels) -> list[tuple[str, Vertebra]]:
    pairs = []
    for vertebra in found.vertebrae:
        name, z = min(truth, key=lambda one: abs(one[1] - vertebra.centroid_lps_mm[2]))
        if abs(z - vertebra.centroid_lps_mm[2]) < NEAR_MM:
            pairs.append((name, vertebra))
    return pairs


@pytest.mark.realdata
@pytest.mark.parametrize("series", LEVELS)
def test_real_levels_are_right_and_confident(real_data: Path, series: str) -> None:
    pairs = _by_place(segment_anatomy(load_series(real_data / series).volume), LEVELS[series])
    assert len(pairs) >= len(LEVELS[series]) - 2
    assert [v.label for _, v in pairs] == [name for name, _ in pairs]
    assert min(v.confidence for _, v in pairs) >= 0.9


@pytest.mark.realdata
def test_the_slab_names_its_two_vertebrae_among_the_first_alternatives(real_data: Path) -> None:
    (series, truth), *_ = UNCERTAIN.items()
    found = segment_anatomy(load_series(real_data / series).volume)
    for name, vertebra in _by_place(found, truth):
        assert name in list(vertebra.label_probabilities)[:3]
        assert vertebra.confidence < 0.9


@pytest.mark.realdata
@pytest.mark.parametrize("series", LEVELS)
def test_no_crop_is_named_wrong_with_confidence(real_data: Path, series: str) -> None:
    volume = load_series(real_data / series).volume
    step = volume.geometry.spacing_mm[0]
    for length, share in ((120.0, 0.3), (160.0, 0.8), (200.0, 0.0)):
        count = round(length / step)
        first = round(share * (volume.geometry.shape[0] - count))
        try:
            found = segment_anatomy(_cropped(volume, first, count))
        except AnalysisError:
            continue
        wrong = [
            (n, v.label) for n, v in _by_place(found, LEVELS[series]) if v.label != n and v.confidence >= 0.9
        ]
        assert wrong == []


def _cropped(volume: CTVolume, first: int, count: int) -> CTVolume:
    g = volume.geometry
    x, y, z = (float(v) for v in g.to_lps((first, 0, 0)))
    part = Geometry((count, *g.shape[1:]), g.spacing_mm, (x, y, z), g.axes_lps)
    padding = None if volume.padding is None else volume.padding[first : first + count]
    return CTVolume(hu=volume.hu[first : first + count], geometry=part, padding=padding)
