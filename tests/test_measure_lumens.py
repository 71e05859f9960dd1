"""Readings for the contrast phase, from organs of known content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from paraspinal.anatomy.types import Anatomy, Organ
from paraspinal.config import MeasureConfig
from paraspinal.measure import read_lumens
from paraspinal.volume import CTVolume, Geometry
from report_case import anatomy_of

SHAPE = (70, 80, 80)
GRID = Geometry(SHAPE, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
CORTEX, MEDULLA, PELVIS = 180.0, 90.0, 600.0


def ball(centre: tuple[int, int, int], half_mm: tuple[float, float, float]) -> np.ndarray:
    index = np.indices(SHAPE)
    far = sum(((i - c) * 2.0 / h) ** 2 for i, c, h in zip(index, centre, half_mm, strict=True))
    return np.asarray(far < 1)


def scene(*, excretes: bool = True, cut: bool = False) -> tuple[CTVolume, Anatomy]:
    """Return a kidney whose sinus opens to the right, beside dense bowel; heart and aorta."""
    hu = np.full(SHAPE, -80.0)
    whole, inner = ball((35, 25, 55), (55, 28, 30)), ball((35, 25, 55), (47, 20, 22))
    sinus = ball((35, 25, 48), (16, 6, 12))
    heart = ball((35, 55, 40), (40, 30, 40))
    hu[whole], hu[inner], hu[sinus] = CORTEX, MEDULLA, PELVIS if excretes else 20.0
    hu[heart] = 150.0
    hu[:, :, :32][heart[:, :, :32]] = 400.0
    bowel = ball((35, 6, 70), (40, 10, 20)) & ~whole
    hu[bowel] = 900.0
    aorta = np.zeros(SHAPE, bool)
    aorta[:, 30:40, 5:15] = True
    hu[aorta] = 170.0
    masks = {"kidney_left": whole & ~sinus, "heart": heart, "aorta": aorta}
    organs = {name: Organ("present", 0.9, ("superior",) if cut else ()) for name in masks}
    found = replace(anatomy_of(), geometry=GRID, hu=hu.astype(np.float32), masks=masks, organs=organs)
    return CTVolume(np.rint(hu).astype(np.int16), GRID), found


def test_each_reading_comes_from_its_own_tissue() -> None:
    seen = read_lumens(*scene(), config=MeasureConfig())
    assert seen.aorta == pytest.approx(170, abs=2)
    assert seen.right_heart == pytest.approx(400, abs=2)
    assert seen.heart_in_view
    assert seen.renal_cortex == pytest.approx(CORTEX, abs=5)
    assert seen.renal_medulla == pytest.approx(MEDULLA, abs=5)
    assert seen.renal_pelvis == pytest.approx(PELVIS, abs=5)
    assert seen.liver is None


def test_dense_bowel_beside_the_kidney_is_no_renal_pelvis() -> None:
    seen = read_lumens(*scene(excretes=False), config=MeasureConfig())
    assert seen.renal_pelvis is not None
    assert seen.renal_pelvis <= CORTEX + 5


def test_a_cut_kidney_says_nothing_on_its_pelvis() -> None:
    assert read_lumens(*scene(cut=True), config=MeasureConfig()).renal_pelvis is None


def test_what_is_doubtful_is_not_read() -> None:
    volume, found = scene()
    organs = {name: replace(organ, presence="indeterminate") for name, organ in found.organs.items()}
    seen = read_lumens(volume, replace(found, organs=organs), config=MeasureConfig())
    assert seen.right_heart is None
    assert seen.heart_in_view
    assert seen.renal_cortex is None
