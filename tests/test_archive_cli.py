"""The verbs of archives as they are typed: what they print, the files that they leave, and their exit codes."""

from __future__ import annotations

import csv
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from archive_case import ct_series
from dicom_factory import uid_of
from paraspinal.archive.layout import Layout
from paraspinal.archive.ledger import open_ledger
from paraspinal.cli.main import run

FAILED, USAGE = 1, 2


class Told(NamedTuple):
    """What a command gave: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


class Archive(NamedTuple):
    """An archive with its catalogue and the results of a batch over it."""

    root: Path
    catalogue: Path
    out: Path


def command(*arguments: str | Path) -> Told:
    """Run a command line."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Told(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A series that is analysed, one of another modality and one with too few slices; indexed, and run once."""
    tmp = tmp_path_factory.mktemp("commands")
    archive = Archive(tmp / "archive", tmp / "catalogue", tmp / "out")
    ct_series(archive.root / "one", "good", slices=12)
    ct_series(archive.root / "two", "mr", Modality="MR")
    ct_series(archive.root / "two", "few", slices=2)
    assert command("index", archive.root, "-o", archive.catalogue, "--quiet") == (0, "", "")
    assert command("batch", archive.catalogue, "-o", archive.out, "-w", "1", "--quiet") == (0, "", "")
    return archive


def _done(archive: Archive) -> str:
    """Return the case that is done."""
    with open_ledger(Layout(archive.out).ledger) as ledger:
        (line,) = ledger.rows("done")
    return line.id


def test_index_counts_series_and_those_that_can_be_analysed(made: Archive, tmp_path: Path) -> None:
    told = command("index", made.root, "-o", tmp_path / "catalogue")
    assert told.code == 0
    assert told.out.startswith("3 series in 22 files, 1 of them can be analysed.")
    assert "places gone" in told.out
    again = command("index", made.root, "-o", tmp_path / "catalogue", "--json")
    assert json.loads(again.out)["counts"]["series"] == 3
    assert again.err == ""
    assert (tmp_path / "catalogue.key").stat().st_mode & 0o077 == 0


def test_select_says_what_is_taken_and_why_the_rest_is_not(made: Archive, tmp_path: Path) -> None:
    told = command("select", made.catalogue)
    assert told.code == 0
    first, last = told.out.splitlines()
    assert first.startswith(_done(made))
    assert last.startswith("1 of 3 series are taken. Not taken: ")
    every = command("select", made.catalogue, "--all", "--csv", tmp_path / "series.csv")
    assert len(every.out.splitlines()) == 4
    assert "too_few_slices" in every.out
    rows = list(csv.DictReader((tmp_path / "series.csv").open(encoding="utf-8")))
    assert {row["series"]: row["taken"] for row in rows}[_done(made)] == "yes"
    assert sorted(row["taken"] for row in rows) == ["no", "no", "yes"]
    assert all(row["code"] for row in rows if row["taken"] == "no")
    none = command("select", made.catalogue, "--min-slices", "50")
    assert "0 of 3 series are taken" in none.out
    assert "rule_slices 1" in none.out


def test_a_dry_run_says_what_would_run_and_runs_nothing(made: Archive, tmp_path: Path) -> None:
    for archive in (made.catalogue, made.root):
        told = command("batch", archive, "-o", tmp_path / "out", "--dry-run")
        assert told.code == 0
        assert "3 series: refused 2, to run 1." in told.out
        assert "To run: 1, about " in told.out
        assert (tmp_path / "out").exists() is (archive is made.root)  # which it had to look through
    assert not Layout(tmp_path / "out").ledger.exists()


def test_batch_says_what_the_ledger_holds_and_does_nothing_twice(made: Archive) -> None:
    told = command("batch", made.catalogue, "-o", made.out, "-w", "1")
    assert told.code == 0
    assert told.out.startswith("0 cases ran in ")
    assert "done 1\n" in told.out
    assert "refused 2 (not_ct 1, too_few_slices 1)" in told.out
    folder = Layout(made.out).case(_done(made))
    assert {"result.json", "report.html", "receipt.json"} <= {path.name for path in folder.iterdir()}


def test_a_batch_in_which_a_case_fails_ends_with_a_code_of_its_own(made: Archive, tmp_path: Path) -> None:
    told = command("batch", made.catalogue, "-o", tmp_path / "out", "-w", "1", "--memory", "64")
    assert told.code == FAILED
    assert "failed 1 (memory_limit 1)" in told.out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["batch", "nowhere", "-o", "out"], "not_found"),
        (["batch", "archive", "-o", "out", "--keep", "everything"], "keep_unknown"),
        (["batch", "archive", "-o", "file"], "output_is_a_file"),
        (["batch", "archive"], "usage"),
        (["index", "file", "-o", "catalogue"], "archive_not_a_folder"),
        (["select", "file"], "catalogue_unusable"),
        (["collect", "archive"], "no_ledger"),
        (["dashboard", "archive"], "no_ledger"),
        (["locate", "archive", "0" * 16], "no_ledger"),
    ],
)
def test_wrong_usage_is_one_line_and_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "archive").mkdir()
    (tmp_path / "file").write_text("no catalogue")
    told = command(*arguments)
    assert told.code == USAGE
    (line,) = told.err.splitlines()
    assert line.endswith(f"[{code}]")
    assert not (tmp_path / "out").exists()


def test_collect_writes_tables_and_names_results_that_it_cannot_take(made: Archive, tmp_path: Path) -> None:
    told = command("collect", made.out, "--processes", "1")
    assert told.code == 0
    assert "cases 3, masses 0" in told.out
    cohort = Layout(made.out).cohort
    assert (cohort / "cases.csv").is_file()
    assert command("collect", made.out, "--processes", "1", "--no-csv", "--quiet") == (0, "", "")
    assert not (cohort / "cases.csv").exists()
    result = Layout(made.out).case(_done(made)) / "result.json"
    kept = result.read_bytes()
    result.write_bytes(kept[:-10])
    try:
        spoiled = command("collect", made.out, "--processes", "1")
    finally:
        result.write_bytes(kept)
    assert spoiled.code == 1
    assert _done(made) in spoiled.err
    assert "1 results" in spoiled.err


def test_dashboard_writes_a_page_and_says_where(made: Archive) -> None:
    page = Layout(made.out).dashboard
    assert command("dashboard", made.out, "--processes", "1") == (0, f"{page}\n", "")
    assert _done(made) in page.read_text(encoding="utf-8")


def test_locate_leads_from_a_digest_back_to_the_series(made: Archive) -> None:
    case, folder = _done(made), str(made.root / "one")
    told = command("locate", made.out, f" {case.upper()}…", "--catalogue", made.catalogue)
    assert told == (0, f"{case}\n  {folder}  (12 files)\n", "")
    key = made.catalogue.with_name("catalogue.key")
    own = ["--catalogue", made.catalogue, "--key", key]
    named = command("locate", made.out, case, *own, "--identifiers")
    assert uid_of("series good") in named.out
    found = {"case": case, "places": [{"path": folder, "files": 12}], "series": None}
    assert json.loads(command("locate", made.out, case, *own, "--json").out) == [found]
    (more,) = json.loads(command("locate", made.out, case, *own, "--json", "--identifiers").out)
    assert more == found | {"uid": uid_of("series good")}


def test_locate_says_why_it_cannot(made: Archive, tmp_path: Path) -> None:
    case, own = _done(made), ["--catalogue", made.catalogue]
    (tmp_path / "key").write_text("ab" * 32)
    command("index", made.root, "-o", tmp_path / "other", "--quiet")
    for arguments, code in (
        ([case], "no_catalogue"),
        (["0" * 16, *own], "case_unknown"),
        ([case, *own, "--key", tmp_path / "key"], "catalogue_other_key"),
        ([case, "--catalogue", tmp_path / "other"], "case_not_in_catalogue"),
    ):
        told = command("locate", made.out, *arguments)
        assert told.code == USAGE
        assert told.err.rstrip().endswith(f"[{code}]")
        assert told.out == ""
