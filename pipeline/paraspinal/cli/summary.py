"""The one-screen summary of a result, outcome first."""

from __future__ import annotations

import textwrap
from pathlib import Path

from paraspinal.analysis.outcome import span
from paraspinal.report.levels import GUESS_BELOW, SURE_FROM, mass_certainty, mass_levels
from paraspinal.report.limits import limits
from paraspinal.report.numbers import counted, entity_name, percent
from paraspinal.result import AnalysisResult, Differential, MassResult, Measurements

_WIDTH = 100
_MAX_SENTENCES = 8
_MAX_LEFT_OUT = 3
_MASS_COLUMNS = "{:>3}  {:<8} {:<10} {:<22} {:>11}  {:<8} {}"


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
        *_with_context(result),
        *_corrections(result),
        *_company(result),
        *_series(result),
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
    head = _MASS_COLUMNS.format("#", "side", "levels", "size mm", "volume", "HU ± u", "leading entity")
    lines = [head, *(_mass_line(mass, result) for mass in result.masses), *_unnamed(result)]
    notes = ["u: one standard uncertainty"]
    if any(mass.differential.interval and not mass.differential.abstained.value for mass in result.masses):
        notes.append("brackets: 90 % credible interval")
    if any(mass_certainty(mass, result) < SURE_FROM for mass in result.masses):
        notes.append("?: level uncertain")
    return [*lines, _wrap("; ".join(notes) + ".", first="  ")]


def _with_context(result: AnalysisResult) -> list[str]:
    if result.differential_with_context is None:
        return []
    known = ", ".join(finding.name for finding in result.context)
    told = leading_entity(result.differential_with_context)
    return [_wrap(f"With clinical context ({known}): {told}.")]


def _corrections(result: AnalysisResult) -> list[str]:
    if not result.corrections:
        return []
    told = "; ".join(f"{c.target}: {c.after}" for c in result.corrections)
    return [_wrap(f"Changed by the user: {told}.")]


def _mass_line(mass: MassResult, result: AnalysisResult) -> str:
    m = mass.measurements
    size = " × ".join(number(m, key) for key in ("long_axis_mm", "short_axis_mm", "craniocaudal_mm"))
    state = "" if mass.state == "present" else "; mass indeterminate"
    return _MASS_COLUMNS.format(
        mass.id,
        mass.side,
        mass_levels(mass, result),
        size,
        f"{number(m, 'volume_ml', digits=1)} mL",
        with_uncertainty(m, "attenuation_mean_hu"),
        leading_entity(mass.differential) + state,
    )


def leading_entity(differential: Differential) -> str:
    """Return ``Lymphoma 51 % (30 to 70 %)``: the likeliest entity, its probability and its 90 % interval."""
    name = differential.leader
    if name is None or differential.posterior is None:
        return "none named"
    interval = (differential.interval or {}).get(name)
    told = "" if interval is None else f" ({percent(interval[0])} to {percent(interval[1])})"
    return f"{'EMH' if name == 'emh' else entity_name(name)} {percent(differential.posterior[name])}{told}"


def _unnamed(result: AnalysisResult) -> list[str]:
    """Return why no entity is named, mass by mass."""
    reasons: dict[str, list[str]] = {}
    for mass in result.masses:
        if mass.differential.abstained.value or mass.differential.posterior is None:
            reason = mass.differential.abstained.reason or "no reason was stated"
            reasons.setdefault(reason.rstrip("."), []).append(str(mass.id))
    return [
        _wrap(f"None named for {'mass' if len(ids) == 1 else 'masses'} {', '.join(ids)}: {why}.", first="  ")
        for why, ids in reasons.items()
    ]


def number(measurements: Measurements, key: str, *, digits: int = 0) -> str:
    """Return a measurement's value, ``≥ value`` for a lower bound, ``?`` where none was measured."""
    m = measurements.get(key)
    if m is None or m.value is None:
        return "?"
    return f"{'≥ ' if m.status == 'lower_bound' else ''}{m.value:.{digits}f}"


def with_uncertainty(measurements: Measurements, key: str) -> str:
    """Return ``45 ± 5``, with one standard uncertainty as in the report, or the value alone without any."""
    m = measurements.get(key)
    if m is None or m.value is None or m.uncertainty is None:
        return number(measurements, key)
    return f"{number(measurements, key)} ± {m.uncertainty.combined:.0f}"


def _company(result: AnalysisResult) -> list[str]:
    lines = []
    vertebrae = result.anatomy.vertebrae if result.anatomy else ()
    if vertebrae:
        least = min(v.confidence for v in vertebrae)
        names = span([v.label for v in vertebrae])
        if least < GUESS_BELOW:
            names = (
                f"{counted(len(vertebrae), 'vertebra', 'vertebrae')} of uncertain level (best guess {names})"
            )
        lines.append(f"Spine: {names}, lowest level confidence {100 * least:.0f} %")
    volumes = [
        f"{organ} {number(result.measurements, key)} mL"
        for organ, key in (("spleen", "spleen_volume_ml"), ("liver", "liver_volume_ml"))
        if key in result.measurements and number(result.measurements, key) != "?"
    ]
    if volumes:
        lines.append(f"Organs: {', '.join(volumes)}")
    return lines


def _series(result: AnalysisResult) -> list[str]:
    s, loading = result.series, result.loading
    kvp = "kVp unknown" if s.kvp is None else f"{s.kvp:.0f} kVp"
    lines = [
        f"Series: {counted(s.slices, 'slice')} of {s.spacing_mm[0]:.2f} mm, {kvp}, contrast {s.contrast_phase}; "
        f"loading {loading.verdict}"
    ]
    if loading.chosen_because:
        lines.append(_wrap(f"Taken because: {loading.chosen_because}"))
    if loading.left_out:
        lines.append("Left out (take one with --series):")
        lines += [_wrap(text, first="  - ", indent="    ") for text in loading.left_out[:_MAX_LEFT_OUT]]
        rest = len(loading.left_out) - _MAX_LEFT_OUT
        if rest > 0:
            lines.append(f"  - and {rest} more, see the report")
    return lines


def _missing(result: AnalysisResult) -> list[str]:
    found = limits(result)
    shown = [
        textwrap.shorten(s, 2 * _WIDTH - 10, placeholder=" … (see report)")
        for s in found.sentences[:_MAX_SENTENCES]
    ]
    lines = [_wrap(s, first="  - ", indent="    ") for s in shown]
    rest = len(found.sentences) - len(shown)
    if rest:
        lines.append(f"  - and {rest} more, see the report")
    for rows, why in ((found.by_scan, "in this scan"), (found.by_method, "by this version")):
        if rows:
            count = counted(
                sum(row.count for row in rows), "measurement or finding", "measurements or findings"
            )
            lines.append(f"  - {count} {why}, see the report")
    return ["Could not be assessed:", *lines] if lines else []
