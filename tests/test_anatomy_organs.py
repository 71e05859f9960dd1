from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anatomy_case import anatomy, dice, phantom
from paraspinal.anatomy import Anatomy, segment_anatomy
from paraspinal.anatomy.organs.lumps import Trunk, find_lumps, neck_to
from paraspinal.anatomy.organs.situs import find_situs
from paraspinal.anatomy.organs.territory import compete, cut_into_regions, guided, share_of
from paraspinal.config import AnatomyConfig
from paraspinal.phantom import Phantom, make_phantom, preset
from paraspinal.phantom.presets import fast
from paraspinal.volume import Geometry

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


@pytest.mark.parametrize("organ", ["liver", "kidney_left", "kidney_right"])
def test_organs_that_the_scan_cuts_say_so_and_others_do_not(organ: str) -> None:
    found = anatomy("healthy")
    cut = bool((phantom("healthy").labels.data[0] == NUMBERS[organ]).any())
    assert ("inferior" in found.organs[organ].truncated) == cut


def test_a_mirrored_body_keeps_its_organs_under_their_own_names() -> None:
    usual, volume = anatomy("healthy"), phantom("healthy").volume
    turned = segment_anatomy(replace(volume, hu=np.ascontiguousarray(volume.hu[:, :, ::-1]), slices=()))
    for name in ("liver", "spleen"):
        assert turned.organs[name].presence == "present"
        assert "mirrored" in (turned.organs[name].reason or "")
        assert dice(turned.mask(name)[:, :, ::-1], usual.mask(name)) > 0.95
    for left, right in (("kidney_left", "kidney_right"), ("kidney_right", "kidney_left")):
        assert dice(turned.mask(left)[:, :, ::-1], usual.mask(right)) > 0.9


def trunk_with(radius_left: int, radius_right: int) -> tuple[Trunk, np.ndarray]:
    """A trunk with one ball of tissue on each side, and the place of a vessel to the left of the spine."""
    z, y, x = np.mgrid[:30, :40, :60]
    left = np.asarray((x - 29.5) * 4.0, np.float32)
    tissue = (z - 15) ** 2 + (y - 20) ** 2 + (x - 45) ** 2 < radius_left**2
    tissue |= (z - 15) ** 2 + (y - 20) ** 2 + (x - 14) ** 2 < radius_right**2
    none, grid = np.zeros(tissue.shape, bool), Geometry(tissue.shape, (4.0, 4.0, 4.0), (0.0, 0.0, 0.0))
    front = np.asarray((20 - y) * 4.0, np.float32)
    hu = np.where(tissue, 50.0, -100.0).astype(np.float32)
    trunk = Trunk(hu, ~none, tissue, none, none, left, front, np.full(30, np.nan), grid)
    return trunk, np.asarray((np.abs(left - 20.0) < 8.0) & (np.abs(y - 30) < 3))


@pytest.mark.parametrize(
    ("left", "right", "vessel", "situs"),
    [
        (8, 12, "left", "usual"),
        (12, 8, "right", "mirrored"),
        (12, 8, "left", "usual"),  # a huge spleen
        (12, 8, "none", "unsure"),
        (8, 12, "right", "usual"),  # an aorta that descends on the right
    ],
)
def test_one_sign_alone_does_not_mirror_a_body(left: int, right: int, vessel: str, situs: str) -> None:
    trunk, aorta = trunk_with(left, right)
    sided = {"left": {"aorta": aorta}, "right": {"aorta": aorta[:, :, ::-1]}, "none": {}}
    assert find_situs(trunk, sided[vessel]) == situs


def test_a_neck_is_as_wide_as_the_contact_of_two_lumps() -> None:
    hu, tissue = two_balls(50.0)
    trunk, _ = trunk_with(8, 12)
    place = np.zeros(hu.shape, np.float32)
    trunk = replace(
        trunk,
        **{name: np.zeros(hu.shape, bool) for name in ("lungs", "gas")},
        hu=hu,
        tissue=tissue,
        inside=np.ones(hu.shape, bool),
        left=place,
        front=place,
        height=np.full(hu.shape[0], np.nan),
        grid=Geometry(hu.shape, (4.0, 4.0, 4.0), (0.0, 0.0, 0.0)),
    )
    lumps = find_lumps(
        tissue, hu, trunk, trunk.gas, alike_hu=10.0, neck=0.9, config=AnatomyConfig(lump_min_mm=12.0)
    )
    assert lumps.labels.max() == 2
    chosen = lumps.labels == lumps.labels[12, 12, 11]
    own, other = lumps.labels[12, 12, 11], lumps.labels[12, 12, 28]
    necks = neck_to(lumps, chosen)
    assert necks[own] == lumps.radius_mm[own]
    assert 4.0 <= necks[other] <= 0.6 * lumps.radius_mm[other]  # the balls (36 mm) meet in a disc of 12 mm


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
