"""Approximate signed distances, in millimetres, negative inside; coordinates broadcast against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


def ellipse(u: Any, v: Any, a: Any, b: Any) -> Field:
    """Return the distance to an ellipse with semi-axes a, b; the first-order form k0 (k0 - 1) / k1.

    It is exact on the border and right to a few percent within some millimetres of it.
    """
    k0 = np.sqrt((u / a) ** 2 + (v / b) ** 2)
    k1 = np.sqrt((u / (a * a)) ** 2 + (v / (b * b)) ** 2)
    return np.asarray(k0 * (k0 - 1.0) / np.maximum(k1, 1e-6), dtype=np.float32)


def ellipsoid(u: Any, v: Any, w: Any, axes: tuple[float, float, float]) -> Field:
    """Return the distance to an ellipsoid with semi-axes along u, v, w (first-order form)."""
    a, b, c = axes
    k0 = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2)
    k1 = np.sqrt((u / (a * a)) ** 2 + (v / (b * b)) ** 2 + (w / (c * c)) ** 2)
    return np.asarray(k0 * (k0 - 1.0) / np.maximum(k1, 1e-6), dtype=np.float32)


def box(u: Any, v: Any, w: Any, half: tuple[float, float, float], rounding: float) -> Field:
    """Return the distance to a box with rounded edges centred on the origin."""
    d = [np.abs(c) - (h - rounding) for c, h in zip((u, v, w), half, strict=True)]
    outside = np.sqrt(sum(np.maximum(c, 0.0) ** 2 for c in d))
    inside = np.minimum(np.maximum(np.maximum(d[0], d[1]), d[2]), 0.0)
    return np.asarray(outside + inside - rounding, dtype=np.float32)


def capsule(
    x: Any,
    y: Any,
    z: Any,
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    radius: tuple[float, float],
) -> Field:
    """Return the distance to a round cone-like tube from `start` to `end` (x, y, z) with two radii."""
    p, q = np.asarray(start, float), np.asarray(end, float)
    axis = q - p
    length2 = max(float(axis @ axis), 1e-6)
    t = ((x - p[0]) * axis[0] + (y - p[1]) * axis[1] + (z - p[2]) * axis[2]) / length2
    t = np.clip(t, 0.0, 1.0)
    d2 = (x - p[0] - t * axis[0]) ** 2 + (y - p[1] - t * axis[1]) ** 2 + (z - p[2] - t * axis[2]) ** 2
    return np.asarray(np.sqrt(d2) - (radius[0] + t * (radius[1] - radius[0])), dtype=np.float32)


def union(*fields: Field) -> Field:
    """Return the distance to the union."""
    out = fields[0]
    for other in fields[1:]:
        out = np.minimum(out, other)
    return out


def blend(a: Field, b: Field, k: float) -> Field:
    """Return a union whose inner corner is rounded over about `k` millimetres (polynomial smooth minimum)."""
    h = np.maximum(k - np.abs(a - b), 0.0) / k
    return np.asarray(np.minimum(a, b) - h * h * (k * 0.25), dtype=np.float32)
