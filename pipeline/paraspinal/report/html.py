"""``report.html``: one file with everything in it, that asks no network for anything.

Text of DICOM headers is hostile input: jinja2 escapes every value, control and direction-changing characters are
taken out of it, and a content security policy forbids scripts and any address but ``data:`` pictures.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from paraspinal.report import drawing, gallery, tables
from paraspinal.report.evidence import DifferentialView, differential_view
from paraspinal.report.gallery import Picture
from paraspinal.report.levels import GUESS_BELOW, SURE_FROM, mass_certainty, mass_levels, uncertain_labels
from paraspinal.report.limits import limits, limits_text
from paraspinal.report.numbers import percent, shares, size_text, with_unit, words
from paraspinal.report.rib_table import rib_rows
from paraspinal.report.types import AnalysisLike
from paraspinal.result import AnalysisResult, MassResult

_OUTCOMES = {
    "mass": "Mass beside the spine",
    "no_mass": "No mass beside the spine where it was assessed",
    "inconclusive": "Inconclusive",
    "not_assessable": "Not assessable",
}
# Control, format (bidirectional overrides), surrogate and private-use characters show nothing, or mislead.
_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Co"})
_KEPT = frozenset("\n\t")


def write_report(path: Path, analysis: AnalysisLike) -> None:
    """Write the report of an analysis to `path`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path.write_text(render_html(analysis), encoding="utf-8")


def render_html(analysis: AnalysisLike) -> str:
    """Return the report as the text of one HTML file."""
    template = _environment().get_template("report.html")
    return template.render(**_context(analysis))


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("paraspinal.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """Return a value without characters that show nothing or turn the direction of text."""
    if not isinstance(value, str) or isinstance(value, Markup) or (value.isascii() and value.isprintable()):
        return value
    return "".join(c for c in value if c in _KEPT or unicodedata.category(c) not in _UNSHOWN)


def _context(analysis: AnalysisLike) -> dict[str, Any]:
    result = analysis.result
    vertebrae = result.anatomy.vertebrae if result.anatomy else ()
    missing = limits(result)
    return {
        "result": result,
        "headline": _OUTCOMES[result.outcome],
        "acquisition": tables.acquisition_rows(
            result.series, analysis.quality, analysis.volume.geometry.shape
        ),
        "overview": gallery.overview_pictures(analysis),
        "spine_picture": gallery.spine_picture(analysis),
        "cortex_picture": gallery.cortex_picture(analysis),
        "organ_picture": gallery.organ_picture(analysis),
        "has_anatomy": analysis.anatomy is not None,
        "legend": [_swatch(mass, result) for mass in result.masses],
        "masses": [_mass_section(analysis, mass) for mass in result.masses],
        "check_pictures": [] if result.masses else gallery.check_pictures(analysis),
        "differential": differential_view(result.differential),
        "mass_differentials": _mass_differentials(result),
        "with_context": _with_context(result),
        "judged_by": _judged_by(result),
        "patient_rows": tables.measure_rows(result.measurements),
        "patient_findings": tables.finding_rows(result.findings),
        "organs": tables.organ_rows(result),
        "limits": missing,
        "limits_text": limits_text(missing),
        "spine": tables.vertebra_table(vertebrae, uncertain_below=SURE_FROM),
        "ribs": rib_rows(result.anatomy.ribs if result.anatomy else ()),
        "explained": tables.explained_rows(result.explained_away, result),
        "coverage": tables.coverage_rows(result.coverage, uncertain=uncertain_labels(result)),
        "seconds": _seconds(result),
    }


@dataclass(frozen=True, slots=True)
class Swatch:
    """The name and colour of a mass in the pictures."""

    id: int
    text: str
    colour: str
    dashed: bool


def _swatch(mass: MassResult, result: AnalysisResult) -> Swatch:
    colour = "#{:02x}{:02x}{:02x}".format(*drawing.mass_colour(mass.id))
    text = f"Mass {mass.id}: {mass.side}, {mass_levels(mass, result)}"
    return Swatch(mass.id, text, colour, mass.state == "indeterminate")


@dataclass(frozen=True, slots=True)
class MassSection:
    """One mass as its section shows it."""

    swatch: Swatch
    facts: tuple[tuple[str, str], ...]
    pictures: tuple[tuple[str, list[Picture]], ...]
    rows: list[tables.MeasureRow]
    texture: list[tables.MeasureRow]
    findings: list[tables.FindingRow]


def _mass_section(analysis: AnalysisLike, m: MassResult) -> MassSection:
    found = next((mass for mass in analysis.search.masses if mass.id == m.id), None)
    pictured = (
        found is not None and [x.id for x in analysis.result.masses].index(m.id) < gallery.MAX_PICTURED_MASSES
    )
    return MassSection(
        swatch=_swatch(m, analysis.result),
        facts=_facts(m, analysis.result),
        pictures=tuple(gallery.mass_pictures(analysis, found)) if found is not None and pictured else (),
        rows=tables.measure_rows(m.measurements),
        texture=tables.texture_rows(m.measurements),
        findings=tables.finding_rows(m.findings),
    )


def _facts(m: MassResult, result: AnalysisResult) -> tuple[tuple[str, str], ...]:
    """Return what is said of a mass in one line; the first four stand at a glance, too."""
    known = m.measurements
    size = (known.get("long_axis_mm"), known.get("short_axis_mm"), known.get("craniocaudal_mm"))
    pair = [o.id for o in result.masses if o.pair_id is not None and o.pair_id == m.pair_id and o.id != m.id]
    partners = ", ".join(f"mass {k}" for k in pair)
    facts = [
        ("State", m.state + (f" ({percent(m.confidence)})" if m.confidence is not None else "")),
        ("Long × short × craniocaudal", size_text(size)),
        ("Volume", with_unit(known.get("volume_ml"))),
        ("Mean attenuation", with_unit(known.get("attenuation_mean_hu"))),
        ("Names of its levels", _level_doubt(m, result)),
        ("Level probabilities", shares(m.level_probabilities)),
        ("Pairs with", partners),
        ("Flags", ", ".join(words(flag) for flag in m.flags)),
    ]
    return tuple((term, text) for term, text in facts if text)


def _level_doubt(m: MassResult, result: AnalysisResult) -> str:
    """Return a warning where the names of a mass's levels are not sure."""
    p = mass_certainty(m, result)
    if p >= SURE_FROM:
        return ""
    return f"{'a guess' if p < GUESS_BELOW else 'uncertain'} ({percent(p)})"


def _judged_by(result: AnalysisResult) -> str:
    """Return the masses that the patient's differential speaks for: ``mass 1`` or ``masses 1 and 2``."""
    ids = [str(k) for k in result.differential.masses]
    return "" if not ids else f"{'mass' if len(ids) == 1 else 'masses'} {' and '.join(ids)}"


def _mass_differentials(result: AnalysisResult) -> list[tuple[str, DifferentialView]]:
    """Return the differentials of the masses that the patient's does not speak for."""
    return [
        (f"Mass {m.id}: {m.side}, {mass_levels(m, result)}", differential_view(m.differential))
        for m in result.masses
        if m.id not in result.differential.masses
    ]


def _with_context(result: AnalysisResult) -> list[tuple[str, DifferentialView]]:
    """Return the differentials with clinical context: the patient's, then those it does not speak for."""
    told = result.differential_with_context
    if told is None:
        return []
    others = [
        (f"Mass {m.id}, with clinical context", differential_view(m.differential_with_context))
        for m in result.masses
        if m.differential_with_context is not None and m.id not in told.masses
    ]
    return [("With clinical context", differential_view(told)), *others]


def _seconds(result: AnalysisResult) -> str:
    stages = result.provenance.seconds
    parts = ", ".join(f"{name.replace('_', ' ')} {value:.1f}" for name, value in stages.items())
    return f"{sum(stages.values()):.1f} s ({parts})" if stages else "not recorded"
