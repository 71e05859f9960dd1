"""Heights along the spine that part chest, abdomen and loin."""

from __future__ import annotations

import numpy as np

from paraspinal.anatomy.types import Anatomy, Vertebra


def _level_s(anatomy: Anatomy, label: str) -> float | None:
    for vertebra in anatomy.vertebrae:
        if vertebra.label == label:
            return vertebra.s_mm
    return None


def top_s(vertebra: Vertebra) -> float:
    """Arc length of the upper end plate of a vertebra."""
    return vertebra.s_mm + 0.5 * abs(vertebra.top_mm - vertebra.bottom_mm)


def diaphragm_s(anatomy: Anatomy) -> float:
    """Arc length above which the space beside the spine is thoracic.

    T12, or the lowest aerated lung where that reaches lower: fluid and collapse lift the lung's end, but not the
    diaphragm's insertion. Without T12 a spine of thoracic vertebrae lies above it, one of lumbar vertebrae below.
    """
    where = anatomy.spine
    level = _level_s(anatomy, "T12")
    if level is None:
        level = -np.inf if any(v.label.startswith("T") for v in anatomy.vertebrae) else np.inf
    beside = anatomy.mask("lungs")[where.box] & (np.abs(where.left) < 70.0) & (np.abs(where.anterior) < 35.0)
    if int(beside.sum()) > 200:
        level = min(level, float(np.percentile(where.s[beside], 1)))
    return float(level)


def psoas_top_s(anatomy: Anatomy) -> float:
    """Arc length of the upper end of psoas: above the middle of L1, or the top of the highest lumbar vertebra seen.

    Where the scan ends before the first of them psoas begins at the middle of T12, from which its first fibres come.
    """
    level = _level_s(anatomy, "L1")
    if level is not None:
        return level + 12.0
    tops = [top_s(v) for v in anatomy.vertebrae if v.label[0] == "L"]
    if tops:
        return max(tops)
    lowest = min(anatomy.vertebrae, key=lambda v: v.s_mm, default=None)
    return lowest.s_mm if lowest is not None and lowest.label == "T12" else -np.inf


def l4_bottom_s(anatomy: Anatomy) -> float:
    """Arc length of the disc between L4 and L5; minus infinity where L5 is not in view."""
    return next((top_s(v) for v in anatomy.vertebrae if v.label == "L5"), -np.inf)
