"""``paraspinal analyze INPUT -o OUT``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraspinal.cli.arguments import PolicyName, given_name, given_path, input_path, series_name

if TYPE_CHECKING:
    from paraspinal.analysis import Analysis


def analyze_command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            parser=input_path,
            help="A folder, a DICOM file, a DICOMDIR, a zip, or a NIfTI, NRRD or MetaImage file.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", parser=given_path, help="Folder for the result.")
    ],
    series: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            parser=series_name,
            help="Series to take: its UID, its number, or the first digits of its digest.",
        ),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            metavar="PROFILE", parser=given_name, help="Name of a profile, or the path of a TOML file."
        ),
    ] = "default",
    policy: Annotated[
        PolicyName | None,
        typer.Option(
            help="What to do with a defective series: repair what is geometrically certain, or refuse it (strict)."
            " The profile says so otherwise: repair."
        ),
    ] = None,
    identifiers: Annotated[
        bool, typer.Option("--identifiers", help="Write UIDs into result.json, not their digests alone.")
    ] = False,
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
    analysis = _analyze(
        source, out, series=series, config=config, policy=policy, identifiers=identifiers, quiet=quiet
    )
    save_analysis(analysis, out, force=force)
    if as_json:
        typer.echo(analysis.to_json(), nl=False)
    elif not quiet:
        from paraspinal.cli.summary import summary

        typer.echo(summary(analysis.result, report=out / "report.html"))


def _analyze(
    source: Path,
    out: Path,
    *,
    series: str | None,
    config: str,
    policy: PolicyName | None,
    identifiers: bool,
    quiet: bool,
) -> Analysis:
    """Run the analysis; a refused input leaves its ``refusal.json`` and goes on as the error it is."""
    from paraspinal.analysis import analyze
    from paraspinal.cli.console import stage_progress
    from paraspinal.errors import LoadError
    from paraspinal.saving import save_refusal

    try:
        with stage_progress(quiet=quiet) as progress:
            return analyze(
                source,
                series=series,
                config=config,
                policy=None if policy is None else policy.value,
                identifiers=identifiers,
                progress=progress,
            )
    except LoadError as error:
        save_refusal(error, out)
        raise
