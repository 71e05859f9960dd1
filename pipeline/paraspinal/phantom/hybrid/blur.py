"""A mask of native voxels as the scan would show it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.volume import BoolArray

_FWHM_PER_SD = 2.3548


def as_scanned(
    part: BoolArray, spacing_mm: tuple[float, float, float], *, fwhm_mm: float, slice_mm: float
) -> npt.NDArray[np.float32]:
    """Return the share of every voxel [z, y, x] that a mask fills, its border even and blurred by the point spread.

    Parameters
    ----------
    fwhm_mm, slice_mm : float
        Full width at half maximum in the slice, and the slice profile's width.
    """
    flat = (1e3, *spacing_mm[1:])
    inside = ndimage.distance_transform_edt(part, sampling=flat)
    outside = ndimage.distance_transform_edt(~part, sampling=flat)
    share = np.clip(0.5 + (inside - outside) / (2.0 * spacing_mm[1]), 0.0, 1.0)
    sigma = fwhm_mm / _FWHM_PER_SD
    share = ndimage.gaussian_filter(share, (0.0, sigma / spacing_mm[1], sigma / spacing_mm[2]))
    thick = max(1, round(slice_mm / spacing_mm[0]))
    return np.asarray(ndimage.uniform_filter1d(share, thick, axis=0), np.float32)
