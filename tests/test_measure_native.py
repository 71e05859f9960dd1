"""Masks carried from the working grid to native voxels."""

from __future__ import annotations

import numpy as np
import pytest

from measure_scene import ball, drawn, grid
from paraspinal.measure.native import (
    distance_on_box,
    mask_on_box,
    native_box,
    native_samples,
    signed_distance_mm,
)
from paraspinal.volume import CTVolume, Geometry, Region

WORKING = grid((80.0, 80.0, 80.0), (2.0, 2.0, 2.0))
NATIVE = grid((80.0, 80.0, 80.0), (1.25, 0.7, 0.7))


def _whole(geometry: Geometry) -> tuple[slice, slice, slice]:
    z, y, x = geometry.shape
    return (slice(0, z), slice(0, y), slice(0, x))


def test_a_ball_keeps_its_place_and_volume() -> None:
    shape = ball((5.0, -7.0, 3.0), 30.0)
    carried = mask_on_box(drawn(shape, WORKING), WORKING, NATIVE, _whole(NATIVE))
    volume = np.count_nonzero(carried) * NATIVE.voxel_ml
    assert volume == pytest.approx(np.pi / 6 * 30**3 / 1000, rel=0.03)
    assert NATIVE.to_lps(np.argwhere(carried).mean(axis=0)) == pytest.approx([5.0, -7.0, 3.0], abs=0.2)
    truth = drawn(shape, NATIVE)
    assert 2 * (carried & truth).sum() / (carried.sum() + truth.sum()) > 0.95


def test_a_box_gives_what_the_whole_gives() -> None:
    mask = drawn(ball((0.0, 0.0, 0.0), 26.0), WORKING)
    box = (slice(20, 40), slice(30, 90), slice(35, 70))
    whole = mask_on_box(mask, WORKING, NATIVE, _whole(NATIVE))
    assert np.array_equal(mask_on_box(mask, WORKING, NATIVE, box), whole[box])


def test_distance_counts_from_the_border() -> None:
    mask = drawn(ball((0.0, 0.0, 0.0), 30.0), WORKING)
    field = distance_on_box(mask, WORKING, NATIVE, _whole(NATIVE))
    places = NATIVE.to_lps(np.argwhere(np.abs(field) < 5.0))
    truth = 15.0 - np.linalg.norm(places, axis=1)
    assert np.abs(field[np.abs(field) < 5.0] - truth).mean() < 0.5


def test_signed_distance_is_half_a_voxel_at_the_border() -> None:
    line = np.zeros((1, 1, 10), bool)
    line[..., 4:] = True
    field = signed_distance_mm(line, (2.0, 2.0, 2.0))[0, 0]
    assert field[3:6] == pytest.approx([-1.0, 1.0, 3.0])
    assert field[9] > 8.0  # the array's end is no border


def test_nothing_is_known_outside_the_working_grid() -> None:
    wide = grid((120.0, 120.0, 120.0), (2.5, 2.5, 2.5))
    carried = mask_on_box(np.ones(WORKING.shape, bool), WORKING, wide, _whole(wide))
    reach = np.abs(wide.to_lps(np.argwhere(carried))).max()
    assert reach <= 42.0


def test_samples_are_native_voxels_at_the_same_places() -> None:
    z, y, x = np.indices(NATIVE.shape)
    hu = (z * 10 + y + x).astype(np.int16)
    volume = CTVolume(hu, NATIVE)
    mask = drawn(ball((4.0, 4.0, 4.0), 20.0), WORKING)
    index = np.rint(NATIVE.to_index(WORKING.to_lps(np.argwhere(mask)))).astype(int)
    assert np.array_equal(native_samples(volume, WORKING, mask), index @ np.array([10, 1, 1]))


def test_the_native_box_holds_the_region() -> None:
    shape = ball((5.0, -7.0, 3.0), 30.0)
    box = native_box(
        CTVolume(np.zeros(NATIVE.shape, np.int16), NATIVE), WORKING, Region.of(drawn(shape, WORKING))
    )
    truth = drawn(shape, NATIVE)
    assert truth[box].sum() == truth.sum()
