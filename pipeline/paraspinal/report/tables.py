"""The rows of the report's tables, ready to print: text only, nothing computed in the template."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from paraspinal.quality.types import ScanQuality
from paraspinal.report.levels import marked
from paraspinal.report.numbers import (
    NO_VALUE,
    has_text,
    in_percent,
    measure_name,
    number_text,
    percent,
    shares,
    uncertainty_parts,
    unit_text,
    value_text,
    words,
)
from paraspinal.result import (
    AnalysisResult,
    Coverage,
    ExplainedAway,
    Finding,
    Measurement,
    Measurements,
    SeriesInfo,
    VertebraResult,
)

# Longer text in a header element breaks the standard (LO: 64 characters) and would break the layout.
_MAX_TAG = 64
_STATE_ORDER = ("present", "indeterminate", "absent", "not_assessed")
_VERTEBRA_KEYS = (
    "trabecular_hu",
    "coarsening_index",
    "cortical_peak_hu",
    "cortical_mass_hu_mm",
    "height_ratio",
    "endplate_depression_mm",
    "endplate_step_mm",
)
NOT_STATED = "not stated in the headers"
NOT_READ = "could not be read"


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """One measurement as text."""

    key: str
    name: str
    value: str
    unit: str
    parts: str
    status: str
    note: str


def measure_rows(measurements: Measurements) -> list[MeasureRow]:
    """Return a row per measurement, in the result's order; texture features are kept apart."""
    return [_measure_row(k, m) for k, m in measurements.items() if not k.startswith("ibsi.")]


def texture_rows(measurements: Measurements) -> list[MeasureRow]:
    """Return the rows of the IBSI features."""
    return [_measure_row(k, m) for k, m in measurements.items() if k.startswith("ibsi.")]


def _measure_row(key: str, m: Measurement) -> MeasureRow:
    if key.endswith("_fraction"):
        m = in_percent(m)
    value = value_text(m)
    unit = "" if value == NO_VALUE else unit_text(m.unit)
    notes = [m.reason or ""]
    if m.value is not None and m.detection_limit is not None:
        notes.append(f"detectable from {number_text(m.detection_limit)} {unit_text(m.unit)}".rstrip())
    note = "; ".join(n for n in notes if n)
    return MeasureRow(key, measure_name(key), value, unit, uncertainty_parts(m), m.status, note)


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding as text."""

    name: str
    state: str
    value: str
    rests_on: str
    reason: str


def finding_rows(findings: Iterable[Finding]) -> list[FindingRow]:
    """Return a row per finding: present ones first, not assessed ones last."""
    ordered = sorted(findings, key=lambda f: _STATE_ORDER.index(f.state))
    return [
        FindingRow(
            measure_name(f.name),
            f.state,
            _finding_value(f),
            ", ".join(measure_name(k).lower() if "." not in k else k for k in f.measurements),
            f.reason or "",
        )
        for f in ordered
    ]


def _finding_value(f: Finding) -> str:
    parts = []
    if isinstance(f.value, str) and f.value not in (f.probabilities or {}):
        parts.append(f.value.replace("_", " "))
    elif isinstance(f.value, float):
        parts.append(number_text(f.value) + (" mm" if f.name.endswith("_mm") else ""))
    if f.probability is not None:
        p = percent(f.probability)
        parts.append(f"p {p}" if p[0] in "<>" else f"p = {p}")
    if f.probabilities:
        parts.append(shares(f.probabilities))
    return "; ".join(part for part in parts if part) or NO_VALUE


def acquisition_rows(
    series: SeriesInfo, quality: ScanQuality, shape: tuple[int, int, int]
) -> list[tuple[str, str]]:
    """Return the acquisition block as (term, text); what is unknown is said to be unknown."""
    sz, sy, sx = series.spacing_mm
    thickness = NOT_STATED if series.thickness_mm is None else f"{number_text(series.thickness_mm)} mm"
    phase = series.contrast_phase.replace("_", " ")
    evidence = f" ({series.contrast_evidence})" if series.contrast_evidence else ""
    return [
        ("Slices", f"{series.slices}, {sz:.2f} mm apart; thickness {thickness}"),
        ("In plane", f"{shape[2]} × {shape[1]} of {sx:.2f} × {sy:.2f} mm"),
        ("Tube voltage", _known(series.kvp, "kVp")),
        ("Kernel", _tag(series.kernel)),
        ("Reconstruction", _tag(series.reconstruction)),
        ("Exposure", _known(series.exposure_mas, "mAs")),
        ("Contrast phase", phase + evidence),
        ("Noise (SD, soft tissue)", _known(quality.noise_sd_hu, "HU", otherwise=NOT_READ)),
        ("Edge response (FWHM, in plane)", _known(quality.edge_fwhm_mm, "mm", otherwise=NOT_READ)),
        ("Calibration (standard uncertainty)", f"{number_text(quality.calibration_sd_hu)} HU"),
        ("Metal", f"{number_text(quality.metal_ml)} mL" if quality.metal_ml > 0 else "none found"),
        ("Manufacturer", _tag(series.manufacturer)),
        ("Series (digest)", series.uid_digest),
    ]


def _known(value: float | None, unit: str, *, otherwise: str = NOT_STATED) -> str:
    return otherwise if value is None else f"{number_text(value)} {unit}"


def _tag(value: str | None) -> str:
    if not value:
        return NOT_STATED
    return value if len(value) <= _MAX_TAG else value[: _MAX_TAG - 1] + "…"


@dataclass(frozen=True, slots=True)
class VertebraRow:
    """One vertebra as text; ``values`` follow the table's columns."""

    label: str
    confidence: str
    uncertain: bool
    others: str
    values: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class VertebraTable:
    """Vertebrae with the measurements that at least one of them has, and why the others have none."""

    columns: tuple[str, ...]
    rows: tuple[VertebraRow, ...]
    missing: tuple[str, ...]


def vertebra_table(vertebrae: Iterable[VertebraResult], *, uncertain_below: float) -> VertebraTable:
    """Return the table of the spine, in the result's order."""
    items = tuple(vertebrae)
    known = [k for k in _VERTEBRA_KEYS if any(k in v.measurements for v in items)]
    shown = [k for k in known if any(has_text(v.measurements.get(k)) for v in items)]
    columns = tuple(f"{measure_name(k)}{_unit_of(k, items)}" for k in shown)
    rows = tuple(_vertebra_row(v, shown, uncertain_below) for v in items)
    return VertebraTable(columns, rows, tuple(_missing_reasons(items, known)))


def _unit_of(key: str, vertebrae: tuple[VertebraResult, ...]) -> str:
    unit = next((unit_text(v.measurements[key].unit) for v in vertebrae if key in v.measurements), "")
    return f" [{unit}]" if unit else ""


def _vertebra_row(v: VertebraResult, keys: list[str], uncertain_below: float) -> VertebraRow:
    values = tuple(value_text(v.measurements[k]) if k in v.measurements else NO_VALUE for k in keys)
    cut = f"cut off at {', '.join(v.truncated)} side" if v.truncated else ""
    return VertebraRow(
        label=v.label,
        confidence=percent(v.confidence),
        uncertain=v.confidence < uncertain_below,
        others=shares({k: p for k, p in v.label_probabilities.items() if k != v.label}),
        values=values,
        note="; ".join(n for n in (cut, ", ".join(v.evidence)) if n),
    )


def _missing_reasons(vertebrae: tuple[VertebraResult, ...], keys: list[str]) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for key in keys:
        for v in vertebrae:
            m = v.measurements.get(key)
            if m is not None and m.value is None:
                reason = m.reason or m.status.replace("_", " ")
                groups.setdefault((key, reason), []).append(v.label)
    return [
        f"{measure_name(key)}, {'all' if len(ls) == len(vertebrae) else ', '.join(ls)}: {reason}"
        for (key, reason), ls in groups.items()
    ]


@dataclass(frozen=True, slots=True)
class CoverageCell:
    """One compartment: share that was assessed (None: not listed), its shade 0-4, and what limits it."""

    share: str
    shade: int | None
    note: str


def coverage_rows(
    coverage: Iterable[Coverage], *, uncertain: Collection[str]
) -> list[tuple[str, CoverageCell, CoverageCell]]:
    """Return (level, right, left) from the head down: the patient's right stands on the left, as in pictures.

    Levels whose name is `uncertain` carry a question mark.
    """
    items = {(c.level, c.side): c for c in coverage}
    levels = dict.fromkeys(level for level, _ in items)
    return [
        (
            marked(level, uncertain),
            _coverage_cell(items.get((level, "right"))),
            _coverage_cell(items.get((level, "left"))),
        )
        for level in levels
    ]


def _coverage_cell(c: Coverage | None) -> CoverageCell:
    if c is None:
        return CoverageCell("not searched", None, "")
    notes = [r.replace("_", " ") for r in c.reasons]
    if c.min_detectable_mm is not None:
        notes.append(f"detectable from {number_text(c.min_detectable_mm)} mm")
    # Rounded down: 99.6 % is not all.
    share = int(100 * c.assessed_fraction)
    return CoverageCell(f"{share} %", min(4, share // 20), ", ".join(notes))


@dataclass(frozen=True, slots=True)
class ExplainedRow:
    """One region that could have been a mass but is something known."""

    reason: str
    structure: str
    volume: str
    place: str
    confidence: str


def explained_rows(items: Iterable[ExplainedAway], result: AnalysisResult) -> list[ExplainedRow]:
    """Return the regions that were explained away, largest first."""
    vertebrae = result.anatomy.vertebrae if result.anatomy else ()
    return [
        ExplainedRow(
            words(e.reason),
            e.structure.replace("_", " "),
            f"{number_text(e.volume)} mL",
            _place(e.centroid_lps_mm, vertebrae),
            percent(e.confidence),
        )
        for e in sorted(items, key=lambda e: -e.volume)
    ]


def _place(point: tuple[float, float, float], vertebrae: tuple[VertebraResult, ...]) -> str:
    """Return the nearest level and the side of it on which a point lies."""
    if not vertebrae:
        return " / ".join(number_text(c, decimals=0) for c in point) + " mm (LPS)"
    nearest = min(vertebrae, key=lambda v: abs(v.centroid_lps_mm[2] - point[2]))
    offset = point[0] - nearest.centroid_lps_mm[0]
    side = "left" if offset > 0 else "right"
    return f"{nearest.label}, {abs(offset):.0f} mm {side} of the spine's middle"


def organ_rows(result: AnalysisResult) -> list[tuple[str, str, str, str]]:
    """Return (organ, presence, cut-off sides, confidence)."""
    organs = result.anatomy.organs if result.anatomy else {}
    return [
        (words(name), o.presence.replace("_", " "), ", ".join(o.truncated) or NO_VALUE, percent(o.confidence))
        for name, o in organs.items()
    ]
