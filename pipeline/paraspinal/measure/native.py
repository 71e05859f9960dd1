"""From the working grid to native voxels: masks onto a native box, densities at a mask's places."""

from __future__ import annotations

from collections.abc import Sequence

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.volume import BoolArray, CTVolume, Geometry, Index3, Region

_CLIP_MM = 6.0  # distances farther from the border do not move it

Box = tuple[slice, slice, slice]


def signed_distance_mm(mask: BoolArray, spacing_mm: Sequence[float]) -> npt.NDArray[np.float32]:
    """Return the distance to the border in mm, positive inside, [z, y, x]; the border lies half-way between voxels.

    The edge of the array is no border: a structure that the array cuts off continues.
    """
    # the transform counts to voxel centres, and the border lies half a voxel before the neighbour's centre
    half = np.float32(0.5 * float(np.prod(spacing_mm)) ** (1.0 / 3.0))
    inside = np.minimum(edt.edt(mask, anisotropy=tuple(spacing_mm), black_border=False), 1e4)
    outside = np.minimum(edt.edt(~mask, anisotropy=tuple(spacing_mm), black_border=False), 1e4)
    return np.asarray(np.where(mask, inside - half, half - outside), dtype=np.float32)


def distance_on_box(
    mask: BoolArray, working: Geometry, native: Geometry, box: Box
) -> npt.NDArray[np.float32]:
    """Return the signed distance (mm, positive inside, cut at 6 mm) of a working-grid mask on a native box.

    It is interpolated linearly (both grids share their axes, so that this separates by axis), which keeps a slanted
    border slanted where copying voxels would make steps of 2 mm. Outside the working grid it is −6 mm.
    """
    shape = tuple(s.stop - s.start for s in box)
    positions = _working_positions(working, native, box)
    low = [max(0, int(np.floor(p.min())) - 4) for p in positions]
    high = [min(n, int(np.ceil(p.max())) + 5) for p, n in zip(positions, working.shape, strict=True)]
    nothing = np.full(shape, -_CLIP_MM, dtype=np.float32)
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return nothing
    part = mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    if not part.any():
        return nothing
    field = np.clip(signed_distance_mm(part, working.spacing_mm), -_CLIP_MM, _CLIP_MM)
    for axis, (p, start) in enumerate(zip(positions, low, strict=True)):
        field = _interpolate(field, p - start, axis)
    for axis, (p, n) in enumerate(zip(positions, working.shape, strict=True)):
        beyond = (p < -0.5) | (p > n - 0.5)
        field[tuple(beyond if a == axis else slice(None) for a in range(3))] = -_CLIP_MM
    return np.asarray(field)


def mask_on_box(mask: BoolArray, working: Geometry, native: Geometry, box: Box) -> BoolArray:
    """Return a working-grid mask on a native box, its border drawn smoothly between the coarse voxels."""
    return np.asarray(distance_on_box(mask, working, native, box) > 0)


def _working_positions(working: Geometry, native: Geometry, box: Box) -> list[npt.NDArray[np.float64]]:
    """Return the fractional working indices of the box's voxels, one array per axis."""
    start = np.array([s.start for s in box], dtype=float)
    origin = working.to_index(native.to_lps(start))
    step = np.asarray(native.spacing_mm) / np.asarray(working.spacing_mm)
    return [origin[a] + step[a] * np.arange(s.stop - s.start) for a, s in enumerate(box)]


def _interpolate(
    field: npt.NDArray[np.float32], position: npt.NDArray[np.float64], axis: int
) -> npt.NDArray[np.float32]:
    """Return `field` sampled linearly at fractional positions along one axis, clamped at its ends."""
    n = field.shape[axis]
    p = np.clip(position, 0, n - 1)
    below = np.minimum(p.astype(np.intp), max(n - 2, 0))
    share = (p - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    first = np.take(field, below, axis=axis)
    second = np.take(field, np.minimum(below + 1, n - 1), axis=axis)
    return np.asarray(first + share * (second - first))


def native_samples(volume: CTVolume, working: Geometry, mask: BoolArray) -> npt.NDArray[np.float32]:
    """Return the HU (n,) of the native voxels at the centres of a working-grid mask's voxels, each voxel once.

    Where native slices are thicker than the working grid, neighbouring centres lie in one voxel: it is one sample.
    """
    places = np.argwhere(mask)
    if len(places) == 0:
        return np.zeros(0, dtype=np.float32)
    index = np.rint(volume.geometry.to_index(working.to_lps(places))).astype(np.intp)
    inside = np.all((index >= 0) & (index < np.asarray(volume.geometry.shape)), axis=1)
    z, y, x = index[inside].T
    voxels = np.unique(np.ravel_multi_index((z, y, x), volume.geometry.shape))
    return np.asarray(volume.hu.reshape(-1)[voxels], dtype=np.float32)


def groups_within(
    groups: Sequence[npt.NDArray[np.float64]], region: Region, geometry: Geometry, *, within_mm: float
) -> frozenset[int]:
    """Return the indices of the groups of LPS points (n, 3) of which one comes near a region (native grid)."""
    margin = int(np.ceil((within_mm + 1.0) / min(geometry.spacing_mm)))
    around = region.padded((margin, margin, margin), geometry.shape)
    distance = edt.edt(~around.mask, anisotropy=geometry.spacing_mm, black_border=False)
    out = set()
    for k, points in enumerate(groups):
        index = np.rint(geometry.to_index(points) - np.asarray(around.start)).astype(int)
        inside = np.all((index >= 0) & (index < np.asarray(distance.shape)), axis=1)
        if inside.any() and distance[tuple(index[inside].T)].min() <= within_mm:
            out.add(k)
    return frozenset(out)


def native_box(volume: CTVolume, working: Geometry, region: Region, *, margin_mm: float = 0.0) -> Box:
    """Return the native box around a region of the working grid, kept inside the volume."""
    corners = np.array([region.start, np.add(region.start, region.mask.shape)], dtype=float) - 0.5
    ends = np.sort(volume.geometry.to_index(working.to_lps(corners)), axis=0)
    margin = margin_mm / np.asarray(volume.geometry.spacing_mm)
    low = np.clip(np.floor(ends[0] - margin), 0, volume.geometry.shape).astype(int)
    high = np.clip(np.ceil(ends[1] + margin) + 1, 0, volume.geometry.shape).astype(int)
    return (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))


def box_start(box: Box) -> Index3:
    """Return the first voxel of a box."""
    z, y, x = (int(s.start) for s in box)
    return (z, y, x)


def masked_gaussian(
    values: npt.NDArray[np.float32], mask: BoolArray, sigma_voxels: Sequence[float]
) -> npt.NDArray[np.float32]:
    """Return a Gaussian average that takes its values from inside `mask` only (0 far outside)."""
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma_voxels, mode="constant", truncate=3.0)
    total = ndimage.gaussian_filter(np.where(mask, values, 0.0), sigma_voxels, mode="constant", truncate=3.0)
    return np.asarray(total / np.maximum(weight, 1e-6), dtype=np.float32)
