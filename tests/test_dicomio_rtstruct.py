"""RT structure sets: area and volume of contours, holes in both forms, and places."""

from pathlib import Path

import numpy as np
import pytest

from mask_files import circle, reread, write_rtstruct
from paraspinal.dicomio.rtstruct import RtStructError, fill_even_odd, read_rtstruct

CENTRE = (12.3, -40.7)


def volume_ml(path: Path, which: int = 0) -> float:
    found = read_rtstruct(path).structures[which]
    assert found.region is not None
    assert found.grid is not None
    return found.region.voxels * found.grid.voxel_ml


def test_a_cylinder_has_its_volume_and_place(tmp_path: Path) -> None:
    heights = np.arange(10) * 3.0 - 200.0
    path = write_rtstruct(tmp_path / "s.dcm", {"liver": [(z, circle(CENTRE, 20.0)) for z in heights]})
    # Each plane stands for the slab half way to its neighbours: ten planes at 3 mm are 30 mm.
    assert volume_ml(path) == pytest.approx(np.pi * 20.0**2 * 30.0 / 1000.0, rel=0.01)
    found = read_rtstruct(path).structures[0]
    assert found.name == "liver"
    assert found.region is not None
    assert found.grid is not None
    middle = found.grid.to_lps(found.region.centroid_index())
    assert np.allclose(middle, (*CENTRE, heights.mean()), atol=0.1)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_contour_inside_another_is_a_hole_whatever_its_direction(tmp_path: Path, reverse: bool) -> None:
    contours = [
        (float(z), c)
        for z in range(0, 15, 3)
        for c in (circle(CENTRE, 20.0), circle(CENTRE, 10.0, reverse=reverse))
    ]
    path = write_rtstruct(tmp_path / "s.dcm", {"liver": contours})
    assert volume_ml(path) == pytest.approx(np.pi * (20.0**2 - 10.0**2) * 15.0 / 1000.0, rel=0.01)


def test_a_keyhole_is_the_same_hole(tmp_path: Path) -> None:
    outer, inner = circle(CENTRE, 20.0), circle(CENTRE, 10.0, reverse=True)
    keyhole = np.vstack([outer, outer[:1], inner, inner[:1], outer[:1]])
    path = write_rtstruct(tmp_path / "s.dcm", {"liver": [(float(z), keyhole) for z in range(0, 15, 3)]})
    assert volume_ml(path) == pytest.approx(np.pi * (20.0**2 - 10.0**2) * 15.0 / 1000.0, rel=0.01)


def test_two_parts_of_one_plane_are_both_filled(tmp_path: Path) -> None:
    contours = [
        (float(z), c) for z in range(0, 9, 3) for c in (circle((0.0, 0.0), 8.0), circle((40.0, 0.0), 8.0))
    ]
    path = write_rtstruct(tmp_path / "s.dcm", {"lungs": contours})
    assert volume_ml(path) == pytest.approx(2 * np.pi * 8.0**2 * 9.0 / 1000.0, rel=0.02)


def test_a_missing_plane_stays_a_gap(tmp_path: Path) -> None:
    heights = [0.0, 3.0, 6.0, 12.0, 15.0]
    path = write_rtstruct(tmp_path / "s.dcm", {"liver": [(z, circle(CENTRE, 20.0)) for z in heights]})
    assert volume_ml(path) == pytest.approx(np.pi * 20.0**2 * 15.0 / 1000.0, rel=0.01)


def test_points_enclose_nothing_and_are_counted(tmp_path: Path) -> None:
    path = write_rtstruct(tmp_path / "s.dcm", {"iso": [(0.0, circle(CENTRE, 2.0)[:1])]}, kind="POINT")
    read = read_rtstruct(path)
    assert read.structures[0].region is None
    assert read.left_out == 1


@pytest.mark.parametrize("radius", [4.0, 12.0])
def test_filling_is_unbiased_over_all_places_of_the_contour(radius: float) -> None:
    places = 30.0 + np.random.default_rng(5).random((200, 2))
    areas = [fill_even_odd([circle(place, radius, corners=400)], (60, 60)).sum() for place in places]
    assert np.mean(areas) == pytest.approx(np.pi * radius**2, rel=0.01)


def test_corners_on_voxel_centres_cover_a_square_once() -> None:
    square = np.array([[2.0, 3.0], [6.0, 3.0], [6.0, 8.0], [2.0, 8.0]])
    filled = fill_even_odd([square], (12, 12))
    # Half-open on both axes: squares that share an edge neither overlap nor leave a gap.
    beside = fill_even_odd([square + np.array([4.0, 0.0])], (12, 12))
    assert filled.sum() == 20
    assert not (filled & beside).any()


def test_a_contour_that_leaves_its_plane_is_refused(tmp_path: Path) -> None:
    path = write_rtstruct(tmp_path / "s.dcm", {"liver": [(0.0, circle(CENTRE, 20.0))]})
    dataset = reread(path)
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    data = list(contour.ContourData)
    data[2] = "14.0"
    contour.ContourData = data
    dataset.save_as(path)
    with pytest.raises(RtStructError) as caught:
        read_rtstruct(path)
    assert caught.value.code == "rtstruct_not_axial"


def test_another_object_says_so(tmp_path: Path) -> None:
    path = write_rtstruct(tmp_path / "s.dcm", {"liver": [(0.0, circle(CENTRE, 20.0))]})
    dataset = reread(path)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.save_as(path)
    with pytest.raises(RtStructError) as caught:
        read_rtstruct(path)
    assert caught.value.code == "rtstruct_other_object"
