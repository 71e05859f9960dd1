"""Liver, spleen and kidneys: found by their place, told apart by a competition for soft tissue.

On a grid of twice the working spacing the tissue inside the trunk's wall is cut at its necks into lumps
(`lumps`). A lump's place beside the spine, its size, HU, and what borders it (fat, wall, gas, lung) say what it
can be (`organ_roles`). The surest lumps of each organ are its seed; heart, bowel and fluid are seeds of what is
none of them. All compete for the tissue (`territory`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.chest.domes import above_diaphragm
from paraspinal.anatomy.morphology import closed, components, dilate, erode, fill_slices, opened
from paraspinal.anatomy.organs.lumps import (
    Float32Volume,
    Lumps,
    Trunk,
    even_part,
    find_lumps,
    leftness,
    neck_to,
    smoothed,
)
from paraspinal.anatomy.organs.roles import spleen_score
from paraspinal.anatomy.organs.seeds import Seed, sow_organs
from paraspinal.anatomy.organs.territory import Regions, compete, cut_into_regions, share_of
from paraspinal.anatomy.parallel import both, each
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

ORGANS = ("liver", "spleen", "kidney_left", "kidney_right")
_ALIEN_PULL = 0.3  # what is sown as none of the organs is less sure than an organ's core
_SEED_PULL = 1.0  # conductance between a seed voxel and its organ
_TOWARDS = {"liver": -1.0, "spleen": 1.0}
"""On which side of the oblique plane between them (`lumps.leftness`) liver and spleen lie."""


@dataclass(frozen=True, slots=True)
class Territory:
    """What an organ won, [z, y, x], with its HU; ``contact`` is the share of its surface that meets tissue alike.

    ``score`` tells how like the organ its surest lump is (0-1).
    """

    mask: BoolArray
    level_hu: float
    score: float
    contact: float


@dataclass(frozen=True, slots=True)
class Competition:
    """Everything that the organs' territories are decided from, and the outcome."""

    smooth: Float32Volume
    above: BoolArray
    lumps: Lumps
    territories: Mapping[str, Territory]


def find_organs(trunk: Trunk, *, config: AnatomyConfig) -> Competition:
    """Find liver, spleen and both kidneys on the trunk's grid; what has no seed or lost it is left out."""
    above = above_diaphragm(trunk, config=config)
    smooth = smoothed(trunk, config=config)
    even = even_part(smooth, trunk.tissue, config=config)
    alike, neck = config.organ_noise_hu, config.lump_neck
    lumps, regions = both(
        lambda: find_lumps(even, smooth, trunk, above, alike_hu=alike, neck=neck, config=config),
        lambda: cut_into_regions(smooth, trunk.tissue, step_hu=config.organ_passing_hu),
    )
    seeds = sow_organs(lumps, smooth, trunk, above, config=config)
    names = list(seeds)
    barred = dict(
        zip(names, each(lambda n: _barred(n, seeds[n], trunk, above, config=config), names), strict=True)
    )
    chance = compete(regions, *_sown(seeds, barred, regions, lumps, smooth, trunk, above, config=config))

    def settle(name: str) -> BoolArray:
        own = chance[names.index(name)] > 0.5
        own[0] = False
        mask = own[regions.labels] & ~barred[name]
        if name == "liver":
            mask &= ~_great_vessels(mask, seeds[name], smooth, even, trunk, config=config)
        mask = _tidy(mask, seeds[name], smooth, name, trunk.grid, config=config)
        if mask.any() and name not in _TOWARDS:  # cortex encloses medulla, which may be darker than its rim
            mask |= closed(mask, config.kidney_neck_mm, trunk.grid.spacing_mm) & trunk.tissue
        if mask.any() and name in _TOWARDS:
            mask = _with_lesions(mask, lumps, seeds, trunk, above, config=config)
        return mask

    won = {
        name: Territory(
            mask, seeds[name].level_hu, seeds[name].score, _contact(mask, seeds[name], smooth, even, trunk)
        )
        for name, mask in zip(names, each(settle, names), strict=True)
        if mask.any()
    }
    return Competition(smooth, above, lumps, won)


def _sown(
    seeds: Mapping[str, Seed],
    barred: Mapping[str, BoolArray],
    regions: Regions,
    lumps: Lumps,
    smooth: Float32Volume,
    trunk: Trunk,
    above: BoolArray,
    *,
    config: AnatomyConfig,
) -> tuple[list[npt.NDArray[np.float64]], list[npt.NDArray[np.float64]]]:
    """Return seeds and priors of every region, for each organ and, last, for what is none of them."""
    total = np.bincount(regions.labels.ravel(), leftness(trunk).ravel(), minlength=len(regions.sizes))
    place = total / np.maximum(regions.sizes, 1)
    sown, fits = [], []
    alien = np.ones(len(lumps.hu), bool)
    claimed = np.zeros(trunk.hu.shape, bool)
    for name, seed in seeds.items():
        spread = max(config.organ_noise_hu, seed.spread_hu, seed.uneven_hu)
        if name not in _TOWARDS:  # cortex and medulla
            spread = max(spread, config.kidney_spread * abs(seed.level_hu))
        fit = np.exp(-0.5 * ((regions.mean_hu - seed.level_hu) / spread) ** 2)
        fit *= 1.0 - share_of(barred[name], regions)
        if name in _TOWARDS:
            fit *= 1.0 / (1.0 + np.exp(-_TOWARDS[name] * (place - 30.0) / 15.0))
        alien &= ~_may_belong(name, lumps, seed, spread, config=config)
        claimed |= seed.whole
        sown.append(share_of(seed.core, regions) * _SEED_PULL)
        fits.append(config.organ_fit * fit)
    alien |= (lumps.gas > 0.5) | (lumps.above > 0.6)
    alien[0] = False
    gut = dilate(trunk.gas, config.gut_wall_mm, trunk.grid.spacing_mm)
    brightest = max([config.enhanced_kidney_hu, *(seed.level_hu for seed in seeds.values())])
    none = above | gut | (smooth > config.oral_contrast_ratio * brightest) | alien[lumps.labels]
    sown.append(share_of(none & trunk.tissue & ~claimed, regions) * _ALIEN_PULL)
    fits.append(np.full(len(regions.sizes), config.organ_fit * config.organ_other))
    return sown, fits


def _may_belong(name: str, lumps: Lumps, seed: Seed, spread: float, *, config: AnatomyConfig) -> BoolArray:
    """Tell which lumps may be part of an organ: joined to its sure lumps, or small, and of its density.

    What is as thick as an organ and hangs on it by a neck, or not at all, is another one: stomach beside spleen.
    A wide contact is a border of two organs only where the density changes. A spleen in the arterial phase is
    mottled and has necks of its own: what lies as it does is left to the competition.
    """
    off = np.abs(lumps.hu - seed.level_hu)
    joined = neck_to(lumps, seed.whole) / np.maximum(lumps.radius_mm, 1.0)
    large = lumps.volume_ml > config.alien_ml
    parted = (joined < config.alien_neck) | ((joined < 0.8) & (off > config.organ_noise_hu))
    if name == "spleen":
        like = spleen_score(lumps)
        parted &= like < config.spleen_like * like[1:].max(initial=0.0)
    return np.asarray((off <= config.alien_spreads * spread) & ~(large & parted))


def _barred(name: str, seed: Seed, trunk: Trunk, above: BoolArray, *, config: AnatomyConfig) -> BoolArray:
    """Where an organ cannot be: above the diaphragm, in front of the spine, on the other side, far from its seed."""
    if name == "liver":
        vessels = (np.abs(trunk.left) < 28.0) & (trunk.front < 62.0)
        return vessels | above | (trunk.left > 130.0) | ((trunk.left > 55.0) & (trunk.front < 30.0))
    if name == "spleen":
        return above | (trunk.left < 10.0)
    sign = 1.0 if name.endswith("left") else -1.0
    far = ~dilate(seed.whole, config.kidney_reach_mm, trunk.grid.spacing_mm)
    return far | above | (sign * trunk.left < 12.0) | (trunk.front < -35.0) | (trunk.front > 90.0)


def _great_vessels(
    mask: BoolArray,
    seed: Seed,
    smooth: Float32Volume,
    even: BoolArray,
    trunk: Trunk,
    *,
    config: AnatomyConfig,
) -> BoolArray:
    """Return what lies where caval and portal veins enter the liver, and is as thin as they are or not as dense."""
    hilum = (np.abs(trunk.left) < config.hilum_side_mm) & (trunk.front < config.hilum_front_mm)
    blood = even & (np.abs(smooth - seed.level_hu) > 2.0 * max(config.organ_noise_hu, seed.spread_hu))
    return np.asarray(hilum & mask & (blood | ~opened(mask, config.great_vein_mm, trunk.grid.spacing_mm)))


def _tidy(
    mask: BoolArray, seed: Seed, smooth: Float32Volume, name: str, grid: Geometry, *, config: AnatomyConfig
) -> BoolArray:
    """Drop thin appendages, keep what hangs together with the seed, fill vessels inside.

    What is cut off returns when it is joined broadly and of the organ's own density: a thin lobe, not a vessel
    or bowel.
    """
    spacing = grid.spacing_mm
    radius = config.organ_neck_mm if name in _TOWARDS else config.kidney_neck_mm
    thick = erode(mask, radius, spacing)
    labels, counts = components(dilate(thick, radius + max(spacing), spacing) & mask)
    hit = np.bincount(labels[seed.core], minlength=counts.size) > 0
    hit[0] = False
    main = np.asarray(hit[labels])
    labels, counts = components(mask & ~main)
    joined = np.bincount(labels[dilate(main, 1.1 * max(spacing), spacing)], minlength=counts.size)
    hu = np.bincount(labels.ravel(), smooth.ravel(), minlength=counts.size) / np.maximum(counts, 1)
    alike = max(config.organ_noise_hu, seed.uneven_hu)
    broad = joined > config.lobe_contact * counts ** (2.0 / 3.0)
    lobe = broad & (np.abs(hu - seed.level_hu) < alike) & (counts > 8)
    lobe[0] = False
    return fill_slices(main | np.asarray(lobe[labels]))


def _with_lesions(
    mask: BoolArray,
    lumps: Lumps,
    seeds: Mapping[str, Seed],
    trunk: Trunk,
    above: BoolArray,
    *,
    config: AnatomyConfig,
) -> BoolArray:
    """Add lumps that the organ encloses for the most part: cysts, foci and metastases differ from it in density."""
    spacing = trunk.grid.spacing_mm
    reach = 1.6 * max(spacing)
    edge = dilate(trunk.lungs | ~trunk.inside, reach, spacing)  # a focus may reach the organ's free surface
    rim = (lumps.labels > 0) & (lumps.depth <= reach) & ~edge
    count = len(lumps.hu)
    whole = np.maximum(np.bincount(lumps.labels[rim], minlength=count), 1)
    touched = np.bincount(lumps.labels[rim & dilate(mask, reach, spacing)], minlength=count) / whole
    inner = (touched > config.enclosed_share) & (lumps.volume_ml < 0.3 * mask.sum() * trunk.grid.voxel_ml)
    inner &= lumps.gas < 0.05
    for seed in seeds.values():
        inner[np.unique(lumps.labels[seed.core])] = False
    inner[0] = False
    lesions = dilate(inner[lumps.labels], reach, spacing) & trunk.tissue & ~above
    for seed in seeds.values():
        lesions &= ~seed.whole
    return np.asarray(mask | lesions) if inner.any() else mask


def _contact(mask: BoolArray, seed: Seed, smooth: Float32Volume, even: BoolArray, trunk: Trunk) -> float:
    """Share of the organ's surface behind which even tissue of its density goes on."""
    spacing = trunk.grid.spacing_mm
    reach = 1.1 * max(spacing)
    surface = mask & ~erode(mask, reach, spacing)
    spread = max(8.0, seed.spread_hu)
    alike = even & ~mask & (np.abs(smooth - seed.level_hu) < spread)
    return float((surface & dilate(alike, reach, spacing)).sum()) / max(1, int(surface.sum()))
