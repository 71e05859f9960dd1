"""One door for everything that can be given: `open_source` tells what a path is and lists what may be read.

A source is whatever fits the `Source` protocol; folder, file, zip, DICOMDIR and single-volume files are built in. A
zip or folder without DICOM that holds exactly one NIfTI, NRRD or MetaImage file is that file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, get_args

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.sniff import FileKind, file_kind, is_dicomdir
from paraspinal.loading.codes import note, refuse
from paraspinal.loading.dicomdir import dicomdir_files
from paraspinal.loading.sources import DiskFile, SourceFile, folder_files, shown, zip_files
from paraspinal.result import LoadCode

GridKind = Literal["nifti", "nrrd", "metaimage"]
SourceKind = Literal["folder", "file", "zip", "dicomdir", "nifti", "nrrd", "metaimage"]
GRID_KINDS: tuple[GridKind, ...] = get_args(GridKind)

_NAMED = 20


class Source(Protocol):
    """What can be loaded, opened but not read."""

    @property
    def label(self) -> str:
        """The name of the input for people: printable, short, without a UID."""

    @property
    def kind(self) -> SourceKind:
        """What it is, told from its content."""

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """Files that may be DICOM; empty for `GRID_KINDS`."""

    @property
    def notes(self) -> tuple[LoadCode, ...]:
        """What there is to say about the source itself."""

    @property
    def only(self) -> SourceFile | None:
        """The one file that was meant: the DICOM file that was named (kind "file"), or the file of the volume."""


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """A source on this machine."""

    label: str
    kind: SourceKind
    files: tuple[SourceFile, ...] = ()
    notes: tuple[LoadCode, ...] = ()
    only: SourceFile | None = field(default=None)


def open_source(path: Path, *, config: LoadingConfig) -> OpenedSource:
    """Tell what `path` is from its content, and list the files of it that may be read.

    No header is read and no voxel touched: at most the first bytes of files, up to the first DICOM file.

    Raises
    ------
    LoadError
        If there is nothing, nothing readable, or more than the settings allow.
    """
    label = shown(path.name or path.resolve().name)
    if os.path.isdir(path):  # unlike `Path.is_dir`, no error where the folder above may not be looked into
        return _collection("folder", label, folder_files(path, config=config))
    if not os.path.isfile(path):
        raise refuse("not_found", f"There is no file or folder {label}.")
    file = _disk_file(path, label)
    head = _head(file, label)
    kind = file_kind(head)
    if kind == "zip":
        return _collection("zip", label, zip_files(path, config=config))
    if kind == "dicom":
        return _directory(path, label, config) if is_dicomdir(head) else _beside(file, label, config)
    if kind == "other":
        raise refuse(
            "unsupported_format",
            f"{label} is neither DICOM, nor a zip, nor NIfTI, NRRD or MetaImage.",
            file=label,
        )
    return OpenedSource(label, kind, only=file)


def _disk_file(path: Path, label: str) -> DiskFile:
    try:
        return DiskFile(path, path.stat().st_size)
    except OSError as error:
        raise refuse("unreadable_file", f"{label} cannot be read ({error.strerror}).", file=label) from error


def _head(file: SourceFile, label: str) -> bytes:
    try:
        return file.head()
    except OSError as error:
        raise refuse("unreadable_file", f"{label} cannot be read ({error.strerror}).", file=label) from error


def _directory(path: Path, label: str, config: LoadingConfig) -> OpenedSource:
    listed = dicomdir_files(path, config=config)
    return OpenedSource(label, "dicomdir", listed.files, listed.notes)


def _beside(file: DiskFile, label: str, config: LoadingConfig) -> OpenedSource:
    """Return one DICOM file with the files of its folder, where the rest of its series is looked for."""
    siblings = folder_files(file.path.parent, config=config, recursive=False)
    return OpenedSource(label, "file", siblings, only=file)


def _collection(kind: Literal["folder", "zip"], label: str, files: Sequence[SourceFile]) -> OpenedSource:
    """Return many files as a source of DICOM, or the single volume among them where none is DICOM."""
    if not files:
        raise refuse("empty_input", f"{label} holds no files.")
    kinds = _kinds_until_dicom(files)
    grids = [(file, found) for file, found in kinds if found in GRID_KINDS]
    if any(found == "dicom" for _, found in kinds) or not grids:
        return OpenedSource(label, kind, tuple(files), _nested(kinds))
    if len(grids) > 1:
        raise refuse(
            "several_volumes",
            f"{label} holds {len(grids)} volumes and no DICOM image.",
            files=[shown(file.name) for file, _ in grids[:_NAMED]],
        )
    (file, found) = grids[0]
    for grid_kind in GRID_KINDS:
        if found == grid_kind:
            return OpenedSource(f"{shown(file.name)} in {label}", grid_kind, notes=_nested(kinds), only=file)
    raise AssertionError("a grid has a kind of grid")


def _kinds_until_dicom(files: Sequence[SourceFile]) -> list[tuple[SourceFile, FileKind]]:
    """Return files with their kinds, up to the first DICOM file that may hold an image: the rest is read later.

    A file that cannot be read is none of these kinds here; whoever reads all of them puts it on record.
    """
    found: list[tuple[SourceFile, FileKind]] = []
    for file in files:
        try:
            head = file.head()
        except OSError:
            found.append((file, "other"))
            continue
        kind = file_kind(head)
        found.append((file, kind))
        if kind == "dicom" and not is_dicomdir(head):
            break
    return found


def _nested(kinds: Sequence[tuple[SourceFile, FileKind]]) -> tuple[LoadCode, ...]:
    """Name the archives among the files; they are not opened."""
    names = [shown(file.name) for file, kind in kinds if kind == "zip"]
    if not names:
        return ()
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    text = f"Archives within the input were not opened: {', '.join(names[:_NAMED])}{more}."
    return (note("nested_archives", text, archives=len(names)),)
