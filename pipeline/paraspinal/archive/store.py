"""The catalogue of an archive as a SQLite file: places that were looked at, and the series found in them.

It stands in the same file as the headers that were read (`paraspinal.loading.catalogue`). It holds paths and UIDs, so
that only its owner may read it, and nothing of it but keyed digests goes anywhere else. Paths, and names that hold
one, go in and out through `as_stored` and `from_stored`: they may be no text.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paraspinal.errors import UsageError
from paraspinal.loading.catalogue import (
    APPLICATION_ID,
    as_stored,
    from_stored,
    open_catalogue,
    prepare_database,
    typed_errors,
)

_BUSY_SECONDS = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS places (path TEXT PRIMARY KEY, kind TEXT NOT NULL, stamp TEXT NOT NULL,
    run INTEGER NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pieces (place TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (place, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pieces_by_name ON pieces (name);
CREATE TABLE IF NOT EXISTS stale (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS series (id TEXT PRIMARY KEY, name TEXT NOT NULL, study TEXT NOT NULL,
    modality TEXT NOT NULL, verdict TEXT NOT NULL, refusal TEXT, score REAL, stamp TEXT NOT NULL,
    location TEXT NOT NULL, row TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS series_by_name ON series (name);
CREATE INDEX IF NOT EXISTS series_by_study ON series (study);
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# To be raised whenever rows of the same files come out otherwise.
_FORMAT = "2"


@dataclass(frozen=True, slots=True)
class SeriesEntry:
    """One series of an archive.

    ``id`` and ``study`` are keyed digests; ``name`` groups what is made from the same images (a UID, or the place of
    images without one) and ``location`` says where they lie: both stay in the catalogue. ``stamp`` changes with any
    of the files. ``row`` is what `paraspinal inspect` says of the series, with ``date``, ``voxels`` and ``bytes``.
    """

    id: str
    name: str
    study: str
    modality: str
    verdict: str
    refusal: str | None
    score: float | None
    stamp: str
    location: dict[str, Any]
    row: dict[str, Any] = field(default_factory=dict)


class Store:
    """An open catalogue; made by `open_store`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.sql = connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read the catalogue as it is now, whatever an index writes meanwhile."""
        self.sql.execute("BEGIN")
        try:
            yield
        finally:
            self.sql.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is written within, or nothing."""
        self.sql.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.sql.execute("ROLLBACK")
            raise
        self.sql.execute("COMMIT")

    # ---- places ------------------------------------------------------------------------------------------------

    def claim(self, root: Path) -> None:
        """Say which archive this is the catalogue of.

        Raises
        ------
        UsageError
            ``catalogue_other_archive`` if it is that of another one.
        """
        if self.root() not in (None, root):
            raise UsageError(
                "The catalogue is that of another archive.",
                code="catalogue_other_archive",
                remedy="Name another catalogue or output folder; where the archive has moved, delete the catalogue.",
            )
        self.sql.execute("INSERT OR IGNORE INTO about VALUES ('root', ?)", (as_stored(str(root)),))

    def root(self) -> Path | None:
        """Return the folder that this is the catalogue of; None where nobody said."""
        known = self.sql.execute("SELECT value FROM about WHERE name = 'root'").fetchone()
        return None if known is None else Path(from_stored(known[0]))

    def make_with(self, recipe: str) -> None:
        """Say how rows are made; where that has changed, every place is to be looked at again."""
        known = self.sql.execute("SELECT value FROM about WHERE name = 'recipe'").fetchone()
        if known is None or known[0] != recipe:
            with self.transaction():
                self._begin_change()
                self.sql.execute("UPDATE places SET stamp = ''")
                self.sql.execute("INSERT OR REPLACE INTO about VALUES ('recipe', ?)", (recipe,))

    def finish(self) -> None:
        """Say that the catalogue is whole: a run has come to its end. It is so until a place changes."""
        self.sql.execute("INSERT OR REPLACE INTO about VALUES ('whole', 'yes')")

    def require_complete(self) -> None:
        """Refuse to work from a catalogue that is being made, or whose making was interrupted.

        Raises
        ------
        UsageError
            ``catalogue_incomplete``: series may be there in part, as if that were all.
        """
        if self.sql.execute("SELECT 1 FROM about WHERE name = 'whole'").fetchone() is None:
            raise UsageError(
                "The catalogue is not finished: series may be missing or in part.",
                code="catalogue_incomplete",
                remedy="Let paraspinal index end, or run it again: it goes on where it stopped.",
            )

    def _begin_change(self) -> None:
        self.sql.execute("DELETE FROM about WHERE name = 'whole'")

    def next_run(self) -> int:
        """Return the number of the run that begins now."""
        return int(self.sql.execute("SELECT coalesce(max(run), 0) + 1 FROM places").fetchone()[0])

    def stamps(self) -> dict[str, str]:
        """Return the stamp of every place that was looked at."""
        return {
            from_stored(path): stamp for path, stamp in self.sql.execute("SELECT path, stamp FROM places")
        }

    def mark_seen(self, paths: Iterable[str], run: int) -> None:
        """Say that places are as they were."""
        self.sql.executemany(
            "UPDATE places SET run = ? WHERE path = ?", ((run, as_stored(path)) for path in paths)
        )

    def put_place(self, path: str, kind: str, stamp: str, run: int, *, files: int, size: int) -> None:
        """Say what a place holds now."""
        self.sql.execute(
            "INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?, ?)",
            (as_stored(path), kind, stamp, run, files, size),
        )

    def forget_unseen(self, run: int) -> int:
        """Drop places that are gone; what was found there is to be looked at again."""
        rows = self.sql.execute("SELECT path FROM places WHERE run < ?", (run,))
        gone = [from_stored(row[0]) for row in rows]
        for path in gone:
            self.replace_pieces(path, ())
        self.sql.execute("DELETE FROM places WHERE run < ?", (run,))
        return len(gone)

    def add_piece(self, place: str, name: str) -> None:
        """Say that a series lies in a place, beside what was known of it."""
        self._begin_change()
        self.sql.execute("INSERT OR IGNORE INTO pieces VALUES (?, ?)", (as_stored(place), as_stored(name)))

    def replace_pieces(self, place: str, names: Iterable[str]) -> None:
        """Say which series have images in a place; all that it held and holds becomes stale."""
        self._begin_change()
        here = as_stored(place)
        self.sql.execute("INSERT OR IGNORE INTO stale SELECT name FROM pieces WHERE place = ?", (here,))
        self.sql.execute("DELETE FROM pieces WHERE place = ?", (here,))
        for name in map(as_stored, names):
            self.sql.execute("INSERT OR IGNORE INTO pieces VALUES (?, ?)", (here, name))
            self.sql.execute("INSERT OR IGNORE INTO stale VALUES (?)", (name,))

    def places_of(self, name: str) -> list[str]:
        """Return the places that hold images of a series, in a stable order."""
        rows = self.sql.execute("SELECT place FROM pieces WHERE name = ? ORDER BY place", (as_stored(name),))
        return [from_stored(row[0]) for row in rows]

    def stale(self) -> list[str]:
        """Return the names whose series must be made anew."""
        return [from_stored(row[0]) for row in self.sql.execute("SELECT name FROM stale ORDER BY name")]

    # ---- series ------------------------------------------------------------------------------------------------

    def replace_series(self, name: str, entries: Iterable[SeriesEntry], *, stale: bool = False) -> None:
        """Say what is made of the images of one name; it is made anew by the next run if it stays `stale`."""
        group = as_stored(name)
        self.sql.execute("DELETE FROM series WHERE name = ?", (group,))
        if not stale:
            self.sql.execute("DELETE FROM stale WHERE name = ?", (group,))
        self.sql.executemany(
            "INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (e.id, as_stored(e.name), e.study, e.modality, e.verdict, e.refusal, e.score, e.stamp,
                 json.dumps(e.location, separators=(",", ":")), json.dumps(e.row, separators=(",", ":")))
                for e in entries
            ),
        )  # fmt: skip

    def series(self) -> Iterator[SeriesEntry]:
        """Yield every series, those of one study together, the best first."""
        rows = self.sql.execute(
            "SELECT id, name, study, modality, verdict, refusal, score, stamp, location, row FROM series"
            " ORDER BY study, refusal IS NOT NULL, score DESC, id"
        )
        for id_, name, study, modality, verdict, refusal, score, stamp, location, row in rows:
            yield SeriesEntry(
                id_,
                from_stored(name),
                study,
                modality,
                verdict,
                refusal,
                score,
                stamp,
                json.loads(location),
                json.loads(row),
            )

    def location(self, series: str) -> dict[str, Any] | None:
        """Return where a series lies; None where the catalogue does not hold it any more."""
        row = self.sql.execute("SELECT location FROM series WHERE id = ?", (series,)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def find(self, series: str) -> tuple[str, dict[str, Any]] | None:
        """Return the name of a series and where it lies; None where the catalogue does not hold it."""
        row = self.sql.execute("SELECT name, location FROM series WHERE id = ?", (series,)).fetchone()
        return None if row is None else (from_stored(row[0]), dict(json.loads(row[1])))

    def counts(self) -> dict[str, int]:
        """Return how many places, files, series and series without refusal there are."""
        one = self.sql.execute
        places, files, size = one(
            "SELECT count(*), coalesce(sum(files), 0), coalesce(sum(bytes), 0) FROM places"
        ).fetchone()
        series, suitable = one("SELECT count(*), coalesce(sum(refusal IS NULL), 0) FROM series").fetchone()
        return {"places": places, "files": files, "bytes": size, "series": series, "suitable": suitable}


@contextmanager
def open_store(path: Path, *, fingerprint: str = "", renew: bool = False) -> Iterator[Store]:
    """Open the catalogue of an archive, and make it where there is none.

    `fingerprint` is that of the key by which its names are digested. With `renew` the series of a catalogue that
    another version made are dropped, to be made anew.

    Raises
    ------
    UsageError
        ``catalogue_unusable`` as `open_catalogue`; ``catalogue_other_key`` if its names were digested by another key;
        ``catalogue_other_version`` without `renew`.
    """
    with open_catalogue(path):
        pass  # makes the file, for its owner alone, and tells a catalogue from other files
    with _connected(path) as connection:
        with typed_errors(path):
            _prepare(connection, path, fingerprint, renew=renew)
        try:
            yield Store(connection)
        except sqlite3.Error as error:
            with typed_errors(path):
                raise error


def _prepare(connection: sqlite3.Connection, path: Path, fingerprint: str, *, renew: bool) -> None:
    prepare_database(connection, APPLICATION_ID, _SCHEMA)
    about = dict(connection.execute("SELECT name, value FROM about"))
    if about.get("format", _FORMAT) != _FORMAT:
        if not renew:
            raise UsageError(
                f"The catalogue {path.name} was made by another version.",
                code="catalogue_other_version",
                remedy="Run paraspinal index again: it makes it anew.",
            )
        connection.executescript(
            "DELETE FROM places; DELETE FROM pieces; DELETE FROM stale; DELETE FROM series;"
            "DELETE FROM about WHERE name = 'whole';"
        )
    if fingerprint and about.get("key", fingerprint) != fingerprint:
        raise UsageError(
            f"The catalogue {path.name} was made with another key.",
            code="catalogue_other_key",
            remedy="Give the key it was made with (--key), or delete the catalogue.",
        )
    for name, value in (("format", _FORMAT), ("key", fingerprint or about.get("key", ""))):
        connection.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()
