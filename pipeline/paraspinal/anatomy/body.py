"""The trunk without table, blankets and arms; and the arms where they lie apart from it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.morphology import components, ellipse, fill_slices, largest, per_slice
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_SOFT_HU = 150.0  # fat to muscle; a table's shell and foam lie outside


@dataclass(frozen=True, slots=True)
class Body:
    """Trunk (with neck, head and thighs where in view), and the arms that lie apart from it in the slice."""

    trunk: BoolArray
    arms: BoolArray


def segment_body(hu: npt.NDArray[np.float32], grid: Geometry, *, config: AnatomyConfig) -> Body:
    """Find the patient without the table: the largest thick soft object, holes filled per slice.

    An arm is an object of its own in the slice, with bone inside and thinner than a thigh. Where arm and trunk touch,
    the arm stays with the trunk.

    Parameters
    ----------
    hu : ndarray, [z, y, x]
        HU on the working grid.
    """
    pixels = max(1, round(config.table_opening_mm / grid.spacing_mm[1]))
    dense = hu > config.body_threshold_hu
    thick = per_slice(dense, cv2.MORPH_OPEN, ellipse(pixels, pixels))
    limbs = _beside_the_trunk(thick, hu, grid, config=config)
    solid = largest(thick & ~limbs)
    trunk = fill_slices(solid) | _between_front_and_back(solid)
    arms = fill_slices(limbs) & ~trunk if limbs.any() else limbs
    return Body(trunk, arms)


def _beside_the_trunk(
    thick: BoolArray, hu: npt.NDArray[np.float32], grid: Geometry, *, config: AnatomyConfig
) -> BoolArray:
    """Objects of a slice that are no trunk, hold bone and soft tissue, and are no thicker than an arm.

    The trunk is followed from the slice in which it is largest: a neck is as thin as an arm, too.
    """
    out = np.zeros_like(thick)
    area = thick.sum(axis=(1, 2))
    start = int(np.argmax(area))
    pixel_cm2 = grid.spacing_mm[1] * grid.spacing_mm[2] / 100.0
    for slices in (range(start, len(area)), range(start, -1, -1)):
        trunk: npt.NDArray[np.bool_] | None = None
        for z in slices:
            labels, counts = components(thick[z][None])
            if counts.size < 2:
                break
            weight = counts if trunk is None else np.bincount(labels[0][trunk], minlength=counts.size)
            own = 1 + int(np.argmax(weight[1:]))
            if weight[own] == 0:
                break
            trunk = np.asarray(labels[0] == own)
            if counts.size == 2:
                continue
            bone = np.bincount(labels[0][hu[z] > config.bone_threshold_hu], minlength=counts.size) * pixel_cm2
            soft = np.bincount(labels[0][np.abs(hu[z]) < _SOFT_HU], minlength=counts.size)
            thin = counts * pixel_cm2 < config.arm_cm2
            arm: npt.NDArray[np.bool_] = np.logical_and(bone > config.arm_bone_cm2, thin) & (
                soft > 0.5 * counts
            )
            arm[[0, own]] = False
            for k in np.flatnonzero(arm):
                part = labels[0] == k
                if _beside(part, trunk) and _inscribed_mm(part, grid) > config.arm_min_radius_mm:
                    out[z] |= part
            trunk = (labels[0] > 0) & ~out[z]
    return out


def _beside(part: npt.NDArray[np.bool_], trunk: npt.NDArray[np.bool_]) -> bool:
    """Tell whether a part lies to the side of the trunk: no third of its width in front of or behind it."""
    width = np.asarray(part.any(axis=0))
    span = np.flatnonzero(trunk.any(axis=0))
    return bool(width[span[0] : span[-1] + 1].sum() < 0.33 * width.sum())


def _inscribed_mm(part: npt.NDArray[np.bool_], grid: Geometry) -> float:
    """Radius of the largest circle inside: a chest wall that lung and field of view cut off is long and thin."""
    depth = cv2.distanceTransform(np.pad(part, 1).astype(np.uint8), cv2.DIST_L2, 5)
    return float(depth.max()) * grid.spacing_mm[1]


def _between_front_and_back(solid: BoolArray) -> BoolArray:
    """Voxels with body in front and behind in the same column.

    Where the field of view cuts the chest wall, the lung is open to the outside and hole filling alone misses it.
    """
    behind_front = np.logical_or.accumulate(solid, axis=1)
    before_back = np.logical_or.accumulate(solid[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(behind_front & before_back)
