"""``paraspinal index ARCHIVE``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paraspinal.cli.arguments import given_name, given_path, input_path, loading_settings


def index_command(
    archive: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", parser=input_path, help="The folder that holds the archive.")
    ],
    catalogue: Annotated[
        Path,
        typer.Option(
            "--catalogue",
            "-o",
            metavar="FILE",
            parser=given_path,
            help="The catalogue (SQLite); made or brought up to date. It holds paths and UIDs: keep it private.",
        ),
    ],
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=given_path,
            help="Key by which series are named outside the catalogue; CATALOGUE.key without it, made if missing.",
        ),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            metavar="PROFILE", parser=given_name, help="Name of a profile, or the path of a TOML file."
        ),
    ] = "default",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Make a catalogue of a tree of any size: its series, and how well each suits the analysis, from headers alone.

    Folders that did not change are not read again; an interrupted run goes on. select and batch work from it.
    """
    import json
    from dataclasses import asdict

    from paraspinal.archive import index_archive, load_key
    from paraspinal.cli.console import stage_progress

    names = load_key(key or catalogue.with_name(catalogue.name + ".key"))
    with stage_progress(quiet=quiet or as_json) as tell:
        done = index_archive(
            archive, catalogue, key=names, config=loading_settings(config, None), progress=tell
        )
    if as_json:
        typer.echo(json.dumps(asdict(done), indent=1))
    elif not quiet:
        counts = done.counts
        typer.echo(
            f"{counts['series']} series in {counts['files']} files, {counts['suitable']} of them can be analysed.\n"
            f"Folders: {done.read} read, {done.unchanged} unchanged, {done.gone} places gone; {done.seconds:.1f} s."
        )
