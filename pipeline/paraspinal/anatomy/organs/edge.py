"""The edge of a soft organ on the working grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.morphology import fill_slices, largest, opened
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

Float32Volume = npt.NDArray[np.float32]


def refine_organ(
    mask: BoolArray,
    contested: BoolArray,
    level_hu: float,
    hu: Float32Volume,
    free: BoolArray,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> BoolArray:
    """Return the organ on the fine grid: its edge half way to fat or lung, its coarse border where tissue goes on.

    Parameters
    ----------
    mask, contested : ndarray of bool, [z, y, x]
        The organ, and tissue that is something else, on the grid of twice the spacing.
    free : ndarray of bool, [z, y, x]
        Voxels of the fine grid that no other structure holds.
    """
    where = np.argwhere(mask)
    low, high = np.maximum(where.min(axis=0) - 3, 0), where.max(axis=0) + 4
    coarse = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    fine = tuple(slice(2 * int(a), min(2 * int(b), n)) for a, b, n in zip(low, high, hu.shape, strict=True))
    shape = tuple(s.stop - s.start for s in fine)

    def spread(part: BoolArray) -> Float32Volume:
        doubled = ndimage.gaussian_filter(
            part[coarse].astype(np.float32).repeat(2, 0).repeat(2, 1).repeat(2, 2), 1.2
        )
        return np.asarray(doubled[: shape[0], : shape[1], : shape[2]], np.float32)

    near, other = spread(mask), spread(contested)
    light = ndimage.gaussian_filter(np.clip(hu[fine], -200, 400), 0.6)
    lean = light > 0.5 * (level_hu - 100.0)
    won = (near > 0.5) | ((near > config.organ_rim_share) & (other < 0.5 * near))
    out = np.zeros(hu.shape, bool)
    own = won & lean & free[fine]
    out[fine] = largest(fill_slices(opened(own, 2.1, grid.spacing_mm))) & free[fine]
    return out
