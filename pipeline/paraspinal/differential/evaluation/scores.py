"""Scores of probabilities against known diagnoses, each with a bootstrap interval.

A draw of the bootstrap gives every case a weight (how often it was drawn), so that all draws are computed at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.differential.compiled import Array, Indices

Flags = npt.NDArray[np.bool_]

DRAWS = 2000
_SMALLEST = 1e-12
_SETTLED = 1e-6
_BLOCK_NUMBERS = 500_000
"""Weights that are held at once: draws are taken in blocks."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A score with its 95 % interval; None where it cannot be had (one class only, or separated classes)."""

    value: float | None
    low: float | None = None
    high: float | None = None


def scores(
    p: Array, truth: Indices, *, draws: int = DRAWS, seed: int = 0, calibrated: bool = True
) -> dict[str, Figure]:
    """Return all scores of probabilities ``p[n, e]`` for cases of entity ``truth[n]``; entity 0 is EMH.

    ``log_loss``, ``top1``, ``top2`` (ties share their places), ``brier`` (sum over entities, 0 to 2), ``emh_auc``,
    ``emh_sensitivity`` and ``emh_specificity`` (EMH is called where it comes first), ``slope`` of the calibration of
    all entities one against the rest, ``emh_slope`` and ``emh_intercept`` of EMH alone (logistic regression on the
    log odds; the intercept with the slope held at 1). ``expected_top1`` is the share that the probabilities promise.
    Slopes and intercept, which take most of the time, are left out without `calibrated`.
    """
    n = len(p)
    weights = [np.ones((1, n)), *_draws(n, draws, seed)]
    each = [_scored(p, truth, w) | (_calibrations(p, truth, w) if calibrated else {}) for w in weights]
    joined = {name: np.concatenate([part[name] for part in each]) for name in each[0]}
    return {name: _figure(values) for name, values in joined.items()}


def _draws(n: int, draws: int, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK_NUMBERS // max(n, 1))
    sizes = [min(block, draws - k) for k in range(0, draws, block)]
    return [rng.multinomial(n, np.full(n, 1.0 / n), size=size).astype(float) for size in sizes]


def _figure(values: Array) -> Figure:
    own, drawn = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not math.isfinite(own):
        return Figure(None)
    if len(drawn) < max(20, 0.5 * (len(values) - 1)):
        return Figure(own)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Figure(own, float(low), float(high))


def _scored(p: Array, truth: Indices, w: Array) -> dict[str, Array]:
    rows = np.arange(len(p))
    own = p[rows, truth]
    better = (p > own[:, None]).sum(axis=1)
    ties = np.isclose(p, own[:, None], rtol=0.0, atol=1e-12).sum(axis=1)
    one_hot = np.eye(p.shape[1])[truth]
    first = np.argmax(p, axis=1) == 0
    emh = truth == 0
    total = w.sum(axis=1)
    return {
        "log_loss": w @ -np.log(np.maximum(own, _SMALLEST)) / total,
        "top1": w @ np.clip((1 - better) / ties, 0.0, 1.0) / total,
        "top2": w @ np.clip((2 - better) / ties, 0.0, 1.0) / total,
        "expected_top1": w @ p.max(axis=1) / total,
        "brier": w @ ((p - one_hot) ** 2).sum(axis=1) / total,
        "emh_auc": auc(p[:, 0], emh, w),
        "emh_sensitivity": _share(w, emh & first, emh),
        "emh_specificity": _share(w, ~emh & ~first, ~emh),
    }


def _calibrations(p: Array, truth: Indices, w: Array) -> dict[str, Array]:
    one_hot = np.eye(p.shape[1])[truth]
    log_odds = np.log(np.clip(p, _SMALLEST, 1.0)) - np.log(np.clip(1.0 - p, _SMALLEST, 1.0))
    everywhere = np.repeat(w, p.shape[1], axis=1)
    slope, _ = calibration(log_odds.ravel(), one_hot.ravel(), everywhere)
    emh_slope, emh_intercept = calibration(log_odds[:, 0], one_hot[:, 0], w)
    return {"slope": slope, "emh_slope": emh_slope, "emh_intercept": emh_intercept}


def _share(w: Array, hits: Flags, of: Flags) -> Array:
    count = w @ of.astype(float)
    return np.asarray(np.where(count > 0.0, w @ hits.astype(float) / np.maximum(count, 1.0), np.nan))


def auc(score: Array, positive: Flags, w: Array) -> Array:
    """Return the area under the ROC curve for every row of weights; ties count half; NaN without both classes."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0.0)
    yes = np.add.reduceat(w[:, order] * positive[order], starts, axis=1)
    no = np.add.reduceat(w[:, order] * ~positive[order], starts, axis=1)
    below = np.cumsum(no, axis=1) - no
    pairs = yes.sum(axis=1) * no.sum(axis=1)
    won = (yes * (below + 0.5 * no)).sum(axis=1)
    return np.asarray(np.where(pairs > 0.0, won / np.maximum(pairs, 1.0), np.nan))


def calibration(log_odds: Array, happened: Array, w: Array) -> tuple[Array, Array]:
    """Return slope, and intercept with the slope held at 1, for every row of weights.

    Logistic regression of what happened on the predicted log odds (Cox 1958, doi:10.1093/biomet/45.3-4.562) by
    Newton's method, all rows at once. NaN where the classes are separated or one is missing.
    """
    a, b = np.zeros(len(w)), np.ones(len(w))
    alone = np.zeros(len(w))
    for _ in range(30):
        gradient, curvature = _newton(alone[:, None] + log_odds, happened, w)
        step_alone = gradient[0] / np.maximum(curvature[0], 1e-9)
        alone = alone + np.clip(step_alone, -3.0, 3.0)
        gradient, curvature = _newton(a[:, None] + b[:, None] * log_odds, happened, w, log_odds)
        determinant = np.maximum(curvature[0] * curvature[2] - curvature[1] ** 2, 1e-12)
        step_a = (curvature[2] * gradient[0] - curvature[1] * gradient[1]) / determinant
        step_b = (curvature[0] * gradient[1] - curvature[1] * gradient[0]) / determinant
        a, b = a + np.clip(step_a, -3.0, 3.0), b + np.clip(step_b, -1.0, 1.0)
        if max(np.abs(step_a).max(), np.abs(step_b).max(), np.abs(step_alone).max()) < _SETTLED:
            break
    both = (w @ happened > 0.0) & (w @ (1.0 - happened) > 0.0)
    return np.where(both & ~_separated(log_odds, happened, w), b, np.nan), np.where(both, alone, np.nan)


def _separated(log_odds: Array, happened: Array, w: Array) -> Flags:
    """Tell for every row of weights whether some value divides what happened from what did not."""
    highest = np.where((w > 0.0) & (happened == 0.0), log_odds, -np.inf).max(axis=1)
    lowest = np.where((w > 0.0) & (happened == 1.0), log_odds, np.inf).min(axis=1)
    return np.asarray(highest <= lowest)


def _newton(
    eta: Array, happened: Array, w: Array, x: Array | None = None
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Return gradient (in a, b) and curvature (aa, ab, bb) of the weighted log likelihood."""
    q = 0.5 * (1.0 + np.tanh(0.5 * eta))
    residual, variance = w * (happened - q), w * q * (1.0 - q)
    if x is None:
        return (residual.sum(axis=1),), (variance.sum(axis=1),)
    return (residual.sum(axis=1), residual @ x), (variance.sum(axis=1), variance @ x, variance @ (x * x))
