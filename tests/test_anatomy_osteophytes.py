"""Osteophytes on a synthetic column: spurs beside end plates, and what only looks like them."""

from __future__ import annotations

import numpy as np
import pytest

from anatomy_case import anatomy
from paraspinal.anatomy.spine.bodies import ColumnOutline
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.osteophytes import find_osteophytes
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

SHAPE = (60, 50, 60)
GRID = Geometry(SHAPE, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
Z, Y, X = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
FRONT, LEFT = (40 - Y) * 2.0, (X - 30) * 2.0
RADIUS = np.hypot(FRONT - 21.0, LEFT)
PLATES = [30.0, 60.0, 90.0]


def found(extra: BoolArray, *, other: BoolArray | None = None, flare_mm: float = 0.0) -> BoolArray:
    s = (Z * 2.0).astype(np.float32)
    where = SpineCoordinates(
        (slice(0, SHAPE[0]), slice(0, SHAPE[1]), slice(0, SHAPE[2])),
        s,
        FRONT.astype(np.float32),
        LEFT.astype(np.float32),
    )
    near = np.min([np.abs(s - p) for p in PLATES], axis=0) < 6.0
    radius = 17.0 + flare_mm * near
    outline = ColumnOutline(
        21.0, np.where(near[:, 0, 0], 17.0 + flare_mm, 17.0)[:, None].repeat(2, 0) * np.ones(32)
    )
    column = radius >= RADIUS
    none = np.zeros(SHAPE, bool)
    return find_osteophytes(
        column | extra,
        column,
        none if other is None else other,
        outline,
        PLATES,
        where,
        GRID,
        config=AnatomyConfig(),
    )


def spur(s: float, left: float = 0.0) -> BoolArray:
    """A beak of 10 mm at the front of the column."""
    at = np.hypot(np.hypot(FRONT - 42.0, LEFT - left), Z * 2.0 - s)
    return np.asarray(at < 7.0)


def test_a_beak_beside_an_end_plate_is_found_where_it_stands_out() -> None:
    out = found(spur(60.0))
    assert out.any()
    assert (out <= spur(60.0)).all()
    assert RADIUS[out].min() > 20.0


@pytest.mark.parametrize("s", [45.0, 75.0])
def test_a_bump_at_the_waist_is_none(s: float) -> None:
    thin = spur(s) & (np.abs(Z * 2.0 - s) < 2.5)
    assert not found(thin).any()


def test_the_flare_of_normal_end_plates_is_none() -> None:
    assert not found(np.zeros(SHAPE, bool), flare_mm=3.0).any()


def test_a_calcified_vessel_before_the_column_is_none() -> None:
    vessel = np.hypot(FRONT - 52.0, LEFT) < 4.0
    assert not found(vessel).any()
    touching = np.hypot(FRONT - 41.0, LEFT) < 6.0
    assert not found(touching, other=touching).any()


def test_a_body_without_osteophytes_has_none() -> None:
    assert not anatomy("healthy").mask("osteophytes").any()
