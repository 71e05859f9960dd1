"""What a candidate runs into: tails much thinner than itself, and thick parts of other density at its border."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.morphology import dilate, distance_inside, opened
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.masses.average import averaged_within, robust_sd
from paraspinal.volume import BoolArray, Region, Spacing

_MARGIN = 4  # voxels around a candidate: bone this close brightens it


def trimmed(part: BoolArray, radius_mm: float, anatomy: Anatomy, *, config: MassConfig) -> BoolArray:
    """Return a candidate, a mask [z, y, x] in the box of the spine, without what it runs into.

    Parameters
    ----------
    radius_mm : float
        Radius of the largest sphere inside it.
    """
    z, y, x = part.shape
    crop = Region.of(part).padded((_MARGIN,) * 3, (z, y, x)).box
    box, spacing = anatomy.spine.box, anatomy.geometry.spacing_mm
    bone = (anatomy.mask("bone")[box] | anatomy.mask("column")[box])[crop]
    kept = without_tails(part[crop], radius_mm, spacing, config=config)
    kept = without_unlike(kept, anatomy.hu[box][crop], bone, spacing, config=config)
    out = np.zeros_like(part)
    out[crop] = kept
    return out


def without_tails(part: BoolArray, radius_mm: float, spacing: Spacing, *, config: MassConfig) -> BoolArray:
    """Return a mask without what is much thinner than itself: vessels and muscle slips that hang on it."""
    core = opened(part, config.tail_share * radius_mm, spacing)
    return part & dilate(core, max(spacing), spacing) if core.any() else part


def without_unlike(
    part: BoolArray, hu: npt.NDArray[np.float32], bone: BoolArray, spacing: Spacing, *, config: MassConfig
) -> BoolArray:
    """Return a mask without thick parts at its border unlike its middle in density: muscle, organs, vessels.

    A rim that takes up contrast is thinner, and what lies inside (a focus of low density) is kept.
    """
    # The rim is partial volume, and bone brightens what lies beside it.
    near_bone = dilate(bone, config.lump_sigma_mm, spacing)
    inner = ndimage.binary_erosion(part) & ~near_bone
    if not inner.any():
        return part
    mean = averaged_within(hu, inner, spacing, sigma_mm=config.lump_sigma_mm)
    depth = distance_inside(part, spacing)
    middle = mean[inner & (depth > config.middle_share * depth.max())]
    if not middle.size:
        return part
    limit = max(config.apart_hu, config.lump_step_spreads * robust_sd(middle))
    unlike = part & ~near_bone & (np.abs(mean - np.median(middle)) > limit)
    thick = opened(unlike, config.apart_radius_mm, spacing)
    if not thick.any():
        return part
    rest = opened(part & ~dilate(thick, max(spacing), spacing), max(spacing), spacing)
    numbered, count = ndimage.label(rest)
    if count == 0:
        return part
    kept = numbered == 1 + int(np.argmax(np.bincount(numbered[rest])[1:]))
    return np.asarray(ndimage.binary_fill_holes(dilate(kept, max(spacing), spacing) & part & ~thick) & part)
