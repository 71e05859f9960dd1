"""The outer shape of a mass, around its own centre: out from the spine, ahead, up; millimetres."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paraspinal.phantom import sdf
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spec import MassSpec

Ball = tuple[npt.NDArray[np.float64], float]

_LOBES = 12
_WAIST = 0.45  # of a dumb-bell, of its greater radius


def draw_lobes(rng: np.random.Generator, spec: MassSpec) -> tuple[Ball, ...]:
    """Draw the lobes of a lobulated mass around its centre (out, ahead, up); other shapes have none."""
    if spec.shape != "lobulated":
        return ()
    axes = np.array(spec.semi_axes_mm)
    found = []
    for k in range(_LOBES):
        height = -0.8 + 1.6 * k / (_LOBES - 1)
        ring = np.sqrt(1 - height**2)
        direction = np.array([ring * np.cos(2.4 * k), ring * np.sin(2.4 * k), height])
        found.append((0.72 * axes * direction, float(axes.min()) * rng.uniform(0.32, 0.42)))
    return tuple(found)


def distance_to(spec: MassSpec, lobes: tuple[Ball, ...], out: Field, ahead: Field, up: Field) -> Field:
    """Return the signed distance (mm, negative inside) to the mass around its own centre."""
    a, b, c = spec.semi_axes_mm
    if spec.shape == "fusiform":
        return _spindle(out, ahead, up, (a, b, c))
    if spec.shape == "dumbbell":
        heads = [sdf.ellipsoid(out, ahead, up - k * 0.55 * c, (a, b, 0.45 * c)) for k in (-1.0, 1.0)]
        neck = sdf.ellipsoid(out, ahead, up, (_WAIST * a, _WAIST * b, 0.6 * c))
        return sdf.blend(sdf.blend(heads[0], neck, 4.0), heads[1], 4.0)
    shrink = 0.93 if lobes else 1.0
    d = sdf.ellipsoid(out, ahead, up, (a * shrink, b * shrink, c * shrink))
    for centre, radius in lobes:
        lobe = sdf.ellipsoid(
            out - centre[0], ahead - centre[1], up - centre[2], (radius, radius, 1.2 * radius)
        )
        d = sdf.blend(d, lobe, 3.0)
    return d


def _spindle(out: Field, ahead: Field, up: Field, axes: tuple[float, float, float]) -> Field:
    """Return the first-order distance to a spindle with pointed poles: ρ = 1 − (up / c)²."""
    a, b, c = axes
    rho = np.sqrt((out / a) ** 2 + (ahead / b) ** 2)
    f = rho - (1.0 - (up / c) ** 2)
    steep = np.sqrt(
        ((out / a**2) ** 2 + (ahead / b**2) ** 2) / np.maximum(rho, 1e-3) ** 2 + (2 * up / c**2) ** 2
    )
    return np.asarray(f / np.maximum(steep, 1.0 / max(axes)), np.float32)
