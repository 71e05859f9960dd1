"""Coded cases in files: JSON, lines of JSON, or a table as CSV. Each case is read on its own; a bad one is told."""

from __future__ import annotations

import csv
import difflib
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from paraspinal.differential.names import CATALOGUE, CONTEXT_FIELDS, LEVEL_FIELDS
from paraspinal.errors import UsageError

BESIDE = (
    "id",
    "diagnosis",
    "confirmation_class",
    "age",
    "sex",
    "title",
    "source",
    "confirmed_by",
    "modality",
)
_MORE = ("site", "notes", "n_findings", "flags")
_YES_NO = {
    **dict.fromkeys(("true", "yes", "1", "present"), True),
    **dict.fromkeys(("false", "no", "0", "absent"), False),
}
_NULL = ("", "null", "na", "n/a", "?")
"""Not mentioned. ``none`` is not among them: it is a word for enhancement."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One case of a file and where it stands, or why it could not be read."""

    place: str
    value: object = None
    fault: str | None = None


def entries(name: str, text: str) -> Iterator[Entry]:
    """Yield the cases of a file one by one.

    `name` tells the form: ``.json`` one document with a case or a list of them, ``.csv`` and ``.tsv`` a table with a
    case in every row, anything else lines of JSON.

    Raises
    ------
    UsageError
        ``column_unknown`` if the head of a table names what is no finding.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix in (".csv", ".tsv"):
        yield from _rows(text)
        return
    if suffix != ".json":
        yield from _lines(text)
        return
    document = _parse("document", text)
    if isinstance(document.value, list) and not _is_one_case(document.value):
        yield from (Entry(f"case {n}", value) for n, value in enumerate(document.value, start=1))
    else:
        yield document


def _lines(text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _parse(f"line {number}", line)


def _parse(place: str, text: str) -> Entry:
    try:
        return Entry(place, json.loads(text, object_pairs_hook=_object))
    except json.JSONDecodeError as error:
        where = f"{error.msg} at line {error.lineno}, column {error.colno}"
        lines = " A file of several lines, a case each, is called .jsonl." if place == "document" else ""
        return Entry(place, fault=f"This is not JSON: {where}. Write one JSON object.{lines} [case_not_json]")
    except RecursionError:
        return Entry(place, fault="This is nested too deeply. Write one JSON object. [case_not_json]")
    except UsageError as error:
        return Entry(place, fault=error.one_line())


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object; of a field that stands in it twice, nobody knows which one is meant."""
    table = dict(pairs)
    if len(table) < len(pairs):
        raise _repeated("One object", [name for name, _ in pairs])
    for name, value in pairs:
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(
                f"{name} cannot be {value}.",
                code="finding_value",
                remedy="Write null where nothing is known.",
            )
    return table


def _repeated(what: str, names: list[str]) -> UsageError:
    twice = ", ".join(dict.fromkeys(name for name in names if names.count(name) > 1))
    return UsageError(
        f"{what} holds {twice} more than once.", code="field_repeated", remedy="Write every field once."
    )


def _is_one_case(items: list[object]) -> bool:
    """Tell whether a list holds the findings of one case rather than cases."""
    return bool(items) and all(isinstance(item, Mapping) and "state" in item for item in items)


def _rows(text: str) -> Iterator[Entry]:
    lines = text.splitlines()
    if not lines:
        return
    delimiter = max(",;\t", key=lines[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    head = [name.strip() for name in next(reader)]
    _check_head(head)
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        place = f"line {reader.line_num}"
        if len(row) > len(head):
            fault = f"It has {len(row)} cells under {len(head)} columns. Quote texts with a {delimiter!r}."
            yield Entry(place, fault=f"{fault} [case_form]")
            continue
        yield Entry(place, _case(dict(zip(head, row, strict=False))))


def _check_head(head: list[str]) -> None:
    if len(set(head)) < len(head):
        raise _repeated("The head of the table", head)
    known = [*BESIDE, *_MORE, *CATALOGUE, *LEVEL_FIELDS, *CONTEXT_FIELDS]
    for name in head:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=2, cutoff=0.4)
            hint = f"Did you mean {' or '.join(close)}? " if close else ""
            raise UsageError(
                f"The table has a column {name!r}, which is no finding.",
                code="column_unknown",
                remedy=f"{hint}docs/findings.md lists all names; beside them stand {', '.join(BESIDE[:5])}.",
            )


def _case(row: Mapping[str, str]) -> dict[str, object]:
    """Return a row of text as a case; an empty cell is not mentioned."""
    told = {name: text.strip() for name, text in row.items() if text.strip().lower() not in _NULL}
    beside = {name: text for name, text in told.items() if name in (*BESIDE, *_MORE) and name != "flags"}
    case: dict[str, object] = dict(beside)
    if "age" in case:
        case["age"] = _number(beside["age"])
    if "flags" in told:
        case["flags"] = told["flags"].split()
    case["findings"] = {
        name: _value(name, text) for name, text in told.items() if name not in (*BESIDE, *_MORE)
    }
    return case


def _value(name: str, text: str) -> object:
    kind = CATALOGUE.get(name)
    if kind == "boolean":
        return _YES_NO.get(text.lower(), text)
    return _number(text) if kind == "numeric" else text


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text
