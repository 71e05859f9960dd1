"""Findings that a user states, in the place of what was derived from measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from paraspinal.differential.cases import findings_from_case
from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.names import check_name
from paraspinal.errors import UsageError
from paraspinal.result import Correction, Finding, FindingState

STATED = "stated by the user"
_STATES: tuple[str, ...] = get_args(FindingState)


@dataclass(frozen=True, slots=True)
class Override:
    """A stated finding; `mass` is the id of the mass it is said of, None where the name alone tells."""

    finding: Finding
    mass: int | None = None


def parse_override(text: str) -> Override:
    """Read ``NAME=STATE`` or ``MASS:NAME=STATE``.

    STATE is present, absent, indeterminate or not_assessed; for a finding that is no yes or no it is its category
    or number (``margin=well``, ``size_mm=40``), or not_assessed.

    Raises
    ------
    UsageError
        ``override_invalid``, ``finding_unknown`` or ``finding_value``.
    """
    target, equals, value = (part.strip() for part in text.rpartition("="))
    number, colon, name = (part.strip() for part in target.rpartition(":"))
    if not equals or not name or not value or (colon and not number.isdecimal()):
        raise UsageError(
            f"{text!r} states no finding.",
            code="override_invalid",
            remedy="Write NAME=STATE, or MASS:NAME=STATE for one mass, as in 2:calcification=absent.",
        )
    return Override(_stated(name, value), int(number) if colon else None)


def _stated(name: str, value: str) -> Finding:
    kind = check_name(name)
    if value == "not_assessed":
        return Finding(name=name, kind=kind, state="not_assessed", reason=STATED)
    if kind == "boolean":
        if value not in _STATES:
            raise UsageError(
                f"{name} cannot be {value!r}.", code="override_invalid", remedy=f"Use {', '.join(_STATES)}."
            )
        sure = {"present": 1.0, "absent": 0.0}.get(value)
        state: FindingState = next(s for s in get_args(FindingState) if s == value)
        return Finding(name=name, kind="boolean", state=state, probability=sure, reason=STATED)
    coded = float(value) if kind == "numeric" and _is_number(value) else value
    found = next(f for f in findings_from_case({"findings": {name: coded}}) if f.name == name)
    return found.model_copy(update={"reason": STATED})


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Overridden:
    """Findings of the patient and of every mass (by id) after what the user stated, and the record of it."""

    patient: tuple[Finding, ...]
    masses: Mapping[int, tuple[Finding, ...]]
    records: tuple[Correction, ...]


def apply_overrides(
    overrides: Sequence[Override],
    patient: Sequence[Finding],
    masses: Mapping[int, Sequence[Finding]],
    model: DifferentialModel,
) -> Overridden:
    """Return the findings with those that a user states in place.

    A finding of another name that the model reads as the same thing (``discrete_high_density`` beside a stated
    ``calcification``) is set aside, and the record says what it said.

    Without a mass a name means the patient's finding; where only masses have it, that of every mass; and where
    nobody has it (``nf1``, ``known_anemia``), it becomes the patient's.

    Raises
    ------
    UsageError
        ``mass_unknown``.
    """
    own = tuple(patient)
    each = {number: tuple(findings) for number, findings in masses.items()}
    records: list[Correction] = []
    for override in overrides:
        if override.mass is not None and override.mass not in each:
            listed = ", ".join(map(str, sorted(each))) or "none"
            raise UsageError(
                f"There is no mass {override.mass} to state {override.finding.name} of.",
                code="mass_unknown",
                remedy=f"Masses found: {listed}.",
            )
        name = override.finding.name
        of_masses = [n for n, findings in each.items() if any(f.name == name for f in findings)]
        if override.mass is not None:
            targets: list[int | None] = [override.mass]
        elif of_masses and not any(f.name == name for f in own):
            targets = list(of_masses)
        else:
            targets = [None]
        for target in targets:
            found = own if target is None else each[target]
            changed, before = _with(found, override.finding, _same_thing(name, model))
            if target is None:
                own = changed
            else:
                each[target] = changed
            scope = "patient" if target is None else f"mass {target}"
            records.append(
                Correction(
                    kind="override", target=f"{scope}: {name}", before=before, after=_told(override.finding)
                )
            )
    return Overridden(own, each, tuple(records))


def _same_thing(name: str, model: DifferentialModel) -> frozenset[str]:
    """Return the other findings that the model reads as the same variable."""
    read = [set(variable.readings or (key,)) for key, variable in model.variables.items()]
    return frozenset(other for names in read if name in names for other in names) - {name}


def _with(
    findings: Sequence[Finding], stated: Finding, same: frozenset[str]
) -> tuple[tuple[Finding, ...], str]:
    """Findings with `stated` in place of those of its name and without those of `same`, and what those said."""
    aside = [f for f in findings if f.name in same and f.state != "not_assessed"]
    before = [f for f in findings if f.name == stated.name]
    told = "; ".join([*map(_told, before), *(f"{f.name} {_told(f)}" for f in aside)])
    out = [stated if f.name == stated.name else _set_aside(f, stated) if f in aside else f for f in findings]
    return tuple(out if before else [*out, stated]), told or "not among the findings"


def _set_aside(finding: Finding, stated: Finding) -> Finding:
    reason = f"{STATED}: {stated.name}"
    return Finding(
        name=finding.name,
        kind=finding.kind,
        state="not_assessed",
        measurements=finding.measurements,
        reason=reason,
    )


def _told(finding: Finding) -> str:
    value = "" if finding.value is None else f" {finding.value}"
    sure = "" if finding.probability is None else f" (probability {finding.probability:.2f})"
    return f"{finding.state}{value}{sure}"
