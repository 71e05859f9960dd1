"""Pleural effusion per side: even tissue of water's density that lies on the dependent chest wall beside the lung.

Fluid is looked for in the gutter behind the spinal canal's front, where above the diaphragm only lung, fluid, airless
lung or a mass can be. What is found there must rest on the chest wall, and leave little lung below its own level or
reach the lateral wall: fluid obeys gravity, a mass does not. The border is drawn on the working grid, half way
between the fluid's attenuation and that of its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.grid import Float32Volume, HalvedGrid, halved
from paraspinal.anatomy.morphology import components, dilate, distance_inside, opened
from paraspinal.anatomy.spine.canal import CanalTrace
from paraspinal.anatomy.types import Organ
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")

_LUNG_BORDER_HU = -400.0  # half way between fluid (about 10 HU) and aerated lung (about -800 HU)
_FAT_BORDER_HU = (
    -60.0
)  # half way between fluid and the thin layer of fat on the wall, which partial volume lightens
_SOLID_HU = 50.0  # muscle, liver and airless lung without contrast medium


@dataclass(frozen=True, slots=True)
class FoundEffusion:
    """Fluid of one side (working grid; None unless present) and what is known about it."""

    mask: BoolArray | None
    organ: Organ


@dataclass(frozen=True, slots=True)
class _Scene:
    """The chest on the halved grid: smoothed HU of soft tissue, where it holds, and the place of every voxel (mm)."""

    coarse: HalvedGrid
    smooth: Float32Volume
    valid: BoolArray
    lungs: BoolArray
    cage: BoolArray
    lateral: npt.NDArray[np.float32]  # [z, 1, x], positive to the left of the canal
    front: npt.NDArray[np.float32]  # [z, y, 1], positive in front of the canal
    spread: float


def find_effusions(
    hu: Float32Volume,
    masks: Mapping[str, BoolArray],
    trace: CanalTrace,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> dict[str, FoundEffusion]:
    """Look for pleural fluid on each side.

    Parameters
    ----------
    hu : ndarray, [z, y, x]
        HU on the working grid.
    masks : mapping
        body, bone, column, canal, lungs, thoracic_cavity and padding, and aorta where it was found.

    Returns
    -------
    dict
        ``effusion_left`` and ``effusion_right``. Without lung in view, or with no posterior gutter in view, a side
        is ``not_in_view``.
    """
    scene = _scene(hu, masks, trace, grid, config=config)
    found = {}
    for side in SIDES:
        found[f"effusion_{side}"] = _one_side(scene, hu, masks, grid, side, config=config)
    return found


def solid_in_gutter(
    hu: Float32Volume,
    masks: Mapping[str, BoolArray],
    above_dome: BoolArray,
    trace: CanalTrace,
    grid: Geometry,
    side: Side,
    *,
    config: AnatomyConfig,
) -> float:
    """Return how much (mL) tissue too dense for fluid lies where fluid would: blood, airless lung or a mass.

    Parameters
    ----------
    hu : ndarray, [z, y, x]
        HU on the working grid.
    above_dome : ndarray of bool, [z, y, x]
        What lies above the diaphragm.
    """
    scene = _scene(hu, masks, trace, grid, config=config)
    sign = 1.0 if side == "left" else -1.0
    place = (
        scene.cage & (sign * scene.lateral > 0) & ~_mediastinum(scene, sign) & scene.coarse.most(above_dome)
    )
    dense = scene.valid & place & (scene.smooth >= config.effusion_hu[1]) & ~scene.lungs
    dense &= scene.front < config.gutter_front_mm
    thick = opened(dense, config.effusion_opening_mm, scene.coarse.geometry.spacing_mm)
    return float(thick.sum()) * scene.coarse.geometry.voxel_ml


def _place(
    trace: CanalTrace, geometry: Geometry, step: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Millimetres to the left of and in front of the canal; `step` is the grid's voxel in voxels of the trace."""
    nz, ny, nx = geometry.shape
    centre = (trace.at(np.arange(nz) * step + 0.5 * (step - 1)) - 0.5 * (step - 1)) / step
    lateral = (np.arange(nx)[None, None, :] - centre[:, 1, None, None]) * geometry.spacing_mm[2]
    front = (centre[:, 0, None, None] - np.arange(ny)[None, :, None]) * geometry.spacing_mm[1]
    return lateral.astype(np.float32), front.astype(np.float32)


def _scene(
    hu: Float32Volume,
    masks: Mapping[str, BoolArray],
    trace: CanalTrace,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> _Scene:
    coarse = halved(grid)
    hard = masks["bone"] | masks["column"] | masks["canal"] | masks["lungs"] | ~masks["body"]
    if "aorta" in masks:
        hard |= masks["aorta"]
    soft = (hu > -60.0) & (hu < 140.0) & ~hard
    share = coarse.mean(soft.astype(np.float32))
    value = coarse.mean(np.where(soft, hu, 0.0).astype(np.float32))
    weight = ndimage.gaussian_filter(share, 1.0)
    smooth = ndimage.gaussian_filter(value, 1.0) / np.maximum(weight, 0.05)
    valid = share > 0.8
    lateral, front = _place(trace, coarse.geometry, 2.0)
    deep = distance_inside(valid, coarse.geometry.spacing_mm) > 10.0
    detail = smooth - ndimage.uniform_filter(smooth, 3)
    spread = float(1.4826 * np.median(np.abs(detail[deep]))) * 1.5 if deep.any() else 8.0
    return _Scene(
        coarse,
        smooth.astype(np.float32),
        valid,
        coarse.most(masks["lungs"]),
        coarse.most(masks["thoracic_cavity"]),
        lateral,
        front,
        spread,
    )


def _one_side(
    scene: _Scene,
    hu: Float32Volume,
    masks: Mapping[str, BoolArray],
    grid: Geometry,
    side: Side,
    *,
    config: AnatomyConfig,
) -> FoundEffusion:
    sign = 1.0 if side == "left" else -1.0
    own = sign * scene.lateral > 0
    slices = np.flatnonzero(scene.lungs.any(axis=(1, 2)))
    if slices.size == 0:
        return FoundEffusion(None, Organ("not_in_view", 0.8, reason="no lung in the scan"))
    height = scene.coarse.geometry.spacing_mm[0]
    place = scene.cage & own & ~_mediastinum(scene, sign)
    place[: max(0, slices[0] - round(config.effusion_below_lung_mm / height))] = False
    place[slices[-1] + 2 :] = False
    parts = _fluid_parts(scene, place, config=config)
    judged = [_judge(scene, part, own, config=config) for part in parts]
    fluid = [part for part, verdict in zip(parts, judged, strict=True) if verdict == "fluid"]
    if fluid:
        mask = _refined(scene, np.any(fluid, axis=0), hu, masks, grid)
        if float(mask.sum()) * grid.voxel_ml >= config.min_effusion_ml:
            sure = sum(int(p.sum()) for p in fluid) / max(1, sum(int(p.sum()) for p in parts))
            return FoundEffusion(mask, Organ("present", 0.6 + 0.3 * sure))
    if "doubtful" in judged:
        return FoundEffusion(
            None,
            Organ(
                "indeterminate",
                0.4,
                reason="tissue of fluid's density lies against the chest wall, but not like free fluid",
            ),
        )
    if not (place & (scene.front < config.gutter_front_mm)).any():
        return FoundEffusion(
            None, Organ("not_in_view", 0.8, reason="the dependent pleural space is not in view")
        )
    return FoundEffusion(
        None, Organ("absent", 0.8, reason=f"none thicker than {2 * config.effusion_opening_mm:.0f} mm")
    )


def _mediastinum(scene: _Scene, sign: float) -> BoolArray:
    """What lies beside and in front of the column: vessels, heart and oesophagus, and a mass of the spine."""
    beside = sign * scene.lateral
    return np.asarray((beside < 18.0) | ((beside < 32.0) & (scene.front > -5.0)))


def _fluid_parts(scene: _Scene, place: BoolArray, *, config: AnatomyConfig) -> list[BoolArray]:
    """Pieces of even tissue of one density that begin in the gutter."""
    low, high = config.effusion_hu
    spacing, voxel_ml = scene.coarse.geometry.spacing_mm, scene.coarse.geometry.voxel_ml
    like = scene.valid & place & (scene.smooth > low) & (scene.smooth < high)
    seeds = opened(like, config.effusion_opening_mm, spacing) & (scene.front < config.gutter_front_mm)
    least = 0.3 * config.min_effusion_ml
    if float(seeds.sum()) * voxel_ml < least:
        return []
    level = float(np.median(scene.smooth[seeds]))
    width = max(config.effusion_band_hu, 3.0 * scene.spread)
    top = min(level + width, 0.5 * (level + _SOLID_HU) + scene.spread)
    band = scene.valid & place & (scene.smooth > level - width) & (scene.smooth < top)
    labels, counts = components(opened(band, config.effusion_opening_mm, spacing))
    inside = np.bincount(labels[seeds], minlength=counts.size)
    keep = [k for k in range(1, counts.size) if inside[k] and counts[k] * voxel_ml >= least]
    return [np.asarray(labels == k) for k in keep]


def _judge(
    scene: _Scene, part: BoolArray, own: BoolArray, *, config: AnatomyConfig
) -> Literal["fluid", "doubtful", "other"]:
    """Tell free fluid, which rests on the chest wall and leaves no lung below its level, from organs and masses."""
    wall = _resting_share(scene, part)
    if wall < 0.5 * config.effusion_wall_share:
        return "other"
    reach = float(np.percentile(np.abs(np.broadcast_to(scene.lateral, part.shape)[part]), 95))
    level = _share_below_level(scene, part, own)
    spread_out = level >= config.effusion_level_share or reach >= config.effusion_reach_mm
    return "fluid" if wall >= config.effusion_wall_share and spread_out else "doubtful"


def _resting_share(scene: _Scene, part: BoolArray) -> float:
    """Share of the columns of a part behind which the chest wall follows within 16 mm, and no lung before it."""
    depth = part.shape[1]
    z, x = np.nonzero(part.any(axis=1))
    last = depth - 1 - np.argmax(part[:, ::-1], axis=1)[z, x]
    wall, lung = np.zeros(len(z), bool), np.zeros(len(z), bool)
    for step in range(1, 1 + round(16.0 / scene.coarse.geometry.spacing_mm[1])):
        y = np.minimum(last + step, depth - 1)
        wall, lung = wall | (~scene.cage[z, y, x] & ~lung), lung | (scene.lungs[z, y, x] & ~wall)
    return float(wall.mean())


def _share_below_level(scene: _Scene, part: BoolArray, own: BoolArray) -> float:
    """Share of the part in what lies below its level (the foremost quarter cut off): the rest is lung."""
    fluid = lung = 0
    for z in np.flatnonzero(part.any(axis=(1, 2))):
        level = int(np.ceil(np.percentile(np.nonzero(part[z])[0], 25)))
        fluid += int(part[z, level:].sum())
        lung += int((scene.lungs[z] & own[z])[level:].sum())
    return fluid / max(1, fluid + lung)


def _refined(
    scene: _Scene, region: BoolArray, hu: Float32Volume, masks: Mapping[str, BoolArray], grid: Geometry
) -> BoolArray:
    """Draw the border on the working grid, half way between the fluid and what it meets."""
    level = float(np.median(scene.smooth[region]))
    start = scene.coarse.back(region)
    box = _box(start, 16.0, grid)
    start, values = start[box], np.clip(hu[box], -900, 300)
    spacing = grid.spacing_mm
    lungs, bone = masks["lungs"][box], masks["bone"][box]
    free = dilate(start, 12.0, spacing) & masks["body"][box] & ~bone & ~masks["column"][box] & ~lungs
    free &= dilate(masks["thoracic_cavity"][box], 6.0, spacing)
    if "aorta" in masks:
        free &= ~masks["aorta"][box]
    light = ndimage.gaussian_filter(np.clip(values, -200, 200), 0.8)
    top = 0.5 * (level + _SOLID_HU)
    wet = free & (light > _FAT_BORDER_HU) & (light < top)
    # A voxel that the lung fills in part is darker than fat; it counts half way down to the lung.
    at_lung = dilate(lungs, 4.5, spacing) & dilate(wet, 4.5, spacing)
    wet |= free & (values > _LUNG_BORDER_HU) & (light < top) & at_lung
    wet = opened(wet | start & free, 3.0, spacing)
    labels, counts = components(wet)
    keep = np.bincount(labels[start & wet], minlength=counts.size) > 0.2 * counts
    keep[0] = False
    out = np.zeros(grid.shape, bool)
    out[box] = keep[labels]
    return out


def _box(mask: BoolArray, margin_mm: float, grid: Geometry) -> tuple[slice, slice, slice]:
    out = []
    for axis, (n, step) in enumerate(zip(mask.shape, grid.spacing_mm, strict=True)):
        seen = np.flatnonzero(mask.any(axis=tuple(k for k in range(3) if k != axis)))
        pad = int(np.ceil(margin_mm / step))
        out.append(slice(max(0, int(seen[0]) - pad), min(n, int(seen[-1]) + pad + 1)))
    return (out[0], out[1], out[2])
