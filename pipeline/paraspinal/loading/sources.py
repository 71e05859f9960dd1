"""Where files come from: a folder tree, one file, or a zip whose members are never written anywhere.

A source file is an object with a name, the name of its folder, and its bytes. `paraspinal.loading.opening` makes
a source of them.
"""

from __future__ import annotations

import lzma
import os
import re
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.sniff import HEAD_BYTES
from paraspinal.dicomio.values import printable
from paraspinal.loading.codes import refuse

_MIB = 1 << 20
# A long run of dotted numbers in a file name is a UID, which may lead to a person.
_UID_LIKE = re.compile(r"\d+(?:\.\d+){4,}")
# Tiny members compress without bound (an empty header block); only larger ones can be bombs.
RATIO_APPLIES_FROM = 1 * _MIB
_ENCRYPTED = 0x1
# What the standard library raises on an archive that is damaged, here or there; each codec has errors of its own.
_DAMAGED = (
    *(
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ),
    *(ValueError, IndexError),  # names that are no text, or empty
)


class SourceFile(Protocol):
    """A file of any origin."""

    @property
    def name(self) -> str:
        """Base name."""

    @property
    def folder(self) -> str:
        """Name of the folder that it lies in, equal for siblings."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def nameless(self) -> bool:
        """Whether nothing that is said of the file may lead to its UID, a digest of that included."""

    def head(self, limit: int = HEAD_BYTES) -> bytes:
        """Return the first `limit` bytes."""

    def read(self) -> bytes:
        """Return all bytes."""

    def beside(self, name: str) -> SourceFile | None:
        """Return the file of that base name in the same folder; None where there is none."""


def is_base_name(name: str) -> bool:
    """Tell whether `name` is the name of a file alone, not a path (of any system) that could lead elsewhere."""
    return bool(name) and name not in (".", "..") and not any(c in name for c in "/\\:\0")


def shown(name: str) -> str:
    """Return a file's base name for people: printable, short, and without a UID in it."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    return printable(_UID_LIKE.sub(lambda m: f"…{m.group()[-6:]}", base), limit=80) or "(unnamed)"


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A regular file of the file system."""

    path: Path
    size: int
    nameless: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Base name."""
        return self.path.name

    @property
    def folder(self) -> str:
        """Path of the folder."""
        return str(self.path.parent)

    def head(self, limit: int = HEAD_BYTES) -> bytes:
        """Return the first bytes."""
        with self.path.open("rb") as stream:
            return stream.read(limit)

    def read(self) -> bytes:
        """Return all bytes."""
        return self.path.read_bytes()

    def beside(self, name: str) -> DiskFile | None:
        """Return the regular file of that base name in the same folder; a link that leaves it does not count."""
        if not is_base_name(name):
            return None
        path = self.path.with_name(name)
        try:
            inside = path.is_file() and path.resolve().parent == self.path.parent.resolve()
            return DiskFile(path, path.stat().st_size) if inside else None
        except OSError:  # no name that the file system can have
            return None


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member of an open zip archive, read into memory by its index and never extracted by its name."""

    archive: zipfile.ZipFile
    info: zipfile.ZipInfo
    lock: threading.Lock = field(repr=False)
    nameless: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Base name inside the archive."""
        return self.info.filename.replace("\\", "/").rsplit("/", 1)[-1]

    @property
    def folder(self) -> str:
        """Folder inside the archive."""
        return self.info.filename.replace("\\", "/").rpartition("/")[0]

    @property
    def size(self) -> int:
        """Bytes after decompression, as the archive declares; reading stops there."""
        return self.info.file_size

    def head(self, limit: int = HEAD_BYTES) -> bytes:
        """Return the first bytes."""
        return self._read(limit)

    def read(self) -> bytes:
        """Return all bytes."""
        return self._read(self.size)

    def beside(self, name: str) -> ZipMember | None:
        """Return the member of that base name in the same folder of the archive, if there is exactly one."""
        members = [ZipMember(self.archive, info, self.lock) for info in _members(self.archive)]
        found = [m for m in members if (m.folder, m.name) == (self.folder, name)]
        return found[0] if len(found) == 1 else None

    def _read(self, limit: int) -> bytes:
        try:
            with self.lock:
                stream = self.archive.open(self.info)
            with stream:
                return stream.read(limit)
        except _DAMAGED as error:
            raise OSError("it is damaged inside the archive") from error


@dataclass(frozen=True, slots=True)
class ClosedPlace:
    """A folder, or a file in one, that may not be looked into: it cannot be read, and is put on record for it."""

    path: Path
    error: OSError
    size: int = 0
    nameless: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Base name."""
        return self.path.name or str(self.path)

    @property
    def folder(self) -> str:
        """Path of the folder."""
        return str(self.path.parent)

    def head(self, limit: int = HEAD_BYTES) -> bytes:
        """Raise the error with which it could not be looked into."""
        raise self.error

    def read(self) -> bytes:
        """Raise the error with which it could not be looked into."""
        raise self.error

    def beside(self, name: str) -> None:
        """Return nothing."""


def folder_files(
    root: Path, *, config: LoadingConfig, recursive: bool = True
) -> tuple[DiskFile | ClosedPlace, ...]:
    """Return the regular files under `root` in a stable order; links to folders are followed once.

    A folder that may not be looked into is among them, as something that cannot be read.

    Raises
    ------
    LoadError
        If there are more files than the settings allow.
    """
    found: list[DiskFile | ClosedPlace] = []
    for path in _walk(root, recursive=recursive):
        if isinstance(path, ClosedPlace):
            found.append(path)
            continue
        try:
            status = path.stat()
        except PermissionError as error:
            found.append(ClosedPlace(path, error))
            continue
        except OSError:
            continue  # a dangling link is no file
        if stat.S_ISREG(status.st_mode):
            found.append(DiskFile(path, status.st_size))
        if len(found) > config.max_files:
            raise refuse(
                "too_many_files",
                f"{shown(root.name)} holds more than {config.max_files} files.",
                limit=config.max_files,
            )
    return tuple(found)


def _walk(root: Path, *, recursive: bool) -> Iterator[Path | ClosedPlace]:
    seen: set[tuple[int, int]] = set()
    closed: list[OSError] = []
    for folder, subfolders, names in os.walk(root, followlinks=recursive, onerror=closed.append):
        status = os.stat(folder)
        place = (status.st_dev, status.st_ino)
        if place in seen:  # a loop of links
            subfolders.clear()
            continue
        seen.add(place)
        subfolders.sort()
        if not recursive:
            subfolders.clear()
        for name in sorted(names):
            yield Path(folder, name)
    yield from (ClosedPlace(Path(os.fsdecode(error.filename)), error) for error in closed)


def zip_files(path: Path, *, config: LoadingConfig) -> tuple[ZipMember, ...]:
    """Return the members of a zip archive that are within the limits of the settings.

    Raises
    ------
    LoadError
        If the archive is damaged, encrypted, or expands beyond the limits.
    """
    label = shown(path.name)
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, *_DAMAGED) as error:
        raise refuse("zip_damaged", f"{label} is not a complete zip archive.") from error
    members = _members(archive)
    if len(members) > config.max_files:
        raise refuse(
            "too_many_files",
            f"{label} holds {len(members)} files.",
            files=len(members),
            limit=config.max_files,
        )
    if any(info.flag_bits & _ENCRYPTED for info in members):
        raise refuse("zip_encrypted", f"{label} is encrypted.")
    _check_expansion(label, members, config)
    lock = threading.Lock()
    return tuple(ZipMember(archive, info, lock) for info in sorted(members, key=lambda info: info.filename))


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files of an archive; a member whose name is empty (`ZipInfo.is_dir` ends on it) is one."""
    return [info for info in archive.infolist() if not info.filename.endswith("/")]


def _check_expansion(label: str, members: list[zipfile.ZipInfo], config: LoadingConfig) -> None:
    total = sum(info.file_size for info in members)
    if total > config.max_zip_gib * 1024 * _MIB:
        raise refuse(
            "too_large",
            f"{label} unpacks to {total / 1024 / _MIB:.1f} GiB (loading.max_zip_gib).",
            bytes=total,
        )
    for info in members:
        ratio = info.file_size / max(info.compress_size, 1)
        if info.file_size > RATIO_APPLIES_FROM and ratio > config.max_zip_ratio:
            raise refuse(
                "too_large",
                f"{shown(info.filename)} in {label} expands {ratio:.0f} times (loading.max_zip_ratio).",
                ratio=round(ratio, 1),
            )
