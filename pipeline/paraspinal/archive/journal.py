"""What a batch writes beside its results while it runs: a log as JSON lines, and its figures for a monitor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paraspinal.archive.job import OUTPUT_CODE
from paraspinal.archive.layout import replace_text
from paraspinal.errors import OutputError

_LOG, _METRICS = "log.jsonl", "metrics.prom"
_PREFIX = "paraspinal_batch"


class Journal:
    """Appends events to ``log.jsonl`` and keeps ``metrics.prom`` (Prometheus text format) up to date.

    Its methods raise `OutputError` where the disk takes no more.
    """

    def __init__(self, folder: Path) -> None:
        self._metrics = folder / _METRICS
        with _typed():
            self._log = (folder / _LOG).open("a", encoding="utf-8", buffering=1)

    def close(self) -> None:
        """Close the log."""
        with _typed():
            self._log.close()

    def tell(self, event: str, **facts: Any) -> None:
        """Append one event with the time; `facts` are plain values that name nobody."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event} | facts
        with _typed():
            self._log.write(json.dumps(line, separators=(",", ":")) + "\n")

    def measure(self, counts: Mapping[tuple[str, str], int], figures: Mapping[str, float]) -> None:
        """Write the figures of now: cases by status and code, and single numbers by name."""
        lines = [f"# TYPE {_PREFIX}_cases gauge"]
        lines += [
            f'{_PREFIX}_cases{{status="{status}",code="{code}"}} {number}'
            for (status, code), number in sorted(counts.items())
        ]
        for name, value in figures.items():
            lines += [f"# TYPE {_PREFIX}_{name} gauge", f"{_PREFIX}_{name} {value:.12g}"]
        with _typed():
            replace_text(self._metrics, "\n".join(lines) + "\n")


@contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"Log or metrics cannot be written: {error.strerror or error}.",
            code=OUTPUT_CODE,
            remedy="Make room or give write permission; the same command goes on from here.",
        ) from error
