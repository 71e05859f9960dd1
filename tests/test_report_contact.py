"""Contact sheets: each structure is outlined where it lies, and the straightened spine runs straight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from paraspinal.anatomy.types import Anatomy, Organ
from paraspinal.report.contact_sheet import SHEET_PX, contact_sheets
from paraspinal.report.straight_spine import render_straight_spine
from paraspinal.volume import CTVolume, Geometry, LabelMap
from report_case import GEOMETRY, anatomy_of, volume_of

LIVER = (190, 120, 60)
AORTA = (255, 70, 70)
BOX = np.s_[20:40, 40:60, 20:40]


def scene() -> tuple[CTVolume, Anatomy]:
    """Return a uniform volume with a liver on its right, on a working grid of twice the pixels."""
    volume = volume_of(np.full(GEOMETRY.shape, 40))
    grid = GEOMETRY.resampled((60, 80, 100))
    body, liver, aorta = (np.zeros(grid.shape, bool) for _ in range(3))
    body[:, 5:75, 5:95] = True
    liver[BOX] = True
    aorta[:, 45:50, 55:60] = True
    labels = np.zeros(grid.shape, np.uint16)
    for k, vertebra in enumerate(anatomy_of().vertebrae):
        z = round(float(grid.to_index(vertebra.centroid_lps_mm)[0]))
        labels[z - 2 : z + 3, 35:45, 44:56] = 36 - k
    names = {36 - k: f"vertebrae_T{8 + k}" for k in range(5)}
    found = replace(
        anatomy_of(),
        geometry=grid,
        hu=np.full(grid.shape, 40, np.float32),
        masks={"body": body, "liver": liver, "aorta": aorta},
        labels=LabelMap(labels, grid, names),
        organs={"liver": Organ("present", 0.9, ("inferior",)), "aorta": Organ("indeterminate", 0.4)},
    )
    return volume, found


def places(image: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    near = np.abs(np.asarray(image).astype(int) - colour).sum(axis=2) < 60
    return np.argwhere(near)


def test_every_sheet_is_as_wide_as_it_says_and_outlines_what_it_holds() -> None:
    volume, found = scene()
    sheets = contact_sheets(volume, found)
    assert sheets.keys() == {"skeleton", "soft", "spine"}
    assert {sheets[name].width for name in ("skeleton", "soft")} == {SHEET_PX}
    assert len(places(sheets["soft"], LIVER)) > 200
    assert len(places(sheets["soft"], AORTA)) > 200
    assert len(places(sheets["skeleton"], LIVER)) == 0


def test_the_liver_is_outlined_on_the_left_half_of_a_tile_at_its_own_heights_only() -> None:
    volume, found = scene()
    marked = places(contact_sheets(volume, found)["soft"], LIVER)
    tile = SHEET_PX / 4
    rows = 3 * round(397 * 1.5 * 70 / 90 / 1.0)  # below the axial tiles stand the planes
    axial = marked[marked[:, 0] < rows * 0.6]
    assert len(axial)
    across = axial[:, 1] % tile
    # The box lies at columns 20 to 40 of the body's 90, with the margin of 6 voxels.
    assert across.min() > 0.1 * tile
    assert across.max() < 0.48 * tile
    # Twelve slices over 60: the box's 20 slices show on four of them.
    seen = {(int(r // (rows / 3)), int(c // tile)) for r, c in axial}
    assert 3 <= len(seen) <= 6


def test_a_curved_canal_is_straight_on_the_third_sheet() -> None:
    """A bright cord along a slanted line becomes a vertical line."""
    hu = np.full(GEOMETRY.shape, -200)
    for x, y, z in np.asarray(GEOMETRY.to_index(anatomy_of().centreline_lps_mm))[:, ::-1]:
        hu[round(z), round(y) - 3 : round(y) + 4, round(x) - 4 : round(x) + 5] = 700
    image = np.asarray(render_straight_spine(volume_of(hu), anatomy_of()))
    sagittal = image[:, 100 : round(135 / 0.45)].max(axis=2)  # beside the ruler
    columns = [100 + np.flatnonzero(row > 200).mean() for row in sagittal[40:-40] if (row > 200).any()]
    assert len(columns) > 200
    assert np.std(columns) < 2.0
    assert np.mean(columns) == pytest.approx(75 / 0.45, abs=4)


def test_without_a_canal_the_third_sheet_is_empty() -> None:
    nothing = replace(anatomy_of(), centreline_lps_mm=np.zeros((0, 3)))
    image = render_straight_spine(volume_of(np.full(GEOMETRY.shape, 40)), nothing)
    assert np.asarray(image).max() == 0


def test_a_grid_of_few_slices_still_gives_sheets() -> None:
    volume, found = scene()
    thin = found.geometry.resampled((4, 80, 100))
    masks = {name: mask[:4] for name, mask in found.masks.items()}
    few = replace(found, geometry=thin, masks=masks, labels=LabelMap(found.labels.data[:4], thin, {}))
    native = CTVolume(volume.hu[:4], Geometry((4, 160, 200), GEOMETRY.spacing_mm, GEOMETRY.origin_lps_mm))
    assert contact_sheets(native, few)["soft"].width == SHEET_PX
