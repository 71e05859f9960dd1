"""What another clean place does not reach, told by the patient's few clean ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

_LEVEL = 0.95


def null_limit(nulls: npt.NDArray[np.float64], *, sites: int = 1) -> float:
    """Return the limit that the greatest reading of `sites` further clean places stays below (95 %).

    The percentile of the readings, or the one-sided prediction bound of a normal distribution where it is more,
    mean + t(p, n - 1) · SD · √(1 + 1/n) (Hahn & Meeker, Statistical Intervals, 1991): of few readings the greatest
    is no limit. One of several places is taken because it reads most, so that each must stay below with
    p = 0.95^(1/sites). Places share the reference sample, which makes the joint bound hold at least as well.

    Parameters
    ----------
    nulls : float array (n,)
        Readings of clean places, in any unit; two or more.
    sites : int
        How many places are compared, of which the greatest counts.
    """
    n = nulls.size
    if n < 2 or sites < 1:
        raise ValueError(f"a limit needs two readings and one site, not {n} and {sites}")
    level = _LEVEL ** (1.0 / sites)
    predicted = nulls.mean() + stats.t.ppf(level, n - 1) * nulls.std(ddof=1) * np.sqrt(1.0 + 1.0 / n)
    return max(float(np.percentile(nulls, 100.0 * level)), float(predicted))
