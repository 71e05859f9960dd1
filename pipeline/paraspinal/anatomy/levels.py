"""The names of the vertebrae, with probabilities.

Every possible naming of the found sequence (from S2 up to C1) is scored by independent evidence:
ribs per vertebra, the sacrum's wings, the lung's apex and base, and the spacing pattern. The posterior over namings
gives each vertebra its label probabilities; nothing is forced.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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

# Probability that a rib is found beside a vertebra of that name (engineering default).
# At the pelvis "bone that reaches far to the side" is the sacrum and the iliac bone.
_RIB = {
    **{f"T{n}": 0.97 for n in range(2, 11)},
    **{"T1": 0.85, "T11": 0.94, "T12": 0.82, "C7": 0.06, "L1": 0.05},
    **{"S2": 0.9, "S1": 0.9, "L5": 0.3, "L4": 0.1, "L3": 0.07, "L2": 0.06},
}
_SACRUM = {"S1": 0.8, "S2": 0.8, "L5": 0.25, "L4": 0.03, "T1": 0.4, "T2": 0.2, "T3": 0.1}

# Where the lung's top and bottom lie, as a position in the sequence of labels (L1 = index of L1), and its spread in
# vertebrae (engineering default: apex at T1–T2, posterior recess at T12–L1 in inspiration, carina at T4–T6).
_APEX, _APEX_SD = LABELS.index("T1") - 0.4, 0.8
_RECESS, _RECESS_SD = LABELS.index("L1") + 0.2, 1.2
_CARINA, _CARINA_SD = LABELS.index("T5") + 0.2, 0.8


@dataclass(frozen=True, slots=True)
class LevelEvidence:
    """What was seen per vertebra, caudal first; NaN where it could not be seen.

    ``spacing_mm``: disc to disc (NaN for a cut vertebra). ``rib``: probability that it bears a rib, read from both
    sides. ``sacral``: probability that it has sacral wings. ``apex`` and ``recess``: fractional index of the
    vertebra at the lung's top and bottom end, NaN when the scan cuts the lung there; ``carina`` that of the
    tracheal bifurcation.
    """

    spacing_mm: npt.NDArray[np.float64]
    rib: npt.NDArray[np.float64]
    sacral: npt.NDArray[np.float64]
    apex: float = float("nan")
    recess: float = float("nan")
    carina: float = float("nan")


@dataclass(frozen=True, slots=True)
class Naming:
    """One way to name the sequence: vertebra k is ``LABELS[first + k]`` where that exists, and its probability."""

    first: int
    probability: float


_MOST_UNNAMED = 3  # sacral pieces below S2, the skull base: more than these are no spine


def naming_posterior(evidence: LevelEvidence) -> tuple[Naming, ...]:
    """Posterior over all namings (flat prior over what fits).

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
    places = range(spare + 1) if spare >= 0 else range(spare, 1)
    score = np.array([_log_likelihood(evidence, first) for first in places])
    weight = np.exp(score - score.max())
    return tuple(Naming(first, float(p)) for first, p in zip(places, weight / weight.sum(), strict=True))


def label_probabilities(evidence: LevelEvidence) -> list[dict[str, float]]:
    """Return {label: probability} per vertebra, caudal first, without entries below 0.5 %.

    Empty for a vertebra that lies beyond all names.
    """
    posterior = naming_posterior(evidence)
    out = []
    for k in range(len(evidence.rib)):
        named = {
            LABELS[n.first + k]: n.probability
            for n in posterior
            if n.probability >= 0.005 and 0 <= n.first + k < len(LABELS)
        }
        total = sum(n.probability for n in posterior if n.probability >= 0.005)
        out.append({label: p / total for label, p in sorted(named.items(), key=lambda item: -item[1])})
    return out


def _log_likelihood(evidence: LevelEvidence, first: int) -> float:
    named = slice(max(0, -first), len(LABELS) - first)
    labels = LABELS[max(0, first) : first + len(evidence.rib)]
    total = _bernoulli(evidence.rib[named], np.array([_RIB.get(label, 0.015) for label in labels]))
    total += _bernoulli(evidence.sacral[named], np.array([_SACRUM.get(label, 0.005) for label in labels]))
    total += _spacing(evidence.spacing_mm[named], labels)
    for seen, expected, spread in (
        (evidence.apex, _APEX, _APEX_SD),
        (evidence.recess, _RECESS, _RECESS_SD),
        (evidence.carina, _CARINA, _CARINA_SD),
    ):
        if np.isfinite(seen):
            total += _bounded_normal((first + seen - expected) / spread)
    return total


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
    residual = np.log(spacing_mm[known] / expected)
    n = residual.size
    shrink = _SCALE_SD**2 / (_SCALE_SD**2 + _SPACING_SD**2 / n)
    scale = shrink * residual.mean()
    fit = float(((residual - scale) ** 2).sum()) / _SPACING_SD**2 + (scale / _SCALE_SD) ** 2
    # Neighbouring spacings share the errors of one border: count them as half as many.
    return float(-0.25 * fit)
