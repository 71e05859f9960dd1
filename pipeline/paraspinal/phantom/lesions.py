"""Masses in the paravertebral gutter: their place, shape, interior, and what they do to bone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.phantom import sdf
from paraspinal.phantom.canal_area import CANAL_BESIDE_MM
from paraspinal.phantom.canvas import Canvas, Window
from paraspinal.phantom.labels import FIRST_MASS, NUMBER, rib_number
from paraspinal.phantom.mass_shape import Ball, distance_to, draw_lobes
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spec import BREAKTHROUGH_MM, Foci, MassSpec
from paraspinal.phantom.spine import VertebraPlan
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.tissue import FAT_HU, Tissues
from paraspinal.phantom.trunk import TrunkFields, TrunkPlan

Point = npt.NDArray[np.float64]
_FIRST_BONE, _LAST_BONE = 25, 50  # sacrum and vertebrae
_FORAMEN_MM2, _CANAL_WIDTH_MM = (
    45.0,
    11.0,
)  # what of a tongue's area lies in the foramen; its width in the canal
_RIM_MM = 3.0
_POLE_LEAN = 0.3


@dataclass(frozen=True, slots=True)
class MassPlan:
    """A mass laid out: its number (1…n), centre (x, y, z), the spheres inside it, and its lobes around the centre."""

    number: int
    spec: MassSpec
    centre: Point
    vertebra: VertebraPlan
    lobes: tuple[Ball, ...]
    low_density: tuple[Ball, ...]
    fat: tuple[Ball, ...]
    calcification: tuple[Ball, ...]

    @property
    def label(self) -> int:
        """The number that its voxels carry while the phantom is painted."""
        return FIRST_MASS + self.number


def plan_mass(rng: np.random.Generator, trunk: TrunkPlan, spec: MassSpec, number: int) -> MassPlan:
    """Place a mass against the side of its vertebra, just before the costovertebral joint."""
    vertebra = trunk.spine.vertebra(spec.level)
    sign = 1.0 if spec.side == "left" else -1.0
    ax, ay, _ = spec.semi_axes_mm
    lateral = vertebra.size.width / 2 + ax - spec.overlap_mm + spec.offset_mm[0]
    # The back of the mass reaches the rib necks; in the loin it rests on the transverse processes' front.
    back = min(vertebra.canal_offset + 4.0 - 0.72 * ay, 14.0) + spec.offset_mm[1]
    z = vertebra.centre[2] + spec.offset_mm[2]
    body = trunk.spine.body_xy(z)
    centre = np.array([body[0] + sign * lateral, body[1] + back, z])
    lobes = draw_lobes(rng, spec)
    taken: list[Ball] = []
    parts = [
        _spread(rng, centre, spec, foci, taken) for foci in (spec.low_density, spec.fat, spec.calcification)
    ]
    return MassPlan(number, spec, centre, vertebra, lobes, parts[0], parts[1], parts[2])


def _spread(
    rng: np.random.Generator, centre: Point, spec: MassSpec, foci: Foci | None, taken: list[Ball]
) -> tuple[Ball, ...]:
    """Return spheres that lie inside the mass's own ellipsoid, lateral to the bone, and apart from each other."""
    if foci is None:
        return ()
    axes, radius = np.array(spec.semi_axes_mm), foci.diameter_mm / 2
    room = np.maximum(axes - radius - 3.0, 0.5)
    sign = 1.0 if spec.side == "left" else -1.0
    out: list[Ball] = []
    for _ in range(400):
        if len(out) == foci.count:
            break
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        point = (
            centre
            + room * direction * rng.uniform(0.0, 1.0) ** (1 / 3) * (0.85, 0.8, 0.95)
            + (sign * 2.5, 0, 0)
        )
        point[0] -= sign * _POLE_LEAN * axes[0] * ((point[2] - centre[2]) / axes[2]) ** 2
        if all(np.linalg.norm(point - p) > radius + r + 2.0 for p, r in taken):
            out.append((point, radius))
            taken.append((point, radius))
    return tuple(out)


def mass_window(canvas: Canvas, plan: MassPlan) -> Window | None:
    """Return the part of the slab that the mass can reach."""
    reach = np.array(plan.spec.semi_axes_mm) * 1.15 + 5 + plan.spec.edge_width_mm
    if plan.spec.bone in ("foramen", "canal"):
        reach = reach + np.array([30, 20, 6])
    return canvas.window(plan.centre - reach, plan.centre + reach)


def mass_distance(canvas: Canvas, plan: MassPlan, window: Window, fields: TrunkFields) -> Field:
    """Return the distance to the mass where nothing but the chest wall holds it back."""
    x, y, z = canvas.grid(window)
    c, axes = plan.centre, plan.spec.semi_axes_mm
    # The poles lean towards the spine, as a mass does that grows along the gutter; each cut keeps its area.
    sign = 1.0 if plan.spec.side == "left" else -1.0
    lean = np.minimum(((z - c[2]) / axes[2]) ** 2, 1.5)
    x = x + np.float32(sign * _POLE_LEAN * axes[0]) * lean
    d = distance_to(plan.spec, plan.lobes, sign * (x - c[0]), y - c[1], z - c[2])
    d = np.maximum(d, fields.cavity[window] + np.float32(1.0))
    if plan.spec.bone == "foramen":
        d = sdf.blend(d, _dumbbell(x, y, z, plan), 5.0)
    if plan.spec.bone == "canal":
        d = np.minimum(d, _tongue(x, y, z, plan))
    return d


def _dumbbell(x: Field, y: Field, z: Field, plan: MassPlan) -> Field:
    """Return the part of a mass that runs through the foramen below its vertebra into the canal."""
    v, sign = plan.vertebra, 1.0 if plan.spec.side == "left" else -1.0
    half = v.size.canal_width / 2
    up = -0.38 * v.size.height
    inner = v.place(sign * half * 0.55, v.canal_offset, up)
    outer = v.place(sign * (half + 12), v.canal_offset - 4, up)
    return sdf.capsule(x, y, z, inner, outer, (5.5, 8.0))


def _tongue(x: Field, y: Field, z: Field, plan: MassPlan) -> Field:
    """Return the part of a mass that runs through the unwidened foramen below its vertebra into the canal."""
    v, sign = plan.vertebra, 1.0 if plan.spec.side == "left" else -1.0
    half, up = v.size.canal_width / 2, -0.38 * v.size.height
    own = v.axes.astype(np.float32)[0]
    lateral = sign * sum(a * (p - c) for a, p, c in zip(own, (x, y, z), v.centre, strict=True))
    tube = sdf.capsule(
        x, y, z, v.place(-sign * half, v.canal_offset, up), v.place(sign * (half + 7), v.canal_offset - 1, up),
        (6.5, 5.5),
    )  # fmt: skip
    beyond = plan.spec.canal_mm2 - _FORAMEN_MM2
    front = half - (beyond / _CANAL_WIDTH_MM if beyond > 0.0 else CANAL_BESIDE_MM * beyond / _FORAMEN_MM2)
    way = sdf.capsule(x, y, z, v.place(sign * (half + 6), v.canal_offset - 1, up), plan.centre, (5.0, 5.0))
    return np.asarray(np.minimum(np.maximum(tube, front - lateral), way), np.float32)


def paint_mass(
    canvas: Canvas,
    plan: MassPlan,
    fields: TrunkFields,
    texture: Texture,
    t: Tissues,
    *,
    over_bone: bool = False,
    marrow_hu: float = 0.0,
) -> None:
    """Paint a mass before the bones are (they displace it), or, where it attacks bone, once more over them.

    ``marrow_hu`` is what takes the place of the cortex where marrow has broken through it.
    """
    window = mass_window(canvas, plan)
    if window is None:
        return
    d = mass_distance(canvas, plan, window, fields)
    if over_bone and plan.spec.bone == "breakthrough":
        owner = canvas.owner[window]
        bodies = (owner >= _FIRST_BONE) & (owner <= _LAST_BONE)
        canvas.paint(window, d - np.float32(BREAKTHROUGH_MM), marrow_hu * t.high_z, only=bodies)
        return
    if over_bone and plan.spec.bone == "discitis":
        _paint_discitis(canvas, plan, t)
        return
    x, y, z = canvas.grid(window)
    only = None
    if over_bone and plan.spec.bone == "rib":
        d = d - np.float32(plan.spec.rib_bite_mm)
        only = _ribs(canvas.owner[window])
    elif over_bone:
        is_bone, only = _bone_and_mass(canvas.owner[window], plan)
        if plan.spec.bone in ("scalloping", "foramen"):
            canvas.paint(window, d - np.float32(1.4), 750.0 * t.high_z, only=is_bone)
    hu = plan.spec.hu + (plan.spec.enhancement_hu if t.enhanced else 0.0)
    inside = hu + 3.0 * texture.on(canvas, window)
    if plan.spec.rim_hu is not None:
        wall = canvas.cover(d + np.float32(_RIM_MM), edge_mm=2.0)
        inside = plan.spec.rim_hu + (inside - plan.spec.rim_hu) * wall
    for balls, delta in _contents(plan.spec, plan, hu):
        for centre, radius in balls:
            ball = sdf.ellipsoid(x - centre[0], y - centre[1], z - centre[2], (radius, radius, radius))
            inside = inside + np.float32(delta) * canvas.cover(ball)
    canvas.paint(
        window,
        d,
        np.asarray(inside, np.float32),
        label=plan.label,
        edge_mm=plan.spec.edge_width_mm,
        only=only,
    )


def _bone_and_mass(
    owner: npt.NDArray[np.uint16], plan: MassPlan
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which voxels are bone that a mass may attack, and which it may take."""
    is_bone = (owner >= _FIRST_BONE) & (owner <= _LAST_BONE)
    if plan.spec.bone == "lytic":
        is_bone |= _ribs(owner)
    only = (owner == plan.label) | (owner == NUMBER["foramen"])
    if plan.spec.bone != "canal":
        only |= is_bone
    if plan.spec.bone in ("foramen", "canal"):
        only |= owner == NUMBER["canal"]
    return is_bone, only


def _ribs(owner: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    return np.asarray((owner >= rib_number(1, "left")) & (owner <= rib_number(12, "right")))


def _paint_discitis(canvas: Canvas, plan: MassPlan, t: Tissues) -> None:
    """Paint the mass's tissue over the disc below its vertebra and over the bone beside that."""
    v = plan.vertebra
    reach = 0.5 * plan.spec.disc_share
    size = np.array([reach * v.size.width, reach * v.size.depth, 0.5 * v.size.disc + plan.spec.dissolved_mm])
    middle = v.place(0.0, -0.05 * v.size.depth, -0.5 * (v.size.height + v.size.disc))
    window = canvas.window(middle - size.max() - 3, middle + size.max() + 3)
    if window is None:
        return
    x, y, z = canvas.grid(window)
    rows = v.axes.astype(np.float32)
    own = [r[0] * (x - middle[0]) + r[1] * (y - middle[1]) + r[2] * (z - middle[2]) for r in rows]
    across = np.sqrt((own[0] / size[0]) ** 2 + (own[1] / size[1]) ** 2)
    share = (across**4 + (np.abs(own[2]) / size[2]) ** 4) ** 0.25
    hu = plan.spec.hu + (plan.spec.enhancement_hu if t.enhanced else 0.0)
    canvas.paint(window, np.asarray((share - 1.0) * size[2], np.float32), hu, label=plan.label)


def _contents(spec: MassSpec, plan: MassPlan, hu: float) -> list[tuple[tuple[Ball, ...], float]]:
    low = spec.low_density.hu_delta if spec.low_density else 0.0
    calcium = spec.calcification.hu_delta if spec.calcification else 0.0
    return [(plan.low_density, low), (plan.fat, FAT_HU - hu), (plan.calcification, calcium)]
