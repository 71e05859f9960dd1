"""Density averaged within tissue, so that neighbours of other density do not count."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.volume import BoolArray, Spacing

CLIP_HU = (-100.0, 250.0)
"""Fat and bone at the rim do not move an average over soft tissue."""
MAD_TO_SD = 1.4826


def averaged_within(
    hu: npt.NDArray[np.float32], mask: BoolArray, spacing: Spacing, *, sigma_mm: float
) -> npt.NDArray[np.float32]:
    """Return HU averaged over a Gaussian that takes its values from `mask` only, [z, y, x]; 0 far from it."""
    sigma = [sigma_mm / s for s in spacing]
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
    total = ndimage.gaussian_filter(np.where(mask, np.clip(hu, *CLIP_HU), 0.0).astype(np.float32), sigma)
    return np.asarray(total / np.maximum(weight, 1e-3), np.float32)


def robust_sd(values: npt.NDArray[np.float32]) -> float:
    """Return the SD that the median absolute deviation stands for: vessels and lesions do not widen it."""
    return MAD_TO_SD * float(np.median(np.abs(values - np.median(values))))
