"""Spine coordinates of voxels: arc length along the canal, distance in front of it, distance to the left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.spine.straighten import STEP_MM, SpineFrame
from paraspinal.volume import Geometry

Field = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SpineCoordinates:
    """Coordinates (mm) of every voxel of a box of the working grid.

    ``box`` are the slices of the box; ``s`` is arc length (below 0 and above the canal's length beyond its ends),
    ``anterior`` the distance in front of the canal's middle (negative behind), ``left`` to the patient's left.
    """

    box: tuple[slice, slice, slice]
    s: Field
    anterior: Field
    left: Field

    def halved(self) -> SpineCoordinates:
        """Return the coordinates on the grid of 2×2×2 blocks (see `grid.HalvedGrid`), by picking voxels."""
        first = [s.start + s.start % 2 for s in self.box]
        offset = tuple(slice(f - s.start, None, 2) for f, s in zip(first, self.box, strict=True))
        fields = [np.ascontiguousarray(f[offset]) for f in (self.s, self.anterior, self.left)]
        z, y, x = (slice(f // 2, f // 2 + n) for f, n in zip(first, fields[0].shape, strict=True))
        return SpineCoordinates((z, y, x), *fields)


def spine_coordinates(
    frame: SpineFrame,
    grid: Geometry,
    *,
    front_mm: float = 100.0,
    back_mm: float = 80.0,
    side_mm: float = 110.0,
) -> SpineCoordinates:
    """Compute spine coordinates in a box around the canal.

    Each voxel is projected on the canal by fixed-point iteration on s (the frame turns slowly, so three rounds
    agree to a fraction of a millimetre within 100 mm of the canal).
    """
    spacing = np.asarray(grid.spacing_mm)
    low = frame.points.min(axis=0) - np.array([40.0, front_mm, side_mm])
    high = frame.points.max(axis=0) + np.array([40.0, back_mm, side_mm])
    start = np.maximum(0, np.floor(low / spacing).astype(int))
    stop = np.minimum(grid.shape, np.ceil(high / spacing).astype(int) + 1)
    box = (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))
    axes = [
        np.arange(a, b, dtype=np.float32) * np.float32(h)
        for a, b, h in zip(start, stop, spacing, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    s = np.interp(z, frame.points[:, 0], np.arange(len(frame.points)) * STEP_MM).astype(np.float32)
    for _ in range(3):
        s = s + _along(frame.tangent, frame, s, z, y, x)
        s = np.clip(s, -60.0, frame.length_mm + 60.0)
    return SpineCoordinates(
        box, s, _along(frame.anterior, frame, s, z, y, x), _along(frame.left, frame, s, z, y, x)
    )


def _along(
    direction: npt.NDArray[np.float64], frame: SpineFrame, s: Field, z: Field, y: Field, x: Field
) -> Field:
    """Component along `direction` of the vector from the canal at s to each voxel."""
    index = np.clip(np.rint(s / STEP_MM), 0, len(frame.points) - 1).astype(np.int32)
    points, vectors = frame.points.astype(np.float32), direction.astype(np.float32)
    out = (z - points[index, 0]) * vectors[index, 0]
    out += (y - points[index, 1]) * vectors[index, 1]
    out += (x - points[index, 2]) * vectors[index, 2]
    if direction is frame.tangent:
        # Relative to the frame point of the rounded s, so take out what s itself already covers.
        out -= s - index * np.float32(STEP_MM)
    return np.asarray(out, np.float32)
