"""What goes to a worker and what comes back: plain values that any scheduler can carry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

OUTPUT_CODE = "output_not_writable"
"""A result cannot be written: a matter of the disk, not of the case."""
ELSEWHERE = "output_elsewhere"
"""The worker does not see the batch's output folder."""
WORKER_VERSION = "worker_version"
"""The worker has other software, or another model."""
INPUT_GONE = "input_gone"
"""A file of the case is not there."""

Status = Literal["done", "refused", "failed"]
Verdict = tuple[Status, str, str, dict[str, Any]]
"""Status, code, message, facts."""


@dataclass(frozen=True, slots=True)
class Job:
    """One case to do.

    Parameters
    ----------
    case : str
        Its key: a keyed digest, the name of its folder.
    task : str
        ``module:function`` of what is to be done; it takes the job and returns a plain dict.
    source : dict
        What is to be read (see `paraspinal.archive.location`); plain values.
    folder : str
        Where the result goes.
    settings : dict
        Whatever else the task needs; plain values.
    attempt : int
        1 for the first.
    run : str
        Names the run of the batch: only while that owns the output folder is a result put in place.
    """

    case: str
    task: str
    source: dict[str, Any]
    folder: str
    settings: dict[str, Any] = field(default_factory=dict)
    attempt: int = 1
    run: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one case may take: wall time in seconds, resident memory in MiB, processor cores."""

    seconds: float = 600.0
    memory_mib: float = 3072.0
    cores: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a case.

    ``code`` says why it was refused or failed, ``message`` the same in words without names; ``facts`` is what the
    task returned, ``peak_mib`` the largest resident memory that was seen, ``worker`` who did it.
    """

    case: str
    status: Status
    code: str = ""
    message: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    peak_mib: float = 0.0
    attempt: int = 1
    worker: str = ""
