"""What could not be assessed, sorted for a reader: what concerns this scan, and what this version never does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from paraspinal.report.numbers import counted, measure_name
from paraspinal.result import AnalysisResult, Measurements

_LISTED = ("Not measured (", "Not judged (")
"""How the sentences begin that only list measurements and findings; the result holds each with its reason, too."""
_METHOD = "this version"
_NO_VALUE = frozenset({"not_assessed", "not_in_view", "failed"})


@dataclass(frozen=True, slots=True)
class MissingRow:
    """Measurements and findings that have no value for one reason, and where."""

    reason: str
    measures: str
    where: str
    count: int


@dataclass(frozen=True, slots=True)
class Limits:
    """``sentences`` concern the scan as a whole; the rows are measurements and findings without a value."""

    sentences: tuple[str, ...]
    by_scan: tuple[MissingRow, ...]
    by_method: tuple[MissingRow, ...]

    @property
    def groups(self) -> tuple[tuple[str, tuple[MissingRow, ...]], ...]:
        """Return the rows as (heading, rows), empty groups left out."""
        groups = (
            ("Measurements and findings that this scan or mass could not give", self.by_scan),
            ("Measurements and findings that this version of the software does not make", self.by_method),
        )
        return tuple(group for group in groups if group[1])


def limits(result: AnalysisResult) -> Limits:
    """Return what could not be assessed."""
    rows = _missing_rows(result)
    return Limits(
        sentences=tuple(s for s in result.not_assessed if not s.startswith(_LISTED)),
        by_scan=tuple(row for row in rows if _METHOD not in row.reason.lower()),
        by_method=tuple(row for row in rows if _METHOD in row.reason.lower()),
    )


def limits_text(found: Limits) -> str:
    """Return how many limits there are, in one phrase."""
    parts = []
    if found.sentences:
        parts.append(counted(len(found.sentences), "limitation"))
    reasons = len(found.by_scan) + len(found.by_method)
    if reasons:
        parts.append(f"measurements or findings without a value ({counted(reasons, 'reason')})")
    return " and ".join(parts)


def _missing_rows(result: AnalysisResult) -> list[MissingRow]:
    """Group by reason, so that one reason is said once."""
    found: dict[str, dict[str, list[str]]] = {}
    for scope, key, reason in _missing(result):
        found.setdefault(reason, {}).setdefault(key, []).append(scope)
    return [
        MissingRow(
            _sentence(reason), "; ".join(dict.fromkeys(map(measure_name, keys))), _where(keys), len(keys)
        )
        for reason, keys in found.items()
    ]


def _missing(result: AnalysisResult) -> Iterator[tuple[str, str, str]]:
    """Yield (scope, key, reason) of measurements without a value and of findings that rest on none."""
    for scope, measurements in _scopes(result):
        for key, m in measurements.items():
            if m.status in _NO_VALUE:
                yield scope, key, m.reason or m.status.replace("_", " ")
    for scope, findings in (
        ("patient", result.findings),
        *((f"mass {m.id}", m.findings) for m in result.masses),
    ):
        for f in findings:
            if f.state == "not_assessed" and not f.measurements:
                yield scope, f.name, f.reason or "no reason was stated"


def _scopes(result: AnalysisResult) -> Iterator[tuple[str, Measurements]]:
    yield "patient", result.measurements
    for mass in result.masses:
        yield f"mass {mass.id}", mass.measurements
    for vertebra in result.anatomy.vertebrae if result.anatomy else ():
        yield vertebra.label, vertebra.measurements


def _where(keys: dict[str, list[str]]) -> str:
    return ", ".join(dict.fromkeys(scope for scopes in keys.values() for scope in scopes))


def _sentence(reason: str) -> str:
    text = reason.rstrip(".")
    return text[:1].upper() + text[1:]
