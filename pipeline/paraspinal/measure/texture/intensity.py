"""IBSI intensity-based statistics: of the values themselves, without discretisation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_HU = "[hnsf'U]"

UNITS: dict[str, str] = {
    "mean": _HU,
    "variance": f"{_HU}2",
    "skewness": "1",
    "excess_kurtosis": "1",
    "median": _HU,
    "minimum": _HU,
    "p10": _HU,
    "p90": _HU,
    "maximum": _HU,
    "interquartile_range": _HU,
    "range": _HU,
    "mean_absolute_deviation": _HU,
    "robust_mean_absolute_deviation": _HU,
    "median_absolute_deviation": _HU,
    "root_mean_square": _HU,
}
"""Features with their units."""


def intensity_features(values: npt.ArrayLike) -> dict[str, float]:
    """Return the intensity statistics of the voxels of a region, in HU.

    IBSI codes: Q4LE, ECT3, KE2A, IPH6, Y12H, 1GSF, QG58, 8DWT, 84IY, SALO, 2OJQ, 4FUA, 1128, N72L, 5ZWQ. Coefficient
    of variation, quartile coefficient and energy have no meaning on a scale whose zero is water.
    """
    x = np.asarray(values, np.float64).ravel()
    mean, median = float(x.mean()), float(np.median(x))
    p10, p25, p75, p90 = (float(p) for p in np.percentile(x, (10, 25, 75, 90)))
    variance = float(x.var())
    inner = x[(x >= p10) & (x <= p90)]
    flat = variance <= 0.0
    return {
        "mean": mean,
        "variance": variance,
        "skewness": 0.0 if flat else float(((x - mean) ** 3).mean() / variance**1.5),
        "excess_kurtosis": 0.0 if flat else float(((x - mean) ** 4).mean() / variance**2 - 3.0),
        "median": median,
        "minimum": float(x.min()),
        "p10": p10,
        "p90": p90,
        "maximum": float(x.max()),
        "interquartile_range": p75 - p25,
        "range": float(np.ptp(x)),
        "mean_absolute_deviation": float(np.abs(x - mean).mean()),
        "robust_mean_absolute_deviation": float(np.abs(inner - inner.mean()).mean()),
        "median_absolute_deviation": float(np.abs(x - median).mean()),
        "root_mean_square": float(np.sqrt((x**2).mean())),
    }
