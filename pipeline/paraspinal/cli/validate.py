"""``paraspinal validate [SUITE]``."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from paraspinal.cli.arguments import given_path

_BEGIN, _END = "<!-- validate: {name} begin -->", "<!-- validate: {name} end -->"


def validate_command(
    suite: Annotated[
        str,
        typer.Argument(
            metavar="SUITE",
            help="phantom, hybrid, bone, bilateral, patient, differential, trabeculae or untouched.",
            show_default=True,
        ),
    ] = "phantom",
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Cases; the suite's own number without it.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other cases.")] = 0,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of real CT series (folders, zips, NIfTI); PARASPINAL_DATA without it.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "--output",
            "-o",
            metavar="FOLDER",
            parser=given_path,
            help="Folder for records and table; validation-out without it.",
        ),
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="Also put the table into this markdown page.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Cases at a time.")] = 1,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but the table and errors.")
    ] = False,
) -> None:
    """Measure the software on cases with known truth: sensitivity, false candidates, bias, limits, coverage.

    phantom: random synthetic bodies with masses of 10 to 90 mm. hybrid: known masses of 15 to 80 mm put into the real
    series under --data. bone: the same, in series with thin slices, where masses destroy or hollow out vertebrae.
    bilateral: there, masses on both sides of four vertebrae that leave bone alone.
    patient: random synthetic bodies with signs of marrow, spleen, liver, blood and fluid, against their truth.
    differential: synthetic patients of every entity, drawn from the model, from DICOM to differential.
    trabeculae: vertebrae with healthy, osteoporotic and coarse bone, and haemangiomas.
    untouched: those series as they are, where every candidate is one too many.

    Cases that FOLDER holds already are not run again, so an interrupted run goes on where it stopped.
    """
    from paraspinal import __version__
    from paraspinal.validation import SUITES, run_suite, suite_cases, summarise
    from paraspinal.validation.series import find_series

    folder = data or (Path(os.environ["PARASPINAL_DATA"]) if "PARASPINAL_DATA" in os.environ else None)
    real = suite in SUITES and SUITES[suite].real
    series = find_series(folder) if folder is not None and real else ()
    cases = suite_cases(suite, count=count, seed=seed, series=series)
    place = (out or Path("validation-out")) / f"{suite}-{seed}"
    records = run_suite(
        cases,
        place,
        jobs=jobs,
        progress=None if quiet else lambda text: typer.echo(f"  {text}", err=True),
    )
    day = datetime.now(UTC).date().isoformat()
    head = f"Suite `{suite}`, seed {seed}, {len(records)} cases, version {__version__}, {day}.\n\n"
    table = head + summarise(records)
    (place / "table.md").write_text(table, encoding="utf-8")
    typer.echo(table)
    if write is not None:
        _put_into(write, suite, table)


def _put_into(page: Path, suite: str, table: str) -> None:
    """Replace the part of a page between a suite's marks, or append it."""
    begin, end = _BEGIN.format(name=suite), _END.format(name=suite)
    text = page.read_text(encoding="utf-8") if page.exists() else "# Validation\n"
    part = f"{begin}\n{table.strip()}\n{end}"
    if begin in text and end in text:
        text = text[: text.index(begin)] + part + text[text.index(end) + len(end) :]
    else:
        text = f"{text.rstrip()}\n\n{part}\n"
    page.write_text(text, encoding="utf-8")
