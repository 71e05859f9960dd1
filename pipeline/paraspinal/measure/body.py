"""The body of a vertebra: the part of its label in front of the canal, filled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.volume import BoolArray, Region

_CANAL_TO_WALL_MM = 9.0  # from the canal's middle to the back of the body, where the canal's mask is missing
_CLOSING_MM = 4.0
_MIN_ML = 2.0


def vertebral_body(anatomy: Anatomy, vertebra: Vertebra) -> Region | None:
    """Return a vertebra's body as a region of the working grid; None when its label holds too little of it.

    A label made from dense voxels has marrow-sized holes: they are closed slice by slice. What lies behind the front
    wall of the canal (pedicles, arch) is left out.
    """
    label = anatomy.labels.data == vertebra.number
    if not label.any():
        return None
    region = Region.of(label).padded((0, 3, 3), anatomy.geometry.shape)
    wall = _front_wall(anatomy, region)
    y = region.start[1] + np.arange(region.mask.shape[1])
    front = region.mask & (y[None, :, None] < wall[:, None, None])
    filled = _filled(front, anatomy.geometry.spacing_mm[1])
    if np.count_nonzero(filled) * anatomy.geometry.voxel_ml < _MIN_ML:
        return None
    inner = Region.of(filled)
    start = tuple(int(a + b) for a, b in zip(region.start, inner.start, strict=True))
    return Region((start[0], start[1], start[2]), inner.mask)


def middle_slab(anatomy: Anatomy, vertebra: Vertebra, region: Region, *, share: float) -> BoolArray:
    """Return the part of a body (mask of its region) within `share` of its height of the middle, along the canal.

    End plates and discs tilt with the spine, so that height is counted along the canal and not along z.
    """
    reach = share * abs(vertebra.top_mm - vertebra.bottom_mm)
    along = np.full(anatomy.geometry.shape, np.nan, dtype=np.float32)
    if anatomy.spine.s.size:
        along[anatomy.spine.box] = anatomy.spine.s - vertebra.s_mm
        offset = along[region.box]
    else:
        z = anatomy.geometry.to_lps(np.argwhere(np.ones(region.mask.shape, bool)) + np.asarray(region.start))[
            :, 2
        ]
        offset = (z - vertebra.centroid_lps_mm[2]).reshape(region.mask.shape).astype(np.float32)
    return np.asarray(region.mask & (np.abs(offset) <= reach))


def _front_wall(anatomy: Anatomy, region: Region) -> npt.NDArray[np.float64]:
    """Return, per slice of the region, the y index of the canal's front wall on the working grid."""
    z = region.start[0] + np.arange(region.mask.shape[0])
    centre = anatomy.geometry.to_index(anatomy.centreline_lps_mm)
    order = np.argsort(centre[:, 0])
    middle = np.interp(z, centre[order, 0], centre[order, 1])
    wall = middle - _CANAL_TO_WALL_MM / anatomy.geometry.spacing_mm[1]
    canal = anatomy.mask("canal")[region.box[0]]
    rows: BoolArray = np.asarray(canal.any(axis=2))
    first = np.argmax(rows, axis=1)
    return np.asarray(np.where(rows.any(axis=1), np.minimum(first, middle), wall))


def _filled(mask: BoolArray, spacing_mm: float) -> BoolArray:
    """Close gaps of the shell and fill what it encloses, slice by slice."""
    radius = max(1, round(_CLOSING_MM / spacing_mm))
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc = x**2 + y**2 <= radius**2
    out = np.zeros_like(mask)
    for k, section in enumerate(mask):
        if section.any():
            closed = ndimage.binary_closing(np.pad(section, radius), disc)
            out[k] = ndimage.binary_fill_holes(closed)[radius:-radius, radius:-radius]
    return out
