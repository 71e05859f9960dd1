"""``paraspinal collect OUT``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from paraspinal.cli.arguments import input_path

_SHOWN = 10


def collect_command(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", parser=input_path, help="The output folder of paraspinal batch.")
    ],
    csv: Annotated[bool, typer.Option(help="Write CSV files beside the Parquet files.")] = True,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Processes that read results.")] = 2,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Gather all results of a batch in tables: OUT/cohort holds cases, masses, measurements and findings.

    Parquet with units and meanings in its schema, partitioned by patient, mass, vertebra and rib, and the same as
    CSV; schema.json says what the columns are. Cases that were refused, failed or not selected are rows, too. Query
    them with DuckDB: SELECT … FROM 'OUT/cohort/measurements/*/*.parquet'. The exit code is 1 if results are missing
    that the ledger speaks of.
    """
    from paraspinal.archive.collect import collect
    from paraspinal.cli.console import stage_progress

    with stage_progress(quiet=quiet) as tell:
        done = collect(out, processes=processes, with_csv=csv, progress=tell)
    if not quiet:
        rows = ", ".join(f"{name} {n}" for name, n in done.rows.items())
        typer.echo(f"{done.folder}: {rows} rows.")
    if done.unreadable:
        typer.echo(f"paraspinal: {_untaken(done.unreadable)}", err=True)
        raise typer.Exit(1)


def _untaken(cases: Sequence[str]) -> str:
    more = f" and {len(cases) - _SHOWN} more" if len(cases) > _SHOWN else ""
    return (
        f"{len(cases)} results that the ledger calls done are missing, of another run, or cannot be read:"
        f" {', '.join(cases[:_SHOWN])}{more}; run the batch again."
    )
