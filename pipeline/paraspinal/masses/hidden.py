"""What hides a mass: tissue of like density, metal, noise, slices that no image shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.grid import average_onto
from paraspinal.anatomy.morphology import dilate, keep_larger
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.masses.candidates import SoftRegions
from paraspinal.masses.explain import Explanation, RegionFacts
from paraspinal.masses.heights import diaphragm_s
from paraspinal.volume import BoolArray, CTVolume

_MERGING = ("effusion", "consolidation")
"""Explanations that hide a mass of like density wherever they lie, and what touches them."""

_ORGANS = ("liver", "spleen")
"""Organs that do so above the diaphragm only; below, they lie beside the column where they belong."""

_UNSURE = 0.5
"""An explanation that is likelier wrong than right hides what it may have mistaken."""


def hidden_tissue(
    volume: CTVolume,
    anatomy: Anatomy,
    regions: SoftRegions,
    verdicts: Sequence[tuple[RegionFacts, Explanation | None]],
    noise_hu: npt.NDArray[np.float32],
    *,
    config: MassConfig,
) -> dict[str, BoolArray]:
    """Return, per reason, where in the spine box a mass could not have been told apart.

    Parameters
    ----------
    noise_hu : ndarray of float32, [z, y, x]
        Noise beside the spine (`noise_beside_spine`).
    """
    where, spacing = anatomy.spine, anatomy.geometry.spacing_mm
    thoracic = where.s > diaphragm_s(anatomy)

    def of(explained: Callable[[Explanation], bool]) -> BoolArray:
        return np.asarray(np.isin(regions.labels, [f.label for f, e in verdicts if e and explained(e)]))

    def named(reason: str) -> BoolArray:
        return of(lambda why: why.reason == reason)

    # A mass that only touches fluid or airless lung becomes one region with it.
    out = {r: dilate(named(r), config.merges_within_mm, spacing) for r in _MERGING} | {
        "heart": named("heart")
    }
    for organ in _ORGANS:
        out[organ] = (named(organ) | anatomy.mask(organ)[where.box]) & thoracic
    out["unclear_tissue"] = of(lambda why: why.confidence < _UNSURE and why.reason not in _MERGING)
    out["metal"] = _near_metal(volume, anatomy, config=config)
    out["noise"] = noise_hu > config.max_noise_hu
    out["interpolated_slices"] = _interpolated(volume, anatomy)
    return out


def _near_metal(volume: CTVolume, anatomy: Anatomy, *, config: MassConfig) -> BoolArray:
    """Metal and its surroundings, which beam hardening and scatter darken and streak."""
    if int(volume.hu.max()) <= config.metal_hu:
        return np.zeros(anatomy.spine.s.shape, bool)
    dense = volume.hu > config.metal_hu
    dense = keep_larger(dense, config.metal_min_ml / volume.geometry.voxel_ml)
    metal = average_onto(dense.view(np.uint8), anatomy.geometry) > 0
    return dilate(metal, config.metal_reach_mm, anatomy.geometry.spacing_mm)[anatomy.spine.box]


def _interpolated(volume: CTVolume, anatomy: Anatomy) -> BoolArray:
    """Working slices that rest mostly on native slices which the loader filled in."""
    out = np.zeros(anatomy.spine.s.shape, bool)
    if volume.interpolated:
        native, coarse = volume.geometry.shape[0], anatomy.geometry.shape[0]
        filled = np.isin(np.arange(native), volume.interpolated)
        nearest = np.clip(((np.arange(coarse) + 0.5) * native / coarse).astype(int), 0, native - 1)
        out[filled[nearest][anatomy.spine.box[0]]] = True
    return out
