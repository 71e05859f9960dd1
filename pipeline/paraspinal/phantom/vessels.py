"""Great vessels, heart, airway and gullet: what lies in the mediastinum, laid out around the spine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from paraspinal.phantom import sdf
from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.columns import Column, column_distance, column_window, paint_column
from paraspinal.phantom.labels import NUMBER
from paraspinal.phantom.patient import PatientSpec
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spine import SpinePlan
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.tissue import GAS_HU, WALL_HU, Tissues
from paraspinal.phantom.trunk import TrunkPlan
from paraspinal.phantom.tubes import Tube, paint_tube, smooth_path, tube_distance

Vector = npt.NDArray[np.float64]
Ball = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class MediastinumPlan:
    """Columns, tubes and ellipsoids (centre, semi-axes) of the mediastinum in LPS millimetres."""

    aorta: Column
    arch: Tube
    branches: tuple[Tube, ...]
    azygos: Column
    oesophagus: Column
    trachea: Column
    bronchi: tuple[Tube, ...]
    vena_cava: Column
    upper_cava: Column
    pulmonary: tuple[Tube, ...]
    iliacs: tuple[Tube, ...]
    heart: tuple[Ball, ...]
    chambers: tuple[tuple[Ball, bool], ...]


def _beside_spine(
    spine: SpinePlan, rows: list[tuple[str, float, float, float, float]], *, step: float = 5.0
) -> Column:
    """Return a column from (level, left of the body's centre, behind it, a, b), cranial first."""
    z = np.array([spine.vertebra(r[0]).centre[2] for r in rows])[::-1]
    values = np.array([r[1:] for r in rows])[::-1]
    fine = np.arange(z[0], z[-1] + step / 2, step)
    body = spine.body_xy(fine)
    dx, dy, a, b = (np.interp(fine, z, values[:, k]) for k in range(4))
    return Column(fine, body[:, 0] + dx, body[:, 1] + dy, a, b)


def plan_mediastinum(
    rng: np.random.Generator, trunk: TrunkPlan, patient: PatientSpec | None = None
) -> MediastinumPlan:
    """Lay out vessels, heart, airway and gullet."""
    spine = trunk.spine
    patient = patient or PatientSpec()
    r = rng.normal(1.0, 0.05) * patient.aorta_scale
    aorta = _beside_spine(
        spine,
        [
            ("T4", 24, -18, 13 * r, 13 * r),
            ("T6", 28, -12, 12.5 * r, 12.5 * r),
            ("T8", 26, -16, 12 * r, 12 * r),
            ("T10", 18, -24, 11.5 * r, 11.5 * r),
            ("T12", 8, -28, 11 * r, 11 * r),
            ("L2", 3, -30, 9.5 * r, 9.5 * r),
            ("L4", 1, -30, 8.5 * r, 8.5 * r),
        ],
    )
    if patient.aorta_bend_mm:
        aorta = _bent(aorta, patient.aorta_bend_mm)
    azygos = _beside_spine(
        spine,
        [("T4", -9, -20, 4, 4), ("T8", -4, -19, 4, 3.5), ("T12", -9, -19, 3, 2.5), ("L1", -10, -20, 2, 2)],
    )
    oesophagus = _beside_spine(
        spine,
        [
            ("C6", 1, -16, 9, 6),
            ("T2", 4, -17, 9, 6),
            ("T5", 4, -25, 8, 6),
            ("T8", 4, -30, 10, 7),
            ("T9", 10, -36, 10, 8),
            ("T10", 18, -46, 10, 10),
        ],
    )
    trachea = _beside_spine(
        spine, [("C6", 0, -36, 9, 9), ("T2", 0, -34, 9.5, 9), ("T4", 0, -38, 9.5, 9), ("T5", 0, -42, 13, 8)]
    )
    cava = _beside_spine(
        spine,
        [
            ("T9", -26, -66, 13, 12),
            ("T11", -24, -44, 13, 11),
            ("L2", -20, -32, 12, 9),
            ("L4", -16, -30, 11, 8),
        ],
    )
    upper = _beside_spine(spine, [("T2", -22, -66, 8, 8), ("T4", -24, -70, 9, 9), ("T7", -28, -78, 10, 10)])
    arch, branches = _arch(trunk, aorta, r)
    front = trunk.outline(upper.z)
    upper = replace(upper, y=np.maximum(upper.y, front.centre_y - front.half_depth + 15.0))
    heart, chambers = _heart(rng, trunk)
    bronchi, pulmonary = _hila(spine)
    return MediastinumPlan(
        aorta,
        arch,
        branches,
        azygos,
        oesophagus,
        trachea,
        bronchi,
        cava,
        upper,
        pulmonary,
        _iliacs(spine, aorta),
        heart,
        chambers,
    )


def _bent(aorta: Column, bend_mm: float) -> Column:
    """Return a tortuous aorta: it wanders to both sides, away from the spine, and its oblique cuts are longer."""
    share = (aorta.z - aorta.z[0]) / (aorta.z[-1] - aorta.z[0])
    fixed = np.sin(np.pi * np.clip(share, 0, 1)) ** 0.5
    x = aorta.x + bend_mm * fixed * np.sin(2 * np.pi * (1.15 * share + 0.1))
    y = aorta.y - 0.5 * abs(bend_mm) * fixed * (0.5 + 0.5 * np.cos(2 * np.pi * (1.4 * share)))
    longer = np.sqrt(1.0 + np.gradient(x, aorta.z) ** 2)
    return Column(aorta.z, x, y, aorta.a * longer, aorta.b * np.sqrt(1 + np.gradient(y, aorta.z) ** 2))


def _iliacs(spine: SpinePlan, aorta: Column) -> tuple[Tube, ...]:
    """Return both common iliac arteries from the end of the aorta along the psoas."""
    end = np.array([aorta.x[0], aorta.y[0], aorta.z[0]])
    zero = spine.sacrum.centre[2]
    tubes = []
    for sign in (1.0, -1.0):
        path = smooth_path(
            [
                (end[0] + sign * 3.0, end[1] + 2.0, end[2] + 8.0),
                (end[0] + sign * 17.0, end[1] + 6.0, end[2] - 18.0),
                (spine.sacrum.centre[0] + sign * 52.0, end[1] + 12.0, zero - 20.0),
                (spine.sacrum.centre[0] + sign * 78.0, end[1] - 18.0, zero - 100.0),
            ],
            step_mm=7,
        )
        tubes.append(Tube(path, np.linspace(0.62, 0.45, len(path)) * aorta.a[0]))
    return tuple(tubes)


def _arch(trunk: TrunkPlan, aorta: Column, r: float) -> tuple[Tube, tuple[Tube, ...]]:
    spine = trunk.spine
    top = np.array([aorta.x[-1], aorta.y[-1], aorta.z[-1]])
    t3, t7 = spine.vertebra("T3").centre[2], spine.vertebra("T7").centre
    points: list[tuple[float, float, float]] = [
        (top[0], top[1], top[2] - 4),
        (top[0] - 3, top[1] - 8, t3 + 2),
        (top[0] - 16, top[1] - 34, t3 + 6),
        (top[0] - 38, top[1] - 52, t3 - 8),
        (top[0] - 44, top[1] - 62, t3 - 40),
        (t7[0] - 4, t7[1] - 84, t7[2] - 4),
    ]
    path = _behind_front_wall(smooth_path(points, step_mm=6), trunk, 14.0 * r + 5.0)
    arch = Tube(path, np.full(len(path), 14.0 * r))
    branches = []
    for share, side, radius in ((0.30, 14.0, 4.0), (0.40, 8.0, 3.5), (0.50, -14.0, 6.0)):
        start = path[int(share * len(path))]
        up, across = np.array([side, 4.0, 25.0]), np.array([0.0, 5.0, 20.0])
        neck = smooth_path([start, start + up, start + 2.2 * up + across], step_mm=6)
        neck = _behind_front_wall(neck, trunk, radius + 3.0)
        branches.append(Tube(neck, np.full(len(neck), radius)))
    return arch, tuple(branches)


def _behind_front_wall(path: Vector, trunk: TrunkPlan, margin: float) -> Vector:
    """Return the path pushed back where a flat or bent chest has no room for it."""
    o = trunk.outline(path[:, 2])
    front = o.centre_y - o.half_depth + margin
    out = path.copy()
    out[:, 1] = np.maximum(path[:, 1], np.minimum(front, o.centre_y + 0.3 * o.half_depth))
    return out


def _heart(
    rng: np.random.Generator, trunk: TrunkPlan
) -> tuple[tuple[Ball, ...], tuple[tuple[Ball, bool], ...]]:
    o = trunk.outline(110.0)
    x, y = float(o.centre_x), float(o.centre_y) - 26.0
    s = rng.normal(1.0, 0.04)
    left: Ball = ((x + 36, y - 2, 104), (40 * s, 40 * s, 42 * s))
    right: Ball = ((x - 4, y - 12, 106), (44 * s, 36 * s, 42 * s))
    atria: Ball = ((x + 6, y + 26, 132), (38 * s, 22 * s, 26 * s))
    chambers = (
        (((x + 38, y, 108), (26 * s, 25 * s, 30 * s)), True),
        (((x - 8, y - 14, 108), (36 * s, 27 * s, 34 * s)), False),
        (((x + 6, y + 26, 132), (34 * s, 19 * s, 23 * s)), True),
    )
    return (left, right, atria), chambers


def _hila(spine: SpinePlan) -> tuple[tuple[Tube, ...], tuple[Tube, ...]]:
    fork = spine.vertebra("T5").centre + np.array([0, -42, -6])

    def path(*offsets: tuple[float, float, float]) -> Vector:
        return smooth_path(fork + np.array(offsets), step_mm=5)

    left = path((0, 0, 0), (24, 4, -16), (44, 12, -26))
    right = path((0, 0, 0), (-24, 4, -20), (-44, 12, -34))
    bronchi = tuple(Tube(p, np.linspace(7.0, 5.0, len(p))) for p in (left, right))
    main = path((16, -34, -34), (14, -24, -8), (40, -2, -12))
    crossing = path((14, -26, -10), (-20, -14, -16), (-46, 0, -20))
    pulmonary = tuple(Tube(p, np.linspace(13.0, 9.0, len(p))) for p in (main, crossing))
    return bronchi, pulmonary


def heart_distance(canvas: Canvas, plan: MediastinumPlan, x: Field, y: Field, z: Field) -> Field:
    """Return the distance to the whole heart."""
    out: Field | None = None
    for centre, axes in plan.heart:
        d = sdf.ellipsoid(x - centre[0], y - centre[1], z - centre[2], axes)
        out = d if out is None else sdf.blend(out, d, 12.0)
    assert out is not None
    return out


def paint_heart(
    canvas: Canvas, plan: MediastinumPlan, dome: Field, t: Tissues, *, myocardium_hu: float = WALL_HU + 6
) -> None:
    """Paint myocardium and blood, flattened where it rests on the diaphragm."""
    centres = np.array([b[0] for b in plan.heart])
    window = canvas.window(centres.min(axis=0) - 52, centres.max(axis=0) + 52)
    if window is None:
        return
    x, y, z = canvas.grid(window)
    above = dome[window] + np.float32(4.0)
    whole = np.maximum(canvas.rough(window, heart_distance(canvas, plan, x, y, z), 0.8), above)
    canvas.paint(window, whole, myocardium_hu + (25 if t.enhanced else 0), label=NUMBER["heart"])
    for (centre, axes), left in plan.chambers:
        d = sdf.ellipsoid(x - centre[0], y - centre[1], z - centre[2], axes)
        canvas.paint(window, np.maximum(d, above + 6), t.blood if left else t.right_blood)


def paint_great_vessels(
    canvas: Canvas,
    plan: MediastinumPlan,
    t: Tissues,
    texture: Texture,
    *,
    calcium: float = 0.0,
    wall_mm: float = 1.3,
    wall_hu: float = WALL_HU + 4,
) -> None:
    """Paint pulmonary arteries, venae cavae, azygos and aorta, the aorta last so that it stays whole."""
    for tube in plan.pulmonary:
        paint_tube(canvas, tube, t.right_blood, label=NUMBER["pulmonary_vessel"])
    for column, name in ((plan.vena_cava, "inferior_vena_cava"), (plan.azygos, "azygos")):
        paint_column(canvas, column, t.right_blood if t.enhanced else t.blood, label=NUMBER[name])
    paint_column(canvas, plan.upper_cava, t.right_blood, label=NUMBER["body"])
    for tube in plan.branches:
        paint_tube(canvas, tube, t.blood, label=NUMBER["body"])
    paint_column(canvas, plan.aorta, t.blood, label=NUMBER["aorta"], wall_mm=wall_mm, wall_hu=wall_hu)
    paint_tube(canvas, plan.arch, t.blood, label=NUMBER["aorta"])
    for tube, side in zip(plan.iliacs, ("left", "right"), strict=True):
        paint_tube(canvas, tube, t.blood, label=NUMBER[f"iliac_artery_{side}"])
    if calcium > 0:
        _paint_plaques(canvas, plan, texture, calcium, t)


def _paint_plaques(
    canvas: Canvas, plan: MediastinumPlan, texture: Texture, calcium: float, t: Tissues
) -> None:
    """Paint calcified plaques into the aortic wall where a texture is high."""
    limit = np.float32(2.2 - 1.6 * calcium)
    shapes = []
    window = column_window(canvas, plan.aorta)
    if window is not None:
        shapes.append((window, column_distance(canvas, plan.aorta, window)))
    shapes += [found for tube in (plan.arch, *plan.iliacs) if (found := tube_distance(canvas, tube))]
    for part, distance in shapes:
        owner = canvas.owner[part]
        wall = np.abs(distance + np.float32(0.9)) - np.float32(1.1)
        plaque = np.maximum(wall, (limit - texture.on(canvas, part)) * 2)
        mine = (owner == NUMBER["aorta"]) | (owner == NUMBER["iliac_artery_left"])
        mine |= owner == NUMBER["iliac_artery_right"]
        canvas.paint(part, np.asarray(plaque, np.float32), 40 + 650 * t.high_z, only=mine)


def paint_airway(canvas: Canvas, plan: MediastinumPlan) -> None:
    """Paint the gullet with a little gas, trachea and main bronchi with their walls."""
    paint_column(canvas, plan.oesophagus, 35.0, label=NUMBER["esophagus"], wall_mm=3.0)
    gas = Column(
        plan.oesophagus.z,
        plan.oesophagus.x,
        plan.oesophagus.y - 1,
        plan.oesophagus.a * 0.28,
        plan.oesophagus.b * 0.22,
    )
    paint_column(canvas, gas, -400.0)
    for tube in plan.bronchi:
        paint_tube(canvas, Tube(tube.points, tube.radii + 1.4), 40.0, label=NUMBER["trachea"])
    paint_column(canvas, plan.trachea, GAS_HU, label=NUMBER["trachea"], wall_mm=1.5)
    for tube in plan.bronchi:
        paint_tube(canvas, tube, GAS_HU, label=NUMBER["trachea"])
