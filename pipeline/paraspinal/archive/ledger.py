"""The ledger of a batch: what became of every case, in a SQLite file that survives whatever ends the batch.

A case is done when its result was made from the same input, with the same configuration, software and model, and is
whole. Nothing here names a person or a place: cases are keyed digests.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paraspinal.archive.job import Report
from paraspinal.errors import OutputError
from paraspinal.loading.catalogue import prepare_database

# "PSLG" in ASCII: PRAGMA application_id tells our files from those of other programs.
_APPLICATION_ID = 0x50534C47
_BUSY_SECONDS = 30.0
_CHUNK = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cases (id TEXT PRIMARY KEY, study TEXT NOT NULL, status TEXT NOT NULL, code TEXT NOT NULL,
    message TEXT NOT NULL, attempts INTEGER NOT NULL, stamp TEXT NOT NULL, recipe TEXT NOT NULL, facts TEXT NOT NULL,
    seconds REAL NOT NULL, peak_mib REAL NOT NULL, changed REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cases_by_status ON cases (status, code);
CREATE TABLE IF NOT EXISTS attempts (id TEXT NOT NULL, number INTEGER NOT NULL, status TEXT NOT NULL,
    code TEXT NOT NULL, seconds REAL NOT NULL, peak_mib REAL NOT NULL, worker TEXT NOT NULL, ended REAL NOT NULL);
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
WAITING, RUNNING = "waiting", "running"
NOT_SELECTED = "not_selected"
GONE = "gone"
"""The code of a case that is done and that the archive does not hold any more."""
FINAL = frozenset({"done", "refused", "failed", NOT_SELECTED})


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One line of the ledger.

    ``status`` is waiting, running, done, refused, failed or not_selected; ``code`` and ``message`` say why;
    ``stamp`` changes with the input's files, ``recipe`` with configuration, software and model; ``facts`` is what is
    known of the input and of the result.
    """

    id: str
    study: str
    status: str
    code: str = ""
    message: str = ""
    attempts: int = 0
    stamp: str = ""
    recipe: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    peak_mib: float = 0.0
    changed: float = 0.0


class Ledger:
    """An open ledger; made by `open_ledger`.

    A change that was made outlives any process; a power cut may take the last moments, whose results are found again.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._sql, self._path = connection, path

    def get(self, case: str) -> CaseRow | None:
        """Return the line of a case."""
        row = self._sql.execute("SELECT * FROM cases WHERE id = ?", (case,)).fetchone()
        return None if row is None else _row(row)

    def put(self, rows: Iterable[CaseRow]) -> None:
        """Write lines, all or none of them."""
        now = time.time()
        with self._changes():
            self._sql.executemany(
                "INSERT OR REPLACE INTO cases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (r.id, r.study, r.status, r.code, r.message, r.attempts, r.stamp, r.recipe,
                     json.dumps(dict(r.facts), separators=(",", ":")), r.seconds, r.peak_mib, now)
                    for r in rows
                ),
            )  # fmt: skip

    def begin(self, cases: Iterable[str]) -> None:
        """Say that cases are with the workers."""
        with self._changes():
            self._sql.executemany(
                "UPDATE cases SET status = ?, changed = ? WHERE id = ?",
                ((RUNNING, time.time(), case) for case in cases),
            )

    def end(self, reports: Iterable[Report], *, again: frozenset[str] = frozenset()) -> None:
        """Write what became of cases; those in `again` wait for another attempt."""
        now = time.time()
        with self._changes():
            for r in reports:
                status = WAITING if r.case in again else r.status
                facts = self._sql.execute("SELECT facts FROM cases WHERE id = ?", (r.case,)).fetchone()
                merged = (json.loads(facts[0]) if facts else {}) | r.facts
                self._sql.execute(
                    "UPDATE cases SET status = ?, code = ?, message = ?, attempts = attempts + 1, facts = ?,"
                    " seconds = ?, peak_mib = ?, changed = ? WHERE id = ?",
                    (status, r.code, r.message, json.dumps(merged, separators=(",", ":")),
                     r.seconds, r.peak_mib, now, r.case),
                )  # fmt: skip
                self._sql.execute(
                    "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (r.case, r.attempt, r.status, r.code, r.seconds, r.peak_mib, r.worker, now),
                )

    def give_back(self) -> int:
        """Let cases wait again that were with workers when a batch ended; return how many."""
        with self._changes():
            return self._sql.execute(
                "UPDATE cases SET status = ? WHERE status = ?", (WAITING, RUNNING)
            ).rowcount

    def mark_gone(self, cases: Set[str], *, keep: Callable[[CaseRow], bool]) -> int:
        """Put cases down as gone that the archive does not hold any more; return how many.

        A result that `keep` finds stays, with the code `gone`: a disk may only be away. Other lines are forgotten.
        """
        known = [row[0] for row in self._sql.execute("SELECT id FROM cases")]
        gone = [line for case in known if case not in cases and (line := self.get(case)) is not None]
        kept = {line.id for line in gone if line.status == "done" and keep(line)}
        with self._changes():
            self._sql.executemany(
                "DELETE FROM cases WHERE id = ?", ((line.id,) for line in gone if line.id not in kept)
            )
            self._sql.executemany("UPDATE cases SET code = ? WHERE id = ?", ((GONE, case) for case in kept))
        return len(gone)

    def forget(self, cases: Iterable[str]) -> None:
        """Delete the lines of cases."""
        with self._changes():
            self._sql.executemany("DELETE FROM cases WHERE id = ?", ((case,) for case in cases))

    def claim(self, archive: str) -> None:
        """Say of which archive (a keyed digest) this is the ledger.

        Raises
        ------
        OutputError
            ``output_other_archive`` if it is that of another one.
        """
        with self._changes():
            self._sql.execute("INSERT OR IGNORE INTO about VALUES ('archive', ?)", (archive,))
        if self._sql.execute("SELECT value FROM about WHERE name = 'archive'").fetchone()[0] != archive:
            raise OutputError(
                "The output folder holds the results of another archive.",
                code="output_other_archive",
                remedy="Name another output folder; where the archive has moved, name a new one, too.",
            )

    def rows(self, *statuses: str) -> Iterator[CaseRow]:
        """Yield lines of some statuses (of all without any), by case."""
        marks = ",".join("?" * len(statuses))
        where = f" WHERE status IN ({marks})" if statuses else ""
        yield from map(_row, self._sql.execute(f"SELECT * FROM cases{where} ORDER BY id", statuses))

    def waiting(self) -> Iterator[CaseRow]:
        """Yield the lines that wait, read in pieces, so that the ledger may change meanwhile."""
        last = ""
        while True:
            rows = self._sql.execute(
                "SELECT * FROM cases WHERE status = ? AND id > ? ORDER BY id LIMIT ?", (WAITING, last, _CHUNK)
            ).fetchall()
            if not rows:
                return
            yield from map(_row, rows)
            last = rows[-1][0]

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many cases there are by status and code."""
        rows = self._sql.execute("SELECT status, code, count(*) FROM cases GROUP BY status, code")
        return {(status, code): number for status, code, number in rows}

    def number_of(self, status: str) -> int:
        """Return how many cases have a status."""
        row = self._sql.execute("SELECT count(*) FROM cases WHERE status = ?", (status,)).fetchone()
        return int(row[0])

    def state(self) -> str:
        """Return a text that is another one after any case came to an end or went on."""
        last = self._sql.execute("SELECT coalesce(max(changed), 0) FROM cases").fetchone()[0]
        return json.dumps([last, sorted((*key, number) for key, number in self.counts().items())])

    @contextmanager
    def _changes(self) -> Iterator[None]:
        with _typed_errors(self._path):
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._sql.execute("ROLLBACK")
                raise
            self._sql.execute("COMMIT")


@contextmanager
def open_ledger(path: Path) -> Iterator[Ledger]:
    """Open a ledger, and make it where there is none.

    Raises
    ------
    OutputError
        ``ledger_unusable`` if the file cannot be written, is damaged, or is no ledger.
    """
    with _typed_errors(path):
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        with _typed_errors(path):
            prepare_database(connection, _APPLICATION_ID, _SCHEMA)
        try:
            yield Ledger(connection, path)
        except sqlite3.Error as error:  # of a reading, too: a damaged page shows only when it is read
            raise _unusable(path, str(error)) from error
    finally:
        connection.close()


def _row(row: tuple[Any, ...]) -> CaseRow:
    case, study, status, code, message, attempts, stamp, recipe, facts, seconds, peak, changed = row
    return CaseRow(
        case, study, status, code, message, attempts, stamp, recipe, json.loads(facts), seconds, peak, changed
    )


@contextmanager
def _typed_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _unusable(path, str(reason)) from error


def _unusable(path: Path, reason: str) -> OutputError:
    return OutputError(
        f"The ledger {path.name} cannot be used: {reason}.",
        code="ledger_unusable",
        remedy="Name an output folder on a disk with space and write permission; the batch goes on from there.",
    )
