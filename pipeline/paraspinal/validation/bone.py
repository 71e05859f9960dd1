"""Bone beside a mass: what is drawn, and what was read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from paraspinal.phantom import MassSpec
from paraspinal.phantom.spec import BoneEffect, MassSide
from paraspinal.result import Measurements
from paraspinal.validation.draw import draw_masses
from paraspinal.validation.wilson import share

Record = dict[str, Any]

DEFECT_MM = 3.0
"""Depth from which a hollow must be found (design/measurements.md), and from which a finding is stated."""
_KEYS = {"lytic": "lytic_depth_mm", "scalloping": "scalloping_depth_mm"}
_KINDS: tuple[BoneEffect, ...] = ("none", "lytic", "scalloping", "breakthrough")
_DIAMETER_MM = (22.0, 50.0)
_OVERLAP_MM = {"none": (2.0, 5.0), "lytic": (4.0, 9.0), "scalloping": (4.0, 9.0), "breakthrough": (2.0, 5.0)}
_SIDES: tuple[MassSide, ...] = ("left", "right")
_BILATERAL_LEVELS, _BILATERAL_MM = 4, (20.0, 34.0)
_DEPTHS_MM = ((3.0, 5.0), (5.0, 20.0))


def draw_bone_masses(rng: np.random.Generator, levels: Sequence[str]) -> tuple[MassSpec, ...]:
    """Draw a mass or a pair that leaves bone alone, destroys or hollows it, or takes its cortex, a quarter each."""
    kind = _KINDS[int(rng.integers(len(_KINDS)))]
    drawn = draw_masses(rng, levels, diameter_mm=_DIAMETER_MM)
    return tuple(
        replace(spec, bone=kind, overlap_mm=round(float(rng.uniform(*_OVERLAP_MM[kind])), 1))
        for spec in drawn
    )


def draw_bilateral_masses(rng: np.random.Generator, levels: Sequence[str]) -> tuple[MassSpec, ...]:
    """Draw masses on both sides of four neighbouring vertebrae that leave bone alone, as expanding marrow may.

    The wall of such a body has no clean mirror and no clean neighbour: what is read there as a hollow is false.
    """
    first = int(rng.integers(max(1, len(levels) - _BILATERAL_LEVELS + 1)))
    out = []
    for level in levels[first : first + _BILATERAL_LEVELS]:
        for side in _SIDES:
            across = float(rng.uniform(*_BILATERAL_MM))
            out.append(
                MassSpec(
                    side=side,
                    level=level,
                    semi_axes_mm=(across / 2, 0.45 * across, float(rng.uniform(0.5, 0.7)) * across),
                    hu=round(float(rng.uniform(30.0, 60.0)), 1),
                    enhancement_hu=round(float(rng.uniform(5.0, 40.0)), 1),
                    overlap_mm=round(float(rng.uniform(*_OVERLAP_MM["none"])), 1),
                )
            )
    return tuple(out)


def score_bone(truth: Mapping[str, Any], measured: Measurements) -> Record:
    """Return what is known of the bone beside a mass, and the depth that was read per kind (None: none seen)."""
    read = {kind: measured[key] for kind, key in _KEYS.items() if key in measured}
    lost = measured.get("breakthrough_fraction")
    return {
        "kind": truth["spec"]["bone"],
        "depth_mm": float(truth["bone_depth_mm"]),
        "assessed": bool(read) and all(m.status != "not_assessed" for m in read.values()),
        "lost_fraction": None if lost is None else lost.value,
        "lost_assessed": lost is not None and lost.status != "not_assessed",
        "read_mm": {kind: m.value for kind, m in read.items()},
    }


def bone_table(rows: Sequence[Record]) -> str:
    """Return the table of defects found and of false ones, of rows whose mass was found."""
    found = [row["bone"] for row in rows if "bone" in row]
    told = [b for b in found if b["assessed"]]
    if not any(b["kind"] in _KEYS for b in told):
        return ""
    lines = [
        f"Bone beside a mass that was found: assessed {len(told)} of {len(found)}.",
        "",
        "| hollows | found | kind right, of these | depth: bias, SD (mm) |",
        "|---|---|---|---|",
    ]
    strata = [(f"{low:g} mm and more", low, 99.0) for low in (DEFECT_MM,)]
    strata += [(f"{low:g}–{high:g} mm", low, high) for low, high in _DEPTHS_MM]
    for kind in _KEYS:
        for name, low, high in strata:
            own = [b for b in told if b["kind"] == kind and low <= b["depth_mm"] < high]
            if own:
                lines.append(f"| {kind}, {name} | {_found(own)} |")
    every = [b for b in told if b["kind"] in _KEYS and b["depth_mm"] >= DEFECT_MM]
    lines.append(f"| both kinds, {DEFECT_MM:g} mm and more | {_found(every)} |")
    clean = [b for b in told if b["kind"] not in _KEYS]
    false = sum(_deepest(b) is not None for b in clean)
    deep = sum((_deepest(b) or 0.0) >= DEFECT_MM for b in clean)
    lines += [
        "",
        f"Where bone keeps its form: a hollow is read at {share(false, len(clean))},"
        f" one of {DEFECT_MM:g} mm and more at {share(deep, len(clean))}.",
    ]
    judged = [b for b in found if b.get("lost_assessed")]
    bare, kept = ([b for b in judged if b["kind"] == kind] for kind in ("breakthrough", "none"))
    if bare:
        seen, wrong = (sum(b["lost_fraction"] is not None for b in group) for group in (bare, kept))
        lines += [
            "",
            f"Cortex that is gone from bone that keeps its form: read at {share(seen, len(bare))};"
            f" at masses that leave bone alone at {share(wrong, len(kept))}.",
        ]
    return "\n".join(lines)


def bilateral_table(records: Sequence[Record]) -> str:
    """Return how many patients with masses on both sides of four vertebrae had a hollow read that is not there."""
    told = []
    for record in records:
        rows = [m["bone"] for m in record["masses"] if "bone" in m]
        if record.get("kind") == "bilateral" and rows:
            told.append([b for b in rows if b["assessed"]])
    if not told:
        return ""
    judged = [rows for rows in told if rows]
    false, deep = (
        sum(any((_deepest(b) or 0.0) >= least for b in rows) for rows in judged)
        for least in (1e-3, DEFECT_MM)
    )
    return (
        f"Masses on both sides of four vertebrae that leave bone alone: bone assessed in {len(judged)} of"
        f" {len(told)} patients; a hollow is read in {share(false, len(judged))} of them, one of {DEFECT_MM:g} mm"
        f" and more in {share(deep, len(judged))}."
    )


def _found(rows: Sequence[Record]) -> str:
    hits = [b for b in rows if _deepest(b) is not None]
    right = [b for b in hits if b["read_mm"][b["kind"]] is not None]
    errors = [float(b["read_mm"][b["kind"]]) - b["depth_mm"] for b in right]
    depth = f"{np.mean(errors):+.1f}, {np.std(errors, ddof=1):.1f}" if len(errors) > 1 else "–"
    return f"{share(len(hits), len(rows))} | {share(len(right), len(hits))} | {depth}"


def _deepest(row: Record) -> float | None:
    values = [float(v) for v in row["read_mm"].values() if v is not None]
    return max(values, default=None)
