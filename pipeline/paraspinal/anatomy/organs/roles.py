"""What a lump of tissue can be, from its place, size, density and neighbours.

Scores are products of membership values between 0 and 1 (`liver_score` up to 6): one condition that fails rules
a lump out. Places are textbook anatomy relative to the spine, with a spread that covers large and small people.
"""

from __future__ import annotations

import numpy as np

from paraspinal.anatomy.morphology import components, dilate
from paraspinal.anatomy.organs.lumps import Column, Lumps
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray


def _bell(values: Column, middle: float, spread: float) -> Column:
    return np.exp(-0.5 * ((values - middle) / spread) ** 2)


def best_of(score: Column, least: float) -> int:
    """Return the lump of the highest score; 0 when none exceeds `least`."""
    score = np.nan_to_num(score.copy())
    score[0] = 0.0
    best = int(np.argmax(score))
    return best if score[best] > least else 0


def kidney_score(lumps: Lumps, sign: float, *, config: AnatomyConfig) -> Column:
    """How much each lump is like a kidney (0-1): beside psoas at L1-L3, in fat, off wall and gas, not too large."""
    ahead, aside, level = config.kidney_usual_mm
    score = _bell(sign * lumps.left, aside, 18.0) * _bell(lumps.front, ahead, 20.0)
    score *= _bell(
        np.where(np.isfinite(lumps.height), lumps.height, level), level, config.kidney_height_sd_mm
    )
    score *= np.clip(lumps.fat / 0.5, 0.0, 1.0) * np.clip(1.2 - 2.0 * lumps.wall, 0.0, 1.0)
    score *= np.clip(lumps.radius_mm / 9.0, 0.0, 1.0) * np.clip(lumps.volume_ml / 25.0, 0.0, 1.0)
    # Enhanced parenchyma stays below 300 HU: what is brighter is bone or contrast medium in bowel.
    score *= (lumps.radius_mm < 34.0) * (lumps.volume_ml < 450.0) * (lumps.hu < 300.0)
    score *= np.clip((lumps.hu + 5.0) / 15.0, 0.0, 1.0) * np.clip(1.0 - 4.0 * lumps.gas, 0.0, 1.0)
    score *= np.clip(1.2 - 3.0 * lumps.lung, 0.0, 1.0)  # fat and the adrenal lie between it and the diaphragm
    score[0] = 0.0
    return np.nan_to_num(score)


def kidney_parts(lumps: Lumps, best: int, free: BoolArray, *, config: AnatomyConfig) -> list[int]:
    """Return the lumps that its sinus parts from the surest lump of a kidney, that one included."""
    alike = np.abs(lumps.hu - lumps.hu[best]) < np.maximum(10.0, 0.2 * lumps.hu[best])
    near = np.hypot(lumps.left - lumps.left[best], lumps.front - lumps.front[best]) < config.kidney_lean_mm
    near &= np.abs(lumps.z_mm - lumps.z_mm[best]) < config.kidney_half_mm
    near &= (lumps.fat > 0.3) & (lumps.wall < 0.45) & (lumps.gas < 0.2) & (np.abs(lumps.left) < 95.0)
    also = (alike & near & free) | (np.arange(len(free)) == best)
    also[0] = False
    return [int(k) for k in np.flatnonzero(also)]


def liver_score(lumps: Lumps) -> Column:
    """How much each lump is like liver: the largest on the right under the diaphragm."""
    score = np.clip(lumps.radius_mm / 25.0, 0.0, 3.0) * np.clip(lumps.volume_ml / 150.0, 0.0, 2.0)
    score *= (lumps.left < -25.0) * (lumps.above < 0.3) * np.clip(1.0 - 3.0 * lumps.gas, 0.0, 1.0)
    # Effusion and ascites are as large and as even, but darker than any liver but a fatty one.
    score *= np.clip((lumps.hu - 5.0) / 20.0, 0.1, 1.0) * (lumps.hu < 200.0)
    score[0] = 0.0
    return np.nan_to_num(score)


def spleen_score(lumps: Lumps) -> Column:
    """How much each lump is like spleen (0-1): left behind, lateral, under the diaphragm and not below L2."""
    score = np.clip(lumps.radius_mm / 12.0, 0.0, 1.0) * np.clip(lumps.volume_ml / 50.0, 0.0, 1.0)
    score *= 0.7 + 0.6 * np.clip(lumps.volume_ml / 250.0, 0.0, 1.0)
    height = np.where(np.isfinite(lumps.height), lumps.height, 40.0)
    score *= np.clip((lumps.left - 45.0) / 25.0, 0.0, 1.0) * _bell(np.maximum(lumps.front, 30.0), 30.0, 40.0)
    score *= (lumps.above < 0.4) * _bell(np.minimum(height, 30.0), 30.0, 45.0)
    score *= np.clip(1.0 - 3.0 * lumps.gas, 0.0, 1.0) * np.clip((lumps.hu - 20.0) / 12.0, 0.0, 1.0)
    score *= (lumps.radius_mm > 8.0) * (lumps.hu < 220.0)
    score[0] = 0.0
    return np.nan_to_num(score)


def kidney_twins(lumps: Lumps, other: int, *, config: AnatomyConfig) -> BoolArray:
    """Tell which lumps are the left kidney beyond doubt: in fat on all sides, off lung and wall, like the right one.

    A kidney in the bed of a spleen that is not there lies and looks much as a small spleen does; `other` is the right
    kidney's lump. Spleens lie against the diaphragm.
    """
    twins = (lumps.fat > config.twin_fat) & (lumps.lung < config.twin_lung) & (lumps.wall < config.twin_lung)
    twins &= np.abs(lumps.hu - lumps.hu[other]) < config.organ_noise_hu
    ratio = lumps.volume_ml / lumps.volume_ml[other]
    twins &= (ratio > 1.0 / config.twin_ratio) & (ratio < config.twin_ratio)
    twins &= np.abs(lumps.z_mm - lumps.z_mm[other]) < config.kidney_half_mm
    twins &= (lumps.left > 30.0) & (lumps.front > -15.0) & (lumps.front < 70.0)
    twins[0] = False
    return np.asarray(twins)


def alike_lumps(
    lumps: Lumps,
    best: int,
    like: BoolArray,
    spacing_mm: tuple[float, float, float],
    *,
    uneven_hu: float = 0.0,
    config: AnatomyConfig,
) -> list[int]:
    """Return the surest lump and other large ones of its place and density close to it, as far from gas and heart."""
    also = like & (np.abs(lumps.hu - lumps.hu[best]) < 1.5 * config.organ_noise_hu + uneven_hu)
    also &= (lumps.radius_mm > config.organ_part_mm) & (lumps.above < 0.2) & (lumps.gas < 0.1)
    also[0] = False
    also[best] = True
    together, _ = components(dilate(also[lumps.labels], config.organ_gap_mm, spacing_mm))
    near = lumps.labels[(together == together[lumps.labels == best][0]) & also[lumps.labels]]
    return [int(k) for k in np.unique(near)]


def best_pair(kidney: Column, spleen: Column, *, least: float) -> tuple[int, int]:
    """Return the best two different lumps for left kidney and spleen; 0 for what is not found."""
    kidney, spleen = kidney.copy(), spleen.copy()
    kidney[0] = spleen[0] = least
    together = kidney[:, None] + spleen[None, :]
    np.fill_diagonal(together[1:, 1:], 0.0)
    first, second = np.unravel_index(int(np.argmax(together)), together.shape)
    return int(first), int(second)
