"""From records to tables: sensitivity, false positives, bias, limits of agreement, coverage of intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from paraspinal.validation.bone import bilateral_table, bone_table
from paraspinal.validation.differential import differential_table
from paraspinal.validation.patient import patient_table
from paraspinal.validation.score import HIT_IOU, QUANTITIES, Record
from paraspinal.validation.trabeculae import trabecular_table
from paraspinal.validation.wilson import share

_FROC = (0.1, 0.2, 0.5)
_APART = {"patient", "differential", "trabeculae"}  # suites with tables of their own
_SIZES_MM = ((0, 15), (15, 20), (20, 30), (30, 50), (50, 200))
_NEIGHBOURS = ("lung", "psoas", "effusion", "crus")
_LIKE_MUSCLE_HU = 20.0
_SURE_LEVEL = 0.9
_UNITS = {"volume_ml": "%", "attenuation_mean_hu": "HU", "craniocaudal_mm": "mm"}


def summarise(records: Sequence[Record]) -> str:
    """Return the tables of one suite as markdown."""
    rows = [row for record in records for row in record["masses"]]
    whole = [row for row in rows if not row["cut"]]
    parts = [_cases(records)]
    if whole:
        parts += [_detection(whole), _froc(records), _agreement(whole), bone_table(whole), _levels(whole)]
        parts.append(bilateral_table(records))
        parts.append(_missed(whole))
    parts += [patient_table(records), differential_table(records), trabecular_table(records)]
    if any(not _APART & r.keys() for r in records):
        parts.append(_others(records))
    return "\n\n".join(part for part in parts if part) + "\n"


def _cases(records: Sequence[Record]) -> str:
    errors = Counter(r["error"] for r in records if "error" in r)
    outcomes = Counter(r["outcome"] for r in records if r["outcome"])
    wrong = [
        r["name"] for r in records if r["outcome"] == "no_mass" and any(not m["cut"] for m in r["masses"])
    ]
    lines = [f"{len(records)} cases; outcomes: {_counted(outcomes) or 'none'}."]
    if errors:
        lines.append(f"Not run: {_counted(errors)}.")
    with_mass = [r for r in records if r["masses"]]
    if with_mass:
        text = ", ".join(wrong[:8]) + (" …" if len(wrong) > 8 else "")
        lines.append(f"`no_mass` although a mass is there: {len(wrong)}{f' ({text})' if wrong else ''}.")
    return " ".join(lines)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))


def _strata(rows: Sequence[Record]) -> Iterable[tuple[str, list[Record]]]:
    yield "all", list(rows)
    yield "15 mm and more", [r for r in rows if r["diameter_mm"] >= 15]
    yield "20 mm and more", [r for r in rows if r["diameter_mm"] >= 20]
    for low, high in _SIZES_MM:
        yield f"{low}–{high} mm", [r for r in rows if low <= r["diameter_mm"] < high]
    yield "T3–T10", [r for r in rows if r["level"][0] == "T" and int(r["level"][1:]) <= 10]
    yield "T11–T12", [r for r in rows if r["level"] in ("T11", "T12")]
    yield "L1–L2", [r for r in rows if r["level"][0] == "L"]
    yield "ill-defined", [r for r in rows if r["margin"] == "ill"]
    for name in _NEIGHBOURS:
        yield f"beside {name}", [r for r in rows if name in r["touches"]]
    steps = [(r, r["muscle_step_hu"]) for r in rows if r["muscle_step_hu"] is not None]
    yield "within 20 HU of muscle", [r for r, step in steps if abs(step) <= _LIKE_MUSCLE_HU]
    yield "more than 20 HU from muscle", [r for r, step in steps if abs(step) > _LIKE_MUSCLE_HU]


def _detection(rows: Sequence[Record]) -> str:
    lines = [
        "| masses | present, right side, IoU ≥ 0.3 | indeterminate | missed | Dice, median | volume error, median |",
        "|---|---|---|---|---|---|",
    ]
    for name, own in _strata(rows):
        if not own:
            continue
        hits = [r for r in own if r.get("hit")]
        doubtful = sum(r["state"] == "indeterminate" for r in own)
        missed = sum(r["state"] == "missed" for r in own)
        errors = [abs(m["value"] / m["truth"] - 1) for m in _measured(hits, "volume_ml")]
        dice = f"{np.median([r['dice'] for r in hits]):.2f}" if hits else "–"
        volume = f"{np.median(errors):.1%}" if errors else "–"
        lines.append(f"| {name} | {share(len(hits), len(own))} | {doubtful} | {missed} | {dice} | {volume} |")
    return "\n".join(lines)


def _froc(records: Sequence[Record]) -> str:
    """Sensitivity at given numbers of false candidates per series, over the confidence of candidates, by stratum."""
    real = [r for r in records if "error" not in r]
    whole = [m for r in real for m in r["masses"] if not m["cut"]]
    false = sorted((o["confidence"] for r in real for o in r["others"]), reverse=True)
    bars = []
    for rate in _FROC:
        allowed = int(rate * len(real))
        bars.append(false[allowed] if allowed < len(false) else -1.0)
    heads = " | ".join(f"{rate} false candidates per series" for rate in _FROC)
    lines = [f"| sensitivity, any state | {heads} |", "|---" * (1 + len(_FROC)) + "|"]
    for name, own in _strata(whole):
        if own:
            shares = (
                share(sum(_overlaps(m) and m["confidence"] > bar for m in own), len(own)) for bar in bars
            )
            lines.append(f"| {name} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _overlaps(row: Record) -> bool:
    return bool(row["iou"] >= HIT_IOU and row.get("found_side") == row["side"])


def _measured(rows: Iterable[Record], key: str) -> list[Record]:
    return [r["measured"][key] for r in rows if "value" in r.get("measured", {}).get(key, {})]


def _agreement(rows: Sequence[Record]) -> str:
    """Bias, limits of agreement (Bland and Altman 1986) and the share of truths within the stated interval."""
    hits = [r for r in rows if r.get("hit")]
    lines = [
        "| quantity | n | bias | limits of agreement | largest | truth within the stated 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for key in QUANTITIES:
        own = _measured(hits, key)
        if len(own) < 3:
            continue
        unit = _UNITS[key]
        relative = unit == "%"
        error = np.array(
            [100 * (m["value"] / m["truth"] - 1) if relative else m["value"] - m["truth"] for m in own]
        )
        spread = 1.96 * float(error.std(ddof=1))
        stated = [m for m in own if m["u95"] is not None]
        within = sum(abs(m["value"] - m["truth"]) <= m["u95"] for m in stated)
        low, high = error.mean() - spread, error.mean() + spread
        lines.append(
            f"| {key} ({unit}) | {len(own)} | {error.mean():+.1f} | {low:+.1f} … {high:+.1f} |"
            f" {np.abs(error).max():.1f} | {share(within, len(stated))} |"
        )
    return "\n".join(lines)


def _levels(rows: Sequence[Record]) -> str:
    hits = [r for r in rows if r.get("hit") or r["state"] == "indeterminate"]
    exact = sum(r["found_levels"] == r["levels"] for r in hits)
    near = sum(_overlap(r["found_levels"], r["levels"]) for r in hits)
    wrong = [
        r for r in hits if _shifted(r["found_levels"], r["levels"]) and r["level_probability"] >= _SURE_LEVEL
    ]
    side = sum(r["found_side"] == r["side"] for r in hits)
    return (
        f"Of the masses found: side right {share(side, len(hits))}; top and bottom level exact"
        f" {share(exact, len(hits))}; overlapping levels {share(near, len(hits))};"
        f" a level off at both ends and confident {len(wrong)}."
    )


_ORDER = (
    *(f"C{n}" for n in range(1, 8)),
    *(f"T{n}" for n in range(1, 14)),
    *(f"L{n}" for n in range(1, 7)),
    "S1",
    "S2",
)


def _shifted(found: Sequence[str], true: Sequence[str]) -> bool:
    """Tell whether both ends lie off to the same side: the vertebrae are named wrongly, not one end drawn short."""
    steps = [_ORDER.index(f) - _ORDER.index(t) for f, t in zip(found, true, strict=True)]
    return steps[0] * steps[1] > 0


def _overlap(a: Sequence[str], b: Sequence[str]) -> bool:
    place: Callable[[str], int] = _ORDER.index
    return place(a[0]) <= place(b[1]) and place(b[0]) <= place(a[1])


def _missed(rows: Sequence[Record]) -> str:
    missed = [r for r in rows if r["state"] == "missed"]
    if not missed:
        return ""
    reasons = Counter(text.split(" ")[0] for r in missed for text in (r.get("explained") or ["nothing"])[:1])
    return f"What lies where a mass was missed: {_counted(reasons)}."


def _others(records: Sequence[Record]) -> str:
    real = [r for r in records if "error" not in r]
    present = [(r["name"], o) for r in real for o in r["others"] if o["state"] == "present"]
    doubtful = sum(o["state"] == "indeterminate" for r in real for o in r["others"])
    lines = [
        f"Candidates that are no known mass, per series: present {len(present) / max(1, len(real)):.2f},"
        f" indeterminate {doubtful / max(1, len(real)):.2f}."
    ]
    lines += [
        f"- {name}: {o['side']} {'–'.join(dict.fromkeys(o['levels']))}, {o['volume_ml']:.0f} mL,"
        f" confidence {o['confidence']}"
        for name, o in present[:20]
    ]
    return "\n".join(lines)
