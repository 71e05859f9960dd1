"""What was found against what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paraspinal.masses.types import Mass, MassSearch
from paraspinal.result import Measurement, Measurements
from paraspinal.validation.bone import score_bone
from paraspinal.volume import BoolArray, LabelMap, Region

Record = dict[str, Any]

HIT_IOU = 0.3
_TOUCHES = 0.05  # a candidate that overlaps a known mass by less is another thing
_NEAR_MM = 15.0
QUANTITIES: Mapping[str, str] = {
    "volume_ml": "volume_ml",
    "attenuation_mean_hu": "mean_hu",
    "craniocaudal_mm": "craniocaudal_mm",
}
"""Measurement key to the name of its truth."""
_CONTENTS = {
    "discrete_high_density_count": "calcification",
    "macroscopic_fat_ml": "fat",
    "low_density_foci_count": "low_density",
}


def score_masses(
    truth: Sequence[Mapping[str, Any]],
    labels: LabelMap,
    search: MassSearch,
    measured: Mapping[int, Measurements],
) -> tuple[list[Record], list[Record]]:
    """Match candidates with known masses.

    Returns
    -------
    list of dict
        One per known mass: overlap, state, side, levels, and every quantity measured beside its truth.
    list of dict
        Candidates that are no known mass.
    """
    known = {int(t["id"]): labels.data == int(t["id"]) for t in truth if t.get("in_view", True)}
    overlaps = {
        (number, mass.id): _iou(mask, mass.region) for number, mask in known.items() for mass in search.masses
    }
    rows = []
    for t in truth:
        number = int(t["id"])
        if number not in known or not known[number].any():
            continue
        best = max(search.masses, key=lambda m: overlaps[number, m.id], default=None)
        if best is not None and overlaps[number, best.id] < _TOUCHES:
            best = None
        rows.append(_row(t, known[number], labels, best, overlaps, search, measured))
    extra = [
        {
            "state": mass.state,
            "side": mass.side,
            "levels": list(mass.levels),
            "confidence": mass.confidence,
            "volume_ml": round(mass.region.voxels * labels.geometry.voxel_ml, 2),
            "centroid_lps_mm": [round(float(c), 1) for c in mass.centroid_lps_mm],
        }
        for mass in search.masses
        if all(overlaps[number, mass.id] < _TOUCHES for number in known)
    ]
    return rows, extra


def _iou(mask: BoolArray, region: Region) -> float:
    common = int(np.count_nonzero(mask[region.box] & region.mask))
    return common / max(1, int(np.count_nonzero(mask)) + region.voxels - common)


def _row(
    truth: Mapping[str, Any],
    mask: BoolArray,
    labels: LabelMap,
    best: Mass | None,
    overlaps: Mapping[tuple[int, int], float],
    search: MassSearch,
    measured: Mapping[int, Measurements],
) -> Record:
    volume_ml = float(truth["volume_ml"])
    row: Record = {
        "id": int(truth["id"]),
        "side": truth["side"],
        "level": truth["centre_level"],
        "levels": truth["levels"],
        "volume_ml": volume_ml,
        "diameter_mm": round((6000.0 * volume_ml / np.pi) ** (1 / 3), 1),
        "cut": bool(truth.get("cut", False)),
        "margin": "ill" if _spec(truth, "edge_width_mm", 0.0) > 2 else "well",
        "state": "missed",
        "iou": 0.0,
    }
    if best is None:
        row["explained"] = _explained(mask, labels, search)
        return row
    iou = overlaps[int(truth["id"]), best.id]
    row |= {
        "state": best.state,
        "confidence": best.confidence,
        "iou": round(iou, 4),
        "dice": round(2 * iou / (1 + iou), 4),
        "found_side": best.side,
        "found_levels": list(best.levels),
        "level_probability": round(min(best.level_probabilities.get(level, 0.0) for level in best.levels), 4),
        "hit": bool(best.state == "present" and iou >= HIT_IOU and best.side == truth["side"]),
    }
    own = measured.get(best.id, {})
    row["measured"] = {
        key: _compared(own[key], truth[name])
        for key, name in QUANTITIES.items()
        if key in own and truth.get(name) is not None
    }
    if "bone_depth_mm" in truth:
        row["bone"] = score_bone(truth, own)
    row["contents"] = {
        key: [None if own[key].value is None else own[key].value, _content(truth, name), own[key].status]
        for key, name in _CONTENTS.items()
        if key in own
    }
    return row


def _spec(truth: Mapping[str, Any], name: str, default: float) -> float:
    value = truth.get("spec", truth).get(name, default)
    return float(default if value is None else value)


def _content(truth: Mapping[str, Any], name: str) -> float:
    foci = truth.get("foci")
    if foci is None:
        old = {"calcification": "calcifications", "fat": "fat_foci", "low_density": "low_density_foci"}
        return float(truth.get(old[name], 0))
    part = foci.get(name, {})
    return float(part.get("volume_ml" if name == "fat" else "count", 0.0))


def _compared(measurement: Measurement, truth: float) -> Record:
    """Return value, truth, and the expanded uncertainty for 95 %."""
    if measurement.value is None:
        return {"status": measurement.status, "truth": float(truth)}
    stated = measurement.uncertainty
    spread = None
    if stated is not None:
        spread = 1.96 * float(np.hypot(stated.type_a or 0.0, stated.type_b or 0.0))
    return {
        "status": measurement.status,
        "value": float(measurement.value),
        "truth": float(truth),
        "u95": spread,
    }


def _explained(mask: BoolArray, labels: LabelMap, search: MassSearch) -> list[str]:
    """Return what was explained away in or close to a mass that was missed."""
    points = labels.geometry.to_lps(np.argwhere(mask)[:: max(1, int(mask.sum()) // 2000)])
    found = []
    for item in search.explained_away:
        nearest = np.linalg.norm(points - np.asarray(item.centroid_lps_mm), axis=1).min()
        if nearest < _NEAR_MM:
            found.append(f"{item.reason} {item.volume_ml:.0f} mL ({item.confidence:.2f})")
    return found
