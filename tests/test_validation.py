"""Suites, scoring and tables of `paraspinal validate`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anatomy_case import phantom, search
from paraspinal.cli.main import run
from paraspinal.errors import UsageError
from paraspinal.phantom import PhantomSpec, preset
from paraspinal.phantom.presets import fast
from paraspinal.result import Finding, Measurement
from paraspinal.validation import Case, run_case, run_suite, suite_cases, summarise
from paraspinal.validation.bone import bilateral_table, draw_bilateral_masses
from paraspinal.validation.draw import draw_masses
from paraspinal.validation.patient import patient_table, score_patient
from paraspinal.validation.run import code_digest
from paraspinal.validation.score import score_masses
from paraspinal.validation.series import find_series
from paraspinal.validation.wilson import wilson


def _row(**changes: Any) -> dict[str, Any]:
    row = {
        "side": "left",
        "level": "T9",
        "levels": ["T8", "T10"],
        "volume_ml": 10.0,
        "diameter_mm": 26.7,
        "cut": False,
        "margin": "well",
        "touches": ["lung"],
        "muscle_step_hu": 12.0,
        "state": "present",
        "iou": 0.8,
        "dice": 0.89,
        "hit": True,
        "confidence": 0.9,
        "found_side": "left",
        "found_levels": ["T8", "T10"],
        "level_probability": 0.97,
        "measured": {"volume_ml": {"status": "measured", "value": 11.0, "truth": 10.0, "u95": 1.5}},
        "contents": {},
    }
    return row | changes


def _record(
    *rows: dict[str, Any], others: tuple[dict[str, Any], ...] = (), outcome: str = "mass"
) -> dict[str, Any]:
    return {"name": "case", "masses": list(rows), "others": list(others), "outcome": outcome}


def test_wilson_is_that_of_the_textbook() -> None:
    low, high = wilson(
        81, 263
    )  # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E
    assert low == pytest.approx(0.2553, abs=2e-4)
    assert high == pytest.approx(0.3662, abs=2e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=2e-4)


def test_a_table_counts_what_was_found_and_what_not() -> None:
    missed = _row(state="missed", iou=0.0, hit=False, explained=["psoas 12 mL (0.40)"])
    for key in ("found_side", "found_levels", "confidence", "measured", "level_probability"):
        missed.pop(key)
    false = {"state": "present", "side": "right", "levels": ["T5", "T6"], "volume_ml": 3.0, "confidence": 0.8}
    text = summarise(
        [_record(_row()), _record(missed, outcome="no_mass"), _record(_row(), _row(), others=(false,))]
    )
    assert "| all | 3/4 = 75 %" in text.replace("%", " %").replace("  ", " ")
    assert "`no_mass` although a mass is there: 1 (case)" in text
    assert "psoas 1" in text
    assert "present 0.33" in text
    assert "| volume_ml (%) | 3 | +10.0 |" in text


def test_intervals_that_do_not_hold_the_truth_are_counted() -> None:
    narrow = {"volume_ml": {"status": "measured", "value": 12.0, "truth": 10.0, "u95": 0.5}}
    text = summarise([_record(_row(), _row(), _row(measured=narrow))])
    assert "2/3 = 67%" in text


def test_false_candidates_lower_the_froc() -> None:
    def false(confidence: float) -> dict[str, Any]:
        return {
            "state": "present",
            "side": "left",
            "levels": ["T4", "T4"],
            "volume_ml": 1.0,
            "confidence": confidence,
        }

    records = [_record(_row(confidence=0.7), others=(false(0.8),)) for _ in range(10)]
    assert _froc_at_half(records) == "0/10"
    assert _froc_at_half([_record(_row(confidence=0.9), others=(false(0.8),)) for _ in range(10)]) == "10/10"


def _froc_at_half(records: list[dict[str, Any]]) -> str:
    table = summarise(records).split("| sensitivity, any state |")[1]
    row = next(line for line in table.splitlines() if line.startswith("| beside lung |"))
    return row.split("|")[4].split("=")[0].strip()


def test_a_name_off_at_both_ends_is_wrong_and_an_end_drawn_short_is_not() -> None:
    wrong = _row(found_levels=["T9", "T11"], level_probability=0.99)
    short = _row(found_levels=["T8", "T9"], level_probability=0.99)
    assert "confident 1." in summarise([_record(wrong, short)])
    assert "confident 0." in summarise(
        [_record(short, _row(found_levels=["T9", "T11"], level_probability=0.5))]
    )


def test_scoring_matches_masses_by_overlap() -> None:
    made = phantom("emh")
    truth = [{**m, "mean_hu": None} for m in made.truth["masses"]]
    rows, extra = score_masses(truth, made.masses, search("emh"), {})
    assert [r["hit"] for r in rows] == [True, True]
    assert {r["found_side"] for r in rows} == {"left", "right"}
    assert all(other["state"] == "indeterminate" for other in extra)
    nothing = replace(search("emh"), masses=())
    rows, _ = score_masses(truth, made.masses, nothing, {})
    assert [r["state"] for r in rows] == ["missed", "missed"]


def test_drawn_masses_keep_to_their_limits() -> None:
    rng = np.random.default_rng(0)
    drawn = [m for _ in range(300) for m in draw_masses(rng, ["T5", "L1"], diameter_mm=(15.0, 80.0))]
    across = np.array([2 * m.semi_axes_mm[0] for m in drawn])
    assert across.min() >= 14.9
    assert across.max() <= 80.1
    assert (across < 35).mean() == pytest.approx(0.5, abs=0.1)  # even in the logarithm
    assert {m.level for m in drawn} == {"T5", "L1"}
    assert len({m.shape for m in drawn}) == 4


def test_bilateral_masses_face_every_wall_of_four_vertebrae() -> None:
    levels = [f"T{n}" for n in range(3, 13)]
    for seed in range(20):
        drawn = draw_bilateral_masses(np.random.default_rng(seed), levels)
        assert len(drawn) == 8
        assert {m.bone for m in drawn} == {"none"}
        own = sorted({int(m.level[1:]) for m in drawn})
        assert own == list(range(own[0], own[0] + 4))
        assert {(m.level, m.side) for m in drawn} == {(f"T{n}", s) for n in own for s in ("left", "right")}


def test_a_false_hollow_counts_once_per_patient() -> None:
    def mass(depth: float | None) -> dict[str, object]:
        read = {"lytic": depth, "scalloping": None}
        return {"bone": {"kind": "none", "depth_mm": 0.0, "assessed": True, "read_mm": read}}

    records = [
        {"kind": "bilateral", "masses": [mass(None), mass(None)]},
        {"kind": "bilateral", "masses": [mass(4.0), mass(5.0)]},
        {"kind": "bilateral", "masses": [mass(2.0), mass(None)]},
    ]
    text = bilateral_table(records)
    assert "3 of 3 patients" in text
    assert "a hollow is read in 2/3" in text
    assert "more in 1/3" in text
    assert bilateral_table([{"kind": "bone", "masses": [mass(4.0)]}]) == ""


def test_suites_are_seeded_and_named(tmp_path: Path) -> None:
    a, b = suite_cases("phantom", count=3), suite_cases("phantom", count=3)
    assert a == b
    assert a[0] != suite_cases("phantom", count=1, seed=1)[0]
    assert all(isinstance(case.spec, PhantomSpec) and case.spec.masses for case in a)
    with pytest.raises(UsageError) as caught:
        suite_cases("nothing")
    assert caught.value.code == "suite_unknown"
    with pytest.raises(UsageError) as caught:
        suite_cases("hybrid")
    assert caught.value.code == "suite_needs_series"
    with pytest.raises(UsageError) as caught:
        find_series(tmp_path)
    assert caught.value.code == "validation_no_series"
    (tmp_path / "ct" / "one").mkdir(parents=True)
    (tmp_path / "ct" / "one" / "CT.1.2.3").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "ct" / "notes").mkdir()
    (tmp_path / "ct" / "notes" / "seen").write_text("no image")
    (tmp_path / "ct" / "README.md").touch()
    assert [p.name for p in find_series(tmp_path)] == ["one"]


@pytest.mark.integration
def test_a_case_is_run_once_and_kept_for_this_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("small", "phantom", 0, spec=fast(preset("emh")))
    told: list[str] = []
    (first,) = run_suite([case], tmp_path, progress=told.append)
    assert "error" not in first
    assert first["seconds"] > 0
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write('{"cut off')
    (again,) = run_suite([case], tmp_path, progress=told.append)
    assert again == first
    assert "already" in told[-1]
    monkeypatch.setattr("paraspinal.validation.run.code_digest", lambda: "of other code")
    monkeypatch.setattr("paraspinal.validation.run.run_case", lambda _: {**first, "code": "of other code"})
    (anew,) = run_suite([case], tmp_path, progress=told.append)
    assert anew["code"] == "of other code"


def test_an_error_is_a_record(tmp_path: Path) -> None:
    record = run_case(Case("none", "untouched", 0, series=tmp_path / "nowhere"))
    assert record["error"]
    assert "Not run" in summarise([record])


def test_the_command_says_what_it_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARASPINAL_DATA", raising=False)
    assert run(["validate", "hybrid"]) == 2
    assert "suite_needs_series" in capsys.readouterr().err
    assert run(["validate", "everything"]) == 2
    assert "suite_unknown" in capsys.readouterr().err


def test_the_table_is_put_into_a_page_twice_without_growing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "v" / "phantom-0"
    out.mkdir(parents=True)
    (case,) = suite_cases("phantom", count=1)
    kept = _record(_row()) | {
        "key": f"{case.name} seed {case.seed}",
        "version": __import__("paraspinal").__version__,
        "code": code_digest(),
    }
    (out / "records.jsonl").write_text(json.dumps(kept) + "\n")
    line = [
        "validate",
        "phantom",
        "-n",
        "1",
        "-o",
        str(tmp_path / "v"),
        "--write",
        str(tmp_path / "page.md"),
        "-q",
    ]
    assert run(line) == 0
    first = (tmp_path / "page.md").read_text()
    assert run(line) == 0
    assert (tmp_path / "page.md").read_text() == first
    assert "seed 0, 1 cases" in first


def test_a_whole_body_is_compared_with_its_truth() -> None:
    truth = {
        "measurements": {"spleen_volume_ml": 200.0, "liver_hu": 55.0},
        "vertebrae": {"T9": {"trabecular_hu": 150.0}, "T10": {"trabecular_hu": 150.0}},
        "findings": {"splenomegaly": False, "trabecular_coarsening": True},
    }
    measured = {"spleen_volume_ml": Measurement.measured(220.0, "mL", type_a=5.0)}
    bone = {"T9": {"trabecular_hu": Measurement.measured(152.0, "[hnsf'U]", type_a=2.0)}}
    found = [
        Finding(name="splenomegaly", kind="boolean", state="present", probability=0.9),
        Finding(name="trabecular_coarsening", kind="boolean", state="not_assessed", reason="thick"),
    ]
    scored = score_patient(truth, measured, bone, found)
    text = patient_table([{"patient": scored}, {"patient": scored}])
    assert "| spleen_volume_ml (%) | 2 | 2 | +10.00 | 0.00 | +10.00 | 0/2 = 0%" in text
    assert "| liver_hu | 2 | 0 | – | – | – | – |" in text
    assert "| trabecular_hu | 4 | 2 | +2.00" in text
    assert "| splenomegaly | 2 of 2 | – | 0/2 = 0%" in text
    assert "| trabecular_coarsening | 0 of 2 |" in text


def test_bodies_of_the_patient_suite_vary() -> None:
    specs = [case.spec for case in suite_cases("patient", count=24)]
    assert all(spec is not None and spec.kvp == 120 for spec in specs)
    assert 0.1 < np.mean([spec.bone.strut_spacing_mm > 0 for spec in specs if spec is not None]) < 0.6
    assert any("spleen" in spec.patient.missing for spec in specs if spec is not None)
