"""All results of a batch as tables: Parquet with a declared schema, and CSV; read in pieces, put in place at once.

A result is taken only where its receipt says that it is whole and was made by the recipe of the ledger's line.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from paraspinal import __version__
from paraspinal.archive import flatten
from paraspinal.archive.batch_folder import batch_folder
from paraspinal.archive.columns import PARTITION_COLUMN, PARTITIONED, TABLES, arrow_schema
from paraspinal.archive.layout import Layout
from paraspinal.archive.ledger import CaseRow, Ledger, open_ledger
from paraspinal.archive.receipt import whole_receipt
from paraspinal.collector import collector_paused
from paraspinal.errors import OutputError

_PIECE = 50  # results that are read at a time: what is read of them takes some MiB each
_SCHEMA, _STATE = "schema.json", ".ledger-state"
_CSV = ("cases", "masses", "findings", "measurements")
_STAGED = ".cohort."
# What a file raises that is no result, or one of another version: a key is missing, or a value is of another type.
_ODD = (KeyError, IndexError, AttributeError, TypeError, ValueError, OverflowError, pa.ArrowException)
Tables = dict[str, pa.Table]
_Rows = dict[str, list[flatten.Cells]]


@dataclass(frozen=True, slots=True)
class Collected:
    """What was collected: rows by table, and the cases whose result should be there and cannot be taken."""

    rows: dict[str, int]
    unreadable: tuple[str, ...]
    folder: Path


def collect(
    out: str | Path,
    *,
    processes: int = 2,
    with_csv: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Collected:
    """Write the tables of a batch into its folder ``cohort`` and return what they hold.

    An earlier ``cohort`` is replaced when the new one is complete.

    Raises
    ------
    UsageError
        ``no_ledger`` if the folder is none of a batch.
    OutputError
        If it cannot be written.
    """
    layout = batch_folder(out)
    _sweep(layout.root)
    staged = layout.root / f"{_STAGED}{os.getpid()}"
    try:
        staged.mkdir()
        rows, unreadable = _write(
            layout, staged, processes, with_csv=with_csv, tell=progress or (lambda _: None)
        )
        _describe(staged / _SCHEMA)
        old = layout.root / f"{_STAGED}old.{os.getpid()}"
        if layout.cohort.exists():
            layout.cohort.rename(old)
        staged.rename(layout.cohort)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"{layout.cohort} cannot be written: {error.strerror or error}.",
            code="output_not_writable",
            remedy="Make room or give write permission, and collect again.",
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Collected(rows, unreadable, layout.cohort)


def _sweep(root: Path) -> None:
    """Remove what collecting processes left that were killed."""
    for left in root.glob(f"{_STAGED}*"):
        process = left.name.rpartition(".")[2]
        if process == str(os.getpid()) or not (process.isdigit() and psutil.pid_exists(int(process))):
            shutil.rmtree(left, ignore_errors=True)


def up_to_date(layout: Layout) -> bool:
    """Tell whether the tables hold what the ledger holds; not where there are none, or there is no ledger."""
    if not layout.ledger.is_file():
        return False
    try:
        made = (layout.cohort / _STATE).read_text(encoding="utf-8")
    except OSError:
        return False
    with open_ledger(layout.ledger) as ledger:
        return made == _state(ledger)


def _state(ledger: Ledger) -> str:
    return f"{__version__} {ledger.state()}"


def _write(
    layout: Layout, staged: Path, processes: int, *, with_csv: bool, tell: Callable[[str], None]
) -> tuple[dict[str, int], tuple[str, ...]]:
    counts = dict.fromkeys(TABLES, 0)
    unreadable: list[str] = []
    read = 0
    with ExitStack() as stack:
        ledger = stack.enter_context(open_ledger(layout.ledger))
        # From before the first line is read: what ends meanwhile makes the tables old.
        (staged / _STATE).write_text(_state(ledger), encoding="utf-8")
        writers = _Writers(staged, stack, with_csv=with_csv)
        pool = None
        if processes > 1:
            pool = stack.enter_context(ProcessPoolExecutor(processes, mp_context=get_context("spawn")))
        for tables, missing in _tables(_pieces(ledger.rows()), layout.root, pool, ahead=2 * processes):
            unreadable += missing
            read += tables["cases"].num_rows
            for name, table in tables.items():
                counts[name] += table.num_rows
                writers.write(name, table)
            tell(f"{read} cases")
    return counts, tuple(unreadable)


def _pieces(lines: Iterator[CaseRow]) -> Iterator[list[CaseRow]]:
    while piece := list(islice(lines, _PIECE)):
        yield piece


def _tables(
    pieces: Iterator[list[CaseRow]], root: Path, pool: ProcessPoolExecutor | None, *, ahead: int
) -> Iterator[tuple[Tables, list[str]]]:
    """Yield the tables of piece after piece, a few of them made ahead by the pool."""
    if pool is None:
        for piece in pieces:
            yield tables_of(piece, root)
        return
    waiting = [pool.submit(tables_of, piece, root) for piece in islice(pieces, ahead)]
    while waiting:
        yield waiting.pop(0).result()
        waiting += [pool.submit(tables_of, piece, root) for piece in islice(pieces, 1)]


def tables_of(lines: Sequence[CaseRow], root: Path) -> tuple[Tables, list[str]]:
    """Return the tables of some cases, and those of them whose result should be there and cannot be taken."""
    layout = Layout(root)
    with collector_paused():
        cases = [_case(line, layout) for line in lines]
        try:
            tables = _joined(cases)
        except (
            _ODD
        ):  # a value of another type than its column's: seldom, so that looking for it may take long
            pairs = zip(lines, cases, strict=True)
            cases = [case if _fits(case) else _Case(_rows(line, None), taken=False) for line, case in pairs]
            tables = _joined(cases)
    return tables, [line.id for line, case in zip(lines, cases, strict=True) if not case.taken]


class _Case(NamedTuple):
    """The rows of a case, and whether its result is among them, if it should have one."""

    rows: _Rows
    taken: bool


def _case(line: CaseRow, layout: Layout) -> _Case:
    if line.status != "done":
        return _Case(_rows(line, None), taken=True)
    try:
        result = _result(layout, line)
        return _Case(_rows(line, result), taken=result is not None)
    except _ODD:
        return _Case(_rows(line, None), taken=False)


def _rows(line: CaseRow, result: dict[str, Any] | None) -> _Rows:
    rows: _Rows = {name: [] for name in TABLES}
    rows["cases"].append(_cells("cases", flatten.case_row(line, result)))
    if result is not None:
        rows["masses"] += (_cells("masses", row) for row in flatten.mass_rows(line.id, result))
        rows["measurements"] += flatten.measurement_rows(line.id, result)
        rows["findings"] += flatten.finding_rows(line.id, result)
    return rows


def _joined(cases: Sequence[_Case]) -> Tables:
    return {name: _table(name, [row for case in cases for row in case.rows[name]]) for name in TABLES}


def _fits(case: _Case) -> bool:
    """Tell whether the rows of a case have the types that the tables declare."""
    try:
        _joined([case])
    except _ODD:
        return False
    return True


def _cells(name: str, row: flatten.Row) -> flatten.Cells:
    return tuple(row.get(c.name) for c in TABLES[name])


def _table(name: str, rows: Sequence[flatten.Cells]) -> pa.Table:
    """Return rows as a table with every declared column, the one it is partitioned by included."""
    columns = list(zip(*rows, strict=True)) or [()] * len(TABLES[name])
    arrays = [pa.array(values, c.type) for values, c in zip(columns, TABLES[name], strict=True)]
    return pa.table(arrays, names=[c.name for c in TABLES[name]])


def _result(layout: Layout, line: CaseRow) -> dict[str, Any] | None:
    """Return the result of a case that is done; None unless it is whole and the one that the ledger speaks of."""
    folder = layout.case(line.id)
    receipt = whole_receipt(folder)
    if receipt is None or receipt.recipe != line.recipe:
        return None
    try:
        return dict(orjson.loads((folder / "result.json").read_bytes()))
    except OSError:
        return None


class _Writers:
    """Open files of all tables."""

    def __init__(self, folder: Path, stack: ExitStack, *, with_csv: bool) -> None:
        self._folder, self._stack = folder, stack
        self._parquet: dict[Path, pq.ParquetWriter] = {}
        self._csv = {name: self._csv_writer(name) for name in _CSV} if with_csv else {}

    def write(self, name: str, table: pa.Table) -> None:
        """Append rows to a table's files."""
        if name in self._csv:
            self._csv[name].write(table)
        if name not in PARTITIONED:
            self._append(self._folder / name / "part-0.parquet", arrow_schema(name), table)
            return
        for kind in pc.unique(table[PARTITION_COLUMN]).to_pylist():
            own = table.filter(pc.equal(table[PARTITION_COLUMN], kind)).drop_columns([PARTITION_COLUMN])
            place = self._folder / name / f"{PARTITION_COLUMN}={kind}" / "part-0.parquet"
            self._append(place, arrow_schema(name), own)

    def _append(self, path: Path, schema: pa.Schema, table: pa.Table) -> None:
        if path not in self._parquet:
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = pq.ParquetWriter(path, schema, compression="zstd")
            self._parquet[path] = self._stack.enter_context(writer)
        self._parquet[path].write_table(table.cast(schema))

    def _csv_writer(self, name: str) -> Any:
        schema = pa.schema([pa.field(c.name, c.type) for c in TABLES[name]])
        return self._stack.enter_context(pa_csv.CSVWriter(self._folder / f"{name}.csv", schema))


def _describe(path: Path) -> None:
    """Write what the columns are, for readers of the CSV files."""
    tables = {
        name: [{"column": c.name, "type": str(c.type), "unit": c.unit, "meaning": c.meaning} for c in columns]
        for name, columns in TABLES.items()
    }
    path.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")
