"""``paraspinal locate OUT CASE…``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraspinal.cli.arguments import input_path, series_name

if TYPE_CHECKING:
    from paraspinal.archive.locate import Located


def locate_command(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", parser=input_path, help="The output folder of paraspinal batch.")
    ],
    cases: Annotated[
        list[str],
        typer.Argument(
            metavar="CASE…",
            parser=series_name,
            help="Digests of cases, as the page and the tables have them.",
        ),
    ],
    catalogue: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=input_path,
            help="The catalogue that the batch was given; OUT/private/catalogue.sqlite without it.",
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=input_path, help="Make sure that the catalogue was made with this key."
        ),
    ] = None,
    identifiers: Annotated[
        bool, typer.Option("--identifiers", help="Tell Series Instance UIDs, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Tell where the series of cases lie: the way back from a digest on the page or in a table to the images.

    It is known to the catalogue alone, which stays with its owner. What is printed names places: keep it private.
    """
    from paraspinal.archive.keys import load_key
    from paraspinal.archive.locate import locate

    known = None if key is None else load_key(key)
    found = locate(out, cases, catalogue=catalogue, key=known, identifiers=identifiers)
    typer.echo(_json(found, identifiers=identifiers) if as_json else "\n".join(map(_lines, found)))


def _json(found: list[Located], *, identifiers: bool) -> str:
    import json
    from dataclasses import asdict

    rows = [asdict(one) for one in found]
    if not identifiers:
        for row in rows:
            del row["uid"]
    return json.dumps(rows, indent=1)


def _lines(one: Located) -> str:
    facts = [
        *([f"--series {one.series}"] if one.series else []),
        *([f"UID {one.uid}"] if one.uid else []),
    ]
    places = [f"  {_shown(p.path)}" + (f"  ({p.files} files)" if p.files > 1 else "") for p in one.places]
    return "\n".join(["  ".join([one.case, *facts]), *places])


def _shown(path: str) -> str:
    """Return a path for the terminal; what could do something there, or is no text, stands escaped in quotes."""
    import json

    return path if path.isprintable() else json.dumps(path)
