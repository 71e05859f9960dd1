"""One case within a worker: its process is started, watched, and ended when it takes too long or too much memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import time
from functools import lru_cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess

import psutil

from paraspinal.archive.child import BEGUN, do_case
from paraspinal.archive.job import Job, Limits, Report, Verdict
from paraspinal.archive.place import staged_folder

_MIB = float(1 << 20)
_POLL_S = 0.05
_GRACE_S = 5.0
_START_S = (
    600.0  # the fork server loads its modules before the first case; on a busy disk that takes its time
)
_PRELOADS = {"paraspinal.archive.tasks": "paraspinal.archive.preload"}
_KILLED = -9
_PATIENCE_S = (0.2, 1.0)


def run_job(job: Job, limits: Limits, *, cores: tuple[int, ...] = (), worker: str = "") -> Report:
    """Do a job in a process of its own and return what became of it; nothing that the case does ends the caller."""
    begin = time.monotonic()
    here, there = multiprocessing.Pipe(duplex=True)
    process = _started(job, limits, cores, there)
    there.close()
    watch = _Watch(process, limits)
    try:
        verdict = watch.until(here, begin)
    finally:
        pid = process.pid
        _end(process)
        here.close()
        if job.run and pid is not None:
            shutil.rmtree(
                staged_folder(job, pid), ignore_errors=True
            )  # of a case that was killed as it wrote
    status, code, message, facts = verdict
    return Report(
        case=job.case,
        status=status,
        code=code,
        message=message,
        facts=facts,
        seconds=round(time.monotonic() - begin, 3),
        peak_mib=round(watch.peak_mib, 1),
        attempt=job.attempt,
        worker=worker,
    )


def _started(job: Job, limits: Limits, cores: tuple[int, ...], link: Connection) -> ForkServerProcess:
    """Start the process of a case; a fork server that was killed a moment ago is started anew."""
    context = _context(job.task.partition(":")[0])
    for patience in (*_PATIENCE_S, None):
        process = context.Process(target=do_case, args=(link, job, limits, cores), daemon=True)
        try:
            process.start()
        except (OSError, EOFError):
            if patience is None:
                raise
            time.sleep(patience)
        else:
            break
    return process


class _Watch:
    """Waits for a process and keeps its largest memory."""

    def __init__(self, process: ForkServerProcess, limits: Limits) -> None:
        self._process, self._limits = process, limits
        self.peak_mib = 0.0
        try:
            self._seen: psutil.Process | None = psutil.Process(process.pid)
        except psutil.Error:
            self._seen = None

    def until(self, link: Connection, begin: float) -> Verdict:
        """Return what the process tells, or why it had to be ended."""
        limits, seconds = self._limits, _START_S
        pause = 0.002  # a short case is not kept waiting for a slow poll
        while True:
            if link.poll(pause):
                told = self._told(link)
                if told is not None:
                    return told
                begin, seconds = time.monotonic(), limits.seconds
            pause = min(_POLL_S, pause * 1.5)
            self._look()
            if self.peak_mib > limits.memory_mib:
                text = f"It took more than {limits.memory_mib:.0f} MiB of memory."
                return "failed", "memory_limit", text, {}
            if time.monotonic() - begin > seconds:
                return "failed", "timeout", f"It took longer than {seconds:g} s.", {}

    def _told(self, link: Connection) -> Verdict | None:
        """Return the verdict, None for the word that the task has begun."""
        try:
            told = link.recv()
        except (EOFError, OSError):
            self._process.join(_GRACE_S)
            return "failed", "killed" if self._killed() else "crashed", self._how_it_ended(), {}
        self._look()
        if told == BEGUN:
            return None
        status, code, message, facts = told
        return status, code, message, facts

    def _look(self) -> None:
        if self._seen is not None:
            with contextlib.suppress(psutil.Error):
                self.peak_mib = max(self.peak_mib, self._seen.memory_info().rss / _MIB)

    def _killed(self) -> bool:
        return self._process.exitcode == _KILLED

    def _how_it_ended(self) -> str:
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"Its process was ended by signal {-code}."
        return f"Its process ended with exit code {code}."


def _end(process: ForkServerProcess) -> None:
    if process.is_alive():
        process.kill()
    process.join(_GRACE_S)
    with contextlib.suppress(ValueError):
        process.close()


@lru_cache
def _context(module: str) -> ForkServerContext:
    """Return the fork server's context; the server loads what a task needs once, and every case is forked from it."""
    _allow_children()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    context = multiprocessing.get_context("forkserver")
    # Without "__main__" among them every case would import the program's main module anew.
    context.set_forkserver_preload(["__main__", _PRELOADS.get(module, module)])
    return context


def _allow_children() -> None:
    """Let a worker process that its nanny marked as a daemon have children; they end with it by their own watch."""
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
