"""The trunk, apart from table and arms."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from paraspinal.anatomy.body import Body, segment_body
from paraspinal.anatomy.extent import padding_on
from paraspinal.anatomy.grid import to_working_grid, working_grid
from paraspinal.config import AnatomyConfig
from paraspinal.volume import CTVolume, Geometry

CONFIG = AnatomyConfig()
SHAPE = (30, 160, 220)
Z, Y, X = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
GRID = Geometry(SHAPE, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))


def ellipse(y: float, x: float, half_y: float, half_x: float) -> np.ndarray:
    return ((Y - y) / half_y) ** 2 + ((X - x) / half_x) ** 2 < 1.0


@cache
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A trunk 300 × 200 mm on a thick table, an arm of 80 mm on either side, each with a bone."""
    hu = np.full(SHAPE, -1000.0, np.float32)
    trunk = ellipse(70, 110, 50, 75)
    arms = ellipse(80, 15, 14, 12) | ellipse(80, 205, 14, 12)
    table = (Y > 124) & (Y < 140) & (X > 30) & (X < 190)
    hu[trunk | arms] = 40.0
    hu[ellipse(100, 110, 12, 14) | ellipse(80, 15, 5, 5) | ellipse(80, 205, 5, 5)] = 600.0
    hu[table] = -120.0
    return hu, trunk, arms, table


@cache
def found() -> Body:
    return segment_body(scene()[0], GRID, config=CONFIG)


def test_the_trunk_is_found_without_arms_and_table() -> None:
    _, trunk, arms, table = scene()
    body = found().trunk
    assert not (body & (arms | table)).any()
    assert 2.0 * (body & trunk).sum() / (body.sum() + trunk.sum()) > 0.98


def test_arms_beside_the_trunk_are_named_arms() -> None:
    _, trunk, arms, table = scene()
    assert not (found().arms & (trunk | table)).any()
    assert 2.0 * (found().arms & arms).sum() / (found().arms.sum() + arms.sum()) > 0.95


def test_a_second_thigh_is_no_arm() -> None:
    hu = np.full(SHAPE, -1000.0, np.float32)
    hu[ellipse(80, 60, 42, 36) | ellipse(80, 160, 42, 36)] = 30.0
    hu[ellipse(80, 60, 8, 8) | ellipse(80, 160, 8, 8)] = 700.0
    assert not segment_body(hu, GRID, config=CONFIG).arms.any()


def test_a_chest_wall_that_lung_cuts_off_is_no_arm() -> None:
    """Where the field cuts the chest in front and behind, its side walls are objects of their own."""
    hu = np.full(SHAPE, -1000.0, np.float32)
    wall = ellipse(70, 110, 50, 75) & ~ellipse(70, 110, 42, 66)
    hu[wall & (np.abs(X - 110) > 50)] = 50.0
    hu[(np.abs(X - 110) < 22) & (Y > 20) & (Y < 125)] = 50.0
    hu[wall & (np.abs(X - 110) > 66)] = 500.0
    assert not segment_body(hu, GRID, config=CONFIG).arms.any()


@pytest.mark.parametrize("outside", [-1024, -2000, 0])
def test_a_round_field_without_a_padding_value_is_seen(outside: int) -> None:
    n = 64
    y, x = np.mgrid[:n, :n] - (n - 1) / 2.0
    hu = np.random.default_rng(0).normal(40, 10, (10, n, n)).astype(np.int16)
    hu[:, np.hypot(y, x) > n / 2] = outside
    volume = CTVolume(hu, Geometry((10, n, n), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0)))
    grid = working_grid(volume.geometry, spacing_mm=2.0)
    padding = padding_on(volume, grid)
    assert padding[:, 0, 0].all()
    assert not padding[:, n // 2, n // 2].any()
    assert not padding_on(
        CTVolume(np.full_like(hu, 40) + (np.arange(n) % 2).astype(np.int16), volume.geometry), grid
    ).any()
    assert to_working_grid(volume, grid).shape == padding.shape
