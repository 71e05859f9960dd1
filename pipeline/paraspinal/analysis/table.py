"""The measurements of a result as rows, for data frames and notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from paraspinal.result import AnalysisResult, MassResult, Measurement, Measurements

_HTML_KEYS = ("volume_ml", "long_axis_mm", "attenuation_mean_hu")


class MeasurementRow(NamedTuple):
    """One measurement, and whose it is (`patient`, `mass 1`, `T9`)."""

    scope: str
    name: str
    value: float | None
    unit: str
    status: str
    reason: str | None
    type_a: float | None
    type_b: float | None
    detection_limit: float | None


def measurement_scopes(result: AnalysisResult) -> Iterator[tuple[str, Measurements]]:
    """Yield every set of measurements with its scope: the patient, each mass, each vertebra."""
    yield "patient", result.measurements
    for mass in result.masses:
        yield f"mass {mass.id}", mass.measurements
    for vertebra in result.anatomy.vertebrae if result.anatomy else ():
        yield vertebra.label, vertebra.measurements
    for rib in result.anatomy.ribs if result.anatomy else ():
        yield rib.label, rib.measurements


def measurement_rows(result: AnalysisResult) -> list[MeasurementRow]:
    """Return every measurement of a result, in the order of `measurement_scopes`."""
    return [
        _row(scope, name, measurement)
        for scope, measurements in measurement_scopes(result)
        for name, measurement in measurements.items()
    ]


def _row(scope: str, name: str, m: Measurement) -> MeasurementRow:
    a, b = (m.uncertainty.type_a, m.uncertainty.type_b) if m.uncertainty else (None, None)
    return MeasurementRow(scope, name, m.value, m.unit, m.status, m.reason, a, b, m.detection_limit)


def html_table(result: AnalysisResult) -> str:
    """Return a compact HTML view: outcome, masses, leading entities, what could not be assessed."""
    head = "".join(f"<th>{escape(t)}</th>" for t in ("mass", "side", "levels", *_HTML_KEYS, "leading entity"))
    rows = "".join(_html_mass(mass) for mass in result.masses)
    missing = "".join(f"<li>{escape(sentence)}</li>" for sentence in result.not_assessed)
    return (
        f"<div><p><b>{escape(result.outcome)}</b>: {escape(result.outcome_reason)}</p>"
        + (f"<table><tr>{head}</tr>{rows}</table>" if rows else "")
        + (
            f"<details><summary>Not assessed ({len(result.not_assessed)})</summary><ul>{missing}</ul></details>"
        )
        + f"<p><small>{escape(result.research_use_only)}</small></p></div>"
    )


def _html_mass(mass: MassResult) -> str:
    numbers = [_html_number(mass.measurements.get(key)) for key in _HTML_KEYS]
    cells = (str(mass.id), mass.side, "–".join(dict.fromkeys(mass.levels)), *numbers, leading_entity(mass))
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _html_number(measurement: Measurement | None) -> str:
    if measurement is None or measurement.value is None:
        return "not assessed"
    bound = "≥ " if measurement.status == "lower_bound" else ""
    return f"{bound}{measurement.value:.3g}"


def leading_entity(mass: MassResult) -> str:
    """Return the likeliest entity of a mass with its probability and odds, or why there is none."""
    differential = mass.differential
    name = differential.leader
    if name is None or differential.posterior is None:
        return f"none named ({differential.abstained.reason or 'no posterior'})"
    p = differential.posterior[name]
    return f"{name} {100 * p:.0f} % (odds {odds(p)})"


def odds(probability: float) -> str:
    """Return a probability as odds against the rest: ``3.2:1`` or ``1:4.0``."""
    if probability >= 1.0:
        return "over 999:1"
    ratio = probability / (1.0 - probability)
    if ratio >= 1.0:
        return f"{ratio:.1f}:1" if ratio < 999 else "over 999:1"
    return f"1:{1.0 / ratio:.1f}" if ratio > 1e-3 else "under 1:999"
