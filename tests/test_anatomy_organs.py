from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anatomy_case import anatomy, dice, phantom
from paraspinal.anatomy import Anatomy, segment_anatomy
from paraspinal.anatomy.territory import compete, cut_into_regions, guided, share_of
from paraspinal.phantom import Phantom, make_phantom, preset
from paraspinal.phantom.presets import fast

CASES = [
    ("emh", "liver", 0.92),
    ("healthy", "liver", 0.9),
    ("emh", "spleen", 0.88),
    ("healthy", "spleen", 0.88),
    ("emh", "kidney_left", 0.85),
    ("emh", "kidney_right", 0.85),
    ("healthy", "kidney_left", 0.85),
    ("healthy", "kidney_right", 0.85),
    ("emh", "aorta", 0.75),
    ("healthy", "aorta", 0.75),
]
NUMBERS = {"liver": 5, "spleen": 1, "kidney_right": 2, "kidney_left": 3, "aorta": 52}


def truth_on(found: Anatomy, made: Phantom, name: str) -> np.ndarray:
    voxels = np.argwhere(np.ones(found.geometry.shape))
    index = np.rint(made.volume.geometry.to_index(found.geometry.to_lps(voxels))).astype(int)
    index = np.clip(index, 0, np.asarray(made.volume.geometry.shape) - 1)
    return (made.labels.data == NUMBERS[name])[tuple(index.T)].reshape(found.geometry.shape)


@pytest.mark.parametrize(("name", "organ", "floor"), CASES)
def test_organs_overlap_the_truth(name: str, organ: str, floor: float) -> None:
    found = anatomy(name)
    assert dice(found.mask(organ), truth_on(found, phantom(name), organ)) > floor


def test_a_huge_spleen_that_touches_the_liver_is_parted_from_it() -> None:
    found = anatomy("emh")
    assert not (found.mask("liver") & found.mask("spleen")).any()
    spleen_ml = found.mask("spleen").sum() * found.geometry.voxel_ml
    assert spleen_ml > 314  # the limit of splenomegaly [PRASS]


def test_organs_do_not_overlap_each_other_or_the_spine() -> None:
    found = anatomy("healthy")
    names = ("liver", "spleen", "kidney_left", "kidney_right", "psoas_left", "psoas_right", "column")
    assert np.sum([found.mask(name) for name in names], axis=0).max() == 1


def test_organs_that_the_scan_cuts_say_so() -> None:
    found = anatomy("healthy")
    assert "inferior" in found.organs["liver"].truncated


def test_no_spleen_is_made_up_where_there_is_none() -> None:
    spec = fast(preset("healthy"))
    made = make_phantom(replace(spec, patient=replace(spec.patient, missing=("spleen",))))
    assert not (made.labels.data == NUMBERS["spleen"]).any()
    assert segment_anatomy(made.volume).organs["spleen"].presence != "present"


@pytest.mark.parametrize("organ", ["liver", "kidney_left"])
def test_an_organ_whose_place_was_not_scanned_is_not_in_view(organ: str) -> None:
    made = phantom("healthy")
    shape = made.volume.geometry.shape
    above = made.volume.geometry.crop((shape[0] * 2 // 3, 0, 0), (shape[0] - shape[0] * 2 // 3, *shape[1:]))
    chest = replace(
        made.volume, hu=made.volume.hu[shape[0] * 2 // 3 :].copy(), geometry=above, padding=None, slices=()
    )
    found = segment_anatomy(chest).organs[organ]
    assert found.presence == "not_in_view"


def test_lungs_lie_on_their_sides() -> None:
    found = anatomy("healthy")
    x = {side: np.argwhere(found.mask(f"lung_{side}"))[:, 2].mean() for side in ("left", "right")}
    assert x["left"] > x["right"] + 30


def two_balls(level: float) -> tuple[np.ndarray, np.ndarray]:
    """Two balls of radius 9 and of one density that overlap in a neck, in fat."""
    z, y, x = np.mgrid[:24, :24, :40]
    left = (z - 12) ** 2 + (y - 12) ** 2 + (x - 11) ** 2 < 81
    right = (z - 12) ** 2 + (y - 12) ** 2 + (x - 28) ** 2 < 81
    hu = np.where(left | right, level, -100.0)
    noise = np.random.default_rng(3).normal(0.0, 4.0, hu.shape)
    return np.asarray(hu + noise, np.float32), np.asarray(left | right)


def test_organs_of_one_density_part_at_their_neck() -> None:
    hu, tissue = two_balls(50.0)
    regions = cut_into_regions(guided(hu, tissue, radius=1, noise_hu=10.0), tissue, step_hu=8.0)
    seeds = [np.zeros(tissue.shape, bool), np.zeros(tissue.shape, bool)]
    seeds[0][12, 12, 9:13] = seeds[1][12, 12, 27:31] = True
    none = np.zeros(len(regions.sizes))
    chance = compete(regions, [share_of(seed, regions) for seed in seeds], [none, none])
    first = (chance[0] > chance[1])[regions.labels] & tissue
    x = np.nonzero(first)[2]
    assert abs(first.sum() / tissue.sum() - 0.5) < 0.05
    assert x.max() <= 22  # the neck lies at 19.5


def test_smoothing_keeps_steps_and_takes_noise_away() -> None:
    rng = np.random.default_rng(1)
    hu = np.where(np.arange(30) < 15, 20.0, 120.0) + rng.normal(0.0, 6.0, (12, 12, 30))
    smooth = guided(hu.astype(np.float32), np.ones(hu.shape, bool), radius=1, noise_hu=10.0)
    assert smooth[:, :, 4:11].std() < 0.5 * hu[:, :, 4:11].std()
    assert smooth[:, :, 15].mean() - smooth[:, :, 14].mean() > 70.0
