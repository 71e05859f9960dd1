"""Body wall and muscles: skin, fat, chest and abdominal wall, erector spinae, psoas, quadratus lumborum, crura."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paraspinal.phantom.canvas import Canvas, Part
from paraspinal.phantom.columns import Column, column_distance, column_window, paint_column
from paraspinal.phantom.deform import Waves, upsampled
from paraspinal.phantom.labels import NUMBER
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.tissue import FAT_HU, SKIN_HU, Tissues
from paraspinal.phantom.trunk import TrunkFields, TrunkPlan

_SKIN_MM = 1.8
_COARSE_STEP = 6
_SEAM_SLOPE, _SEAM_MM = 0.16, 0.8  # the field's mean slope in SD per millimetre; half the width of a seam
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
    z = np.arange(-289.0, 320.0, 6.0)
    above = np.maximum(z, spine.sacrum.centre[2])
    canal, size, body = spine.back_xy(z), spine.sizes(above), spine.body_xy(above)
    bulk = rng.normal(1.0, 0.06)
    wide = np.interp(z, [-200, -80, 0, 100, 200, 300], [34.0, 36, 33, 27, 24, 20]) * bulk
    # Below the sacrum's top the erectors run out and the psoas turns forwards and sideways.
    ends = np.clip((z + 275.0) / 70.0, 0.1, 1.0)
    thick = np.interp(z, [-200, -80, 0, 100, 200, 300], [19.0, 21, 18, 14, 13, 14]) * bulk
    behind = np.interp(z, [-200, -80, 0, 100, 300], [20.0, 22, 23, 26, 24])
    erectors, psoas, others, crura = [], [], [], []
    for sign, name in ((1, "left"), (-1, "right")):
        x = canal[:, 0] + sign * (wide + 1.5)
        erectors.append(
            (
                Column(z, x, canal[:, 1] + behind + 10 * (1 - ends), wide * ends, thick * ends),
                NUMBER[f"autochthon_{name}"],
            )
        )
        low = z < 4
        grow = np.interp(z[low], [-200, -120, -60, -20, 4], [21.0, 21, 16, 9, 4]) * bulk
        turn = np.maximum(-185.0 - z[low], 0.0)
        x = body[low, 0] + sign * (size[low, 0] / 2 + grow * 0.85 + 0.4 * turn)
        psoas.append(
            (
                Column(z[low], x, body[low, 1] + 5 - 0.55 * turn, grow, grow * 1.15),
                NUMBER[f"iliopsoas_{name}"],
            )
        )
        loin = low & (z > -215)
        x = canal[loin, 0] + sign * np.full(loin.sum(), 58.0)
        others.append(Column(z[loin], x, canal[loin, 1] + 6, 0 * x + 15, 0 * x + 6))
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
    fascia = fields.fascia + fat
    if canvas.wander is not None:
        fascia = np.maximum(fascia, fields.cavity - _wall_layer(canvas, trunk))
    muscle = t.muscle + 6 * soft - 70 * np.clip(fine - 1.25, 0, 1.2)
    canvas.paint(whole, fascia, muscle, label=NUMBER["muscle"])
    # Planes of fat between the layers: outside the chest wall, and between the sheets lateral to it.
    depths = ((_WALL_MM + 1.2, 0.9), (_WALL_MM + 12.0, 0.8), (_WALL_MM + 24.0, 0.8))
    for depth, wide in depths if canvas.wander is None else depths[:1]:
        plane = np.abs(fields.cavity - np.float32(depth) - 1.5 * soft) - np.float32(wide)
        canvas.paint(whole, np.maximum(plane, fascia + 1), FAT_HU + 25)
    if canvas.wander is not None:
        _paint_seams(canvas, canvas.wander, fields, fascia)
    canvas.paint(whole, fields.cavity, FAT_HU + 6 * soft, label=NUMBER["body"])
    lining = np.maximum(np.abs(fields.cavity + 0.5) - 0.6, -fields.dome)
    canvas.paint(whole, lining, t.muscle)


def _wall_layer(canvas: Canvas, trunk: TrunkPlan) -> Field:
    """Return how far the wall's muscles reach out from the cavity: thin over most ribs, thick where a muscle lies.

    Latissimus and serratus behind the armpit, the pectorals in front, everything in the shoulders and the loin.
    """
    y = np.linspace(canvas.y[0], canvas.y[-1], len(canvas.y) // _COARSE_STEP + 2)
    x = np.linspace(canvas.x[0], canvas.x[-1], len(canvas.x) // _COARSE_STEP + 2)
    o = trunk.outline(canvas.z)
    across = np.abs(x[None, None, :] - o.centre_x[:, None, None])
    angle = np.arctan2(across, y[None, :, None] - o.centre_y[:, None, None])
    z = canvas.z
    side = np.interp(z, [-20, 30, 90, 190, 240], [3.0, 6, 15, 24, 60])
    front = np.interp(z, [60, 120, 170, 220, 250], [0.0, 6, 15, 22, 50])
    base = np.interp(z, [-330, -20, 20, 60, 200, 250], [90.0, 60, 12, 9, 14, 90])
    layer = base[:, None, None] + side[:, None, None] * np.exp(-(((angle - 1.05) / 0.4) ** 2))
    layer = layer + front[:, None, None] * np.exp(-(((angle - 2.4) / 0.35) ** 2))
    # Behind, the erectors and the trapezius reach the subcutaneous fat.
    layer = layer + 40.0 * np.exp(-((angle / 0.5) ** 2))
    return upsampled(layer.astype(np.float32), (len(canvas.y), len(canvas.x)))


def _paint_seams(canvas: Canvas, wander: Waves, fields: TrunkFields, fascia: Field) -> None:
    """Paint the fat that parts one muscle of the wall from the next: the surfaces on which a smooth field is zero."""
    field = wander.on(canvas.z, canvas.y, canvas.x)
    seam = np.abs(field) * np.float32(1 / (_SEAM_SLOPE * wander.amplitude_mm)) - np.float32(_SEAM_MM)
    seam = np.maximum(np.maximum(seam, np.float32(_WALL_MM) - fields.cavity), fascia + 1)
    canvas.paint(canvas.whole, np.asarray(seam, np.float32), FAT_HU + 15)


def paint_muscles(canvas: Canvas, plan: MusclePlan, texture: Texture, streaks: Texture, t: Tissues) -> None:
    """Paint the muscles beside the spine, each in its own sheath of fat."""
    for columns, dip in ((plan.erectors, 110.0), (plan.psoas, 30.0)):
        for column, label in columns:
            _paint_muscle(canvas, column, label, texture, streaks, t, dip=dip)
    for column in plan.others:
        _paint_muscle(canvas, column, NUMBER["muscle"], texture, streaks, t, dip=40.0)
    for column in plan.crura:
        window = column_window(canvas, column)
        if window is not None:
            distance = column_distance(canvas, column, window)
            canvas.paint(window, distance, t.muscle, label=NUMBER["diaphragm"])
            canvas.mark(window, distance, Part.CRUS)


def _paint_muscle(
    canvas: Canvas, column: Column, label: int, texture: Texture, streaks: Texture, t: Tissues, *, dip: float
) -> None:
    window = column_window(canvas, column)
    if window is None:
        return
    distance = canvas.rough(window, column_distance(canvas, column, window), 0.6)
    canvas.paint(window, distance - np.float32(1.2), FAT_HU + 20, label=NUMBER["body"])
    fibres = np.clip(streaks.on(canvas, window) - 1.1, 0, 1.3)
    hu = t.muscle + 5 * texture.on(canvas, window) - dip * fibres
    canvas.paint(window, distance, np.asarray(hu, np.float32), label=label)


def paint_diaphragm(canvas: Canvas, fields: TrunkFields, hull: Field, t: Tissues) -> None:
    """Paint the muscle sheet under the lungs."""
    sheet = np.abs(fields.dome * np.float32(0.7) - 1.6) - 1.6
    where = np.maximum(np.maximum(sheet, fields.cavity + 0.5), -hull)
    where = np.asarray(where, np.float32)
    canvas.paint(canvas.whole, where, t.muscle, label=NUMBER["diaphragm"])
    canvas.mark(canvas.whole, where, Part.PLATE)


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
