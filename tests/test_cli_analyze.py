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
    assert run(["analyze", "in", "-o", str(tmp_path / "out")]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("MASS: ")
    assert str(tmp_path / "out" / "report.html") in told.out
    assert told.err.endswith("loading\n")
    assert (tmp_path / "out" / "result.json").is_file()


@pytest.mark.usefixtures("stand_in")
def test_json_is_what_the_file_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "in", "-o", str(tmp_path / "out"), "--json"]) == 0
    told = capsys.readouterr().out
    assert json.loads(told)["outcome"] == "mass"
    assert told == (tmp_path / "out" / "result.json").read_text(encoding="utf-8")


@pytest.mark.usefixtures("stand_in")
def test_quiet_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "in", "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("stand_in")
def test_a_complete_result_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.json").write_text("the old one")
    assert run(["analyze", "in", "-o", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
    assert (tmp_path / "result.json").read_text() == "the old one"
    assert run(["analyze", "in", "-o", str(tmp_path), "--force"]) == 0
    assert json.loads((tmp_path / "result.json").read_text())["outcome"] == "mass"


def failing(error: Exception) -> object:
    def analyze(*_: object, **__: object) -> None:
        raise error

    return analyze


def test_a_refused_input_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = LoadError("No CT here.", code="no_ct", remedy="Give a CT series.")
    monkeypatch.setattr("paraspinal.analysis.analyze", failing(refused))
    (tmp_path / "result.json").write_text("the old one")
    assert run(["analyze", "in", "-o", str(tmp_path), "--force", "--quiet"]) == 3
    assert capsys.readouterr().err == "paraspinal: No CT here. Give a CT series. [no_ct]\n"
    assert (tmp_path / "result.json").read_text() == "the old one"
    assert json.loads((tmp_path / "refusal.json").read_text())["codes"][0]["code"] == "no_ct"


def test_a_failed_analysis_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = AnalysisError("Broken.", code="broken", remedy="None.")
    monkeypatch.setattr("paraspinal.analysis.analyze", failing(failed))
    assert run(["analyze", "in", "-o", str(tmp_path / "out"), "--quiet"]) == 4
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_profile_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", str(tmp_path), "-o", str(tmp_path / "out"), "--config", "none", "-q"]) == 2
    assert "thick-slice" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
