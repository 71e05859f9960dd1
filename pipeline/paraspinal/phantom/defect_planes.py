"""Defects of place: they change which planes are imaged, before any pixel exists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from paraspinal.errors import UsageError
from paraspinal.phantom.defect_kinds import Defect
from paraspinal.phantom.plane import Plane, Vector, point
from paraspinal.volume import Geometry

Planes = tuple[Plane, ...]

_OBLIQUE_AXIS = np.array([1.0, 1.0, 0.0]) / np.sqrt(2.0)
_NON_SQUARE = 1.5
_CUT_FIELD = 0.6  # of rows and columns


@dataclass(frozen=True, slots=True)
class Scene:
    """What a step may need to know: the volume's grid, and a seed for what is drawn."""

    geometry: Geometry
    seed: int


Step = Callable[[Planes, Defect, Scene], Planes]


def rotation(axis: npt.ArrayLike, degrees: float) -> Vector:
    """Return the 3×3 rotation about an axis through the origin (Rodrigues)."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    a = np.deg2rad(degrees)
    return np.asarray(np.eye(3) + np.sin(a) * k + (1.0 - np.cos(a)) * k @ k)


def way(planes: Planes) -> Vector:
    """Return the unit vector from the first plane to the last, or the normal where there is one place only."""
    run = planes[-1].centre - planes[0].centre
    length = float(np.linalg.norm(run))
    return run / length if length > 0 else planes[0].normal


def _coronal(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    """Rows from right to left, columns from head to feet, slices from front to back."""
    g = scene.geometry
    nz, ny, nx = g.shape
    sz, sy, sx = g.spacing_mm
    z, _, x = g.axes_lps.T
    corners = [point(g.to_lps((nz - 1, j, 0))) for j in range(ny)]
    return tuple(Plane(c, point(x), point(-z), (sz, sx), (nz, nx), sy) for c in corners)


def _sagittal(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    """Rows from front to back, columns from head to feet, slices from right to left."""
    g = scene.geometry
    nz, ny, nx = g.shape
    sz, sy, sx = g.spacing_mm
    z, y, _ = g.axes_lps.T
    corners = [point(g.to_lps((nz - 1, 0, i))) for i in range(nx)]
    return tuple(Plane(c, point(y), point(-z), (sz, sy), (nz, ny), sx) for c in corners)


def _restacked(planes: Planes, centres_mm: Sequence[float], thickness_mm: Sequence[float]) -> Planes:
    """Return planes at distances from the first one along the stack."""
    along = way(planes)
    return tuple(
        replace(planes[0].moved(c * along), thickness_mm=float(t))
        for c, t in zip(centres_mm, thickness_mm, strict=True)
    )


def _distance(planes: Planes) -> float:
    if len(planes) < 2:
        raise UsageError(
            "This defect needs more than one slice.",
            code="defect_needs_slices",
            remedy="Give a volume of more slices.",
        )
    return float(np.linalg.norm(planes[-1].centre - planes[0].centre)) / (len(planes) - 1)


def _spacing(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    """Cut the stack into equal parts, each filled with slabs that touch."""
    lengths = defect.values[0]
    if not isinstance(lengths, tuple):
        raise TypeError("spacing takes lengths")
    gap = _distance(planes)
    part = gap * len(planes) / len(lengths)
    edge, centres, thickness = -gap / 2, [], []
    for length in lengths:
        for _ in range(max(2, int(part / length + 1e-6))):
            centres.append(edge + length / 2)
            thickness.append(length)
            edge += length
    return _restacked(planes, centres, thickness)


def _overlap(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    count = 2 * len(planes) - 1
    return _restacked(
        planes, [k * _distance(planes) / 2 for k in range(count)], [planes[0].thickness_mm] * count
    )


def _jitter(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    generator = np.random.default_rng((scene.seed, 1))
    along = way(planes)
    shifts = generator.uniform(-defect.number(), defect.number(), len(planes))
    return tuple(p.moved(s * along) for p, s in zip(planes, shifts, strict=True))


def _few(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    count = defect.count()
    if count > len(planes):
        raise _not_so_many(defect, len(planes))
    first = (len(planes) - count) // 2
    return planes[first : first + count]


def _missing(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    count, at = defect.count(), defect.count(1)
    first = (len(planes) - count) // 2 if at < 0 else at
    if count > len(planes) - 2 or first < 1 or first + count >= len(planes):
        raise _not_so_many(defect, len(planes))
    return planes[:first] + planes[first + count :]


def _not_so_many(defect: Defect, slices: int) -> UsageError:
    return UsageError(
        f"The defect {defect} does not fit a series of {slices} slices.",
        code="defect_needs_slices",
        remedy="Use smaller numbers (the first and the last slice must stay), or a volume of more slices.",
    )


def _oblique(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    turn = rotation(_OBLIQUE_AXIS, defect.number())
    pivot = (planes[0].centre + planes[-1].centre) / 2
    return tuple(p.turned(turn).moved((turn - np.eye(3)) @ (p.centre - pivot)) for p in planes)


def _tilt(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    """Lean every slice about its own row direction; their centres stay on the line of the table."""
    return tuple(p.turned(rotation(p.row_lps, defect.number())) for p in planes)


def _field(plane: Plane, shape: tuple[int, int], spacing_mm: tuple[float, float]) -> Plane:
    """Return another field about the same centre, moved to whole pixels where the pixels stay."""
    new = replace(plane, shape=shape, spacing_mm=spacing_mm)
    if spacing_mm == plane.spacing_mm:
        rows, columns = ((n - m) // 2 for n, m in zip(plane.shape, shape, strict=True))
        return replace(new, corner_lps_mm=point(plane.at(rows, columns)))
    return new.moved(plane.centre - new.centre)


def _non_square(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    (sy, sx), (ny, nx) = planes[0].spacing_mm, planes[0].shape
    return tuple(_field(p, (ny, max(2, int(nx / _NON_SQUARE))), (sy, sx * _NON_SQUARE)) for p in planes)


def _cut_field(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    ny, nx = (max(2, round(n * _CUT_FIELD)) for n in planes[0].shape)
    return tuple(_field(p, (ny, nx), p.spacing_mm) for p in planes)


def _flipped_rows(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    return tuple(
        replace(p, corner_lps_mm=point(p.at(p.shape[0] - 1, 0)), column_lps=point(np.negative(p.column_lps)))
        for p in planes
    )


def _flipped_columns(planes: Planes, defect: Defect, scene: Scene) -> Planes:
    return tuple(
        replace(p, corner_lps_mm=point(p.at(0, p.shape[1] - 1)), row_lps=point(np.negative(p.row_lps)))
        for p in planes
    )


# In the order in which they act.
PLANE_STEPS: Mapping[str, Step] = {
    "coronal": _coronal,
    "sagittal": _sagittal,
    "spacing": _spacing,
    "overlap": _overlap,
    "few": _few,
    "missing": _missing,
    "jitter": _jitter,
    "oblique": _oblique,
    "tilt": _tilt,
    "non-square": _non_square,
    "cut-field-of-view": _cut_field,
    "flipped-rows": _flipped_rows,
    "flipped-columns": _flipped_columns,
}
