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
_BEYOND = "the mass lies beyond the traced spine"
_NONE = "the mass does not reach across the midline"


def measure_bridging(
    volume: CTVolume, anatomy: Anatomy, view: MassView, mass: Mass, others: Sequence[Mass]
) -> Measurement:
    """Return ``midline_bridging_mm``: the greatest thickness, front to back, of tissue that crosses the midline.

    The midline is the plane through the middle of the canal. A slice counts where one connected piece of the mass,
    or of the pair that it belongs to taken together, lies on both sides of the slab around that plane and spans it;
    the thickness is its mean across the slab. Where the mass reaches beyond the traced spine the result is a lower
    bound.
    """
    mask = view.mask.copy()
    for other in others:
        if mass.pair_id is not None and other.pair_id == mass.pair_id:
            mask |= other.region.on(view.box)
    left = _left_mm(volume, anatomy, view)
    traced = np.isfinite(left).any(axis=(1, 2))
    own = view.mask.any(axis=(1, 2))
    if not (own & traced).any():
        return Measurement.missing("mm", _BEYOND)
    thickest = max(
        (_thickness(mask[z], left[z], view.spacing_mm[1]) for z in np.flatnonzero(own & traced)), default=0.0
    )
    beyond = bool((own & ~traced).any())
    if thickest < view.pixel_mm:
        return (
            Measurement.missing("mm", f"{_NONE} where the spine was traced; part of it lies beyond")
            if beyond
            else Measurement.below("mm", _NONE, limit=view.pixel_mm)
        )
    return Measurement.measured(
        thickest,
        "mm",
        type_a=2.0**0.5 * 0.5 * view.pixel_mm * RECTANGULAR,
        method=BORDER_METHOD,
        status="lower_bound" if beyond else "measured",
        reason="part of it lies beyond the traced spine" if beyond else None,
    )


def _thickness(mask: BoolArray, left: npt.NDArray[np.float32], pixel_mm: float) -> float:
    """Mean thickness (mm, front to back) across the slab of one connected piece of a slice, the thickest there is.

    Each column of the slab, from left to right, must hold some of the piece: two masses that nearly meet are no
    bridge. Columns are counted as they are sampled, so that the result does not depend on the pixels' width.
    """
    with np.errstate(invalid="ignore"):
        slab = np.abs(left) <= _SLAB_MM
        flanks = (left > _SLAB_MM, left < -_SLAB_MM)
    if not (mask & slab).any():
        return 0.0
    numbered, count = ndimage.label(mask, structure=np.ones((3, 3)))
    thickest = 0.0
    columns = slab.any(axis=0)
    for number in range(1, count + 1):
        piece = numbered == number
        filled = (piece & slab).sum(axis=0)[columns]
        if all((piece & flank).any() for flank in flanks) and filled.size and filled.min() > 0:
            thickest = max(thickest, float(filled.mean()) * pixel_mm)
    return thickest


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
