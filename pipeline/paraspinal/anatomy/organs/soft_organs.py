"""Soft organs and muscles of the trunk on the working grid: what is found, how sure, and what is absent.

The organs are found on a grid of twice the spacing (`abdomen`) and get their edge here (`organ_edge`). An organ
that came out too small or too large, or whose surface largely meets tissue of its own density, is
`indeterminate`; one whose place is in view and holds no tissue thick enough for it is `absent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from paraspinal.anatomy.grid import Float32Volume, HalvedGrid, halved
from paraspinal.anatomy.morphology import dilate, distance_inside
from paraspinal.anatomy.organs.abdomen import ORGANS, Competition, find_organs
from paraspinal.anatomy.organs.edge import refine_organ
from paraspinal.anatomy.organs.erector import find_erector_spinae, girdle_over_back
from paraspinal.anatomy.organs.lumps import Trunk
from paraspinal.anatomy.organs.psoas import find_psoas
from paraspinal.anatomy.organs.situs import find_situs, other_side, turned
from paraspinal.anatomy.organs.wall import inside_wall
from paraspinal.anatomy.spine.canal import CanalTrace
from paraspinal.anatomy.types import Organ, Vertebra
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_LEVELS = (
    *(f"C{k}" for k in range(1, 8)),
    *(f"T{k}" for k in range(1, 13)),
    *(f"L{k}" for k in range(1, 6)),
    "S1",
)
_VERTEBRA_MM = 28.0  # usual height of a vertebra with its disc about the thoracolumbar junction
_LEAN_HU = -25.0  # half way from fat to soft tissue
_CENTRE_MM = 60.0  # the middle of the trunk lies this far before the canal
_UNSURE_SIDE = "the larger solid organ lies on the left: a huge spleen, or a mirrored body"
_LIKELY = 0.5  # more likely than not
_MIRRORED = "found on the other side: a mirrored body (situs inversus) or picture"
_ABSENT = 0.7  # confidence of an absence: one look at its place (engineering default)


def find_soft_organs(
    hu: Float32Volume,
    seen: Mapping[str, BoolArray],
    muscles: tuple[dict[str, BoolArray], dict[str, Organ]],
    thin_bone: BoolArray,
    trace: CanalTrace,
    vertebrae: tuple[Vertebra, ...],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> tuple[dict[str, BoolArray], dict[str, Organ]]:
    """Find liver, spleen and kidneys, and return them together with the muscles.

    Parameters
    ----------
    hu : ndarray, [z, y, x]
        HU on the working grid.
    seen : mapping
        The masks found so far: body, bone, column, canal, lungs, gas; aorta, heart and effusions if found.
    muscles : tuple
        Masks and presence, from `find_muscles`.
    thin_bone : ndarray of bool, [z, y, x]
        Bone that is thin and has cortex: ribs.

    Returns
    -------
    masks, organs
        Masks of what is present, and the presence of everything looked for.
    """
    masks, states = dict(muscles[0]), dict(muscles[1])
    coarse = halved(grid)
    trunk = _trunk(hu, {**seen, **masks}, thin_bone, trace, vertebrae, coarse, config=config)
    sided = {name: coarse.most(seen[name]) for name in ("aorta", "heart") if name in seen}
    situs = find_situs(trunk, sided)
    looked = turned(trunk) if situs == "mirrored" else trunk
    found = find_organs(looked, config=config)
    free = seen["body"] & ~seen["lungs"] & ~seen["column"] & ~seen["canal"]
    for name in ("aorta", *masks):
        if name in seen or name in masks:
            free &= ~(seen[name] if name in seen else masks[name])
    for name in ORGANS:
        alike = other_side(name) if situs == "mirrored" else name
        if alike in found.territories:
            won = found.territories[alike]
            contested = (trunk.tissue | ~trunk.inside) & ~won.mask
            mask = refine_organ(won.mask, contested, won.level_hu, hu, free, grid, config=config)
            states[name] = _judged(alike, mask, found, grid, config=config)
            if situs == "mirrored" and states[name].presence == "present":
                states[name] = replace(states[name], reason=_MIRRORED)
            if situs == "unsure" and name in ("liver", "spleen"):
                states[name] = Organ("indeterminate", 0.3, reason=_UNSURE_SIDE)
            if states[name].presence == "present":
                masks[name] = mask
                free &= ~mask
        else:
            states[name] = _missing(alike, found, looked, config=config)
    return masks, states


def find_muscles(
    hu: Float32Volume,
    seen: Mapping[str, BoolArray],
    trace: CanalTrace,
    vertebrae: tuple[Vertebra, ...],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> tuple[dict[str, BoolArray], dict[str, Organ]]:
    """Find erector spinae and psoas on both sides; `seen` holds body, bone, column, canal, and aorta if found."""
    z = np.arange(grid.shape[0])
    canal = trace.at(z)
    beyond = config.canal_beyond_mm / grid.spacing_mm[0]
    canal[(z < trace.first - beyond) | (z > trace.last + beyond)] = np.nan
    left, right = find_erector_spinae(
        hu, seen["body"], canal, girdle_over_back(vertebrae, grid), grid, config=config
    )
    vessels = dilate(seen["aorta"], 2.0, grid.spacing_mm) if "aorta" in seen else np.zeros(hu.shape, bool)
    excluded = seen["bone"] | dilate(seen["column"], 1.5, grid.spacing_mm) | seen["canal"] | vessels
    masks, states = find_psoas(hu, canal, excluded, vertebrae, grid, config=config)
    for name, mask in (("autochthon_left", left), ("autochthon_right", right)):
        if mask.any():
            masks[name], states[name] = mask & ~seen["bone"], Organ("present", 0.85)
        else:
            states[name] = Organ("indeterminate", 0.3, reason="no muscle between ribs and fascia of the back")
    return masks, states


def _trunk(
    hu: Float32Volume,
    seen: Mapping[str, BoolArray],
    thin_bone: BoolArray,
    trace: CanalTrace,
    vertebrae: Iterable[Vertebra],
    coarse: HalvedGrid,
    *,
    config: AnatomyConfig,
) -> Trunk:
    grid = coarse.geometry
    _, sy, sx = grid.spacing_mm
    small = coarse.mean(hu)
    canal = (trace.at(2.0 * np.arange(grid.shape[0]) + 0.5) - 0.5) / 2.0
    centre = canal - np.array([_CENTRE_MM / sy, 0.0])
    body = coarse.most(seen["body"])
    inside = inside_wall(small, body, coarse.most(thin_bone), centre, grid, config=config)
    left = np.broadcast_to(((np.arange(grid.shape[2]) - canal[:, 1:2]) * sx)[:, None, :], grid.shape)
    front = np.broadcast_to(((canal[:, :1] - np.arange(grid.shape[1])) * sy)[:, :, None], grid.shape)
    column = dilate(coarse.any(seen["column"]) | coarse.any(seen["canal"]), 2.0, grid.spacing_mm)
    arch = coarse.most(seen["bone"]) & (np.abs(left) < 45.0) & (front < 12.0)
    other = column | arch | coarse.most(seen["lungs"])
    for name in ("aorta", "effusion_left", "effusion_right", "heart", "psoas_left", "psoas_right"):
        if name in seen:
            other |= coarse.most(seen[name])
    for name in ("autochthon_left", "autochthon_right"):
        if name in seen:
            other |= coarse.most(seen[name])
    return Trunk(
        hu=small,
        inside=inside,
        tissue=inside & (small > _LEAN_HU) & ~other,
        lungs=coarse.most(seen["lungs"]),
        gas=coarse.any(seen["gas"]),
        left=left.astype(np.float32),
        front=front.astype(np.float32),
        height=_above_l1(vertebrae, grid),
        grid=grid,
    )


def _above_l1(vertebrae: Iterable[Vertebra], grid: Geometry) -> np.ndarray:
    """Height (mm) of every slice above the middle of L1; NaN where no level is likely.

    A name that is wrong by one vertebra shifts it by less than organs differ between people.
    """
    z = grid.to_lps(np.column_stack([np.arange(grid.shape[0]), np.zeros((grid.shape[0], 2))]))[:, 2]
    first = _LEVELS.index("L1")
    sure = [v for v in vertebrae if v.confidence >= _LIKELY and v.label in _LEVELS]
    if not sure:
        return np.full(len(z), np.nan)
    nearest = min(sure, key=lambda v: abs(_LEVELS.index(v.label) - first))
    below = first - _LEVELS.index(nearest.label)
    return np.asarray(z - (nearest.centroid_lps_mm[2] - below * _VERTEBRA_MM))


def _judged(
    name: str,
    mask: BoolArray,
    found: Competition,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> Organ:
    """Withdraw an organ of the wrong size, or one that its neighbours cannot be told from."""
    won = found.territories[name]
    volume = float(mask.sum()) * grid.voxel_ml
    low, high = {"liver": config.liver_ml, "spleen": config.spleen_ml}.get(name, config.kidney_ml)
    if not low <= volume <= high:
        return Organ("indeterminate", 0.3, reason=f"the tissue found at its place measures {volume:.0f} mL")
    confidence = float(np.clip(0.55 + 0.4 * won.score - config.contact_doubt * won.contact, 0.1, 0.95))
    if confidence < 0.5:
        return Organ("indeterminate", confidence, reason="it could not be told from its neighbours")
    return Organ("present", confidence)


def _missing(name: str, found: Competition, trunk: Trunk, *, config: AnatomyConfig) -> Organ:
    """Tell an organ that is absent from one that was not recognised and from one whose place was not scanned."""
    place = _place(name, trunk) & trunk.inside & ~found.above
    if float(place.sum()) * trunk.grid.voxel_ml < config.organ_place_ml:
        return Organ("not_in_view", 0.8, reason="its place lies outside the scan")
    if name == "liver" or not np.isfinite(trunk.height).any():
        return Organ("indeterminate", 0.3, reason="no tissue at its place is like it")
    taken = np.zeros(place.shape, bool)
    for other, territory in found.territories.items():
        # What lies in its midst may be this organ under another's name, unless it is one of a pair.
        if not place[_middle(territory.mask)] or (name == "spleen" and _paired(other, found, config)):
            taken |= territory.mask
    thick = distance_inside(trunk.tissue & ~taken, trunk.grid.spacing_mm)
    if float(thick[place].max()) < config.absent_radius_mm:
        return Organ("absent", _ABSENT, reason="its place is in view and holds nothing as thick as the organ")
    return Organ("indeterminate", 0.3, reason="tissue at its place is not like it")


def _paired(name: str, found: Competition, config: AnatomyConfig) -> bool:
    """Tell whether a kidney is matched in density and size by the other one."""
    pair = [found.territories.get(f"kidney_{side}") for side in ("left", "right")]
    if not name.startswith("kidney") or pair[0] is None or pair[1] is None:
        return False
    sizes = sorted(float(one.mask.sum()) for one in pair if one is not None)
    return abs(pair[0].level_hu - pair[1].level_hu) < config.organ_noise_hu and (
        sizes[1] < config.twin_ratio * sizes[0]
    )


def _middle(mask: BoolArray) -> tuple[int, int, int]:
    z, y, x = (round(float(k)) for k in np.argwhere(mask).mean(axis=0))
    return z, y, x


def _place(name: str, trunk: Trunk) -> BoolArray:
    """Where an organ lies in most people, as far as the levels are known."""
    height = np.nan_to_num(trunk.height, nan=0.0)[:, None, None]
    if name == "liver":
        where = (trunk.left < -35.0) & (trunk.front > -10.0)
        low, high = -30.0, 90.0
    elif name == "spleen":
        where = (trunk.left > 55.0) & (np.abs(trunk.front - 10.0) < 45.0)
        low, high = -10.0, 80.0
    else:
        side = trunk.left if name.endswith("left") else -trunk.left
        where = (side > 35.0) & (side < 90.0) & (np.abs(trunk.front - 18.0) < 32.0)
        low, high = -75.0, 15.0
    return np.asarray(where & (height > low) & (height < high))
