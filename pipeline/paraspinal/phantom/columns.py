"""Structures that run along the body: an ellipse in every axial cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.phantom import sdf
from paraspinal.phantom.canvas import Canvas, Window
from paraspinal.phantom.sdf import Field

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Column:
    """Centre (x, y) and semi-axes (a, b) at heights z, ascending; it ends, rounded, at the first and last z."""

    z: Vector
    x: Vector
    y: Vector
    a: Vector
    b: Vector

    def at(self, z: npt.ArrayLike) -> tuple[Vector, Vector, Vector, Vector]:
        """Return x, y, a, b at the given heights."""
        zs = np.asarray(z, float)
        return (
            np.interp(zs, self.z, self.x),
            np.interp(zs, self.z, self.y),
            np.interp(zs, self.z, self.a),
            np.interp(zs, self.z, self.b),
        )

    def grown(self, mm: float) -> Column:
        """Return the column with all semi-axes longer by `mm`."""
        return Column(self.z, self.x, self.y, self.a + mm, self.b + mm)


def column_window(canvas: Canvas, column: Column, *, margin: float = 3.0) -> Window | None:
    """Return the part of the slab that the column reaches."""
    reach = max(float(column.a.max()), float(column.b.max())) + margin
    low = (float(column.x.min()) - reach, float(column.y.min()) - reach, float(column.z[0]))
    high = (float(column.x.max()) + reach, float(column.y.max()) + reach, float(column.z[-1]))
    return canvas.window(low, high, margin=1.0)


def column_distance(canvas: Canvas, column: Column, window: Window) -> Field:
    """Return the distance to the column in a window."""
    x, y, z = canvas.grid(window)
    heights = canvas.z[window[0]]
    cx, cy, a, b = (c.astype(np.float32)[:, None, None] for c in column.at(heights))
    side = sdf.ellipse(x - cx, y - cy, np.maximum(a, 0.3), np.maximum(b, 0.3))
    ends = np.maximum(np.float32(column.z[0]) - z, z - np.float32(column.z[-1]))
    return np.asarray(np.maximum(side, ends), np.float32)


def paint_column(
    canvas: Canvas, column: Column, hu: Field | float, *, label: int | None = None, wall_mm: float = 0.0,
    wall_hu: float = 45.0,
) -> None:  # fmt: skip
    """Paint a column, with a wall of another attenuation where `wall_mm` is given."""
    window = column_window(canvas, column)
    if window is None:
        return
    distance = column_distance(canvas, column, window)
    if wall_mm > 0:
        canvas.paint(window, distance, wall_hu, label=label)
        distance = distance + np.float32(wall_mm)
        label = None
    canvas.paint(window, distance, hu, label=label)
