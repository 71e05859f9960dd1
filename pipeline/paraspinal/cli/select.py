"""``paraspinal select CATALOGUE``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraspinal.cli import rule_options as rule
from paraspinal.cli.arguments import given_path, input_path

if TYPE_CHECKING:
    from paraspinal.archive.rules import Choice

_COLUMNS = (
    "series",
    "study",
    "taken",
    "code",
    "reason",
    "modality",
    "region",
    "slices",
    "thickness_mm",
    "kernel",
)


def select_command(
    catalogue: Annotated[
        Path, typer.Argument(metavar="CATALOGUE", parser=input_path, help="What paraspinal index made.")
    ],
    modality: rule.Modality = "CT",
    region: rule.Region = None,
    max_thickness_mm: rule.MaxThickness = None,
    min_slices: rule.MinSlices = 3,
    kernel: rule.Kernel = "any",
    contrast: rule.Contrast = "any",
    since: rule.Since = None,
    until: rule.Until = None,
    every_series: rule.EverySeries = False,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=given_path, help="Also write every series with its reason as CSV."
        ),
    ] = None,
    all_rows: Annotated[bool, typer.Option("--all", help="List the series that are not taken, too.")] = False,
) -> None:
    """Say which series of a catalogue the rules choose, and why each other one is not: batch takes the same rules.

    Of each study the best series is taken (extent, thickness, kernel, orientation); its runners-up are named with
    both scores.
    """
    from paraspinal.archive.rules import choose
    from paraspinal.archive.store import open_store

    rules = rule.rules_from(
        modality=modality,
        region=tuple(region or ()),
        max_thickness_mm=max_thickness_mm,
        min_slices=min_slices,
        kernel=kernel,
        contrast=contrast,
        since=since,
        until=until,
        per_study=not every_series,
    )
    counts: Counter[str] = Counter()  # by code; those that are taken have none
    with open_store(catalogue) as store:
        store.require_complete()
        with _table(csv) as put:
            for choice in choose(store.series(), rules):
                counts[choice.code] += 1
                put(choice)
                if choice.taken or all_rows:
                    typer.echo(_line(choice))
    taken = counts.pop("", 0)
    typer.echo(f"{taken} of {taken + counts.total()} series are taken. {_reasons(counts)}".rstrip())


def _line(choice: Choice) -> str:
    row = choice.entry.row
    spacing = row.get("spacing_mm")
    facts = [
        row["modality"],
        row.get("region") or "–",
        f"{row['slices']} slices" + (f" of {spacing[0]:.2f} mm" if spacing else ""),
        row.get("kernel") or "",
    ]
    why = "" if choice.taken else f"  not taken: {choice.code} {choice.reason}".rstrip()
    return f"{choice.entry.id}  {', '.join(str(fact) for fact in facts if fact)}{why}"


def _reasons(counts: Counter[str]) -> str:
    return (
        "Not taken: " + ", ".join(f"{code} {n}" for code, n in counts.most_common()) + "." if counts else ""
    )


@contextmanager
def _table(path: Path | None) -> Iterator[Callable[[Choice], object]]:
    """Yield what writes a choice as a line of a CSV file, or nowhere without a path."""
    import csv

    from paraspinal.errors import OutputError

    if path is None:
        yield lambda _: None
        return
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            yield lambda choice: writer.writerow(_cells(choice))
    except BrokenPipeError:
        raise  # whoever reads the list has read enough
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}.",
            code="output_not_writable",
            remedy="Name a file in a folder that exists and may be written.",
        ) from error


def _cells(choice: Choice) -> list[object]:
    entry = choice.entry
    facts = [entry.row.get(name, "") for name in _COLUMNS[5:]]
    return [entry.id, entry.study, "yes" if choice.taken else "no", choice.code, choice.reason, *facts]
