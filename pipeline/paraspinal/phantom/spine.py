"""The course of the spine: where each vertebra lies, how it is tilted, and the canal behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.optimize import brentq

from paraspinal.phantom.levels import LEVELS, VertebraSize, vertebra_size
from paraspinal.phantom.patient import PatientSpec

Vector = npt.NDArray[np.float64]
Point = npt.NDArray[np.float64]

# Heights (mm from the T12/L1 disc) and the spine's forward-backward course there: a mild thoracic kyphosis
# and lumbar lordosis as seen in supine CT.
_COURSE_Z = np.array([-240.0, -190.0, -150.0, -75.0, 0.0, 60.0, 100.0, 140.0, 200.0, 250.0, 300.0, 360.0])
_COURSE_Y = np.array([34.0, 15.0, -3.0, -12.0, -3.0, 5.0, 8.0, 7.0, -5.0, -21.0, -40.0, -52.0])

_KYPHOSIS_Z = np.array([232.0, 4.0])  # upper end plate of T4, lower end plate of T12
_CURVE_SIGMA_MM = 62.0
_TURN_SHARE = 0.4  # vertebrae turn towards the convex side; engineering figure
_FUSED_DISC_MM = 3.0
_FALSE_SACRUM = "S2"
# The sacral canal below the first sacral body: behind the line of its own axis, and down.
_SACRAL_CANAL = ((28.0, -62.0), (24.0, -48.0), (13.0, -26.0))


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
    """The whole spine, cranial first; curves take LPS z in millimetres.

    ``sacrum`` carries the fused sacral bone: it is the last of the vertebrae, or stands below it where that is free.
    """

    vertebrae: tuple[VertebraPlan, ...]
    sacrum: VertebraPlan
    body_curve: PchipInterpolator
    canal_curve: PchipInterpolator
    back_curve: PchipInterpolator
    size_curve: PchipInterpolator

    def vertebra(self, level: str) -> VertebraPlan:
        """Return the vertebra of that name."""
        return self.vertebrae[LEVELS.index(level)]

    @property
    def free(self) -> tuple[VertebraPlan, ...]:
        """The vertebrae that are no part of the sacrum."""
        return tuple(v for v in self.vertebrae if v is not self.sacrum)

    @property
    def canal_end_mm(self) -> float:
        """LPS z at which the sacral canal ends."""
        return float(self.canal_curve.x[0])

    def body_xy(self, z: npt.ArrayLike) -> Vector:
        """Return (…, 2) x and y of the column of vertebral bodies."""
        return np.asarray(self.body_curve(z))

    def canal_xy(self, z: npt.ArrayLike) -> Vector:
        """Return (…, 2) x and y of the canal's centre."""
        return np.asarray(self.canal_curve(z))

    def back_xy(self, z: npt.ArrayLike) -> Vector:
        """Return (…, 2) x and y that the trunk follows: the canal, but straight on at the sacrum."""
        return np.asarray(self.back_curve(np.maximum(z, self.sacrum.centre[2] - 8.0)))

    def sizes(self, z: npt.ArrayLike) -> Vector:
        """Return (…, 4): body width and depth, canal width and depth at height z."""
        return np.asarray(self.size_curve(z))


def _axes(tangent: Vector, *, turn_deg: float = 0.0) -> npt.NDArray[np.float64]:
    """Return a vertebra's axes along the spine; `turn_deg` turns its front towards the patient's left."""
    up = tangent / np.linalg.norm(tangent)
    turn = np.deg2rad(turn_deg)
    back = np.array([-np.sin(turn), np.cos(turn), 0.0])
    back -= (back @ up) * up
    back /= np.linalg.norm(back)
    return np.stack([np.cross(back, up), back, up])


def plan_spine(
    rng: np.random.Generator, *, size_factor: float, patient: PatientSpec | None = None
) -> SpinePlan:
    """Stack the vertebrae along a seeded curve with the T12/L1 disc at z = 0."""
    patient = patient or PatientSpec()
    bend, sway, phase = rng.uniform(0.85, 1.2), rng.uniform(-3.5, 3.5), rng.uniform(0, 2 * np.pi)
    forward = _course(bend, patient.kyphosis_deg)
    z = np.arange(-260.0, 400.0, 0.5)
    y = forward(z)
    x = sway * (np.sin(2 * np.pi * z / 380 + phase) - np.sin(phase))
    lean = _scoliosis(z, patient)
    x = x + lean - np.interp(0.0, z, lean)
    step = np.sqrt(np.diff(x) ** 2 + np.diff(y) ** 2 + np.diff(z) ** 2)
    arc = np.concatenate([[0.0], np.cumsum(step)])
    arc -= np.interp(0.0, z, arc)
    path = np.stack([x, y, z], axis=1)

    names = [*LEVELS, _FALSE_SACRUM] if patient.transition == "lumbarised_S1" else list(LEVELS)
    sizes = [_size(name, patient).scaled(size_factor * rng.normal(1, 0.012)) for name in names]
    first_lumbar = LEVELS.index("L1")
    above = sum(s.height + s.disc for s in sizes[:first_lumbar]) - sizes[first_lumbar - 1].disc / 2
    plans, top = [], above
    for name, size in zip(names, sizes, strict=True):
        middle = top - size.height / 2
        centre = np.array([np.interp(middle, arc, path[:, k]) for k in range(3)])
        ahead = np.array([np.interp(middle + 5, arc, path[:, k]) for k in range(3)])
        turn = _TURN_SHARE * patient.scoliosis_deg * float(_bump(centre[2], patient))
        plans.append(VertebraPlan(name, centre, size, _axes(ahead - centre, turn_deg=turn)))
        top -= size.height + size.disc
    return _with_curves(tuple(plans))


def _course(bend: float, kyphosis_deg: float | None) -> CubicSpline:
    """Return the forward-backward course; the chest's part is scaled until T4–T12 have the angle asked for."""

    def course(chest: float) -> CubicSpline:
        return CubicSpline(_COURSE_Z, _COURSE_Y * np.where(_COURSE_Z > 0, chest, bend))

    def angle(chest: float) -> float:
        slope = course(chest)(_KYPHOSIS_Z, 1)
        return float(np.rad2deg(np.arctan(slope[1]) - np.arctan(slope[0])))

    if kyphosis_deg is None:
        return course(bend)
    return course(float(brentq(lambda chest: angle(chest) - kyphosis_deg, 0.0, 6.0)))


def _bump(z: npt.ArrayLike, patient: PatientSpec) -> Vector:
    return np.asarray(np.exp(-0.5 * ((np.asarray(z) - patient.scoliosis_apex_mm) / _CURVE_SIGMA_MM) ** 2))


def _scoliosis(z: Vector, patient: PatientSpec) -> Vector:
    """Return the sideways course: a bump whose steepest tilts above and below the apex add up to the Cobb angle."""
    tilt = np.tan(np.deg2rad(patient.scoliosis_deg / 2))
    return np.asarray(tilt * _CURVE_SIGMA_MM * np.exp(0.5) * _bump(z, patient))


def _size(name: str, patient: PatientSpec) -> VertebraSize:
    """Return the mean size of a vertebra; transitional ones take after their neighbours."""
    if name == _FALSE_SACRUM:
        return vertebra_size("S1")
    size = vertebra_size(name)
    if patient.transition == "sacralised_L5" and name == "L5":
        return replace(size, disc=_FUSED_DISC_MM)
    if patient.transition == "lumbarised_S1" and name == "S1":
        return replace(vertebra_size("L5"), disc=7.0)
    return size


def _with_curves(plans: tuple[VertebraPlan, ...]) -> SpinePlan:
    sacrum, upward = plans[-1], plans[::-1]
    canal = np.array([v.place(0, v.canal_offset, 0) for v in upward])
    tail = np.array([sacrum.place(0, sacrum.canal_offset + back, up) for back, up in _SACRAL_CANAL])
    whole = np.concatenate([tail, canal])
    body = np.array([v.centre for v in upward])
    size = np.array([(v.size.width, v.size.depth, v.size.canal_width, v.size.canal_depth) for v in upward])
    return SpinePlan(
        plans[: len(LEVELS)],
        sacrum,
        PchipInterpolator(body[:, 2], body[:, :2]),
        PchipInterpolator(whole[:, 2], whole[:, :2]),
        PchipInterpolator(canal[:, 2], canal[:, :2]),
        PchipInterpolator(body[:, 2], size),
    )
