"""The working grid: the CT averaged onto coarse isotropic voxels, and the way back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import sparse

from paraspinal.volume import BoolArray, CTVolume, Geometry

Float32Volume = npt.NDArray[np.float32]


def working_grid(geometry: Geometry, *, spacing_mm: float) -> Geometry:
    """Return the grid of about `spacing_mm` isotropic voxels that covers the same box as `geometry`."""
    nz, ny, nx = (max(1, round(extent / spacing_mm)) for extent in geometry.extent_mm)
    return geometry.resampled((nz, ny, nx))


def axis_weights(old: int, new: int) -> sparse.csr_matrix:
    """Return the [new, old] matrix that averages (new < old) or linearly interpolates (new ≥ old) an axis.

    Both grids cover the same length. Averaging weighs each old cell by its overlap with the new one, which is
    the antialiasing that a strided or linear read-out lacks.
    """
    if new < old:
        edges = np.arange(new + 1) * old / new
        low = np.arange(old)
        overlap = np.minimum(edges[1:, None], low + 1) - np.maximum(edges[:-1, None], low)
        weights = np.clip(overlap, 0.0, None)
    else:
        centre = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        weights = np.clip(1.0 - np.abs(centre[:, None] - np.arange(old)), 0.0, None)
    return sparse.csr_matrix((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


def to_working_grid(volume: CTVolume, grid: Geometry, *, threads: int = 2) -> Float32Volume:
    """Average HU onto `grid` (same box as the volume); float32 [z, y, x]."""
    return average_onto(volume.hu, grid, threads=threads)


def average_onto(values: npt.NDArray[Any], grid: Geometry, *, threads: int = 2) -> Float32Volume:
    """Average a native array [z, y, x] onto `grid`, which covers the same box; float32."""
    nz, ny, nx = grid.shape
    plane = np.empty((values.shape[0], ny, nx), np.float32)

    def shrink(z: int) -> None:
        cv2.resize(values[z].astype(np.float32), (nx, ny), dst=plane[z], interpolation=cv2.INTER_AREA)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(shrink, range(values.shape[0])))
    if nz == plane.shape[0]:
        return plane
    weights = axis_weights(plane.shape[0], nz)
    return np.asarray(weights @ plane.reshape(plane.shape[0], -1), np.float32).reshape(nz, ny, nx)


@dataclass(frozen=True, slots=True)
class HalvedGrid:
    """A grid of twice the spacing, padded at the upper ends where a size is odd."""

    fine_shape: tuple[int, int, int]
    geometry: Geometry

    def _corners(self, array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return the eight voxels of every 2×2×2 block as arrays of the coarse shape."""
        padded = np.pad(array, [(0, n % 2) for n in self.fine_shape], mode="edge")
        return [padded[z::2, y::2, x::2] for z in (0, 1) for y in (0, 1) for x in (0, 1)]

    def mean(self, values: Float32Volume) -> Float32Volume:
        """Mean of each 2×2×2 block."""
        return np.asarray(sum(self._corners(values)) / np.float32(8.0), np.float32)

    def any(self, mask: BoolArray) -> BoolArray:
        """Blocks with any voxel of the mask."""
        return np.asarray(np.logical_or.reduce(self._corners(mask)))

    def most(self, mask: BoolArray) -> BoolArray:
        """Blocks with at least half their voxels in the mask."""
        count = np.zeros(self.geometry.shape, np.uint8)
        for corner in self._corners(mask):
            count += corner.view(np.uint8)
        return np.asarray(count >= 4)

    def back(self, mask: BoolArray) -> BoolArray:
        """Spread a coarse mask over the fine grid."""
        z, y, x = self.fine_shape
        return np.asarray(mask.repeat(2, 0).repeat(2, 1).repeat(2, 2)[:z, :y, :x])


def halved(grid: Geometry) -> HalvedGrid:
    """Return the grid of 2×2×2 blocks of `grid`."""
    z, y, x = ((n + 1) // 2 for n in grid.shape)
    sz, sy, sx = (2.0 * s for s in grid.spacing_mm)
    ox, oy, oz = (float(v) for v in grid.to_lps((0.5, 0.5, 0.5)))
    return HalvedGrid(grid.shape, Geometry((z, y, x), (sz, sy, sx), (ox, oy, oz), grid.axes_lps))
