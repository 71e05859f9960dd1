"""One vertebra: body, pedicles, laminae, processes, with cortex, and trabeculae inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from paraspinal.phantom import sdf
from paraspinal.phantom.canvas import Canvas, Part, Window
from paraspinal.phantom.end_plates import plate_hollow
from paraspinal.phantom.labels import vertebra_number
from paraspinal.phantom.levels import LEVELS
from paraspinal.phantom.osteophytes import Beak, beak_distance
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spec import BoneSpec
from paraspinal.phantom.spine import VertebraPlan
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.trabeculae import HAEMANGIOMA, TrabecularSpec, voxel_tile

_ARCH_CORTEX_MM = 1.5  # the neural arch is mostly cortex
_ARCH_MARROW_HU = 380.0


def local_axes(canvas: Canvas, window: Window, plan: VertebraPlan) -> tuple[Field, Field, Field]:
    """Return the coordinates of a window along the vertebra's own axes: left, back, up."""
    x, y, z = canvas.grid(window)
    d = (x - np.float32(plan.centre[0]), y - np.float32(plan.centre[1]), z - np.float32(plan.centre[2]))
    axes = plan.axes.astype(np.float32)
    u, v, w = (a[0] * d[0] + a[1] * d[1] + a[2] * d[2] for a in axes)
    return u, v, w


def vertebra_window(canvas: Canvas, plan: VertebraPlan) -> Window | None:
    """Return the part of the slab that the vertebra can reach."""
    s = plan.size
    reach = s.transverse_tip + 10
    front, back = s.depth / 2 + 4, plan.canal_offset + s.canal_depth / 2 + s.spinous_length + 12
    x, y, z = plan.centre
    low = s.height / 2 + s.spinous_drop + 16
    return canvas.window((x - reach, y - front, z - low), (x + reach, y + back, z + s.height / 2 + 16))


def body_distance(u: Field, v: Field, w: Field, plan: VertebraPlan, bone: BoneSpec) -> Field:
    """Return the distance to the vertebral body: a waisted column between two hollow end plates."""
    s = plan.size
    h = s.height / 2
    waist = 1.0 - 0.09 * np.maximum(1.0 - (w / h) ** 2, 0.0)
    a, b = s.width / 2 * waist, s.depth / 2 * waist
    wall = sdf.ellipse(u, v, a, b)
    plate = np.abs(w) - (h - plate_hollow(u, v, w, plan, bone))
    # A rounded rim: the intersection of both, with its edge taken off.
    return -sdf.blend(-wall, -np.asarray(plate, np.float32), 2.0)


def arch_distance(u: Field, v: Field, w: Field, plan: VertebraPlan) -> Field:
    """Return the distance to pedicles, laminae, transverse, articular and spinous processes."""
    s = plan.size
    lumbar = plan.level[0] in "LS"
    half_h, ca, cb, vc = s.height / 2, s.canal_width / 2, s.canal_depth / 2, plan.canal_offset
    q = v - np.float32(vc)
    side = np.abs(u)
    pedicle_w, pedicle_h = (9.0, 0.29) if lumbar else (6.0, 0.31)
    pedicle_up = 0.24 * s.height
    pedicle = sdf.box(
        side - (ca + pedicle_w / 2 - 0.8),
        q + cb * 0.35,
        w - pedicle_up,
        (pedicle_w / 2, cb * 0.65 + 6.0, pedicle_h * s.height),
        2.5,
    )
    thick = 6.5 if lumbar else 5.5
    ring = sdf.ellipse(u, q, ca, cb)
    lamina_up, lamina_h = (
        (-0.02 * s.height, 0.44 * s.height) if lumbar else (0.05 * s.height, 0.46 * s.height)
    )
    lamina = np.maximum(np.abs(ring - thick / 2) - thick / 2, np.float32(-0.5) - q)
    lamina = np.maximum(lamina, np.abs(w - lamina_up + 0.30 * q) - lamina_h)
    tip_back, tip_up, tip_r = (5.0, 0.0, 3.6) if lumbar else (15.0, 1.5, 4.6)
    transverse = sdf.capsule(
        side, q, w, (ca + 3, 3.0, pedicle_up - 1), (s.transverse_tip - tip_r, tip_back, pedicle_up + tip_up),
        (5.0, tip_r),
    )  # fmt: skip
    upper = sdf.capsule(side, q, w, (ca + 4, 4.5, 0.2 * s.height), (ca + 4, 6.0, half_h + 4), (4.2, 3.2))
    lower = sdf.capsule(side, q, w, (ca + 1, 8.0, -0.1 * s.height), (ca + 1, 10.5, -half_h - 5), (4.2, 3.2))
    out = sdf.blend(sdf.blend(pedicle, lamina, 3.0), transverse, 3.0)
    return sdf.union(out, upper, lower, _spinous(u, q, w, plan, lumbar=lumbar))


def _spinous(u: Field, q: Field, w: Field, plan: VertebraPlan, *, lumbar: bool) -> Field:
    """Return the distance to the spinous process: a plate that slopes down in the chest, a hatchet in the loin."""
    s = plan.size
    start = np.array([s.canal_depth / 2 + 3.0, 0.0 if lumbar else -0.05 * s.height])
    end = start + np.array([s.spinous_length, -s.spinous_drop])
    axis = end - start
    t = np.clip(((q - start[0]) * axis[0] + (w - start[1]) * axis[1]) / float(axis @ axis), 0.0, 1.0)
    off = np.sqrt((q - start[0] - t * axis[0]) ** 2 + (w - start[1] - t * axis[1]) ** 2)
    tall = 9.0 if lumbar else 5.0
    return sdf.ellipse(u, off, 2.6 + 1.2 * t, tall)


def interior_hu(u: Field, v: Field, w: Field, bone: BoneSpec, fine: Field, *, phase: float) -> Field:
    """Return the attenuation of the trabecular interior: fine texture, or a network of coarse struts."""
    if bone.strut_spacing_mm <= 0:
        return np.asarray(bone.trabecular_hu + bone.texture_sd_hu * fine, np.float32)
    s = np.float32(bone.strut_spacing_mm)
    # The lattice wanders with the place, so that it is no crystal; columns keep their course over centimetres.
    uu = u + 0.9 * np.sin(v * 0.31 + phase) + 0.6 * np.sin(w * 0.17 + 2 * phase)
    vv = v + 0.9 * np.sin(u * 0.27 - phase) + 0.6 * np.sin(w * 0.13 + phase)
    ww = w + 0.8 * np.sin(u * 0.36 + phase) + 0.8 * np.sin(v * 0.29)
    row = np.floor(vv / (0.87 * s))
    du = uu / s + 0.5 * (row % 2)
    column = np.floor(du)
    jitter_u, jitter_v = _jitter(column, row, 12.9898), _jitter(column, row, 78.233)
    off_u = (du - column - 0.5 - 0.6 * jitter_u) * s
    off_v = (vv / (0.87 * s) - row - 0.5 - 0.6 * jitter_v) * 0.87 * s
    width = np.float32(bone.strut_width_mm)
    vertical = np.clip(1.0 - (np.sqrt(off_u**2 + off_v**2) - width / 2) / 0.6, 0.0, 1.0)
    pitch = 1.6 * s
    layer = np.floor(ww / pitch)
    broken = _jitter(column + 3 * layer, row, 37.719) > 0.1
    level = np.abs(ww / pitch - layer - 0.5) * pitch
    across = np.clip(
        1.0 - (np.maximum(level, np.minimum(np.abs(off_u), np.abs(off_v))) - width / 2) / 0.6, 0, 1
    )
    strength = 0.75 + 0.5 * _jitter(column, row, 51.17)  # no two columns are alike
    strut = np.maximum(strength * vertical, 0.6 * across * broken)
    return np.asarray(bone.marrow_hu + (bone.strut_hu - bone.marrow_hu) * strut + 25 * fine, np.float32)


def _jitter(i: Field, j: Field, factor: float) -> Field:
    """Return a repeatable pseudo-random number in ±0.5 for each cell (i, j)."""
    value = np.sin(i * np.float32(factor) + j * np.float32(4.1414 * factor)) * np.float32(437.585)
    return np.asarray(value - np.floor(value) - 0.5, np.float32)


def _structure_of(plan: VertebraPlan, bone: BoneSpec) -> TrabecularSpec | None:
    if plan.level in bone.haemangiomas:
        seed = 0 if bone.trabeculae is None else bone.trabeculae.seed
        return replace(HAEMANGIOMA, seed=seed)
    return bone.trabeculae


def _structured_hu(
    canvas: Canvas, u: Field, v: Field, w: Field, structure: TrabecularSpec, plan: VertebraPlan
) -> Field:
    """Return what the canvas's voxels hold of a trabecular structure; every vertebra shows another part of it."""
    fine_mm = float(canvas.z[1] - canvas.z[0]) if len(canvas.z) > 1 else canvas.pixel_mm
    tile = voxel_tile(structure, (fine_mm, canvas.pixel_mm, canvas.pixel_mm))
    away = np.float32(LEVELS.index(plan.level) * 7.3)
    return tile.at(u + away, v + 1.7 * away, w + 0.6 * away)


def paint_vertebra(
    canvas: Canvas,
    plan: VertebraPlan,
    bone: BoneSpec,
    texture: Texture,
    beaks: tuple[Beak, ...] = (),
) -> None:
    """Paint one vertebra: cortical shell first, then what lies inside it."""
    window = vertebra_window(canvas, plan)
    if window is None:
        return
    u, v, w = local_axes(canvas, window, plan)
    body, arch = body_distance(u, v, w, plan, bone), arch_distance(u, v, w, plan)
    hole = sdf.ellipse(u, v - plan.canal_offset, plan.size.canal_width / 2, plan.size.canal_depth / 2)
    arch = np.asarray(np.maximum(arch, -hole), np.float32)
    whole = sdf.blend(body, arch, 2.5)
    beak = beak_distance(u, v, w, plan, beaks)
    if beak is not None:
        canvas.paint(window, beak, 0.75 * bone.cortex_hu, label=vertebra_number(plan.level))
        canvas.mark(window, np.maximum(beak, -whole), Part.OSTEOPHYTE)
    canvas.paint(window, whole, bone.cortex_hu, label=vertebra_number(plan.level))
    canvas.mark(window, body, Part.COLUMN)
    fine = texture.on(canvas, window)
    structure = _structure_of(plan, bone)
    if structure is None:
        inside = interior_hu(u, v, w, bone, fine, phase=float(plan.centre[2]))
    else:
        inside = _structured_hu(canvas, u, v, w, structure, plan)
    # The interior of the body may run into the pedicles; the arch keeps its own thick cortex.
    marrow_body = np.maximum(body, whole) + np.float32(bone.cortex_mm)
    marrow_arch = np.maximum(arch, whole) + np.float32(_ARCH_CORTEX_MM)
    dense = 0.65 if bone.strut_spacing_mm > 0 else 1.0
    mean = bone.trabecular_hu if structure is None else structure.mean_hu
    canvas.paint(
        window,
        marrow_arch,
        np.float32(_ARCH_MARROW_HU * dense) + 0.3 * (inside - np.float32(mean)),
    )
    canvas.paint(window, marrow_body, inside)
