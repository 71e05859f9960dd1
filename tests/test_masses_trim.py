"""A candidate loses what it runs into, and keeps what belongs to it."""

from __future__ import annotations

import numpy as np
import pytest

from paraspinal.config import MassConfig
from paraspinal.masses.borders import _without_thin
from paraspinal.masses.trim import without_tails, without_unlike
from paraspinal.volume import BoolArray

CONFIG = MassConfig()
SPACING = (2.0, 2.0, 2.0)
SHAPE = (50, 50, 60)
NOTHING = np.zeros(SHAPE, bool)


def ball(centre: tuple[float, float, float], radius_mm: float) -> BoolArray:
    grid = np.indices(SHAPE).transpose(1, 2, 3, 0) * np.asarray(SPACING)
    return np.asarray(((grid - np.asarray(centre)) ** 2).sum(axis=-1) <= radius_mm**2)


MASS = ball((50.0, 50.0, 50.0), 20.0)


def scan(**parts: tuple[BoolArray, float]) -> np.ndarray:
    hu = np.where(MASS, 45.0, -100.0)
    for mask, value in parts.values():
        hu[mask] = value
    return (hu + np.random.default_rng(3).normal(0, 8, SHAPE)).astype(np.float32)


def test_a_muscle_of_other_density_is_left_out() -> None:
    muscle = ball((50.0, 50.0, 86.0), 18.0) & ~MASS
    both = MASS | muscle
    kept = without_unlike(both, scan(muscle=(muscle, 90.0)), NOTHING, SPACING, config=CONFIG)
    assert (kept & muscle).sum() < 0.15 * muscle.sum()
    assert (kept & MASS).sum() > 0.95 * MASS.sum()


def test_muscle_of_the_same_density_cannot_be_told() -> None:
    muscle = ball((50.0, 50.0, 86.0), 18.0) & ~MASS
    kept = without_unlike(MASS | muscle, scan(muscle=(muscle, 45.0)), NOTHING, SPACING, config=CONFIG)
    assert kept.sum() == (MASS | muscle).sum()


@pytest.mark.parametrize("hu", [5.0, 20.0])
def test_a_focus_inside_and_a_rim_stay(hu: float) -> None:
    focus = ball((50.0, 50.0, 58.0), 6.0)
    rim = MASS & ~ball((50.0, 50.0, 50.0), 17.0)
    kept = without_unlike(MASS, scan(focus=(focus, hu), rim=(rim, 75.0)), NOTHING, SPACING, config=CONFIG)
    assert kept.sum() == MASS.sum()


def test_what_bone_brightens_stays() -> None:
    bone = ball((50.0, 50.0, 14.0), 18.0)
    near = MASS & ball((50.0, 50.0, 26.0), 10.0)
    kept = without_unlike(MASS, scan(near=(near, 110.0)), bone, SPACING, config=CONFIG)
    assert kept.sum() > 0.97 * MASS.sum()


def test_a_vessel_that_hangs_on_it_is_a_tail() -> None:
    vessel = NOTHING.copy()
    vessel[24:27, 24:27, 34:] = True
    vessel &= ~MASS
    for kept in (
        without_tails(MASS | vessel, 20.0, SPACING, config=CONFIG),
        _without_thin(MASS | vessel, SPACING, config=CONFIG),
    ):
        assert (kept & vessel).sum() < 0.2 * vessel.sum()
        assert (kept & MASS).sum() > 0.97 * MASS.sum()


def test_the_other_head_of_a_dumb_bell_stays() -> None:
    waist = NOTHING.copy()
    waist[23:28, 23:28, 30:42] = True
    bell = MASS | waist | ball((50.0, 50.0, 94.0), 16.0)
    kept = _without_thin(bell, SPACING, config=CONFIG)
    assert kept.sum() > 0.93 * bell.sum()
