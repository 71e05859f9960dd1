"""A whole archive, case by case, so that nothing is lost and nothing done twice, whatever ends the batch.

The ledger says what became of every series of the catalogue. A case that ends is written down at once, its results
before that; a batch that was ended in any way goes on with the same command.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paraspinal.archive.child import OUTPUT_CODE
from paraspinal.archive.engine import Workers, run_jobs
from paraspinal.archive.index import index_archive
from paraspinal.archive.job import Job, Limits, Report
from paraspinal.archive.journal import Journal
from paraspinal.archive.keys import Key, load_key
from paraspinal.archive.layout import Layout, prepared
from paraspinal.archive.ledger import Ledger, open_ledger
from paraspinal.archive.plan import ATTEMPTS, Plan, Recipe, jobs_of, make_plan, make_recipe
from paraspinal.archive.rules import Rules, choose
from paraspinal.archive.store import Store, open_store
from paraspinal.config import Config, load_config
from paraspinal.errors import OutputError, UsageError

ANALYSE = "paraspinal.archive.tasks:analyse"
_METRICS_S = 5.0
Keep = str
KEEPS = ("result", "report", "maps")


@dataclass(frozen=True, slots=True)
class Options:
    """How a batch runs.

    Parameters
    ----------
    rules : Rules
        Which series are analysed.
    limits : Limits
        Of one case.
    workers : Workers
        An embedded cluster, or the address of a scheduler.
    config : str or Path or Config
        The profile of the analyses.
    keep : {"result", "report", "maps"}
        What of each result stays: ``result.json`` alone, with ``report.html`` (default), or with the label maps.
    identifiers : bool
        Write UIDs into the results.
    retry_failed : bool
        Try cases again that failed twice.
    key : Path or None
        The key file of the digests; ``private/key`` in the output folder without it.
    task : str
        ``module:function`` that does a case; another one than the analysis is for trials.
    settings : dict
        What that task needs besides.
    """

    rules: Rules = Rules()  # noqa: RUF009  (frozen)
    limits: Limits = Limits()  # noqa: RUF009  (frozen)
    workers: Workers = Workers()  # noqa: RUF009  (frozen)
    config: str | Path | Config = "default"
    keep: Keep = "report"
    identifiers: bool = False
    retry_failed: bool = False
    key: Path | None = None
    task: str = ANALYSE
    settings: dict[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Summary:
    """What a batch did: its plan, the cases it ran, and all cases of the ledger by status and code."""

    plan: Plan
    ran: int
    counts: dict[tuple[str, str], int]
    seconds: float

    def of(self, status: str) -> int:
        """Return how many cases have a status."""
        return sum(number for (name, _), number in self.counts.items() if name == status)


def batch(
    archive: str | Path,
    out: str | Path,
    options: Options = Options(),
    *,
    dry_run: bool = False,
    progress: Callable[[str], None] | None = None,
    on_tick: Callable[[Tick], None] | None = None,
) -> Summary:
    """Analyse the series of an archive that the rules choose.

    Parameters
    ----------
    archive : str or Path
        A folder (its catalogue is brought up to date first), or a catalogue that `index_archive` made.
    out : str or Path
        Folder of ledger, results, log and metrics; a batch that was ended goes on there.
    dry_run : bool
        Only say what would be run.
    progress : callable, optional
        Called with a sentence when a step begins.
    on_tick : callable, optional
        Called at least twice a second while cases run.

    Raises
    ------
    UsageError
        If the archive, the catalogue, the key or the scheduler cannot be used.
    ConfigError
        If the profile or the model is not valid.
    OutputError
        If the output folder cannot be written, now or (a full disk) later, or another batch works there.
    """
    begin = time.monotonic()
    tell = progress or (lambda _: None)
    source, results = Path(archive), Layout(Path(out))
    with _output(results, dry_run=dry_run) as layout:
        key = load_key(options.key or _key_beside(source) or layout.key)
        catalogue = _catalogue(source, layout, key, options, tell, apart=results.root)
        recipe = _recipe(options, key)
        with (
            open_store(catalogue, fingerprint=key.fingerprint) as store,
            open_ledger(layout.ledger) as ledger,
        ):
            ledger.give_back()
            tell("comparing with the ledger")
            plan = make_plan(
                choose(store.series(), options.rules),
                ledger,
                results,
                recipe,
                retry_failed=options.retry_failed,
                memory_mib=options.limits.memory_mib,
                write=not dry_run,
            )
            ran = 0
            if not dry_run:
                tell(f"{plan.to_run} cases to run")
                ran = _Batch(ledger, store, layout, options, plan, on_tick).run(recipe)
            return Summary(plan, ran, ledger.counts(), time.monotonic() - begin)


@contextmanager
def _output(results: Layout, *, dry_run: bool) -> Iterator[Layout]:
    """Yield the output folder; a dry run works on copies of its ledger, catalogue and key, and leaves no trace."""
    if not dry_run:
        with prepared(results.root) as layout:
            yield layout
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Layout(Path(folder))
        copy.private.mkdir()
        for name in ("ledger", "catalogue", "key"):
            source, target = getattr(results, name), getattr(copy, name)
            for end in ("", "-wal"):
                if source.with_name(source.name + end).is_file():
                    shutil.copy(source.with_name(source.name + end), target.with_name(target.name + end))
        yield copy


def _key_beside(archive: Path) -> Path | None:
    """Return the key that `paraspinal index` put beside a catalogue."""
    key = archive.with_name(archive.name + ".key")
    return key if archive.is_file() and key.is_file() else None


def _catalogue(
    archive: Path, layout: Layout, key: Key, options: Options, tell: Callable[[str], None], *, apart: Path
) -> Path:
    """Return the catalogue to work from, brought up to date where a folder is given."""
    if archive.is_file():
        return archive
    if not archive.is_dir():
        raise UsageError(
            f"There is no archive {archive}.",
            code="archive_not_found",
            remedy="Name a folder with images, or a catalogue that paraspinal index made.",
        )
    tell("looking for what is new in the archive")
    index_archive(
        archive,
        layout.catalogue,
        key=key,
        config=_config(options).loading,
        leave_out=[apart],
        progress=tell,
    )
    return layout.catalogue


def _config(options: Options) -> Config:
    return options.config if isinstance(options.config, Config) else load_config(options.config)


def _recipe(options: Options, key: Key) -> Recipe:
    """Return how results are made; whatever changes a result changes its digest."""
    if options.keep not in KEEPS:
        raise UsageError(
            f"Nothing is kept as {options.keep!r}.",
            code="keep_unknown",
            remedy=f"Use one of {', '.join(KEEPS)}.",
        )
    config = _config(options)
    settings = {
        "config": config.model_dump(mode="json"),
        "keep": options.keep,
        "identifiers": options.identifiers,
        "salt": key.salt,
        **options.settings,
    }
    more = json.dumps(options.settings, sort_keys=True)
    parts = [config.digest, options.keep, str(options.identifiers), key.fingerprint, more]
    if options.task == ANALYSE:
        from paraspinal.differential.model import load_model

        model = load_model(config.differential.model)
        parts.append(f"{model.name} {model.version}")
    return make_recipe(options.task, settings, *parts)


class _Batch:
    """The running part of a batch."""

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
            if not again:
                return None
            return Job(
                report.case,
                recipe.task,
                self._store.location(report.case),
                str(self._layout.case(report.case)),
                {**recipe.settings, "recipe": recipe.digest, "stamp": self._stamp(report.case)},
                report.attempt + 1,
            )

        def ticked(running: int) -> None:
            now = time.monotonic()
            if now - self._measured > _METRICS_S:
                self._measured = now
                journal.measure(self._ledger.counts(), self._figures(running))
            self._on_tick(Tick(self._done, self._plan.to_run, running, dict(self._failures), self._elapsed()))

        jobs = jobs_of(self._ledger, self._layout, recipe, self._store.location)
        options = self._options
        run_jobs(jobs, options.limits, options.workers, on_start=started, on_report=reported, on_tick=ticked)

    def _stamp(self, case: str) -> str:
        line = self._ledger.get(case)
        return "" if line is None else line.stamp

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
