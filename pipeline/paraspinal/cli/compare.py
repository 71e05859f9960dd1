"""``paraspinal compare A B``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paraspinal.cli.arguments import input_path

if TYPE_CHECKING:
    from paraspinal.anatomy.compare import LabelComparison, StructureComparison
    from paraspinal.anatomy.given.types import StructureSet

_NOTHING = "–"
_WIDTH = 120
_FORMS = (
    "A result folder, a label map (NIfTI; TotalSegmentator's numbers, or a names table in it or beside it),"
    " a folder of masks, a DICOM SEG or an RTSTRUCT."
)


def compare_command(
    a: Annotated[
        Path,
        typer.Argument(metavar="A", parser=input_path, help=_FORMS),
    ],
    b: Annotated[
        Path, typer.Argument(metavar="B", parser=input_path, help="The same; the forms may differ.")
    ],
    names_a: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=input_path, help="What the numbers of A mean (JSON, CSV, table)."
        ),
    ] = None,
    names_b: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=input_path, help="What the numbers of B mean.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare two segmentations of one scan: Dice, surface distance, volume, and the names of vertebrae.

    Both are brought onto the finer grid through their places in the patient, never by index, and are compared only
    where both were looked at. The surface distance (95 % mm) is the 95th percentile of the distances of both
    surfaces to each other. Vertebrae are also matched by overlap: "1 lower" is an error of counting, not of outline.
    Numbers that cannot be had are null, with the reason. The exit code says nothing about agreement.
    """
    from paraspinal.anatomy.compare import compare_structures
    from paraspinal.anatomy.given.read import read_structures

    first, second = read_structures(a, names=names_a), read_structures(b, names=names_b)
    found = compare_structures(first, second)
    if as_json:
        typer.echo(json.dumps(comparison_json(found, first, second), indent=2))
        return
    _print(found, first, second)


def comparison_json(found: LabelComparison, a: StructureSet, b: StructureSet) -> dict[str, Any]:
    """Return a comparison as plain JSON values."""
    return {
        "a": _source(a),
        "b": _source(b),
        "structures": [
            {
                "name": s.name,
                "dice": s.dice,
                "surface_95_mm": s.surface_95_mm,
                "a_ml": s.a_ml,
                "b_ml": s.b_ml,
                "difference_ml": None if s.difference_ml is None else round(s.difference_ml, 3),
                "cut": list(s.cut),
                "reason": s.reason,
            }
            for s in found.structures
        ],
        "levels": {
            "pairs": [{"a": p.a, "b": p.b, "dice": p.dice, "offset": p.offset} for p in found.levels.pairs],
            "same": sum(p.same for p in found.levels.pairs),
            "off": sum(p.offset not in (None, 0) for p in found.levels.pairs),
            "unnamed": sum(p.offset is None for p in found.levels.pairs),
            "only_a": list(found.levels.only_a),
            "only_b": list(found.levels.only_b),
        },
    }


def _source(given: StructureSet) -> dict[str, Any]:
    return {
        "form": given.kind,
        "structures": len(given.structures),
        "empty": list(given.empty),
        "unknown": list(given.unknown),
        "numbers_assumed": given.numbers_assumed,
        "notes": list(given.notes),
    }


def _print(found: LabelComparison, a: StructureSet, b: StructureSet) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("structure", no_wrap=True)
    for heading in ("Dice", "95 % mm", "A mL", "B mL", "B - A mL"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("remark")
    for item in found.structures:
        if item.dice is not None:
            table.add_row(*_row(item))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(table)
    for line in _sentences(found, a, b):
        typer.echo(line)


def _row(item: StructureComparison) -> tuple[str, ...]:
    remark = [f"cut {', '.join(item.cut)}"] if item.cut else []
    remark += [item.reason] if item.reason else []
    return (
        item.name,
        _number(item.dice, 3),
        _number(item.surface_95_mm, 1),
        _number(item.a_ml, 1),
        _number(item.b_ml, 1),
        _number(item.difference_ml, 1),
        "; ".join(remark),
    )


def _number(value: float | None, digits: int) -> str:
    return _NOTHING if value is None else f"{value:.{digits}f}"


def _sentences(found: LabelComparison, a: StructureSet, b: StructureSet) -> list[str]:
    """Say in words what the table has no place for."""
    out = []
    for side in ("A", "B"):
        only = [s.name for s in found.structures if s.reason == f"only in {side}"]
        if only:
            out.append(f"Only in {side}: {', '.join(only)}.")
    nowhere = [s.name for s in found.structures if s.dice is None and s.a_ml and s.b_ml]
    if nowhere:
        out.append(f"Not comparable, no place in which both were looked at: {', '.join(nowhere)}.")
    pairs = found.levels.pairs
    if pairs:
        out.append(f"Levels: {sum(p.same for p in pairs)} of {len(pairs)} vertebrae have the same name.")
    out += [_offset(p.a, p.b, p.offset) for p in pairs if not p.same]
    for name, given in (("A", a), ("B", b)):
        if given.numbers_assumed:
            out.append(
                f"The numbers of {name} were taken for TotalSegmentator's: nothing says what they mean."
            )
        if given.unknown:
            out.append(f"Not known here, in {name}: {', '.join(given.unknown)}.")
        out += [f"{name}: {note}" for note in given.notes]
    return out


def _offset(a: str, b: str, offset: int | None) -> str:
    if offset is None:
        return f"  {a} in A is {b} in B."
    return f"  {a} in A is {b} in B: {abs(offset)} {'lower' if offset > 0 else 'higher'}."
