"""Body wall and muscles: skin, fat, chest and abdominal wall, erector spinae, psoas, quadratus lumborum, crura."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.columns import Column, column_distance, column_window, paint_column
from paraspinal.phantom.labels import NUMBER
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.tissue import FAT_HU, SKIN_HU, Tissues
from paraspinal.phantom.trunk import TrunkFields, TrunkPlan

_SKIN_MM = 1.8
_WALL_MM = 10.0  # intercostal layer, or the three layers of the abdominal wall


@dataclass(frozen=True, slots=True)
class MusclePlan:
    """Columns of the muscles along the spine, with their labels."""

    erectors: tuple[tuple[Column, int], ...]
    psoas: tuple[tuple[Column, int], ...]
    others: tuple[Column, ...]
    crura: tuple[Column, ...]


def plan_muscles(rng: np.random.Generator, trunk: TrunkPlan) -> MusclePlan:
    """Lay the muscles out beside the spine."""
    spine = trunk.spine
    z = np.arange(-235.0, 320.0, 6.0)
    canal, size, body = spine.canal_xy(z), spine.sizes(z), spine.body_xy(z)
    bulk = rng.normal(1.0, 0.06)
    wide = np.interp(z, [-200, -80, 0, 100, 200, 300], [34.0, 36, 33, 27, 24, 20]) * bulk
    thick = np.interp(z, [-200, -80, 0, 100, 200, 300], [19.0, 21, 18, 14, 13, 14]) * bulk
    behind = np.interp(z, [-200, -80, 0, 100, 300], [20.0, 22, 23, 26, 24])
    erectors, psoas, others, crura = [], [], [], []
    for sign, name in ((1, "left"), (-1, "right")):
        x = canal[:, 0] + sign * (wide + 1.5)
        erectors.append((Column(z, x, canal[:, 1] + behind, wide, thick), NUMBER[f"autochthon_{name}"]))
        low = z < 4
        grow = np.interp(z[low], [-200, -120, -60, -20, 4], [21.0, 21, 16, 9, 4]) * bulk
        x = body[low, 0] + sign * (size[low, 0] / 2 + grow * 0.85)
        psoas.append((Column(z[low], x, body[low, 1] + 5, grow, grow * 1.15), NUMBER[f"iliopsoas_{name}"]))
        x = canal[low, 0] + sign * (58 + 0 * grow)
        others.append(Column(z[low], x, canal[low, 1] + 6, 15 + 0 * grow, 6 + 0 * grow))
        around = (z > -70) & (z < 45)
        x = body[around, 0] + sign * np.interp(z[around], [-70, 0, 45], [10, 14, 18])
        y = body[around, 1] - size[around, 1] / 2 - np.interp(z[around], [-70, 0, 45], [3, 8, 16])
        slim = np.interp(z[around], [-70, -30, 20, 45], [1.5, 4, 4, 2.5])
        crura.append(Column(z[around], x, y, slim, 2.6 * slim))
    return MusclePlan(tuple(erectors), tuple(psoas), tuple(others), tuple(crura))


def paint_body_wall(
    canvas: Canvas, trunk: TrunkPlan, fields: TrunkFields, texture: Texture, streaks: Texture, t: Tissues
) -> None:
    """Paint skin, subcutaneous fat, the muscular wall with fat planes, and the fat that fills the cavity."""
    whole = canvas.whole
    soft, fine = texture.on(canvas, whole), streaks.on(canvas, whole)
    canvas.paint(whole, fields.body, SKIN_HU, label=NUMBER["body"])
    canvas.paint(
        whole, fields.body + np.float32(_SKIN_MM), FAT_HU + 7 * soft + 5 * np.maximum(fine - 1.3, 0) * 8
    )
    o = trunk.outline(canvas.z)
    y = canvas.y.astype(np.float32)[None, :, None] - o.centre_y.astype(np.float32)[:, None, None]
    towards_front = np.clip(-y / 90.0, -1.0, 1.0)
    fat = np.float32(trunk.fat_mm) * (1.0 + 0.25 * towards_front)
    fascia = fields.body + fat
    muscle = t.muscle + 6 * soft - 70 * np.clip(fine - 1.25, 0, 1.2)
    canvas.paint(whole, fascia, muscle, label=NUMBER["muscle"])
    # Planes of fat between the layers: outside the chest wall, and between the sheets lateral to it.
    for depth, wide in ((_WALL_MM + 1.2, 0.9), (_WALL_MM + 12.0, 0.8), (_WALL_MM + 24.0, 0.8)):
        plane = np.abs(fields.cavity - np.float32(depth) - 1.5 * soft) - np.float32(wide)
        canvas.paint(whole, np.maximum(plane, fascia + 1), FAT_HU + 25)
    canvas.paint(whole, fields.cavity, FAT_HU + 6 * soft, label=NUMBER["body"])
    lining = np.maximum(np.abs(fields.cavity + 0.5) - 0.6, -fields.dome)
    canvas.paint(whole, lining, t.muscle)


def paint_muscles(canvas: Canvas, plan: MusclePlan, texture: Texture, streaks: Texture, t: Tissues) -> None:
    """Paint the muscles beside the spine, each in its own sheath of fat."""
    for columns, dip in ((plan.erectors, 110.0), (plan.psoas, 30.0)):
        for column, label in columns:
            _paint_muscle(canvas, column, label, texture, streaks, t, dip=dip)
    for column in plan.others:
        _paint_muscle(canvas, column, NUMBER["muscle"], texture, streaks, t, dip=40.0)
    for column in plan.crura:
        paint_column(canvas, column, t.muscle, label=NUMBER["diaphragm"])


def _paint_muscle(
    canvas: Canvas, column: Column, label: int, texture: Texture, streaks: Texture, t: Tissues, *, dip: float
) -> None:
    window = column_window(canvas, column)
    if window is None:
        return
    distance = column_distance(canvas, column, window)
    canvas.paint(window, distance - np.float32(1.2), FAT_HU + 20, label=NUMBER["body"])
    fibres = np.clip(streaks.on(canvas, window) - 1.1, 0, 1.3)
    hu = t.muscle + 5 * texture.on(canvas, window) - dip * fibres
    canvas.paint(window, distance, np.asarray(hu, np.float32), label=label)


def paint_diaphragm(canvas: Canvas, fields: TrunkFields, hull: Field, t: Tissues) -> None:
    """Paint the muscle sheet under the lungs."""
    sheet = np.abs(fields.dome * np.float32(0.7) - 1.6) - 1.6
    where = np.maximum(np.maximum(sheet, fields.cavity + 0.5), -hull)
    canvas.paint(canvas.whole, np.asarray(where, np.float32), t.muscle, label=NUMBER["diaphragm"])


def paint_spinal_fat(canvas: Canvas, trunk: TrunkPlan, t: Tissues) -> None:
    """Paint the fat and the short muscles around the vertebral column that later structures leave visible."""
    z = np.arange(-230.0, 330.0, 6.0)
    body, size, canal = trunk.spine.body_xy(z), trunk.spine.sizes(z), trunk.spine.canal_xy(z)
    column = Column(z, body[:, 0], body[:, 1], size[:, 0] / 2 + 3.0, size[:, 1] / 2 + 3.0)
    paint_column(canvas, column, FAT_HU, label=NUMBER["body"])
    # Short muscles between transverse processes and ribs fill the space behind the rib necks.
    chest = z > -5
    deep = Column(z[chest], canal[chest, 0], canal[chest, 1] + 22, 0 * z[chest] + 45, 0 * z[chest] + 17)
    paint_column(canvas, deep, t.muscle, label=NUMBER["muscle"])
    behind = Column(z, canal[:, 0], canal[:, 1] + 3.0, size[:, 2] / 2 + 10, size[:, 3] / 2 + 8)
    window = column_window(canvas, behind)
    if window is not None:
        fat = column_distance(canvas, behind, window)
        canvas.paint(window, fat, FAT_HU + 30, label=NUMBER["body"])
