"""A task that analyses nothing: for trials of a cluster, its limits and its ledger without the cost of an analysis.

What it does follows from the job's settings: ``seconds`` to wait, ``rounds`` to work, ``memory_mib`` to fill,
``result_kib`` to write, and ``trouble`` (``crash``, ``hang``, ``raise``) to make. It writes its result as the
analysis does: whole, or not. Whoever waits shares a core with anybody; how cases get on together is told by work.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from paraspinal.archive.job import Job
from paraspinal.archive.place import put_in_place

_WORKED = 8 << 20  # numbers of 4 bytes: more than a processor's cache holds, as a volume is


def rehearse(job: Job) -> dict[str, Any]:
    """Do what the settings say, then write ``result.json`` and its receipt."""
    settings = job.settings
    begin = time.monotonic()
    _make_trouble(settings.get("trouble", ""))
    held = bytearray(int(settings.get("memory_mib", 0)) << 20)
    held[:: 1 << 12] = b"\1" * len(held[:: 1 << 12])  # a page counts once it was touched
    while time.monotonic() - begin < float(settings.get("seconds", 0.0)):
        time.sleep(min(0.01, float(settings["seconds"])))
    work(int(settings.get("rounds", 0)))

    def write(folder: Path) -> dict[str, Any]:
        filling = "x" * (int(settings.get("result_kib", 0)) << 10)
        text = json.dumps({"case": job.case, "filling": filling})
        (folder / "result.json").write_text(text, encoding="utf-8")
        return {"outcome": "no_mass", "input_digest": job.case}

    return put_in_place(job, write)


def work(rounds: int) -> None:
    """Do so many rounds of the same work on one thread: through 32 MiB, a root of every number."""
    if not rounds:
        return
    values = np.full(_WORKED, 1.5, np.float32)
    for _ in range(rounds):
        np.multiply(values, 1.5, out=values)
        np.sqrt(values, out=values)


def _make_trouble(kind: str) -> None:
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "raise":
        raise RuntimeError("as was asked for")
    while kind == "hang":
        time.sleep(1.0)
