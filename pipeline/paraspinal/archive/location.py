"""Where a series of an archive lies: an archive or volume file by its path, or the very files that hold it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from paraspinal.archive.tree import state_of
from paraspinal.config import LoadingConfig
from paraspinal.loading.opening import OpenedSource, Source, open_source
from paraspinal.loading.sources import ClosedPlace, DiskFile, SourceFile

Location = dict[str, Any]
"""Plain values: ``{"path": …, "series": …}``, or ``{"folders": [[folder, [name, …]], …], "series": …}``."""


def at_path(path: Path, series: str | None) -> Location:
    """Return the location of a series in a zip, or of a volume file."""
    return {"path": os.fspath(path), "series": series or None}


def in_folders(files: Iterable[Path], series: str | None) -> Location:
    """Return the location of a series whose images are loose files, of one folder or several."""
    folders: dict[str, list[str]] = {}
    for file in files:
        folders.setdefault(os.fspath(file.parent), []).append(file.name)
    return {"folders": [[folder, names] for folder, names in folders.items()], "series": series or None}


def paths_of(location: Location) -> list[Path]:
    """Return every file of a location."""
    if "path" in location:
        return [Path(location["path"])]
    return [Path(folder, name) for folder, names in location["folders"] for name in names]


def joined_stamp(states: Iterable[str]) -> str:
    """Return one stamp for the states of files (`tree.state_of`), whatever their order."""
    return hashlib.sha256("\n".join(sorted(states)).encode()).hexdigest()[:24]


def current_stamp(location: Location) -> str:
    """Return the stamp of a location as its files are now; a series is what it was while this does not change.

    Raises
    ------
    OSError
        If a file is gone or cannot be asked.
    """
    return joined_stamp(state_of(os.stat(path)) for path in paths_of(location))


def open_location(location: Location, *, config: LoadingConfig) -> Source:
    """Open what lies at a location; files that have gone are put on record by whoever reads them.

    Raises
    ------
    LoadError
        As `open_source`.
    """
    if "path" in location:
        return open_source(Path(location["path"]), config=config)
    return OpenedSource("the series", "folder", tuple(_file(path) for path in paths_of(location)))


def _file(path: Path) -> SourceFile:
    try:
        return DiskFile(path, path.stat().st_size)
    except OSError as error:
        return ClosedPlace(path, error)
