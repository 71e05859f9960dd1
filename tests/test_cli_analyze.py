"""`paraspinal analyze`: what is printed, what is written, and what is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis_factory import make_analysis
from paraspinal import saving
from paraspinal.cli.main import run
from paraspinal.errors import AnalysisError, LoadError


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the analysis and the report by quick ones."""

    def analyze(path: Path, *, progress: object, **_: object) -> object:
        if callable(progress):
            progress("loading")
        return make_analysis()

    monkeypatch.setattr("paraspinal.analysis.analyze", analyze)
    monkeypatch.setattr(saving, "write_report", lambda path, analysis: path.write_text("report"))


@pytest.mark.usefixtures("stand_in")
def test_summary_on_stdout_progress_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", ".", "-o", str(tmp_path / "out")]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("MASS: ")
    assert str(tmp_path / "out" / "report.html") in told.out
    assert told.err.endswith("loading\n")
    assert (tmp_path / "out" / "result.json").is_file()


@pytest.mark.usefixtures("stand_in")
def test_json_is_what_the_file_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", ".", "-o", str(tmp_path / "out"), "--json"]) == 0
    told = capsys.readouterr().out
    assert json.loads(told)["outcome"] == "mass"
    assert told == (tmp_path / "out" / "result.json").read_text(encoding="utf-8")


@pytest.mark.usefixtures("stand_in")
def test_quiet_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", ".", "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("stand_in")
def test_a_complete_result_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.json").write_text("the old one")
    assert run(["analyze", ".", "-o", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
    assert (tmp_path / "result.json").read_text() == "the old one"
    assert run(["analyze", ".", "-o", str(tmp_path), "--force"]) == 0
    assert json.loads((tmp_path / "result.json").read_text())["outcome"] == "mass"


def failing(error: Exception) -> object:
    def analyze(*_: object, **__: object) -> None:
        raise error

    return analyze


def test_a_refusal_under_force_leaves_no_result_that_could_be_taken_for_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = LoadError("No CT here.", code="no_ct", remedy="Give a CT series.")
    monkeypatch.setattr("paraspinal.analysis.analyze", failing(refused))
    (tmp_path / "result.json").write_text("the old one")
    (tmp_path / "notes.txt").write_text("mine")
    assert run(["analyze", ".", "-o", str(tmp_path), "--force", "--quiet"]) == 3
    assert capsys.readouterr().err == "paraspinal: No CT here. Give a CT series. [no_ct]\n"
    assert {p.name for p in tmp_path.iterdir()} == {"notes.txt", "refusal.json", "result.json.superseded"}
    assert (tmp_path / "result.json.superseded").read_text() == "the old one"
    told = json.loads((tmp_path / "refusal.json").read_text())
    assert told["codes"][0]["code"] == "no_ct"
    assert told["superseded"] == ["result.json.superseded"]


def test_a_failed_analysis_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = AnalysisError("Broken.", code="broken", remedy="None.")
    monkeypatch.setattr("paraspinal.analysis.analyze", failing(failed))
    assert run(["analyze", ".", "-o", str(tmp_path / "out"), "--quiet"]) == 4
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_profile_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", str(tmp_path), "-o", str(tmp_path / "out"), "--config", "none", "-q"]) == 2
    assert "thick-slice" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["", "-o", "out"], [".", "-o", ""], [".", "-o", " "]])
def test_an_empty_path_is_wrong_usage_and_not_the_current_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["analyze", *arguments]) == 2
    assert capsys.readouterr().err.endswith("[path_empty]\n")
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_input_is_named_as_typed_and_makes_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = f"{tmp_path}/../{tmp_path.name}//no/where/"
    assert run(["analyze", typed, "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert typed in told
    assert told.endswith("[not_found]\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["report.html", "labels.nii.gz", "masses.nii.gz", "refusal.json"])
def test_files_of_others_are_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_text("theirs")
    assert run(["analyze", ".", "-o", str(tmp_path), "--quiet"]) == 2
    assert name in capsys.readouterr().err
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(name, "theirs")]


def test_the_short_name_of_a_series_is_taken_with_its_ellipsis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def analyze(*_: object, series: str | None, **__: object) -> object:
        asked.append(series)
        return make_analysis()

    monkeypatch.setattr("paraspinal.analysis.analyze", analyze)
    monkeypatch.setattr(saving, "write_report", lambda path, analysis: path.write_text("report"))
    for k, name in enumerate(("4c9e315a…", "4c9e315a...", "4c9e315a", "1.2.840.99")):
        assert run(["analyze", ".", "-o", str(tmp_path / str(k)), "--series", name, "-q"]) == 0
    assert asked == ["4c9e315a"] * 3 + ["1.2.840.99"]
