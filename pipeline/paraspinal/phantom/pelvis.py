"""The pelvis around the sacrum: iliac wings, hip joints with the femoral heads, gluteal muscles."""

from __future__ import annotations

import numpy as np

from paraspinal.phantom import sdf
from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.labels import NUMBER
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spec import BoneSpec
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.tissue import FAT_HU, Tissues
from paraspinal.phantom.trunk import TrunkFields, TrunkPlan

# Height of the iliac crest above the first sacral body's centre by the angle around the pelvis (0 back, π/2 side).
_CREST_ANGLE = (0.36, 0.5, 0.8, 1.15, 1.55, 1.9, 2.1)
_CREST_MM = (-6.0, 14.0, 40.0, 46.0, 24.0, -10.0, -40.0)
_FIRST_ANGLE, _LAST_ANGLE = 0.36, 2.05
_TOP_MM, _BOTTOM_MM = 60.0, -140.0
_JOINT_MM = -98.0
_HEAD_RADIUS_MM = 23.0


def paint_pelvis(
    canvas: Canvas,
    trunk: TrunkPlan,
    fields: TrunkFields,
    bone: BoneSpec,
    texture: Texture,
    streaks: Texture,
    t: Tissues,
) -> None:
    """Paint both hip bones, the femoral heads, and a gluteal muscle in fat behind each wing."""
    zero = float(trunk.spine.sacrum.centre[2])
    for sign, side in ((1, "left"), (-1, "right")):
        window = canvas.window(
            (min(sign * 12, sign * 220), -220, zero + _BOTTOM_MM),
            (max(sign * 12, sign * 220), 200, zero + _TOP_MM),
        )
        if window is None:
            continue
        x, y, z = canvas.grid(window)
        o = trunk.outline(canvas.z[window[0]])
        xc, yc = (c.astype(np.float32)[:, None, None] for c in (o.centre_x, o.centre_y))
        angle = np.arctan2(sign * (x - xc), y - yc)
        reach = np.sqrt((x - xc) ** 2 + (y - yc) ** 2)
        cavity = fields.cavity[window]
        under = fields.fascia[window] + np.float32(trunk.fat_mm)
        _paint_gluteus(canvas, window, cavity, under, angle, z - zero, f"gluteus_maximus_{side}", streaks, t)
        crest = np.interp(angle, _CREST_ANGLE, _CREST_MM).astype(np.float32)
        low = np.clip((zero - 50 - z) / 60, 0.0, 1.0)
        first = _FIRST_ANGLE + 0.75 * low
        last = _LAST_ANGLE - 0.25 * low
        border = np.maximum(first - angle, angle - last) * reach
        rim = np.exp(-np.maximum(crest + zero - z, 0.0) / 10.0)
        thick = 3.2 + 3.5 * rim + 7.0 * np.exp(-(((angle - 0.45) / 0.2) ** 2)) + 9.0 * low
        plate = np.abs(cavity - 3.0 - 4.0 * low) - thick
        wing = np.maximum(np.maximum(plate, border), np.maximum(z - crest - zero, zero + _BOTTOM_MM - z))
        place = trunk.outline(zero + _JOINT_MM)
        joint = (
            float(place.centre_x) + sign * 0.82 * float(place.half_width),
            float(place.centre_y) + 4.0,
            zero + _JOINT_MM,
        )
        head = sdf.ellipsoid(x - joint[0], y - joint[1], z - joint[2], (_HEAD_RADIUS_MM,) * 3)
        cup = np.maximum(np.abs(head - 6.5) - 4.5, sign * (x - joint[0]) - 12.0)
        hip = sdf.blend(np.asarray(wing, np.float32), np.asarray(cup, np.float32), 8.0)
        hip = np.maximum(hip, 2.0 - head)
        fine = 30 * texture.on(canvas, window)
        for distance, name in ((hip, f"hip_{side}"), (head, f"femur_{side}")):
            canvas.paint(window, distance, bone.cortex_hu, label=NUMBER[name])
            canvas.paint(window, distance + np.float32(1.5), 0.85 * bone.trabecular_hu + fine)


def _paint_gluteus(
    canvas: Canvas,
    window: tuple[slice, slice, slice],
    cavity: Field,
    under: Field,
    angle: Field,
    height: Field,
    name: str,
    streaks: Texture,
    t: Tissues,
) -> None:
    """Paint the muscle behind the wing, with the fat that parts it from its neighbours."""
    thick = np.clip(8 - 0.25 * height, 0, 26)
    sheet = np.abs(cavity - 12 - thick) - thick
    sheet = np.maximum(np.maximum(sheet, under), (0.25 - angle) * 90)
    sheet = np.asarray(np.maximum(np.maximum(sheet, (angle - 1.5) * 90), height - 25), np.float32)
    fibres = 60 * np.clip(streaks.on(canvas, window) - 1.0, 0, 1.4)
    canvas.paint(window, sheet - np.float32(1.6), FAT_HU + 10)
    canvas.paint(window, sheet, np.asarray(t.muscle - fibres, np.float32), label=NUMBER[name])
