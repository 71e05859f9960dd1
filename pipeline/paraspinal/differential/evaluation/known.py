"""Coded cases with a known diagnosis."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from paraspinal.differential.case_files import Entry, entries
from paraspinal.differential.cases import findings_from_case
from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.names import CONTEXT_FIELDS, LEVEL_FIELDS
from paraspinal.errors import ParaspinalError, UsageError
from paraspinal.result import Entity, Finding

TISSUE = "tissue"
"""How a ``confirmation_class`` begins where tissue, culture or surgery made the diagnosis."""
_NOT_COUNTED = {*LEVEL_FIELDS, "level", *CONTEXT_FIELDS, *CONTEXT_FIELDS.values()}


@dataclass(frozen=True, slots=True)
class KnownCase:
    """A coded case and its diagnosis.

    ``kind`` is the sub-kind, where the case names one that the model has; ``tissue`` tells whether tissue, culture or
    surgery made the diagnosis; ``stated`` counts its findings other than levels and context.
    """

    name: str
    findings: tuple[Finding, ...]
    entity: Entity
    kind: str | None
    tissue: bool
    stated: int

    def imaging(self, model: DifferentialModel) -> tuple[Finding, ...]:
        """Return its findings without clinical context."""
        return tuple(f for f in self.findings if f.name not in model.context_findings)


def known_cases(
    name: str, text: str, model: DifferentialModel
) -> tuple[tuple[KnownCase, ...], tuple[str, ...]]:
    """Return the cases of a file's text and one line for each that could not be read.

    A case is as `paraspinal.differential.findings_from_case` takes it, with ``diagnosis``: an entity, or
    ``entity:sub-kind``. ``confirmation_class`` is optional.
    """
    cases: list[KnownCase] = []
    faults: list[str] = []
    for entry in entries(name, text):
        try:
            cases.append(_known(entry, model))
        except ParaspinalError as error:
            faults.append(f"{entry.place}: {error.one_line()}")
    return tuple(cases), tuple(faults)


def _known(entry: Entry, model: DifferentialModel) -> KnownCase:
    if entry.fault is not None:
        raise UsageError(entry.fault.rstrip("."), code="case_form", remedy="See docs/findings.md.")
    value = entry.value
    if not isinstance(value, Mapping) or "findings" not in value:
        raise UsageError(
            "This is no case.",
            code="case_form",
            remedy='Write an object such as {"diagnosis": "emh", "findings": {"fat": true}}.',
        )
    entity, kind = _diagnosis(value.get("diagnosis"), model)
    return KnownCase(
        name=str(value.get("id") if value.get("id") is not None else entry.place),
        findings=findings_from_case(value),
        entity=entity,
        kind=kind,
        tissue=str(value.get("confirmation_class") or "").startswith(TISSUE),
        stated=_stated(value["findings"]),
    )


def _diagnosis(value: object, model: DifferentialModel) -> tuple[Entity, str | None]:
    names: tuple[Entity, ...] = get_args(Entity)
    entity, _, kind = str(value or "").strip().partition(":")
    known = next((name for name in names if name == entity), None)
    if known is None:
        close = difflib.get_close_matches(entity, names, n=1, cutoff=0.4)
        hint = f"Did you mean {close[0]}? " if close else ""
        raise UsageError(
            f"There is no diagnosis {value!r}." if value else "The case has no diagnosis.",
            code="diagnosis_unknown",
            remedy=f"{hint}Write one of {', '.join(names)}, or entity:sub-kind.",
        )
    return known, kind if kind in model.entities[known].kinds else None


def _stated(findings: object) -> int:
    """Count what is told of the images, levels left out."""
    if isinstance(findings, Mapping):
        told = [str(name) for name, value in findings.items() if value is not None]
    elif isinstance(findings, Sequence) and not isinstance(findings, str | bytes):
        told = [
            str(f.get("name"))
            for f in findings
            if isinstance(f, Mapping) and f.get("state") != "not_assessed"
        ]
    else:
        told = []
    return sum(name not in _NOT_COUNTED for name in told)
