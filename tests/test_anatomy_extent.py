"""Where the scan ends, and what its end says about levels and organs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anatomy_case import anatomy, phantom
from paraspinal.anatomy import segment_anatomy
from paraspinal.anatomy.extent import cut_by_scan, cut_sides, padding_on
from paraspinal.anatomy.grid import working_grid
from paraspinal.anatomy.spine.levels import UNCERTAIN_NUMBERS
from paraspinal.volume import CTVolume, Geometry, Region
from scan_defects import canal_column, cropped, narrow, padded_right_of

SHAPE = (8, 20, 20)


def block(z: slice, y: slice, x: slice) -> Region:
    mask = np.zeros(SHAPE, bool)
    mask[z, y, x] = True
    return Region.of(mask)


def test_cut_sides_names_where_the_scan_ends() -> None:
    assert cut_sides(block(slice(0, 2), slice(5, 9), slice(12, 20)), SHAPE) == ("inferior", "left")
    assert cut_sides(block(slice(2, 4), slice(5, 9), slice(5, 9)), SHAPE) == ()


def test_a_border_near_the_end_is_cut_within_the_margin() -> None:
    near = block(slice(3, 6), slice(5, 9), slice(5, 9))  # two empty slices above
    assert cut_sides(near, SHAPE, margin=(2, 1, 1)) == ()
    assert cut_sides(near, SHAPE, margin=(3, 1, 1)) == ("superior",)


def test_padding_is_an_end() -> None:
    padding = np.zeros(SHAPE, bool)
    padding[:, :, :5] = True
    region = block(slice(3, 5), slice(5, 9), slice(5, 9))
    assert cut_sides(region, SHAPE, padding) == ("right",)
    geometry = Geometry(SHAPE, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    hu = np.zeros(SHAPE, np.int16)
    assert cut_by_scan(region, CTVolume(hu, geometry, padding=padding))
    assert not cut_by_scan(region, CTVolume(hu, geometry))


def test_padding_keeps_its_place_on_the_working_grid() -> None:
    geometry = Geometry((10, 40, 40), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    padding = np.zeros(geometry.shape, bool)
    padding[:, :, 30:] = True
    volume = CTVolume(np.zeros(geometry.shape, np.int16), geometry, padding=padding)
    found = padding_on(volume, working_grid(geometry, spacing_mm=2.0))
    assert found[:, :, 15:].all()
    assert not found[:, :, :15].any()


def test_padding_cuts_the_liver() -> None:
    volume = padded_right_of(phantom("emh").volume, anatomy("emh"), distance_mm=70.0)
    found = segment_anatomy(volume)
    assert not (found.mask("body") & found.mask("padding")).any()
    liver = found.organs["liver"]
    assert liver.presence != "present" or "right" in liver.truncated


@pytest.mark.parametrize("name", ["emh", "healthy"])
def test_the_aorta_is_cut_where_the_scan_cuts_it(name: str) -> None:
    assert set(anatomy(name).organs["aorta"].truncated) & {"inferior", "superior"}


def test_a_narrow_field_leaves_the_levels_open() -> None:
    found = segment_anatomy(narrow(phantom("healthy").volume, anatomy("healthy"), half_width_mm=45.0))
    assert found.vertebrae
    for vertebra in found.vertebrae:
        assert "no rib" not in vertebra.evidence
        assert vertebra.level_uncertain
        assert vertebra.number in UNCERTAIN_NUMBERS
    assert any("rib" in note for note in found.notes)


def test_a_field_cut_on_one_side_does_not_lose_the_canal() -> None:
    volume = phantom("healthy").volume
    x = canal_column(volume, anatomy("healthy"))[1] - round(30.0 / volume.geometry.spacing_mm[2])
    found = segment_anatomy(cropped(volume, x=slice(x, None)))
    away = np.abs(found.centreline_lps_mm[:, 0].mean() - anatomy("healthy").centreline_lps_mm[:, 0].mean())
    assert away < 2.0
    assert found.spine_length_mm > 0.9 * anatomy("healthy").spine_length_mm


def test_a_turned_volume_keeps_its_aorta() -> None:
    volume = phantom("emh").volume
    c, s = np.cos(np.deg2rad(20.0)), np.sin(np.deg2rad(20.0))
    turn = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    geometry = replace(volume.geometry, axes_lps=turn @ volume.geometry.axes_lps)
    turned = segment_anatomy(replace(volume, geometry=geometry))
    assert turned.mask("aorta").sum() == anatomy("emh").mask("aorta").sum()


def test_a_round_field_without_a_padding_value_cuts_a_mass_at_its_edge() -> None:
    hu = np.full((6, 60, 60), 40, np.int16)
    y, x = np.mgrid[:60, :60] - 29.5
    outside = np.hypot(y, x) > 31.0
    hu[:, outside] = -1000
    volume = CTVolume(hu, Geometry(hu.shape, (2.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    at_edge, inside = (np.zeros(hu.shape, bool) for _ in range(2))
    at_edge[2:4, 5:14, 8:14] = True
    at_edge &= ~outside
    inside[2:4, 28:32, 28:32] = True
    assert cut_by_scan(Region.of(at_edge), volume)
    assert not cut_by_scan(Region.of(inside), volume)
