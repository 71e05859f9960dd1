from __future__ import annotations

import numpy as np
import pytest

from anatomy_case import anatomy, dice, phantom

CASES = [
    ("emh", "liver", 0.85),
    ("healthy", "liver", 0.85),
    ("emh", "spleen", 0.85),
    ("healthy", "spleen", 0.8),
    ("emh", "aorta", 0.75),
    ("healthy", "aorta", 0.75),
]
NUMBERS = {"liver": 5, "spleen": 1, "aorta": 52}


@pytest.mark.parametrize(("name", "organ", "floor"), CASES)
def test_organs_overlap_the_truth(name: str, organ: str, floor: float) -> None:
    found, made = anatomy(name), phantom(name)
    index = np.rint(
        made.volume.geometry.to_index(found.geometry.to_lps(np.argwhere(np.ones(found.geometry.shape))))
    ).astype(int)
    index = np.clip(index, 0, np.asarray(made.volume.geometry.shape) - 1)
    truth = (made.labels.data == NUMBERS[organ])[tuple(index.T)].reshape(found.geometry.shape)
    assert dice(found.mask(organ), truth) > floor


def test_a_huge_spleen_that_touches_the_liver_is_parted_from_it() -> None:
    found = anatomy("emh")
    assert not (found.mask("liver") & found.mask("spleen")).any()
    spleen_ml = found.mask("spleen").sum() * found.geometry.voxel_ml
    assert spleen_ml > 314  # the limit of splenomegaly [PRASS]


def test_lungs_lie_on_their_sides() -> None:
    found = anatomy("healthy")
    x = {side: np.argwhere(found.mask(f"lung_{side}"))[:, 2].mean() for side in ("left", "right")}
    assert x["left"] > x["right"] + 30
