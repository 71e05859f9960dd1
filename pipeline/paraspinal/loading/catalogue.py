"""Headers that were read before, kept in a SQLite file, so that files that did not change are not opened again.

A file is known by its absolute path, size, times of change and inode. The catalogue holds what `ImageHeader` holds
(UIDs and acquisition facts, age and sex among them, but no names) and paths; only its owner may read it. Delete it at
any time: it is made again from the files.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from paraspinal.collector import collector_paused
from paraspinal.dicomio.headers import ImageHeader, PixelFormat, Plane, Rescale
from paraspinal.dicomio.sniff import FileKind
from paraspinal.errors import UsageError
from paraspinal.loading.sources import DiskFile, SourceFile
from paraspinal.volume import Acquisition

# To be raised whenever a reader gives other values for the same bytes; a change of fields is noticed without it.
_FORMAT = 1
_FORMAT_DIGEST = hashlib.sha256(
    repr([_FORMAT, *([f.name for f in fields(c)] for c in (ImageHeader, PixelFormat, Rescale, Plane, Acquisition))])
    .encode()
).hexdigest()[:8]  # fmt: skip
# "PSCT" in ASCII: PRAGMA application_id tells our files from those of other programs.
APPLICATION_ID = 0x50534354
_BUSY_SECONDS = 30.0
_CHUNK = 500
# A file that changed this recently may change again within one tick of the file system's clock.
_SETTLED_NS = 2_000_000_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (digest TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, content TEXT NOT NULL) WITHOUT ROWID;
"""

# What differs from slice to slice is kept with the file; the rest once for all files that share it.
_OWN = ("sop_instance_uid", "instance_number", "acquired_at", "content_at", "frame")
_NAMES = tuple(f.name for f in fields(ImageHeader))
_SHARED = tuple(n for n in _NAMES if n not in (*_OWN, "plane"))
_own_of, _shared_of = attrgetter(*_OWN), attrgetter(*_SHARED, "plane.orientation", "plane.spacing")
_OWN_AT, _PLANE_AT = tuple(_NAMES.index(n) for n in _OWN), _NAMES.index("plane")
_PARTS = {"pixels": PixelFormat, "rescale": Rescale, "acquisition": Acquisition}


class Known(NamedTuple):
    """What one file was found to be: its kind, its headers if it is DICOM, and how often the parser warned."""

    kind: FileKind
    headers: tuple[ImageHeader, ...]
    warnings: int


class Stamp(NamedTuple):
    """What tells a file from all others and from itself after a change."""

    path: str
    state: str
    settled: bool


class Catalogue:
    """An open catalogue; made by `open_catalogue`. Its methods raise `UsageError` if it is damaged or locked."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def find(self, stamps: Sequence[Stamp]) -> dict[str, Known]:
        """Return what is known, by path, of the files that did not change."""
        states = {stamp.path: stamp.state for stamp in stamps}
        found: dict[str, Known] = {}
        with typed_errors(self._path), collector_paused():
            reader = _Reader(self._connection)
            for path, state, content in self._rows([as_stored(path) for path in states]):
                if state == states.get(path) and (known := reader.known(state, content)) is not None:
                    found[path] = known
        return found

    def _rows(self, paths: list[str | bytes]) -> Iterator[tuple[str, str, str]]:
        for begin in range(0, len(paths), _CHUNK):
            chunk = paths[begin : begin + _CHUNK]
            marks = ",".join("?" * len(chunk))
            for path, state, content in self._connection.execute(
                f"SELECT path, stamp, content FROM files WHERE path IN ({marks})", chunk
            ):
                yield from_stored(path), state, content

    def add(self, found: Iterable[tuple[Stamp, Known]]) -> None:
        """Remember what files are, all or none of it; their stamps are from before they were read."""
        facts: dict[tuple[Any, ...], tuple[str, str]] = {}
        rows = [
            (as_stored(s.path), s.state, _packed(s.state, known, facts)) for s, known in found if s.settled
        ]
        with typed_errors(self._path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", facts.values())
            self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", rows)


@contextmanager
def open_catalogue(path: Path) -> Iterator[Catalogue]:
    """Open a catalogue, and make it where there is none; several processes may use one at a time.

    Raises
    ------
    UsageError
        ``catalogue_unusable`` if the file is damaged, locked, no catalogue, or cannot be made.
    """
    with typed_errors(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        with typed_errors(path):
            prepare_database(connection, APPLICATION_ID, _SCHEMA)
        yield Catalogue(connection, path)
    finally:
        connection.close()


def stamp_of(file: SourceFile) -> Stamp | None:
    """Return the stamp of a file as it is now; None for one that is no file of its own, or gone."""
    if not isinstance(file, DiskFile):
        return None
    path = os.fspath(file.path)
    if not os.path.isabs(path):
        path = os.path.abspath(path)
    try:
        status = os.stat(path)
    except OSError:
        return None
    changed, made = status.st_mtime_ns, status.st_ctime_ns
    state = f"{_FORMAT_DIGEST}:{status.st_size}:{changed}:{made}:{status.st_ino}"
    return Stamp(path, state, max(changed, made) < time.time_ns() - _SETTLED_NS)


def as_stored(path: str) -> str | bytes:
    """Return a path as SQLite takes it: text, or the bytes of a name that is none (Latin-1, most often)."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def from_stored(path: str | bytes) -> str:
    """Return the path that `as_stored` made ready."""
    return os.fsdecode(path)


def prepare_database(connection: sqlite3.Connection, application_id: int, schema: str) -> None:
    """Mark a new database as one of ours, refuse one of another program, and make its tables.

    Readers go on while one process writes. A killed process loses nothing that was committed; a power cut may lose
    the last moments, which are read or found again from the files.

    Raises
    ------
    sqlite3.Error
        If the file is none of ours, damaged or locked.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != application_id:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise sqlite3.DatabaseError("it belongs to another program")
        connection.execute(f"PRAGMA application_id = {application_id}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(schema)


@contextmanager
def typed_errors(path: Path) -> Iterator[None]:
    """Turn errors of the database and of its disk into ``catalogue_unusable``."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"The catalogue {path.name} cannot be used: {reason}.",
            code="catalogue_unusable",
            remedy="Delete it if it is a catalogue (it is made again from the files), or name another file.",
        ) from error


def _packed(state: str, known: Known, facts: dict[tuple[Any, ...], tuple[str, str]]) -> str:
    """Return what is kept of a file, and put what it shares with others into `facts`."""
    headers = []
    for header in known.headers:
        shared = _shared_of(header)
        if shared not in facts:
            content = _shared_json(header)
            facts[shared] = _fact_digest(content), content
        headers.append([facts[shared][0], header.plane.position, *_own_of(header)])
    content = json.dumps([known.kind, known.warnings, headers], separators=(",", ":"))
    return _checksum(state, content) + content


def _checksum(state: str, content: str) -> str:
    """Return what tells that a row is as it was written: SQLite itself does not notice a flipped bit in a value."""
    return f"{zlib.crc32((state + content).encode()):08x}"


def _fact_digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _shared_json(header: ImageHeader) -> str:
    content = {name: value for name, value in asdict(header).items() if name in _SHARED}
    plane = {"orientation": header.plane.orientation, "spacing": header.plane.spacing}
    return json.dumps([content, plane], separators=(",", ":"), sort_keys=True)


class _Reader:
    """Turns rows back into headers; what files share is looked up once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._facts: dict[str, tuple[list[Any], Any, Any]] = {}

    def known(self, state: str, checked: str) -> Known | None:
        """Return what a row holds; None, so that the file is read again, where it is not as it was written."""
        checksum, content = checked[:8], checked[8:]
        if checksum != _checksum(state, content):
            return None
        try:
            kind, warnings, headers = json.loads(content)
            return Known(kind, tuple(self._header(*header) for header in headers), warnings)
        except (ValueError, TypeError, KeyError, IndexError):
            return None

    def _header(self, digest: str, position: list[float] | None, *own: Any) -> ImageHeader:
        if digest not in self._facts:
            self._facts[digest] = self._shared(digest)
        template, orientation, spacing = self._facts[digest]
        values = template.copy()
        for at, value in zip(_OWN_AT, own, strict=True):
            values[at] = value
        values[_PLANE_AT] = Plane(orientation, None if position is None else tuple(position), spacing)
        return ImageHeader(*values)

    def _shared(self, digest: str) -> tuple[list[Any], Any, Any]:
        row = self._connection.execute("SELECT content FROM facts WHERE digest = ?", (digest,)).fetchone()
        if row is None or _fact_digest(row[0]) != digest:
            raise KeyError(digest)
        content, plane = json.loads(row[0])
        shared = {name: _restored(name, content[name]) for name in _SHARED}
        template = [shared.get(name) for name in _NAMES]
        return template, _tuples(plane["orientation"]), _tuples(plane["spacing"])


def _restored(name: str, value: Any) -> Any:
    part = _PARTS.get(name)
    if part is None or value is None:
        return _tuples(value)
    return part(**{key: _tuples(item) for key, item in value.items()})


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
