"""Profiles of HU along the normals of a surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.volume import BoolArray

_NORMAL_SMOOTHING_MM = 2.0  # voxel steps must not turn the normals
_MAX_POINTS = 800

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SurfacePoints:
    """Points on a border: places (n, 3) in mm from voxel (0, 0, 0), outward unit normals (n, 3), areas (n,) in mm².

    All in [z, y, x]. The areas of the points that were kept add up to the whole surface.
    """

    places_mm: _Array
    normals: _Array
    areas_mm2: _Array

    def where(self, keep: BoolArray) -> SurfacePoints:
        """Return the points where `keep` (n,) is true."""
        return SurfacePoints(self.places_mm[keep], self.normals[keep], self.areas_mm2[keep])

    @property
    def count(self) -> int:
        """Number of points."""
        return len(self.places_mm)


def surface_points(
    mask: BoolArray,
    centroids_mm: _Array,
    areas_mm2: _Array,
    spacing_mm: Sequence[float],
    *,
    limit: int = _MAX_POINTS,
) -> SurfacePoints:
    """Return at most about `limit` of a mesh's triangles as points with outward normals.

    Normals are those of the smoothed mask, so that they do not follow single voxels.
    """
    step = max(1, len(centroids_mm) // limit)
    places, areas = centroids_mm[::step], areas_mm2[::step]
    areas = areas * (areas_mm2.sum() / max(float(areas.sum()), 1e-9))
    sigma = [_NORMAL_SMOOTHING_MM / s for s in spacing_mm]
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="nearest")
    index = (places / np.asarray(spacing_mm)).T
    gradient = np.stack(
        [
            ndimage.map_coordinates(np.gradient(smooth, s, axis=a), index, order=1, mode="nearest")
            for a, s in enumerate(spacing_mm)
        ],
        axis=1,
    )
    size = np.linalg.norm(gradient, axis=1, keepdims=True)
    return SurfacePoints(places, -gradient / np.maximum(size, 1e-9), areas)


def in_plane(points: SurfacePoints, *, max_tilt: float) -> SurfacePoints:
    """Return the points whose normal rises at most `max_tilt` (|z component|) out of the slice."""
    return points.where(np.abs(points.normals[:, 0]) <= max_tilt)


def profiles(
    hu: npt.NDArray[np.generic],
    points: SurfacePoints,
    t_mm: _Array,
    spacing_mm: Sequence[float],
    *,
    plate_mm: float,
) -> _Array:
    """Return HU (n, m) along the in-plane normals at distances `t_mm` (m,), positive outwards.

    Each sample is the mean over a small plate along the surface (three places in the plane and three along z, within
    ± `plate_mm`), which lowers the noise without blurring across the border.
    """
    flat = points.normals.copy()
    flat[:, 0] = 0.0
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    tangent = np.stack([np.zeros(len(flat)), -flat[:, 2], flat[:, 1]], axis=1)
    along = np.array([-1.0, 0.0, 1.0]) * plate_mm
    # a neighbouring slice belongs to the plate only when it is as near as the plate is wide
    up = along if spacing_mm[0] <= plate_mm else np.zeros(1)
    # the surface itself tilts along z: follow it, so that the plate stays on the border
    tilt = np.zeros_like(flat)
    steep = np.linalg.norm(points.normals[:, 1:], axis=1)
    tilt[:, 1:] = -flat[:, 1:] * (points.normals[:, 0] / np.maximum(steep, 1e-6))[:, None]
    total = np.zeros((points.count, t_mm.size))
    for a in along:
        for b in up:
            base = points.places_mm + a * tangent + b * (tilt + np.array([1.0, 0.0, 0.0]))
            places = base[:, None, :] + t_mm[None, :, None] * flat[:, None, :]
            index = (places / np.asarray(spacing_mm)).transpose(2, 0, 1)
            total += ndimage.map_coordinates(hu, index, order=1, mode="nearest", output=np.float32)
    return total / (along.size * up.size)
