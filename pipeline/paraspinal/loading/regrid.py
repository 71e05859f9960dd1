"""Put decoded slices onto the even grid of their layout: move them within their plane, interpolate between them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.loading.histopolation import histopolate
from paraspinal.loading.hounsfield import AIR_FLOOR_HU
from paraspinal.loading.interpolation import SourceSlice, edge_levels, interpolate
from paraspinal.loading.spacing import EvenGrid
from paraspinal.volume import BoolArray, HUArray, Index3

# A shift of less than this share of a pixel is rounding of decimal strings.
_WHOLE_PX = 1e-3
_NEIGHBOURS = 2
# Slices in which contours are looked for.
_LEVEL_SLICES = 16


@dataclass(frozen=True, slots=True)
class Regrid:
    """How slices become a box.

    Parameters
    ----------
    source_shape : (int, int, int)
        Slices as they are in the files: (slices, rows, columns).
    target_shape : (int, int, int)
        The box.
    shift_px : ndarray, shape (slices, 2)
        Place of each slice's first pixel in the box's plane (row, column), in pixels, not negative.
    along_mm : ndarray, shape (slices,)
        Position of each slice along the normal, ascending.
    grid : EvenGrid
        Positions of the box's slices.
    """

    source_shape: Index3
    target_shape: Index3
    shift_px: npt.NDArray[np.float64]
    along_mm: npt.NDArray[np.float64]
    grid: EvenGrid

    @property
    def interpolated(self) -> tuple[int, ...]:
        """Slices of the box that no image shows."""
        return tuple(int(i) for i in np.flatnonzero(self.grid.source_of < 0))


def regrid(
    hu: HUArray, padding: BoolArray | None, plan: Regrid, *, threads: int
) -> tuple[HUArray, BoolArray | None]:
    """Return the box and its padding; what no slice covers is padding.

    Parameters
    ----------
    hu, padding : ndarray, shape ``plan.source_shape``
        Slices in the order of the layout.
    """
    with ThreadPoolExecutor(threads) as pool:
        if plan.shift_px.any():
            moved = list(pool.map(lambda i: _moved(hu, padding, plan, i), range(len(hu))))
            hu = np.stack([values for values, _ in moved])
            padding = np.stack([gone for _, gone in moved])
        if plan.grid.plain:
            return hu, padding
        gone = np.zeros(hu.shape, dtype=bool) if padding is None else padding
        source_of = plan.grid.source_of
        out, empty = hu[source_of], gone[source_of]
        missing = np.array(plan.interpolated, dtype=np.intp)
        if not missing.size:
            return out, empty if empty.any() else None
        if plan.grid.edges_mm is not None:
            _fill_conserving(hu, gone, plan, missing, out, empty, pool)
            return out, empty if empty.any() else None
        levels = edge_levels(hu[_beside(plan, missing)])
        for part in pool.map(lambda m: list(_between(hu, plan, m, levels)), np.array_split(missing, threads)):
            for target, above, values in part:
                empty[target] = gone[above - 1] | gone[above]
                out[target] = np.where(empty[target], AIR_FLOOR_HU, values)
    return out, empty if empty.any() else None


def _fill_conserving(
    hu: HUArray,
    gone: BoolArray,
    plan: Regrid,
    targets: npt.NDArray[np.intp],
    out: HUArray,
    empty: BoolArray,
    pool: Executor,
) -> None:
    """Fill `targets` of the box from slices that tile the volume, each keeping its content."""
    edges, gap = plan.grid.edges_mm, plan.grid.gap_mm
    if edges is None:
        raise AssertionError("only slices that tile have edges")
    at_mm = (plan.grid.first_mm + targets * gap).astype(np.float64)
    out[targets] = histopolate(hu, edges, at_mm, gap, pool)
    above = np.clip(np.searchsorted(plan.along_mm, at_mm), 1, len(hu) - 1)
    empty[targets] = gone[above - 1] | gone[above]
    out[empty] = AIR_FLOOR_HU


def _beside(plan: Regrid, targets: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return slices next to the positions that are filled, a limited number of them."""
    at_mm = plan.grid.first_mm + targets * plan.grid.gap_mm
    above = np.clip(np.searchsorted(plan.along_mm, at_mm), 1, len(plan.along_mm) - 1)
    found = np.unique([above - 1, above])
    return found[:: -(-len(found) // _LEVEL_SLICES)]


def _between(
    hu: HUArray, plan: Regrid, targets: npt.NDArray[np.intp], levels: tuple[float, ...]
) -> Iterator[tuple[int, int, HUArray]]:
    """Yield (target, slice above it, values) for positions of the box where no slice stands."""
    window: dict[int, SourceSlice] = {}
    for target in targets:
        at_mm = plan.grid.first_mm + target * plan.grid.gap_mm
        above = int(np.clip(np.searchsorted(plan.along_mm, at_mm), 1, len(hu) - 1))
        used = range(max(above - _NEIGHBOURS, 0), min(above + _NEIGHBOURS, len(hu)))
        window = {i: window.get(i) or SourceSlice(hu[i], float(plan.along_mm[i])) for i in used}
        yield int(target), above, interpolate([window[i] for i in used], at_mm, levels=levels)


def _moved(hu: HUArray, padding: BoolArray | None, plan: Regrid, source: int) -> tuple[HUArray, BoolArray]:
    """Return one slice on the box's plane, and where it is empty there.

    Whole pixels are copied. The rest of the shift is a cubic spline: of the common interpolators it alters edges
    and noise least (Thévenaz, Blu & Unser, IEEE Trans Med Imaging 2000, 19:739–758).
    """
    shape = plan.target_shape[1:]
    own = hu[source]
    gone = np.zeros(own.shape, dtype=bool) if padding is None else padding[source]
    whole = np.floor(plan.shift_px[source] + _WHOLE_PX).astype(int)
    part = plan.shift_px[source] - whole
    if (np.abs(part) > _WHOLE_PX).any():
        own, gone = _shifted(own, gone, part)
    out = np.full(shape, AIR_FLOOR_HU, dtype=np.int16)
    empty = np.ones(shape, dtype=bool)
    rows, columns = (int(min(n, s - w)) for n, s, w in zip(own.shape, shape, whole, strict=True))
    place = (slice(whole[0], whole[0] + rows), slice(whole[1], whole[1] + columns))
    out[place], empty[place] = own[:rows, :columns], gone[:rows, :columns]
    out[empty] = AIR_FLOOR_HU
    return out, empty


def _shifted(own: HUArray, missing: BoolArray, part: npt.NDArray[np.float64]) -> tuple[HUArray, BoolArray]:
    """Move a slice by less than a pixel.

    A spline rings beside a steep edge; no value leaves the range of the pixels around it.
    """
    moved = ndimage.shift(own.astype(np.float32), part, order=3, mode="nearest", prefilter=True)
    low, high, gone = own, own, missing.copy()
    for axis, share in enumerate(part):
        if abs(share) <= _WHOLE_PX:
            continue
        # The window of an even size reaches from two pixels before to one after.
        low = ndimage.minimum_filter1d(low, 4, axis=axis, mode="nearest")
        high = ndimage.maximum_filter1d(high, 4, axis=axis, mode="nearest")
        # Between a padded and a read pixel nothing is known.
        gone |= np.roll(gone, 1, axis=axis)
        first = [slice(None), slice(None)]
        first[axis] = slice(0, 1)
        gone[tuple(first)] = True
    return np.clip(np.rint(moved), low, high).astype(np.int16), gone
