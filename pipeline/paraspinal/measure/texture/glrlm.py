"""IBSI grey level run length features, 3-D, all directions merged into one matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paraspinal.measure.texture.directions import DIRECTIONS

Levels = npt.NDArray[np.integer]
_Array = npt.NDArray[np.float64]

FEATURES = (
    *("short_runs_emphasis", "long_runs_emphasis"),
    *("low_grey_level_run_emphasis", "high_grey_level_run_emphasis"),
    *("short_run_low_grey_level_emphasis", "short_run_high_grey_level_emphasis"),
    *("long_run_low_grey_level_emphasis", "long_run_high_grey_level_emphasis"),
    *("grey_level_non_uniformity", "normalised_grey_level_non_uniformity"),
    *("run_length_non_uniformity", "normalised_run_length_non_uniformity"),
    *("run_percentage", "grey_level_variance", "run_length_variance", "run_entropy"),
)


def run_lengths(levels: Levels) -> _Array:
    """Return how many runs of level i (from 1) and length j (from 1) there are in the 13 directions; 0 is outside."""
    longest = max(levels.shape)
    out = np.zeros((int(levels.max(initial=0)), longest))
    padded = np.pad(levels, 1)
    for step in DIRECTIONS:
        before = np.roll(padded, step, axis=(0, 1, 2))
        starts = np.argwhere((padded > 0) & (before != padded))
        level = padded[tuple(starts.T)]
        length = np.ones(len(starts), dtype=int)
        going, at = np.arange(len(starts)), starts.copy()
        while going.size:
            at = at + step
            same = padded[tuple(at.T)] == level[going]
            going, at = going[same], at[same]
            length[going] += 1
        np.add.at(out, (level - 1, length - 1), 1.0)
    return out


def glrlm_features(levels: Levels) -> dict[str, float] | None:
    """Return the features of discretised levels [z, y, x] (0 outside); None for an empty region.

    IBSI codes: 22OV, W4KF, V3SW, G3QZ, HTZT, GD3A, IVPO, 3KUM, R5YN, OVBL, W92Y, IC23, 9ZK5, 8CE5, SXLW, HJ9O.
    """
    runs = run_lengths(levels)
    total = float(runs.sum())
    if total == 0.0:
        return None
    p = runs / total
    i, j = np.indices(p.shape) + 1.0
    by_level, by_length = runs.sum(axis=1), runs.sum(axis=0)
    some = p[p > 0]
    mean_level, mean_length = float((i * p).sum()), float((j * p).sum())
    return {
        "short_runs_emphasis": float((p / j**2).sum()),
        "long_runs_emphasis": float((p * j**2).sum()),
        "low_grey_level_run_emphasis": float((p / i**2).sum()),
        "high_grey_level_run_emphasis": float((p * i**2).sum()),
        "short_run_low_grey_level_emphasis": float((p / (i * j) ** 2).sum()),
        "short_run_high_grey_level_emphasis": float((p * i**2 / j**2).sum()),
        "long_run_low_grey_level_emphasis": float((p * j**2 / i**2).sum()),
        "long_run_high_grey_level_emphasis": float((p * (i * j) ** 2).sum()),
        "grey_level_non_uniformity": float((by_level**2).sum() / total),
        "normalised_grey_level_non_uniformity": float((by_level**2).sum() / total**2),
        "run_length_non_uniformity": float((by_length**2).sum() / total),
        "normalised_run_length_non_uniformity": float((by_length**2).sum() / total**2),
        "run_percentage": total / (len(DIRECTIONS) * np.count_nonzero(levels)),
        "grey_level_variance": float(((i - mean_level) ** 2 * p).sum()),
        "run_length_variance": float(((j - mean_length) ** 2 * p).sum()),
        "run_entropy": float(-(some * np.log2(some)).sum()),
    }
