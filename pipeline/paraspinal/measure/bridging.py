"""Tissue of a mass that bridges the midline in front of (or behind) the vertebral column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy
from paraspinal.masses.types import Mass
from paraspinal.measure.uncertainty import BORDER_METHOD, RECTANGULAR
from paraspinal.measure.view import MassView
from paraspinal.result import Measurement
from paraspinal.volume import BoolArray, CTVolume

_SLAB_MM = 3.0  # half width of the midline slab; the canal's middle is known to 1.2 mm
_NONE = "the mass does not reach across the midline"


def measure_bridging(
    volume: CTVolume, anatomy: Anatomy, view: MassView, mass: Mass, others: Sequence[Mass]
) -> Measurement:
    """Return ``midline_bridging_mm``: the greatest thickness, front to back, of tissue that crosses the midline.

    The midline is the plane through the middle of the canal. A slice counts where the mass, or the pair that it
    belongs to taken together, lies on both sides of the slab around that plane and fills it; the thickness is the
    slab's filled area over its width.
    """
    mask = view.mask.copy()
    for other in others:
        if mass.pair_id is not None and other.pair_id == mass.pair_id:
            mask |= other.region.on(view.box)
    left = _left_mm(volume, anatomy, view)
    if not np.isfinite(left[view.mask]).any():
        return Measurement.missing("mm", "the mass lies beyond the traced spine")
    with np.errstate(invalid="ignore"):
        slab = mask & (np.abs(left) <= _SLAB_MM)
        sides = [(mask & (sign * left > _SLAB_MM)).any(axis=(1, 2)) for sign in (1.0, -1.0)]
    own = view.mask.any(axis=(1, 2))
    crossing = sides[0] & sides[1] & own & _joined(mask, slab)
    thickness = slab.sum(axis=(1, 2)) * view.pixel_mm**2 / (2.0 * _SLAB_MM)
    thickest = float(thickness[crossing].max(initial=0.0))
    if thickest < view.pixel_mm:
        return Measurement.below("mm", _NONE, limit=view.pixel_mm)
    return Measurement.measured(
        thickest, "mm", type_a=2.0**0.5 * 0.5 * view.pixel_mm * RECTANGULAR, method=BORDER_METHOD
    )


def _joined(mask: BoolArray, slab: BoolArray) -> npt.NDArray[np.bool_]:
    """Tell per slice whether what lies in the slab is connected with tissue outside it."""
    rest = ndimage.binary_dilation(mask & ~slab, structure=np.ones((1, 3, 3)))
    return np.asarray((rest & slab).any(axis=(1, 2)))


def _left_mm(volume: CTVolume, anatomy: Anatomy, view: MassView) -> npt.NDArray[np.float32]:
    """How far each voxel of the crop lies to the left of the canal's middle; NaN beyond the traced spine."""
    where, start = anatomy.spine, [part.start for part in view.box]
    ends = np.array([start, [part.stop - 1 for part in view.box]], dtype=float)
    index = anatomy.geometry.to_index(volume.geometry.to_lps(ends))
    axes = [
        np.linspace(index[0, a], index[1, a], n) - where.box[a].start for a, n in enumerate(view.mask.shape)
    ]
    grid = np.meshgrid(*axes, indexing="ij")
    return np.asarray(
        ndimage.map_coordinates(where.left, grid, order=1, mode="constant", cval=np.nan), np.float32
    )
