"""Vertebrae as instances with parts, and the discs between them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from anatomy_case import anatomy, dice, phantom
from paraspinal.anatomy import native_labels
from paraspinal.anatomy.labels import LABEL_NAMES, STRUCTURE_NUMBERS, disc_numbers, vertebra_numbers
from paraspinal.anatomy.spine.canal import trace_spinal_canal
from paraspinal.anatomy.spine.discs import DiscBorders
from paraspinal.anatomy.spine.levels import UNCERTAIN_NUMBERS, VERTEBRA_NUMBERS
from paraspinal.config import AnatomyConfig
from paraspinal.volume import Geometry

NAME = "healthy"


def borders(count: int) -> DiscBorders:
    return DiscBorders(30.0 * np.arange(count), np.ones(count))


def listed(*items: tuple[float, int]) -> tuple:
    return tuple(SimpleNamespace(s_mm=s, number=number) for s, number in items)


def test_whole_vertebrae_overlap_the_true_ones() -> None:
    native = native_labels(anatomy(NAME), phantom(NAME).volume)
    truth = phantom(NAME).labels.data
    inner = [v for v in anatomy(NAME).vertebrae if not v.truncated]
    assert len(inner) >= 6
    for vertebra in inner:
        assert dice(native == vertebra.number, truth == vertebra.number) > 0.82, vertebra.label


def test_a_process_belongs_to_its_own_vertebra_although_it_hangs_beside_the_next_body() -> None:
    native = native_labels(anatomy(NAME), phantom(NAME).volume)
    truth = phantom(NAME).labels.data
    y = np.arange(truth.shape[1])[None, :, None]
    for vertebra in anatomy(NAME).vertebrae[1:-1]:
        own = truth == vertebra.number
        back = own & (y > np.argwhere(own)[:, 1].max() - 12)
        found = native[back & np.isin(native, list(VERTEBRA_NUMBERS.values()))]
        assert (found == vertebra.number).mean() > 0.8, vertebra.label


def test_discs_are_named_by_both_vertebrae_and_lie_between_them() -> None:
    data = anatomy(NAME).labels.data
    for upper, lower in (("T10", "T11"), ("T12", "L1")):
        number = next(n for n, name in LABEL_NAMES.items() if name == f"disc_{upper}_{lower}")
        z = np.argwhere(data == number)[:, 0].mean()
        heights = [np.argwhere(data == VERTEBRA_NUMBERS[v])[:, 0].mean() for v in (lower, upper)]
        assert heights[0] < z < heights[1]


def test_bodies_and_discs_part_the_column() -> None:
    found = anatomy(NAME)
    bodies, disc, column = (found.mask(n) for n in ("vertebral_bodies", "disc", "column"))
    assert not (bodies & disc).any()
    assert ((bodies | disc) & column).sum() > 0.9 * column.sum()
    hu = np.asarray(found.hu)
    assert np.median(hu[bodies]) > np.median(hu[disc]) + 30.0


def test_numbers_count_on_to_a_piece_at_the_end_of_the_scan() -> None:
    numbers = vertebra_numbers(borders(5), listed((45.0, 31), (75.0, 32)))
    assert numbers.tolist() == [0, 30, 31, 32, 33, 0]


def test_nothing_is_counted_on_beyond_the_names_that_exist() -> None:
    first, last = UNCERTAIN_NUMBERS[0], UNCERTAIN_NUMBERS[-1]
    assert vertebra_numbers(borders(4), listed((45.0, first))).tolist() == [0, 0, first, first + 1, 0]
    assert vertebra_numbers(borders(4), listed((45.0, last))).tolist() == [0, last - 1, last, 0, 0]


def test_a_disc_beside_an_unnamed_vertebra_has_no_name() -> None:
    t12, l1 = VERTEBRA_NUMBERS["T12"], VERTEBRA_NUMBERS["L1"]
    numbers = disc_numbers(np.array([0, l1, t12, UNCERTAIN_NUMBERS[3]], np.uint16))
    assert LABEL_NAMES[int(numbers[2])] == "disc_T12_L1"
    assert numbers[1] == numbers[3] == STRUCTURE_NUMBERS["disc"]
    assert numbers[0] == 0


@pytest.mark.parametrize("marrow_hu", [60.0, 120.0])
def test_the_canal_follows_the_sacral_canal_not_the_marrow_before_it(marrow_hu: float) -> None:
    """Below slice 20 the canal runs backwards; marrow straight below it is ringed by bone as well."""
    rng = np.random.default_rng(5)
    hu = np.full((40, 90, 90), 40.0, np.float32)
    bone = np.zeros(hu.shape, bool)
    y, x = np.mgrid[:90, :90]
    for z in range(40):
        behind = 1.0 * max(0, 20 - z)
        canal = np.hypot(y - 45 - behind, x - 45)
        marrow = np.hypot(y - 43, x - 45) if z < 12 else np.full(y.shape, 99.0)
        hu[z][marrow < 6] = marrow_hu
        hu[z][canal < 6] = 0.0
        bone[z] = ((marrow >= 6) & (marrow < 8) & (canal > 6)) | ((canal >= 6) & (canal < 8))
    hu[bone] = 500.0
    hu += rng.normal(0.0, 8.0, hu.shape).astype(np.float32)
    grid = Geometry(hu.shape, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    found = trace_spinal_canal(hu, bone, np.ones(hu.shape, bool), grid, config=AnatomyConfig())
    assert found is not None
    ys = found.at(np.arange(found.first, found.last + 1))[:, 0]
    true = 45 + np.maximum(0, 20 - np.arange(found.first, found.last + 1))
    assert np.abs(ys - true).max() * 2.0 < 6.0


def test_the_marrow_of_a_thin_boned_body_before_an_enhanced_aorta_is_no_canal() -> None:
    """An osteoporotic body looks like a ring with a body (the bright aorta) in front; the canal lies behind it."""
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:90, :90]
    shell = np.hypot(y - 40, x - 45)
    canal = np.hypot(y - 53, x - 45)
    hu = np.full((40, 90, 90), 40.0, np.float32)
    bone = np.zeros(hu.shape, bool)
    bone[:, (shell >= 8.5) & (shell < 10) & (canal > 6)] = True
    foramen = (np.abs(y - 53) < 3) & (np.arange(40) % 13 < 6)[:, None, None]
    bone |= (canal >= 5) & (canal < 6.5) & ~foramen
    bone[:, np.hypot(y - 22, x - 47) < 7] = True  # contrast medium above the threshold of bone
    hu[bone] = 400.0
    hu += rng.normal(0.0, 15.0, hu.shape).astype(np.float32)
    grid = Geometry(hu.shape, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    found = trace_spinal_canal(hu, bone, np.ones(hu.shape, bool), grid, config=AnatomyConfig())
    assert found is not None
    assert np.abs(found.points_yx[:, 0] - 53).max() * 2.0 < 6.0
