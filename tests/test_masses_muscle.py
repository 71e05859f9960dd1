"""Lumps within psoas are told from it by their density, and fat between its bundles is none."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from paraspinal.anatomy import Anatomy, segment_anatomy
from paraspinal.config import MassConfig
from paraspinal.masses.candidates import soft_regions
from paraspinal.masses.compartments import paravertebral_compartments
from paraspinal.masses.muscle import Lumps, lumps_in_muscle
from paraspinal.masses.search import judge_regions
from paraspinal.phantom import make_phantom
from paraspinal.phantom.presets import single_mass
from paraspinal.volume import BoolArray

CONFIG = MassConfig()
RADIUS_MM = 13.0


@cache
def loin() -> Anatomy:
    spec = single_mass(side="left", level="L2", diameter_mm=30.0)
    made = make_phantom(replace(spec, masses=(), levels=("T12", "L4"), name="loin"))
    return segment_anatomy(made.volume)


@cache
def ball(side: str) -> BoolArray:
    """A ball inside psoas beside L3, where the muscle is thickest, touching the column."""
    found = loin()
    level = next(v for v in found.vertebrae if v.label == "L3")
    where, psoas = found.spine, found.masks[f"psoas_{side}"][found.spine.box]
    here = psoas & (np.abs(where.s - level.s_mm) < 4.0)
    to_column = paravertebral_compartments(found, config=CONFIG).to_column_mm
    near = here & (to_column < RADIUS_MM)
    centre = np.argwhere(near).mean(axis=0)
    grid = np.indices(psoas.shape).transpose(1, 2, 3, 0) - centre
    away = np.sqrt(((grid * np.asarray(found.geometry.spacing_mm)) ** 2).sum(axis=-1))
    return np.asarray(away < RADIUS_MM)


def with_ball(side: str, step_hu: float, *, fat_share: float = 0.0) -> Anatomy:
    found, rng = loin(), np.random.default_rng(5)
    hu = found.hu.copy()
    inside = ball(side) & (hu[found.spine.box] > -20) & (hu[found.spine.box] < 120)
    change = np.where(inside, step_hu, 0.0)
    if fat_share:
        strands = ndimage.gaussian_filter(rng.normal(size=inside.shape), 0.8)
        change -= np.where(inside & (strands > np.quantile(strands[inside], 1 - fat_share)), 100.0, 0.0)
    hu[found.spine.box] += change.astype(hu.dtype)
    return replace(found, hu=hu)


def lumps(found: Anatomy) -> Lumps:
    places = paravertebral_compartments(found, config=CONFIG)
    soft = places.search & (found.hu[found.spine.box] > -35) & (found.hu[found.spine.box] < 150)
    return lumps_in_muscle(found, places, soft, config=CONFIG)


def test_healthy_psoas_holds_no_lump() -> None:
    assert not lumps(loin()).labels.any()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("step", [-35.0, 32.0])
def test_a_ball_of_other_density_is_found_at_its_place(side: str, step: float) -> None:
    found = lumps(with_ball(side, step))
    assert len(found.step_hu) == 2
    assert found.step_hu[1] == pytest.approx(step, abs=0.4 * abs(step))
    truth = ball(side) & loin().masks[f"psoas_{side}"][loin().spine.box]
    lump = found.labels == 1
    assert 2 * (lump & truth).sum() / (lump.sum() + truth.sum()) > 0.7


def test_a_step_within_the_spread_of_muscle_is_no_lump() -> None:
    assert not lumps(with_ball("left", 4.0)).labels.any()


def test_muscle_with_strands_of_fat_is_no_lump() -> None:
    assert not lumps(with_ball("left", 0.0, fat_share=0.3)).labels.any()


def test_muscle_beside_a_lump_is_psoas() -> None:
    found = with_ball("right", 32.0)
    places = paravertebral_compartments(found, config=CONFIG)
    _, verdicts = judge_regions(soft_regions(found, places, config=CONFIG), found, places, config=CONFIG)
    candidates = [facts for facts, why in verdicts if why is None]
    assert [facts.lump for facts in candidates] == [True]
    beside = [why.structure for facts, why in verdicts if why is not None and facts.beside_lump]
    assert beside
    assert all("psoas" in text for text in beside)
