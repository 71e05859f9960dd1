"""Trabecular bone as a real structure: the edges and faces of an irregular foam, some of them missing.

Trabeculae are the struts (edges) and plates (faces) between the cells of a foam, whose cells are stretched along the
vertebra's axis. What a struts' width is follows from the density: bone fills the share of the volume that gives the
mean attenuation. Fine, rarefied and coarse bone and a haemangioma differ in numbers alone, not in the way of drawing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from paraspinal.phantom.sdf import Field

TISSUE_HU = 1700.0
"""Attenuation of the bone within a trabecula at 120 kVp (engineering figure)."""
_CELLS = 8  # of the periodic tile along x and y
_TILE_MM = (8.0, 30.0)  # least and greatest edge of the tile
_STEPS_PER_CELL = 8
_FINE_MM = 0.2  # four in a pixel of 0.8 mm


@dataclass(frozen=True, slots=True)
class TrabecularSpec:
    """Trabeculae of a vertebral body.

    Parameters
    ----------
    spacing_mm : float
        Mean distance of neighbouring struts. Seen from above two of them come on each cell, which is therefore √2
        times as wide.
    mean_hu, marrow_hu : float
        Mean of the whole, and what lies between the trabeculae, at 120 kVp.
    stretch : float
        Height of a cell by its width.
    plates : float
        Share of the faces that are plates.
    missing, missing_across : float
        Share of the struts along and across the axis that are missing.
    irregular : float
        Jitter of the cells, as a share of their width.
    tissue_hu : float
        Attenuation of the bone itself.
    seed : int
        Another seed gives other cells.
    """

    spacing_mm: float = 0.8
    mean_hu: float = 170.0
    marrow_hu: float = 20.0
    stretch: float = 1.5
    plates: float = 0.2
    missing: float = 0.05
    missing_across: float = 0.15
    irregular: float = 0.35
    tissue_hu: float = TISSUE_HU
    seed: int = 0

    def at_voltage(self, gain: float) -> TrabecularSpec:
        """Return the same bone as another tube voltage shows it: what exceeds 40 HU is multiplied by `gain`."""
        high = 40.0 + (self.mean_hu - 40.0) * gain, 40.0 + (self.tissue_hu - 40.0) * gain
        return replace(self, mean_hu=high[0], tissue_hu=high[1])


HAEMANGIOMA = TrabecularSpec(
    spacing_mm=4.0,
    mean_hu=130.0,
    marrow_hu=-25.0,
    stretch=4.0,
    plates=0.0,
    missing=0.1,
    missing_across=0.9,
    tissue_hu=900.0,
)
"""Few thick vertical columns in fat: polka dots in the plane, stripes along it."""


@dataclass(frozen=True, slots=True, eq=False)
class TrabecularTile:
    """A periodic block of bone, HU float32 [z, y, x], with its voxel size (z, y, x) in mm."""

    hu: npt.NDArray[np.float32]
    step_mm: tuple[float, float, float]

    def averaged(self, size_mm: tuple[float, float, float]) -> TrabecularTile:
        """Return the tile averaged over boxes of `size_mm` (z, y, x): what voxels of that size hold."""
        size = [max(1, round(s / d)) for s, d in zip(size_mm, self.step_mm, strict=True)]
        return TrabecularTile(
            np.asarray(ndimage.uniform_filter(self.hu, size, mode="wrap"), np.float32), self.step_mm
        )

    def at(self, u: Field, v: Field, w: Field) -> Field:
        """Return the HU at places (mm along left, back, up), repeated without end."""
        index = [c / d for c, d in zip((w, v, u), self.step_mm, strict=True)]
        return np.asarray(
            ndimage.map_coordinates(self.hu, np.broadcast_arrays(*index), order=1, mode="grid-wrap"),
            np.float32,
        )


@lru_cache(maxsize=4)
def trabecular_tile(spec: TrabecularSpec) -> TrabecularTile:
    """Return a periodic block of bone; the same spec gives the same one."""
    rng = np.random.default_rng((spec.seed, 21))
    cell_mm = 2.0**0.5 * spec.spacing_mm
    across = float(np.clip(_CELLS * cell_mm, *_TILE_MM))
    cells = max(3, round(across / cell_mm))
    layers = max(3, round(across / (cell_mm * spec.stretch)))
    # Distances are counted in cells: those of a stretched cell are then as those of a round one.
    size = np.array([layers, cells, cells], float)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), axis=-1).reshape(-1, 3)
    # Every other layer lies over the gaps of the one below.
    grid = grid + 0.5 * (grid[:, :1] % 2) * (0.0, 1.0, 1.0)
    seeds = (grid + 0.5 + spec.irregular * rng.uniform(-1.0, 1.0, grid.shape)) % size
    steps = [_STEPS_PER_CELL * max(1, round(spec.stretch)) * layers, *(2 * [_STEPS_PER_CELL * cells])]
    field = _foam(seeds, size, steps, spec, rng)
    step = [cell_mm * k * n / m for k, n, m in zip((spec.stretch, 1, 1), size, steps, strict=True)]
    finer = [max(1, int(np.ceil(s / _FINE_MM))) for s in step]
    field = _refined(field, finer)
    share = (spec.mean_hu - spec.marrow_hu) / (spec.tissue_hu - spec.marrow_hu)
    bone = field < np.quantile(field, np.clip(share, 0.0, 1.0))
    hu = np.where(bone, spec.tissue_hu, spec.marrow_hu).astype(np.float32)
    z, y, x = (float(s / f) for s, f in zip(step, finer, strict=True))
    return TrabecularTile(hu, (z, y, x))


@lru_cache(maxsize=4)
def voxel_tile(spec: TrabecularSpec, size_mm: tuple[float, float, float]) -> TrabecularTile:
    """Return the block as voxels of `size_mm` (z, y, x) see it."""
    return trabecular_tile(spec).averaged(size_mm)


def _foam(
    seeds: npt.NDArray[np.float64],
    size: npt.NDArray[np.float64],
    steps: list[int],
    spec: TrabecularSpec,
    rng: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """Return a field that is small in struts and plates and grows away from them, [z, y, x].

    At the edge between three cells the distances to their three middles are equal, at a face two of them are.
    """
    axes = [(np.arange(m) + 0.5) * n / m for m, n in zip(steps, size, strict=True)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    distance, near = cKDTree(seeds, boxsize=size).query(places, k=3)
    edge, face = distance[:, 2] - distance[:, 0], distance[:, 1] - distance[:, 0]
    first, second, third = np.sort(near, axis=1).T
    along = _along_axis(seeds, size, first, second, third)
    lost = np.where(along, spec.missing, spec.missing_across)
    mark = rng.uniform(0.0, 1.0, len(seeds))
    kept = (mark[first] + 2.0 * mark[second] + 3.0 * mark[third]) % 1.0 >= lost
    pair = np.sort(near[:, :2], axis=1).T
    plate = (5.0 * mark[pair[0]] + 7.0 * mark[pair[1]]) % 1.0 < spec.plates
    far = float(edge.max())
    # Plates are thinner than struts are thick.
    field = np.minimum(np.where(kept, edge, far), np.where(plate, 2.5 * face, far))
    return np.asarray(field.reshape(steps), np.float32)


def _along_axis(
    seeds: npt.NDArray[np.float64],
    size: npt.NDArray[np.float64],
    first: npt.NDArray[np.intp],
    second: npt.NDArray[np.intp],
    third: npt.NDArray[np.intp],
) -> npt.NDArray[np.bool_]:
    """Tell which edges run along the axis: they stand upright on the triangle of their cells' middles."""
    a, b = (seeds[k] - seeds[first] for k in (second, third))
    a, b = a - size * np.round(a / size), b - size * np.round(b / size)
    normal = np.cross(a, b)
    return np.asarray(np.abs(normal[:, 0]) > 0.7 * np.linalg.norm(normal, axis=1))


def _refined(field: npt.NDArray[np.float32], factor: list[int]) -> npt.NDArray[np.float32]:
    """Return the periodic field, interpolated linearly, on steps that are `factor` times as small."""
    out = field
    for axis, n in enumerate(factor):
        if n > 1:
            following = np.roll(out, -1, axis)
            parts = [out + np.float32(k / n) * (following - out) for k in range(n)]
            out = np.stack(parts, axis=axis + 1).reshape(
                [s * n if a == axis else s for a, s in enumerate(out.shape)]
            )
    return np.asarray(out, np.float32)
