"""Tubes along curves in space: ribs, vessels, bronchi."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from paraspinal.phantom import sdf
from paraspinal.phantom.canvas import Canvas, Window
from paraspinal.phantom.sdf import Field

Vector = npt.NDArray[np.float64]
_FAR_MM = np.float32(50.0)
_OVERLAP_MM = 1.8  # pieces of a flat tube reach over their ends, so that bends have no gaps


@dataclass(frozen=True, slots=True)
class Tube:
    """A chain of points (n, 3) in LPS with radii; ``flat`` > 1 makes the section taller than wide.

    ``normals`` (n, 3) point across the thin direction of a flat tube.
    """

    points: Vector
    radii: Vector
    normals: Vector | None = None
    flat: float = 1.0


def smooth_path(points: npt.ArrayLike, *, step_mm: float) -> Vector:
    """Return a curve through `points`, resampled at about `step_mm`."""
    p = np.asarray(points, float)
    s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))])
    n = max(int(s[-1] / step_mm), 1) + 1
    return np.asarray(PchipInterpolator(s, p)(np.linspace(0, s[-1], n)))


def tube_distance(canvas: Canvas, tube: Tube, *, margin: float = 2.5) -> tuple[Window, Field] | None:
    """Return the window that the tube touches and the distance to it, or None outside the slab."""
    reach = float(tube.radii.max()) * tube.flat + margin
    near = (tube.points[:, 2] > canvas.z[0] - reach) & (tube.points[:, 2] < canvas.z[-1] + reach)
    if not near.any():
        return None
    # A piece with one end near reaches to its other end, too.
    near = near | np.append(near[1:], False) | np.insert(near[:-1], 0, False)
    low, high = tube.points[near].min(axis=0) - reach, tube.points[near].max(axis=0) + reach
    window = canvas.window(low, high, margin=0.0)
    if window is None:
        return None
    out = np.full([s.stop - s.start for s in window], _FAR_MM, np.float32)
    for k in range(len(tube.points) - 1):
        if near[k] and near[k + 1]:
            _segment(canvas, tube, k, reach, window, out)
    return window, out


def _segment(canvas: Canvas, tube: Tube, k: int, reach: float, outer: Window, out: Field) -> None:
    p, q = tube.points[k], tube.points[k + 1]
    part = canvas.window(np.minimum(p, q) - reach, np.maximum(p, q) + reach, margin=0.0)
    if part is None:
        return
    inner = tuple(
        slice(max(a.start, b.start) - b.start, min(a.stop, b.stop) - b.start)
        for a, b in zip(part, outer, strict=True)
    )
    clipped = tuple(slice(i.start + b.start, i.stop + b.start) for i, b in zip(inner, outer, strict=True))
    if any(c.start >= c.stop for c in clipped):
        return
    x, y, z = canvas.grid((clipped[0], clipped[1], clipped[2]))
    box = (inner[0], inner[1], inner[2])
    radius = (float(tube.radii[k]), float(tube.radii[k + 1]))
    distance = sdf.capsule(x, y, z, p, q, radius) if tube.normals is None else _flat_segment(x, y, z, tube, k)
    out[box] = np.minimum(out[box], distance)


def _flat_segment(x: Field, y: Field, z: Field, tube: Tube, k: int) -> Field:
    """Return the distance to a piece of a flat tube: an ellipse across a line."""
    assert tube.normals is not None
    p, axis = tube.points[k], tube.points[k + 1] - tube.points[k]
    length = max(float(np.linalg.norm(axis)), 1e-6)
    along = axis / length
    thin = tube.normals[k] - (tube.normals[k] @ along) * along
    thin /= max(float(np.linalg.norm(thin)), 1e-6)
    tall = np.cross(along, thin)
    dx, dy, dz = x - np.float32(p[0]), y - np.float32(p[1]), z - np.float32(p[2])

    def project(axis_: Vector) -> Field:
        a = axis_.astype(np.float32)
        return np.asarray(dx * a[0] + dy * a[1] + dz * a[2])

    t = project(along)
    beyond = np.maximum(np.abs(t - length / 2) - length / 2 - _OVERLAP_MM, 0.0)
    radius = np.float32(tube.radii[k])
    section = sdf.ellipse(project(thin), project(tall), radius, radius * tube.flat)
    return np.asarray(
        np.where(beyond > 0, np.sqrt(np.maximum(section, 0) ** 2 + beyond**2), section), np.float32
    )


def paint_tube(canvas: Canvas, tube: Tube, hu: float, *, label: int | None = None) -> None:
    """Paint a tube of one attenuation."""
    found = tube_distance(canvas, tube)
    if found is not None:
        canvas.paint(found[0], found[1], hu, label=label)
