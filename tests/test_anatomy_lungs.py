"""Lungs and airway."""

from __future__ import annotations

import numpy as np
import pytest

from anatomy_case import anatomy, dice, phantom
from paraspinal.anatomy.chest.airway import find_airway
from paraspinal.anatomy.chest.lungs import Airspaces, segment_lungs, split_lungs
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.config import AnatomyConfig
from paraspinal.volume import Geometry
from phantom_case import voxels

SHAPE = (80, 80, 120)
Z, Y, X = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
GRID = Geometry(SHAPE, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))


def truth_on(name: str, structure: str) -> np.ndarray:
    found = anatomy(name)
    source = phantom(name)
    points = found.geometry.to_lps(np.argwhere(np.ones(found.geometry.shape)))
    index = np.rint(source.labels.geometry.to_index(points)).astype(int)
    index = np.clip(index, 0, np.array(source.labels.data.shape) - 1)
    return voxels(source, structure)[tuple(index.T)].reshape(found.geometry.shape)


@pytest.mark.parametrize("side", ["left", "right"])
def test_each_lung_is_the_truth_s(side: str) -> None:
    truth = truth_on("healthy", f"lung_{side}")
    assert dice(anatomy("healthy").mask(f"lung_{side}"), truth) > 0.95


def test_lungs_that_touch_are_parted_where_they_are_thinnest() -> None:
    left = ((X - 88) / 26.0) ** 2 + ((Y - 40) / 34.0) ** 2 + ((Z - 40) / 38.0) ** 2 < 1
    right = ((X - 34) / 30.0) ** 2 + ((Y - 40) / 34.0) ** 2 + ((Z - 40) / 38.0) ** 2 < 1
    # The spine lies off the junction: the right lung reaches over the midline in front of the heart.
    found_left, found_right = split_lungs(left | right, np.full(SHAPE[0], 56.0), GRID)
    assert dice(found_left, left & ~right) > 0.97
    assert dice(found_right, right & ~left) > 0.97


def trachea(*, divides_at: int) -> tuple[np.ndarray, np.ndarray]:
    """A lumen of 16 mm that divides into two bronchi of 12 mm, in soft tissue."""
    spread = np.maximum(divides_at - Z, 0) * 1.2
    lumen = np.hypot(X - 60, Y - 40) < 4.0
    lumen &= divides_at <= Z
    for sign in (-1, 1):
        lumen |= (np.hypot(X - 60 - sign * (3.5 + spread), Y - 40) < 3.0) & (divides_at > Z)
    lumen &= divides_at - 12 < Z
    return np.where(lumen, -990.0, 40.0).astype(np.float32), lumen


def coordinates() -> SpineCoordinates:
    box = (slice(0, SHAPE[0]), slice(0, SHAPE[1]), slice(0, SHAPE[2]))
    return SpineCoordinates(
        box,
        (2.0 * Z).astype(np.float32),
        (2.0 * (65 - Y)).astype(np.float32),
        (2.0 * (X - 60)).astype(np.float32),
    )


def test_the_airway_is_followed_through_the_carina_into_both_bronchi() -> None:
    hu, lumen = trachea(divides_at=40)
    found = find_airway(hu, np.ones(SHAPE, bool), coordinates(), GRID)
    assert found.carina_z is not None
    assert abs(found.carina_z - 39) <= 2
    assert dice(found.mask, lumen) > 0.8
    assert (found.mask & (Z < 36) & (X < 56)).any()
    assert (found.mask & (Z < 36) & (X > 64)).any()


def test_without_a_trachea_nothing_is_called_airway() -> None:
    hu = np.full(SHAPE, 40.0, np.float32)
    hu[(np.hypot(X - 60, Y - 40) < 4.0) & (Z > 74)] = -990.0  # a bubble in the oesophagus, 10 mm high
    found = find_airway(hu, np.ones(SHAPE, bool), coordinates(), GRID)
    assert found.carina_z is None
    assert not found.mask.any()


def base_of(air_hu: float, sd: float, *, at_top: bool = True) -> tuple[Airspaces, np.ndarray]:
    """A body whose upper end cuts an airspace of 25 mL beside the spine."""
    rng = np.random.default_rng(2)
    top = SHAPE[0] if at_top else SHAPE[0] - 10
    air = np.hypot((Y - 50) / 16.0, (X - 84) / 10.0) < 1
    air &= (top - 9 <= Z) & (top > Z)
    hu = np.where(air, air_hu, 40.0).astype(np.float32) + rng.normal(0, 10, SHAPE).astype(np.float32)
    hu += np.where(air, rng.normal(0, sd, SHAPE), 0.0).astype(np.float32)
    left, front = (X - 60) * 2.0, (44 - Y) * 2.0
    where = SpineCoordinates(
        (slice(0, SHAPE[0]), slice(0, SHAPE[1]), slice(0, SHAPE[2])),
        (Z * 2.0).astype(np.float32),
        front.astype(np.float32),
        left.astype(np.float32),
    )
    return segment_lungs(hu, np.ones(SHAPE, bool), where, GRID, config=AnatomyConfig()), air


def test_a_small_base_of_a_lung_at_the_upper_end_is_lung() -> None:
    found, air = base_of(-780.0, 40.0)
    assert dice(found.lungs, air) > 0.95


@pytest.mark.parametrize(
    ("air_hu", "sd", "at_top"), [(-990.0, 10.0, True), (-600.0, 200.0, True), (-780.0, 40.0, False)]
)
def test_gas_stool_and_what_ends_inside_the_scan_are_no_base_of_a_lung(
    air_hu: float, sd: float, at_top: bool
) -> None:
    found, _ = base_of(air_hu, sd, at_top=at_top)
    assert not found.lungs.any()
