"""``paraspinal dashboard OUT``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paraspinal.cli.arguments import input_path


def dashboard_command(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", parser=input_path, help="The output folder of paraspinal batch.")
    ],
    processes: Annotated[int, typer.Option(min=1, max=64, help="Processes that read results.")] = 2,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Write OUT/dashboard.html: counts, failures by code, distributions, outliers, cases by EMH likelihood ratio.

    One file without any network address; its thumbnails open the reports beside it. Tables are collected first where
    the ledger has gone on since.
    """
    from paraspinal.archive.dashboard import write_dashboard

    page = write_dashboard(out, processes=processes)
    if not quiet:
        typer.echo(str(page))
