"""Runs jobs on Dask workers: an embedded cluster of processes, or any cluster whose scheduler is reachable.

Dask brings scheduling, care of dead workers, and clusters of every kind; what it does not bring (a case's own
process, its time and memory) is `supervise`. No more jobs are handed over than keep the workers busy, so that the
memory of the parent does not grow with the batch.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from paraspinal.archive.job import Job, Limits, Report
from paraspinal.errors import UsageError

_AHEAD = 3  # jobs handed over per worker: one runs, two wait beside it
_POLL_S = 0.5
_CONNECT_S = 20.0
_WORKERS_S = 300.0  # workers that were lost come again, or somebody starts others
_LOST = "scheduler_lost"
_SILENT = ("distributed", "tornado", "asyncio")


@dataclass(frozen=True, slots=True)
class Workers:
    """How jobs are run: `processes` of an embedded cluster, or the cluster of `scheduler` (an address)."""

    processes: int = 1
    scheduler: str | None = None


def run_jobs(
    jobs: Iterable[Job],
    limits: Limits,
    workers: Workers,
    *,
    on_start: Callable[[Job], None] = lambda _: None,
    on_report: Callable[[Report], Job | None] = lambda _: None,
    on_tick: Callable[[int], None] = lambda _: None,
) -> None:
    """Run every job; return when all have a report.

    Parameters
    ----------
    jobs : iterable of Job
        Taken one by one as workers come free.
    on_start : callable
        Told of a job before it is handed over.
    on_report : callable
        Told of every report; what it returns is run as well (another attempt).
    on_tick : callable
        Called at least twice a second with the number of jobs that are handed over.

    Raises
    ------
    UsageError
        ``no_scheduler`` if the scheduler cannot be reached; ``scheduler_lost`` if it goes away.
    """
    run, source = _Run(limits, on_start, on_report, on_tick), iter(jobs)
    reports = -1
    while True:
        try:
            with _client(workers) as client:
                run.all(client, source)
            return
        except UsageError as error:
            # An embedded cluster gives up when a worker is killed while it starts: it is started anew as long as
            # cases come to an end in between.
            if error.code != _LOST or workers.scheduler is not None or run.reports == reports:
                raise
            reports = run.reports
            run.take_back()


@contextmanager
def _client(workers: Workers) -> Iterator[Any]:
    for name in _SILENT:  # what goes wrong with a worker becomes a status, not a traceback on the terminal
        logging.getLogger(name).setLevel(logging.CRITICAL)
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.scheduler.allowed-failures": 3,
        "distributed.admin.low-level-log-length": 100,
        "distributed.worker.memory.terminate": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.profile.enabled": False,
        "distributed.comm.timeouts.connect": f"{_CONNECT_S}s",
    }
    with dask.config.set(settings):
        if workers.scheduler is not None:
            try:
                client = Client(workers.scheduler, timeout=_CONNECT_S, set_as_default=False)
            except (OSError, TimeoutError, ValueError) as error:
                raise UsageError(
                    f"There is no scheduler at {workers.scheduler}.",
                    code="no_scheduler",
                    remedy="Start one (dask scheduler) and workers (dask worker ADDRESS --nthreads 1), and check the"
                    " address.",
                ) from error
            with client:
                yield client
            return
        with _deaf_children(), _lost_scheduler():  # a worker may be killed while it starts
            cluster = LocalCluster(
                n_workers=workers.processes,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # Dask serves one in any case: on loopback, at a free port
                memory_limit=0,
                security=True,  # without, any other user of the machine could run code through the port
                silence_logs=logging.CRITICAL,
            )
        with cluster, Client(cluster, set_as_default=False) as client:
            yield client


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C: the parent hears it and ends them, without a traceback from each.

    A worker that is started later, in place of a lost one, hears it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _lost_scheduler() -> Iterator[None]:
    """Turn what Dask raises on a connection that ended into ``scheduler_lost``."""
    try:
        yield
    except (CancelledError, OSError, RuntimeError) as error:
        raise _scheduler_lost() from error


def _scheduler_lost() -> UsageError:
    return UsageError(
        "The scheduler is gone.",
        code=_LOST,
        remedy="Start it again; the same command goes on where this one stopped.",
    )


class _Run:
    """One batch of jobs on a client."""

    def __init__(
        self,
        limits: Limits,
        on_start: Callable[[Job], None],
        on_report: Callable[[Report], Job | None],
        on_tick: Callable[[int], None],
    ) -> None:
        self._client: Any = None
        self._limits = limits
        self.reports = 0
        self._on_start, self._on_report, self._on_tick = on_start, on_report, on_tick
        self._open: dict[Any, Job] = {}
        self._again: list[Job] = []
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def take_back(self) -> None:
        """Let the jobs wait again that a lost cluster had."""
        self._again += self._open.values()
        self._open.clear()
        self._ended = queue.SimpleQueue()

    def all(self, client: Any, jobs: Iterator[Job]) -> None:
        """Hand jobs over to a client and take reports until there is nothing left."""
        self._client = client
        while True:
            self._fill(jobs)
            if not self._open:
                return
            for future in self._finished():
                job = self._open.pop(future)
                report = self._report(future, job)
                # Without a report the job was lost with a scheduler: it did not run, or nobody knows.
                self.reports += report is not None
                again = job if report is None else self._on_report(report)
                future.release()
                if again is not None:
                    self._again.append(again)
            self._on_tick(min(len(self._open), self._threads()))

    def _fill(self, jobs: Iterator[Job]) -> None:
        room = _AHEAD * self._threads()
        while len(self._open) < room:
            job = self._again.pop() if self._again else next(jobs, None)
            if job is None:
                return
            self._on_start(job)
            key = f"case-{job.case}-{job.attempt}-{time.monotonic_ns()}"
            try:
                with _lost_scheduler():
                    future = self._client.submit(work, job, self._limits, key=key, pure=False)
            except UsageError:
                self._again.append(job)
                raise
            self._open[future] = job
            future.add_done_callback(self._ended.put)

    def _threads(self) -> int:
        deadline = time.monotonic() + _WORKERS_S
        while not (threads := self._threads_now()):
            self._on_tick(0)
            if time.monotonic() > deadline:
                raise UsageError(
                    "The scheduler has no workers.",
                    code="no_workers",
                    remedy="Start some (dask worker ADDRESS --nthreads 1); the same command goes on from here.",
                )
            time.sleep(_POLL_S)
        return threads

    def _threads_now(self) -> int:
        if self._client.status != "running":
            raise _scheduler_lost()
        with _lost_scheduler():
            return int(sum(self._client.nthreads().values()))

    def _finished(self) -> list[Any]:
        """Return what has ended since, after waiting a little for the first."""
        try:
            done = [self._ended.get(timeout=_POLL_S)]
        except queue.Empty:
            return []
        while not self._ended.empty():
            done.append(self._ended.get())
        return done

    def _report(self, future: Any, job: Job) -> Report | None:
        """Return a job's report; none where the scheduler forgot the job.

        One whose workers died under it again and again has failed.

        Raises
        ------
        UsageError
            ``worker_unusable`` if a worker has no such software.
        """
        from distributed.scheduler import KilledWorker

        try:
            if future.status == "finished":
                report: Report = future.result()
                return report
            error = future.exception() if future.status == "error" else None
        except (CancelledError, OSError):
            return None
        if error is None:
            return None
        if isinstance(error, ImportError):
            raise UsageError(
                f"A worker cannot run cases: {type(error).__name__}.",
                code="worker_unusable",
                remedy="Install this version of paraspinal where the workers run; the same command goes on.",
            )
        code = "worker_lost" if isinstance(error, KilledWorker) else "worker_error"
        return Report(job.case, "failed", code, f"{type(error).__name__} at the worker.", attempt=job.attempt)


def work(job: Job, limits: Limits) -> Report:
    """Do a job within a worker; its case is bound to the worker's share of the cores."""
    from distributed import get_worker

    from paraspinal.archive.supervise import run_job

    name = get_worker().name
    return run_job(job, limits, cores=_cores(name, limits.cores), worker=str(name))


def _cores(name: object, count: int) -> tuple[int, ...]:
    """Return the cores of a worker of the embedded cluster, by its number; none (any) for other workers."""
    if not isinstance(name, int) or not hasattr(os, "sched_getaffinity"):
        return ()
    every = sorted(os.sched_getaffinity(0))
    return tuple(every[(name * count + k) % len(every)] for k in range(count))
