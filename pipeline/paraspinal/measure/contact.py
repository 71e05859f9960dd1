"""How much of a mass's surface touches the vertebrae."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.measure.native import signed_distance_mm
from paraspinal.measure.size import Mesh
from paraspinal.measure.uncertainty import RECTANGULAR
from paraspinal.measure.view import MassView
from paraspinal.result import Measurement
from paraspinal.volume import BoolArray


def measure_contact(anatomy: Anatomy, view: MassView, mesh: Mesh, config: MeasureConfig) -> Measurement:
    """Return ``bone_interface_mm2``: the area of the mass's surface that lies against a vertebra.

    Where the mass reaches beyond the spine that was traced, no vertebra was outlined and contact cannot be denied:
    what is seen is a lower bound, and nothing seen is no statement.
    """
    bones = _vertebrae(anatomy)
    if not bones.any():
        return Measurement.missing("mm2", "no vertebra was found")
    area = _area_in_contact(anatomy, bones, view, mesh, config)
    beyond = _beyond_spine_mm(anatomy, view, mesh)
    return _partial(area, beyond) if beyond > anatomy.geometry.spacing_mm[0] else area


def _vertebrae(anatomy: Anatomy) -> BoolArray:
    """Return all vertebrae: their own mask where there is one, else what the label map holds."""
    mask = anatomy.mask("vertebrae")
    return mask if mask.any() else np.isin(anatomy.labels.data, [v.number for v in anatomy.vertebrae])


def _partial(area: Measurement, beyond_mm: float) -> Measurement:
    reason = f"the mass reaches {beyond_mm:.0f} mm beyond the spine that was traced"
    if not area.value:
        return Measurement.missing("mm2", reason)
    return area.model_copy(update={"status": "lower_bound", "reason": reason})


def _beyond_spine_mm(anatomy: Anatomy, view: MassView, mesh: Mesh) -> float:
    """Return how far (mm, along z) the mass reaches past the ends of the traced canal."""
    if len(anatomy.centreline_lps_mm) == 0:
        return float("inf")
    z = view.geometry.to_lps(mesh.vertices_mm / np.asarray(view.spacing_mm))[:, 2]
    line = anatomy.centreline_lps_mm[:, 2]
    return float(max(z.max() - line.max(), line.min() - z.min(), 0.0))


def _area_in_contact(
    anatomy: Anatomy, bones: BoolArray, view: MassView, mesh: Mesh, config: MeasureConfig
) -> Measurement:
    """Area (mm²) of the mesh within the contact distance of `bones` (working grid)."""
    centroids = mesh.vertices_mm[mesh.triangles].mean(axis=1) / np.asarray(view.spacing_mm)
    index = anatomy.geometry.to_index(view.geometry.to_lps(centroids))
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 5, 0, None)
    high = np.ceil(index.max(axis=0)).astype(int) + 6
    part = bones[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    if not part.any():
        return Measurement.measured(0.0, "mm2", reason="the mass touches no vertebra")
    distance = signed_distance_mm(part, anatomy.geometry.spacing_mm)
    at = -ndimage.map_coordinates(distance, (index - low).T, order=1, mode="nearest")
    half = 0.5 * anatomy.geometry.spacing_mm[0]
    areas = [float(mesh.areas_mm2[at <= config.bone_contact_mm + s].sum()) for s in (-half, 0.0, half)]
    return Measurement.measured(
        areas[1],
        "mm2",
        type_a=float((areas[2] - areas[0]) / 2.0 * RECTANGULAR),
        method="type A: contact distance moved by half a working voxel",
        reason=f"mass surface within {config.bone_contact_mm:g} mm of a vertebra",
    )
