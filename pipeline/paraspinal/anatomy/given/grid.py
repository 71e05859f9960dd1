"""Masks from one grid onto another, through geometry and never by index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from paraspinal.anatomy.given.types import StructureMask
from paraspinal.volume import BoolArray, FloatArray, Geometry, Index3, Region

_PARALLEL = 1e-4
"""Axes closer than this (radians) are the same: 0.05 mm over 500 mm."""
_HALF = 0.5


def parallel(a: Geometry, b: Geometry) -> bool:
    """Tell whether two grids have parallel axes of the same order and direction."""
    return bool(np.abs(a.axes_lps - b.axes_lps).max() < _PARALLEL)


def nearest(mask: StructureMask, onto: Geometry) -> BoolArray:
    """Return the structure at the voxels of `onto` (its nearest voxel; False outside its box), bool [z, y, x]."""
    box = mask.geometry
    if parallel(box, onto):
        first = box.to_index(onto.to_lps((0, 0, 0)))
        wanted = [
            np.floor(
                first[k] + np.arange(onto.shape[k]) * onto.spacing_mm[k] / box.spacing_mm[k] + _HALF
            ).astype(int)
            for k in range(3)
        ]
        inside = [(index >= 0) & (index < n) for index, n in zip(wanted, box.shape, strict=True)]
        out = np.zeros(onto.shape, bool)
        kept = np.ix_(*(index[ok] for index, ok in zip(wanted, inside, strict=True)))
        out[np.ix_(*inside)] = mask.region.mask[kept]
        return out
    return _oblique(mask.region.mask.astype(np.uint8), box, onto, order=0) > 0


def occupancy(mask: StructureMask, onto: Geometry) -> FloatArray:
    """Return the share of each voxel of `onto` that the structure fills, float32 [z, y, x].

    Coarser voxels average the finer ones that they cover; finer voxels are interpolated linearly, so that a coarse
    mask gets no stairs.
    """
    box = mask.geometry
    if parallel(box, onto):
        out = mask.region.mask.astype(np.float32)
        for axis in (2, 1, 0):
            weights = _weights(box, onto, axis)
            moved = np.moveaxis(out, axis, 0)
            flat = np.asarray(weights @ moved.reshape(moved.shape[0], -1), np.float32)
            out = np.moveaxis(flat.reshape(-1, *moved.shape[1:]), 0, axis)
        return np.ascontiguousarray(out)
    ratio = [max(1.0, o / s) for o, s in zip(onto.spacing_mm, box.spacing_mm, strict=True)]
    margin = [int(np.ceil(r)) for r in ratio]
    z, y, x = (-m for m in margin)
    sizes = [n + 2 * m for n, m in zip(box.shape, margin, strict=True)]
    wide = box.crop((z, y, x), (sizes[0], sizes[1], sizes[2]))
    padded = np.pad(mask.region.mask.astype(np.float32), [(m, m) for m in margin])
    blurred = ndimage.gaussian_filter(padded, [0.5 * np.sqrt(r * r - 1.0) / 1.2 for r in ratio])
    return _oblique(blurred, wide, onto, order=1)


def covers(mask: StructureMask, onto: Geometry) -> BoolArray:
    """Return the voxels of `onto` of which the structure fills at least half, bool [z, y, x]."""
    return np.asarray(occupancy(mask, onto) >= _HALF)


def _weights(box: Geometry, onto: Geometry, axis: int) -> sparse.csr_matrix:
    """Return the [new, old] matrix of one axis: overlap with a cell as long as the longer of both voxels."""
    old, new = box.spacing_mm[axis], onto.spacing_mm[axis]
    first = float(box.to_index(onto.to_lps((0, 0, 0)))[axis]) * old
    centre = first + np.arange(onto.shape[axis]) * new
    cell = np.arange(box.shape[axis]) * old
    far = np.abs(centre[:, None] - cell)
    overlap = np.clip(0.5 * (new + old) - far, 0.0, old) / new
    share = overlap if new > old else np.clip(1.0 - far / old, 0.0, None)
    return sparse.csr_matrix(share.astype(np.float32))


def _oblique(values: npt.NDArray[np.generic], box: Geometry, onto: Geometry, *, order: int) -> FloatArray:
    """Resample where axes are not parallel; 0 outside the box."""
    matrix = np.linalg.inv(box.matrix) @ onto.matrix
    return np.asarray(
        ndimage.affine_transform(
            values, matrix[:3, :3], matrix[:3, 3], onto.shape, np.float32, order=order, mode="constant"
        )
    )


def common_box(masks: list[StructureMask], grid: Geometry, *, margin: int = 2) -> Geometry | None:
    """Return the part of `grid` that holds all masks, grown by `margin` voxels; None if none lies in it."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for mask in masks:
        corners = np.array(list(np.ndindex(2, 2, 2))) * np.asarray(mask.geometry.shape) - _HALF
        index = grid.to_index(mask.geometry.to_lps(corners))
        low, high = np.minimum(low, index.min(axis=0)), np.maximum(high, index.max(axis=0))
    start = np.clip(np.floor(low).astype(int) - margin, 0, grid.shape)
    stop = np.clip(np.ceil(high).astype(int) + margin + 1, 0, grid.shape)
    if (stop <= start).any():
        return None
    first: Index3 = (int(start[0]), int(start[1]), int(start[2]))
    size: Index3 = (int(stop[0] - start[0]), int(stop[1] - start[1]), int(stop[2] - start[2]))
    return grid.crop(first, size)


@dataclass(frozen=True, slots=True)
class OnGrid(Mapping[str, BoolArray]):
    """Structures on one grid by name, each kept as a region: a hundred masks of a whole scan are a gigabyte.

    Reading one gives its mask over the whole grid, made anew each time.
    """

    shape: Index3
    regions: Mapping[str, Region]

    def __getitem__(self, name: str) -> BoolArray:
        """Return the mask of one structure, bool [z, y, x]."""
        return self.regions[name].full(self.shape)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.regions)

    def __len__(self) -> int:
        """Count the structures."""
        return len(self.regions)

    def kept(self, wanted: Callable[[str], bool]) -> OnGrid:
        """Return the structures whose name is wanted."""
        return replace(self, regions={n: r for n, r in self.regions.items() if wanted(n)})

    def with_masks(self, masks: Mapping[str, BoolArray]) -> OnGrid:
        """Return these structures and those of `masks` that are not empty."""
        return replace(
            self, regions={**self.regions, **{n: Region.of(m) for n, m in masks.items() if m.any()}}
        )


def region_on(mask: StructureMask, grid: Geometry) -> Region | None:
    """Return the voxels of `grid` of which the structure fills at least half; None if there are none."""
    box = common_box([mask], grid)
    if box is None:
        return None
    here = covers(mask, box)
    if not here.any():
        return None
    tight = Region.of(here)
    first = np.rint(grid.to_index(box.origin_lps_mm)).astype(int)
    z, y, x = (int(a) + b for a, b in zip(first, tight.start, strict=True))
    return Region((z, y, x), tight.mask)
