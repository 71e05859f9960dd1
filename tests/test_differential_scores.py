"""Scores against what they must be: brute force, simulated truth, and cases that the model itself draws."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraspinal.cli.main import run
from paraspinal.differential import differentials_of, load_model
from paraspinal.differential.draw import draw_case, drawn_findings
from paraspinal.differential.evaluation import (
    KnownCase,
    evaluate,
    known_cases,
    reliability_picture,
    sensitivity,
)
from paraspinal.differential.evaluation.baselines import majority, naive_bayes, teaching_rule
from paraspinal.differential.evaluation.evaluate import posteriors, truths
from paraspinal.differential.evaluation.picture import reliability
from paraspinal.differential.evaluation.scores import auc, calibration, scores
from paraspinal.differential.evaluation.sensitivity import sources, without_source
from paraspinal.differential.observe import observe
from paraspinal.result import ENTITIES

MODEL = load_model("emh-differential-1")
IMAGING = [name for name, v in MODEL.variables.items() if v.scope == "imaging" and not v.any_of]


def drawn(count: int, seed: int, *, told: int = 8) -> list[KnownCase]:
    """Cases of each entity in equal shares, drawn from the model, of which some findings are told."""
    rng = np.random.default_rng(seed)
    cases = []
    for k in range(count):
        case = draw_case(MODEL, rng, ENTITIES[k % len(ENTITIES)])
        names = set(rng.choice(IMAGING, size=told, replace=False))
        findings = drawn_findings(case, MODEL, rng, told=names)
        cases.append(KnownCase(f"c{k}", findings, case.entity, case.kind, k % 2 == 0, len(findings)))
    return cases


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=2, max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_area_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[int, bool, int]]) -> None:
    score = np.array([r[0] for r in rows], float)
    positive = np.array([r[1] for r in rows])
    weight = np.array([[r[2] for r in rows]], float)
    won = total = 0.0
    for (s, a, v), (t, b, u) in itertools.product(zip(score, positive, weight[0], strict=True), repeat=2):
        if a and not b:
            total += v * u
            won += v * u * (1.0 if s > t else 0.5 if s == t else 0.0)
    found = auc(score, positive, weight)[0]
    assert np.isnan(found) if total == 0.0 else found == pytest.approx(won / total)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.0), (1.0, -0.8), (1.6, 0.5)])
def test_calibration_finds_the_slope_that_made_the_truth(slope: float, intercept: float) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0.0, 1.5, 20000)
    happened = (rng.uniform(size=20000) < 1.0 / (1.0 + np.exp(-(intercept + slope * x)))).astype(float)
    found, alone = calibration(x, happened, np.ones((1, 20000)))
    assert found[0] == pytest.approx(slope, abs=0.05)
    if slope == 1.0:
        assert alone[0] == pytest.approx(intercept, abs=0.06)


def test_separated_classes_have_no_slope_and_one_class_no_area() -> None:
    x = np.array([-2.0, -1.0, 1.0, 2.0])
    assert np.isnan(calibration(x, np.array([0.0, 0.0, 1.0, 1.0]), np.ones((1, 4)))[0][0])
    p = np.full((3, 7), 1 / 7)
    assert scores(p, np.zeros(3, int), draws=20)["emh_auc"].value is None


def test_sure_and_right_scores_best_and_ties_share_their_places() -> None:
    truth = np.array([0, 1, 2, 3, 4, 5, 6])
    sure = scores(np.eye(7)[truth] * 0.94 + 0.06 / 7, truth, draws=20)
    assert (sure["top1"].value, sure["top2"].value, sure["emh_auc"].value) == (1.0, 1.0, 1.0)
    assert sure["log_loss"].value == pytest.approx(-np.log(0.94 + 0.06 / 7))
    even = scores(np.full((7, 7), 1 / 7), truth, draws=20)
    assert even["top1"].value == pytest.approx(1 / 7)
    assert even["top2"].value == pytest.approx(2 / 7)
    assert even["brier"].value == pytest.approx(6 / 7)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    truth = np.zeros(60, int)
    held = 0
    for k in range(40):
        right = rng.uniform(size=60) < 0.7
        p = np.where(right[:, None], np.eye(7)[0], np.eye(7)[1]) * 0.9 + 0.1 / 7
        figure = scores(p, truth, draws=150, seed=k)["top1"]
        assert figure.low is not None
        assert figure.high is not None
        held += figure.low <= 0.7 <= figure.high
    assert held >= 34  # 95 % of 40 is 38


def test_the_model_is_calibrated_on_what_it_draws_itself() -> None:
    """Maths (groups, reliability) that is the one behind the cases has slope 1 and keeps its promise."""
    cases = drawn(1400, 1, told=10)
    p = posteriors(differentials_of([c.findings for c in cases], MODEL))
    found = scores(p, truths(cases), draws=20)
    assert found["slope"].value == pytest.approx(1.0, abs=0.08)
    assert found["emh_slope"].value == pytest.approx(1.0, abs=0.15)
    assert found["top1"].value == pytest.approx(found["expected_top1"].value, abs=0.03)
    for mean, hits, count in reliability(p.ravel(), np.eye(7)[truths(cases)].ravel()):
        assert hits / count == pytest.approx(mean, abs=4.0 * np.sqrt(mean * (1 - mean) / count) + 0.01)


def test_naive_bayes_does_not_see_the_case_that_it_judges() -> None:
    """Labels by chance cannot be told: in-sample counts would find them."""
    cases = drawn(140, 2)
    shuffled = np.random.default_rng(0).permutation(truths(cases))
    p = naive_bayes(observe([c.findings for c in cases], MODEL), shuffled, MODEL)
    assert p.sum(axis=1) == pytest.approx(np.ones(140))
    assert (p.argmax(axis=1) == shuffled).mean() < 0.25
    own = naive_bayes(observe([c.findings for c in cases], MODEL), truths(cases), MODEL)
    assert (own.argmax(axis=1) == truths(cases)).mean() > 0.28


def test_the_other_baselines() -> None:
    truth = np.array([1, 1, 1, 0])
    assert (majority(truth).argmax(axis=1) == 1).all()
    text = "\n".join(
        json.dumps({"diagnosis": "emh", "findings": findings})
        for findings in (
            {"bilateral": True},
            {"bilateral": True, "level_min": "T8", "calcification": False},
            {"bilateral": True, "level_min": "L2"},
            {"bilateral": True, "calcification": True},
            {"bilateral": True, "rib_erosion": True},
            {"fat": False},
        )
    )
    cases, _ = known_cases("c.jsonl", text, MODEL)
    assert teaching_rule([c.findings for c in cases]).tolist() == [True, True, False, False, False, False]


def test_cases_are_read_with_diagnosis_strata_and_faults() -> None:
    lines = [
        {"id": 1, "diagnosis": "other:myelolipoma", "confirmation_class": "tissue_culture_or_surgery"},
        {"diagnosis": "other:teratoma"},
        {"diagnosis": "lymphomas"},
        {"diagnosis": None},
        {"diagnosis": "emh", "findings": {"fatt": True}},
    ]
    told = {"fat": True, "margin": "well", "gas": False, "level_min": "T8", "nf1": False, "size_mm": None}
    text = "\n".join(json.dumps({"findings": told, **line}) for line in lines)
    cases, faults = known_cases("c.jsonl", text, MODEL)
    assert [(c.entity, c.kind, c.tissue, c.stated) for c in cases] == [
        ("other", "myelolipoma", True, 3),
        ("other", None, False, 3),
    ]
    assert len(faults) == 3
    assert "Did you mean lymphoma?" in faults[0]
    assert "no diagnosis" in faults[1]
    assert "line 5" in faults[2]


def test_strata_hold_their_cases_and_the_order_makes_no_difference() -> None:
    cases = [*drawn(28, 4, told=6), *drawn(14, 6, told=2)]
    found = evaluate(cases, MODEL, draws=50)
    counts = {b.stratum: b.n for b in found.blocks if b.evidence == "imaging"}
    assert counts == {
        "all": 42,
        "all, tissue-confirmed": 21,
        "subset": sum(c.stated >= 3 for c in cases),
        "subset, tissue-confirmed": sum(c.stated >= 3 and c.tissue for c in cases),
    }
    again = evaluate(cases[::-1], MODEL, draws=50)
    for one, two in zip(found.blocks, again.blocks, strict=True):
        assert one.scores["log_loss"].value == pytest.approx(two.scores["log_loss"].value)
        assert [(c.n, c.first, c.first_two) for c in one.classes] == [
            (c.n, c.first, c.first_two) for c in two.classes
        ]
    assert reliability_picture(found.predictions).width > 1000


def test_a_left_out_source_is_gone_and_only_its_own_cells_move() -> None:
    left = without_source(MODEL, "LAWSON")
    assert "LAWSON" not in sources(left)
    moved = {name for name in MODEL.variables if MODEL.variables[name].cells != left.variables[name].cells}
    assert moved == {"rib_expansion"}
    s = MODEL.compiled.kinds.index(("emh", "haemoglobinopathy_active"))
    f = MODEL.compiled.position["rib_expansion"]
    assert left.compiled.theta[s, f, 0] < 0.05 < MODEL.compiled.theta[s, f, 0]


def test_sensitivity_follows_a_case_and_every_prior() -> None:
    cases = drawn(21, 8)
    found = sensitivity(cases, MODEL, watch="c0")
    assert found.base.watched is not None
    assert {step.name for step in found.steps if step.what == "prior"} == set(MODEL.priors) - {"uniform"}
    told = {f.name for c in cases for f in c.findings}
    left_out = {step.name for step in found.steps if step.what == "without finding"}
    assert left_out == {n for n, v in MODEL.variables.items() if told & set(v.readings or (n,))}


def test_the_command_writes_what_it_says_and_replaces_nothing(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    file, out = tmp_path / "c.csv", tmp_path / "out"
    file.write_text("id,diagnosis,fat,bilateral\na,emh,no,yes\nb,other,yes,no\nc,tumour,no,no\n")
    arguments = ["evaluate", str(file), "-o", str(out), "--draws", "20"]
    assert run(arguments) == 2  # one case of no known diagnosis
    told = capsys.readouterr()
    assert "line 4" in told.err
    assert "2 cases (1 EMH) of c.csv" in told.out
    assert {p.name for p in out.iterdir()} == {"evaluation.json", "evaluation.md", "reliability.png"}
    assert json.loads((out / "evaluation.json").read_text())["blocks"][0]["n"] == 2
    assert run(arguments) == 2
    assert "output_exists" in capsys.readouterr().err
    assert run(["evaluate", str(file), "--sensitivity", "--watch", "z"]) == 2
    assert "case_unknown" in capsys.readouterr().err
