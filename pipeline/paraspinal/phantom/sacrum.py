"""The sacrum: five fused bodies that curve backwards, wings to both sides, openings for the nerves."""

from __future__ import annotations

import numpy as np

from paraspinal.phantom import sdf
from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.labels import NUMBER, vertebra_number
from paraspinal.phantom.spec import BoneSpec
from paraspinal.phantom.spine import SpinePlan
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.tissue import FAT_HU

# Along the sacrum's own axes (behind, up; from the first body's centre): centres of the five bodies, their half
# heights, half widths and half depths, and how far the wings reach to the side.
_BODIES = (
    (0.0, 0.0, 14.0, 25.0, 15.0, 52.0),
    (8.0, -27.0, 13.0, 19.0, 11.5, 46.0),
    (21.0, -49.0, 11.0, 16.0, 9.0, 36.0),
    (29.0, -68.0, 9.0, 14.0, 7.0, 26.0),
    (31.0, -85.0, 8.0, 11.0, 6.0, 16.0),
)
_WING_BEHIND, _WING_HALF_DEPTH = 9.0, 12.0
_CREST_BEHIND = 16.0
_FORAMEN_MM = 5.0


def paint_sacrum(canvas: Canvas, spine: SpinePlan, bone: BoneSpec, texture: Texture) -> None:
    """Paint the sacrum; its first segment carries S1's number unless S1 is free."""
    plan = spine.sacrum
    reach = np.array([90.0, 80.0, 40.0])
    window = canvas.window(plan.centre - reach - (0, 0, 80), plan.centre + reach)
    if window is None:
        return
    x, y, z = canvas.grid(window)
    d = (x - plan.centre[0], y - plan.centre[1], z - plan.centre[2])
    u, v, w = (a[0] * d[0] + a[1] * d[1] + a[2] * d[2] for a in plan.axes.astype(np.float32))
    whole = None
    for back, up, half, wide, deep, wing in _BODIES:
        body = sdf.ellipsoid(u, v - back, w - up, (wide, deep, half * 1.5))
        side = sdf.capsule(
            np.abs(u), v, w, (wide * 0.6, back + 3, up), (wing - 9, back + _WING_BEHIND, up), (half, half + 1)
        )
        flat = np.maximum(side, np.abs(v - back - _WING_BEHIND * 0.6) - _WING_HALF_DEPTH * deep / 12)
        part = sdf.blend(body, np.asarray(flat, np.float32), 6.0)
        crest = sdf.capsule(
            u, v, w, (0, back + deep + 8, up), (0, back + deep + _CREST_BEHIND, up - 4), (6.0, 3.0)
        )
        part = sdf.blend(part, crest, 8.0)
        whole = part if whole is None else sdf.blend(whole, part, 6.0)
    assert whole is not None
    canvas.paint(window, whole, bone.cortex_hu, label=NUMBER["sacrum"])
    first = np.maximum(whole, -14.0 - w)
    if plan.level == "S1":
        canvas.paint(window, first, bone.cortex_hu, label=vertebra_number("S1"))
    fine = texture.on(canvas, window)
    canvas.paint(window, whole + np.float32(1.3), bone.trabecular_hu * 0.8 + bone.texture_sd_hu * fine)
    for k in range(4):
        back, up = ((_BODIES[k][i] + _BODIES[k + 1][i]) / 2 for i in (0, 1))
        at = _BODIES[k][3] * 0.95
        hole = sdf.capsule(
            np.abs(u), v, w, (at, back - 25, up - 4), (at - 5, back + 12, up + 3), (_FORAMEN_MM, 4.0)
        )
        canvas.paint(window, hole, FAT_HU + 35, label=NUMBER["foramen"])
