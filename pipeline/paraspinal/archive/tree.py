"""Walks a tree folder by folder, whatever its size: names and stamps of files, nothing opened."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

# A file that changed this recently may change again within one tick of the file system's clock.
_SETTLED_NS = 2_000_000_000
_SIGNED = (1 << 63) - 1  # some file systems use all 64 bits of an inode's number
# How a link to nowhere answers, which is no file; any other answer is one of a disk, and put on record.
_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class FileStamp(NamedTuple):
    """A regular file: its name, its size, and what changes with its content: times (ns) and inode."""

    name: str
    size: int
    modified: int
    changed: int
    inode: int

    @property
    def state(self) -> str:
        """What tells the file from itself after any change."""
        return f"{self.size}:{self.modified}:{self.changed}:{self.inode}"

    @property
    def settled(self) -> bool:
        """Whether a further change would show; to be asked before the file is read."""
        return max(self.modified, self.changed) <= time.time_ns() - _SETTLED_NS


def stamp_of(name: str, status: os.stat_result) -> FileStamp:
    """Return the stamp of a file from what the file system says of it."""
    return FileStamp(name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & _SIGNED)


def state_at(path: Path) -> str:
    """Return the state of a file as it is now.

    Raises
    ------
    OSError
        If it is gone or cannot be asked.
    """
    return stamp_of("", os.stat(path)).state


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder with the regular files in it, by name.

    ``stamp`` tells it from itself after any change of these files; it is empty where a file changed within the last
    seconds. ``problem`` says why the folder could not be looked into.
    """

    path: Path
    files: tuple[FileStamp, ...]
    stamp: str
    problem: str = ""


def walk_folders(root: Path, *, leave_out: frozenset[Path] = frozenset()) -> Iterator[Folder]:
    """Yield every folder under `root` that holds files, or could not be read, parents first.

    Links to folders are followed once; files and folders in `leave_out` (resolved) are none of it.
    """
    seen: set[tuple[int, int]] = set()
    stack = [root]
    while stack:
        path = stack.pop()
        if Path(os.path.realpath(path)) in leave_out:
            continue
        try:
            place = os.stat(path)
            if (place.st_dev, place.st_ino) in seen:  # a loop of links
                continue
            seen.add((place.st_dev, place.st_ino))
            files, folders = _entries(path, leave_out)
            files.sort()
        except OSError as error:
            yield Folder(path, (), "", error.strerror or "it cannot be read")
            continue
        stack.extend(sorted((path / name for name in folders), reverse=True))
        if files:
            yield Folder(path, tuple(files), _stamp(files))


def _entries(path: Path, leave_out: frozenset[Path]) -> tuple[list[FileStamp], list[str]]:
    files: list[FileStamp] = []
    folders: list[str] = []
    here = Path(os.path.realpath(path))
    apart = {one.name for one in leave_out if one.parent == here}
    with os.scandir(path) as found:
        for entry in found:
            if entry.name in apart:
                continue
            try:
                status = entry.stat()
            except OSError as error:
                if error.errno not in _NOWHERE:
                    folders.append(entry.name)  # which cannot be looked into either, and says so
                continue
            if stat.S_ISDIR(status.st_mode):
                folders.append(entry.name)
            elif stat.S_ISREG(status.st_mode):
                files.append(stamp_of(entry.name, status))
    return files, folders


def _stamp(files: list[FileStamp]) -> str:
    latest = max(max(file.modified for file in files), max(file.changed for file in files))
    if latest > time.time_ns() - _SETTLED_NS:
        return ""
    names = "\0".join(file.name for file in files).encode("utf-8", "surrogateescape")
    try:
        numbers = array("q", chain.from_iterable(file[1:] for file in files))
    except OverflowError:  # a time before 1678, which only a damaged file system states
        return ""
    return hashlib.sha256(names + b"\0\0" + numbers.tobytes()).hexdigest()[:24]
