"""What a batch writes beside its results while it runs: a log as JSON lines, and its figures for a monitor."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_LOG, _METRICS = "log.jsonl", "metrics.prom"
_PREFIX = "paraspinal_batch"


class Journal:
    """Appends events to ``log.jsonl`` and keeps ``metrics.prom`` (Prometheus text format) up to date."""

    def __init__(self, folder: Path) -> None:
        self._log = (folder / _LOG).open("a", encoding="utf-8", buffering=1)
        self._metrics = folder / _METRICS

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def tell(self, event: str, **facts: Any) -> None:
        """Append one event with the time; `facts` are plain values that name nobody."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event} | facts
        self._log.write(json.dumps(line, separators=(",", ":")) + "\n")

    def measure(self, counts: Mapping[tuple[str, str], int], figures: Mapping[str, float]) -> None:
        """Write the figures of now: cases by status and code, and single numbers by name."""
        lines = [f"# TYPE {_PREFIX}_cases gauge"]
        lines += [
            f'{_PREFIX}_cases{{status="{status}",code="{code}"}} {number}'
            for (status, code), number in sorted(counts.items())
        ]
        for name, value in figures.items():
            lines += [f"# TYPE {_PREFIX}_{name} gauge", f"{_PREFIX}_{name} {value:g}"]
        staged = self._metrics.with_name(f".{_METRICS}.{os.getpid()}")
        staged.write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.replace(staged, self._metrics)
