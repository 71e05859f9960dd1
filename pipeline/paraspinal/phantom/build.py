"""From a spec to a phantom: lay the body out, paint it slab by slab, scan it, and keep the truth."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from paraspinal.phantom.abdomen import AbdomenPlan, paint_abdomen, plan_abdomen
from paraspinal.phantom.canvas import Canvas, Part
from paraspinal.phantom.deform import Warp, Waves, make_warp, make_waves
from paraspinal.phantom.labels import FIRST_MASS, label_names
from paraspinal.phantom.lesions import MassPlan, paint_mass, plan_mass
from paraspinal.phantom.limbs import Limb, paint_limbs, plan_limbs
from paraspinal.phantom.lungs import mediastinal_hull, paint_lung_vessels, paint_lungs, plan_lung_vessels
from paraspinal.phantom.metal import paint_metal
from paraspinal.phantom.muscles import (
    MusclePlan,
    paint_body_wall,
    paint_diaphragm,
    paint_muscles,
    paint_spinal_fat,
    plan_muscles,
)
from paraspinal.phantom.osteophytes import Beak, plan_beaks
from paraspinal.phantom.patient import PatientSpec
from paraspinal.phantom.pelvis import paint_pelvis
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

_SLAB_VOXELS = 3_000_000  # fine voxels per slab: about 12 MB per float32 field
_THREADS = 2
_WANDER_MM = (28.0, 90.0)
_HU_RANGE = (-1024, 3071)
PADDING_HU = -1024


@dataclass(frozen=True, slots=True)
class Phantom:
    """A synthetic series with all that is known about it.

    ``volume``, ``labels`` and ``masses`` share one grid; ``masses`` holds 1…n in the order of the spec.
    ``truth`` is plain JSON. ``parts`` (uint8, same grid) holds the bits of `Part`: what overlaps the labels; see
    `structure_masks`.
    """

    volume: CTVolume
    labels: LabelMap
    masses: LabelMap
    truth: dict[str, Any]
    parts: npt.NDArray[np.uint8]


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
    limbs: tuple[Limb, ...]
    beaks: Mapping[str, tuple[Beak, ...]]
    warp: Warp | None
    wander: Waves | None
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
    parts = np.empty(spec.shape, np.uint8)
    per_slab = max(1, _SLAB_VOXELS // (spec.shape[1] * spec.shape[2] * profile.per_slice))

    def make(first: int) -> None:
        last = min(first + per_slab, spec.shape[0])
        hu[first:last], labels[first:last], parts[first:last] = _slab(body, geometry, profile, first, last)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(make, range(0, spec.shape[0], per_slab)))
    masses = _taken_out(labels) if spec.masses else np.zeros(spec.shape, np.uint16)
    padding = _outside_field(geometry) if spec.scanner.round_field else None
    if padding is not None:
        hu[padding], labels[padding], parts[padding] = PADDING_HU, 0, 0
        if spec.masses:
            masses[padding] = 0
    volume = CTVolume(hu, geometry, _acquisition(spec), padding=padding)
    label_map = LabelMap(labels, geometry, label_names())
    mass_map = LabelMap(masses, geometry, {m.number: f"mass_{m.number}" for m in body.masses})
    truth = describe(spec, body.spine, body.masses, volume, label_map, mass_map, warp=body.warp)
    return Phantom(volume, label_map, mass_map, truth, parts)


def _lay_out(spec: PhantomSpec, profile: SliceProfile) -> _Body:
    rng = np.random.default_rng((spec.seed, 1))
    size = spec.size_factor or float(np.clip(rng.normal(1.0, 0.025), 0.94, 1.06))
    patient = spec.patient
    spine = plan_spine(rng, size_factor=size, patient=patient)
    trunk = plan_trunk(rng, spine, fat_mm=spec.fat_mm, size_factor=size, patient=patient)
    mediastinum = plan_mediastinum(rng, trunk, patient)
    fine = (spec.spacing_mm[0] / profile.per_slice, spec.spacing_mm[1], spec.spacing_mm[2])
    # Parts draw from generators of their own, so that adding a mass does not change the body around it.
    parts = np.random.default_rng((spec.seed, 2)).spawn(4)
    masses = tuple(
        plan_mass(np.random.default_rng((spec.seed, 3, k)), trunk, mass, k)
        for k, mass in enumerate(spec.masses, start=1)
    )
    wander = make_waves(
        np.random.default_rng((spec.seed, 8)), patient.irregular_mm, wavelength_mm=_WANDER_MM, count=12
    )
    more = np.random.default_rng((spec.seed, 9))
    return _Body(
        spec,
        tissues(spec),
        spine,
        trunk,
        plan_ribs(rng, trunk, patient),
        mediastinum,
        plan_muscles(rng, trunk),
        plan_abdomen(rng, trunk, spec.organs, patient, None if patient == PatientSpec() else more),
        plan_lung_vessels(rng, trunk, mediastinum),
        masses,
        plan_limbs(np.random.default_rng((spec.seed, 6)), trunk, patient.arms),
        plan_beaks(np.random.default_rng((spec.seed, 10)), patient.osteophytes),
        make_warp(np.random.default_rng((spec.seed, 7)), patient.warp_mm),
        wander if patient.irregular_mm > 0 else None,
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
    left, back, up = spec.scanner.shift_mm
    return Geometry(
        spec.shape,
        spec.spacing_mm,
        (
            round(float(o.centre_x) + left - (nx - 1) / 2 * dx, 3),
            round(y + back - (ny - 1) / 2 * dy, 3),
            round(z + up - (nz - 1) / 2 * dz, 3),
        ),
    )


def _taken_out(labels: LabelArray) -> LabelArray:
    """Take the masses out of the labels, slice by slice to save memory, and return them numbered from 1."""
    masses = np.zeros(labels.shape, np.uint16)
    for mass, label in zip(masses, labels, strict=True):
        inside = label > FIRST_MASS
        mass[inside] = label[inside] - FIRST_MASS
        label[inside] = 0
    return masses


def _outside_field(geometry: Geometry) -> npt.NDArray[np.bool_]:
    """Return the voxels outside the circle that the square image holds."""
    nz, ny, nx = geometry.shape
    y, x = np.arange(ny) - (ny - 1) / 2, np.arange(nx) - (nx - 1) / 2
    outside = np.hypot(y[:, None], x[None, :]) > min(ny, nx) / 2
    return np.repeat(outside[None], nz, axis=0)


def _slab(
    body: _Body, geometry: Geometry, profile: SliceProfile, first: int, last: int
) -> tuple[npt.NDArray[np.int16], LabelArray, npt.NDArray[np.uint8]]:
    """Return HU, labels and parts of slices first…last - 1."""
    spec, n = body.spec, profile.per_slice
    x0, y0, z0 = geometry.origin_lps_mm
    dz, dy, dx = geometry.spacing_mm
    start = first * n - profile.halo
    count = (last - first - 1) * n + 1 + 2 * profile.halo
    z = z0 + (start + np.arange(count)) * dz / n
    y = np.asarray(y0 + np.arange(spec.shape[1]) * dy, np.float64)
    x = np.asarray(x0 + np.arange(spec.shape[2]) * dx, np.float64)
    # Counted from a fixed offset so that textures see a non-negative slice number.
    canvas = Canvas.empty(z, y, x, first=start + 1000, wander=body.wander)
    plain = "table" not in spec.organs.left_out and body.warp is None
    if plain:
        paint_table(canvas, body.trunk, spec.patient.table)
    _paint(canvas, body)
    if body.warp is not None:
        body.warp.apply(z, y, x, canvas.hu, canvas.owner, canvas.parts)
        if "table" not in spec.organs.left_out:
            paint_table(canvas, body.trunk, spec.patient.table)
    truth = thick_slices(canvas.hu, profile, last - first)
    owner = canvas.owner[profile.halo :: n][: last - first]
    parts = canvas.parts[profile.halo :: n][: last - first]
    heights = z0 + np.arange(first, last) * dz
    canal = body.spine.canal_xy(heights)
    centres = np.stack([(canal[:, 1] - 20 - y0) / dy, (canal[:, 0] - x0) / dx], axis=1)
    image = scan(truth, spec, centres, first)
    return np.clip(np.rint(image), *_HU_RANGE).astype(np.int16), owner, parts


def _paint(canvas: Canvas, body: _Body) -> None:
    """Paint everything, from the outside in and from soft to hard."""
    spec, t, trunk, patient = body.spec, body.tissues, body.trunk, body.spec.patient
    left_out = spec.organs.left_out
    fields = trunk_fields(canvas, trunk, coarse=patient != PatientSpec())
    canvas.mark(canvas.whole, fields.body, Part.TRUNK)
    canvas.mark(canvas.whole, np.maximum(fields.cavity, fields.dome), Part.CAVITY)
    paint_body_wall(canvas, trunk, fields, body.soft, body.streaks, t)
    hull: Field = mediastinal_hull(canvas, trunk, body.mediastinum)
    paint_lungs(canvas, trunk, fields, hull, body.soft, spec.organs, patient, 40.0 + 35.0 * t.enhanced)
    if "vessels" not in left_out:
        paint_lung_vessels(canvas, body.lung_vessels, t.right_blood)
    paint_diaphragm(canvas, fields, hull, t)
    paint_abdomen(canvas, trunk, body.abdomen, fields, body.soft, body.streaks, t, spec.organs)
    if "heart" not in left_out:
        paint_heart(canvas, body.mediastinum, fields.dome, t, myocardium_hu=spec.organs.myocardium_hu)
    paint_spinal_fat(canvas, trunk, t)
    paint_muscles(canvas, body.muscles, body.soft, body.streaks, t)
    paint_airway(canvas, body.mediastinum)
    for mass in body.masses:
        paint_mass(canvas, mass, fields, body.soft, t)
    paint_great_vessels(
        canvas,
        body.mediastinum,
        t,
        body.soft,
        calcium=patient.vessel_calcium,
        wall_mm=spec.organs.aorta_wall_mm,
        wall_hu=spec.organs.aorta_wall_hu,
    )
    paint_pelvis(canvas, trunk, fields, spec.bone, body.marrow, body.streaks, t)
    paint_limbs(canvas, body.limbs, fields.body, spec.bone, body.streaks, t)
    if "scapulae" not in left_out:
        paint_scapulae(canvas, trunk, fields, spec.bone)
    paint_sternum(canvas, trunk, spec.bone)
    paint_ribs(canvas, body.ribs, spec.bone, body.marrow, soft=body.soft, calcium=patient.cartilage_calcium)
    paint_spine(
        canvas,
        body.spine,
        spec.bone,
        body.marrow,
        high_z=t.high_z,
        beaks=body.beaks,
        fused=patient.transition == "sacralised_L5",
        epidural_fat=patient.epidural_fat,
    )
    paint_metal(canvas, trunk, patient.metal)
    for mass in body.masses:
        if mass.spec.bone != "none":
            paint_mass(canvas, mass, fields, body.soft, t, over_bone=True, marrow_hu=spec.bone.trabecular_hu)


def _acquisition(spec: PhantomSpec) -> Acquisition:
    return Acquisition(
        modality="CT",
        manufacturer="paraspinal phantom",
        kvp=float(spec.kvp),
        kernel=f"SYNTHETIC-{spec.scanner.kernel.upper()}",
        exposure_mas=200.0,
        slice_thickness_mm=spec.slice_thickness_mm or spec.spacing_mm[0],
        reconstruction="FBP",
        contrast_agent=None if spec.phase == "unenhanced" else "SYNTHETIC",
        series_description=f"Phantom {spec.name}",
        image_type=("DERIVED", "SECONDARY", "AXIAL"),
    )
