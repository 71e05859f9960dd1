"""The spinal canal where another segmenter shows the cord or the canal."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from paraspinal.anatomy.given.grid import covers
from paraspinal.anatomy.given.types import StructureSet
from paraspinal.anatomy.spine.canal import CanalTrace
from paraspinal.volume import Geometry

_NAMES = ("canal", "spinal_cord")
_FAR_MM = 8.0
"""A cord lies this close to the middle of its canal: the canal's half width less the cord's (17 and 8 mm across in
the thorax, wider at both ends)."""
_SMOOTHING_MM = 6.0


def guided_canal(
    trace: CanalTrace | None, given: StructureSet, grid: Geometry, *, min_mm: float
) -> tuple[CanalTrace | None, bool]:
    """Return the built-in trace if a given cord or canal bears it out, else a trace through that (and True).

    The built-in trace follows the middle of the bony canal, which the cord does not: it stays where both agree. It is
    replaced when it is missing, or leaves the given one by more than 8 mm in the median slice.

    Parameters
    ----------
    trace : CanalTrace or None
        What the built-in segmenter found.
    given : StructureSet
        Structures on any grid.
    grid : Geometry
        The working grid.
    min_mm : float
        A given canal shorter than this replaces nothing.
    """
    own = _trace_of(given, grid)
    if own is None or len(own.points_yx) * grid.spacing_mm[0] < min_mm:
        return trace, False
    if trace is None:
        return own, True
    first, last = max(trace.first, own.first), min(trace.last, own.last)
    if last < first:
        return own, True
    z = np.arange(first, last + 1)
    apart = np.linalg.norm((trace.at(z) - own.at(z)) * np.asarray(grid.spacing_mm[1:]), axis=1)
    return (own, True) if float(np.median(apart)) > _FAR_MM else (trace, False)


def _trace_of(given: StructureSet, grid: Geometry) -> CanalTrace | None:
    """Trace the middle of the given canal or cord, smoothed along the spine."""
    name = next((n for n in _NAMES if n in given.structures), None)
    if name is None:
        return None
    mask = covers(given.structures[name], grid)
    z = np.flatnonzero(mask.any(axis=(1, 2)))
    if z.size == 0:
        return None
    middle = np.array([np.argwhere(mask[k]).mean(axis=0) for k in z])
    every = np.arange(z[0], z[-1] + 1)
    points = np.column_stack([np.interp(every, z, middle[:, k]) for k in range(2)])
    smooth = ndimage.gaussian_filter1d(points, _SMOOTHING_MM / grid.spacing_mm[0], axis=0, mode="nearest")
    return CanalTrace(int(z[0]), smooth, np.ones(len(every)))
