"""A vertebral body on native voxels, with the part of it in which trabecular bone is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.measure.body import middle_slab
from paraspinal.measure.native import Box, distance_on_box, mask_on_box, native_box
from paraspinal.volume import BoolArray, CTVolume, Region

_FRONT_SHARE = 0.67  # the basivertebral vein enters from behind
_MIDDLE_SHARE = 0.3  # of the height above and below the middle: end plates are denser
_MARGIN_MM = 4.0
_TANGENT_MM = 12.0


@dataclass(frozen=True)
class TrabecularBox:
    """A vertebral body on its native box: HU, signed distance inside (mm), front and middle part, axis; [z, y, x].

    ``drift`` is how far the vertebra's axis moves back (y) and to the left (x) per millimetre upwards; ``slice_mm``
    how thick the slices are.
    """

    hu: npt.NDArray[np.float32]
    depth_mm: npt.NDArray[np.float32]
    readable: BoolArray
    spacing_mm: tuple[float, float, float]
    drift: tuple[float, float]
    slice_mm: float
    box: Box

    def inside(self, depth_mm: float) -> BoolArray:
        """Return the voxels of the readable part at least so deep inside the body."""
        return np.asarray((self.depth_mm >= depth_mm) & self.readable)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def pixel_mm(self) -> float:
        """Mean in-plane pixel size."""
        return float(np.sqrt(self.spacing_mm[1] * self.spacing_mm[2]))


def trabecular_box(volume: CTVolume, anatomy: Anatomy, vertebra: Vertebra, region: Region) -> TrabecularBox:
    """Return the native box of a vertebral body, a region of the working grid."""
    working, native = anatomy.geometry, volume.geometry
    box = native_box(volume, working, region, margin_mm=_MARGIN_MM)
    depth = distance_on_box(region.full(working.shape), working, native, box)
    slab = Region(region.start, middle_slab(anatomy, vertebra, region, share=_MIDDLE_SHARE))
    readable = mask_on_box(slab.full(working.shape), working, native, box)
    rows = np.flatnonzero((depth > 0).any(axis=(0, 2)))
    if rows.size:
        readable[:, int(rows[0] + _FRONT_SHARE * (rows[-1] - rows[0])) + 1 :] = False
    return TrabecularBox(
        volume.hu[box].astype(np.float32),
        depth,
        readable,
        native.spacing_mm,
        _drift(anatomy, vertebra),
        volume.effective_slice_mm,
        box,
    )


def _drift(anatomy: Anatomy, vertebra: Vertebra) -> tuple[float, float]:
    """Return the slope (y, x per z) of the canal beside a vertebra: its columns run along it."""
    x, y, z = anatomy.centreline_lps_mm.T
    near = np.abs(z - vertebra.centroid_lps_mm[2]) <= _TANGENT_MM
    if np.count_nonzero(near) < 3:
        return (0.0, 0.0)
    up = z[near] - z[near].mean()
    scale = float((up**2).sum())
    return (float((up * y[near]).sum()) / scale, float((up * x[near]).sum()) / scale)
