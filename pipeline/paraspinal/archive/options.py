"""How a batch runs: which series, on what workers, within which limits, and what of each result stays."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paraspinal.archive.engine import Workers
from paraspinal.archive.job import Limits
from paraspinal.archive.rules import Rules
from paraspinal.config import Config
from paraspinal.errors import UsageError

ANALYSE = "paraspinal.archive.tasks:analyse"
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
    forget_gone : bool
        Delete the results of cases that the archive does not hold any more.
    key : Path or None
        The key file of the digests; ``private/key`` in the output folder without it.
    task : str
        ``module:function`` that does a case; another one than the analysis is for trials.
    settings : dict
        What that task needs besides.

    Raises
    ------
    UsageError
        ``keep_unknown``.
    """

    rules: Rules = Rules()  # noqa: RUF009  (frozen)
    limits: Limits = Limits()  # noqa: RUF009  (frozen)
    workers: Workers = Workers()  # noqa: RUF009  (frozen)
    config: str | Path | Config = "default"
    keep: str = "report"
    identifiers: bool = False
    retry_failed: bool = False
    forget_gone: bool = False
    key: Path | None = None
    task: str = ANALYSE
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.keep not in KEEPS:
            raise UsageError(
                f"Nothing is kept as {self.keep!r}.",
                code="keep_unknown",
                remedy=f"Use one of {', '.join(KEEPS)}.",
            )
