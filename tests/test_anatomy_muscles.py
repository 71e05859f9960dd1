from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from anatomy_case import anatomy, dice, phantom

NUMBERS = {"autochthon_left": 86, "autochthon_right": 87, "psoas_left": 88, "psoas_right": 89}


def truth_on_grid(name: str, number: int) -> np.ndarray:
    found, made = anatomy(name), phantom(name)
    voxels = np.argwhere(np.ones(found.geometry.shape))
    index = np.rint(made.volume.geometry.to_index(found.geometry.to_lps(voxels))).astype(int)
    index = np.clip(index, 0, np.asarray(made.volume.geometry.shape) - 1)
    return (made.labels.data == number)[tuple(index.T)].reshape(found.geometry.shape)


@pytest.mark.parametrize("name", ["emh", "healthy"])
@pytest.mark.parametrize("muscle", ["autochthon_left", "autochthon_right"])
def test_erector_spinae_overlaps_the_truth(name: str, muscle: str) -> None:
    assert dice(anatomy(name).mask(muscle), truth_on_grid(name, NUMBERS[muscle])) > 0.75


@pytest.mark.parametrize("muscle", ["psoas_left", "psoas_right"])
def test_psoas_overlaps_the_truth_where_it_is_followed(muscle: str) -> None:
    found, truth = anatomy("healthy").mask(muscle), truth_on_grid("healthy", NUMBERS[muscle])
    shown = np.flatnonzero(found.any(axis=(1, 2)))
    assert shown.size * anatomy("healthy").geometry.spacing_mm[0] > 15.0
    truth[: shown[0]] = truth[shown[-1] + 1 :] = False
    assert dice(found, truth) > 0.8


@pytest.mark.parametrize("muscle", ["autochthon", "psoas"])
def test_muscles_lie_on_their_side_of_the_canal(muscle: str) -> None:
    found = anatomy("healthy")
    canal = np.argwhere(found.mask("canal"))[:, 2]
    left, right = (np.argwhere(found.mask(f"{muscle}_{side}"))[:, 2] for side in ("left", "right"))
    assert left.mean() > canal.mean() + 8 > canal.mean() - 8 > right.mean()


def test_erector_spinae_lies_behind_the_canal_and_psoas_in_front_of_the_laminae() -> None:
    found = anatomy("healthy")
    canal = np.argwhere(found.mask("canal"))[:, 1].mean()
    assert np.argwhere(found.mask("autochthon_left"))[:, 1].mean() > canal + 5
    assert np.argwhere(found.mask("psoas_left"))[:, 1].mean() < canal


def test_no_muscle_contains_bone_of_the_arch() -> None:
    found = anatomy("emh")
    muscle = found.mask("autochthon_left") | found.mask("autochthon_right")
    assert not (muscle & found.mask("bone")).any()


def test_muscles_are_in_the_label_map_under_their_numbers() -> None:
    found = anatomy("healthy")
    for name, number in NUMBERS.items():
        own = number if name.startswith("autochthon") else {"psoas_left": 207, "psoas_right": 208}[name]
        assert (found.labels.data == own).sum() > 0.8 * found.mask(name).sum()


@pytest.mark.parametrize("side", ["left", "right"])
def test_streaks_of_fat_inside_erector_spinae_belong_to_it(side: str) -> None:
    found = anatomy("healthy").mask(f"autochthon_{side}")
    holes = sum(int((ndimage.binary_fill_holes(plane) & ~plane).sum()) for plane in found)
    assert holes < 0.01 * found.sum()
