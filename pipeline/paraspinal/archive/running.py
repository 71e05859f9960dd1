"""The cases of a batch while they run: handed out, written down as they end, and told of."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from paraspinal.archive.engine import run_jobs
from paraspinal.archive.job import ELSEWHERE, INPUT_GONE, OUTPUT_CODE, WORKER_VERSION, Job, Report
from paraspinal.archive.journal import Journal
from paraspinal.archive.layout import Layout
from paraspinal.archive.ledger import CaseRow, Ledger
from paraspinal.archive.location import is_there, unchanged
from paraspinal.archive.options import Options
from paraspinal.archive.plan import ATTEMPTS, Plan, Recipe, job_of, jobs_of
from paraspinal.archive.receipt import whole_receipt
from paraspinal.archive.store import Store
from paraspinal.errors import OutputError, UsageError

_METRICS_S = 5.0
_PATIENCE_S = (0.2, 1.0)
_PROBE_BYTES = 4 << 20  # more than a result takes without its maps
_MACHINES = {
    ELSEWHERE: ("does not see the output folder", "Mount it there under the same path"),
    WORKER_VERSION: ("has another version of paraspinal or of the model", "Install this one there"),
}
"""What is said, and what to do, where a case tells of its machine."""


@dataclass(frozen=True, slots=True)
class Tick:
    """How far a batch is, for a progress line."""

    done: int
    total: int
    running: int
    failures: dict[str, int]
    seconds: float

    @property
    def per_second(self) -> float:
        """Cases that ended per second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds until the end at this pace; None before the first case ended."""
        return (self.total - self.done) / self.per_second if self.done else None


class Running:
    """The running part of a batch: jobs go out, and every report is written down before the next is taken."""

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        layout: Layout,
        options: Options,
        plan: Plan,
        on_tick: Callable[[Tick], None] | None,
        *,
        run: str,
    ) -> None:
        self._ledger, self._store, self._layout = ledger, store, layout
        self._options, self._plan, self._run = options, plan, run
        self._on_tick = on_tick or (lambda _: None)
        self._begin = self._measured = time.monotonic()
        self._done = 0
        self._failures: dict[str, int] = {}

    def run(self, recipe: Recipe) -> int:
        """Run what waits; return how many cases came to an end."""
        journal = Journal(self._layout.root)
        journal.tell("batch_began", to_run=self._plan.to_run, recipe=recipe.digest)
        ended = "interrupted"
        try:
            if self._plan.to_run:
                self._run_jobs(recipe, journal)
            ended = "finished"
        finally:
            self._ledger.give_back()
            with contextlib.suppress(OutputError):  # a full disk is told by what ended the batch
                journal.measure(self._ledger.counts(), self._figures(0))
                journal.tell("batch_ended", how=ended, ran=self._done, seconds=round(self._elapsed(), 1))
                journal.close()
        return self._done

    def _run_jobs(self, recipe: Recipe, journal: Journal) -> None:
        def started(job: Job) -> None:
            self._ledger.begin([job.case])

        def reported(report: Report) -> Job | None:
            again = self._written(self._checked(report, recipe), journal)
            line = self._ledger.get(report.case) if again else None
            locate = self._store.location
            return None if line is None else job_of(line, self._layout, recipe, locate, run=self._run)

        def ticked(running: int) -> None:
            now = time.monotonic()
            if now - self._measured > _METRICS_S:
                self._measured = now
                journal.measure(self._ledger.counts(), self._figures(running))
            self._on_tick(Tick(self._done, self._plan.to_run, running, dict(self._failures), self._elapsed()))

        jobs = jobs_of(self._ledger, self._layout, recipe, self._store.location, run=self._run)
        options = self._options
        run_jobs(jobs, options.limits, options.workers, on_start=started, on_report=reported, on_tick=ticked)

    def _written(self, report: Report, journal: Journal) -> bool:
        """Write a report down and tell whether its case is to be tried again."""
        again = report.status == "failed" and report.attempt < ATTEMPTS
        self._ledger.end([report], again=frozenset({report.case} if again else ()))
        journal.tell(
            "case_ended",
            case=report.case,
            status=report.status,
            code=report.code,
            attempt=report.attempt,
            again=again,
            seconds=report.seconds,
            peak_mib=report.peak_mib,
            worker=report.worker,
        )
        if report.status != "done" and not again:
            self._failures[report.code] = self._failures.get(report.code, 0) + 1
        self._done += not again
        return again

    def _checked(self, report: Report, recipe: Recipe) -> Report:
        """Return a report that is true of its case; end the batch where it tells of the machines instead.

        A worker without the archive, the output or the software fails every case within moments, and would soon
        have failed them all. The case stays with those that wait.
        """
        if report.code in _MACHINES:
            text, remedy = _MACHINES[report.code]
            remedy = f"{remedy}; the same command goes on from here."
            raise UsageError(f"Worker {report.worker} {text}.", code=report.code, remedy=remedy)
        if report.code == OUTPUT_CODE and not self._takes_more():
            raise OutputError(
                f"Results cannot be written to {self._layout.root} any more.",
                code=OUTPUT_CODE,
                remedy="Make room or give write permission; the same command goes on from here.",
            )
        line = self._ledger.get(report.case)
        if report.code == INPUT_GONE and line is not None:
            self._check_archive(line, report)
        if report.status == "done" and line is not None and not self._arrived(line, recipe):
            text = "Its result is not in the output folder, or not whole."
            return replace(report, status="failed", code="result_missing", message=text, facts={})
        return report

    def _arrived(self, line: CaseRow, recipe: Recipe) -> bool:
        """Tell whether a result is in place; what another machine wrote may be seen a moment late."""
        folder = self._layout.case(line.id)
        for patience in (*_PATIENCE_S, None):
            receipt = whole_receipt(folder)
            if receipt is not None and receipt.is_of(recipe.digest, line.stamp):
                return True
            if patience is not None:
                time.sleep(patience)
                with contextlib.suppress(OSError):
                    os.listdir(folder.parent)  # makes a network file system look again
        return False

    def _takes_more(self) -> bool:
        """Tell whether the output folder still takes a result: otherwise it was the worker's own disk."""
        probe = self._layout.root / f".probe.{self._run}"
        try:
            probe.write_bytes(bytes(_PROBE_BYTES))
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
        return True

    def _check_archive(self, line: CaseRow, report: Report) -> None:
        """End the batch if files that a case missed are there after all, or the whole archive is not."""
        root, location = self._store.root(), self._store.location(line.id)
        if root is not None and not is_there(root):
            raise UsageError(
                "The archive is not there any more.",
                code="archive_gone",
                remedy="Is its disk mounted? The same command goes on from here.",
            )
        # Once is a hiccup of a disk; twice tells of the worker.
        if report.attempt >= ATTEMPTS and location is not None and unchanged(location, line.stamp):
            raise UsageError(
                f"Worker {report.worker} does not see the archive.",
                code="worker_without_archive",
                remedy="Mount it there under the same path; the same command goes on from here.",
            )

    def _elapsed(self) -> float:
        return time.monotonic() - self._begin

    def _figures(self, running: int) -> dict[str, float]:
        elapsed = self._elapsed()
        return {
            "to_run": float(self._plan.to_run),
            "ended": float(self._done),
            "running": float(running),
            "seconds": elapsed,
            "cases_per_second": self._done / elapsed if elapsed > 0 else 0.0,
        }
