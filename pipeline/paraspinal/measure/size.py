"""Size and shape of a mass: volume, axes, extent, sphericity.

Definitions are those of the IBSI reference manual where it has one (arXiv:1612.07003): voxel-counting volume YEKZ,
mesh volume RNU0, surface C0JK, sphericity QCFX, maximum 3-D diameter L0JK.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist
from skimage.measure import find_contours, marching_cubes

from paraspinal.measure.uncertainty import OUTLINE_METHOD, RECTANGULAR
from paraspinal.measure.view import MassView
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray, Region

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """The surface of a mask: vertices (n, 3) in mm [z, y, x] from voxel (0, 0, 0), triangles (m, 3)."""

    vertices_mm: _Array
    triangles: npt.NDArray[np.int32]

    @property
    def _corners(self) -> _Array:
        return np.asarray(self.vertices_mm[self.triangles])

    @property
    def areas_mm2(self) -> _Array:
        """Area of each triangle."""
        a, b, c = self._corners.transpose(1, 0, 2)
        return np.asarray(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1))

    @property
    def volume_mm3(self) -> float:
        """Enclosed volume (IBSI RNU0): the sum of signed tetrahedra."""
        a, b, c = self._corners.transpose(1, 0, 2)
        return float(abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6.0)


def mesh_of(mask: BoolArray, spacing_mm: Sequence[float]) -> Mesh:
    """Return the marching-cubes surface of a mask [z, y, x] at half height, as IBSI computes it."""
    tight = Region.of(mask)
    padded = np.pad(tight.mask, 1).astype(np.float32)
    vertices, triangles, _, _ = marching_cubes(padded, 0.5, spacing=spacing_mm)
    offset = (np.asarray(tight.start) - 1) * np.asarray(spacing_mm)
    return Mesh(vertices.astype(np.float64) + offset, triangles.astype(np.int32))


def sphericity(volume_mm3: float, area_mm2: float) -> float:
    """Return the area of the sphere of the same volume over the area (IBSI QCFX); 1 for a sphere."""
    return float((36.0 * np.pi * volume_mm3**2) ** (1.0 / 3.0) / area_mm2)


def hull_points(points: _Array) -> tuple[_Array, float]:
    """Return the corners (n, 3) of the convex hull and its volume; the points themselves when they are flat."""
    try:
        hull = ConvexHull(points)
    except QhullError:
        return points, 0.0
    return points[hull.vertices], float(hull.volume)


def max_diameter_mm(points: _Array) -> float:
    """Return the largest distance between any two points (IBSI L0JK), in mm."""
    corners, _ = hull_points(points)
    return float(pdist(corners).max())


def in_plane_axes_mm(section: BoolArray, spacing_yx_mm: tuple[float, float]) -> tuple[float, float]:
    """Return the longest diameter of a section [y, x] and the longest chord perpendicular to it, in mm."""
    contours = find_contours(np.pad(section, 1).astype(np.float32), 0.5)
    points = np.concatenate(contours) * np.asarray(spacing_yx_mm)
    try:
        corners = points[ConvexHull(points).vertices]
    except QhullError:
        corners = points
    differences = corners[:, None] - corners[None]
    lengths = np.hypot(differences[..., 0], differences[..., 1])
    i, j = np.unravel_index(int(np.argmax(lengths)), lengths.shape)
    long_axis = float(lengths[i, j])
    along = differences[i, j] / max(long_axis, 1e-9)
    position, across = points @ along, points @ np.array([-along[1], along[0]])
    bins = np.floor((position - position.min()) / max(spacing_yx_mm)).astype(int)
    low, high = np.full(bins.max() + 1, np.inf), np.full(bins.max() + 1, -np.inf)
    np.minimum.at(low, bins, across)
    np.maximum.at(high, bins, across)
    return long_axis, float((high - low)[np.isfinite(low)].max())


def measure_size(
    view: MassView, mesh: Mesh, *, unclear_ml: float = 0.0, unclear_mm: float = 0.0
) -> Measurements:
    """Return the size keys of the visible part of a mass (`paraspinal.measure.cutoff` says what a cut leaves).

    Parameters
    ----------
    unclear_ml, unclear_mm : float
        Standard uncertainty of volumes and lengths that comes from stretches of border whose surroundings do not show
        where the mass ends (`paraspinal.measure.outline`).
    """
    dz, dy, dx = view.spacing_mm

    def record(value: float, unit: str, type_a: float, unclear: float = 0.0) -> Measurement:
        return Measurement.measured(value, unit, type_a=math.hypot(type_a, unclear), method=OUTLINE_METHOD)

    area, volume = float(mesh.areas_mm2.sum()), mesh.volume_mm3
    long_axis, short_axis = in_plane_axes_mm(_key_section(view), (dy, dx))
    hull, hull_volume = hull_points(mesh.vertices_mm)
    slices = int(view.mask.any(axis=(1, 2)).sum())
    # moving the border by half a voxel moves both ends of a diameter, and the volume by area × half a voxel
    shift = 0.5 * (dz * dy * dx) ** (1.0 / 3.0) * RECTANGULAR
    # the largest of many distances picks the steps that stick out furthest: up to a voxel diagonal too long
    diagonal = float(np.linalg.norm(view.spacing_mm)) * RECTANGULAR
    in_plane, volume_u = view.pixel_mm * RECTANGULAR, area * shift / 1000.0
    shape_u = min(0.1, volume_u * 1000.0 / max(volume, 1e-9))
    solidity = min(1.0, volume / hull_volume) if hull_volume else 1.0
    return {
        "volume_ml": record(np.count_nonzero(view.mask) * view.voxel_ml, "mL", volume_u, unclear_ml),
        "mesh_volume_ml": record(volume / 1000.0, "mL", volume_u, unclear_ml),
        "long_axis_mm": record(long_axis, "mm", in_plane, unclear_mm),
        "short_axis_mm": record(short_axis, "mm", in_plane, unclear_mm),
        "craniocaudal_mm": record(slices * dz, "mm", 2.0**0.5 * dz * RECTANGULAR, unclear_mm),
        "max_diameter_mm": record(float(pdist(hull).max()), "mm", diagonal, unclear_mm),
        "sphericity": record(sphericity(volume, area), "1", shape_u),
        "lobulation": record(1.0 - solidity, "1", shape_u),
    }


def _key_section(view: MassView) -> BoolArray:
    """Return the key slice of the mass, or its largest section when the key slice does not meet it."""
    k = view.key_slice
    if not (0 <= k < view.mask.shape[0]) or not view.mask[k].any():
        k = int(np.argmax(view.mask.sum(axis=(1, 2))))
    return np.asarray(view.mask[k])
