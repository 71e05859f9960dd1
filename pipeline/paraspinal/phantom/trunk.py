"""The trunk: outer surface, cavity inside the chest and abdominal wall, and the domes of the diaphragm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from paraspinal.phantom import sdf
from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.deform import upsampled
from paraspinal.phantom.patient import PatientSpec
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spine import SpinePlan

Vector = npt.NDArray[np.float64]

_Z = np.array([-330.0, -285, -240, -160, -80, 0, 60, 110, 160, 210, 240, 265, 290, 330])
_HALF_WIDTH = np.array([92.0, 104, 118, 112, 113, 119, 122, 121, 114, 101, 84, 58, 40, 38])  # of the cavity
_HALF_DEPTH = np.array([58.0, 60, 62, 62, 68, 82, 92, 96, 92, 76, 61, 44, 32, 30])
_LATERAL_WALL = np.array(
    [80.0, 62, 40, 22, 18, 19, 21, 24, 31, 50, 74, 96, 96, 60]
)  # cavity to skin, without fat
_FRONT_WALL = np.array([18.0, 14, 10, 10, 10, 10, 11, 12, 14, 17, 20, 22, 22, 20])
_CAVITY_BEHIND = np.array(
    [10.0, 12, 14, 14, 15, 20, 23, 24, 24, 22, 18, 12, 6, 4]
)  # behind the canal's centre

_CAVITY_POWER = 2.3
_BODY_POWER = 2.5
_SKIN_BEHIND_CANAL_MM = 47.0
_FRONT_SHARE = 0.72
_COARSE_MM, _BREATH_MM = 3.2, 5.0
_FURROW_MM, _FURROW_HALF_WIDTH_MM = 5.0, 13.0


@dataclass(frozen=True, slots=True)
class Outline:
    """Semi-axes and centre of the trunk's cross-sections at given heights, each of shape (n,)."""

    centre_x: Vector
    centre_y: Vector
    half_width: Vector
    half_depth: Vector
    body_half_width: Vector
    body_front: Vector
    body_back: Vector


@dataclass(frozen=True, slots=True)
class Dome:
    """One dome of the diaphragm: its top, the place of it, and how it falls off to the wall."""

    top_mm: float
    centre: tuple[float, float]
    radii: tuple[float, float]
    drop_mm: float


@dataclass(frozen=True, slots=True)
class TrunkPlan:
    """Curves over LPS z, and the diaphragm."""

    spine: SpinePlan
    curves: PchipInterpolator
    fat_mm: float
    domes: tuple[Dome, ...]
    breasts_mm: float = 0.0
    breathing_mm: float = 0.0

    def outline(self, z: npt.ArrayLike) -> Outline:
        """Return the cross-sections at heights z."""
        zs = np.asarray(z, float)
        width, depth, lateral, front, behind = np.moveaxis(self.curves(np.clip(zs, _Z[0], _Z[-1])), -1, 0)
        canal = self.spine.back_xy(zs)
        centre_y = canal[..., 1] + behind - depth
        return Outline(
            canal[..., 0] * 0.7,
            centre_y,
            width,
            depth,
            width + lateral + self.fat_mm,
            depth + front + self.fat_mm,
            canal[..., 1] + _SKIN_BEHIND_CANAL_MM + 0.7 * self.fat_mm - centre_y,
        )

    def dome_height(self, x: npt.ArrayLike, y: npt.ArrayLike, *, clearance: float = 0.0) -> Vector:
        """Return the LPS z of the diaphragm's upper surface over (x, y)."""
        height: Vector | None = None
        for dome in self.domes:
            u = (np.asarray(x, float) - dome.centre[0]) / dome.radii[0]
            v = (np.asarray(y, float) - dome.centre[1]) / dome.radii[1]
            v = np.where(v < 0, _FRONT_SHARE * v, v)  # in front the diaphragm is attached higher than behind
            z = dome.top_mm - dome.drop_mm * np.minimum((u * u + v * v) ** 1.15, 4.0)
            height = z if height is None else np.logaddexp(height / 5, z / 5) * 5
        assert height is not None
        return height - clearance


def plan_trunk(
    rng: np.random.Generator,
    spine: SpinePlan,
    *,
    fat_mm: float,
    size_factor: float,
    patient: PatientSpec | None = None,
) -> TrunkPlan:
    """Vary the mean trunk a little and put the diaphragm at the height of T9–T10."""
    broad, deep = rng.normal(1.0, 0.02, 2) * (0.5 + 0.5 * size_factor)
    patient = patient or PatientSpec()
    broad, deep = broad * patient.breadth, deep * patient.depth
    rows = np.stack(
        [_HALF_WIDTH * broad, _HALF_DEPTH * deep, _LATERAL_WALL, _FRONT_WALL, _CAVITY_BEHIND], axis=1
    )
    curves = PchipInterpolator(_Z, rows)
    plan = TrunkPlan(spine, curves, fat_mm, ())
    at_dome = plan.outline(70.0)
    xc, yc = float(at_dome.centre_x), float(at_dome.centre_y)
    breath = rng.uniform(-6, 6)
    domes = (
        Dome(88.0 + breath, (xc - 58, yc - 10), (64.0, 92.0), 72.0),
        Dome(76.0 + breath, (xc + 60, yc - 10), (62.0, 92.0), 68.0),
        Dome(72.0 + breath, (xc + 4, yc - 34), (62.0, 62.0), 60.0),
    )
    return TrunkPlan(spine, curves, fat_mm, domes, patient.breasts_mm, patient.breathing_mm)


@dataclass(frozen=True, slots=True)
class TrunkFields:
    """Distances that many structures share, over one whole slab: shape (z, y, x), float32, negative inside.

    ``dome`` is the height of the voxel below the diaphragm's upper surface: negative above it. ``body`` is the skin,
    ``fascia`` the same without breasts.
    """

    body: Field
    cavity: Field
    dome: Field
    fascia: Field


def trunk_fields(canvas: Canvas, plan: TrunkPlan, *, coarse: bool = False) -> TrunkFields:
    """Evaluate the trunk's surfaces on a slab, or, faster, on every few millimetres of it and in between linearly."""
    step = max(1, int(_COARSE_MM / canvas.pixel_mm)) if coarse else 1
    if step == 1:
        return _fields(canvas.z, canvas.y, canvas.x, plan)
    shape = (len(canvas.y), len(canvas.x))
    y = np.linspace(canvas.y[0], canvas.y[-1], shape[0] // step + 2)
    x = np.linspace(canvas.x[0], canvas.x[-1], shape[1] // step + 2)
    few = _fields(canvas.z, y, x, plan)
    return TrunkFields(*(upsampled(f, shape) for f in (few.body, few.cavity, few.dome, few.fascia)))


def _fields(heights: Vector, back: Vector, left: Vector, plan: TrunkPlan) -> TrunkFields:
    o = plan.outline(heights)
    x = left[None, :] - o.centre_x[:, None]
    y = back[None, :] - o.centre_y[:, None]
    depth = np.where(y < 0, o.body_front[:, None], o.body_back[:, None])
    body = _superellipse(x, y, o.body_half_width[:, None], depth, _BODY_POWER)
    # The back is hollow over the spinous processes, between the erector muscles.
    furrow = _FURROW_MM * np.exp(-((x / _FURROW_HALF_WIDTH_MM) ** 2)).astype(np.float32)
    body += furrow[:, None, :] * (y > 0)[:, :, None]
    skin = _with_breasts(body, x, y, heights, o, plan) if plan.breasts_mm > 0 else body
    cavity = _superellipse(x, y, o.half_width[:, None], o.half_depth[:, None], _CAVITY_POWER)
    top = plan.dome_height(left[None, :], back[:, None]).astype(np.float32)
    dome = top[None] - heights.astype(np.float32)[:, None, None]
    if plan.breathing_mm > 0:
        # The diaphragm moves while the table does: its edge steps from slice to slice.
        dome += (plan.breathing_mm * np.sin(heights / _BREATH_MM)).astype(np.float32)[:, None, None]
    return TrunkFields(skin, cavity, dome, body)


def _with_breasts(body: Field, x: Vector, y: Vector, z: Vector, o: Outline, plan: TrunkPlan) -> Field:
    """Return the skin with a breast on each side of the front wall."""
    out = body
    for sign in (-1.0, 1.0):
        u = (x - sign * 0.52 * o.half_width[:, None]).astype(np.float32)[:, None, :] / 68.0
        v = (y + 0.86 * o.half_depth[:, None]).astype(np.float32)[:, :, None] / (34.0 + plan.breasts_mm)
        w = ((z - 150.0) / 70.0).astype(np.float32)[:, None, None]
        radius = np.sqrt(u * u + v * v + w * w)
        out = sdf.blend(out, np.asarray((radius - 1) * 50.0, np.float32), 20.0)
    return out


def _superellipse(x: Vector, y: Vector, a: Vector, b: Vector, power: float) -> Field:
    """Return the distance to |x/a|^p + |y/b|^p = 1, exact on the axes; x: (z, nx), y: (z, ny)."""
    u = (np.abs(x / a) ** power).astype(np.float32)[:, None, :]
    v = (np.abs(y / b) ** power).astype(np.float32)[:, :, None]
    total = u + v
    radius = np.maximum(total, np.float32(1e-6)) ** np.float32(1 / power)
    # The gradient of the radius along each axis turns it into millimetres.
    mean_a = (a.astype(np.float32))[:, None, :]
    b_map = np.broadcast_to(b, y.shape).astype(np.float32)[:, :, None]
    share = u / np.maximum(total, np.float32(1e-6))
    scale = share * mean_a + (1 - share) * b_map
    return np.asarray((radius - 1) * scale, dtype=np.float32)


def wall_point(plan: TrunkPlan, angle: Vector, z: Vector, outside_mm: float | Vector) -> Vector:
    """Return points (n, 3) on the chest wall; `angle` runs from the back (0) over the left side to the front (π)."""
    o = plan.outline(z)
    s, c = np.sin(angle), np.cos(angle)
    a, b = o.half_width + outside_mm, o.half_depth + outside_mm
    radius = (np.abs(s / a) ** _CAVITY_POWER + np.abs(c / b) ** _CAVITY_POWER) ** (-1 / _CAVITY_POWER)
    return np.stack([o.centre_x + radius * s, o.centre_y + radius * c, np.asarray(z, float)], axis=-1)
