"""IBSI morphological features of a mask and its mesh."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from paraspinal.measure.size import Mesh, max_diameter_mm
from paraspinal.volume import BoolArray

UNITS: dict[str, str] = {
    "mesh_volume": "mm3",
    "voxel_volume": "mm3",
    "surface_area": "mm2",
    "surface_to_volume_ratio": "/mm",
    "compactness_1": "1",
    "compactness_2": "1",
    "spherical_disproportion": "1",
    "sphericity": "1",
    "asphericity": "1",
    "max_3d_diameter": "mm",
    "major_axis_length": "mm",
    "minor_axis_length": "mm",
    "least_axis_length": "mm",
    "elongation": "1",
    "flatness": "1",
    "volume_density_box": "1",
    "area_density_box": "1",
    "volume_density_hull": "1",
    "area_density_hull": "1",
}
"""Features with their units."""


def shape_features(mask: BoolArray, mesh: Mesh, spacing_mm: Sequence[float]) -> dict[str, float]:
    """Return the shape of a mask [z, y, x] with its mesh.

    IBSI codes: RNU0, YEKZ, C0JK, 2PR5, SKGS, BQWJ, KRCK, QCFX, 25C7, L0JK, TDIC, P9VJ, 7J51, Q3CK, N17B, PBX1, R59B,
    R3ER, 7T7F. Axes are those of the principal components of the voxels' centres (covariance over n - 1); box and
    hull are the mesh's.
    """
    volume, area = mesh.volume_mm3, float(mesh.areas_mm2.sum())
    sphere = (36.0 * np.pi * volume**2) ** (1.0 / 3.0)
    points = np.argwhere(mask) * np.asarray(spacing_mm)
    spread = np.clip(np.linalg.eigvalsh(np.cov(points.T))[::-1], 0.0, None)
    major, minor, least = (4.0 * float(np.sqrt(v)) for v in spread)
    sides = np.ptp(mesh.vertices_mm, axis=0)
    box, walls = (
        float(np.prod(sides)),
        2.0 * float(sides[0] * sides[1] + sides[1] * sides[2] + sides[2] * sides[0]),
    )
    try:
        hull = ConvexHull(mesh.vertices_mm)
        hull_volume, hull_area = float(hull.volume), float(hull.area)
    except QhullError:
        hull_volume, hull_area = volume, area
    return {
        "mesh_volume": volume,
        "voxel_volume": float(np.count_nonzero(mask) * np.prod(spacing_mm)),
        "surface_area": area,
        "surface_to_volume_ratio": area / volume,
        "compactness_1": volume / (np.pi**0.5 * area**1.5),
        "compactness_2": 36.0 * np.pi * volume**2 / area**3,
        "spherical_disproportion": area / sphere,
        "sphericity": sphere / area,
        "asphericity": area / sphere - 1.0,
        "max_3d_diameter": max_diameter_mm(mesh.vertices_mm),
        "major_axis_length": major,
        "minor_axis_length": minor,
        "least_axis_length": least,
        "elongation": minor / major if major else 1.0,
        "flatness": least / major if major else 1.0,
        "volume_density_box": volume / box,
        "area_density_box": area / walls,
        "volume_density_hull": volume / hull_volume,
        "area_density_hull": area / hull_area,
    }
