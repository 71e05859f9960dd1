"""Thinner slices from thick ones that tile the volume, so that every thick slice keeps its content.

A slice that is as thick as its distance to the next is a mean over its thickness, and the running sum of the slices
is known exactly at their edges. The sum is interpolated by monotone cubics (Fritsch & Carlson, SIAM J Numer Anal
1980, 17:238–246; Butland's slopes as in SciPy's ``PchipInterpolator``), and a thinner slice is the difference of the
sum at its own edges: no tissue is lost or made, and no value falls below the darkest of its column of voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from paraspinal.volume import HUArray

_ROWS = 8  # at once: a slab of so many rows of a long series stays below 100 MiB in float64


def histopolate(
    hu: HUArray,
    edges_mm: npt.NDArray[np.float64],
    at_mm: npt.NDArray[np.float64],
    gap_mm: float,
    pool: Executor,
) -> HUArray:
    """Return slices of thickness `gap_mm` at `at_mm` from slices that tile the space between `edges_mm`.

    Parameters
    ----------
    hu : ndarray of int16, shape (slices, rows, columns)
        In order of position.
    edges_mm : ndarray, shape (slices + 1,)
        Where one slice ends and the next begins, ascending.
    at_mm : ndarray, shape (targets,)
        Middles of the wanted slices; what reaches beyond the outermost edges is cut to them.
    gap_mm : float
        Thickness of the wanted slices.

    Returns
    -------
    ndarray of int16, shape (targets, rows, columns)
        Hounsfield units, rounded.
    """
    out = np.empty((len(at_mm), *hu.shape[1:]), dtype=np.int16)
    low = np.clip(at_mm - gap_mm / 2, edges_mm[0], edges_mm[-1])
    high = np.clip(at_mm + gap_mm / 2, edges_mm[0], edges_mm[-1])
    info = np.iinfo(np.int16)

    def fill(first: int) -> None:
        rows = slice(first, first + _ROWS)
        # From the darkest value up, so that the running sum rises and monotone cubics give nothing below it.
        floor = hu[:, rows].min(axis=0).astype(np.float64)
        content = (hu[:, rows] - floor) * np.diff(edges_mm)[:, None, None]
        total = np.concatenate([np.zeros((1, *content.shape[1:])), np.cumsum(content, axis=0)])
        running = PchipInterpolator(edges_mm, total, axis=0)
        values = floor + (running(high) - running(low)) / (high - low)[:, None, None]
        out[:, rows] = np.clip(np.rint(values), info.min, info.max).astype(np.int16)

    list(pool.map(fill, range(0, hu.shape[1], _ROWS)))
    return out


def tiling_edges(
    along_mm: npt.NDArray[np.float64],
    thickness_mm: Sequence[float] | npt.NDArray[np.float64],
    *,
    share: float,
) -> npt.NDArray[np.float64] | None:
    """Return the edges of slices that tile, or None where a slice overlaps its neighbour or leaves a gap.

    Parameters
    ----------
    along_mm, thickness_mm : array_like, shape (slices,)
        Position, ascending, and stated thickness (NaN: not stated) of each slice.
    share : float
        Departure of the distance of two slices from their mean thickness that is rounding, as a share of it.
    """
    thick = np.asarray(thickness_mm, dtype=np.float64)
    if not np.isfinite(thick).all():
        return None
    gaps = np.diff(along_mm)
    expected = (thick[:-1] + thick[1:]) / 2
    if (np.abs(gaps - expected) > share * expected).any():
        return None
    inner = along_mm[:-1] + gaps * thick[:-1] / (thick[:-1] + thick[1:])
    return np.concatenate([[along_mm[0] - thick[0] / 2], inner, [along_mm[-1] + thick[-1] / 2]])
