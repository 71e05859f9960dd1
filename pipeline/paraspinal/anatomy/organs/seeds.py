"""Which lumps of tissue are liver, spleen and kidneys for certain: the seeds of the competition.

The liver is chosen first. A kidney is looked for among lumps brighter than it, then among all; the spleen among
what neither took.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paraspinal.anatomy.organs.lumps import Column, Float32Volume, Lumps, Trunk, find_lumps
from paraspinal.anatomy.organs.roles import (
    alike_lumps,
    best_of,
    best_pair,
    kidney_parts,
    kidney_score,
    kidney_twins,
    liver_score,
    spleen_score,
)
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray


@dataclass(frozen=True, slots=True)
class Seed:
    """The lumps that are an organ for certain, the core of them that is sown, and the HU there.

    ``uneven_hu`` is how much parts of it differ for other reasons than noise.
    """

    whole: BoolArray
    core: BoolArray
    level_hu: float
    spread_hu: float
    score: float
    uneven_hu: float = 0.0

    @classmethod
    def of(cls, source: Lumps, chosen: list[int], score: float, *, uneven_hu: float = 0.0) -> Seed:
        """Take the deeper part of the chosen lumps as core."""
        whole, depth, smooth = np.isin(source.labels, chosen), source.depth, source.smooth
        core = whole & (depth > 0.35 * depth[whole].max())
        level = float(np.median(smooth[core]))
        spread = 1.5 * float(np.median(np.abs(smooth[core] - level)))
        return cls(whole, core, level, spread, min(1.0, score), uneven_hu)


def sow_organs(
    lumps: Lumps, smooth: Float32Volume, trunk: Trunk, above: BoolArray, *, config: AnatomyConfig
) -> dict[str, Seed]:
    """Choose the lumps that are an organ for certain."""
    seeds: dict[str, Seed] = {}
    least = config.lump_least
    livers, spleens = liver_score(lumps), spleen_score(lumps)
    liver = best_of(livers, least)
    if liver:
        chosen = alike_lumps(lumps, liver, lumps.leftness < 0.0, trunk.grid.spacing_mm, config=config)
        seeds["liver"] = Seed.of(lumps, chosen, float(livers[liver]))
    usual = seeds["liver"].level_hu if liver else config.enhanced_kidney_hu
    bright = trunk.tissue & (smooth > max(config.enhanced_kidney_hu, usual + config.kidney_above_liver_hu))
    # Cortex, medulla and sinus cut an enhanced kidney into more and less alike parts than an even organ.
    alike, neck = 2.0 * config.organ_noise_hu, 0.7 * config.lump_neck
    enhanced = find_lumps(bright, smooth, trunk, above, alike_hu=alike, neck=neck, config=config)
    spleens[liver] = 0.0
    likely = lumps.labels == best_of(spleens, least)
    # In the arterial phase the spleen is as bright as a kidney.
    as_bright = float(bright[likely].mean()) > 0.3
    for name, sign in (("kidney_left", 1.0), ("kidney_right", -1.0)):
        plain, shining = (kidney_score(one, sign, config=config) for one in (lumps, enhanced))
        plain[liver] = 0.0
        rivals = spleen_score(enhanced) * (sign > 0 and as_bright)
        best, _ = best_pair(shining, rivals, least=least)
        if best:
            chosen = kidney_parts(enhanced, best, (rivals < 0.3) | (shining > rivals), config=config)
            seeds[name] = Seed.of(enhanced, chosen, float(shining[best]))
            taken = np.bincount(lumps.labels[seeds[name].whole], minlength=len(spleens))
            spleens[taken > 0.3 * np.bincount(lumps.labels.ravel())] = 0.0
            continue
        best, _ = best_pair(plain, spleens * (sign > 0), least=least)
        if best:
            free = (spleens < 0.3) | (plain > spleens)
            free[liver] = False
            chosen = kidney_parts(lumps, best, free, config=config)
            seeds[name] = Seed.of(lumps, chosen, float(plain[best]))
            spleens[chosen] = 0.0
    _sow_twin(seeds, (lumps, enhanced), config=config)
    candidates = [(lumps, spleens), (enhanced, spleen_score(enhanced))]
    first = int(np.argmax(np.nan_to_num(spleens)))
    if liver and spleens[first] > 0.0 and lumps.hu[first] > usual + config.kidney_above_liver_hu:
        # An early spleen is so mottled that it falls into pieces, but all of them are brighter than the liver.
        early = trunk.tissue & (smooth > usual + config.kidney_above_liver_hu)
        mottled = find_lumps(early, smooth, trunk, above, alike_hu=2.0 * alike, neck=neck, config=config)
        candidates.append((mottled, spleen_score(mottled)))
    _sow_spleen(seeds, candidates, usual, trunk.grid.spacing_mm, config=config)
    return seeds


def _sow_twin(seeds: dict[str, Seed], sources: tuple[Lumps, ...], *, config: AnatomyConfig) -> None:
    """Sow a left kidney that looks like a spleen by its place, where it is the right kidney's twin."""
    if "kidney_left" in seeds or "kidney_right" not in seeds:
        return
    right = seeds["kidney_right"].whole
    for source in sources:
        inside = np.bincount(source.labels[right], minlength=len(source.hu))
        inside[0] = 0
        if not inside.any():
            continue
        twins = kidney_twins(source, int(inside.argmax()), config=config)
        if twins.any():
            best = int(np.argmax(np.where(twins, source.volume_ml, 0.0)))
            seeds["kidney_left"] = Seed.of(source, [best], seeds["kidney_right"].score)
            return


def _sow_spleen(
    seeds: dict[str, Seed],
    candidates: list[tuple[Lumps, Column]],
    plain_hu: float,
    spacing_mm: tuple[float, float, float],
    *,
    config: AnatomyConfig,
) -> None:
    """Sow the spleen from the likeliest lumps: even ones, or bright ones when it is mottled (arterial phase)."""
    for source, own in candidates:
        for name in ("kidney_left", "kidney_right"):
            if name in seeds:
                taken = np.bincount(source.labels[seeds[name].whole], minlength=len(own))
                own[taken > 0.3 * np.bincount(source.labels.ravel(), minlength=len(own))] = 0.0
    sure = [
        (float(own[k]), -n, k)
        for n, (_, own) in enumerate(candidates)
        if (k := best_of(own, config.lump_least))
    ]
    if not sure:
        return
    score, n, best = max(sure)
    source, own = candidates[-n]
    # Until portal blood has reached the liver, red pulp that fills unevenly makes the spleen mottled.
    uneven = config.mottled_share * max(0.0, float(source.hu[best]) - plain_hu)
    like = own > config.spleen_like * own[best]
    chosen = alike_lumps(source, best, like, spacing_mm, uneven_hu=uneven, config=config)
    seeds["spleen"] = Seed.of(source, chosen, float(score), uneven_hu=uneven)
