"""How far the bone of each vertebra reaches to the side, and what that says about its name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp, ndtr


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """A count of rib pairs, and the uppermost vertebra with sacral wings, with its share among people."""

    name: str
    ribs: int
    sacrum: str
    share: float


# Farthest distance of bone from the midline (mean and spread, mm, adult; engineering default). Ribs: the first is the
# shortest of the upper ones, each of the next reaches farther, the twelfth is the most variable; their order follows
# the lengths of Todd, The Cyclopaedia of Anatomy and Physiology, table A of "Thorax" (133 mm for rib 1, 229, 279, 311
# ... 267, 210 and 114 mm for rib 12). Transverse processes: L3 the longest.
_RIB_MM: dict[str, tuple[float, float]] = {
    "T1": (75.0, 8.0),
    "T2": (100.0, 9.0),
    "T3": (111.0, 10.0),
    "T4": (117.0, 10.0),
    "T5": (121.0, 10.0),
    "T6": (125.0, 10.0),
    "T7": (129.0, 11.0),
    "T8": (133.0, 11.0),
    "T9": (135.0, 12.0),
    "T10": (134.0, 13.0),
    "T11": (122.0, 16.0),
    "T12": (82.0, 25.0),
    "L1": (58.0, 12.0),
    "C7": (48.0, 8.0),
}
_PROCESS_MM: dict[str, tuple[float, float]] = {
    "T12": (32.0, 5.0),
    "L1": (38.0, 5.0),
    "L2": (42.0, 5.0),
    "L3": (47.0, 6.0),
    "L4": (44.0, 6.0),
}
_NECK_PROCESS_MM = (33.0, 5.0)
_PELVIS = ("L5", "S1", "S2")  # the iliac bone touches or overlaps: any reach
_CERVICAL_RIB = 0.0094  # DOI 10.1007/s00276-022-03028-0
_FULL_SCALES = np.array([0.84, 0.92, 1.0, 1.08, 1.16])
_SCALE_WEIGHTS = np.exp(-0.5 * ((_FULL_SCALES - 1.0) / 0.09) ** 2)
SHEET_MM = 36.0  # bone that does not reach this far was not picked up at all
_RANGE_MM = 110.0  # from the sheet to the largest reach
_LOOSE = np.array(
    [0.25, 0.5, 0.25]
)  # probability that ribs without necks were counted one too low, right, too high
_ODD = 0.06  # share of readings that say nothing: a lost rib, a vessel, a scapula
_ODD_BEYOND = 0.12  # the same, more for every step that a rib without its head was counted on
_MISSED = 0.06  # share of ribs that are not found at all


def reach_log_likelihood(
    reach_mm: npt.NDArray[np.float64],
    cut: npt.NDArray[np.bool_],
    first: int,
    labels: tuple[str, ...],
    plan: BodyPlan,
    *,
    count: int,
    loose: bool = False,
) -> float:
    """Log likelihood of all reaches under a naming and a body plan, over body sizes.

    Parameters
    ----------
    reach_mm, cut : ndarrays, [side, place]
        See `LevelEvidence`; NaN where nothing could be seen.
    first : int
        Index among `labels` of the vertebra at place 0.
    count : int
        Number of vertebrae in the scan; ribs beyond them were counted on from the last one.
    loose : bool
        No rib's neck was seen, so that the count beyond the sequence may be one off.
    """
    if loose:
        inside, beyond = reach_mm[:, :count], reach_mm[:, count:]
        shifted = [
            reach_log_likelihood(
                np.hstack([inside, np.full((2, max(shift, 0)), np.nan), beyond[:, max(-shift, 0) :]]),
                np.hstack(
                    [cut[:, :count], np.ones((2, max(shift, 0)), bool), cut[:, count + max(-shift, 0) :]]
                ),
                first,
                labels,
                plan,
                count=count,
            )
            for shift in (-1, 0, 1)
        ]
        return float(logsumexp(shifted, b=_LOOSE))
    places = np.arange(reach_mm.shape[1])
    per_scale = np.zeros(len(_FULL_SCALES))
    for place in places[np.isfinite(reach_mm).any(axis=0)]:
        at = first + int(place)
        label = labels[max(at, 0)] if at < len(labels) else "beyond"
        odd = min(_ODD + _ODD_BEYOND * max(0, int(place) - count + 1), 0.5)
        sides = [
            _one(reach_mm[side, place], bool(cut[side, place]), label, plan, odd)
            for side in (0, 1)
            if np.isfinite(reach_mm[side, place])
        ]
        # Both sides of one vertebra are one observation: people are nearly symmetric.
        per_scale += np.mean(sides, axis=0)
    return float(logsumexp(per_scale, b=_SCALE_WEIGHTS / _SCALE_WEIGHTS.sum()))


def _one(reach: float, cut: bool, label: str, plan: BodyPlan, odd: float) -> npt.NDArray[np.float64]:
    """Log likelihood of one reach per body scale."""
    if label in _PELVIS:
        return np.full(len(_FULL_SCALES), np.log(0.3 if reach <= 0 or cut else 0.7 / _RANGE_MM))
    kinds = _kinds(label, plan)
    total = np.zeros(len(_FULL_SCALES))
    for share, mean, spread, rib in kinds:
        mean_mm, spread_mm = mean * _FULL_SCALES, spread * _FULL_SCALES
        if reach <= 0:
            seen = np.maximum(ndtr((SHEET_MM - mean_mm) / spread_mm), _MISSED if rib else 0.3)
        elif cut:
            seen = 1.0 - ndtr((reach - mean_mm) / spread_mm)
        else:
            z = (reach - mean_mm) / spread_mm
            seen = np.exp(-0.5 * z * z) / (spread_mm * np.sqrt(2 * np.pi))
        total += share * seen
    anything = 0.5 if reach <= 0 or cut else 0.5 / _RANGE_MM
    return np.asarray(np.log((1 - odd) * total + odd * anything))


def _kinds(label: str, plan: BodyPlan) -> list[tuple[float, float, float, bool]]:
    """Return what bone a vertebra of this name may have at its side: share, mean, spread, is a rib."""
    if label == "C7":
        return [(_CERVICAL_RIB, *_RIB_MM["C7"], True), (1 - _CERVICAL_RIB, *_NECK_PROCESS_MM, False)]
    if label.startswith("C") or label == "beyond":
        return [(1.0, 28.0, 4.0, False)]
    number = int(label[1:]) if label[0] == "T" else 12 + int(label[1:])
    if number <= plan.ribs:
        return [(1.0, *_RIB_MM[label], True)]
    return [(1.0, *_PROCESS_MM[label], False)]
