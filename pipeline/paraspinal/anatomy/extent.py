"""Where the scan ends: at the volume's last voxels, or at the padding around a round field of view."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.grid import average_onto
from paraspinal.volume import BoolArray, CTVolume, Geometry, Index3, Region

_SIDES = {
    "inferior": (0, -1),
    "superior": (0, 1),
    "anterior": (1, -1),
    "posterior": (1, 1),
    "right": (2, -1),
    "left": (2, 1),
}
"""Axis and direction of each side in the canonical order [z, y, x]."""

_NEAR_END_MM = 2.0
"""A native border this close to the end is cut: partial volume with what lies beyond draws it back."""


def padding_on(volume: CTVolume, grid: Geometry) -> BoolArray:
    """Return the voxels of `grid` of which most lies outside the reconstructed field, [z, y, x].

    A round field that no padding value marks shows itself by what lies outside the circle: one and the same value in
    every voxel. Where that is plain air nothing is lost by calling it not reconstructed: no tissue lies there.
    """
    if volume.padding is not None and volume.padding.any():
        return average_onto(volume.padding.view(np.uint8), grid) > 0.5
    outside = _outside_the_circle(volume.geometry.shape)
    if not outside.any() or not _one_value(volume.hu[:, outside]):
        return np.zeros(grid.shape, bool)
    whole = np.broadcast_to(outside[None].view(np.uint8), volume.geometry.shape)
    return average_onto(whole, grid) > 0.5


def _outside_the_circle(shape: Index3) -> npt.NDArray[np.bool_]:
    """Pixels (y, x) outside the circle that a square field holds; none of a field that is not square."""
    _, ny, nx = shape
    if ny != nx:
        return np.zeros((ny, nx), bool)
    y, x = np.mgrid[:ny, :nx] - (nx - 1) / 2.0
    return np.asarray(np.hypot(y, x) > nx / 2.0 + 1.0)


def _one_value(values: npt.NDArray[np.int16]) -> bool:
    return bool(values.min() == values.max())


def cut_sides(
    region: Region, shape: Index3, padding: BoolArray | None = None, *, margin: Index3 = (1, 1, 1)
) -> tuple[str, ...]:
    """Names of the sides on which a region comes within `margin` voxels (z, y, x) of what was not scanned.

    Parameters
    ----------
    region : Region
        Part of a grid of `shape`.
    padding : ndarray of bool, [z, y, x], optional
        Voxels of that grid outside the reconstructed field.
    """
    beyond = _not_scanned(region, shape, padding, margin)
    found = []
    for name, (axis, direction) in _SIDES.items():
        for step in range(1, margin[axis] + 1):
            first = [m + (direction * step if k == axis else 0) for k, m in enumerate(margin)]
            window = tuple(slice(f, f + n) for f, n in zip(first, region.mask.shape, strict=True))
            if (beyond[window] & region.mask).any():
                found.append(name)
                break
    return tuple(found)


def _not_scanned(region: Region, shape: Index3, padding: BoolArray | None, margin: Index3) -> BoolArray:
    """What was not scanned, in the region's box grown by `margin` (also beyond the grid)."""
    beyond = np.ones([n + 2 * m for n, m in zip(region.mask.shape, margin, strict=True)], bool)
    inner, source = [], []
    for start, n, m, full in zip(region.start, region.mask.shape, margin, shape, strict=True):
        low, high = max(0, start - m), min(full, start + n + m)
        source.append(slice(low, high))
        inner.append(slice(low - start + m, high - start + m))
    beyond[tuple(inner)] = False if padding is None else padding[tuple(source)]
    return beyond


def cut_by_scan(region: Region, volume: CTVolume) -> bool:
    """Tell whether a native region reaches the end of the scan, the padding of a round field of view included."""
    margin = [max(1, round(_NEAR_END_MM / s)) for s in volume.geometry.spacing_mm]
    padding = volume.padding
    if padding is None or not padding.any():
        padding = _unmarked_padding(region, margin, volume)
    sides = cut_sides(region, volume.geometry.shape, padding, margin=(margin[0], margin[1], margin[2]))
    return bool(sides)


def _unmarked_padding(region: Region, margin: list[int], volume: CTVolume) -> BoolArray | None:
    """What lies outside a round field that no padding value marks, where the region comes close to it."""
    outside = _outside_the_circle(volume.geometry.shape)
    _, rows, columns = region.padded((margin[0], margin[1], margin[2]), volume.geometry.shape).box
    if not outside[rows, columns].any() or not _one_value(volume.hu[:, outside]):
        return None
    return np.broadcast_to(outside[None], volume.geometry.shape)
