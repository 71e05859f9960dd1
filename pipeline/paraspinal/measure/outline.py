"""How much of a mass's border lies against tissue that does not show where the mass ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from paraspinal.config import MeasureConfig
from paraspinal.measure.size import Mesh
from paraspinal.measure.surface import surface_points
from paraspinal.measure.view import MassView

_OUTSIDE_MM = 2.5  # beyond the partial volume of the border itself
_SMOOTHING_MM = 0.7


@dataclass(frozen=True, slots=True)
class UnclearBorder:
    """Area (mm²) of the border against soft tissue and against bone, and that of the whole border."""

    soft_mm2: float
    bone_mm2: float
    whole_mm2: float

    def volume_u_ml(self, config: MeasureConfig) -> float:
        """Standard uncertainty of the volume: the border moved on those areas."""
        return (self.soft_mm2 * config.soft_border_mm + self.bone_mm2 * config.bone_border_mm) / 1000.0

    def length_u_mm(self, config: MeasureConfig) -> float:
        """Standard uncertainty of a length whose two ends lie anywhere on the border."""
        share = (self.soft_mm2 + self.bone_mm2) / max(self.whole_mm2, 1e-9)
        return float(config.soft_end_mm * np.sqrt(2.0 * share))


def unclear_border(view: MassView, mesh: Mesh, config: MeasureConfig) -> UnclearBorder:
    """Return the border of a mass by what lies 2.5 mm outside: lung and fat show it, others do not."""
    centroids = mesh.vertices_mm[mesh.triangles].mean(axis=1)
    points = surface_points(view.mask, centroids, mesh.areas_mm2, view.spacing_mm)
    smooth = ndimage.gaussian_filter(view.hu, [_SMOOTHING_MM / s for s in view.spacing_mm])
    index = (points.places_mm + _OUTSIDE_MM * points.normals) / np.asarray(view.spacing_mm)
    outside = ndimage.map_coordinates(smooth, index.T, order=1, mode="nearest")
    inside = view.deeper_than(config.core_depth_mm)
    level = float(np.median(view.hu[inside if inside.any() else view.mask]))
    bone = outside >= level + config.bone_border_step_hu
    soft = (outside > config.clear_border_hu) & ~bone
    area = points.areas_mm2
    return UnclearBorder(float(area[soft].sum()), float(area[bone].sum()), float(area.sum()))
