"""Where a mass could have been seen, and where not."""

from __future__ import annotations

import numpy as np

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.masses.candidates import SoftRegions
from paraspinal.masses.compartments import Compartments
from paraspinal.result import Coverage
from paraspinal.volume import BoolArray


def assess_coverage(
    anatomy: Anatomy,
    places: Compartments,
    hidden: dict[str, BoolArray],
    regions: SoftRegions,
    *,
    config: MassConfig,
) -> tuple[Coverage, ...]:
    """Return the assessed share of the compartment per vertebra and side.

    A part of a compartment is not assessed where it lies outside the scan (the vertebra is cut), or where a region
    of `hidden` (reason → mask in the spine box: effusion, consolidation …) fills it: a mass of like density inside
    could not be told apart. Only the part next to the column counts, where every paraspinal mass begins.
    """
    where = anatomy.spine
    near = places.zone & (places.to_column_mm < config.near_column_mm)
    out = []
    for vertebra in anatomy.vertebrae:
        if vertebra.label[0] not in "TL":  # the compartment reaches from the lung's apex to L5
            continue
        half = 0.5 * abs(vertebra.top_mm - vertebra.bottom_mm)
        low, high = vertebra.s_mm - half, vertebra.s_mm + half
        seen = (min(high, anatomy.spine_length_mm) - max(low, 0.0)) / max(high - low, 1e-6)
        here = (where.s > low) & (where.s < high) & (np.abs(where.left) < config.lateral_mm)
        for side in ("left", "right"):
            zone = near & here & ((where.left > 0) if side == "left" else (where.left < 0))
            out.append(_one(vertebra.label, side, zone, hidden, float(np.clip(seen, 0, 1)), config=config))
    return tuple(out)


def _one(
    level: str, side: str, zone: BoolArray, hidden: dict[str, BoolArray], seen: float, *, config: MassConfig
) -> Coverage:
    size = int(zone.sum())
    reasons = []
    if seen < 0.95:
        reasons.append(f"{1 - seen:.0%} of the level lies outside the scan")
    lost = 0.0
    for reason, mask in hidden.items():
        share = float((mask & zone).sum()) / size if size else 0.0
        if share > 0.1:
            reasons.append(f"{share:.0%} filled by {reason}")
            lost += share
    if size == 0:
        return Coverage(
            level=level,
            side="left" if side == "left" else "right",
            assessed_fraction=0.0,
            reasons=("no paravertebral space was found at this level",),
        )
    return Coverage(
        level=level,
        side="left" if side == "left" else "right",
        assessed_fraction=round(float(np.clip(seen * (1.0 - lost), 0.0, 1.0)), 3),
        reasons=tuple(reasons),
        min_detectable_mm=2.0 * config.min_radius_mm + 2.0,
    )
