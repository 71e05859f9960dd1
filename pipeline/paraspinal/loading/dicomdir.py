"""A DICOMDIR as a source: exactly the files that its records name, and never one outside its folder.

The records are read with pydicom's plain parser. Its `FileSet` is not used: it opens what the records name
(CVE-2026-32711 was a way out of the root by that door).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from paraspinal.config import LoadingConfig
from paraspinal.loading.codes import note, refuse
from paraspinal.loading.sources import DiskFile, folder_files, is_base_name, shown
from paraspinal.result import LoadCode

_MIB = 1 << 20
# A file ID has at most 8 components (PS3.10, 8.2).
_MAX_COMPONENTS = 8
_VERSION = ";1"


@dataclass(frozen=True, slots=True)
class Listed:
    """The files that a DICOMDIR names and that are there, in the order of their paths, and what was wrong."""

    files: tuple[DiskFile, ...]
    notes: tuple[LoadCode, ...]


def dicomdir_files(path: Path, *, config: LoadingConfig) -> Listed:
    """Return the files that the records of the DICOMDIR at `path` name, all of them inside its folder.

    Raises
    ------
    LoadError
        If the DICOMDIR cannot be read, names too many files, or none of the files that it names is there.
    """
    label = shown(path.name)
    root = path.parent.resolve()
    names = _file_ids(path, label, config)
    folders = _Folders()
    found: dict[Path, DiskFile] = {}
    outside = missing = 0
    for parts in names:
        file = _resolve(root, parts, folders) if _is_inside(parts) else None
        if not _is_inside(parts) or (file and not file.path.resolve().is_relative_to(root)):
            outside += 1
        elif file is None:
            missing += 1
        else:
            found[file.path] = file
    if not found:
        raise refuse(
            "dicomdir_empty",
            f"{label} lists {len(names)} files, and none of them is in its folder.",
            listed=len(names),
            outside=outside,
            missing=missing,
        )
    files = tuple(found[place] for place in sorted(found))
    unlisted = _unlisted(root / path.name, files, config)
    counts = (
        (outside, note("dicomdir_outside", records=outside)),
        (missing, note("dicomdir_missing", records=missing)),
        (unlisted, note("dicomdir_unlisted", files=unlisted)),
    )
    return Listed(files, tuple(entry for count, entry in counts if count))


def _file_ids(path: Path, label: str, config: LoadingConfig) -> list[tuple[str, ...]]:
    """Return the file IDs of all records, each as its components."""
    size = path.stat().st_size
    if size > config.max_file_mib * _MIB:
        raise refuse("too_large", f"{label} is larger than loading.max_file_mib allows.", bytes=size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # their text may quote a person's data
            names = list(_records(pydicom.dcmread(path, force=True)))
    except Exception as error:
        # One file: pydicom raises AttributeError, ValueError, NotImplementedError, RuntimeError, struct.error and
        # more on malformed input, and no class of its own is above them.
        raise refuse("unreadable_file", f"{label} is a malformed DICOMDIR.", file=label) from error
    if len(names) > config.max_files:
        raise refuse("too_many_files", f"{label} lists {len(names)} files.", limit=config.max_files)
    return names


def _records(dataset: Dataset) -> Iterator[tuple[str, ...]]:
    for record in dataset.get("DirectoryRecordSequence") or ():
        value = record.get("ReferencedFileID")
        if value:
            parts = value if isinstance(value, MultiValue | list | tuple) else str(value).split("\\")
            yield tuple(str(part) for part in parts)


def _is_inside(parts: tuple[str, ...]) -> bool:
    """Tell whether the components are plain names: neither empty nor a dot, a drive or a path of their own."""
    return 0 < len(parts) <= _MAX_COMPONENTS and all(is_base_name(part) for part in parts)


class _Folders:
    """The names in each folder, read once, by their form on a medium that knows capitals only."""

    def __init__(self) -> None:
        self._names: dict[Path, dict[str, Path]] = {}

    def find(self, folder: Path, name: str) -> Path | None:
        """Return the entry of `folder` called `name`: exactly, else without regard to case and version."""
        if folder not in self._names:
            self._names[folder] = self._read(folder)
        names = self._names[folder]
        return names.get(name) or names.get(_plain(name))

    @staticmethod
    def _read(folder: Path) -> dict[str, Path]:
        try:
            entries = sorted(folder.iterdir(), reverse=True)
        except OSError:
            return {}
        return {_plain(p.name): p for p in entries} | {p.name: p for p in entries}


def _plain(name: str) -> str:
    """Return a name as ISO 9660 media and their copies may spell it: capitals, no version, no final dot."""
    return name.upper().removesuffix(_VERSION).rstrip(".")


def _resolve(root: Path, parts: tuple[str, ...], folders: _Folders) -> DiskFile | None:
    place = root
    for part in parts:
        found = folders.find(place, part)
        if found is None:
            return None
        place = found
    try:
        return DiskFile(place, place.stat().st_size) if place.is_file() else None
    except OSError:  # in a folder that may not be looked into
        return None


def _unlisted(path: Path, files: tuple[DiskFile, ...], config: LoadingConfig) -> int:
    """Count the files that lie beside listed ones without being listed."""
    listed = {file.path for file in files} | {path}
    beside = {file.path.parent for file in files}
    return sum(
        file.path not in listed
        for folder in beside
        for file in folder_files(folder, config=config, recursive=False)
    )
