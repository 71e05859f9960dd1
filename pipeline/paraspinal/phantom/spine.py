"""The course of the spine: where each vertebra lies, how it is tilted, and the canal behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline, PchipInterpolator

from paraspinal.phantom.levels import LEVELS, VertebraSize, vertebra_size

Vector = npt.NDArray[np.float64]
Point = npt.NDArray[np.float64]

# Heights (mm from the T12/L1 disc) and the spine's forward-backward course there: a mild thoracic kyphosis
# and lumbar lordosis as seen in supine CT.
_COURSE_Z = np.array([-240.0, -190.0, -150.0, -75.0, 0.0, 60.0, 100.0, 140.0, 200.0, 250.0, 300.0, 360.0])
_COURSE_Y = np.array([34.0, 15.0, -3.0, -12.0, -3.0, 5.0, 8.0, 7.0, -5.0, -21.0, -40.0, -52.0])


@dataclass(frozen=True, slots=True)
class VertebraPlan:
    """One vertebra: its body's centre (x, y, z), its size, and its own axes.

    Rows of ``axes`` are unit vectors in LPS: left, back, up along the spine.
    """

    level: str
    centre: Point
    size: VertebraSize
    axes: npt.NDArray[np.float64]

    @property
    def canal_offset(self) -> float:
        """Distance of the canal's centre behind the body's centre; the canal indents the body's back wall."""
        return self.size.depth / 2 + self.size.canal_depth / 2 - 1.5

    def place(self, left: float, back: float, up: float) -> Point:
        """Return the LPS point at the given distances along the vertebra's own axes."""
        return np.asarray(self.centre + np.array([left, back, up]) @ self.axes)

    def end_plate_mm(self, sign: int) -> float:
        """Return the LPS z of the cranial (+1) or caudal (-1) end plate at the body's centre."""
        return float(self.place(0.0, 0.0, sign * self.size.height / 2)[2])


@dataclass(frozen=True, slots=True)
class SpinePlan:
    """The whole spine, cranial first; curves take LPS z in millimetres."""

    vertebrae: tuple[VertebraPlan, ...]
    body_curve: PchipInterpolator
    canal_curve: PchipInterpolator
    size_curve: PchipInterpolator

    def vertebra(self, level: str) -> VertebraPlan:
        """Return the vertebra of that name."""
        return self.vertebrae[LEVELS.index(level)]

    def body_xy(self, z: npt.ArrayLike) -> Vector:
        """Return (…, 2) x and y of the column of vertebral bodies."""
        return np.asarray(self.body_curve(z))

    def canal_xy(self, z: npt.ArrayLike) -> Vector:
        """Return (…, 2) x and y of the canal's centre."""
        return np.asarray(self.canal_curve(z))

    def sizes(self, z: npt.ArrayLike) -> Vector:
        """Return (…, 4): body width and depth, canal width and depth at height z."""
        return np.asarray(self.size_curve(z))


def _axes(tangent: Vector) -> npt.NDArray[np.float64]:
    up = tangent / np.linalg.norm(tangent)
    back = np.array([0.0, 1.0, 0.0]) - up[1] * up
    back /= np.linalg.norm(back)
    return np.stack([np.cross(back, up), back, up])


def plan_spine(rng: np.random.Generator, *, size_factor: float) -> SpinePlan:
    """Stack the vertebrae along a seeded curve with the T12/L1 disc at z = 0."""
    bend, sway, phase = rng.uniform(0.85, 1.2), rng.uniform(-3.5, 3.5), rng.uniform(0, 2 * np.pi)
    forward = CubicSpline(_COURSE_Z, _COURSE_Y * bend)
    z = np.arange(-260.0, 400.0, 0.5)
    y = forward(z)
    x = sway * (np.sin(2 * np.pi * z / 380 + phase) - np.sin(phase))
    step = np.sqrt(np.diff(x) ** 2 + np.diff(y) ** 2 + np.diff(z) ** 2)
    arc = np.concatenate([[0.0], np.cumsum(step)])
    arc -= np.interp(0.0, z, arc)
    path = np.stack([x, y, z], axis=1)

    sizes = [vertebra_size(level).scaled(size_factor * rng.normal(1, 0.012)) for level in LEVELS]
    first_lumbar = LEVELS.index("L1")
    above = sum(s.height + s.disc for s in sizes[:first_lumbar]) - sizes[first_lumbar - 1].disc / 2
    plans, top = [], above
    for level, size in zip(LEVELS, sizes, strict=True):
        middle = top - size.height / 2
        centre = np.array([np.interp(middle, arc, path[:, k]) for k in range(3)])
        ahead = np.array([np.interp(middle + 5, arc, path[:, k]) for k in range(3)])
        plans.append(VertebraPlan(level, centre, size, _axes(ahead - centre)))
        top -= size.height + size.disc
    return _with_curves(tuple(plans))


def _with_curves(plans: tuple[VertebraPlan, ...]) -> SpinePlan:
    upward = plans[::-1]
    canal = np.array([v.place(0, v.canal_offset, 0) for v in upward])
    body = np.array([v.centre for v in upward])
    size = np.array([(v.size.width, v.size.depth, v.size.canal_width, v.size.canal_depth) for v in upward])
    return SpinePlan(
        plans,
        PchipInterpolator(body[:, 2], body[:, :2]),
        PchipInterpolator(canal[:, 2], canal[:, :2]),
        PchipInterpolator(body[:, 2], size),
    )
