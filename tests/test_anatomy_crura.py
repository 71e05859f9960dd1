"""Crura of the diaphragm on a drawn abdomen: column, aorta, two sheets, and what lies beside them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from paraspinal.anatomy.chest.crura import find_crura
from paraspinal.anatomy.types import Vertebra
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_SHAPE = (50, 90, 100)
_GRID = Geometry(_SHAPE, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
_LEVELS = ("T12", "L1", "L2")


def _vertebra(label: str, z: float) -> Vertebra:
    x, y, height = _GRID.to_lps(np.array([z, 60.0, 50.0]))
    return Vertebra(
        label, {label: 1.0}, (float(x), float(y), float(height)), height + 15, height - 15, 0.0, 0, 1.0
    )


def _scene(
    *, aorta_hu: float, thickness_mm: float, noise: float, sheets: bool, seed: int
) -> tuple[npt.NDArray[np.float32], dict[str, BoolArray], BoolArray]:
    """Return HU, masks and the truth: a sheet on either side from the column's flank to before the aorta."""
    z, y, x = (axis.astype(float) for axis in np.indices(_SHAPE))
    hu = np.full(_SHAPE, -95.0)
    side, ahead = (x - 50.0) * 2.0, (60.0 - y) * 2.0
    column = np.hypot(side, ahead * 1.1) < 20.0
    aorta = np.hypot(side - 6.0, ahead - 32.0) < 10.0
    # A liver on the right, a cava before it, a kidney on the left, a node and a vessel that crosses.
    hu[(side < -44.0) & (ahead > -20.0)] = 60.0
    hu[np.hypot(side + 26.0, ahead - 44.0) < 11.0] = 70.0
    hu[np.hypot(side - 60.0, ahead) < 20.0] = 80.0
    hu[(np.abs(z - 25) < 2) & (np.abs(ahead - 24.0) < 4) & (side > 18.0)] = 90.0
    hull = np.minimum(
        np.hypot(side, ahead) - 24.0, np.hypot(side - 4.0, ahead - 32.0) - 15.0
    )  # a smooth sack around column and aorta
    sheet = (np.abs(hull - thickness_mm / 2) < thickness_mm / 2) & (ahead > -4.0) & ~column & ~aorta
    if sheets:
        hu[sheet] = 50.0
    hu[aorta], hu[column] = aorta_hu, 320.0
    rng = np.random.default_rng(seed)
    blurred = ndimage.gaussian_filter(hu, 0.5)
    noisy = blurred + noise / 0.28 * ndimage.gaussian_filter(rng.standard_normal(_SHAPE), 0.6)
    none = np.zeros(_SHAPE, bool)
    masks = {"column": column, "aorta": aorta, "bone": noisy > 180.0, "canal": none}
    masks["bone"] &= column
    return noisy.astype(np.float32), masks, sheet


def _found(hu: npt.NDArray[np.float32], masks: dict[str, BoolArray]) -> BoolArray:
    vertebrae = [_vertebra(label, z) for label, z in zip(_LEVELS, (40.0, 25.0, 10.0), strict=True)]
    return find_crura(hu, masks, vertebrae, _GRID, config=AnatomyConfig())


@pytest.mark.parametrize("aorta_hu", [40.0, 300.0])
@pytest.mark.parametrize(("thickness", "noise"), [(4.0, 10.0), (6.0, 20.0), (8.0, 15.0)])
def test_sheets_are_followed_round_column_and_aorta(aorta_hu: float, thickness: float, noise: float) -> None:
    hu, masks, truth = _scene(aorta_hu=aorta_hu, thickness_mm=thickness, noise=noise, sheets=True, seed=1)
    found = _found(hu, masks)
    near = ndimage.binary_dilation(truth, iterations=1)
    assert (found & near).sum() > 0.85 * found.sum()
    assert (truth & ndimage.binary_dilation(found, iterations=1)).sum() > 0.6 * truth.sum()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_found_where_only_fat_vessels_and_organs_lie(seed: int) -> None:
    hu, masks, _ = _scene(aorta_hu=200.0, thickness_mm=5.0, noise=15.0, sheets=False, seed=seed)
    assert _found(hu, masks).sum() * _GRID.voxel_ml < 1.0


def test_no_crura_are_looked_for_in_the_chest() -> None:
    hu, masks, _ = _scene(aorta_hu=40.0, thickness_mm=5.0, noise=10.0, sheets=True, seed=1)
    vertebrae = [_vertebra("T6", 25.0)]
    assert not find_crura(hu, masks, vertebrae, _GRID, config=AnatomyConfig()).any()
