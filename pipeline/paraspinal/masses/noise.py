"""Noise of the working grid beside the spine, per slice and side: where it is heavy, tissue cannot be parted."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig

_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
"""Difference of two Laplacians: blind to slopes and straight edges (Immerkaer 1996, doi:10.1006/cviu.1996.0060)."""
_GAIN = 6.0  # its response to white noise of SD 1
_MEDIAN_TO_SD = 1.4826
_MIN_VOXELS = 50  # fewer voxels of even tissue give no figure for a slice
_ALONG = 7  # slices over which the figure is evened out


def noise_beside_spine(anatomy: Anatomy, *, config: MassConfig) -> npt.NDArray[np.float32]:
    """Return the noise SD (HU) of soft tissue for each voxel of the spine box: one figure per slice and side.

    NaN where a side shows too little even soft tissue anywhere.
    """
    where = anatomy.spine
    hu = np.clip(anatomy.hu[where.box], -400, 500).astype(np.float32)
    response = np.abs(np.stack([cv2.filter2D(plane, -1, _LAPLACIAN) for plane in hu]))
    smooth = ndimage.uniform_filter(hu, 5)
    low, high = config.soft_hu
    even = (ndimage.minimum_filter(smooth, 3) > low) & (ndimage.maximum_filter(smooth, 3) < high)
    even &= anatomy.mask("body")[where.box]
    left = where.left > 0
    sides = [_along_slices(response, even & side) for side in (left, ~left)]
    return np.where(left, sides[0][:, None, None], sides[1][:, None, None]).astype(np.float32)


def _along_slices(response: npt.NDArray[np.float32], even: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """SD per slice from the median response; slices without enough tissue take their neighbours'."""
    sd = np.full(len(response), np.nan)
    for z, (plane, tissue) in enumerate(zip(response, even, strict=True)):
        if int(tissue.sum()) >= _MIN_VOXELS:
            sd[z] = _MEDIAN_TO_SD * float(np.median(plane[tissue])) / _GAIN
    known = np.flatnonzero(np.isfinite(sd))
    if known.size:
        sd = np.interp(np.arange(len(sd)), known, sd[known])
    return np.asarray(ndimage.median_filter(sd, _ALONG, mode="nearest"), float)
