"""Lungs: the thoracic cavity above the diaphragm less a hull around the mediastinum; vessels; effusion."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paraspinal.phantom import sdf
from paraspinal.phantom.canvas import Canvas
from paraspinal.phantom.columns import Column, column_distance, column_window
from paraspinal.phantom.labels import NUMBER
from paraspinal.phantom.patient import PatientSpec
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spec import OrganSpec
from paraspinal.phantom.spine import SpinePlan
from paraspinal.phantom.texture import Texture
from paraspinal.phantom.tissue import LUNG_HU
from paraspinal.phantom.trunk import TrunkFields, TrunkPlan
from paraspinal.phantom.tubes import Tube, smooth_path, tube_distance
from paraspinal.phantom.vessels import MediastinumPlan, heart_distance

_PLEURA_MM = 2.0
# Fat and pleura between vertebra and lung; the line that a radiograph shows is about 1 mm [RKEY-ANAT].
_PARASPINAL_LINE_MM = 3.5
_FAR = np.float32(60.0)
_SETTLED = 0.65  # of its depth: where the chest is round, about a haematocrit of the volume


def spine_hull(spine: SpinePlan) -> tuple[Column, Column]:
    """Return the columns that keep the lung off the vertebral bodies and off the arches with the rib necks."""
    z = np.arange(-200.0, 330.0, 5.0)
    body, canal, size = spine.body_xy(z), spine.canal_xy(z), spine.sizes(z)
    grow = _PARASPINAL_LINE_MM
    front = Column(z, body[:, 0], body[:, 1], size[:, 0] / 2 + grow, size[:, 1] / 2 + grow)
    # An ellipse whose front edge follows the rib necks from the vertebra's side to the transverse process.
    arch = Column(z, canal[:, 0], canal[:, 1] + 15.0, np.full(len(z), 48.0), np.full(len(z), 20.0))
    return front, arch


def mediastinal_hull(canvas: Canvas, trunk: TrunkPlan, plan: MediastinumPlan) -> Field:
    """Return the distance to everything that the lungs wrap around, over the whole slab."""
    out = np.full(canvas.hu.shape, _FAR, np.float32)
    front, arch = spine_hull(trunk.spine)
    columns = [front, arch, plan.aorta.grown(2.5), plan.oesophagus.grown(2.5), plan.azygos.grown(2.0)]
    columns += [plan.trachea.grown(5.0), plan.upper_cava.grown(4.0), plan.vena_cava.grown(3.0)]
    columns += [_front_strip(trunk), _upper_core(trunk)]
    for column in columns:
        window = column_window(canvas, column, margin=12.0)
        if window is not None:
            distance = column_distance(canvas, column, window)
            out[window] = sdf.blend(out[window], distance, 11.0)
    for tube in (plan.arch, *plan.bronchi, *plan.pulmonary, *plan.branches):
        found = tube_distance(canvas, Tube(tube.points, tube.radii + 3.0), margin=6.0)
        if found is not None:
            out[found[0]] = sdf.blend(out[found[0]], found[1], 6.0)
    centres = np.array([b[0] for b in plan.heart])
    window = canvas.window(centres.min(axis=0) - 60, centres.max(axis=0) + 60)
    if window is not None:
        x, y, z = canvas.grid(window)
        out[window] = sdf.blend(out[window], heart_distance(canvas, plan, x, y, z) - np.float32(5.0), 6.0)
    return out


def _front_strip(trunk: TrunkPlan) -> Column:
    """Return the anterior mediastinal fat behind the sternum."""
    z = np.arange(40.0, 250.0, 6.0)
    o = trunk.outline(z)
    half = np.interp(z, [40, 80, 140, 200, 250], [30.0, 16, 5, 10, 20])
    return Column(
        z, o.centre_x + np.interp(z, [60, 120], [12, 2]), o.centre_y - o.half_depth + 6, half, half * 0 + 30
    )


def _upper_core(trunk: TrunkPlan) -> Column:
    """Return the superior mediastinum around the great vessels."""
    z = np.arange(175.0, 300.0, 6.0)
    o = trunk.outline(z)
    return Column(z, o.centre_x, o.centre_y - 8, np.full(len(z), 27.0), o.half_depth * 0.75)


def paint_lungs(
    canvas: Canvas,
    trunk: TrunkPlan,
    fields: TrunkFields,
    hull: Field,
    texture: Texture,
    organs: OrganSpec,
    patient: PatientSpec,
    solid_hu: float,
) -> None:
    """Paint lung tissue and, where asked for, fluid in the dependent part of the pleural space."""
    lung = np.maximum(
        np.maximum(fields.cavity + np.float32(_PLEURA_MM), fields.dome * np.float32(0.7)), -hull
    )
    x, y, _ = canvas.grid(canvas.whole)
    o = trunk.outline(canvas.z)
    depth = (y - o.centre_y.astype(np.float32)[:, None, None]) / 100.0
    hu = LUNG_HU + 22.0 * depth + 16.0 * texture.on(canvas, canvas.whole)
    is_left = np.broadcast_to(x > o.centre_x.astype(np.float32)[:, None, None], lung.shape)
    for side, name, fluid_mm, airless in (
        (is_left, "left", organs.effusion_left_mm, patient.consolidation_left),
        (~is_left, "right", organs.effusion_right_mm, patient.consolidation_right),
    ):
        canvas.paint(canvas.whole, lung, hu, label=NUMBER[f"lung_{name}"], only=side)
        if airless > 0:
            _paint_consolidation(canvas, trunk, lung, side, texture, airless, name, solid_hu)
        if fluid_mm > 0:
            # A supine level with a meniscus: the fluid climbs a little along the wall.
            back = (o.centre_y + o.half_depth).astype(np.float32)[:, None, None]
            level = back - np.float32(fluid_mm) - y - 6.0 * np.exp(fields.cavity / 8.0)
            fluid = np.maximum(lung, level)
            canvas.paint(canvas.whole, fluid, organs.effusion_hu, label=NUMBER[f"effusion_{name}"], only=side)
            if organs.effusion_layer_hu is not None:
                settled = np.maximum(fluid, back - np.float32(_SETTLED * fluid_mm) - y)
                canvas.paint(canvas.whole, settled, organs.effusion_layer_hu, edge_mm=3.0, only=side)


def _paint_consolidation(
    canvas: Canvas,
    trunk: TrunkPlan,
    lung: Field,
    side: npt.NDArray[np.bool_],
    texture: Texture,
    share: float,
    name: str,
    hu: float,
) -> None:
    """Paint airless lung in the dependent part of a lower lobe, its border ragged, with air left in some bronchi."""
    _, y, z = canvas.grid(canvas.whole)
    o = trunk.outline(canvas.z)
    back = (o.centre_y + o.half_depth).astype(np.float32)[:, None, None]
    top = np.float32(20.0 + 220.0 * share)
    # The front border leans back as it rises, as the fissure does.
    front = back - np.float32(30.0 + 110.0 * share) * np.clip((top + 25 - z) / 70.0, 0.0, 1.0)
    ragged = 5.0 * texture.on(canvas, canvas.whole)
    airless = np.maximum(np.maximum(lung, front - y + ragged), z - top + ragged)
    airless = np.asarray(airless, np.float32)
    bronchi = np.clip(texture.on(canvas, canvas.whole) - 1.9, 0, 0.5) * 1600
    canvas.paint(
        canvas.whole,
        airless,
        np.asarray(hu - bronchi, np.float32),
        label=NUMBER[f"consolidation_{name}"],
        edge_mm=4.0,
        only=side,
    )


def plan_lung_vessels(
    rng: np.random.Generator, trunk: TrunkPlan, plan: MediastinumPlan, *, per_lung: int = 110
) -> tuple[Tube, ...]:
    """Grow arteries and veins from the hila towards random places in the lungs, each with a side branch."""
    tubes = []
    for bronchus in plan.bronchi:
        root = bronchus.points[-1]
        sign = np.sign(root[0] - bronchus.points[0][0])
        for _ in range(per_lung):
            z = rng.uniform(0.0, 262.0)
            o = trunk.outline(z)
            angle, reach = rng.uniform(0.12, np.pi - 0.1), np.sqrt(rng.uniform(0.15, 0.9))
            goal = np.array(
                [
                    o.centre_x + sign * o.half_width * reach * np.sin(angle) ** 0.8,
                    o.centre_y + o.half_depth * reach * np.cos(angle),
                    z,
                ]
            )
            middle = root + 0.5 * (goal - root) + rng.normal(0, 8, 3)
            path = smooth_path([root + rng.normal(0, 5, 3), middle, goal], step_mm=7)
            radius = np.linspace(rng.uniform(1.6, 3.6), 0.8, len(path))
            tubes.append(Tube(path, radius))
            k = len(path) // 2
            side = smooth_path(
                [path[k], path[k] + rng.normal(0, 14, 3), path[k] + rng.normal(0, 26, 3)], step_mm=7
            )
            tubes.append(Tube(side, np.linspace(radius[k] * 0.8, 0.6, len(side))))
    return tuple(tubes)


def paint_lung_vessels(canvas: Canvas, tubes: tuple[Tube, ...], hu: float) -> None:
    """Paint vessels where there is lung; they stay part of the lung's label."""
    lungs = (NUMBER["lung_left"], NUMBER["lung_right"])
    for tube in tubes:
        found = tube_distance(canvas, tube, margin=1.5)
        if found is not None:
            owner = canvas.owner[found[0]]
            canvas.paint(*found, hu, only=(owner == lungs[0]) | (owner == lungs[1]))
