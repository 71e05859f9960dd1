"""Shoulders and arms: collar bones, humeral heads, and the limbs beside the trunk or raised over the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.labels import NUMBER
from paraspinal.phantom.patient import Arms
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spec import BoneSpec
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.tissue import FAT_HU, SKIN_HU, Tissues
from paraspinal.phantom.trunk import TrunkPlan
from paraspinal.phantom.tubes import Tube, smooth_path, tube_distance

Vector = npt.NDArray[np.float64]
_SKIN_MM = 1.8
_MUSCLE_MM = (33.0, 30.0, 26.0, 19.0)  # half thickness of an arm's muscle from shoulder to wrist
_HEAD_RADIUS_MM = 23.0
_SHAFT_RADIUS_MM, _SHAFT_CORTEX_MM = 11.5, 3.8
_SHOULDER_MM = {"up": 262.0, "down": 238.0, "none": 240.0}


@dataclass(frozen=True, slots=True)
class Limb:
    """One arm: its axis with the half thickness of its muscle, its bones, the collar bone."""

    side: str
    flesh: Tube
    shafts: tuple[Tube, ...]
    head: Tube
    collar: Tube


def plan_limbs(rng: np.random.Generator, trunk: TrunkPlan, arms: Arms) -> tuple[Limb, ...]:
    """Lay both arms out: beside the trunk and a little bent, or from the shoulders up beside the head."""
    if arms == "none":
        return ()
    return tuple(_limb(rng, trunk, arms, sign, side) for sign, side in ((1, "left"), (-1, "right")))


def _limb(rng: np.random.Generator, trunk: TrunkPlan, arms: Arms, sign: int, side: str) -> Limb:
    top = _SHOULDER_MM[arms]
    o = trunk.outline(top)
    thick = 0.75 * trunk.fat_mm**0.5 / 3.5 + 0.25
    shoulder = np.array([float(o.centre_x) + sign * (float(o.half_width) + 62), float(o.centre_y) + 12, top])
    gap = rng.uniform(2, 22)
    if arms == "down":
        axis = [shoulder]
        for z in (120.0, 20.0, -60.0, -180.0, -300.0):
            s = trunk.outline(z)
            out = float(s.body_half_width) + _MUSCLE_MM[1] + 0.4 * trunk.fat_mm + gap
            forward = np.interp(z, [-300, -60, 120], [-55.0, -8.0, 14.0])
            axis.append(np.array([float(s.centre_x) + sign * out, float(s.centre_y) + forward, z]))
    else:
        axis = [
            shoulder + np.array([sign * dx, dy, dz])
            for dx, dy, dz in ((0, 0, 0), (16, -14, 70), (6, -24, 160))
        ]
    path = smooth_path(axis, step_mm=9)
    share = np.linspace(0, 1, len(path)) if arms == "down" else np.linspace(0, 0.4, len(path))
    muscle = np.interp(share, [0, 0.35, 0.6, 1], _MUSCLE_MM)
    flesh = Tube(path, muscle + 0.35 * trunk.fat_mm * thick)
    shafts = _shafts(path, share, sign)
    head = Tube(shoulder + np.array([[-sign * 3.0, 0, 0], [sign * 2.0, 0, 1]]), np.full(2, _HEAD_RADIUS_MM))
    neck = trunk.outline(226.0)
    lift = 14.0 if arms == "up" else 2.0
    collar = smooth_path(
        [
            (float(neck.centre_x) + sign * 14, float(neck.centre_y - neck.half_depth) - 8, 226.0),
            (float(neck.centre_x) + sign * 62, float(neck.centre_y - neck.half_depth) - 6, 238.0 + lift),
            (float(neck.centre_x) + sign * 108, float(neck.centre_y) - 14, 246.0 + 1.5 * lift),
            (shoulder[0] - sign * 10, shoulder[1] - 2, top + 27.0),
        ],
        step_mm=6,
    )
    return Limb(side, flesh, shafts, head, Tube(collar, np.full(len(collar), 5.8)))


def _shafts(path: Vector, share: Vector, sign: int) -> tuple[Tube, ...]:
    upper, lower = path[share <= 0.52], path[share >= 0.52]
    tubes = [Tube(upper, np.full(len(upper), _SHAFT_RADIUS_MM))]
    if len(lower) > 1:
        for off in (-1.0, 1.0):
            shift = np.array([sign * off * 8.0, off * 9.0, 0.0])
            tubes.append(Tube(lower + shift, np.full(len(lower), 7.5)))
    return tuple(tubes)


def paint_limbs(
    canvas: Canvas,
    limbs: tuple[Limb, ...],
    body: Field,
    bone: BoneSpec,
    streaks: Texture,
    t: Tissues,
) -> None:
    """Paint the arms before the trunk's bones; inside the trunk only bone is painted."""
    for limb in limbs:
        _paint_flesh(canvas, limb, body, streaks, t)
    for limb in limbs:
        for tube in limb.shafts:
            _paint_bone(canvas, tube, f"humerus_{limb.side}", bone, _SHAFT_CORTEX_MM)
        _paint_bone(canvas, limb.head, f"humerus_{limb.side}", bone, 1.6)
        _paint_bone(canvas, limb.collar, f"clavicula_{limb.side}", bone, 2.0)


def _paint_flesh(canvas: Canvas, limb: Limb, body: Field, streaks: Texture, t: Tissues) -> None:
    found = tube_distance(canvas, limb.flesh)
    if found is None:
        return
    window, distance = found
    outside = body[window] > 0
    fibres = 90 * np.clip(streaks.on(canvas, window) - 1.0, 0, 1.3)
    label = NUMBER["arms"]
    fat = float(limb.flesh.radii[0] - _MUSCLE_MM[0])
    canvas.paint(window, distance, SKIN_HU, label=label, only=outside)
    canvas.paint(window, distance + np.float32(_SKIN_MM), FAT_HU, only=outside)
    canvas.paint(
        window, distance + np.float32(max(fat, 3.0)), np.asarray(t.muscle - fibres, np.float32), only=outside
    )


def _paint_bone(canvas: Canvas, tube: Tube, name: str, bone: BoneSpec, cortex_mm: float) -> None:
    found = tube_distance(canvas, tube)
    if found is None:
        return
    window, distance = found
    canvas.paint(window, distance, 1.15 * bone.cortex_hu, label=NUMBER[name])
    canvas.paint(window, distance + np.float32(cortex_mm), 0.5 * bone.trabecular_hu)
