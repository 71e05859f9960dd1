"""The vertebral column as a whole: discs, foramina, the canal with cord and fat, the sacrum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from paraspinal.phantom import sdf
from paraspinal.phantom.canvas import Canvas, Part
from paraspinal.phantom.columns import Column, column_distance, column_window
from paraspinal.phantom.end_plates import deepest_mm
from paraspinal.phantom.labels import NUMBER, vertebra_number
from paraspinal.phantom.osteophytes import Beak
from paraspinal.phantom.sacrum import paint_sacrum
from paraspinal.phantom.spec import BoneSpec
from paraspinal.phantom.spine import SpinePlan, VertebraPlan
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.tissue import CORD_HU, CSF_HU, DISC_HU, EPIDURAL_FAT_HU, LEAN_EPIDURAL_HU, LIGAMENT_HU
from paraspinal.phantom.tubes import Tube, paint_tube, smooth_path
from paraspinal.phantom.vertebra import paint_vertebra

CANAL_TOP_MM = 345.0
_CONUS_MM = -18.0  # the cord ends about L1
_DISC_IN_BONE_MM = 2.0  # the bodies' rounded rims leave it so much room
_PLATE_RIM_MM = 3.0


def paint_spine(
    canvas: Canvas,
    spine: SpinePlan,
    bone: BoneSpec,
    texture: Texture,
    *,
    high_z: float,
    beaks: Mapping[str, tuple[Beak, ...]],
    fused: bool = False,
    epidural_fat: float = 1.0,
) -> None:
    """Paint foraminal fat and ligaments, discs, vertebrae, sacrum and the canal."""
    scaled = _at_voltage(bone, high_z)
    for plan in spine.free:
        _paint_disc(canvas, plan, sunk_mm=deepest_mm(bone))
        _paint_foramen(canvas, plan, epidural_fat)
    for plan in spine.free:
        paint_vertebra(canvas, plan, scaled, texture, beaks.get(plan.level, ()))
    if fused:
        _paint_fusion(canvas, spine, scaled)
    paint_sacrum(canvas, spine, scaled, texture)
    _paint_canal(canvas, spine, epidural_fat)


def _paint_fusion(canvas: Canvas, spine: SpinePlan, bone: BoneSpec) -> None:
    """Paint broad transverse processes of L5 that have grown together with the sacral wings."""
    last, sacrum = spine.vertebra("L5"), spine.sacrum
    for sign in (1, -1):
        path = smooth_path(
            [
                last.place(sign * 20, last.canal_offset - 4, 2),
                last.place(sign * 36, last.canal_offset - 2, -4),
                sacrum.place(sign * 38, 9, 6),
            ],
            step_mm=5,
        )
        tube = Tube(path, np.linspace(8, 11, len(path)))
        paint_tube(canvas, tube, bone.cortex_hu, label=vertebra_number("L5"))
        paint_tube(canvas, Tube(path, tube.radii - 1.4), bone.trabecular_hu * 0.9)


def _at_voltage(bone: BoneSpec, gain: float) -> BoneSpec:
    """Return the bone as a tube voltage shows it; what exceeds soft tissue scales."""

    def scale(hu: float) -> float:
        return 40 + (hu - 40) * gain

    return replace(
        bone,
        trabecular_hu=scale(bone.trabecular_hu),
        texture_sd_hu=bone.texture_sd_hu * gain,
        cortex_hu=scale(bone.cortex_hu),
        strut_hu=scale(bone.strut_hu),
        marrow_hu=scale(bone.marrow_hu),
        trabeculae=None if bone.trabeculae is None else bone.trabeculae.at_voltage(gain),
    )


def _paint_disc(canvas: Canvas, plan: VertebraPlan, *, sunk_mm: float) -> None:
    """Paint the disc below a vertebra, and what of it has sunk into the bodies."""
    s = plan.size
    middle = plan.place(0, 0, -(s.height + s.disc) / 2)
    reach = s.width / 2 + 4
    window = canvas.window(middle - reach, middle + reach)
    if window is None:
        return
    x, y, z = canvas.grid(window)
    d = (x - middle[0], y - middle[1], z - middle[2])
    a = plan.axes.astype(np.float32)
    u, v, w = (row[0] * d[0] + row[1] * d[1] + row[2] * d[2] for row in a)
    wall = sdf.ellipse(u, v, s.width / 2 + 0.3, s.depth / 2 + 0.3)
    usual = np.maximum(wall, np.abs(w) - (s.disc / 2 + _DISC_IN_BONE_MM))
    sunk = np.maximum(wall + _PLATE_RIM_MM, np.abs(w) - (s.disc / 2 + _DISC_IN_BONE_MM + sunk_mm))
    disc = np.asarray(np.minimum(usual, sunk), np.float32)
    canvas.paint(window, disc, DISC_HU, label=NUMBER["intervertebral_disc"])
    canvas.mark(window, disc, Part.COLUMN)


def _paint_foramen(canvas: Canvas, plan: VertebraPlan, fat_share: float) -> None:
    """Paint the fat of both foramina below a vertebra's pedicles, each with its nerve, and the yellow ligament."""
    s = plan.size
    ca, vc, up = s.canal_width / 2, plan.canal_offset, -0.38 * s.height
    middle = plan.place(0, vc, up)
    window = canvas.window(middle - 36, middle + 36)
    if window is None:
        return
    x, y, z = canvas.grid(window)
    ligament = sdf.capsule(
        x, y, z, plan.place(0, vc + s.canal_depth / 2, -0.35 * s.height),
        plan.place(0, vc + s.canal_depth / 2 + 1, -0.5 * s.height - s.disc - 3), (8.0, 8.0),
    )  # fmt: skip
    canvas.paint(window, ligament, LIGAMENT_HU)
    for sign in (1, -1):
        inner, outer = plan.place(sign * ca * 0.7, vc - 2, up), plan.place(sign * (ca + 11), vc - 1, up - 1)
        fat = sdf.capsule(x, y, z, inner, outer, (5.5, 5.0))
        canvas.paint(window, fat, _epidural_hu(fat_share), label=NUMBER["foramen"])
        end = plan.place(sign * (ca + 17), vc - 2, up - 5)
        canvas.paint(window, sdf.capsule(x, y, z, inner, end, (1.8, 1.6)), LIGAMENT_HU - 5)


def canal_column(spine: SpinePlan, *, scale: float = 1.0) -> Column:
    """Return the bony canal as a column of ellipses."""
    z = np.arange(spine.canal_end_mm, CANAL_TOP_MM, 4.0)
    canal, size = spine.canal_xy(z), spine.sizes(np.maximum(z, spine.sacrum.centre[2]))
    # The sacral canal narrows towards its end.
    narrow = scale * np.clip((z - spine.canal_end_mm) / 60.0 + 0.3, 0.3, 1.0)
    return Column(z, canal[:, 0], canal[:, 1], size[:, 2] / 2 * narrow, size[:, 3] / 2 * narrow)


def _epidural_hu(fat_share: float) -> float:
    """Return the attenuation of what surrounds sac and roots: fat, or in the lean veins and loose tissue."""
    return LEAN_EPIDURAL_HU + fat_share * (EPIDURAL_FAT_HU - LEAN_EPIDURAL_HU)


def _paint_canal(canvas: Canvas, spine: SpinePlan, fat_share: float) -> None:
    """Paint epidural fat, most of it behind, the dural sac and the cord (or the roots below it)."""
    canal = canal_column(spine)
    window = column_window(canvas, canal)
    if window is None:
        return
    outer = column_distance(canvas, canal, window)
    canvas.paint(window, outer, _epidural_hu(fat_share), label=NUMBER["canal"])
    sac = Column(canal.z, canal.x, canal.y - 0.12 * canal.b, canal.a * 0.8, canal.b * 0.8)
    canvas.paint(window, column_distance(canvas, sac, window), CSF_HU)
    cord_a = np.interp(canal.z, [_CONUS_MM - 30, _CONUS_MM, 40, 250, 300], [0.8, 2.5, 4.8, 4.8, 6.2])
    cord = Column(canal.z, canal.x, canal.y - 0.6, cord_a, cord_a * 0.8)
    canvas.paint(window, column_distance(canvas, cord, window), CORD_HU)
    roots = Column(canal.z, canal.x, canal.y + 2.0, sac.a * 0.55, sac.b * 0.4)
    below = np.maximum(column_distance(canvas, roots, window), canvas.grid(window)[2] - _CONUS_MM)
    canvas.paint(window, np.asarray(below, np.float32), 26.0)
