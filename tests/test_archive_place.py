"""A result is put in place whole, by the run that owns the output, from files that are those of the catalogue."""

from __future__ import annotations

import errno
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from archive_case import ct_series, pretend, rehearsal, shared_worker
from paraspinal.archive import Limits, Options, Rules, batch, load_key
from paraspinal.archive.job import ELSEWHERE, INPUT_GONE, OUTPUT_CODE, WORKER_VERSION, Job
from paraspinal.archive.journal import Journal
from paraspinal.archive.layout import Layout, prepared
from paraspinal.archive.ledger import Ledger, open_ledger
from paraspinal.archive.location import current_stamp, in_folders
from paraspinal.archive.place import put_in_place
from paraspinal.archive.receipt import whole_receipt
from paraspinal.archive.software import software_of
from paraspinal.archive.tasks import analyse, check_input
from paraspinal.config import load_config
from paraspinal.errors import AnalysisError, OutputError, ParaspinalError, UsageError


def _job(root: Path, run: str, *, recipe: str = "r") -> Job:
    folder = Layout(root).case("ab12")
    return Job("ab12", "", {}, str(folder), {"recipe": recipe, "stamp": "s"}, run=run)


def _write(text: str):
    def write(folder: Path) -> dict[str, Any]:
        (folder / "result.json").write_text(text)
        return {"text": text}

    return write


def test_a_result_of_the_running_batch_is_put_in_place_once(tmp_path: Path) -> None:
    with prepared(tmp_path) as (layout, run):
        assert put_in_place(_job(tmp_path, run), _write("one")) == {"text": "one"}
        assert put_in_place(_job(tmp_path, run), _write("two")) == {"text": "one"}  # the same result is there
        assert put_in_place(_job(tmp_path, run, recipe="other"), _write("three")) == {"text": "three"}
        folder = layout.case("ab12")
        assert (folder / "result.json").read_text() == "three"
        assert [path.name for path in folder.parent.iterdir()] == ["ab12"]


def test_a_case_of_an_older_run_changes_nothing(tmp_path: Path) -> None:
    with prepared(tmp_path) as (_, old):
        pass

    def overtaken(folder: Path) -> dict[str, Any]:
        """Another batch begins while this case, whose batch was killed, goes on."""
        facts = _write("old")(folder)
        with prepared(tmp_path) as (_, new):
            put_in_place(_job(tmp_path, new, recipe="new"), _write("new"))
        return facts

    with pytest.raises(AnalysisError) as caught:
        put_in_place(_job(tmp_path, old), overtaken)
    assert caught.value.code == "superseded"
    folder = Layout(tmp_path).case("ab12")
    assert (folder / "result.json").read_text() == "new"
    assert whole_receipt(folder) is not None


def test_a_worker_that_does_not_see_the_output_makes_no_folder_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError) as caught:
        put_in_place(_job(tmp_path / "out", "some run"), _write("lost"))
    assert caught.value.code == ELSEWHERE
    assert not (tmp_path / "out").exists()


def test_what_killed_cases_left_is_removed(tmp_path: Path) -> None:
    left = Layout(tmp_path).case("ab12").with_name(".ab12.older.77")
    with prepared(tmp_path) as (_, run):
        left.mkdir(parents=True)
        (left / "result.json").write_text("half")
        put_in_place(_job(tmp_path, run), _write("whole"))
    assert not left.exists()


def _series(tmp_path: Path) -> tuple[Job, list[Path]]:
    files = ct_series(tmp_path / "archive", "a", slices=12)
    source = in_folders(files, None)
    return Job("ab12", "", source, "", {"stamp": current_stamp(source)}), files


def test_files_that_are_gone_or_changed_are_no_refusal_of_the_series(tmp_path: Path) -> None:
    job, files = _series(tmp_path)
    check_input(job)
    content = files[3].read_bytes()
    files[3].unlink()
    with pytest.raises(AnalysisError) as gone:
        check_input(job)
    files[3].write_bytes(content)  # another inode, another time
    with pytest.raises(AnalysisError) as changed:
        check_input(job)
    assert (gone.value.code, changed.value.code) == (INPUT_GONE, "input_changed")


def test_a_slice_that_cannot_be_read_makes_no_shorter_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    files = ct_series(archive, "a", slices=12)
    source = in_folders(files, None)
    config = load_config()
    settings = {
        "config": config.model_dump(mode="json"), "software": software_of(config), "keep": "result",
        "salt": "", "recipe": "r", "stamp": current_stamp(source),
    }  # fmt: skip
    job = Job("ab12", "", source, str(out / "cases" / "ab" / "ab12"), settings)
    real = Path.open

    def broken(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name == files[5].name:
            raise OSError(errno.EIO, "Input/output error")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", broken)
    with pytest.raises(AnalysisError) as caught:
        analyse(job)
    assert caught.value.code == "input_unreadable"
    assert not list(out.rglob("result.json"))
    with pytest.raises(AnalysisError) as other:
        analyse(replace(job, settings=settings | {"software": "0.0.1 other"}))
    assert other.value.code == WORKER_VERSION


def test_an_archive_that_is_away_for_a_while_refuses_nothing(tmp_path: Path) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    ct_series(archive / "a", "a", slices=12)
    ct_series(archive / "b", "b", slices=12)
    options = Options(limits=Limits(seconds=60.0), workers=shared_worker(), key=tmp_path / "key")
    assert batch(archive, out, options, dry_run=True).plan.to_run == 2
    catalogue = Layout(out).catalogue
    archive.rename(tmp_path / "away")
    with pytest.raises(UsageError) as caught:
        batch(catalogue, out, options)
    assert caught.value.code == "archive_gone"
    with open_ledger(Layout(out).ledger) as ledger:
        assert {status for status, _ in ledger.counts()} == {"waiting"}
    (tmp_path / "away").rename(archive)
    again = batch(catalogue, out, options)
    assert again.ran == 2
    assert again.of("done") + again.of("refused") == 2


def test_a_report_without_a_result_is_a_failure(tmp_path: Path) -> None:
    """A relative output folder, or one that another machine has under this path, holds nothing here."""
    ids = pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {"a": {}})
    done = batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path, task="archive_case:claim"))
    assert done.counts == {("failed", "result_missing"): 1}
    with open_ledger(tmp_path / "out" / "ledger.sqlite") as ledger:
        line = ledger.get(ids["a"])
    assert line is not None
    assert "outcome" not in line.facts


@pytest.mark.parametrize("code", [ELSEWHERE, WORKER_VERSION])
def test_a_worker_that_fails_every_case_ends_the_batch_instead(tmp_path: Path, code: str) -> None:
    pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {"a": {}, "b": {}})
    options = rehearsal(tmp_path, task="archive_case:fail", settings={"code": code})
    with pytest.raises(UsageError) as caught:
        batch(tmp_path / "catalogue", tmp_path / "out", options)
    assert caught.value.code == code
    with open_ledger(tmp_path / "out" / "ledger.sqlite") as ledger:
        assert ledger.counts() == {("waiting", ""): 2}


def test_a_workers_own_full_disk_is_a_failure_of_its_cases(tmp_path: Path) -> None:
    pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {"a": {}})
    options = rehearsal(tmp_path, task="archive_case:fail", settings={"code": OUTPUT_CODE})
    done = batch(tmp_path / "catalogue", tmp_path / "out", options)
    assert done.counts == {("failed", OUTPUT_CODE): 1}


def test_a_full_disk_is_told_by_the_log_as_well(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(OutputError) as caught:
        Journal(tmp_path).tell("batch_began")
    assert caught.value.code == OUTPUT_CODE


def test_other_rules_make_no_result_undone(tmp_path: Path) -> None:
    key = load_key(tmp_path / "key")
    pretend(tmp_path / "catalogue", key, {"old": {"date": "20230101"}, "new": {"date": "20240101"}})
    early, late = (
        rehearsal(tmp_path, rules=rules) for rules in (Rules(until="20231231"), Rules(since="20240101"))
    )
    assert batch(tmp_path / "catalogue", tmp_path / "out", early).of("done") == 1
    done = batch(tmp_path / "catalogue", tmp_path / "out", late)
    assert done.counts == {("done", ""): 1, ("done", "rule_date"): 1}


def test_where_pixels_refuse_the_best_series_of_a_study_the_next_is_tried(tmp_path: Path) -> None:
    """Two series of a study: the longer one is chosen, and its pixels are no CT."""
    archive = tmp_path / "archive"
    ct_series(archive / "a", "a", study="one", slices=12)
    long = ct_series(archive / "b", "b", study="one", slices=16)
    for path in long:
        ds = dcmread(path)
        ds.PixelData = ds.PixelData[:10]
        ds.save_as(path)
    options = Options(
        limits=Limits(seconds=60.0), workers=shared_worker(), key=tmp_path / "key", keep="result"
    )
    done = batch(archive, tmp_path / "out", options)
    assert done.plan.to_run == 1
    assert done.ran == 2
    assert done.of("refused") == 1
    assert done.of("done") == 1
    again = batch(archive, tmp_path / "out", options)
    assert again.ran == 0
    assert again.of("done") == 1


def _refused(tmp_path: Path, refusal: str | None) -> None:
    """Put one series into the catalogue, refused by its header or not."""
    key = load_key(tmp_path / "key")
    pretend(tmp_path / "catalogue", key, {"a": {}})
    with sqlite3.connect(tmp_path / "catalogue") as sql:
        sql.execute("UPDATE series SET refusal = ?", (refusal,))


def test_a_refusal_that_the_catalogue_takes_back_is_none_of_the_ledger(tmp_path: Path) -> None:
    _refused(tmp_path, "internal")
    assert batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path)).of("refused") == 1
    _refused(tmp_path, None)
    again = batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path))
    assert (again.ran, again.of("done")) == (1, 1)


def test_a_result_that_is_gone_from_its_folder_is_not_called_done(tmp_path: Path) -> None:
    ids = pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {"a": {"slices": 20}})
    batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path))
    (Layout(tmp_path / "out").case(ids["a"]) / "result.json").unlink()
    strict = rehearsal(tmp_path, rules=Rules(min_slices=50))
    done = batch(tmp_path / "catalogue", tmp_path / "out", strict)
    assert done.counts == {("not_selected", "rule_slices"): 1}


def test_other_software_at_the_worker_is_told_whatever_it_understands(tmp_path: Path) -> None:
    config = load_config().model_dump(mode="json")
    settings = {"software": "other", "recipe": "r", "stamp": "s", "keep": "result", "salt": ""}
    for strange in (config | {"unknown_section": {}}, config | {"differential": {"model": "/nowhere/model"}}):
        with pytest.raises(AnalysisError) as caught:
            analyse(Job("a", "", {}, str(tmp_path / "a"), settings | {"config": strange}))
        assert caught.value.code == WORKER_VERSION


def test_a_disk_that_stumbles_is_told_from_a_file_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = _series(tmp_path)

    def stumbles(*_: object) -> str:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr("paraspinal.archive.tasks.current_stamp", stumbles)
    with pytest.raises(AnalysisError) as caught:
        check_input(job)
    assert caught.value.code == "input_unreadable"


def _read_without_a_table(path: Path, ledger: Ledger) -> None:
    with sqlite3.connect(path) as sql:
        sql.execute("DROP TABLE cases")
    ledger.counts()


def test_a_damaged_ledger_is_a_typed_error_when_it_is_read(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.sqlite"):
        pass
    with pytest.raises(OutputError) as caught, open_ledger(tmp_path / "ledger.sqlite") as ledger:
        _read_without_a_table(tmp_path / "ledger.sqlite", ledger)
    assert caught.value.code == "ledger_unusable"


def test_a_catalogue_of_another_version_is_made_anew_by_an_index_alone(tmp_path: Path) -> None:
    pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {"a": {}})
    with sqlite3.connect(tmp_path / "catalogue") as sql:
        sql.execute("UPDATE about SET value = 'older' WHERE name = 'format'")
    with pytest.raises(UsageError) as caught:
        batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path))
    assert caught.value.code == "catalogue_other_version"
    with sqlite3.connect(tmp_path / "catalogue") as sql:
        assert sql.execute("SELECT count(*) FROM series").fetchone() == (1,)


def test_an_output_folder_is_of_one_archive(tmp_path: Path) -> None:
    key = tmp_path / "key"
    options = Options(limits=Limits(seconds=60.0), workers=shared_worker(), key=key)
    for name in ("one", "two"):
        ct_series(tmp_path / name, name, slices=3)
    batch(tmp_path / "one", tmp_path / "out", options)
    with pytest.raises(ParaspinalError) as caught:
        batch(tmp_path / "two", tmp_path / "out", options)
    assert caught.value.code in ("catalogue_other_archive", "output_other_archive")


def test_a_catalogue_without_its_key_is_not_given_another(tmp_path: Path) -> None:
    pretend(tmp_path / "catalogue", load_key(tmp_path / "elsewhere"), {"a": {}})
    with pytest.raises(UsageError) as caught:
        batch(tmp_path / "catalogue", tmp_path / "out", Options())
    assert caught.value.code == "key_missing"
    assert not (tmp_path / "out" / "private" / "key").exists()


def test_a_catalogue_that_is_not_finished_is_not_worked_from(tmp_path: Path) -> None:
    key = load_key(tmp_path / "key")
    pretend(tmp_path / "catalogue", key, {"a": {}})
    with sqlite3.connect(tmp_path / "catalogue") as sql:
        sql.execute("DELETE FROM about WHERE name = 'whole'")
    with pytest.raises(UsageError) as caught:
        batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path))
    assert caught.value.code == "catalogue_incomplete"


def test_a_job_that_a_scheduler_forgot_has_no_report() -> None:
    from paraspinal.archive.engine import _Run

    class Forgotten:
        status = "cancelled"

    run = _Run(Limits(), lambda _: None, lambda _: None, lambda _: None)
    assert run._report(Forgotten(), _job(Path("/nowhere"), "")) is None
