"""Time and memory of the stages, for the result's provenance."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paraspinal.analysis.finite import finite_stage

Progress = Callable[[str], None]


class StageClock:
    """Measures the wall-clock seconds of named stages, and tells a listener when one begins."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._stage = ""

    def step(self, name: str) -> None:
        """Tell the listener about a step within the running stage."""
        if self._progress is not None:
            self._progress(f"{self._stage}: {name}")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a ``with`` block under `name`; repeated names add up."""
        self._stage = name
        if self._progress is not None:
            self._progress(name)
        begin = time.perf_counter()
        try:
            with finite_stage(name):
                yield
        finally:
            elapsed = time.perf_counter() - begin
            self.seconds[name] = round(self.seconds.get(name, 0.0) + elapsed, 3)


def peak_rss_mib() -> float | None:
    """Return the peak resident memory of this process in MiB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
