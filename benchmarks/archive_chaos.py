"""Kills children, workers, and the parent of a batch at random times until it ends: nothing lost, nothing done twice?

    python benchmarks/archive_chaos.py                       # 10 seeds of 1,000 rehearsed cases
    python benchmarks/archive_chaos.py --seeds 1 --cases 10000
    python benchmarks/archive_chaos.py --scheduler           # a scheduler of its own, killed as well
    python benchmarks/archive_chaos.py --seeds 1 --pause 8 --archive FOLDER   # the real analysis of a folder's series

The same command is started again until every case is done or refused. A case is lost if the ledger forgets it or
calls it done without a whole result; it is done twice if it was written down as done more than once. Results of real
analyses are compared with those of an undisturbed batch.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from paraspinal.archive import Limits, Options, Rules, Workers, batch, load_key
from paraspinal.archive.layout import Layout
from paraspinal.archive.ledger import open_ledger
from paraspinal.archive.receipt import whole_receipt
from paraspinal.archive.store import SeriesEntry, open_store

_SELF = Path(__file__).resolve()


def prepare(folder: Path, cases: int) -> None:
    """Write a catalogue of series that exist in name only."""
    key = load_key(folder / "key")
    with open_store(folder / "catalogue", fingerprint=key.fingerprint) as store, store.transaction():
        for k in range(cases):
            name = f"case {k}"
            row = {"modality": "CT", "slices": 100, "voxels": 1_000_000}
            entry = SeriesEntry(
                key.digest("series", name), name, f"study {k}", "CT", "ok", None, 1.0, f"stamp {k}",
                {"path": f"/nowhere/{k}", "series": None}, row,
            )  # fmt: skip
            store.replace_series(name, [entry])
        store.finish()


def options(folder: Path, workers: int, scheduler: str | None, archive: Path | None = None) -> Options:
    """Return how the rehearsal runs, or the analysis of an archive."""
    if archive is not None:
        return Options(
            workers=Workers(workers, scheduler),
            key=folder / "key",
            rules=Rules(per_study=False),
            retry_failed=True,
        )
    return Options(
        limits=Limits(seconds=60.0, memory_mib=1000.0),
        workers=Workers(workers, scheduler),
        key=folder / "key",
        task="paraspinal.archive.rehearsal:rehearse",
        settings={"seconds": 0.01},
        retry_failed=True,
    )


def run_parent(folder: Path, workers: int, scheduler: str | None, archive: Path | None) -> None:
    """Be the parent: run the batch to its end, or until it is killed."""
    batch(archive or folder / "catalogue", folder / "out", options(folder, workers, scheduler, archive))


def torment(
    folder: Path, seed: int, workers: int, pause_s: float, *, own_scheduler: bool, archive: Path | None = None
) -> tuple[int, int]:
    """Run one batch to its end under random kills; return how often the parent was started, and the kills."""
    rng = random.Random(seed)
    starts = kills = 0
    cluster = Cluster(folder, workers) if own_scheduler else None
    try:
        while True:
            starts += 1
            address = cluster.address() if cluster is not None else None
            command = [sys.executable, str(_SELF), "--parent", str(folder), "--workers", str(workers)]
            command += ["--address", address] if address else []
            command += ["--archive", str(archive)] if archive else []
            parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while parent.poll() is None:
                time.sleep(rng.expovariate(1 / pause_s))
                kills += strike(parent, rng, cluster)
            if finished(folder):
                return starts, kills
    finally:
        if cluster is not None:
            cluster.end()


def strike(parent: subprocess.Popen[bytes], rng: random.Random, cluster: Cluster | None) -> int:
    """Kill one process at random: a case's or a worker's mostly, the parent or the scheduler now and then."""
    if parent.poll() is not None:
        return 0
    victims = family(parent.pid) + ([] if cluster is None else cluster.family())
    draw = rng.random()
    if draw < 0.08:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        return 1
    if draw < 0.14 and cluster is not None:
        cluster.kill_scheduler()
        return 1
    victims = [victim for victim in victims if victim != parent.pid]
    if not victims:
        return 0
    try:
        os.kill(rng.choice(victims), signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.Error:
        return []


class Cluster:
    """A scheduler with workers, started anew whenever one of them is gone."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder, self._workers = folder, workers
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._nannies: list[subprocess.Popen[bytes]] = []

    def address(self) -> str:
        """Return the address of a running scheduler."""
        if self._scheduler is None or self._scheduler.poll() is not None:
            self.end()
            file = self._folder / "scheduler.json"
            file.unlink(missing_ok=True)
            self._scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                                          "--scheduler-file", str(file))  # fmt: skip
            while not file.exists():
                time.sleep(0.1)
            self._nannies = [
                self._start(
                    "worker",
                    "--scheduler-file",
                    str(file),
                    "--nthreads",
                    "1",
                    "--host",
                    "127.0.0.1",
                    "--no-dashboard",
                    "--memory-limit",
                    "0",
                )
                for _ in range(self._workers)
            ]
        return str(json.loads((self._folder / "scheduler.json").read_text())["address"])

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
        return subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._folder
        )

    def family(self) -> list[int]:
        """Return the processes of the workers."""
        return [pid for nanny in self._nannies for pid in family(nanny.pid)[1:]]

    def kill_scheduler(self) -> None:
        """Kill the scheduler."""
        if self._scheduler is not None:
            self._scheduler.kill()

    def end(self) -> None:
        """End all of it."""
        for process in (*self._nannies, self._scheduler):
            if process is not None:
                for pid in reversed(family(process.pid)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()
        self._scheduler, self._nannies = None, []


def finished(folder: Path) -> bool:
    """Tell whether every case came to its end."""
    path = folder / "out" / "ledger.sqlite"
    if not path.exists():
        return False
    with open_ledger(path) as ledger:
        counts = ledger.counts()
    return bool(counts) and all(status in ("done", "refused") for status, _ in counts)


def verdict(folder: Path, cases: int) -> tuple[int, int, int]:
    """Return cases that came to their end, lost, and done twice."""
    with open_ledger(folder / "out" / "ledger.sqlite") as ledger:
        layout = Layout(folder / "out")
        done = sum(whole_receipt(layout.case(row.id)) is not None for row in ledger.rows("done"))
        done += sum(1 for _ in ledger.rows("refused"))
    with sqlite3.connect(folder / "out" / "ledger.sqlite") as sql:
        twice = sql.execute(
            "SELECT count(*) FROM (SELECT id FROM attempts WHERE status = 'done' GROUP BY id HAVING count(*) > 1)"
        ).fetchone()[0]
    return done, cases - done, twice


def undisturbed(folder: Path, archive: Path, workers: int) -> tuple[int, int]:
    """Analyse the archive again without kills; return its cases, and how many have another result."""
    quiet = Layout(folder / "quiet")
    batch(archive, quiet.root, options(folder, workers, None, archive))
    tried = Layout(folder / "out")
    with open_ledger(quiet.ledger) as ledger:
        lines = list(ledger.rows())
    return len(lines), sum(_content(quiet.case(x.id)) != _content(tried.case(x.id)) for x in lines)


def _content(folder: Path) -> dict[str, Any] | None:
    """Return a result without when and how fast it was made; None for a case without one."""
    try:
        result: dict[str, Any] = json.loads((folder / "result.json").read_bytes())
    except OSError:
        return None
    return {name: value for name, value in result.items() if name != "provenance"}


def main() -> None:
    """Run the seeds and print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scheduler", action="store_true", help="a scheduler and workers of their own")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between kills, on the average")
    parser.add_argument("--archive", type=Path, help="analyse the series of this folder instead")
    parser.add_argument("--parent", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.parent is not None:
        run_parent(given.parent, given.workers, given.address, given.archive)
        return
    lost = twice = total = 0
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            if given.archive is None:
                prepare(folder, given.cases)
            begin = time.perf_counter()
            starts, kills = torment(
                folder, seed, given.workers, given.pause, own_scheduler=given.scheduler, archive=given.archive
            )
            seconds, cases, told = time.perf_counter() - begin, given.cases, ""
            if given.archive is not None:
                cases, other = undisturbed(folder, given.archive, given.workers)
                told = f"; {other} results unlike those of an undisturbed batch"
            done, own_lost, own_twice = verdict(folder, cases)
            lost, twice, total = lost + own_lost, twice + own_twice, total + cases
            print(
                f"seed {seed}: {done} done, {own_lost} lost, {own_twice} twice; {kills} kills,"
                f" {starts} starts, {seconds:.0f} s{told}",
                flush=True,
            )
    print(f"{total} cases: {lost} lost, {twice} done twice")


if __name__ == "__main__":
    main()
