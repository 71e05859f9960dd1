"""Coarse trabeculae against bone that is not coarse: what one frozen limit finds, and what it takes for coarse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from paraspinal.config import Config
from paraspinal.differential import patient_findings
from paraspinal.measure import measure_vertebrae
from paraspinal.phantom import PhantomSpec, make_phantom
from paraspinal.phantom.scanner import scan
from paraspinal.quality.resolution import edge_response
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Finding, Measurements
from paraspinal.validation.draw_trabeculae import SLICES_MM, SPACINGS_MM
from paraspinal.validation.true_anatomy import true_anatomy
from paraspinal.validation.wilson import share
from paraspinal.volume import CTVolume, Geometry

Record = dict[str, Any]

_DISC = (5, 192)  # slices and pixels of the disc whose edge tells the scanner's blur
_DISC_HU = (-860.0, 50.0)
_FROM_MM = (
    2.0  # struts this far apart and farther are resolved; finer ones are as far apart as in osteoporosis
)


def trabecular_record(kind: str, spec: PhantomSpec, config: Config) -> Record:
    """Scan the vertebrae, read them as `analyze` does, but with the true outlines, and judge the patient."""
    made = make_phantom(spec)
    measured = measure_vertebrae(
        made.volume, true_anatomy(made), scanner_quality(spec), config=config.measure
    )
    findings = patient_findings({}, measured, config=config.differential)
    return {"trabeculae": _scored(kind, spec, measured, {f.name: f for f in findings})}


def _scored(
    kind: str, spec: PhantomSpec, measured: dict[str, Measurements], told: dict[str, Finding]
) -> Record:
    structure = spec.bone.trabeculae
    assert structure is not None
    finding = told["trabecular_coarsening"]
    return {
        "kind": kind,
        "spacing_mm": structure.spacing_mm,
        "mean_hu": structure.mean_hu,
        "noise_hu": spec.noise_hu,
        "kernel": spec.scanner.kernel,
        "slice_mm": spec.spacing_mm[0],
        "fwhm_mm": spec.fwhm_mm,
        "state": finding.state,
        "probability": finding.probability,
        "index": {level: m["coarsening_index"].value for level, m in measured.items()},
        "status": {level: m["coarsening_index"].status for level, m in measured.items()},
        "haemangiomas": list(spec.bone.haemangiomas),
    }


def scanner_quality(spec: PhantomSpec) -> ScanQuality:
    """Return what the quality stage would read where the field shows no skin: the edge of a disc tells."""
    slices, n = _DISC
    pixel = spec.spacing_mm[1]
    y, x = np.ogrid[:n, :n]
    inside = np.clip(0.5 + 0.36 * n - np.hypot(y - n / 2 + 0.37, x - n / 2 + 0.21), 0.0, 1.0)
    disc = (_DISC_HU[0] + (_DISC_HU[1] - _DISC_HU[0]) * inside).astype(np.float32)
    plain = replace(spec, noise_hu=0.0, beam_hardening=0.0)
    image = scan(np.repeat(disc[None], slices, axis=0), plain, np.full((slices, 2), n / 2), 0)
    grid = Geometry((slices, n, n), (1.0, pixel, pixel), (0.0, 0.0, 0.0))
    edges = edge_response(CTVolume(np.rint(image).astype(np.int16), grid))
    return ScanQuality(
        noise_sd_hu=spec.noise_hu,
        edge_fwhm_mm=edges.fwhm_mm,
        contrast_phase="unenhanced",
        contrast_evidence="phantom without contrast medium",
        kvp=float(spec.kvp),
        calibration_sd_hu=4.0,
        metal_ml=0.0,
        structure_transfer=edges.transfer,
    )


def trabecular_table(records: Sequence[Record]) -> str:
    """Return sensitivity, specificity, area under the curve and dose-response; empty without such cases."""
    rows = [r["trabeculae"] for r in records if "trabeculae" in r]
    if not rows:
        return ""
    return "\n\n".join([_by_kind(rows), _by_scan(rows), _overall(rows), _dose_response(rows), _focal(rows)])


def _by_kind(rows: Sequence[Record]) -> str:
    lines = [
        "| bone | assessed | coarse (present) | in doubt | not coarse (absent) |",
        "|---|---|---|---|---|",
    ]
    strata = [(f"coarse, struts {s:g} mm apart", _coarse(rows, s)) for s in SPACINGS_MM]
    strata.append((f"coarse, {_FROM_MM:g} mm and more", _resolved(rows)))
    strata += [(kind, [r for r in rows if r["kind"] == kind]) for kind in _NOT_COARSE]
    for name, own in strata:
        told = [r for r in own if r["state"] != "not_assessed"]
        counts = {state: sum(r["state"] == state for r in told) for state in _STATES}
        lines.append(
            f"| {name} | {len(told)} of {len(own)} | {share(counts['present'], len(told))} |"
            f" {counts['indeterminate']} | {share(counts['absent'], len(told))} |"
        )
    return "\n".join(lines)


_STATES = ("present", "indeterminate", "absent")
_NOT_COARSE = ("healthy", "osteoporosis", "haemangioma")
_NOISE_HU = ((8.0, 15.0), (15.0, 22.0), (22.0, 30.1))


def _by_scan(rows: Sequence[Record]) -> str:
    lines = [
        "| scan | sensitivity, all spacings | sensitivity, 2 mm and more | specificity |",
        "|---|---|---|---|",
    ]
    told = [r for r in rows if r["state"] != "not_assessed"]
    strata = [("all", told)]
    for low, high in _NOISE_HU:
        strata.append((f"noise {low:g}–{high:.0f} HU", [r for r in told if low <= r["noise_hu"] < high]))
    for kernel in ("soft", "sharp"):
        strata.append((f"{kernel} kernel", [r for r in told if r["kernel"] == kernel]))
    for slice_mm in SLICES_MM:
        strata.append((f"slices {slice_mm:g} mm", [r for r in told if r["slice_mm"] == slice_mm]))
    for name, own in strata:
        coarse = [r for r in own if r["kind"] == "coarse"]
        other = [r for r in own if r["kind"] != "coarse"]
        found, resolved = (
            share(sum(r["state"] == "present" for r in part), len(part)) for part in (coarse, _resolved(own))
        )
        denied = share(sum(r["state"] != "present" for r in other), len(other))
        lines.append(f"| {name} | {found} | {resolved} | {denied} |")
    return "\n".join(lines)


def _coarse(rows: Sequence[Record], spacing_mm: float) -> list[Record]:
    return [r for r in rows if r["kind"] == "coarse" and r["spacing_mm"] == spacing_mm]


def _resolved(rows: Sequence[Record]) -> list[Record]:
    return [r for r in rows if r["kind"] == "coarse" and r["spacing_mm"] >= _FROM_MM]


def _typical(row: Record) -> float:
    """Return the lower median of the indices, 0 where nothing was seen: what the finding rests on."""
    values = sorted(0.0 if v is None else v for v in row["index"].values())
    return values[(len(values) - 1) // 2]


def area_under_curve(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """Return the share of pairs in which the positive one is larger, ties half (Hanley 1982, Radiology 143:29)."""
    if not positive or not negative:
        return None
    a, b = np.asarray(positive)[:, None], np.asarray(negative)[None]
    return float(np.mean(a > b) + 0.5 * np.mean(a == b))


def _overall(rows: Sequence[Record]) -> str:
    told = [r for r in rows if r["state"] != "not_assessed"]
    other = [_typical(r) for r in told if r["kind"] != "coarse"]
    parts = []
    for name, own in (
        ("all spacings", [r for r in told if r["kind"] == "coarse"]),
        (f"{_FROM_MM:g} mm and more", _resolved(told)),
    ):
        area = area_under_curve([_typical(r) for r in own], other)
        if area is not None:
            parts.append(f"{name} {area:.3f} (n = {len(own)} and {len(other)})")
    return f"Area under the curve of the index: {'; '.join(parts) or '–'}."


def _dose_response(rows: Sequence[Record]) -> str:
    lines = ["| struts apart | n | index: median (quartiles) |", "|---|---|---|"]
    strata = [(kind, [r for r in rows if r["kind"] == kind]) for kind in _NOT_COARSE]
    strata += [(f"coarse, {s:g} mm", _coarse(rows, s)) for s in SPACINGS_MM]
    for name, own in strata:
        told = [_typical(r) for r in own if r["state"] != "not_assessed"]
        if told:
            low, middle, high = np.percentile(told, (25, 50, 75))
            lines.append(f"| {name} | {len(told)} | {middle:.2f} ({low:.2f}–{high:.2f}) |")
    return "\n".join(lines)


def _focal(rows: Sequence[Record]) -> str:
    """The vertebra that is a haemangioma reads coarse itself, and the patient does not."""
    own = [(r["index"][level], r) for r in rows for level in r["haemangiomas"] if level in r["index"]]
    if not own:
        return ""
    values = [v for v, _ in own if v is not None]
    others = [v or 0.0 for _, r in own for level, v in r["index"].items() if level not in r["haemangiomas"]]
    return (
        f"Vertebrae that are a haemangioma read {np.median(values):.2f} (median of {len(values)}),"
        f" the others of these patients {np.median(others):.2f}."
    )
