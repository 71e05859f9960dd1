"""DICOM segmentations: voxels and places as they were written, whatever the order of frames."""

from pathlib import Path

import numpy as np
import pytest

from mask_files import ball, reread, segment, write_seg
from paraspinal.dicomio.nrrd import parse_nrrd
from paraspinal.dicomio.rawgrid import stored_voxels
from paraspinal.dicomio.seg import SegError, read_seg
from paraspinal.volume import Geometry

# 23 × 19 pixels are no whole number of bytes, so that frames begin inside a byte.
GRID = Geometry((9, 23, 19), (2.5, 0.8, 0.7), (-30.0, 12.0, -140.0))
LIVER, SPLEEN = "10200004", "78961009"


def two_balls() -> dict[int, np.ndarray]:
    first = ball(GRID, GRID.to_lps((4, 10, 8)), 5.0)
    second = ball(GRID, GRID.to_lps((5, 12, 10)), 6.0)
    return {1: first, 2: second}


SEGMENTS = [segment(1, "a", LIVER), segment(2, "b", SPLEEN)]


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_frames_are_placed_by_what_they_say_and_not_by_their_order(tmp_path: Path, seed: int | None) -> None:
    masks = two_balls()
    count = sum(int(m.any(axis=(1, 2)).sum()) for m in masks.values())
    order = None if seed is None else np.random.default_rng(seed).permutation(count)
    read = read_seg(write_seg(tmp_path / "s.dcm", GRID, masks, SEGMENTS, order=order))
    assert [s.codes for s in read.segments] == [(LIVER,), (SPLEEN,)]
    for found in read.segments:
        truth = masks[found.number]
        assert found.region is not None
        assert found.region.voxels == truth.sum()
        # Empty planes are left out, so that the grid begins at the first plane that is there: compare in space.
        at = read.grid.to_lps(np.argwhere(found.region.mask) + found.region.start)
        index = np.rint(GRID.to_index(at)).astype(int)
        assert truth[tuple(index.T)].all()


def test_overlapping_segments_keep_all_their_voxels(tmp_path: Path) -> None:
    masks = two_balls()
    assert (masks[1] & masks[2]).any()
    read = read_seg(write_seg(tmp_path / "s.dcm", GRID, masks, SEGMENTS))
    assert [s.region.voxels for s in read.segments if s.region] == [m.sum() for m in masks.values()]


def test_a_fractional_segment_holds_what_is_more_than_half(tmp_path: Path) -> None:
    masks = two_balls()
    read = read_seg(write_seg(tmp_path / "s.dcm", GRID, masks, SEGMENTS, kind="FRACTIONAL"))
    assert [s.region.voxels for s in read.segments if s.region] == [m.sum() for m in masks.values()]


def test_a_plane_in_the_middle_that_is_empty_stays_empty(tmp_path: Path) -> None:
    mask = two_balls()[1]
    mask[4] = False
    read = read_seg(write_seg(tmp_path / "s.dcm", GRID, {1: mask}, SEGMENTS[:1]))
    region = read.segments[0].region
    assert region is not None
    assert region.voxels == mask.sum()
    assert not region.mask[4 - np.flatnonzero(mask.any(axis=(1, 2)))[0]].any()


def test_an_oblique_left_handed_grid_keeps_its_place(tmp_path: Path) -> None:
    angle = np.radians(20.0)
    row = np.array([np.cos(angle), np.sin(angle), 0.0])
    column = np.array([-np.sin(angle), np.cos(angle), 0.0])
    normal = np.cross(row, column)
    grid = Geometry((5, 20, 18), (3.0, 1.0, 1.2), (4.0, -50.0, 300.0), np.column_stack([normal, column, row]))
    centre = grid.to_lps((2, 9, 8))
    read = read_seg(write_seg(tmp_path / "s.dcm", grid, {1: ball(grid, centre, 5.0)}, SEGMENTS[:1]))
    region = read.segments[0].region
    assert region is not None
    assert np.allclose(read.grid.to_lps(region.centroid_index()), centre, atol=0.2)


def test_a_segment_without_frames_has_no_region(tmp_path: Path) -> None:
    read = read_seg(write_seg(tmp_path / "s.dcm", GRID, {1: two_balls()[1]}, SEGMENTS))
    assert read.segments[1].region is None


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"), "seg_other_object"),
        (lambda d: setattr(d, "NumberOfFrames", 3), "seg_unreadable"),
        (lambda d: setattr(d, "PixelData", b"\1\0"), "seg_unreadable"),
        (lambda d: d.__delattr__("SharedFunctionalGroupsSequence"), "seg_without_place"),
    ],
)
def test_a_spoiled_object_is_a_typed_error(tmp_path: Path, spoil, code: str) -> None:
    path = write_seg(tmp_path / "s.dcm", GRID, two_balls(), SEGMENTS)
    dataset = reread(path)
    spoil(dataset)
    dataset.save_as(path)
    with pytest.raises(SegError) as caught:
        read_seg(path)
    assert caught.value.code == code


def test_frames_on_no_regular_grid_are_refused(tmp_path: Path) -> None:
    path = write_seg(tmp_path / "s.dcm", GRID, two_balls(), SEGMENTS)
    dataset = reread(path)
    place = dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    place.ImagePositionPatient = [p + 1.0 for p in place.ImagePositionPatient]
    dataset.save_as(path)
    with pytest.raises(SegError) as caught:
        read_seg(path)
    assert caught.value.code == "seg_irregular"


def test_bytes_that_are_no_dicom_are_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\0" * 500)
    with pytest.raises(SegError):
        read_seg(tmp_path / "x")


@pytest.mark.realdata
def test_voxels_agree_with_another_reader(real_data: Path) -> None:
    """highdicom 0.28 reads the same numbers of voxels out of these (counted once, written down here)."""
    folder = real_data / "loader" / "dcmqi-ct-3slice"
    if not folder.is_dir():
        pytest.skip("no dcmqi objects here")
    one = read_seg(folder / "liver.dcm")
    assert [s.region.voxels for s in one.segments if s.region] == [107098]
    assert one.segments[0].codes == (LIVER,)  # stated as SRT T-62000
    several = read_seg(folder / "partial_overlaps.dcm")
    assert [s.region.voxels for s in several.segments if s.region] == [9602, 11888, 10743, 6693, 4713]
    assert [s.region.voxels for s in read_seg(folder / "sparse-labelmap-ppv5.dcm").segments if s.region] == [
        630
    ]


@pytest.mark.realdata
@pytest.mark.parametrize("columns", [23, 24])
def test_frames_that_begin_inside_a_byte_match_the_nrrd_beside_them(real_data: Path, columns: int) -> None:
    folder = real_data / "loader" / "legacy-enhanced" / f"{columns}x38x3"
    if not folder.is_dir():
        pytest.skip("no legacy enhanced objects here")
    blob = (folder / "nrrd" / "label.nrrd").read_bytes()
    truth = stored_voxels(parse_nrrd(blob), blob)
    read = read_seg(folder / "seg" / "label.seg")
    assert sum(s.region.voxels for s in read.segments if s.region) == np.count_nonzero(truth)
