"""Where a mass touches bone, and whether the cortex there is missing.

Cortex thinner than the scan's blur cannot be measured in itself, so that it is compared with itself: the peak HU
along normals of the vertebral body where the mass touches it, against the peaks of the same body's surface that
faces no mass. Both are read in the same way, so that blur, noise and the coarse border cancel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.masses.types import Mass
from paraspinal.measure.body import vertebral_body
from paraspinal.measure.gates import why_not
from paraspinal.measure.native import signed_distance_mm
from paraspinal.measure.size import Mesh, mesh_of
from paraspinal.measure.surface import SurfacePoints, in_plane, profiles, surface_points
from paraspinal.measure.uncertainty import RECTANGULAR
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray, CTVolume, Geometry, Region

_NEAR_MM = 25.0  # vertebrae tilt: their front lies lower or higher than their middle
_CLEAR_MM = 7.0  # reference surface lies at least this far from every mass
_OUTSIDE_BONE_HU = 250.0  # a rib head or osteophyte against the surface hides its cortex
_MAX_TILT = 0.5
_BACKWARD = 0.4  # normals that point further back face the canal or the pedicles
_PLATE_MM = 1.0
_POINT_AREA_MM2 = 9.0  # neighbouring points share the same stretch of cortex on about this area

_Array = npt.NDArray[np.float64]


def measure_contact(
    volume: CTVolume,
    anatomy: Anatomy,
    view: MassView,
    mesh: Mesh,
    quality: ScanQuality,
    config: MeasureConfig,
    *,
    others: Sequence[Mass] = (),
) -> Measurements:
    """Return ``bone_interface_mm2`` and ``bone_interface_without_cortex_fraction``.

    `others` are the other masses of the patient: bone beside them is no reference.
    """
    area_key, share_key = "bone_interface_mm2", "bone_interface_without_cortex_fraction"
    bones = _vertebrae(anatomy)
    if not bones.any():
        reason = "no vertebra was found"
        return {area_key: Measurement.missing("mm2", reason), share_key: Measurement.missing("1", reason)}
    area = _interface_area(anatomy, bones, view, mesh, config)
    refusal = why_not(share_key, quality, config, slice_mm=view.slice_mm)
    if refusal is not None:
        share = Measurement.missing("1", refusal)
    elif area.value is None:
        share = Measurement.missing("1", area.reason or area.status)
    elif area.value <= 0.0:
        share = Measurement.missing("1", "the mass touches no vertebra")
    else:
        places = view.geometry.to_lps(mesh.vertices_mm / np.asarray(view.spacing_mm))
        share = _without_cortex(volume, anatomy, places, config, others=others)
    return {area_key: area, share_key: share}


def _vertebrae(anatomy: Anatomy) -> BoolArray:
    """Return all vertebrae: their own mask where there is one, else what the label map holds."""
    mask = anatomy.mask("vertebrae")
    return mask if mask.any() else np.isin(anatomy.labels.data, [v.number for v in anatomy.vertebrae])


def _interface_area(
    anatomy: Anatomy, bones: BoolArray, view: MassView, mesh: Mesh, config: MeasureConfig
) -> Measurement:
    """Area of the mass's surface that lies within the contact distance of a vertebra.

    Where the mass reaches beyond the spine that was traced, no vertebra was outlined and contact cannot be denied:
    what is seen is a lower bound, and nothing seen is no statement.
    """
    beyond = _beyond_spine_mm(anatomy, view, mesh)
    if beyond > anatomy.geometry.spacing_mm[0]:
        return _partial(_area_in_contact(anatomy, bones, view, mesh, config), beyond)
    return _area_in_contact(anatomy, bones, view, mesh, config)


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


def _without_cortex(
    volume: CTVolume, anatomy: Anatomy, mass_lps: _Array, config: MeasureConfig, *, others: Sequence[Mass]
) -> Measurement:
    """Share of the touched vertebral bodies' surface whose cortex is below the reference of the same vertebra."""
    own = cKDTree(mass_lps[:: max(1, len(mass_lps) // 4000)])
    elsewhere = [_border_lps(m.region, volume.geometry) for m in others]
    every = cKDTree(np.concatenate([own.data, *elsewhere]))
    missing_area = touched_area = 0.0
    skipped: list[str] = []
    low, high = mass_lps[:, 2].min() - _NEAR_MM, mass_lps[:, 2].max() + _NEAR_MM
    for vertebra in anatomy.vertebrae:
        near = low <= vertebra.top_mm and vertebra.bottom_mm <= high
        body = vertebral_body(anatomy, vertebra) if near else None
        if body is None:
            continue
        points, peaks = _cortex(volume, anatomy, body)
        lps = anatomy.geometry.to_lps(points.places_mm / np.asarray(anatomy.geometry.spacing_mm))
        touching = own.query(lps)[0] <= config.bone_contact_mm + anatomy.geometry.spacing_mm[0]
        if not touching.any():
            continue
        reference = peaks[every.query(lps)[0] >= _CLEAR_MM]
        if reference.size < config.cortex_min_reference:
            skipped.append(vertebra.label)
            continue
        limit = np.percentile(reference, config.cortex_percentile)
        touched_area += float(points.areas_mm2[touching].sum())
        missing_area += float(points.areas_mm2[touching & (peaks < limit)].sum())
    return _share(missing_area, touched_area, skipped, config)


def _share(missing_mm2: float, touched_mm2: float, skipped: list[str], config: MeasureConfig) -> Measurement:
    if touched_mm2 < 3.0 * _POINT_AREA_MM2:
        why = (
            f"too little free surface as reference on {', '.join(skipped)}"
            if skipped
            else "no vertebral body"
        )
        return Measurement.missing("1", f"the contact cannot be judged: {why}")
    expected = config.cortex_percentile / 100.0  # of intact cortex that lies below its own percentile
    raw = missing_mm2 / touched_mm2
    share = max(0.0, (raw - expected) / (1.0 - expected))
    independent = touched_mm2 / _POINT_AREA_MM2
    return Measurement.measured(
        share,
        "1",
        type_a=float(np.sqrt(max(raw * (1.0 - raw), expected) / independent)),
        method="type A: binomial over independent stretches of cortex",
        reason=f"not judged: {', '.join(skipped)}" if skipped else None,
    )


def _cortex(volume: CTVolume, anatomy: Anatomy, body: Region) -> tuple[SurfacePoints, _Array]:
    """Return the readable points of a body's side walls (working grid) and the peak HU along their normals."""
    spacing = anatomy.geometry.spacing_mm
    mask = np.pad(body.mask, 2)
    mesh = mesh_of(mask, spacing)
    offset = (np.asarray(body.start) - 2) * np.asarray(spacing)
    centroids = mesh.vertices_mm[mesh.triangles].mean(axis=1)
    points = in_plane(
        surface_points(mask, centroids, mesh.areas_mm2, spacing, limit=3000), max_tilt=_MAX_TILT
    )
    points = points.where(points.normals[:, 1] < _BACKWARD)
    points = SurfacePoints(points.places_mm + offset, points.normals, points.areas_mm2)
    native = volume.geometry.to_index(anatomy.geometry.to_lps(points.places_mm / np.asarray(spacing)))
    at = SurfacePoints(native * np.asarray(volume.geometry.spacing_mm), points.normals, points.areas_mm2)
    t = np.arange(-4.0, 6.01, 0.5)
    lines = profiles(volume.hu, at, t, volume.geometry.spacing_mm, plate_mm=_PLATE_MM)
    free = lines[:, t >= 4.0].mean(axis=1) < _OUTSIDE_BONE_HU
    peaks = lines[:, t <= 2.5].max(axis=1)
    return points.where(free), peaks[free]


def _border_lps(region: Region, geometry: Geometry) -> _Array:
    """Return border voxels of a region as LPS points (n, 3), thinned."""
    border: BoolArray = region.mask & ~ndimage.binary_erosion(region.mask)
    index = np.argwhere(border)
    index = index[:: max(1, len(index) // 4000)] + np.asarray(region.start)
    return geometry.to_lps(index)
