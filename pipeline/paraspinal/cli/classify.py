"""``paraspinal classify``: the differential on coded findings alone, one JSON object per case."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraspinal.cli.arguments import given_name
from paraspinal.errors import ParaspinalError, UsageError

if TYPE_CHECKING:
    from paraspinal.differential import DifferentialModel
    from paraspinal.result import Differential, Finding

STDIN = "-"
CHUNK = 2000
BAD_LINES = UsageError.exit_code
NO_CASE = (
    'This is no case. Write an object such as {"findings": {"fat": true}}; docs/findings.md. [case_form]'
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One case of the input, or why it could not be read."""

    place: str
    value: object = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    place: str
    id: object
    findings: tuple[Finding, ...]
    flags: tuple[str, ...]


def classify_command(
    file: Annotated[
        str, typer.Argument(parser=given_name, help="Cases as .json or .jsonl; - reads lines from stdin.")
    ],
    model: Annotated[
        str, typer.Option("--model", help="Model folder under models/, or a path.")
    ] = "emh-differential-1",
    prior: Annotated[str, typer.Option("--prior", help="Named prior of the model.")] = "uniform",
    context: Annotated[
        bool, typer.Option("--context/--no-context", help="Use clinical context given with a case, too.")
    ] = True,
) -> None:
    """Rank the differential of coded findings: one JSON object per case on stdout."""
    from paraspinal.differential import load_model

    chosen = load_model(model)
    chosen.prior_of(prior)
    bad = seen = 0
    batch: list[_Case] = []
    for entry in _entries(file):
        seen += 1
        case = _read(entry, chosen, context=context)
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


def _entries(file: str) -> Iterator[_Entry]:
    """Yield the cases of a file one by one: lines of JSON, or one JSON document with a case or a list."""
    path = Path(file)
    try:
        # In one piece, so that a file that is no text is refused before anything is printed.
        text = sys.stdin.read().removeprefix("\ufeff") if file == STDIN else path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is no text in UTF-8"
        raise UsageError(
            f"{file} cannot be read: {why}.",
            code="cases_unreadable",
            remedy="Give a .json or .jsonl file in UTF-8, or - for stdin.",
        ) from error
    if path.suffix.lower() != ".json":
        yield from _lines(text)
        return
    document = _parse("document", text)
    if isinstance(document.value, list) and not _is_one_case(document.value):
        yield from (_Entry(f"case {n}", value) for n, value in enumerate(document.value, start=1))
    else:
        yield document


def _lines(text: str) -> Iterator[_Entry]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _parse(f"line {number}", line)


def _parse(place: str, text: str) -> _Entry:
    try:
        return _Entry(place, json.loads(text, object_pairs_hook=_object))
    except json.JSONDecodeError as error:
        where = f"{error.msg} at line {error.lineno}, column {error.colno}"
        lines = " A file of several lines, a case each, is called .jsonl." if place == "document" else ""
        return _Entry(
            place, fault=f"This is not JSON: {where}. Write one JSON object.{lines} [case_not_json]"
        )
    except RecursionError:
        return _Entry(place, fault="This is nested too deeply. Write one JSON object. [case_not_json]")
    except UsageError as error:
        return _Entry(place, fault=error.one_line())


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object; of a field that stands in it twice, nobody knows which one is meant."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = ", ".join(dict.fromkeys(name for name in names if names.count(name) > 1))
        raise UsageError(
            f"One object holds {twice} more than once.",
            code="field_repeated",
            remedy="Write every field once.",
        )
    for name, value in pairs:
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(
                f"{name} cannot be {value}.",
                code="finding_value",
                remedy="Write null where nothing is known.",
            )
    return table


def _is_one_case(items: list[object]) -> bool:
    """Tell whether a list holds the findings of one case rather than cases."""
    return bool(items) and all(isinstance(item, Mapping) and "state" in item for item in items)


def _read(entry: _Entry, model: DifferentialModel, *, context: bool) -> _Case | str:
    """Return the case, or one line that says what is wrong with it."""
    from paraspinal.differential import findings_from_case

    if entry.fault is not None:
        return entry.fault
    value = {"findings": entry.value} if isinstance(entry.value, list) else entry.value
    if not isinstance(value, Mapping) or "findings" not in value:
        return NO_CASE
    try:
        found = findings_from_case(value)
    except ParaspinalError as error:
        return error.one_line()
    flags = value.get("flags") or ()
    if not isinstance(flags, list | tuple) or not all(isinstance(flag, str) for flag in flags):
        return "flags must be a list of texts. Correct it or leave it out. [case_form]"
    if not isinstance(value.get("id"), str | int | float | None):
        return "id must be a text or a number. Correct it or leave it out. [case_form]"
    kept = found if context else tuple(f for f in found if f.name not in model.context_findings)
    return _Case(entry.place, value.get("id"), kept, tuple(flags))


def _print(batch: list[_Case], model: DifferentialModel, prior: str) -> None:
    from paraspinal.differential import differentials_of

    ranked = differentials_of([c.findings for c in batch], model, prior=prior, flags=[c.flags for c in batch])
    for case, differential in zip(batch, ranked, strict=True):
        sys.stdout.write(_as_line(case, differential))


def _as_line(case: _Case, differential: Differential) -> str:
    identity = json.dumps(case.id if case.id is not None else case.place)
    return f'{{"id":{identity},{differential.model_dump_json()[1:]}\n'
