from __future__ import annotations

import numpy as np
import pytest

from paraspinal.anatomy.grid import axis_weights, halved, to_working_grid, working_grid
from paraspinal.anatomy.native import to_native
from paraspinal.volume import CTVolume, Geometry


@pytest.mark.parametrize(("old", "new"), [(10, 4), (7, 3), (5, 5), (4, 9)])
def test_every_output_cell_is_a_weighted_mean(old: int, new: int) -> None:
    weights = axis_weights(old, new).toarray()
    assert weights.shape == (new, old)
    assert np.allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    assert (weights >= 0).all()


def test_averaging_conserves_the_mean_and_the_place() -> None:
    rng = np.random.default_rng(0)
    geometry = Geometry((12, 20, 20), (1.0, 0.8, 0.8), (-5.0, 3.0, 40.0))
    hu = rng.integers(-100, 200, geometry.shape).astype(np.int16)
    grid = working_grid(geometry, spacing_mm=2.0)
    coarse = to_working_grid(CTVolume(hu, geometry), grid)
    assert coarse.shape == grid.shape
    assert coarse.mean() == pytest.approx(hu.mean(), abs=0.5)
    # Both grids cover the same box: their outer corners agree.
    low, high = np.full(3, -0.5), np.asarray
    assert np.allclose(geometry.to_lps(low), grid.to_lps(low))
    assert np.allclose(geometry.to_lps(high(geometry.shape) - 0.5), grid.to_lps(high(grid.shape) - 0.5))


def test_a_bright_block_stays_where_it_is() -> None:
    geometry = Geometry((20, 40, 40), (2.5, 1.0, 1.0), (0.0, 0.0, 0.0))
    hu = np.full(geometry.shape, -1000, np.int16)
    hu[8:12, 10:20, 24:34] = 100
    grid = working_grid(geometry, spacing_mm=2.0)
    coarse = to_working_grid(CTVolume(hu, geometry), grid) > -450
    centre = grid.to_lps(np.argwhere(coarse).mean(axis=0))
    truth = geometry.to_lps(np.argwhere(hu > 0).mean(axis=0))
    assert np.allclose(centre, truth, atol=0.6)


def test_halving_and_spreading_back_keeps_a_block() -> None:
    grid = Geometry((9, 10, 11), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    half = halved(grid)
    mask = np.zeros(grid.shape, bool)
    mask[2:6, 4:8, 2:10] = True
    assert (half.back(half.most(mask)) == mask).all()
    assert np.allclose(half.geometry.to_lps((0, 0, 0)), grid.to_lps((0.5, 0.5, 0.5)))


def test_labels_return_to_the_native_grid() -> None:
    native = Geometry((6, 40, 40), (5.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    grid = working_grid(native, spacing_mm=2.0)
    labels = np.zeros(grid.shape, np.uint16)
    labels[:, :, grid.shape[2] // 2 :] = 7
    spread = to_native(labels, grid, native)
    assert spread.shape == native.shape
    assert (spread[:, :, 20:] == 7).all()
    assert (spread[:, :, :20] == 0).all()
