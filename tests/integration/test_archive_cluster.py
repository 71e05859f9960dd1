"""A batch on a real scheduler with two workers, one of them killed; a full disk; and random kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from archive_case import pretend, rehearsal
from paraspinal.archive import Limits, Workers, batch, load_key
from paraspinal.archive.ledger import open_ledger
from paraspinal.errors import OutputError, UsageError

pytestmark = pytest.mark.integration


def _dask(tmp_path: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{words[0]}", *words[1:]]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler on loopback with two worker processes: its address, and the workers."""
    file = tmp_path / "scheduler.json"
    scheduler = _dask(
        tmp_path, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)
    )  # fmt: skip
    workers: list[subprocess.Popen[bytes]] = []
    try:
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        address = str(json.loads(file.read_text())["address"])
        workers = [
            _dask(tmp_path, "worker", address, "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard",
                  "--no-nanny", "--memory-limit", "0")
            for _ in range(2)
        ]  # fmt: skip
        yield address, workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def test_a_worker_that_is_killed_takes_no_case_with_it(
    tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = cluster
    pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {f"c{k}": {} for k in range(40)})
    options = rehearsal(tmp_path, workers=Workers(scheduler=address), settings={"seconds": 0.2})
    killed = threading.Timer(4.0, lambda: workers[0].send_signal(signal.SIGKILL))
    killed.start()
    done = batch(tmp_path / "catalogue", tmp_path / "out", options)
    killed.join()
    assert workers[0].wait(timeout=10) == -signal.SIGKILL
    assert done.of("done") == 40
    assert sum(done.counts.values()) == 40
    servers = [c for c in psutil.Process().children(recursive=True) if "forkserver" in " ".join(c.cmdline())]
    assert len(servers) <= 1  # the other worker's: that of the killed one ended with it


def test_a_scheduler_that_is_not_there_is_said(tmp_path: Path) -> None:
    pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {"a": {}})
    options = rehearsal(tmp_path, workers=Workers(scheduler="tcp://127.0.0.1:9"))
    with pytest.raises(UsageError) as caught:
        batch(tmp_path / "catalogue", tmp_path / "out", options)
    assert caught.value.code == "no_scheduler"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_ends_the_batch_and_loses_nothing(tmp_path: Path, small_disk: Path) -> None:
    pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {f"c{k}": {} for k in range(30)})
    options = rehearsal(tmp_path, settings={"result_kib": 200})
    with pytest.raises(OutputError) as caught:
        batch(tmp_path / "catalogue", small_disk / "out", options)
    assert caught.value.code in ("output_not_writable", "ledger_unusable")
    with open_ledger(small_disk / "out" / "ledger.sqlite") as ledger:
        # What was with a worker may stand as running: the ledger had no room either. It waits when the batch goes on.
        assert {status for status, _ in ledger.counts()} <= {"done", "waiting", "running"}
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    again = batch(tmp_path / "catalogue", small_disk / "out", options)
    assert again.of("done") == 30


def test_random_kills_lose_nothing(repository: Path) -> None:
    command = [
        sys.executable,
        str(repository / "benchmarks" / "archive_chaos.py"),
        "--seeds",
        "1",
        "--cases",
        "150",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "150 cases: 0 lost, 0 done twice" in done.stdout


def test_a_limit_on_time_holds_for_a_case_that_ignores_it(tmp_path: Path) -> None:
    pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {"a": {}})
    options = rehearsal(tmp_path, limits=Limits(seconds=1.0, memory_mib=700.0), settings={"trouble": "hang"})
    begin = time.monotonic()
    done = batch(tmp_path / "catalogue", tmp_path / "out", options)
    assert done.counts == {("failed", "timeout"): 1}
    assert time.monotonic() - begin < 60.0
    with open_ledger(tmp_path / "out" / "ledger.sqlite") as ledger:
        assert [row.attempts for row in ledger.rows()] == [2]


def test_a_scheduler_that_goes_away_before_a_worker_came_is_said(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    scheduler = _dask(
        tmp_path, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)
    )  # fmt: skip
    while not file.exists():
        time.sleep(0.1)
    pretend(tmp_path / "catalogue", load_key(tmp_path / "key"), {"a": {}})
    options = rehearsal(tmp_path, workers=Workers(scheduler=str(json.loads(file.read_text())["address"])))
    killed = threading.Timer(3.0, scheduler.kill)
    killed.start()
    try:
        with pytest.raises(UsageError) as caught:
            batch(tmp_path / "catalogue", tmp_path / "out", options)
    finally:
        killed.join()
        scheduler.wait()
    assert caught.value.code == "scheduler_lost"
