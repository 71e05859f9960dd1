"""Writes an analysis into its output folder: all of it, or nothing.

Everything is first written into a hidden folder on the same disk and synced; only then are the files moved into
place, ``result.json`` last. A folder with ``result.json`` in it is therefore complete, and the result is that of
the last run: a refusal renames the files of an older one.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy import native_labels
from paraspinal.anatomy.native import to_native
from paraspinal.anatomy.parallel import both
from paraspinal.dicomio.nifti import write_nifti
from paraspinal.errors import AnalysisError, LoadError, OutputError
from paraspinal.report import write_report
from paraspinal.report.contact_sheet import contact_sheets
from paraspinal.report.refusal import is_refusal, refusal_json
from paraspinal.report.types import AnalysisLike
from paraspinal.result import AnalysisResult
from paraspinal.volume import CTVolume, LabelArray, LabelMap

RESULT_NAME = "result.json"
REFUSAL_NAME = "refusal.json"
DEBUG_FOLDER = "debug"
DEBUG_SHEETS = ("skeleton", "soft", "spine")
_DEBUG_NAMES = tuple(f"{DEBUG_FOLDER}/{sheet}.png" for sheet in DEBUG_SHEETS)
_COMPANIONS = (
    *("compartments.json", "compartments.nii.gz", "labels.json", "labels.nii.gz", "masses.nii.gz"),
    "report.html",
    *_DEBUG_NAMES,
)
# No pattern such as *.json or *.nii.gz finds a file with this ending.
_SUPERSEDED = ".superseded"
_PNG_LEVEL = 3  # a fifth of the time of the default, a tenth more bytes


def check_destination(folder: Path, *, force: bool) -> None:
    """Refuse a destination that holds a result or cannot be written, before any work is done.

    Raises
    ------
    OutputError
        If `folder` is a file or cannot be written, or if `force` is False and it holds a ``result.json`` or
        files of others under the names that a result needs.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            f"{folder} is a file, not a folder.",
            code="output_is_a_file",
            remedy="Name a folder that may be made or written.",
        )
    if not force:
        _check_free(folder)
    with _staging(folder):
        pass  # making and removing the temporary folder is the only sure test


def _check_free(folder: Path) -> None:
    if (folder / RESULT_NAME).exists():
        raise OutputError(
            f"{folder} holds a complete result already.",
            code="result_exists",
            remedy="Name another folder, or replace it with --force (in Python: force=True).",
        )
    taken = _present(folder, _COMPANIONS)
    refusal = folder / REFUSAL_NAME
    if refusal.exists() and not is_refusal(refusal):
        taken.append(REFUSAL_NAME)
    if taken:
        raise OutputError(
            f"{folder} holds {', '.join(taken)}, but no {RESULT_NAME} that they could belong to.",
            code="output_names_taken",
            remedy="Name another folder, or replace these files with --force (in Python: force=True).",
        )


def save_analysis(
    analysis: AnalysisLike,
    folder: Path,
    *,
    force: bool = False,
    debug_images: bool = False,
    maps: bool = True,
    page: bool = True,
) -> Path:
    """Write ``result.json`` and its companions into `folder` and return it.

    With `debug_images` contact sheets of every structure go into its subfolder ``debug``; without `maps` or `page`
    label maps or ``report.html`` are left out.

    Raises
    ------
    OutputError
        As `check_destination`, or if the disk fails on the way; the folder is then as it was.
    AnalysisError
        If masses share voxels, so that ``masses.nii.gz`` could not show them all.
    """
    check_destination(folder, force=force)
    with _staging(folder) as staged:
        both(
            lambda: _write_label_maps(analysis, staged) if maps else None,
            lambda: write_report(staged / "report.html", analysis) if page else None,
        )
        if debug_images:
            _write_sheets(analysis, staged / DEBUG_FOLDER)
        (staged / RESULT_NAME).write_text(result_json(analysis.result), encoding="utf-8")
        old = (RESULT_NAME, *_COMPANIONS)
        _move_into_place(staged, folder, clears=(*old, REFUSAL_NAME, *(name + _SUPERSEDED for name in old)))
    return folder


def result_json(result: AnalysisResult) -> str:
    """Return the text of ``result.json``."""
    return result.model_dump_json(indent=2) + "\n"


def save_refusal(error: LoadError, folder: Path) -> Path:
    """Write ``refusal.json`` into `folder` and return the file's path.

    The files of an older result are renamed to ``*.superseded``, so that nobody takes them for this input's; the
    refusal names them. Everything else in the folder is left alone.

    Raises
    ------
    OutputError
        If the folder cannot be written; it is then as it was.
    """
    old = _present(folder, (RESULT_NAME, *_COMPANIONS))
    text = refusal_json(error, superseded=[name + _SUPERSEDED for name in old])
    with _staging(folder) as staged:
        (staged / REFUSAL_NAME).write_text(text, encoding="utf-8")
        _move_into_place(staged, folder, clears=(REFUSAL_NAME,), renames=old)
    return folder / REFUSAL_NAME


def _present(folder: Path, names: Iterable[str]) -> list[str]:
    return [name for name in names if (folder / name).exists()]


def _not_writable(folder: Path, why: str) -> OutputError:
    return OutputError(
        f"{folder} cannot be written: {why}.",
        code="output_not_writable",
        remedy="Name a folder on a disk with space and write permission.",
    )


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder on the disk of `folder`; it is gone afterwards whatever happens."""
    created = _missing_parents(folder)
    staged = None
    try:
        # A folder that exists may be another disk than its parent, and its parent read-only.
        home = folder if folder.is_dir() else folder.absolute().parent
        home.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=".paraspinal.", dir=home))
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


def _move_into_place(
    staged: Path, folder: Path, *, clears: Iterable[str], renames: Iterable[str] = ()
) -> None:
    """Move every staged file to `folder`, ``result.json`` last, as one step that is undone if any part fails.

    Files named in `clears` go; those in `renames` get the ending of what is superseded.
    """
    files = sorted((p for p in staged.rglob("*") if p.is_file()), key=lambda p: p.name == RESULT_NAME)
    names = {path: path.relative_to(staged) for path in files}
    for path in files:
        _sync(path)
    aside = staged / "replaced"
    aside.mkdir()
    made = _made_folders([folder, *(folder / parent for parent in _parents(names.values()))])
    gone = _present(folder, [*clears, *(name + _SUPERSEDED for name in renames)])
    _made_folders(aside / parent for parent in _parents(Path(name) for name in gone))
    moves = [(folder / name, aside / name) for name in gone]
    moves += [(folder / name, folder / (name + _SUPERSEDED)) for name in renames]
    moves += [(path, folder / names[path]) for path in files]
    try:
        _move_all(moves)
        _sync(folder)
    except BaseException:
        _remove_if_empty(made[::-1])
        raise
    _remove_if_empty([folder / DEBUG_FOLDER])


def _parents(names: Iterable[Path]) -> list[Path]:
    """Return the subfolders that relative names lie in."""
    return sorted({name.parent for name in names} - {Path()})


def _made_folders(folders: Iterable[Path]) -> list[Path]:
    """Make the folders that do not exist yet and return those."""
    made = []
    for path in folders:
        if not path.exists():
            path.mkdir()
            made.append(path)
    return made


def _move_all(moves: list[tuple[Path, Path]]) -> None:
    """Rename one after the other to places that are free; if one fails, rename those done back, last first."""
    begun: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            begun.append((source, target))  # before the deed: an interrupt may fall right behind it
            os.replace(source, target)
    except BaseException:
        for source, target in reversed(begun):
            if target.exists() and not source.exists():
                os.replace(target, source)
        raise


def _sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_sheets(analysis: AnalysisLike, folder: Path) -> None:
    """Write the contact sheets; where there is no anatomy there is nothing to outline."""
    if analysis.anatomy is None:
        return
    folder.mkdir()
    for name, sheet in contact_sheets(analysis.volume, analysis.anatomy).items():
        sheet.save(folder / f"{name}.png", compress_level=_PNG_LEVEL)


def _write_label_maps(analysis: AnalysisLike, folder: Path) -> None:
    """Write anatomy and masses on the CT's own grid, in the order of the source file's axes."""
    volume, found = analysis.volume, analysis.anatomy
    spaces = analysis.search.compartments
    _write_names(folder / "labels.json", None if found is None else found.labels)
    _write_names(folder / "compartments.json", spaces)
    # One native map after the other: each is as large as the series itself.
    _write_map(folder / "labels.nii.gz", _labels(analysis), volume)
    _write_map(folder / "masses.nii.gz", mass_labels(analysis), volume)
    _write_map(folder / "compartments.nii.gz", _compartments(spaces, volume), volume)


def _write_names(path: Path, labels: LabelMap | None) -> None:
    names = {} if labels is None else {str(number): name for number, name in sorted(labels.names.items())}
    path.write_text(json.dumps(names, indent=2) + "\n", encoding="utf-8")


def _compartments(spaces: LabelMap | None, volume: CTVolume) -> LabelArray:
    if spaces is None:
        return np.zeros(volume.hu.shape, np.uint8)
    return to_native(spaces.data, spaces.geometry, volume.geometry)


def _write_map(path: Path, labels: npt.NDArray[np.unsignedinteger], volume: CTVolume) -> None:
    stored = np.ascontiguousarray(volume.to_source(labels))
    del labels  # a flipped copy, the image that is written and this one are each as large as the series
    write_nifti(path, stored, volume.source_geometry())


def _labels(analysis: AnalysisLike) -> LabelArray:
    if analysis.anatomy is None:
        return np.zeros(analysis.volume.hu.shape, np.uint16)
    return native_labels(analysis.anatomy, analysis.volume)


def mass_labels(analysis: AnalysisLike) -> npt.NDArray[np.unsignedinteger]:
    """Return the candidates by their id on the CT's own grid, [z, y, x]: uint8, or uint16 for more than 255.

    Raises
    ------
    AnalysisError
        If two masses share voxels: the map could show only one of them, against its stated volume.
    """
    masses = analysis.search.masses
    last = max((mass.id for mass in masses), default=0)
    out = np.zeros(analysis.volume.hu.shape, np.uint8 if last < 256 else np.uint16)
    for mass in masses:
        own = out[mass.region.box]
        shared = own[mass.region.mask]
        if shared.any():
            raise AnalysisError(
                f"Masses {int(shared.max())} and {mass.id} share {np.count_nonzero(shared)} voxels.",
                code="masses_overlap",
                remedy="This is a fault of the program; please report it with the configuration that was used.",
            )
        own[mass.region.mask] = mass.id
    return out
