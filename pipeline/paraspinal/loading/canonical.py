"""The order and direction of axes in which every volume is kept: z to the head, y to the back, x to the left."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from paraspinal.loading.codes import refuse
from paraspinal.volume import Geometry, Index3, SourceAxes

# Row of LPS (x, y, z) that canonical axis (z, y, x) runs along.
_WORLD_ROW = (2, 1, 0)
# An angle below this is rounding of the direction cosines, and moves nothing by a voxel within 500 mm.
OBLIQUE_DEG = 0.1


@dataclass(frozen=True, slots=True)
class Canonical:
    """A canonical grid, the axes of the source that it was made from, and its angle to the patient's axes."""

    geometry: Geometry
    axes: SourceAxes
    oblique_deg: float

    @property
    def plane(self) -> str:
        """The plane of the source's slices."""
        return ("axial", "coronal", "sagittal")[self.axes.order[0]]


def canonical_grid(source: Geometry, *, max_oblique_deg: float) -> Canonical:
    """Permute and flip the axes of `source` so that each runs along its nearest patient axis; nothing is resampled.

    Raises
    ------
    LoadError
        ``too_oblique`` if an axis then still is more than `max_oblique_deg` off.
    """
    towards = source.axes_lps[list(_WORLD_ROW)]  # row k: share of canonical axis k in each source axis
    order: Index3 = max(permutations(range(3)), key=lambda p: sum(abs(towards[k, p[k]]) for k in range(3)))  # type: ignore[assignment]
    cosines = np.array([towards[k, order[k]] for k in range(3)])
    z, y, x = (bool(c < 0) for c in cosines)
    angle = float(np.degrees(np.arccos(np.clip(np.abs(cosines).min(), 0.0, 1.0))))
    if angle > max_oblique_deg:
        raise refuse(
            "too_oblique",
            f"The volume lies {angle:.0f} degrees off the patient's axes.",
            angle_deg=round(angle, 2),
            limit_deg=max_oblique_deg,
        )
    axes = SourceAxes(order, (z, y, x))
    return Canonical(_reordered(source, axes), axes, angle)


def source_view(canonical: npt.NDArray[np.generic], axes: SourceAxes) -> npt.NDArray[np.generic]:
    """Return a writable view of a canonical array in the source's order of axes."""
    flips = tuple(slice(None, None, -1) if f else slice(None) for f in axes.flipped)
    inverse = np.argsort(axes.order)
    return canonical[flips].transpose((int(inverse[0]), int(inverse[1]), int(inverse[2])))


def to_canonical(source: npt.NDArray[np.generic], axes: SourceAxes) -> npt.NDArray[Any]:
    """Return a view of a source array in canonical order."""
    flips = tuple(slice(None, None, -1) if f else slice(None) for f in axes.flipped)
    return source.transpose(axes.order)[flips]


def _reordered(source: Geometry, axes: SourceAxes) -> Geometry:
    order = list(axes.order)
    first = np.zeros(3)
    for axis, flipped in zip(order, axes.flipped, strict=True):
        first[axis] = source.shape[axis] - 1 if flipped else 0
    x, y, z = (float(v) for v in source.to_lps(first))
    shape = [source.shape[a] for a in order]
    spacing = [source.spacing_mm[a] for a in order]
    signs = np.where(axes.flipped, -1.0, 1.0)
    return Geometry(
        (shape[0], shape[1], shape[2]),
        (spacing[0], spacing[1], spacing[2]),
        (x, y, z),
        source.axes_lps[:, order] * signs + 0.0,  # + 0.0 turns -0.0 into 0.0
    )
