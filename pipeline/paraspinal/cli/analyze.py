"""``paraspinal analyze INPUT -o OUT``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from paraspinal.analysis import Analysis


def analyze_command(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A folder, a DICOM file, a zip, or a NIfTI file.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the result.")],
    series: Annotated[
        str | None,
        typer.Option(help="Series to take: its UID, its number, or the first digits of its digest."),
    ] = None,
    config: Annotated[str, typer.Option(help="Name of a profile, or the path of a TOML file.")] = "default",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing result.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print result.json instead of the summary.")
    ] = False,
) -> None:
    """Analyse one CT series and write result.json, report.html and label maps."""
    # Imported here, so that --help needs none of the numerical libraries.
    from paraspinal.saving import check_destination, save_analysis

    check_destination(out, force=force)
    analysis = _analyze(source, out, series=series, config=config, quiet=quiet)
    save_analysis(analysis, out, force=force)
    if as_json:
        typer.echo(analysis.to_json(), nl=False)
    elif not quiet:
        from paraspinal.cli.summary import summary

        typer.echo(summary(analysis.result, report=out / "report.html"))


def _analyze(source: Path, out: Path, *, series: str | None, config: str, quiet: bool) -> Analysis:
    """Run the analysis; a refused input leaves its ``refusal.json`` and goes on as the error it is."""
    from paraspinal.analysis import analyze
    from paraspinal.cli.console import stage_progress
    from paraspinal.errors import LoadError
    from paraspinal.saving import save_refusal

    try:
        with stage_progress(quiet=quiet) as progress:
            return analyze(source, series=series, config=config, progress=progress)
    except LoadError as error:
        save_refusal(error, out)
        raise
