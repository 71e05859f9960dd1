"""How deep the border of a mass reaches into it, place by place: where partial volume and blending end.

Every readable ray across the border gives a blurred step. Its tail is followed inwards to the depth at which the
surroundings change the density by no more than a few HU, so that a border to lung reaches deeper than one of the same
width to muscle. An outline that lies off the middle of the step is allowed for. A sharp border of a sharp scan
reaches no deeper than the depth at which cores are read anyway.
"""

from __future__ import annotations

from dataclasses import replace

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import ndtri

from paraspinal.config import MeasureConfig
from paraspinal.measure.margin import MIN_R2, STEP_MM, fit_edges
from paraspinal.measure.size import Mesh
from paraspinal.measure.surface import SurfacePoints, surface_points
from paraspinal.measure.view import MassView
from paraspinal.volume import BoolArray

_INWARD_MM, _OUTWARD_MM = 6.4, 2.4  # what lies behind the border is none of its width
_AVERAGED = 5  # neighbouring rays that are laid upon each other before one is fitted
_NEIGHBOURS = 9  # rays whose median is taken: one may run into a focus, or be drawn by noise
_LEVEL_MM = 0.5  # in such steps the border's depth is told

_Array = npt.NDArray[np.float64]


def with_border(view: MassView, mesh: Mesh, config: MeasureConfig) -> MassView:
    """Return a view that knows which voxels of the mass its border reaches."""
    points, depth = border_depths(view, mesh, config)
    if points.count < config.edge_min_points:
        return view
    tree = cKDTree(points.places_mm)
    _, near = tree.query(points.places_mm, k=min(_NEIGHBOURS, points.count))
    smooth = np.median(depth[near], axis=1)
    shell = ndimage.binary_dilation(view.mask) & ~view.mask
    _, nearest = tree.query(np.argwhere(shell) * np.asarray(view.spacing_mm))
    reach = np.zeros(view.mask.shape, dtype=np.float32)
    reach[shell] = smooth[nearest]
    return replace(view, border=_within_reach(view, reach))


def _within_reach(view: MassView, reach_mm: npt.NDArray[np.float32]) -> BoolArray:
    """Return the voxels of the mass that lie no further from a place of the border than it reaches."""
    out = np.zeros_like(view.mask)
    for level in np.arange(_LEVEL_MM, float(reach_mm.max()) + _LEVEL_MM / 2, _LEVEL_MM):
        away = edt.edt(reach_mm < level, anisotropy=view.spacing_mm, black_border=False)
        out |= away - 0.5 * view.pixel_mm < level
    return np.asarray(out & view.mask)


def border_depths(view: MassView, mesh: Mesh, config: MeasureConfig) -> tuple[SurfacePoints, _Array]:
    """Return the readable points of the border, and how deep (mm) the border reaches into the mass at each.

    At contrast C and SD s the step is complete up to `core_tail_hu` at s · Φ⁻¹(1 − tail / C) from its middle. Rays
    run along the normals in space: partial volume between slices is border, too.
    """
    centroids = mesh.vertices_mm[mesh.triangles].mean(axis=1)
    points = surface_points(view.mask, centroids, mesh.areas_mm2, view.spacing_mm)
    t = np.arange(-_INWARD_MM, _OUTWARD_MM + STEP_MM / 2, STEP_MM)
    fit = fit_edges(_rays(view, points, t), t)
    contrast = np.abs(fit.contrast_hu)
    readable = (contrast >= config.edge_min_contrast_hu) & (fit.r2 >= MIN_R2)
    tail = ndtri(1.0 - np.minimum(config.core_tail_hu / np.maximum(contrast, 1e-6), 0.5))
    return points.where(readable), (fit.sd_mm * tail - fit.shift_mm)[readable]


def _rays(view: MassView, points: SurfacePoints, t_mm: _Array) -> _Array:
    """Return HU (n, m) along the normals, each ray averaged with its next neighbours."""
    places = points.places_mm[:, None] + t_mm[None, :, None] * points.normals[:, None]
    index = (places / np.asarray(view.spacing_mm)).transpose(2, 0, 1)
    rays = ndimage.map_coordinates(view.hu, index, order=1, mode="nearest", output=np.float64)
    _, near = cKDTree(points.places_mm).query(points.places_mm, k=min(_AVERAGED, points.count))
    return np.asarray(rays[near].mean(axis=1) if near.ndim == 2 else rays)
