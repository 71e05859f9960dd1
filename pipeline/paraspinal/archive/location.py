"""Where a series of an archive lies: an archive or volume file by its path, or the very files that hold it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from paraspinal.archive.tree import state_at
from paraspinal.config import LoadingConfig
from paraspinal.loading.opening import OpenedSource, Source, open_source
from paraspinal.loading.sources import ClosedPlace, DiskFile, SourceFile

Location = dict[str, Any]
"""Plain values: ``{"path": …, "series": …}``, or ``{"folders": [[folder, [name, …]], …], "series": …}``.

``beside`` is the path of the voxels of a volume whose file holds the header alone.
"""


def at_path(path: Path, series: str | None, *, beside: Path | None = None) -> Location:
    """Return the location of a series in a zip, or of a volume file and what lies beside it."""
    place = {"path": os.fspath(path), "series": series or None}
    return place if beside is None else place | {"beside": os.fspath(beside)}


def in_folders(files: Iterable[Path], series: str | None) -> Location:
    """Return the location of a series whose images are loose files, of one folder or several."""
    folders: dict[str, list[str]] = {}
    for file in files:
        folders.setdefault(os.fspath(file.parent), []).append(file.name)
    return {"folders": [[folder, names] for folder, names in folders.items()], "series": series or None}


def paths_of(location: Location) -> list[Path]:
    """Return every file of a location."""
    if "path" in location:
        return [Path(location[part]) for part in ("path", "beside") if part in location]
    return [Path(folder, name) for folder, names in location["folders"] for name in names]


def joined_stamp(states: Iterable[str]) -> str:
    """Return one stamp for the states of files (`tree.state_at`), whatever their order."""
    return hashlib.sha256("\n".join(sorted(states)).encode()).hexdigest()[:24]


def current_stamp(location: Location) -> str:
    """Return the stamp of a location as its files are now; a series is what it was while this does not change.

    Raises
    ------
    OSError
        If a file is gone or cannot be asked.
    """
    return joined_stamp(state_at(path) for path in paths_of(location))


def unchanged(location: Location, stamp: str) -> bool:
    """Tell whether a series is there as it was when it got its stamp."""
    try:
        return current_stamp(location) == stamp
    except OSError:
        return False


def is_there(root: Path) -> bool:
    """Tell whether an archive's folder holds anything: a disk that is not mounted leaves an empty one."""
    try:
        return next(root.iterdir(), None) is not None
    except OSError:
        return False


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
