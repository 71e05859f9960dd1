"""A case's folder, put in place whole and by the running batch alone.

A case may outlive its batch: the workers of a scheduler go on when the parent is killed. What such a case writes must
not take the place of a newer result, and half of a folder must never look like one. A folder is therefore made aside
and moved into place in one step, while the run that asked for it is still the one that owns the output.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paraspinal.archive.job import ELSEWHERE, Job
from paraspinal.archive.layout import Layout
from paraspinal.archive.receipt import whole_receipt, write_receipt
from paraspinal.errors import AnalysisError

Write = Callable[[Path], dict[str, Any]]
"""Fills a folder and returns the facts for the ledger."""


def put_in_place(job: Job, write: Write) -> dict[str, Any]:
    """Make the folder of a case by `write`, which fills it and returns the facts; return these.

    Where another attempt has put the very result in place already, nothing is done.

    Raises
    ------
    AnalysisError
        ``output_elsewhere`` where the batch's output folder is not seen, ``superseded`` where another run owns it.
    """
    folder = Path(job.folder)
    check_run(job)
    known = whole_receipt(folder)
    if known is not None and known.is_of(job.settings["recipe"], job.settings["stamp"]):
        return known.facts
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clean(folder, job.run)
    shutil.rmtree(folder, ignore_errors=True)  # an older result is none of this case, however it ends
    staged = staged_folder(job, os.getpid())
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    try:
        facts = write(staged)
        check_run(job)
        write_receipt(
            staged, case=job.case, recipe=job.settings["recipe"], stamp=job.settings["stamp"], facts=facts
        )
        _swap(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return facts


def staged_folder(job: Job, process: int) -> Path:
    """Return the folder beside a case's that a process fills before it is put in place."""
    folder = Path(job.folder)
    return folder.with_name(f".{folder.name}.{job.run}.{process}")


def check_run(job: Job) -> None:
    """Stop unless the run that a job belongs to owns the output folder; a job without a run is nobody's."""
    if not job.run:
        return
    owner = Layout(Path(job.folder).parents[2]).running()
    if owner is None:
        raise AnalysisError(
            "The batch's output folder is not seen by the worker.",
            code=ELSEWHERE,
            remedy="Mount it there under the same path.",
        )
    if owner != job.run:
        raise AnalysisError(
            "Another run of the batch has begun.", code="superseded", remedy="Nothing; the other run does it."
        )


def _clean(folder: Path, run: str) -> None:
    """Remove what cases of other runs, which were killed, left beside a folder; one of this run may be at work."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        if not left.name.startswith(f".{folder.name}.{run}."):
            shutil.rmtree(left, ignore_errors=True)


def _swap(staged: Path, folder: Path) -> None:
    """Put a folder in place of another one; killed in between, the case is without a result and done again."""
    old = staged.with_name(staged.name + ".old")
    try:
        if folder.exists():
            os.replace(folder, old)
        os.replace(staged, folder)
    finally:
        shutil.rmtree(old, ignore_errors=True)
