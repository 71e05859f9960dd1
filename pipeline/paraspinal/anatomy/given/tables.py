"""What the numbers of a label map mean: names files, and the label table inside a NIfTI header."""

from __future__ import annotations

import csv
import gzip
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from paraspinal.dicomio.sniff import is_nifti
from paraspinal.errors import UsageError

NAME_SUFFIXES = (".json", ".csv", ".tsv", ".txt", ".ctbl", ".label")
_LIMIT = 4 << 20
# TotalSegmentator and Connectome Workbench write <Label Key="5" Red=…>liver</Label> (or CDATA) into an extension.
# A pattern, not an XML parser: entities of a hostile file must not be expanded.
_XML_LABEL = re.compile(r'<Label\b[^>]*?\bKey="(\d{1,5})"[^>]*>\s*(?:<!\[CDATA\[)?([^<\]]{1,64})')
# ITK-SNAP: index, red, green, blue, alpha, visibility, mesh, "name".
_SNAP = re.compile(r'^\s*(\d{1,5})(?:\s+[\d.]+){6}\s+"([^"]{1,64})"')
# 3D Slicer colour table: index, name, red, green, blue, alpha.
_SLICER = re.compile(r"^\s*(\d{1,5})\s+(\S{1,64})(?:\s+\d{1,3}){3,4}\s*$")

Names = dict[int, str]


def read_names(path: Path) -> Names:
    """Read a names file: JSON, CSV or TSV, ITK-SNAP's text or 3D Slicer's colour table.

    JSON may be ``{"5": "liver"}``, ``{"liver": 5}``, ``{"labels": …}`` with either (as nnU-Net writes), or a list of
    objects with a number (``value``, ``index``, ``id`` or ``label``) and a ``name``. A table has the number in one
    column and the name in another; a header line may say which.

    Raises
    ------
    UsageError
        ``masks_names`` if the file says nothing of the kind.
    """
    found = _try(path)
    if not found:
        raise UsageError(
            f"{path.name} gives no names to numbers.",
            code="masks_names",
            remedy='Write JSON like {"5": "liver", "32": "vertebrae_T12"}, or a CSV with the columns index and name.',
        )
    return found


def names_beside(image: Path) -> Names | None:
    """Return the names of a file of the same stem beside a label map; None if there is none that gives names."""
    stem = image.name.removesuffix(".gz").removesuffix(".nii")
    for suffix in NAME_SUFFIXES:
        path = image.with_name(stem + suffix)
        if path.is_file() and (found := _try(path)):
            return found
    return None


def names_inside(image: Path) -> Names | None:
    """Return the label table of a NIfTI file's header extensions (as TotalSegmentator writes it), if it has one."""
    try:
        with gzip.open(image) if image.name.endswith(".gz") else image.open("rb") as stream:
            head = stream.read(_LIMIT)
    except (OSError, EOFError, zlib.error):
        return None
    if not is_nifti(head):
        return None
    size = (
        348 if struct.unpack_from("<i", head)[0] == 348 or struct.unpack_from(">i", head)[0] == 348 else 540
    )
    order = "<" if struct.unpack_from("<i", head)[0] == size else ">"
    form, at = ("f", 108) if size == 348 else ("q", 168)
    end = int(struct.unpack_from(order + form, head, at)[0])
    if len(head) <= size + 4 or head[size] == 0 or end <= size + 4:
        return None
    text = head[size + 4 : min(end, len(head))].decode("utf-8", errors="replace")
    return {int(number): name.strip() for number, name in _XML_LABEL.findall(text)} or None


def _try(path: Path) -> Names | None:
    try:
        if path.stat().st_size > _LIMIT:
            return None
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return None
    readers: Mapping[str, Callable[[str], Names | None]] = {".json": _json, ".csv": _table, ".tsv": _table}
    return readers.get(path.suffix.lower(), _lines)(text)


def _json(text: str) -> Names | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict) and isinstance(found.get("labels"), dict | list):
        found = found["labels"]
    if isinstance(found, list):
        return _objects(found)
    return _pairs(found.items()) if isinstance(found, dict) else None


def _objects(rows: Iterable[object]) -> Names | None:
    pairs = []
    for row in rows:
        if not isinstance(row, dict):
            return None
        number = next((row[k] for k in ("value", "index", "id", "label") if k in row), None)
        pairs.append((number, row.get("name")))
    return _pairs(pairs)


def _pairs(pairs: Iterable[tuple[object, object]]) -> Names | None:
    """Take pairs of number and name, either way round; None unless every pair is one."""
    out: Names = {}
    for first, second in pairs:
        if (number := _number(first)) is not None and isinstance(second, str):
            out[number] = second
        elif (number := _number(second)) is not None and isinstance(first, str):
            out[number] = first
        else:
            return None
    return out or None


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value < 65536 else None
    return int(value) if isinstance(value, str) and value.strip().isdigit() and len(value) < 6 else None


def _table(text: str) -> Names | None:
    dialect = "\t" if "\t" in text.partition("\n")[0] else ";" if ";" in text.partition("\n")[0] else ","
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=dialect) if row]
    if not rows:
        return None
    heading = [cell.lower() for cell in rows[0]]
    number = next((heading.index(k) for k in ("index", "value", "id", "label") if k in heading), 0)
    name = next((heading.index(k) for k in ("name", "structure", "abbreviation") if k in heading), 1)
    body = rows[1:] if not rows[0][0].isdigit() else rows
    return _pairs([(row[number], row[name]) for row in body if len(row) > max(number, name)])


def _lines(text: str) -> Names | None:
    out: Names = {}
    for line in text.splitlines():
        if match := _SNAP.match(line) or _SLICER.match(line):
            out[int(match[1])] = match[2]
    return out or None
