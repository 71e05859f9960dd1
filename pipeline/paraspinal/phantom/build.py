"""From a spec to a phantom: lay the body out, paint it slab by slab, scan it, and keep the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from paraspinal.phantom.abdomen import AbdomenPlan, paint_abdomen, plan_abdomen
from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.labels import FIRST_MASS, label_names
from paraspinal.phantom.lesions import MassPlan, paint_mass, plan_mass
from paraspinal.phantom.lungs import mediastinal_hull, paint_lung_vessels, paint_lungs, plan_lung_vessels
from paraspinal.phantom.muscles import (
    MusclePlan,
    paint_body_wall,
    paint_diaphragm,
    paint_muscles,
    paint_spinal_fat,
    plan_muscles,
)
from paraspinal.phantom.ribs import RibPlan, paint_ribs, paint_scapulae, paint_sternum, plan_ribs
from paraspinal.phantom.scanner import SliceProfile, scan, slice_profile, thick_slices
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spec import PhantomSpec
from paraspinal.phantom.spine import SpinePlan, plan_spine
from paraspinal.phantom.table import paint_table
from paraspinal.phantom.texture import Texture, make_texture
from paraspinal.phantom.tissue import Tissues, tissues
from paraspinal.phantom.trunk import TrunkPlan, plan_trunk, trunk_fields
from paraspinal.phantom.truth import describe
from paraspinal.phantom.tubes import Tube
from paraspinal.phantom.vertebral_column import paint_spine
from paraspinal.phantom.vessels import (
    MediastinumPlan,
    paint_airway,
    paint_great_vessels,
    paint_heart,
    plan_mediastinum,
)
from paraspinal.volume import Acquisition, CTVolume, Geometry, LabelArray, LabelMap

_SLAB_VOXELS = 6_000_000  # fine voxels per slab: about 24 MB per float32 field
_HU_RANGE = (-1024, 3071)


@dataclass(frozen=True, slots=True)
class Phantom:
    """A synthetic series with all that is known about it.

    ``volume``, ``labels`` and ``masses`` share one grid; ``masses`` holds 1…n in the order of the spec.
    ``truth`` is plain JSON.
    """

    volume: CTVolume
    labels: LabelMap
    masses: LabelMap
    truth: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Body:
    spec: PhantomSpec
    tissues: Tissues
    spine: SpinePlan
    trunk: TrunkPlan
    ribs: tuple[RibPlan, ...]
    mediastinum: MediastinumPlan
    muscles: MusclePlan
    abdomen: AbdomenPlan
    lung_vessels: tuple[Tube, ...]
    masses: tuple[MassPlan, ...]
    soft: Texture
    streaks: Texture
    marrow: Texture


def make_phantom(spec: PhantomSpec) -> Phantom:
    """Make the phantom that `spec` describes; the same spec gives the same voxels.

    Returns
    -------
    Phantom
        HU int16 [z, y, x] in canonical order, labels uint16 on the same grid, and the truth.
    """
    profile = slice_profile(spec)
    body = _lay_out(spec, profile)
    geometry = _grid(spec, body)
    hu = np.empty(spec.shape, np.int16)
    labels = np.empty(spec.shape, np.uint16)
    per_slab = max(1, _SLAB_VOXELS // (spec.shape[1] * spec.shape[2] * profile.per_slice))
    for first in range(0, spec.shape[0], per_slab):
        last = min(first + per_slab, spec.shape[0])
        hu[first:last], labels[first:last] = _slab(body, geometry, profile, first, last)
    masses = np.where(labels > FIRST_MASS, labels - FIRST_MASS, 0).astype(np.uint16)
    labels[labels > FIRST_MASS] = 0
    volume = CTVolume(hu, geometry, _acquisition(spec))
    label_map = LabelMap(labels, geometry, label_names())
    mass_map = LabelMap(masses, geometry, {m.number: f"mass_{m.number}" for m in body.masses})
    truth = describe(spec, body.spine, body.masses, volume, label_map, mass_map)
    return Phantom(volume, label_map, mass_map, truth)


def _lay_out(spec: PhantomSpec, profile: SliceProfile) -> _Body:
    rng = np.random.default_rng((spec.seed, 1))
    size = spec.size_factor or float(np.clip(rng.normal(1.0, 0.025), 0.94, 1.06))
    spine = plan_spine(rng, size_factor=size)
    trunk = plan_trunk(rng, spine, fat_mm=spec.fat_mm, size_factor=size)
    mediastinum = plan_mediastinum(rng, trunk)
    fine = (spec.spacing_mm[0] / profile.per_slice, spec.spacing_mm[1], spec.spacing_mm[2])
    # Parts draw from generators of their own, so that adding a mass does not change the body around it.
    parts = np.random.default_rng((spec.seed, 2)).spawn(4)
    masses = tuple(
        plan_mass(np.random.default_rng((spec.seed, 3, k)), trunk, mass, k)
        for k, mass in enumerate(spec.masses, start=1)
    )
    return _Body(
        spec,
        tissues(spec),
        spine,
        trunk,
        plan_ribs(rng, trunk),
        mediastinum,
        plan_muscles(rng, trunk),
        plan_abdomen(rng, trunk, spec.organs),
        plan_lung_vessels(rng, trunk, mediastinum),
        masses,
        make_texture(parts[0], fine, sigma_mm=(7.0, 5.0, 5.0)),
        make_texture(parts[1], fine, sigma_mm=(9.0, 1.3, 2.2)),
        make_texture(parts[2], fine, sigma_mm=(0.6, 0.5, 0.5)),
    )


def _grid(spec: PhantomSpec, body: _Body) -> Geometry:
    """Centre the scan on the middle of the level range and on the body's cross-section there."""
    top, bottom = (body.spine.vertebra(level) for level in spec.levels)
    z = (top.centre[2] + top.size.height / 2 + bottom.centre[2] - bottom.size.height / 2) / 2
    o = body.trunk.outline(z)
    y = float(o.centre_y) + (float(o.body_back) - float(o.body_front)) / 2 + 8.0
    nz, ny, nx = spec.shape
    dz, dy, dx = spec.spacing_mm
    return Geometry(
        spec.shape,
        spec.spacing_mm,
        (
            round(float(o.centre_x) - (nx - 1) / 2 * dx, 3),
            round(y - (ny - 1) / 2 * dy, 3),
            round(z - (nz - 1) / 2 * dz, 3),
        ),
    )


def _slab(
    body: _Body, geometry: Geometry, profile: SliceProfile, first: int, last: int
) -> tuple[npt.NDArray[np.int16], LabelArray]:
    """Return HU and labels of slices first…last - 1."""
    spec, n = body.spec, profile.per_slice
    x0, y0, z0 = geometry.origin_lps_mm
    dz, dy, dx = geometry.spacing_mm
    start = first * n - profile.halo
    count = (last - first - 1) * n + 1 + 2 * profile.halo
    z = z0 + (start + np.arange(count)) * dz / n
    y = np.asarray(y0 + np.arange(spec.shape[1]) * dy, np.float64)
    x = np.asarray(x0 + np.arange(spec.shape[2]) * dx, np.float64)
    # Counted from a fixed offset so that textures see a non-negative slice number.
    canvas = Canvas.empty(z, y, x, first=start + 1000)
    _paint(canvas, body)
    truth = thick_slices(canvas.hu, profile, last - first)
    owner = canvas.owner[profile.halo :: n][: last - first]
    heights = z0 + np.arange(first, last) * dz
    canal = body.spine.canal_xy(heights)
    centres = np.stack([(canal[:, 1] - 20 - y0) / dy, (canal[:, 0] - x0) / dx], axis=1)
    image = scan(truth, spec, centres, first)
    return np.clip(np.rint(image), *_HU_RANGE).astype(np.int16), owner


def _paint(canvas: Canvas, body: _Body) -> None:
    """Paint everything, from the outside in and from soft to hard."""
    spec, t, trunk = body.spec, body.tissues, body.trunk
    left_out = spec.organs.left_out
    if "table" not in left_out:
        paint_table(canvas, trunk)
    fields = trunk_fields(canvas, trunk)
    paint_body_wall(canvas, trunk, fields, body.soft, body.streaks, t)
    hull: Field = mediastinal_hull(canvas, trunk, body.mediastinum)
    paint_lungs(canvas, trunk, fields, hull, body.soft, spec.organs)
    if "vessels" not in left_out:
        paint_lung_vessels(canvas, body.lung_vessels, t.right_blood)
    paint_diaphragm(canvas, fields, hull, t)
    paint_abdomen(canvas, trunk, body.abdomen, fields, body.soft, t, spec.organs)
    if "heart" not in left_out:
        paint_heart(canvas, body.mediastinum, fields.dome, t)
    paint_spinal_fat(canvas, trunk, t)
    paint_muscles(canvas, body.muscles, body.soft, body.streaks, t)
    paint_airway(canvas, body.mediastinum)
    for mass in body.masses:
        paint_mass(canvas, mass, fields, body.soft, t)
    paint_great_vessels(canvas, body.mediastinum, t)
    if "scapulae" not in left_out:
        paint_scapulae(canvas, trunk, fields, spec.bone)
    paint_sternum(canvas, trunk, spec.bone)
    paint_ribs(canvas, body.ribs, spec.bone, body.marrow)
    paint_spine(canvas, body.spine, spec.bone, body.marrow, high_z=t.high_z)
    for mass in body.masses:
        if mass.spec.bone != "none":
            paint_mass(canvas, mass, fields, body.soft, t, over_bone=True)


def _acquisition(spec: PhantomSpec) -> Acquisition:
    return Acquisition(
        modality="CT",
        manufacturer="paraspinal phantom",
        kvp=float(spec.kvp),
        kernel="SYNTHETIC-SOFT",
        exposure_mas=200.0,
        slice_thickness_mm=spec.slice_thickness_mm or spec.spacing_mm[0],
        reconstruction="FBP",
        contrast_agent=None if spec.phase == "unenhanced" else "SYNTHETIC",
        series_description=f"Phantom {spec.name}",
        image_type=("DERIVED", "SECONDARY", "AXIAL"),
    )
