"""The cases of a batch while they run: handed out, written down as they end, and told of."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from paraspinal.archive.child import OUTPUT_CODE
from paraspinal.archive.engine import run_jobs
from paraspinal.archive.job import Job, Report
from paraspinal.archive.journal import Journal
from paraspinal.archive.layout import Layout
from paraspinal.archive.ledger import Ledger
from paraspinal.archive.options import Options
from paraspinal.archive.plan import ATTEMPTS, Plan, Recipe, job_of, jobs_of
from paraspinal.archive.store import Store
from paraspinal.errors import OutputError

_METRICS_S = 5.0


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
    ) -> None:
        self._ledger, self._store, self._layout = ledger, store, layout
        self._options, self._plan = options, plan
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
            with contextlib.suppress(OSError):  # a full disk is told by what ended the batch
                journal.measure(self._ledger.counts(), self._figures(0))
                journal.tell("batch_ended", how=ended, ran=self._done, seconds=round(self._elapsed(), 1))
                journal.close()
        return self._done

    def _run_jobs(self, recipe: Recipe, journal: Journal) -> None:
        def started(job: Job) -> None:
            self._ledger.begin([job.case])

        def reported(report: Report) -> Job | None:
            again = self._written(report, journal)
            line = self._ledger.get(report.case) if again else None
            return None if line is None else job_of(line, self._layout, recipe, self._store.location)

        def ticked(running: int) -> None:
            now = time.monotonic()
            if now - self._measured > _METRICS_S:
                self._measured = now
                journal.measure(self._ledger.counts(), self._figures(running))
            self._on_tick(Tick(self._done, self._plan.to_run, running, dict(self._failures), self._elapsed()))

        jobs = jobs_of(self._ledger, self._layout, recipe, self._store.location)
        options = self._options
        run_jobs(jobs, options.limits, options.workers, on_start=started, on_report=reported, on_tick=ticked)

    def _written(self, report: Report, journal: Journal) -> bool:
        """Write a report down and tell whether its case is to be tried again."""
        if report.code == OUTPUT_CODE:
            raise self._disk_error()
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
        if report.status != "done":
            self._failures[report.code] = self._failures.get(report.code, 0) + 1
        self._done += not again
        return again

    def _disk_error(self) -> OutputError:
        """Return what ends the batch where results cannot be written: every further case would fail alike.

        The case stays with those that wait.
        """
        return OutputError(
            f"Results cannot be written to {self._layout.root} any more.",
            code=OUTPUT_CODE,
            remedy="Make room or give write permission; the same command goes on from here.",
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
