"""The patient table: two thin curved shells with foam between them."""

from __future__ import annotations

import numpy as np

from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.trunk import TrunkPlan

_SHELL_MM, _RADIUS_MM, _FOAM_MM = 1.2, 520.0, 42.0
_REFERENCE_Z = np.arange(-200.0, 260.0, 20.0)


def paint_table(canvas: Canvas, trunk: TrunkPlan) -> None:
    """Paint the table just behind the back of the patient."""
    o = trunk.outline(_REFERENCE_Z)
    top = float((o.centre_y + o.body_back).max()) + 3.0
    window = canvas.window((-225, top - 60, canvas.z[0]), (225, top + 70, canvas.z[-1]))
    if window is None:
        return
    x, y, z = canvas.grid(window)
    curve = top - x * x / (2 * _RADIUS_MM) + 0 * z
    upper = np.abs(y - curve) - _SHELL_MM
    lower = np.abs(y - curve - _FOAM_MM + x * x / 2400) - _SHELL_MM
    edge = np.abs(x) - 215.0
    foam = np.maximum(np.maximum(curve - y, y - curve - _FOAM_MM), edge)
    canvas.paint(window, np.asarray(foam, np.float32), -965.0)
    for shell in (upper, lower):
        canvas.paint(window, np.asarray(np.maximum(shell, edge), np.float32), 120.0)
