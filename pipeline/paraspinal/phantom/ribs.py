"""Rib cage: twelve pairs of ribs from the costovertebral joints around the chest, cartilage, sternum, scapulae."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from paraspinal.phantom import sdf
from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.labels import NUMBER, BodySide, rib_number
from paraspinal.phantom.levels import LEVELS
from paraspinal.phantom.patient import PatientSpec
from paraspinal.phantom.spec import BoneSpec
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.trunk import TrunkFields, TrunkPlan, wall_point
from paraspinal.phantom.tubes import Tube, smooth_path, tube_distance

# Per rib: how far it has dropped when it reaches the front, and the angle (0 back, π front) where bone and
# cartilage end; cartilage that ends where the bone ends means a floating rib.
_DROP_MM = (38, 58, 76, 90, 98, 102, 104, 104, 100, 92, 88, 80, 70)
_BONE_END = (2.2, 2.35, 2.35, 2.3, 2.25, 2.2, 2.1, 2.0, 1.88, 1.72, 1.3, 0.85, 0.66)
_CARTILAGE_END = (2.75, 2.9, 2.95, 2.97, 2.98, 2.98, 2.95, 2.75, 2.55, 2.4, 1.3, 0.85, 0.66)
_RISE = (0, 0, 5, 20, 40, 62, 80, 75, 70, 60, 0, 0, 0)
_FRONT_ANGLE = 2.6
RIB_HALF_MM, RIB_FLAT = 3.3, 1.75
"""Half the thickness of a rib, and its height against that."""
_WALL_MM = 4.6  # from the inside of the chest wall to the middle of a rib
RIB_CORTEX = 1.1
"""Density of the ribs' cortex against that of the vertebrae."""
_CARTILAGE_HU = 95.0
# Angles (0 back, π/2 side) of the medial and lateral borders of the scapula from its lower tip upward.
_SCAPULA_Z = (118.0, 150.0, 200.0, 262.0)
_SCAPULA_MEDIAL = (0.80, 0.74, 0.70, 0.72)
_SCAPULA_LATERAL = (0.92, 1.15, 1.35, 1.5)


@dataclass(frozen=True, slots=True)
class RibPlan:
    """One rib: bone and, where it has one, cartilage."""

    index: int
    side: BodySide
    bone: Tube
    cartilage: Tube | None


def plan_ribs(
    rng: np.random.Generator, trunk: TrunkPlan, patient: PatientSpec | None = None
) -> tuple[RibPlan, ...]:
    """Lay out the ribs: twelve pairs unless the patient is another."""
    patient = patient or PatientSpec()
    sides: tuple[tuple[int, BodySide], ...] = ((1, "left"), (-1, "right"))
    ribs = []
    for index in range(1, max(patient.rib_pairs, 12) + 1):
        for sign, side in sides:
            sag = rng.normal(0, 2.0)
            if index <= patient.rib_pairs:
                length = patient.twelfth_rib if index == 12 else 1.0
                ribs.append(_plan_rib(trunk, index, sign, side, sag, length, patient.rib_scale))
    for sign, side in sides:
        if side in patient.cervical_ribs:
            ribs.append(_plan_cervical_rib(trunk, sign, side))
    return tuple(ribs)


def _plan_cervical_rib(trunk: TrunkPlan, sign: int, side: BodySide) -> RibPlan:
    """Return a short rib from C7 outwards, forwards and down, above the first."""
    v = trunk.spine.vertebra("C7")
    s, back = v.size, v.canal_offset
    path = smooth_path(
        [
            v.place(sign * (s.width / 2 + 0.5), s.depth / 2 - 3.0, 0.2 * s.height),
            v.place(sign * (s.transverse_tip - 4), back + 2.0, 0.2 * s.height),
            v.place(sign * (s.transverse_tip + 10), back - 6.0, -4.0),
            v.place(sign * (s.transverse_tip + 16), back - 22.0, -12.0),
        ],
        step_mm=4.0,
    )
    outward = np.tile([sign * 1.0, 0.3, 0.0], (len(path), 1))
    return RibPlan(0, side, Tube(path, np.full(len(path), 2.8), outward, 1.3), None)


def _plan_rib(
    trunk: TrunkPlan, index: int, sign: int, side: BodySide, sag: float, length: float, scale: float
) -> RibPlan:
    vertebra = trunk.spine.vertebra(LEVELS[LEVELS.index("T1") + index - 1])
    s = vertebra.size
    # Heads of ribs 2–10 bridge the disc above their vertebra; 1, 11 and 12 sit on one body.
    up = s.height / 2 - 0.5 if 2 <= index <= 10 else 0.25 * s.height
    back = vertebra.canal_offset
    tip = 15.0 if index < 11 else 9.0
    head = vertebra.place(sign * (s.width / 2 + 0.5), s.depth / 2 - 3.0, up)
    neck = vertebra.place(sign * (s.width / 2 + 8), back + 1.0, up - 0.5)
    reach = min(s.transverse_tip, 26.0) if index > 12 else s.transverse_tip
    tubercle = vertebra.place(sign * (max(reach, s.width / 2 + 14) + 1), back + tip - 8.5, 0.33 * s.height)
    end, bone_end = _CARTILAGE_END[index - 1], _BONE_END[index - 1]
    start = 0.62 if index < 11 else 0.58 if index < 13 else 0.5
    if length != 1.0:
        end = bone_end = start + (end - start) * length
    angle = np.linspace(start, max(end, start + 0.1), 14)
    fall = np.clip((angle - 0.3) / (_FRONT_ANGLE - 0.3), 0, 1.15)
    z = tubercle[2] - 2 - (_DROP_MM[index - 1] + sag) * fall**1.15
    # Cartilages of ribs 5–10 turn upward towards the sternum.
    rise = np.maximum(angle - bone_end, 0.0) * _RISE[index - 1]
    wall = wall_point(trunk, sign * angle, z + rise, _WALL_MM)
    path = smooth_path(np.concatenate([[head, neck, tubercle], wall]), step_mm=4.0)
    # Ribs bend, they do not kink; the head stays in its joint.
    path[1:] = ndimage.gaussian_filter1d(path, 1.6, axis=0, mode="nearest")[1:]
    radii = np.full(len(path), RIB_HALF_MM if index > 1 else RIB_HALF_MM * 1.1)
    radii[:2] *= 1.15
    radii *= scale
    o = trunk.outline(path[:, 2])
    outward = np.stack([path[:, 0] - o.centre_x, path[:, 1] - o.centre_y, np.zeros(len(path))], axis=1)
    outward[:, 0] /= o.half_width**2
    outward[:, 1] /= o.half_depth**2
    reached = np.abs(np.arctan2(path[:, 0] - o.centre_x, path[:, 1] - o.centre_y))
    last = int(np.argmax(reached > bone_end)) or len(path)
    bone = Tube(path[:last], radii[:last], outward[:last], RIB_FLAT)
    has_cartilage = last < len(path) - 1
    cartilage = (
        Tube(path[last - 1 :], radii[last - 1 :] * 1.15, outward[last - 1 :], 1.5) if has_cartilage else None
    )
    return RibPlan(index, side, bone, cartilage)


def paint_ribs(
    canvas: Canvas,
    ribs: tuple[RibPlan, ...],
    bone: BoneSpec,
    texture: Texture,
    *,
    soft: Texture,
    calcium: float = 0.0,
) -> None:
    """Paint cartilage, cortex and marrow."""
    for rib in ribs:
        if rib.cartilage is not None:
            found = tube_distance(canvas, rib.cartilage)
            if found:
                hard = np.clip(soft.on(canvas, found[0]) + 1.6 * calcium - 1.6, 0, 1) if calcium > 0 else 0.0
                hu = np.asarray(_CARTILAGE_HU + 450.0 * hard, np.float32)
                canvas.paint(found[0], found[1], hu, label=NUMBER["costal_cartilages"])
        found = tube_distance(canvas, rib.bone)
        if found is None:
            continue
        window, distance = found
        marrow = np.float32(0.8 * bone.trabecular_hu) + 40 * texture.on(canvas, window)
        # A wall thinner than a pixel shares it with marrow: the rib is painted as their mixture.
        whole = canvas.cover(distance)
        inside = canvas.cover(distance + np.float32(bone.rib_cortex_mm)) / np.maximum(whole, 1e-6)
        wall = np.float32(RIB_CORTEX * bone.cortex_hu)
        canvas.paint(
            window,
            distance,
            np.asarray(wall + (marrow - wall) * inside, np.float32),
            label=rib_number(rib.index, rib.side),
        )


def paint_sternum(canvas: Canvas, trunk: TrunkPlan, bone: BoneSpec) -> None:
    """Paint manubrium and body of the sternum in the front wall."""
    z = np.arange(70.0, 245.0, 6.0)
    o = trunk.outline(z)
    points = np.stack([o.centre_x, o.centre_y - o.half_depth - 6.5, z], axis=1)
    wide = np.interp(z, [70, 90, 150, 205, 225, 240], [6, 15, 17, 16, 27, 24])
    window = canvas.window(points.min(axis=0) - 32, points.max(axis=0) + 32)
    if window is None:
        return
    x, y, zz = canvas.grid(window)
    heights = canvas.z[window[0]]
    inside = (heights > z[0]) & (heights < z[-1])
    ends = np.where(inside, 0.0, 50.0).astype(np.float32)[:, None, None]
    cx, cy, half = (
        np.interp(heights, z, values).astype(np.float32)[:, None, None]
        for values in (points[:, 0], points[:, 1], wide)
    )
    distance = sdf.ellipse(x - cx, y - cy, half, 5.5) + ends + 0 * zz
    canvas.paint(window, distance, bone.cortex_hu * 0.9, label=NUMBER["sternum"])
    canvas.paint(window, distance + 1.3, 0.7 * bone.trabecular_hu)


def paint_scapulae(canvas: Canvas, trunk: TrunkPlan, fields: TrunkFields, bone: BoneSpec) -> None:
    """Paint the blades of the scapulae behind the upper ribs: thin plates with a thick lateral border."""
    low, high = _SCAPULA_Z[0], _SCAPULA_Z[-1]
    for sign, name in ((1, "scapula_left"), (-1, "scapula_right")):
        window = canvas.window(
            (min(sign * 40, sign * 190), -150, low), (max(sign * 40, sign * 190), 130, high)
        )
        if window is None:
            continue
        x, y, z = canvas.grid(window)
        heights = canvas.z[window[0]]
        o = trunk.outline(heights)
        xc, yc = (c.astype(np.float32)[:, None, None] for c in (o.centre_x, o.centre_y))
        first, last = (
            np.interp(heights, _SCAPULA_Z, angles).astype(np.float32)[:, None, None]
            for angles in (_SCAPULA_MEDIAL, _SCAPULA_LATERAL)
        )
        angle = np.arctan2(sign * (x - xc), y - yc)
        reach = np.sqrt((x - xc) ** 2 + (y - yc) ** 2)
        border = np.maximum(first - angle, angle - last) * reach
        thick = 2.0 + 3.5 * np.exp(-np.maximum((last - angle) * reach, 0.0) / 6.0)
        off = 18.0 + 0.05 * (z - low)
        plate = np.abs(fields.cavity[window] - off) - thick
        distance = np.maximum(np.maximum(plate, border), np.maximum(low - z, z - high)).astype(np.float32)
        canvas.paint(window, distance, bone.cortex_hu, label=NUMBER[name])
        canvas.paint(window, distance + np.float32(1.3), 0.9 * bone.trabecular_hu)
