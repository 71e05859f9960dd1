"""Bowel, bladder and the vessels of the mesentery: what fills an abdomen around its solid organs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.phantom import sdf
from paraspinal.phantom.canvas import Canvas, Window
from paraspinal.phantom.labels import NUMBER
from paraspinal.phantom.patient import PatientSpec
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.tissue import GAS_HU, WALL_HU
from paraspinal.phantom.trunk import TrunkFields, TrunkPlan
from paraspinal.phantom.tubes import Tube, smooth_path

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


def plan_bowel(rng: np.random.Generator, trunk: TrunkPlan) -> tuple[Loop, ...]:
    """Lay out some loops."""
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


def plan_more_bowel(
    rng: np.random.Generator | None, trunk: TrunkPlan, patient: PatientSpec
) -> tuple[Loop, ...]:
    """Pack small and large bowel as a real abdomen is packed, down into the pelvis, and put a bladder there."""
    if rng is None:
        return ()
    loops = []
    for k in range(130):
        z = float(rng.uniform(-290, -2))
        o = trunk.outline(z)
        colon = k % 4 == 0
        side = rng.choice([-1.0, 1.0])
        x = (
            o.centre_x
            + (side * rng.uniform(0.55, 0.85) if colon else rng.uniform(-0.72, 0.72)) * o.half_width
        )
        y = o.centre_y + (rng.uniform(-0.5, 0.2) if colon else rng.uniform(-0.85, 0.05)) * o.half_depth
        size = rng.uniform(13, 24) if colon else rng.uniform(8, 14)
        axes = (size * rng.uniform(0.8, 1.8), size, size * rng.uniform(0.8, 1.8))
        gas = float(rng.choice([0.0, 0.25, 0.5, 0.8])) if colon else float(rng.choice([0.0, 0.0, 0.0, 0.3]))
        name = "colon" if colon else "small_bowel"
        content = rng.uniform(5, 45) + (patient.oral_contrast_hu if rng.random() < 0.5 else 0.0)
        loops.append(Loop(np.array([float(x), float(y), z]), axes, float(content), gas, NUMBER[name]))
    low = trunk.spine.sacrum.centre[2] - 95.0
    o = trunk.outline(low)
    place = np.array([float(o.centre_x), float(o.centre_y) - 12.0, low])
    loops.append(Loop(place, (42.0, 34.0, 32.0), 6.0, 0.0, NUMBER["urinary_bladder"]))
    return tuple(loops)


def plan_mesentery(rng: np.random.Generator | None, trunk: TrunkPlan) -> tuple[Tube, ...]:
    """Return the vessels that fan out from before the spine towards the bowel."""
    if rng is None:
        return ()
    tubes = []
    for _ in range(45):
        z = float(rng.uniform(-180, -10))
        o = trunk.outline(z)
        root = np.array([float(o.centre_x) + rng.normal(0, 8), trunk.spine.body_xy(z)[1] - 42.0, z + 20])
        goal = np.array(
            [
                float(o.centre_x) + rng.uniform(-0.75, 0.75) * float(o.half_width),
                float(o.centre_y) + rng.uniform(-0.85, 0.0) * float(o.half_depth),
                z + rng.uniform(-50, 10),
            ]
        )
        path = smooth_path([root, 0.5 * (root + goal) + rng.normal(0, 8, 3), goal], step_mm=9)
        tubes.append(Tube(path, np.linspace(rng.uniform(1.8, 3.0), 0.9, len(path))))
    return tuple(tubes)


def under_diaphragm(fields: TrunkFields, window: Window, *, wall: float = 3.0) -> Field:
    """Return the distance to the abdominal cavity: inside the wall and below the diaphragm."""
    return np.asarray(
        np.maximum(
            fields.cavity[window] + np.float32(wall),
            np.float32(_DIAPHRAGM_MM) - fields.dome[window] * np.float32(0.75),
        )
    )


def gas_above(y: Field, level: float) -> Field:
    """Return the distance to the gas that stands over a fluid level."""
    return np.asarray(y - np.float32(level), np.float32)


def paint_loop(canvas: Canvas, loop: Loop, fields: TrunkFields, texture: Texture) -> None:
    """Paint the wall and the content of a loop."""
    reach = max(loop.axes) + 2
    window = canvas.window(loop.centre - reach, loop.centre + reach)
    if window is None:
        return
    x, y, z = canvas.grid(window)
    d = sdf.ellipsoid(x - loop.centre[0], y - loop.centre[1], z - loop.centre[2], loop.axes)
    d = canvas.rough(window, d, 0.8)
    d = np.maximum(d, under_diaphragm(fields, window))
    canvas.paint(window, d, WALL_HU, label=loop.label)
    inner = d + np.float32(2.5)
    content: Field | float = loop.content_hu
    if canvas.wander is not None and loop.label == NUMBER["colon"]:
        # Stool: bubbles of gas through soft content.
        bubbles = np.clip(texture.on(canvas, window) - 0.2, 0.0, 1.6)
        content = np.asarray(loop.content_hu - 330.0 * bubbles, np.float32)
    canvas.paint(window, inner, content)
    if loop.gas_share > 0:
        level = loop.centre[1] - loop.axes[1] + 2 * loop.axes[1] * loop.gas_share
        canvas.paint(window, np.maximum(inner, gas_above(y, level)), GAS_HU)
