"""Writes an analysis into its output folder: all of it, or nothing.

Everything is first written into a hidden folder beside the destination and synced to disk; only then are the
files moved into place, ``result.json`` last. A folder with ``result.json`` in it is therefore complete.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy import native_labels
from paraspinal.dicomio.nifti import write_nifti
from paraspinal.errors import LoadError, OutputError
from paraspinal.report import write_report
from paraspinal.report.types import AnalysisLike
from paraspinal.result import AnalysisResult
from paraspinal.volume import CTVolume, LabelArray

RESULT_NAME = "result.json"
REFUSAL_NAME = "refusal.json"


def check_destination(folder: Path, *, force: bool) -> None:
    """Refuse a destination that holds a result already or cannot be written, before any work is done.

    Raises
    ------
    OutputError
        If `folder` is a file, holds a ``result.json`` while `force` is False, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            f"{folder} is a file, not a folder.",
            code="output_is_a_file",
            remedy="Name a folder that may be made or written.",
        )
    if (folder / RESULT_NAME).exists() and not force:
        raise OutputError(
            f"{folder} holds a complete result already.",
            code="result_exists",
            remedy="Name another folder, or replace it with --force (in Python: force=True).",
        )
    with _staging(folder):
        pass  # making and removing the temporary folder is the only sure test


def save_analysis(analysis: AnalysisLike, folder: Path, *, force: bool = False) -> Path:
    """Write ``result.json`` and its companions into `folder` and return it.

    Raises
    ------
    OutputError
        As `check_destination`, or if the disk fails on the way; the folder is then as it was.
    """
    check_destination(folder, force=force)
    with _staging(folder) as staged:
        _write_label_maps(analysis, staged)
        write_report(staged / "report.html", analysis)
        (staged / RESULT_NAME).write_text(result_json(analysis.result), encoding="utf-8")
        _move_into_place(staged, folder, replaces=(RESULT_NAME, REFUSAL_NAME))
    return folder


def result_json(result: AnalysisResult) -> str:
    """Return the text of ``result.json``."""
    return result.model_dump_json(indent=2) + "\n"


def save_refusal(error: LoadError, folder: Path) -> Path:
    """Write ``refusal.json`` into `folder`, next to whatever it holds, and return the file's path.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    text = json.dumps(refusal(error), indent=2, allow_nan=False, default=str) + "\n"
    with _staging(folder) as staged:
        (staged / REFUSAL_NAME).write_text(text, encoding="utf-8")
        _move_into_place(staged, folder)
    return folder / REFUSAL_NAME


def refusal(error: LoadError) -> dict[str, object]:
    """Return what ``refusal.json`` holds: the loader's codes as in ``result.json``, the message and the remedy."""
    own = {"code": error.code, "text": error.message, "numbers": {}, "slices": []}
    details = dict(error.details)
    codes = details.pop("codes", None) or [own]
    return {
        "verdict": "refused",
        "codes": codes,
        "message": error.message,
        "remedy": error.remedy,
        "details": details,
    }


def _not_writable(folder: Path, why: str) -> OutputError:
    return OutputError(
        f"{folder} cannot be written: {why}.",
        code="output_not_writable",
        remedy="Name a folder on a disk with space and write permission.",
    )


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`, on the same disk; it is gone afterwards whatever happens."""
    created = _missing_parents(folder)
    staged = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        yield staged
    except OSError as error:
        raise _not_writable(folder, error.strerror or str(error)) from error
    finally:
        if staged is not None:
            shutil.rmtree(staged, ignore_errors=True)
        _remove_if_empty(created)


def _missing_parents(folder: Path) -> list[Path]:
    """Return the parents of `folder` that do not exist yet, innermost first."""
    return [parent for parent in folder.absolute().parents if not parent.exists()]


def _remove_if_empty(folders: list[Path]) -> None:
    for path in folders:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _move_into_place(staged: Path, folder: Path, *, replaces: tuple[str, ...] = ()) -> None:
    """Move every staged file to `folder`, ``result.json`` last; files named in `replaces` go even without heir.

    What is replaced is kept aside until the last move is done and put back if any move fails.
    """
    files = sorted((p for p in staged.iterdir() if p.is_file()), key=lambda p: p.name == RESULT_NAME)
    for path in files:
        _sync(path)
    aside = staged / "replaced"
    aside.mkdir()
    made = not folder.exists()
    folder.mkdir(exist_ok=True)
    moved: list[Path] = []
    try:
        for name in dict.fromkeys((*replaces, *(path.name for path in files))):
            if (folder / name).exists():
                os.replace(folder / name, aside / name)
        for path in files:
            moved.append(folder / path.name)
            os.replace(path, moved[-1])
        _sync(folder)
    except BaseException:
        _undo(moved, aside, folder, made=made)
        raise


def _undo(moved: list[Path], aside: Path, folder: Path, *, made: bool) -> None:
    for target in moved:
        target.unlink(missing_ok=True)
    for old in aside.iterdir():
        os.replace(old, folder / old.name)
    if made:
        folder.rmdir()


def _sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_label_maps(analysis: AnalysisLike, folder: Path) -> None:
    """Write anatomy and masses on the CT's own grid, in the order of the source file's axes."""
    volume, found = analysis.volume, analysis.anatomy
    names = (
        {} if found is None else {str(number): name for number, name in sorted(found.labels.names.items())}
    )
    (folder / "labels.json").write_text(json.dumps(names, indent=2) + "\n", encoding="utf-8")
    # One native map after the other: each is as large as the series itself.
    _write_map(folder / "labels.nii.gz", _labels(analysis), volume)
    _write_map(folder / "masses.nii.gz", mass_labels(analysis), volume)


def _write_map(path: Path, labels: npt.NDArray[np.unsignedinteger], volume: CTVolume) -> None:
    write_nifti(path, volume.to_source(labels), volume.source_geometry())


def _labels(analysis: AnalysisLike) -> LabelArray:
    if analysis.anatomy is None:
        return np.zeros(analysis.volume.hu.shape, np.uint16)
    return native_labels(analysis.anatomy, analysis.volume)


def mass_labels(analysis: AnalysisLike) -> npt.NDArray[np.unsignedinteger]:
    """Return the candidates by their id on the CT's own grid, [z, y, x]: uint8, or uint16 for more than 255."""
    masses = analysis.search.masses
    last = max((mass.id for mass in masses), default=0)
    out = np.zeros(analysis.volume.hu.shape, np.uint8 if last < 256 else np.uint16)
    for mass in masses:
        out[mass.region.box][mass.region.mask] = mass.id
    return out
