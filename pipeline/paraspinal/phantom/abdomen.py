"""Organs under the diaphragm: liver, spleen, kidneys, stomach, bowel, gall bladder, pancreas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from paraspinal.phantom import sdf
from paraspinal.phantom.bowel import (
    Loop,
    gas_above,
    paint_loop,
    plan_bowel,
    plan_mesentery,
    plan_more_bowel,
    under_diaphragm,
)
from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.labels import NUMBER
from paraspinal.phantom.patient import Missing, PatientSpec
from paraspinal.phantom.spec import Foci, OrganSpec
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.tissue import FAT_HU, GAS_HU, WALL_HU, Tissues
from paraspinal.phantom.trunk import TrunkFields, TrunkPlan
from paraspinal.phantom.tubes import Tube, paint_tube, smooth_path, tube_distance

Point = npt.NDArray[np.float64]
_CALCIUM_HU = 180.0  # what calcium adds in an autosplenectomised spleen (reported 100 to 300 HU)


@dataclass(frozen=True, slots=True)
class AbdomenPlan:
    """Places of the organs in LPS millimetres."""

    spleen_centre: Point
    spleen_axes: tuple[float, float, float]
    lesions: tuple[tuple[Point, float], ...]
    lesion_delta: float
    kidneys: tuple[tuple[Point, int], ...]
    stomach: Point
    liver_tip_mm: float
    loops: tuple[Loop, ...]
    pancreas: Tube
    liver_vessels: tuple[Tube, ...]
    mesentery: tuple[Tube, ...]
    missing: tuple[Missing, ...]
    oral_contrast_hu: float


def plan_abdomen(
    rng: np.random.Generator,
    trunk: TrunkPlan,
    organs: OrganSpec,
    patient: PatientSpec | None = None,
    more: np.random.Generator | None = None,
) -> AbdomenPlan:
    """Lay out the organs relative to the cavity at the height of T12."""
    o = trunk.outline(20.0)
    xc, yc, half, depth = (float(v) for v in (o.centre_x, o.centre_y, o.half_width, o.half_depth))
    patient = patient or PatientSpec()
    scale = organs.spleen_scale ** (1 / 3)
    axes = (30.0 * scale, 42.0 * scale, 48.0 * scale)
    spleen = np.array([xc + half - 22 - 9 * scale, yc + depth * 0.34, 32.0 - 30.0 * (scale - 1)])
    lesions = _lesions(rng, organs.spleen_lesion, spleen, axes)
    kidneys = []
    for sign, label, z in ((1, NUMBER["kidney_left"], -30.0), (-1, NUMBER["kidney_right"], -44.0)):
        body = trunk.spine.body_xy(z)
        # A large spleen pushes the left kidney down and towards the spine.
        pushed = (10.0 if more is None else 26.0) * (scale - 1) if sign > 0 else 0.0
        place = (body[0] + sign * (66 - 0.3 * pushed), body[1] - 1, z - 1.5 * pushed + rng.normal(0, 5))
        if ("kidney_left" if sign > 0 else "kidney_right") not in patient.missing:
            kidneys.append((np.array(place), label))
    tip = -38.0 - 60.0 * (organs.liver_scale - 1)
    stomach = np.array([xc + 44, yc - 34, 46.0])
    pancreas = smooth_path(
        [(xc + 62, yc + 22, 4), (xc + 30, yc + 4, 0), (xc - 8, yc - 2, -12), (xc - 34, yc + 4, -34)],
        step_mm=6,
    )
    return AbdomenPlan(
        spleen,
        axes,
        lesions,
        organs.spleen_lesion.hu_delta if organs.spleen_lesion else 0.0,
        tuple(kidneys),
        stomach,
        tip,
        (*plan_bowel(rng, trunk), *plan_more_bowel(more, trunk, patient)),
        Tube(pancreas, np.linspace(9, 12, len(pancreas))),
        _liver_vessels(rng, np.array([xc - 26, yc + 4, 18.0])),
        plan_mesentery(more, trunk),
        patient.missing,
        patient.oral_contrast_hu,
    )


def _lesions(
    rng: np.random.Generator, foci: Foci | None, centre: Point, axes: tuple[float, float, float]
) -> tuple[tuple[Point, float], ...]:
    if foci is None:
        return ()
    out = []
    for k in range(foci.count):
        shift = np.array(axes) * rng.uniform(-0.35, 0.25, 3) * (1 if k else 0.3)
        if k == 0:
            # The first lies above and beside the kidney, which a large spleen wraps around.
            shift += np.array(axes) * (0.2, -0.1, 0.35)
        out.append((centre + shift, foci.diameter_mm / 2))
    return tuple(out)


def _liver_vessels(rng: np.random.Generator, porta: Point) -> tuple[Tube, ...]:
    tubes = []
    for _ in range(26):
        goal = porta + rng.normal((-38, 0, 12), (34, 36, 30))
        path = smooth_path([porta, porta + 0.5 * (goal - porta) + rng.normal(0, 6, 3), goal], step_mm=8)
        tubes.append(Tube(path, np.linspace(rng.uniform(3, 5), 1.2, len(path))))
    return tuple(tubes)


def paint_abdomen(
    canvas: Canvas,
    trunk: TrunkPlan,
    plan: AbdomenPlan,
    fields: TrunkFields,
    texture: Texture,
    streaks: Texture,
    t: Tissues,
    organs: OrganSpec,
) -> None:
    """Paint the organs, the movable ones first."""
    if canvas.z[0] > 130:
        return
    for tube in plan.mesentery:
        paint_tube(canvas, tube, t.right_blood, label=NUMBER["body"])
    if "bowel" not in organs.left_out:
        for loop in plan.loops:
            paint_loop(canvas, loop, fields, streaks)
    _paint_stomach(canvas, plan, fields)
    paint_tube(canvas, plan.pancreas, 38.0 + (40 if t.enhanced else 0), label=NUMBER["pancreas"])
    _paint_liver(canvas, trunk, plan, fields, texture, t)
    if "spleen" not in plan.missing:
        _paint_spleen(canvas, plan, fields, texture, t, calcium=organs.spleen_calcium)
    for centre, label in plan.kidneys:
        _paint_kidney(canvas, centre, label, texture, t)


def _paint_stomach(canvas: Canvas, plan: AbdomenPlan, fields: TrunkFields) -> None:
    window = canvas.window(plan.stomach - 80, plan.stomach + 80)
    if window is None:
        return
    x, y, z = canvas.grid(window)
    c = plan.stomach
    fundus = sdf.ellipsoid(x - c[0] - 8, y - c[1] - 14, z - c[2], (44.0, 42.0, 44.0))
    antrum = sdf.ellipsoid(x - c[0] + 38, y - c[1] + 18, z - c[2] + 44, (44.0, 22.0, 18.0))
    d = np.maximum(canvas.rough(window, sdf.blend(fundus, antrum, 22.0)), under_diaphragm(fields, window))
    canvas.paint(window, d, WALL_HU, label=NUMBER["stomach"])
    inner = d + np.float32(4.0)
    canvas.paint(window, inner, 22.0 + plan.oral_contrast_hu)
    canvas.paint(window, np.maximum(inner, gas_above(y, c[1] - 6.0)), GAS_HU)


def _paint_liver(
    canvas: Canvas, trunk: TrunkPlan, plan: AbdomenPlan, fields: TrunkFields, texture: Texture, t: Tissues
) -> None:
    o = trunk.outline(10.0)
    xc, yc, half, depth = (float(v) for v in (o.centre_x, o.centre_y, o.half_width, o.half_depth))
    window = canvas.window(
        (xc - half - 12, yc - depth - 25, plan.liver_tip_mm - 5), (xc + 75, yc + depth + 25, 125)
    )
    if window is None:
        return
    x, y, z = canvas.grid(window)
    # In front the left lobe crosses the midline; behind, the right lobe ends beside the spine.
    front = np.clip((yc + 12 - y) / 45.0, 0.0, 1.0)
    reach = xc - 30 + 84 * front * front * (3 - 2 * front) + np.where(z < 30, 0.9, 0.25) * (z - 30)
    reach = reach + 30 * np.clip((z - 45) / 20, 0.0, 1.0) + 7 * np.sin(y * 0.07 + z * 0.04)
    medial = (x - reach) * np.float32(0.8)
    slope = np.clip((x - xc + 95) / 150.0, 0.0, 1.0)
    lower = (plan.liver_tip_mm + 62 * slope - 14 * np.clip((yc - y) / depth, -1, 1) - z) * np.float32(0.85)
    d = -sdf.blend(-np.asarray(medial, np.float32), -np.asarray(lower, np.float32) + 0 * medial, 25.0)
    d = canvas.rough(window, d, 1.6)
    d = np.maximum(d, under_diaphragm(fields, window, wall=2.5))
    canvas.paint(window, d, t.liver + 4 * texture.on(canvas, window), label=NUMBER["liver"])
    inside = NUMBER["liver"]
    vessel_hu = t.right_blood if t.enhanced else t.blood - 4
    for tube in plan.liver_vessels:
        found = tube_distance(canvas, tube)
        if found:
            canvas.paint(*found, vessel_hu, only=canvas.owner[found[0]] == inside)
    bladder = np.array([xc - 46, yc - depth + 52, plan.liver_tip_mm + 22])
    box = canvas.window(bladder - 28, bladder + 28)
    if box is not None:
        x, y, z = canvas.grid(box)
        d = sdf.ellipsoid(x - bladder[0], y - bladder[1], z - bladder[2], (14.0, 15.0, 24.0))
        canvas.paint(box, d, 9.0, label=NUMBER["gallbladder"])


def _paint_spleen(
    canvas: Canvas,
    plan: AbdomenPlan,
    fields: TrunkFields,
    texture: Texture,
    t: Tissues,
    *,
    calcium: float = 0.0,
) -> None:
    reach = np.array(plan.spleen_axes) * 1.15 + 4
    window = canvas.window(plan.spleen_centre - reach, plan.spleen_centre + reach)
    if window is None:
        return
    x, y, z = canvas.grid(window)
    c = plan.spleen_centre
    tilt = (z - c[2]) * np.float32(0.25)
    d = sdf.ellipsoid(x - c[0], y - c[1] - tilt, z - c[2], plan.spleen_axes)
    a = plan.spleen_axes
    hilum = sdf.ellipsoid(
        x - c[0] + 1.45 * a[0], y - c[1] + 0.5 * a[1], z - c[2], (0.8 * a[0], 0.8 * a[1], 0.9 * a[2])
    )
    d = np.maximum(np.maximum(canvas.rough(window, d), -hilum), under_diaphragm(fields, window))
    canvas.paint(
        window,
        d - np.float32(2.0),
        FAT_HU,
        label=NUMBER["body"],
        only=canvas.owner[window] == NUMBER["stomach"],
    )
    inside = t.spleen + 4 * texture.on(canvas, window)
    if t.mottled > 0:
        # In the arterial phase red and white pulp fill at different speeds.
        inside = inside + t.mottled * np.sin(3.0 * texture.on(canvas, window) + 0.35 * (x - c[0]))
    canvas.paint(window, d, np.asarray(inside, np.float32), label=NUMBER["spleen"])
    for centre, radius in plan.lesions:
        ball = sdf.ellipsoid(x - centre[0], y - centre[1], z - centre[2], (radius, radius * 0.9, radius))
        canvas.paint(window, np.maximum(ball, d), t.spleen + plan.lesion_delta, edge_mm=2.5)
    if calcium > 0:
        # Where a texture of unit variance is high; scars calcify in patches.
        patches = (np.float32(stats.norm.isf(min(calcium, 0.999))) - texture.on(canvas, window)) * 5.0
        dense = t.spleen + _CALCIUM_HU * t.high_z
        canvas.paint(window, np.asarray(np.maximum(patches, d), np.float32), dense, edge_mm=2.0)


def _paint_kidney(canvas: Canvas, centre: Point, label: int, texture: Texture, t: Tissues) -> None:
    window = canvas.window(centre - 66, centre + 66)
    if window is None:
        return
    x, y, z = canvas.grid(window)
    u, v, w = x - centre[0], y - centre[1], z - centre[2]
    sign = 1.0 if label == NUMBER["kidney_left"] else -1.0
    u, v = u * 0.8 - sign * v * 0.6, v * 0.8 + sign * u * 0.6
    d = canvas.rough(window, sdf.ellipsoid(u, v, w, (29.0, 25.0, 52.0)), 0.6)
    sinus = sdf.ellipsoid(u + sign * 20, v, w, (22.0, 10.0, 26.0))
    canvas.paint(window, d - np.float32(8.0), FAT_HU, label=NUMBER["body"])
    canvas.paint(window, d, t.kidney + 4 * texture.on(canvas, window), label=label)
    if t.medulla != t.kidney:
        pyramids = np.maximum(d + 7.0, 0.35 - np.cos(np.arctan2(w, u) * 9))
        canvas.paint(window, np.asarray(pyramids, np.float32), t.medulla, edge_mm=2.0)
    canvas.paint(window, np.maximum(sinus, d + 1), FAT_HU + 40)
