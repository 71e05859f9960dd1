"""One mass with its surroundings on a native box: everything that its measurements read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cc3d
import edt
import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.extent import cut_by_scan
from paraspinal.anatomy.types import Anatomy
from paraspinal.masses.types import Mass
from paraspinal.measure.native import Box, mask_on_box
from paraspinal.volume import BoolArray, CTVolume, Geometry

_OWN_SHARE = 0.7  # a "bone" of which more lies inside the mass is calcification in it


@dataclass(frozen=True)
class MassView:
    """A crop around a mass, native grid, [z, y, x].

    ``hu`` is float32; ``mask`` the mass; ``bone`` bone beside it (dense pieces inside the mass are not bone);
    ``border`` what of the mass its border reaches, where that was read (`measure.border_depth`);
    ``cut_off`` tells that the mass reaches the end of the volume, so that sizes are lower bounds; ``slice_mm`` is the
    thickness over which a voxel averages along z.
    """

    hu: npt.NDArray[np.float32]
    mask: BoolArray
    bone: BoolArray
    geometry: Geometry
    box: Box
    cut_off: bool
    key_slice: int
    slice_mm: float
    border: BoolArray | None = None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel spacing (z, y, x)."""
        return self.geometry.spacing_mm

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel."""
        return self.geometry.voxel_ml

    @property
    def pixel_mm(self) -> float:
        """Mean in-plane pixel size."""
        return float(np.sqrt(self.spacing_mm[1] * self.spacing_mm[2]))

    @cached_property
    def depth_mm(self) -> npt.NDArray[np.float32]:
        """Distance to the mass's border, 0 outside; slices beside the mass's last one have depth below one slice.

        The distance transform counts to the centre of the nearest voxel outside, half a pixel beyond the border.
        Along z the whole slice beside the outside is partial volume, so that its depth is set to that of the border.
        """
        depth = edt.edt(self.mask, anisotropy=self.spacing_mm, black_border=False) - 0.5 * self.pixel_mm
        capped = np.zeros_like(self.mask)
        capped[1:] |= ~self.mask[:-1]
        capped[:-1] |= ~self.mask[1:]
        depth[capped & (depth > 0.5 * self.pixel_mm)] = 0.5 * self.pixel_mm
        return np.asarray(np.where(self.mask, np.maximum(depth, 1e-3), 0.0), dtype=np.float32)

    def deeper_than(self, depth_mm: float) -> BoolArray:
        """Return the voxels at least `depth_mm` inside the border."""
        return np.asarray(self.depth_mm >= max(depth_mm, 1e-3))

    def clear_of_border(self, depth_mm: float) -> BoolArray:
        """Return the voxels at least `depth_mm` inside the border, and deeper than the border itself reaches."""
        deep = self.deeper_than(depth_mm)
        return deep if self.border is None else np.asarray(deep & ~self.border)


def mass_view(volume: CTVolume, anatomy: Anatomy, mass: Mass, *, context_mm: float) -> MassView:
    """Return the native crop around a mass, grown by `context_mm`."""
    dz, dy, dx = volume.geometry.spacing_mm
    margin = (int(context_mm / dz) + 1, int(context_mm / dy) + 1, int(context_mm / dx) + 1)
    region = mass.region.padded(margin, volume.geometry.shape)
    box = region.box
    bone = mask_on_box(anatomy.mask("bone"), anatomy.geometry, volume.geometry, box)
    return MassView(
        hu=volume.hu[box].astype(np.float32),
        mask=region.mask,
        bone=_bone_beside(bone, region.mask),
        geometry=volume.geometry.crop(region.start, _shape(region.mask)),
        box=box,
        cut_off=cut_by_scan(mass.region, volume),
        key_slice=mass.key_slice - region.start[0],
        slice_mm=volume.effective_slice_mm,
    )


def _shape(mask: BoolArray) -> tuple[int, int, int]:
    z, y, x = mask.shape
    return (z, y, x)


def _bone_beside(bone: BoolArray, mass: BoolArray) -> BoolArray:
    """Drop connected pieces of "bone" that lie mostly inside the mass: they are calcification."""
    if not (bone & mass).any():
        return bone
    labels = np.asarray(cc3d.connected_components(bone, connectivity=26))
    total = np.bincount(labels.ravel())
    own = np.bincount(labels[mass], minlength=total.size)
    beside = own <= _OWN_SHARE * total
    beside[0] = False
    return np.asarray(beside[labels])
