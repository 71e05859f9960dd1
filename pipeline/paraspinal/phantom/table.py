"""The patient table: two thin curved shells with foam between them."""

from __future__ import annotations

import numpy as np

from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.patient import Table
from paraspinal.phantom.trunk import TrunkPlan

_SHELL_MM, _RADIUS_MM, _FLAT_RADIUS_MM, _FOAM_MM = 1.2, 520.0, 6000.0, 42.0
_REFERENCE_Z = np.arange(-200.0, 260.0, 20.0)


def paint_table(canvas: Canvas, trunk: TrunkPlan, kind: Table = "curved") -> None:
    """Paint the table just behind the back of the patient: curved or flat, or a thin sheet alone."""
    o = trunk.outline(_REFERENCE_Z)
    top = float((o.centre_y + o.body_back).max()) + 3.0
    radius = _FLAT_RADIUS_MM if kind == "flat" else _RADIUS_MM
    # What lies on the table keeps its place.
    window = canvas.window((-225, top - 60, canvas.z[0]), (225, top + 70, canvas.z[-1]))
    if window is None:
        return
    free = canvas.owner[window] == 0
    x, y, z = canvas.grid(window)
    curve = top - x * x / (2 * radius) + 0 * z
    upper = np.abs(y - curve) - _SHELL_MM
    lower = np.abs(y - curve - _FOAM_MM + x * x / 2400) - _SHELL_MM
    edge = np.abs(x) - 215.0
    foam = np.maximum(np.maximum(curve - y, y - curve - _FOAM_MM), edge)
    if kind == "thin":
        canvas.paint(window, np.asarray(np.maximum(upper, edge + 60), np.float32), 300.0, only=free)
        return
    canvas.paint(window, np.asarray(foam, np.float32), -965.0, only=free)
    for shell in (upper, lower):
        canvas.paint(window, np.asarray(np.maximum(shell, edge), np.float32), 120.0, only=free)
