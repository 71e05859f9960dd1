"""The one-screen summary of a result, outcome first."""

from __future__ import annotations

import textwrap
from pathlib import Path

from paraspinal.analysis.outcome import span
from paraspinal.analysis.table import leading_entity
from paraspinal.result import AnalysisResult, MassResult, Measurements

_WIDTH = 100
_MAX_SENTENCES = 8
_MASS_COLUMNS = "{:>3}  {:<8} {:<10} {:<20} {:>10}  {:<14} {}"


def summary(result: AnalysisResult, *, report: Path) -> str:
    """Return the summary as text.

    Parameters
    ----------
    result : AnalysisResult
        What is told.
    report : Path
        Where the full report lies.
    """
    blocks = [
        _wrap(f"{result.outcome.upper().replace('_', ' ')}: {result.outcome_reason}"),
        *_masses(result),
        *_company(result),
        *_missing(result),
        f"Report: {report}",
        _wrap(result.research_use_only),
    ]
    return "\n".join(blocks)


def _wrap(text: str, *, indent: str = "  ", first: str = "") -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=indent)


def _masses(result: AnalysisResult) -> list[str]:
    if not result.masses:
        return []
    head = _MASS_COLUMNS.format("#", "side", "levels", "size mm", "volume", "HU", "leading entity")
    return [head, *(_mass_line(mass) for mass in result.masses)]


def _mass_line(mass: MassResult) -> str:
    m = mass.measurements
    size = " × ".join(number(m, key) for key in ("long_axis_mm", "short_axis_mm", "craniocaudal_mm"))
    state = "" if mass.state == "present" else " (indeterminate)"
    return _MASS_COLUMNS.format(
        mass.id,
        mass.side,
        "–".join(dict.fromkeys(mass.levels)),
        size,
        f"{number(m, 'volume_ml', digits=1)} mL",
        with_uncertainty(m, "attenuation_mean_hu"),
        leading_entity(mass) + state,
    )


def number(measurements: Measurements, key: str, *, digits: int = 0) -> str:
    """Return a measurement's value, ``≥ value`` for a lower bound, ``?`` where none was measured."""
    m = measurements.get(key)
    if m is None or m.value is None:
        return "?"
    return f"{'≥ ' if m.status == 'lower_bound' else ''}{m.value:.{digits}f}"


def with_uncertainty(measurements: Measurements, key: str) -> str:
    """Return ``45 ± 8`` (95 %), or the value alone where no uncertainty is known."""
    m = measurements.get(key)
    if m is None or m.value is None or m.uncertainty is None:
        return number(measurements, key)
    return f"{m.value:.0f} ± {m.uncertainty.k * m.uncertainty.combined:.0f}"


def _company(result: AnalysisResult) -> list[str]:
    lines = []
    vertebrae = result.anatomy.vertebrae if result.anatomy else ()
    if vertebrae:
        least = min(v.confidence for v in vertebrae)
        names = span([v.label for v in vertebrae])
        if least < 0.5:  # a name less likely than not is no name
            names = f"{len(vertebrae)} vertebrae of uncertain level (best guess {names})"
        lines.append(f"Spine: {names}, lowest level confidence {100 * least:.0f} %")
    volumes = [
        f"{organ} {number(result.measurements, key)} mL"
        for organ, key in (("spleen", "spleen_volume_ml"), ("liver", "liver_volume_ml"))
        if key in result.measurements and number(result.measurements, key) != "?"
    ]
    if volumes:
        lines.append(f"Organs: {', '.join(volumes)}")
    s = result.series
    kvp = "kVp unknown" if s.kvp is None else f"{s.kvp:.0f} kVp"
    lines.append(
        f"Series: {s.slices} slices of {s.spacing_mm[0]:.2f} mm, {kvp}, contrast {s.contrast_phase}; "
        f"loading {result.loading.verdict}"
    )
    if result.loading.chosen_because:
        lines.append(_wrap(f"Taken because: {result.loading.chosen_because}"))
    return lines


def _missing(result: AnalysisResult) -> list[str]:
    sentences = result.not_assessed
    if not sentences:
        return []
    shown = [
        textwrap.shorten(s, 2 * _WIDTH - 10, placeholder=" … (see report)")
        for s in sentences[:_MAX_SENTENCES]
    ]
    lines = ["Could not be assessed:", *(_wrap(s, first="  - ", indent="    ") for s in shown)]
    rest = len(sentences) - len(shown)
    return [*lines, f"  - and {rest} more, see the report"] if rest else lines
