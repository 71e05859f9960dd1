"""``paraspinal classify``: the differential on coded findings alone, one JSON object per case."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraspinal.cli.arguments import given_name, input_path
from paraspinal.cli.case_input import STDIN, read_text
from paraspinal.errors import ParaspinalError, UsageError

if TYPE_CHECKING:
    from paraspinal.differential import DifferentialModel
    from paraspinal.differential.case_files import Entry
    from paraspinal.result import Differential, Finding

CHUNK = 2000
BAD_LINES = UsageError.exit_code
NO_CASE = (
    'This is no case. Write an object such as {"findings": {"fat": true}}; docs/findings.md. [case_form]'
)


@dataclass(frozen=True, slots=True)
class _Case:
    place: str
    id: object
    findings: tuple[Finding, ...]
    imaging: tuple[Finding, ...] | None
    flags: tuple[str, ...]


def classify_command(
    file: Annotated[
        str,
        typer.Argument(
            parser=given_name, help="Cases as .json, .jsonl or .csv; - reads lines of JSON from stdin."
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", help="Model folder under models/, or a path.")
    ] = "emh-differential-1",
    prior: Annotated[str, typer.Option("--prior", help="Named prior of the model.")] = "uniform",
    context: Annotated[
        Path | None,
        typer.Option(
            "--context",
            metavar="FILE",
            parser=input_path,
            help="Clinical context (JSON or TOML) of the one case in the file, beside what the case itself holds.",
        ),
    ] = None,
    no_context: Annotated[
        bool, typer.Option("--no-context", help="Leave out clinical context that comes with a case.")
    ] = False,
) -> None:
    """Rank the differential of coded findings: one JSON object per case on stdout.

    Where a case brings clinical context (age, sex, known disease, fever …), the answer is that with context, and
    imaging_only beside it is that without. docs/findings.md lists the names and shows both forms of a case.
    """
    from paraspinal.differential import load_model, read_context

    if context is not None and no_context:
        raise UsageError(
            "--context and --no-context exclude each other.", code="usage", remedy="Give one of them."
        )
    chosen = load_model(model)
    chosen.prior_of(prior)
    known = () if context is None else read_context(context)
    bad = seen = 0
    batch: list[_Case] = []
    for entry in _entries(file):
        seen += 1
        if known and seen > 1:
            raise UsageError(
                "--context speaks of one case, and the file holds several.",
                code="context_of_many",
                remedy="Write a context table into each case, or give a file with one case.",
            )
        case = _read(entry, chosen, known, no_context=no_context)
        if isinstance(case, str):
            bad += 1
            typer.echo(f"paraspinal: {entry.place}: {case}", err=True)
            continue
        batch.append(case)
        if len(batch) == CHUNK:
            _print(batch, chosen, prior)
            batch = []
    _print(batch, chosen, prior)
    if not seen:
        raise UsageError(
            f"{'stdin' if file == STDIN else file} holds no case.",
            code="no_cases",
            remedy="Give one JSON object per line, or a .json file; docs/findings.md shows the form.",
        )
    if bad:
        raise typer.Exit(BAD_LINES)


def _entries(file: str) -> Iterator[Entry]:
    """Yield the cases of a file, or of lines on stdin, one by one."""
    from paraspinal.differential.case_files import entries

    yield from entries("stdin.jsonl" if file == STDIN else file, read_text(file))


def _read(
    entry: Entry, model: DifferentialModel, known: tuple[Finding, ...], *, no_context: bool
) -> _Case | str:
    """Return the case, or one line that says what is wrong with it."""
    from paraspinal.differential import findings_from_case, with_context

    if entry.fault is not None:
        return entry.fault
    value = {"findings": entry.value} if isinstance(entry.value, list) else entry.value
    if not isinstance(value, Mapping) or "findings" not in value:
        return NO_CASE
    try:
        found = with_context(findings_from_case(value), known)
    except ParaspinalError as error:
        return error.one_line()
    flags = value.get("flags") or ()
    if not isinstance(flags, list | tuple) or not all(isinstance(flag, str) for flag in flags):
        return "flags must be a list of texts. Correct it or leave it out. [case_form]"
    if not isinstance(value.get("id"), str | int | float | None):
        return "id must be a text or a number. Correct it or leave it out. [case_form]"
    imaging = tuple(f for f in found if f.name not in model.context_findings)
    both = not no_context and len(imaging) < len(found)
    return _Case(
        entry.place, value.get("id"), found if both else imaging, imaging if both else None, tuple(flags)
    )


def _print(batch: list[_Case], model: DifferentialModel, prior: str) -> None:
    from paraspinal.differential import differentials_of

    flags = [case.flags for case in batch]
    ranked = differentials_of([case.findings for case in batch], model, prior=prior, flags=flags)
    twice = [case for case in batch if case.imaging is not None]
    alone = differentials_of(
        [case.imaging or () for case in twice], model, prior=prior, flags=[case.flags for case in twice]
    )
    plain = dict(zip(map(id, twice), alone, strict=True))
    for case, differential in zip(batch, ranked, strict=True):
        sys.stdout.write(_as_line(case, differential, plain.get(id(case))))


def _as_line(case: _Case, differential: Differential, imaging: Differential | None) -> str:
    identity = json.dumps(case.id if case.id is not None else case.place)
    beside = "" if imaging is None else f',"imaging_only":{imaging.model_dump_json()}'
    return f'{{"id":{identity},{differential.model_dump_json()[1:-1]}{beside}}}\n'
