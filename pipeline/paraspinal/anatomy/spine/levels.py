"""The names of the vertebrae, with probabilities.

Every possible naming of the found sequence (from S2 up to C1) is scored, under every usual and unusual count of ribs
and lumbar vertebrae, by independent evidence: how far the bone of each vertebra reaches to the side (rib 1 is short,
rib 12 shorter than rib 11, a transverse process shorter still), the sacrum's wings, the lung's apex and base, the
carina, and the spacing pattern. The posterior over namings gives each vertebra its label probabilities; nothing is
forced, and an unusual count is reported, not assumed away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from paraspinal.anatomy.ribs.reach import BodyPlan, reach_log_likelihood
from paraspinal.errors import AnalysisError

LABELS: tuple[str, ...] = (
    "S2",
    "S1",
    *(f"L{n}" for n in range(5, 0, -1)),
    *(f"T{n}" for n in range(12, 0, -1)),
    *(f"C{n}" for n in range(7, 0, -1)),
)
"""Caudal first."""

VERTEBRA_NUMBERS = {label: 25 + k for k, label in enumerate(LABELS)}
"""TotalSegmentator's numbers (`total` task): S2 takes the sacrum's 25, S1 26, L5 27 … T1 43, C7 44 … C1 50."""

UNCERTAIN_NUMBERS = tuple(range(210, 210 + len(LABELS)))
"""Numbers of vertebrae whose level is uncertain, caudal first."""

# Adult disc-to-disc distances relative to T7 (engineering default; only the shape of the curve is used, its scale
# is free within 15 %).
# fmt: off
_RELATIVE_SPACING = dict(zip(LABELS, (
    1.0, 1.15,  # S2, S1
    1.45, 1.47, 1.46, 1.42, 1.36,  # L5 … L1
    1.28, 1.18, 1.12, 1.08, 1.04, 1.0, 0.97, 0.94, 0.92, 0.89, 0.84, 0.80,  # T12 … T1
    0.74, 0.72, 0.71, 0.71, 0.71, 0.9, 0.7,  # C7 … C1
), strict=True))
# fmt: on
_SPACING_SD, _SCALE_SD, _T7_MM = 0.08, 0.15, 24.5
_MOST_MISFIT = 9.0  # one misplaced border speaks no louder than three spreads

# Probability that a rib is found beside a vertebra of that name where its reach was not measured (engineering
# default). At the pelvis "bone that reaches far to the side" is the sacrum and the iliac bone.
_RIB = {
    **{f"T{n}": 0.97 for n in range(2, 11)},
    **{"T1": 0.85, "T11": 0.94, "T12": 0.97, "C7": 0.06, "L1": 0.02},
    **{"S2": 0.9, "S1": 0.9, "L5": 0.3, "L4": 0.1, "L3": 0.07, "L2": 0.04},
}
_SACRUM = {"S1": 0.8, "S2": 0.8, "L5": 0.12, "L4": 0.03, "T1": 0.4, "T2": 0.2, "T3": 0.1}

# Where the lung's top and bottom lie, as a position in the sequence of labels (L1 = index of L1), and its spread in
# vertebrae (engineering default: apex at T1–T2, posterior recess at T12–L1 in inspiration; textbook anatomy: carina
# at T4–T7, mostly T5).
_APEX, _APEX_SD = LABELS.index("T1") - 0.4, 0.8
_RECESS, _RECESS_SD = LABELS.index("L1") + 0.2, 1.2
_CARINA, _CARINA_SD = LABELS.index("T5") - 0.1, 1.0
# The highest point of the iliac crests lies at L4, L5 or the disc between (intercristal line, textbook anatomy).
_CREST, _CREST_SD = LABELS.index("L4") - 0.5, 0.9

# Of 1,340 people counted from C2 down, 107 had eleven rib pairs (30 of them with a lumbosacral transitional
# vertebra), 5 thirteen, and 78 twelve with a transitional vertebra (synapse.koreamed.org/articles/1158507).
# Transitional vertebrae with missing or short twelfth ribs were sacralised, those with lumbar ribs lumbarised (551
# whole spines, DOI 10.1007/s00256-025-04952-z); lumbar ribs in 0.4-5.8 % (also DOI 10.1007/s13244-013-0286-0).
BODY_PLANS: tuple[BodyPlan, ...] = (
    BodyPlan("twelve rib pairs, five lumbar vertebrae", 12, "S1", 0.85),
    BodyPlan("eleven rib pairs", 11, "S1", 0.057),
    BodyPlan("thirteen rib pairs", 13, "S1", 0.008),
    BodyPlan("sacralised L5", 12, "L5", 0.04),
    BodyPlan("eleven rib pairs and sacralised L5", 11, "L5", 0.022),
    BodyPlan("lumbarised S1", 12, "S2", 0.015),
    BodyPlan("thirteen rib pairs and lumbarised S1", 13, "S2", 0.008),
)
_MISREAD = 0.01  # share of scans in which the found sequence itself may be a vertebra short or long


def _nothing() -> npt.NDArray[np.float64]:
    return np.zeros((2, 0))


@dataclass(frozen=True, slots=True)
class LevelEvidence:
    """What was seen per vertebra, caudal first; NaN where it could not be seen.

    ``spacing_mm``: disc to disc (NaN for a cut vertebra). ``rib``: probability that it bears a rib, read from both
    sides. ``sacral``: probability that it has sacral wings. ``apex`` and ``recess``: fractional index of the
    vertebra at the lung's top and bottom end, NaN when the scan cuts the lung there; ``carina`` that of the
    tracheal bifurcation. ``reach_mm`` [side, place]: how far the bone of each vertebra reaches to the left and right
    (0: not beyond the transverse processes of the chest), also for the ribs of vertebrae above the sequence;
    ``reach_cut`` where the scan cuts that bone or its tip was lost: the reach is a lower bound there. Where it is
    empty, ``rib`` is used; ``loose``: no neck of a rib was seen, and the ribs above the sequence may be counted one
    off. ``crest``: fractional index of the vertebra at the top of the iliac crests. ``fixed``: {place: label} that a
    user has set.
    """

    spacing_mm: npt.NDArray[np.float64]
    rib: npt.NDArray[np.float64]
    sacral: npt.NDArray[np.float64]
    apex: float = float("nan")
    recess: float = float("nan")
    carina: float = float("nan")
    reach_mm: npt.NDArray[np.float64] = field(default_factory=_nothing)
    reach_cut: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros((2, 0), bool))
    loose: bool = False
    crest: float = float("nan")
    fixed: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Naming:
    """One way to name the sequence: vertebra k is ``LABELS[first + k]`` where that exists, and its probability.

    ``plans``: the share of this probability that each body plan (`BODY_PLANS`) has, by name.
    """

    first: int
    probability: float
    plans: Mapping[str, float] = field(default_factory=dict)


_MOST_UNNAMED = 3  # sacral pieces S3 to S5, the skull base: more than these are no spine


def naming_posterior(evidence: LevelEvidence) -> tuple[Naming, ...]:
    """Posterior over all namings (flat prior over what fits, published frequencies of the body plans).

    A sequence that is longer than the list of names is scored by its overlap with it; what lies beyond has no name.

    Raises
    ------
    AnalysisError
        ``too_many_vertebrae`` when the sequence is longer than any spine.
    """
    spare = len(LABELS) - len(evidence.rib)
    if spare < -_MOST_UNNAMED:
        raise AnalysisError(
            f"{len(evidence.rib)} vertebrae were found, more than a spine has.",
            code="too_many_vertebrae",
            remedy="Check that the slice spacing is right and that the series shows one patient once.",
        )
    places = list(range(min(spare, 0) - _MOST_UNNAMED, max(spare, 0) + 1))
    fixed = {LABELS.index(label) - place for place, label in evidence.fixed.items()}
    if fixed:
        places = [first for first in places if first in fixed] or sorted(fixed)
    score = np.array([[_log_likelihood(evidence, first, plan) for plan in BODY_PLANS] for first in places])
    score += np.log([plan.share for plan in BODY_PLANS])
    weight = np.exp(score - logsumexp(score))
    total = weight.sum(axis=1)
    share = weight / np.maximum(total, 1e-300)[:, None]
    if not fixed and len(total) > 1:
        padded = np.pad(total, 1)
        total = (1 - _MISREAD) * total + _MISREAD * 0.5 * (padded[:-2] + padded[2:])
    total /= total.sum()
    names = [plan.name for plan in BODY_PLANS]
    return tuple(
        Naming(first, float(p), dict(zip(names, map(float, parts), strict=True)))
        for first, p, parts in zip(places, total, share, strict=True)
    )


def label_probabilities(posterior: tuple[Naming, ...], count: int) -> list[dict[str, float]]:
    """Return {label: probability} for each of `count` vertebrae, caudal first, without entries below 0.5 %.

    Empty for a vertebra that lies beyond all names.
    """
    out = []
    for k in range(count):
        named = {
            LABELS[n.first + k]: n.probability
            for n in posterior
            if n.probability >= 0.005 and 0 <= n.first + k < len(LABELS)
        }
        total = sum(n.probability for n in posterior if n.probability >= 0.005)
        out.append({label: p / total for label, p in sorted(named.items(), key=lambda item: -item[1])})
    return out


def unusual_plans(posterior: tuple[Naming, ...], *, at_least: float = 0.1) -> dict[str, float]:
    """Return the unusual counts of ribs or lumbar vertebrae that this spine may have, most probable first."""
    total = {
        plan.name: sum(n.probability * n.plans.get(plan.name, 0.0) for n in posterior)
        for plan in BODY_PLANS[1:]
    }
    return {name: p for name, p in sorted(total.items(), key=lambda item: -item[1]) if p >= at_least}


def _log_likelihood(evidence: LevelEvidence, first: int, plan: BodyPlan) -> float:
    named = slice(max(0, -first), len(LABELS) - first)
    labels = LABELS[max(0, first) : first + len(evidence.rib)]
    if evidence.reach_mm.size:
        total = reach_log_likelihood(
            evidence.reach_mm,
            evidence.reach_cut,
            first,
            LABELS,
            plan,
            count=len(evidence.rib),
            loose=evidence.loose,
        )
    else:
        total = _bernoulli(evidence.rib[named], np.array([_bears(label, plan) for label in labels]))
    total += _bernoulli(evidence.sacral[named], np.array([_is_sacral(label, plan) for label in labels]))
    total += _spacing(evidence.spacing_mm[named], labels)
    for seen, expected, spread in (
        (evidence.apex, _APEX, _APEX_SD),
        (evidence.recess, _RECESS, _RECESS_SD),
        (evidence.carina, _CARINA, _CARINA_SD),
        (evidence.crest, _CREST, _CREST_SD),
    ):
        if np.isfinite(seen):
            total += _bounded_normal((first + seen - expected) / spread)
    return total


def _bears(label: str, plan: BodyPlan) -> float:
    """Probability that bone beside a vertebra of this name looks like a rib."""
    if label == "T12" and plan.ribs == 11:
        return 0.08
    if label == "L1" and plan.ribs == 13:
        return 0.8
    return _RIB.get(label, 0.015)


def _is_sacral(label: str, plan: BodyPlan) -> float:
    """Probability that a vertebra of this name has wings; a transitional spine begins them at L5 or at S2."""
    if label == "L5" and plan.sacrum == "L5":
        return 0.6
    if label == "S1" and plan.sacrum == "S2":
        return 0.3
    return _SACRUM.get(label, 0.005)


def _bernoulli(seen: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> float:
    known = np.isfinite(seen)
    p, q = seen[known], expected[known]
    return float(np.log(p * q + (1 - p) * (1 - q)).sum())


def _bounded_normal(z: float) -> float:
    """Log of a normal density with a floor, so that one misread landmark cannot outvote all others."""
    return float(np.log(np.exp(-0.5 * z * z) + 0.02))


def _spacing(spacing_mm: npt.NDArray[np.float64], labels: tuple[str, ...]) -> float:
    known = np.isfinite(spacing_mm)
    if not known.any():
        return 0.0
    expected = np.array([_RELATIVE_SPACING[label] for label in labels])[known] * _T7_MM
    fused = np.array([label in ("S1", "S2") for label in labels])[known]
    residual = np.log(spacing_mm[known] / expected)[~fused]
    misfit = float(fused.sum())  # the sacrum has no discs to measure between: as good as any
    if residual.size:
        shrink = _SCALE_SD**2 / (_SCALE_SD**2 + _SPACING_SD**2 / residual.size)
        scale = shrink * np.median(residual)
        misfit += float(np.minimum(((residual - scale) / _SPACING_SD) ** 2, _MOST_MISFIT).sum())
        misfit += (scale / _SCALE_SD) ** 2
    # Neighbouring spacings share the errors of one border: count them as half as many.
    return float(-0.25 * misfit)
