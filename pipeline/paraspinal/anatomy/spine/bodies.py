"""Vertebral bodies and discs as one column: its outline in every plane across the spine.

The outline is star-shaped around a point in front of the canal. In polar coordinates it is the closed path of
strongest outward fall of HU (cortex to surroundings) under a limit on its slope; where no edge speaks (pedicles, an
enhanced aorta on the bone) the neighbouring planes' median radius does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.polar import closed_paths
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.straighten import STEP_MM, SpineFrame
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_ANGLES = 32
_RADII_MM = np.arange(6.0, 34.0, 1.0)


@dataclass(frozen=True, slots=True)
class ColumnOutline:
    """Outline of the vertebral column: ``radius_mm`` [s, angle] around ``centre_mm`` in front of the canal.

    Angle 0 points forward, 90° to the patient's left.
    """

    centre_mm: float
    radius_mm: npt.NDArray[np.float64]


def trace_column(
    hu: npt.NDArray[np.float32], frame: SpineFrame, grid: Geometry, *, config: AnatomyConfig
) -> ColumnOutline:
    """Trace the outline of bodies and discs in every millimetre of the straightened spine."""
    angle = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
    centre = config.column_centre_mm
    forward = centre + _RADII_MM[None, :] * np.cos(angle)[:, None]
    left = _RADII_MM[None, :] * np.sin(angle)[:, None]
    points = (
        frame.points[:, None, None]
        + forward[None, ..., None] * frame.anterior[:, None, None]
        + left[None, ..., None] * frame.left[:, None, None]
    )
    index = np.moveaxis(points / np.asarray(grid.spacing_mm), -1, 0)
    value = ndimage.map_coordinates(hu, index, order=1, mode="nearest")
    value = ndimage.gaussian_filter1d(np.clip(value, -150, 450), 2.0, axis=0)
    fall = np.zeros_like(value)
    fall[..., 2:-2] = value[..., :-4] - value[..., 4:]
    gain = np.clip(fall, -100, 250) / 250.0
    first = _RADII_MM[closed_paths(gain)]
    typical = _running_median(first, min(len(first), 61))
    pull = ((_RADII_MM[None, None, :] - typical[..., None]) / config.column_pull_mm) ** 2
    second = _RADII_MM[closed_paths(gain - 0.3 * pull.astype(np.float32))]
    return ColumnOutline(centre, _running_median(second, 5))


def _running_median(radius: npt.NDArray[np.float64], planes: int) -> npt.NDArray[np.float64]:
    """Median over `planes` planes and three neighbouring angles (angles close on themselves)."""
    wrapped = np.pad(radius, ((0, 0), (1, 1)), mode="wrap")
    return np.asarray(ndimage.median_filter(wrapped, (planes, 3), mode="nearest")[:, 1:-1], float)


def column_mask(outline: ColumnOutline, frame: SpineFrame, where: SpineCoordinates) -> BoolArray:
    """Return the voxels of `where`'s box inside the outline, within the traced length of the canal."""
    forward = where.anterior - outline.centre_mm
    radius = np.hypot(forward, where.left)
    angle = np.mod(np.arctan2(where.left, forward), 2 * np.pi) * _ANGLES / (2 * np.pi)
    row = np.clip(where.s / STEP_MM, 0, len(frame.points) - 1)
    limit = ndimage.map_coordinates(
        np.pad(outline.radius_mm, ((0, 0), (0, 1)), mode="wrap"), [row, angle], order=1, mode="nearest"
    )
    inside = (where.s > -2.0) & (where.s < frame.length_mm + 2.0)
    return np.asarray((radius <= limit) & inside)
