"""IBSI grey level co-occurrence features, 3-D, all directions merged into one matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paraspinal.measure.texture.directions import DIRECTIONS

Levels = npt.NDArray[np.integer]
_Array = npt.NDArray[np.float64]

FEATURES = (
    *("joint_maximum", "joint_average", "joint_variance", "joint_entropy"),
    *("difference_average", "difference_variance", "difference_entropy"),
    *("sum_average", "sum_variance", "sum_entropy"),
    *("angular_second_moment", "contrast", "dissimilarity"),
    *("inverse_difference", "normalised_inverse_difference"),
    *("inverse_difference_moment", "normalised_inverse_difference_moment", "inverse_variance"),
    *("correlation", "autocorrelation", "cluster_tendency", "cluster_shade", "cluster_prominence"),
    *("information_correlation_1", "information_correlation_2"),
)


def co_occurrence(levels: Levels) -> _Array:
    """Return how often levels i and j (from 1) are neighbours at Chebyshev distance 1, symmetric; 0 is outside."""
    count = int(levels.max(initial=0))
    out = np.zeros((count, count))
    for step in DIRECTIONS:
        here = tuple(slice(max(0, -d), n - max(0, d)) for d, n in zip(step, levels.shape, strict=True))
        there = tuple(slice(max(0, d), n - max(0, -d)) for d, n in zip(step, levels.shape, strict=True))
        a, b = levels[here].ravel(), levels[there].ravel()
        both = (a > 0) & (b > 0)
        pairs = np.bincount((a[both] - 1) * count + (b[both] - 1), minlength=count * count)
        out += pairs.reshape(count, count)
    return np.asarray(out + out.T)


def _weighed(numbers: _Array, weights: _Array, count: int) -> _Array:
    """Sum of the weights of every whole number below `count`."""
    summed = np.bincount(numbers.astype(int).ravel(), weights=weights.ravel(), minlength=count)
    return np.asarray(summed, np.float64)


def _entropy(p: _Array) -> float:
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def glcm_features(levels: Levels) -> dict[str, float] | None:
    """Return the features of discretised levels [z, y, x] (0 outside); None where no two voxels are neighbours.

    IBSI codes: GYBY, 60VM, UR99, TU9B, TF7R, D3YU, NTRS, ZGXS, OEEB, P6QZ, 8ZQL, ACUI, 8S9J, IB1Z, NDRX, WF0Z, 1QCO,
    E8JP, NI2N, QWB0, DG8W, 7NFM, AE86, R8DG, JN9H.
    """
    counts = co_occurrence(levels)
    total = counts.sum()
    if total == 0:
        return None
    p = counts / total
    n = len(p)
    i, j = np.indices(p.shape) + 1.0
    difference = _weighed(np.abs(i - j), p, n)
    added = _weighed(i + j, p, 2 * n + 1)
    k, s = np.arange(len(difference), dtype=float), np.arange(len(added), dtype=float)
    px = p.sum(axis=1)
    mean = float((np.arange(1, n + 1) * px).sum())
    variance = float(((np.arange(1, n + 1) - mean) ** 2 * px).sum())
    d_mean, s_mean = float((k * difference).sum()), float((s * added).sum())
    cluster = i + j - 2.0 * mean
    unequal = i != j
    entropy, marginal = _entropy(p), _entropy(px)
    product = px[:, None] * px[None, :]
    seen = product > 0
    cross = float(-(p[seen] * np.log2(product[seen])).sum())
    independent = float(-(product[seen] * np.log2(product[seen])).sum())
    autocorrelation = float((i * j * p).sum())
    return {
        "joint_maximum": float(p.max()),
        "joint_average": mean,
        "joint_variance": variance,
        "joint_entropy": entropy,
        "difference_average": d_mean,
        "difference_variance": float(((k - d_mean) ** 2 * difference).sum()),
        "difference_entropy": _entropy(difference),
        "sum_average": s_mean,
        "sum_variance": float(((s - s_mean) ** 2 * added).sum()),
        "sum_entropy": _entropy(added),
        "angular_second_moment": float((p**2).sum()),
        "contrast": float((k**2 * difference).sum()),
        "dissimilarity": d_mean,
        "inverse_difference": float((difference / (1.0 + k)).sum()),
        "normalised_inverse_difference": float((difference / (1.0 + k / n)).sum()),
        "inverse_difference_moment": float((difference / (1.0 + k**2)).sum()),
        "normalised_inverse_difference_moment": float((difference / (1.0 + k**2 / n**2)).sum()),
        "inverse_variance": float((p[unequal] / (i - j)[unequal] ** 2).sum()),
        "correlation": (autocorrelation - mean**2) / variance if variance > 0.0 else 1.0,
        "autocorrelation": autocorrelation,
        "cluster_tendency": float((cluster**2 * p).sum()),
        "cluster_shade": float((cluster**3 * p).sum()),
        "cluster_prominence": float((cluster**4 * p).sum()),
        "information_correlation_1": (entropy - cross) / marginal if marginal > 0.0 else 0.0,
        "information_correlation_2": float(np.sqrt(max(0.0, 1.0 - np.exp(-2.0 * (independent - entropy))))),
    }
