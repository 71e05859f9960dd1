"""What the voxels themselves say about how a volume was cut off: in density, and at the sides."""

from __future__ import annotations

import numpy as np

from paraspinal.loading.codes import note
from paraspinal.result import LoadCode
from paraspinal.volume import BoolArray, Geometry, HUArray

# Engineering defaults, held by the defect phantoms (clipped, cut field of view) and silent on the real scans of the
# tests. A value that ends a scale is met far more often than the values just below it.
_BELOW = 8
_PILE_UP = 10
_MIN_PILE_VOXELS = 50
# No scanner's scale ends below this: a smaller maximum is the densest thing in the scan.
_MIN_CEILING_HU = 500
# Skin, fat and muscle; a table top is denser or thinner than the run asked for.
_TISSUE_HU = (-250, 500)
_RUN_MM = 40.0
_SLICE_SHARE = 0.1
_SLICES = 64


def voxel_notes(hu: HUArray, padding: BoolArray | None, geometry: Geometry) -> list[LoadCode]:
    """Return `clipped_hu` and `truncated_field_of_view` where the voxels of a canonical volume show them."""
    return [*_clipped(hu), *_truncated(hu, padding, geometry)]


def _clipped(hu: HUArray) -> list[LoadCode]:
    top = int(hu.max())
    if top < _MIN_CEILING_HU:
        return []
    near_top = hu[hu >= top - _BELOW]
    at_top = int(np.count_nonzero(near_top == top))
    near = near_top.size - at_top
    if at_top < _MIN_PILE_VOXELS or at_top < _PILE_UP * max(near, 1) / _BELOW:
        return []
    return [note("clipped_hu", ceiling_hu=top, voxels=at_top)]


def _truncated(hu: HUArray, padding: BoolArray | None, geometry: Geometry) -> list[LoadCode]:
    """Look for long runs of tissue along the outermost voxels that were reconstructed."""
    step = max(1, len(hu) // _SLICES)
    some = hu[::step]
    gone = None if padding is None else padding[::step]
    sides = 0
    cut = np.zeros(len(some), dtype=bool)
    for axis, spacing in ((1, geometry.spacing_mm[2]), (2, geometry.spacing_mm[1])):
        for end in (0, -1):
            line = _outermost(some, gone, axis, end)
            tissue = (line >= _TISSUE_HU[0]) & (line <= _TISSUE_HU[1])
            long = _longest_runs(tissue) * spacing >= _RUN_MM
            sides += int(long.mean() >= _SLICE_SHARE)
            cut |= long
    if not sides:
        return []
    return [note("truncated_field_of_view", share_of_slices=round(float(cut.mean()), 3), sides=sides)]


def _outermost(hu: HUArray, gone: BoolArray | None, axis: int, end: int) -> HUArray:
    """Return, for every line across the plane, the first voxel from one side that is no padding."""
    if gone is None:
        edge: HUArray = hu[:, end] if axis == 1 else hu[:, :, end]
        return edge
    away = hu if end == 0 else np.flip(hu, axis)
    out = gone if end == 0 else np.flip(gone, axis)
    first = np.argmin(out, axis=axis, keepdims=True)
    found = np.take_along_axis(away, first, axis=axis).squeeze(axis)
    return np.asarray(found, dtype=np.int16)


def _longest_runs(flags: BoolArray) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the length of the longest run of True in every row."""
    longest = np.zeros(len(flags), dtype=np.intp)
    run = np.zeros(len(flags), dtype=np.intp)
    for column in flags.T:
        run = np.where(column, run + 1, 0)
        longest = np.maximum(longest, run)
    return longest
