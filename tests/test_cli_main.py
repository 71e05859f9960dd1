"""The console command: help without the numerical libraries, errors in one line, exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import paraspinal
from paraspinal.cli import main
from paraspinal.errors import AnalysisError, ParaspinalError, UsageError

HEAVY = ("numpy", "scipy", "SimpleITK", "pydicom", "cv2", "pydantic", "paraspinal.analysis")


def test_help_needs_none_of_the_numerical_libraries() -> None:
    code = (
        "import sys; from paraspinal.cli.main import run; code = run(['--help']);"
        f"print(code, [m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("0 []")


def test_help_lists_every_verb_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    text = re.sub(r"[\s│]+", " ", capsys.readouterr().out)
    for verb in ("analyze", "classify", "phantom", "schema", "version"):
        assert verb in text
    for phrase in ("0 done", "2 wrong usage", "3 input refused", "4 analysis failed", "Research use only"):
        assert phrase in text


@pytest.mark.parametrize("argument", ["version", "--version"])
def test_version(capsys: pytest.CaptureFixture[str], argument: str) -> None:
    assert main.run([argument]) == 0
    assert capsys.readouterr().out == f"{paraspinal.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [["analyze"], ["no-such-verb"], ["analyze", ".", "-o", "out", "--nonsense"], ["schema", "rsult"], []],
)
def test_wrong_usage_is_2_and_one_line_with_a_way_out(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith("paraspinal: ")
    assert "--help [usage]" in told


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UsageError("Wrong.", code="wrong", remedy="Do it right."), 2, "Wrong. Do it right. [wrong]"),
        (AnalysisError("Failed.", code="failed", remedy="Try less."), 4, "Failed. Try less. [failed]"),
        (ZeroDivisionError("division\nby zero"), 4, "ZeroDivisionError: division by zero"),
        (MemoryError("64 GiB"), 4, "There is not enough memory for this."),
    ],
)
def test_errors_are_one_line_and_a_traceback_on_demand(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    told: str,
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("paraspinal.cli.app.app", fail)
    assert main.run(["version"]) == code
    plain = capsys.readouterr().err
    assert plain.count("\n") == 1
    assert told in plain
    assert main.run(["version", "--debug"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_while_libraries_load_is_one_line() -> None:
    code = (
        "import builtins, sys; from paraspinal.cli import main; real = builtins.__import__\n"
        "def load(name, *rest):\n"
        "    if name == 'typer': raise KeyboardInterrupt\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = load; sys.argv = ['paraspinal', 'version']; main.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == main.INTERRUPTED
    assert done.stderr.count("\n") == 1


def test_an_interrupt_is_130(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("paraspinal.analysis.analyze", interrupt)
    assert main.run(["analyze", ".", "-o", str(tmp_path / "out"), "--quiet"]) == 130
    assert capsys.readouterr().err.endswith("[interrupted]\n")
    assert list(tmp_path.iterdir()) == []


def test_exit_codes_of_the_error_tree_are_the_documented_ones(repository: Path) -> None:
    table = (repository / "docs" / "cli.md").read_text(encoding="utf-8").split("## Exit codes")[1]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, flags=re.MULTILINE)}
    tree = {ParaspinalError, *ParaspinalError.__subclasses__()}
    some_failed = 1  # of a batch, which is no error of its own
    assert {kind.exit_code for kind in tree} | {0, some_failed, main.INTERRUPTED} == documented


def test_every_option_is_documented(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (repository / "docs" / "cli.md").read_text(encoding="utf-8")
    archives = ("index", "select", "batch", "collect", "dashboard", "locate")
    for verb in ("analyze", "inspect", "convert", "schema", "classify", "phantom", *archives):
        main.run([verb, "--help"])
        for option in re.findall(r"(--[a-z-]+)", capsys.readouterr().out):
            assert option == "--help" or option in page, f"docs/cli.md lacks {option} of {verb}"
