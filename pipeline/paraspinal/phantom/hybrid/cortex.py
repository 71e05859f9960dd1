"""How much cortex a vertebra of a scan has, so that the floor of a hollow gets as much and no more."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.phantom.hybrid.site import Site
from paraspinal.phantom.spec import MassSpec
from paraspinal.volume import Spacing

Field = npt.NDArray[np.float32]

_STEP_MM, _DEEPEST_MM = 0.5, 5.0
_MARROW_MM = 6.0
_BODY_HALF_MM = 4.0  # along the spine: end plates, sclerotic often, lie beyond
_BEFORE_CANAL_MM = 16.0  # pedicles and rib heads lie behind
_LEAST_VOXELS = 200
_USUAL_HU_MM = 450.0  # between what two real chests show (engineering default)
_SEEN = 0.85  # of a layer's excess lies inside the half level of the bone's outer border


def inside_bone_mm(site: Site, spacing_mm: Spacing) -> Field:
    """Return how deep (mm) every native voxel of the box lies in vertebral body or disc, 0 outside."""
    inside = site.column > 0.5
    depth = ndimage.distance_transform_edt(inside, sampling=spacing_mm)
    # A transform counts to the next voxel's middle; the border runs half way to it.
    return np.where(inside, depth - 0.5 * spacing_mm[1], 0.0).astype(np.float32)


def cortex_hu_mm(hu: Field, site: Site, spec: MassSpec, spacing_mm: Spacing) -> float:
    """Return the cortex of the intact side wall, HU above the marrow times millimetres.

    The mean HU of layers 0.5 mm thick, from the wall inwards: blur spreads a cortex over several of them, but leaves
    the sum.
    """
    depth = inside_bone_mm(site, spacing_mm)
    along = site.up + np.float32(spec.offset_mm[2])
    wall = (np.abs(along) < _BODY_HALF_MM) & (site.ahead + site.centre_mm[1] > _BEFORE_CANAL_MM)
    marrow = wall & (depth > _MARROW_MM)
    if np.count_nonzero(marrow) < _LEAST_VOXELS:
        return _USUAL_HU_MM
    edges = np.arange(0.0, _DEEPEST_MM + _STEP_MM, _STEP_MM)
    layer = np.digitize(depth[wall], edges)
    values = hu[wall]
    means = [float(values[layer == k].mean()) for k in range(1, len(edges)) if (layer == k).any()]
    excess = np.asarray(means) - float(np.median(hu[marrow]))
    return float(np.maximum(excess, 0.0).sum() * _STEP_MM) / _SEEN
