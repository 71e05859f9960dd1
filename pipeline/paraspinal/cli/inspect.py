"""``paraspinal inspect INPUT``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraspinal.cli.arguments import (
    POLICY_HELP,
    PolicyName,
    given_name,
    given_path,
    input_path,
    loading_settings,
)

if TYPE_CHECKING:
    from rich.table import Table

    from paraspinal.loading.inspection import Inspection, SeriesRow

_NOTHING = "–"
_WIDTH = 250
_HEADINGS = (
    *("series", "no.", "modality", "region", "plane", "slices", "spacing mm", "thick mm", "kVp"),
    *("kernel", "recon", "contrast", "score", "verdict"),
)
_NUMERIC = frozenset({"no.", "slices", "thick mm", "kVp", "score"})


def inspect_command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            parser=input_path,
            help="A folder, a DICOM file, a DICOMDIR, a zip, or a NIfTI, NRRD or MetaImage file.",
        ),
    ],
    config: Annotated[
        str,
        typer.Option(
            metavar="PROFILE", parser=given_name, help="Name of a profile, or the path of a TOML file."
        ),
    ] = "default",
    policy: Annotated[PolicyName | None, typer.Option(help=POLICY_HELP)] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=given_path,
            help="Remember the headers in this file; an unchanged tree is then not read again. It holds UIDs.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the series of an input, best first, with what speaks for and against each, from the headers.

    Pixels are read only of images that share a position, or that carry no UID. What `analyze` takes, or why it
    refuses, is said below the table; --series NAME takes another one.
    """
    from paraspinal.cli.console import stage_progress
    from paraspinal.loading.catalogue import open_catalogue
    from paraspinal.loading.inspection import inspect_source

    limits = loading_settings(config, policy)
    with stage_progress(quiet=as_json) as tell:
        if tell is not None:
            tell("reading headers")
        if catalogue is None:
            found = inspect_source(source, config=limits)
        else:
            with open_catalogue(catalogue) as known:
                found = inspect_source(source, config=limits, catalogue=known)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
        return
    _print(found)


def _print(found: Inspection) -> None:
    from rich.console import Console

    # Lines are never broken here: a terminal wraps them, and a pager or grep sees them whole.
    console = Console(highlight=False, soft_wrap=True, width=_WIDTH)
    console.print(_table(found), crop=False)
    lines = [_taken(found), *(line for row in found.series for line in _details(row)), *_remedies(found)]
    for line in lines:
        console.print(line, markup=False)
    for code in found.notes:
        console.print(f"{code.code}: {code.text}{_numbers(code.numbers)}", markup=False)
    for line in found.unreadable:
        console.print(line, markup=False)


def _table(found: Inspection) -> Table:
    from rich.table import Table

    rows = [_cells(row) for row in found.series]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    shown = [i for i in range(len(_HEADINGS)) if any(row[i] != _NOTHING for row in rows)]
    for i in shown:
        table.add_column(_HEADINGS[i], justify="right" if _HEADINGS[i] in _NUMERIC else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(row[i] for i in shown))
    return table


def _cells(row: SeriesRow) -> list[str]:
    spacing = _NOTHING if row.spacing_mm is None else " × ".join(f"{s:.3g}" for s in row.spacing_mm)
    return [
        row.name or _NOTHING,
        _text(row.number),
        row.modality,
        row.region or _NOTHING,
        row.plane,
        str(row.slices),
        spacing,
        _text(row.thickness_mm),
        _text(row.kvp),
        row.kernel or _NOTHING,
        row.reconstruction or _NOTHING,
        "stated" if row.contrast else _NOTHING,
        _NOTHING if row.score is None else f"{row.score:.1f}",
        row.verdict if row.refusal is None else f"refused: {row.refusal}",
    ]


def _text(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:g}"


def _details(row: SeriesRow) -> list[str]:
    """Return what the table has no room for: codes with their numbers, and what to do about a refusal."""
    name = row.name or "series"
    lines = [f"{name}: {code.code} – {code.text}{_numbers(code.numbers)}" for code in row.codes]
    if row.score is not None and row.refusal is None:
        reasons = ", ".join(f"{reason} {points:+.1f}" for reason, points in row.reasons.items())
        lines.insert(0, f"{name}: score {row.score:.1f} ({reasons})")
    return lines


def _taken(found: Inspection) -> str:
    """Return what `analyze` would make of the input."""
    taken = [row.name or "this volume" for row in found.series if row.taken]
    return f"analyze takes {taken[0]}" if taken else f"analyze refuses: {found.refusal} – {found.message}"


def _remedies(found: Inspection) -> list[str]:
    """Return what to do about each refusal, one line a code."""
    remedies = {row.refusal: row.remedy for row in found.series if row.refusal is not None}
    return [f"{code} – {remedy}" for code, remedy in remedies.items() if code != found.refusal]


def _numbers(numbers: dict[str, float]) -> str:
    return f" ({', '.join(f'{key} {value:g}' for key, value in numbers.items())})" if numbers else ""
