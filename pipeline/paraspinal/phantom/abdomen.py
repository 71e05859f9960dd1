"""Organs under the diaphragm: liver, spleen, kidneys, stomach, bowel, gall bladder, pancreas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.phantom import sdf
from paraspinal.phantom.canvas import Canvas, Window
from paraspinal.phantom.labels import NUMBER
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spec import Foci, OrganSpec
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.tissue import FAT_HU, GAS_HU, WALL_HU, Tissues
from paraspinal.phantom.trunk import TrunkFields, TrunkPlan
from paraspinal.phantom.tubes import Tube, paint_tube, smooth_path, tube_distance

Point = npt.NDArray[np.float64]
_DIAPHRAGM_MM = 3.5


@dataclass(frozen=True, slots=True)
class Loop:
    """One piece of bowel: an ellipsoid with a wall and content."""

    centre: Point
    axes: tuple[float, float, float]
    content_hu: float
    gas_share: float
    label: int


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


def plan_abdomen(rng: np.random.Generator, trunk: TrunkPlan, organs: OrganSpec) -> AbdomenPlan:
    """Lay out the organs relative to the cavity at the height of T12."""
    o = trunk.outline(20.0)
    xc, yc, half, depth = (float(v) for v in (o.centre_x, o.centre_y, o.half_width, o.half_depth))
    scale = organs.spleen_scale ** (1 / 3)
    axes = (30.0 * scale, 42.0 * scale, 48.0 * scale)
    spleen = np.array([xc + half - 22 - 9 * scale, yc + depth * 0.34, 32.0 - 30.0 * (scale - 1)])
    lesions = _lesions(rng, organs.spleen_lesion, spleen, axes)
    kidneys = []
    for sign, label, z in ((1, NUMBER["kidney_left"], -30.0), (-1, NUMBER["kidney_right"], -44.0)):
        body = trunk.spine.body_xy(z)
        # A large spleen pushes the left kidney down and towards the spine.
        pushed = 10.0 * (scale - 1) if sign > 0 else 0.0
        place = (body[0] + sign * (66 - 0.3 * pushed), body[1] - 1, z - 1.5 * pushed + rng.normal(0, 5))
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
        _bowel(rng, trunk),
        Tube(pancreas, np.linspace(9, 12, len(pancreas))),
        _liver_vessels(rng, np.array([xc - 26, yc + 4, 18.0])),
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


def _bowel(rng: np.random.Generator, trunk: TrunkPlan) -> tuple[Loop, ...]:
    loops = []
    for k in range(46):
        z = rng.uniform(-200, 2)
        o = trunk.outline(z)
        colon = k % 3 == 0
        side = rng.choice([-1.0, 1.0])
        x = o.centre_x + (side * rng.uniform(0.6, 0.8) if colon else rng.uniform(-0.6, 0.6)) * o.half_width
        y = o.centre_y + (rng.uniform(-0.4, 0.15) if colon else rng.uniform(-0.75, -0.1)) * o.half_depth
        size = rng.uniform(15, 23) if colon else rng.uniform(11, 17)
        axes = (size * rng.uniform(0.9, 1.5), size, size * rng.uniform(0.9, 1.8))
        gas = float(rng.choice([0.0, 0.3, 0.6])) if colon else float(rng.choice([0.0, 0.0, 0.3]))
        name = "colon" if colon else "small_bowel"
        loops.append(Loop(np.array([x, y, z]), axes, float(rng.uniform(10, 50)), gas, NUMBER[name]))
    return tuple(loops)


def paint_abdomen(
    canvas: Canvas, trunk: TrunkPlan, plan: AbdomenPlan, fields: TrunkFields, texture: Texture, t: Tissues,
    organs: OrganSpec,
) -> None:  # fmt: skip
    """Paint the organs, the movable ones first."""
    if canvas.z[0] > 130:
        return
    if "bowel" not in organs.left_out:
        for loop in plan.loops:
            _paint_loop(canvas, loop, fields)
    _paint_stomach(canvas, plan, fields)
    paint_tube(canvas, plan.pancreas, 38.0 + (40 if t.enhanced else 0), label=NUMBER["pancreas"])
    _paint_liver(canvas, trunk, plan, fields, texture, t)
    _paint_spleen(canvas, plan, fields, texture, t)
    for centre, label in plan.kidneys:
        _paint_kidney(canvas, centre, label, texture, t)


def _under_diaphragm(fields: TrunkFields, window: Window, *, wall: float = 3.0) -> Field:
    """Return the distance to the abdominal cavity: inside the wall and below the diaphragm."""
    return np.asarray(
        np.maximum(
            fields.cavity[window] + np.float32(wall),
            np.float32(_DIAPHRAGM_MM) - fields.dome[window] * np.float32(0.75),
        )
    )


def _gas_above(y: Field, level: float) -> Field:
    return np.asarray(y - np.float32(level), np.float32)


def _paint_loop(canvas: Canvas, loop: Loop, fields: TrunkFields) -> None:
    reach = max(loop.axes) + 2
    window = canvas.window(loop.centre - reach, loop.centre + reach)
    if window is None:
        return
    x, y, z = canvas.grid(window)
    d = sdf.ellipsoid(x - loop.centre[0], y - loop.centre[1], z - loop.centre[2], loop.axes)
    d = np.maximum(d, _under_diaphragm(fields, window))
    canvas.paint(window, d, WALL_HU, label=loop.label)
    inner = d + np.float32(2.5)
    canvas.paint(window, inner, loop.content_hu)
    if loop.gas_share > 0:
        level = loop.centre[1] - loop.axes[1] + 2 * loop.axes[1] * loop.gas_share
        canvas.paint(window, np.maximum(inner, _gas_above(y, level)), GAS_HU)


def _paint_stomach(canvas: Canvas, plan: AbdomenPlan, fields: TrunkFields) -> None:
    window = canvas.window(plan.stomach - 80, plan.stomach + 80)
    if window is None:
        return
    x, y, z = canvas.grid(window)
    c = plan.stomach
    fundus = sdf.ellipsoid(x - c[0] - 8, y - c[1] - 14, z - c[2], (44.0, 42.0, 44.0))
    antrum = sdf.ellipsoid(x - c[0] + 38, y - c[1] + 18, z - c[2] + 44, (44.0, 22.0, 18.0))
    d = np.maximum(sdf.blend(fundus, antrum, 22.0), _under_diaphragm(fields, window))
    canvas.paint(window, d, WALL_HU, label=NUMBER["stomach"])
    inner = d + np.float32(4.0)
    canvas.paint(window, inner, 22.0)
    canvas.paint(window, np.maximum(inner, _gas_above(y, c[1] - 6.0)), GAS_HU)


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
    d = np.maximum(d, _under_diaphragm(fields, window, wall=2.5))
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
    canvas: Canvas, plan: AbdomenPlan, fields: TrunkFields, texture: Texture, t: Tissues
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
    d = np.maximum(np.maximum(d, -hilum), _under_diaphragm(fields, window))
    canvas.paint(
        window,
        d - np.float32(2.0),
        FAT_HU,
        label=NUMBER["body"],
        only=canvas.owner[window] == NUMBER["stomach"],
    )
    canvas.paint(window, d, t.spleen + 4 * texture.on(canvas, window), label=NUMBER["spleen"])
    for centre, radius in plan.lesions:
        ball = sdf.ellipsoid(x - centre[0], y - centre[1], z - centre[2], (radius, radius * 0.9, radius))
        canvas.paint(window, np.maximum(ball, d), t.spleen + plan.lesion_delta, edge_mm=2.5)


def _paint_kidney(canvas: Canvas, centre: Point, label: int, texture: Texture, t: Tissues) -> None:
    window = canvas.window(centre - 66, centre + 66)
    if window is None:
        return
    x, y, z = canvas.grid(window)
    u, v, w = x - centre[0], y - centre[1], z - centre[2]
    sign = 1.0 if label == NUMBER["kidney_left"] else -1.0
    u, v = u * 0.8 - sign * v * 0.6, v * 0.8 + sign * u * 0.6
    d = sdf.ellipsoid(u, v, w, (29.0, 25.0, 52.0))
    sinus = sdf.ellipsoid(u + sign * 20, v, w, (22.0, 10.0, 26.0))
    canvas.paint(window, d - np.float32(8.0), FAT_HU, label=NUMBER["body"])
    canvas.paint(window, d, t.kidney + 4 * texture.on(canvas, window), label=label)
    canvas.paint(window, np.maximum(sinus, d + 1), FAT_HU + 40)
