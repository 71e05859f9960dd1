"""Metal in the body: pedicle screws with rods, or a surgical clip."""

from __future__ import annotations

import numpy as np

from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.labels import NUMBER
from paraspinal.phantom.patient import Metal
from paraspinal.phantom.spine import SpinePlan
from paraspinal.phantom.trunk import TrunkPlan
from paraspinal.phantom.tubes import Tube, paint_tube, smooth_path

METAL_HU = 9000.0  # titanium; the volume is clipped at 3071 HU
_LEVELS = ("T11", "T12", "L1")
_SCREW_MM, _ROD_MM = 3.0, 2.8


def paint_metal(canvas: Canvas, trunk: TrunkPlan, kind: Metal) -> None:
    """Paint what the patient carries."""
    if kind == "screws":
        for tube in _screws(trunk.spine):
            paint_tube(canvas, tube, METAL_HU, label=NUMBER["metal"])
    elif kind == "clip":
        o = trunk.outline(10.0)
        at = np.array([float(o.centre_x) - 32.0, float(o.centre_y) - 18.0, 4.0])
        path = np.array([at, at + np.array([6.0, 2.0, 3.0])])
        paint_tube(canvas, Tube(path, np.full(2, 1.4)), METAL_HU, label=NUMBER["metal"])


def _screws(spine: SpinePlan) -> tuple[Tube, ...]:
    tubes = []
    for sign in (1, -1):
        heads = []
        for level in _LEVELS:
            v = spine.vertebra(level)
            up = 0.24 * v.size.height
            entry = v.place(sign * (v.size.canal_width / 2 + 5.5), v.canal_offset + 16.0, up)
            tip = v.place(sign * v.size.width * 0.2, -0.25 * v.size.depth, up)
            tubes.append(Tube(np.array([tip, entry]), np.full(2, _SCREW_MM)))
            heads.append(v.place(sign * (v.size.canal_width / 2 + 6.0), v.canal_offset + 20.0, up))
        rod = smooth_path(heads, step_mm=6)
        tubes.append(Tube(rod, np.full(len(rod), _ROD_MM)))
    return tuple(tubes)
