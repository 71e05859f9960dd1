"""A batch accounts for every case once: trouble is a status with a code, and what is done is not done again."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from archive_case import REHEARSE, pretend, rehearsal
from paraspinal.archive import Limits, Rules, Workers, batch, load_key
from paraspinal.archive.job import Job
from paraspinal.archive.layout import Layout, prepared
from paraspinal.archive.ledger import open_ledger
from paraspinal.archive.plan import content_digest
from paraspinal.archive.receipt import RECEIPT, whole_receipt
from paraspinal.archive.supervise import run_job
from paraspinal.errors import OutputError, UsageError

TROUBLE = {"crash": "crashed", "raise": "internal", "hang": "timeout"}


def _run(tmp_path: Path, names: list[str], **changes):
    key = load_key(tmp_path / "key")
    ids = pretend(tmp_path / "catalogue", key, {name: {} for name in names})
    done = batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path, **changes))
    return done, ids


def _statuses(tmp_path: Path) -> dict[str, str]:
    with open_ledger(tmp_path / "out" / "ledger.sqlite") as ledger:
        return {row.id: row.status for row in ledger.rows()}


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    first, ids = _run(tmp_path, ["a", "b", "c"], workers=Workers(1))
    assert (first.ran, first.of("done")) == (3, 3)
    layout = Layout(tmp_path / "out")
    assert whole_receipt(layout.case(ids["a"])) is not None
    (layout.case(ids["b"]) / "result.json").write_text("{}")  # no longer what was written
    (layout.case(ids["c"]) / RECEIPT).unlink()
    again, _ = _run(tmp_path, ["a", "b", "c", "d"])
    assert again.plan.counts["done before"] == 1
    assert again.ran == 3
    assert again.of("done") == 4


def test_other_settings_make_everything_anew_and_vanished_cases_go(tmp_path: Path) -> None:
    _, ids = _run(tmp_path, ["a", "b"])
    other, _ = _run(tmp_path, ["a", "b"], keep="maps")
    assert other.ran == 2
    with sqlite3.connect(tmp_path / "catalogue") as sql:
        sql.execute("DELETE FROM series WHERE name = 'b'")
    fewer = batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path, keep="maps"))
    assert (fewer.ran, fewer.plan.counts["gone"]) == (0, 1)
    assert fewer.counts == {("done", ""): 1, ("done", "gone"): 1}  # its disk may only be away
    options = rehearsal(tmp_path, keep="maps", forget_gone=True)
    assert batch(tmp_path / "catalogue", tmp_path / "out", options).counts == {("done", ""): 1}
    assert not Layout(tmp_path / "out").case(ids["b"]).exists()


def test_a_result_that_was_written_but_not_written_down_is_taken(tmp_path: Path) -> None:
    _run(tmp_path, ["a", "b"])
    with sqlite3.connect(tmp_path / "out" / "ledger.sqlite") as sql:
        sql.execute("UPDATE cases SET status = 'running', facts = '{}'")
    again = batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path))
    assert (again.ran, again.plan.counts["found done"], again.of("done")) == (0, 2, 2)


@pytest.mark.parametrize("trouble", sorted(TROUBLE))
def test_trouble_is_a_status_and_is_tried_once_more(tmp_path: Path, trouble: str) -> None:
    limits = Limits(seconds=1.0, memory_mib=700.0)
    done, ids = _run(tmp_path, ["bad"], settings={"trouble": trouble}, limits=limits)
    assert done.counts == {("failed", TROUBLE[trouble]): 1}
    with open_ledger(tmp_path / "out" / "ledger.sqlite") as ledger:
        row = ledger.get(ids["bad"])
    assert row is not None
    assert row.attempts == 2
    assert "as was asked for" not in row.message  # the text of an error may quote a person's data
    again, _ = _run(tmp_path, ["bad"], settings={"trouble": trouble}, limits=limits)
    assert again.ran == 0
    more, _ = _run(tmp_path, ["bad"], settings={"trouble": trouble}, limits=limits, retry_failed=True)
    assert more.ran == 1


def test_memory_beyond_the_limit_ends_a_case(tmp_path: Path) -> None:
    job = Job("big", "paraspinal.archive.rehearsal:rehearse", {}, str(tmp_path / "big"),
              {"memory_mib": 900, "seconds": 30, "recipe": "r", "stamp": "s"})  # fmt: skip
    report = run_job(job, Limits(seconds=60.0, memory_mib=500.0))
    assert (report.status, report.code) == ("failed", "memory_limit")
    assert report.peak_mib > 500.0
    assert not (tmp_path / "big" / "result.json").exists()


def test_a_fork_server_that_was_killed_is_no_failure_of_the_next_case(tmp_path: Path) -> None:
    def report(case: str) -> str:
        settings = {"seconds": 0.0, "recipe": "r", "stamp": "s"}
        return run_job(Job(case, REHEARSE, {}, str(tmp_path / case), settings), Limits(seconds=60.0)).status

    assert report("one") == "done"
    for time_killed in range(3):
        servers = [p for p in psutil.Process().children() if "forkserver" in " ".join(p.cmdline())]
        assert servers
        for server in servers:
            server.kill()
        assert report(f"after {time_killed}") == "done"


def test_rules_leave_out_with_a_reason(tmp_path: Path) -> None:
    key = load_key(tmp_path / "key")
    ids = pretend(tmp_path / "catalogue", key, {"few": {"slices": 4}, "many": {}})
    done = batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path, rules=Rules(min_slices=50)))
    assert done.counts == {("done", ""): 1, ("not_selected", "rule_slices"): 1}
    assert _statuses(tmp_path)[ids["few"]] == "not_selected"


def test_a_dry_run_leaves_no_trace(tmp_path: Path) -> None:
    key = load_key(tmp_path / "key")
    pretend(tmp_path / "catalogue", key, {"a": {"voxels": 400_000_000}, "b": {}})
    done = batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path), dry_run=True)
    assert (done.plan.to_run, done.ran, done.plan.too_large) == (2, 0, 1)
    assert done.plan.seconds > 20.0
    assert not (tmp_path / "out").exists()


def test_a_dry_run_over_a_batch_changes_nothing(tmp_path: Path) -> None:
    _run(tmp_path, ["a"])
    files = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    again = batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path), dry_run=True)
    assert again.plan.counts["done before"] == 1
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == files


def test_two_batches_do_not_share_a_folder(tmp_path: Path) -> None:
    pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {"a": {}})
    with prepared(tmp_path / "out"), pytest.raises(OutputError) as caught:
        batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path))
    assert caught.value.code == "batch_running"


def test_output_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {"a": {}})
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        batch(tmp_path / "catalogue", tmp_path / "file", rehearsal(tmp_path))
    assert caught.value.code == "output_is_a_file"
    with pytest.raises(UsageError) as wrong:
        batch(tmp_path / "nowhere", tmp_path / "out", rehearsal(tmp_path))
    assert wrong.value.code == "archive_not_found"


def test_log_and_metrics_tell_the_same_story(tmp_path: Path) -> None:
    done, ids = _run(tmp_path, ["a", "b"])
    events = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events] == ["batch_began", "case_ended", "case_ended", "batch_ended"]
    assert {e["case"] for e in events if e["event"] == "case_ended"} == set(ids.values())
    metrics = (tmp_path / "out" / "metrics.prom").read_text()
    assert 'paraspinal_batch_cases{status="done",code=""} 2' in metrics
    assert done.of("done") == 2


def test_content_is_known_by_its_digest_whatever_its_names(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"2"), ("d", b"1")):
        (tmp_path / name).write_bytes(content)
    one, two = ([tmp_path / n for n in names] for names in ("ab", "cd"))
    assert content_digest(one) == content_digest(two) != ""
    assert content_digest([tmp_path / "a"]) != content_digest(one)
    assert content_digest([tmp_path / "none"]) == ""


_PARENT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from archive_case import rehearsal
from paraspinal.archive import Workers, batch
if __name__ == "__main__":
    tmp = Path({tmp!r})
    batch(tmp / "catalogue", tmp / "out", rehearsal(tmp, workers=Workers(2), settings={{"seconds": 0.05}}))
"""


@pytest.mark.integration
def test_a_batch_that_is_killed_goes_on(tmp_path: Path) -> None:
    ids = pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {f"c{k}": {} for k in range(60)})
    script = tmp_path / "parent.py"
    script.write_text(_PARENT.format(tests=str(Path(__file__).parent), tmp=str(tmp_path)))
    parent = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    ledger = tmp_path / "out" / "ledger.sqlite"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if ledger.exists() and "done" in _statuses(tmp_path).values():
            break
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    done_before = sum(status == "done" for status in _statuses(tmp_path).values())
    assert 0 < done_before < 60
    time.sleep(2.0)  # its workers and cases end with it
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and _processes_of(tmp_path):
        time.sleep(0.5)
    assert not _processes_of(tmp_path)
    again = batch(tmp_path / "catalogue", tmp_path / "out", rehearsal(tmp_path, settings={"seconds": 0.05}))
    assert again.of("done") == 60
    assert again.ran <= 60 - done_before
    assert set(_statuses(tmp_path)) == set(ids.values())


def _processes_of(tmp_path: Path) -> list[int]:
    """Return processes that were started by the script of this test."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(tmp_path / "parent.py") in line:
                found.append(int(entry.name))
    return found


@pytest.mark.integration
def test_ctrl_c_ends_a_batch_at_once_and_without_noise(tmp_path: Path) -> None:
    pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {f"c{k}": {} for k in range(200)})
    script = tmp_path / "parent.py"
    script.write_text(_PARENT.format(tests=str(Path(__file__).parent), tmp=str(tmp_path)))
    parent = subprocess.Popen(
        [sys.executable, str(script)], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    ledger = tmp_path / "out" / "ledger.sqlite"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not (ledger.exists() and "done" in _statuses(tmp_path).values()):
        time.sleep(0.2)
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, told = parent.communicate(timeout=60)
    assert told.count("Traceback") == 1  # the script's own KeyboardInterrupt
    assert told.rstrip().endswith("KeyboardInterrupt")
    assert set(_statuses(tmp_path).values()) == {"done", "waiting"}
    assert not _processes_of(tmp_path)
