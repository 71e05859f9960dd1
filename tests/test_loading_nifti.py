"""A NIfTI file is one CT volume, or it is refused."""

import struct
from pathlib import Path

import numpy as np
import pytest

from paraspinal.dicomio.nifti import write_nifti
from paraspinal.errors import LoadError
from paraspinal.loading import inspect_source, load_series
from paraspinal.volume import Geometry
from test_loading_geometry import hu_at

SHAPE = (6, 5, 4)


def geometry(axes: np.ndarray | None = None) -> Geometry:
    frame = np.array([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]) if axes is None else axes
    return Geometry(SHAPE, (2.5, 0.8, 0.7), (4.0, 5.0, -6.0), frame)


def body(grid: Geometry) -> np.ndarray:
    return hu_at(grid.to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))).astype(np.int16)


def refusal_code(path: Path) -> str:
    with pytest.raises(LoadError) as refusal:
        load_series(path)
    assert path.name in refusal.value.message
    return refusal.value.code


def rewritten(path: Path, offset: int, form: str, *values: int) -> Path:
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, offset, *values)
    path.write_bytes(bytes(data))
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    write_nifti(tmp_path / "scan.nii", body(geometry()), geometry())
    return tmp_path / "scan.nii"


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_voxels_come_to_canonical_order_and_keep_their_place(tmp_path: Path, order: tuple[int, ...]) -> None:
    grid = geometry(np.array([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])[:, list(order)])
    write_nifti(tmp_path / "scan.nii.gz", body(grid), grid)
    loaded = load_series(tmp_path / "scan.nii.gz")
    volume = loaded.volume
    np.testing.assert_allclose(volume.geometry.axes_lps, [[0, 0, 1], [0, 1, 0], [1, 0, 0]], atol=1e-6)
    index = np.moveaxis(np.indices(volume.hu.shape), 0, -1)
    np.testing.assert_allclose(volume.hu, hu_at(volume.geometry.to_lps(index)), atol=1)
    np.testing.assert_array_equal(volume.to_source(volume.hu), body(grid))
    assert loaded.source == "nifti"
    assert volume.slices == ()
    assert volume.hu.flags.c_contiguous


def test_the_same_volume_has_the_same_key_whatever_its_order(tmp_path: Path) -> None:
    flipped = geometry()
    straight = Geometry(SHAPE, flipped.spacing_mm, tuple(flipped.to_lps((0, 4, 3))))  # type: ignore[arg-type]
    write_nifti(tmp_path / "a.nii.gz", body(flipped), flipped)
    write_nifti(tmp_path / "b.nii.gz", body(flipped)[:, ::-1, ::-1], straight)
    assert load_series(tmp_path / "a.nii.gz").uid == load_series(tmp_path / "b.nii.gz").uid


def test_fractions_are_rounded_and_holes_are_padding(tmp_path: Path) -> None:
    values = body(geometry()).astype(np.float32) + np.float32(0.25)
    values[0, 0, 0], values[1, 1, 1] = np.nan, -3024
    write_nifti(tmp_path / "scan.nii.gz", values, geometry())
    loaded = load_series(tmp_path / "scan.nii.gz")
    assert loaded.volume.padding is not None
    assert loaded.volume.padding.sum() == 2
    assert (loaded.volume.hu[loaded.volume.padding] == -1024).all()
    assert {"fractional_values", "not_a_number", "padding"} <= {c.code for c in loaded.loading.codes}


def test_the_scale_of_the_header_is_applied(plain: Path) -> None:
    before = load_series(plain).volume.hu.astype(int)
    data = bytearray(plain.read_bytes())
    struct.pack_into("<2f", data, 112, 2.0, -100.0)
    plain.write_bytes(bytes(data))
    np.testing.assert_array_equal(load_series(plain).volume.hu, before * 2 - 100)


def test_four_dimensions_are_refused(plain: Path) -> None:
    assert refusal_code(rewritten(plain, 40, "<5h", 4, 4, 5, 3, 2)) == "four_dimensional"


def test_unknown_orientation_is_refused(plain: Path) -> None:
    assert refusal_code(rewritten(plain, 252, "<2h", 0, 0)) == "orientation_unknown"


def test_two_orientations_are_refused(plain: Path) -> None:
    data = bytearray(plain.read_bytes())
    (x,) = struct.unpack_from("<f", data, 280)
    struct.pack_into("<f", data, 280, -x)  # the sform now runs the other way along x
    plain.write_bytes(bytes(data))
    assert refusal_code(plain) == "orientation_conflict"


def test_big_endian_files_are_the_same_volume(plain: Path) -> None:
    before = load_series(plain)
    data = np.frombuffer(plain.read_bytes(), np.uint8).copy()
    swaps = {4: [0, *range(76, 124, 4), *range(256, 328, 4)], 2: [*range(40, 56, 2), 70, 72, 252, 254]}
    swaps[2] += list(range(352, len(data), 2))
    for width, offsets in swaps.items():
        for at in offsets:
            data[at : at + width] = data[at : at + width][::-1].copy()
    plain.write_bytes(data.tobytes())
    after = load_series(plain)
    np.testing.assert_array_equal(after.volume.hu, before.volume.hu)
    assert after.volume.geometry.same_grid(before.volume.geometry)


def test_a_header_that_asks_for_too_much_is_refused(plain: Path) -> None:
    assert refusal_code(rewritten(plain, 40, "<4h", 3, 32767, 32767, 32767)) == "too_large"


def test_cut_voxels_are_refused(plain: Path) -> None:
    plain.write_bytes(plain.read_bytes()[:-60])
    assert refusal_code(plain) == "truncated_pixel_data"


def test_a_label_map_is_no_ct(tmp_path: Path) -> None:
    write_nifti(tmp_path / "labels.nii.gz", np.ones(SHAPE, np.uint8), geometry())
    assert refusal_code(tmp_path / "labels.nii.gz") == "not_hounsfield"


def test_a_type_without_room_for_fat_is_told_from_the_header(tmp_path: Path) -> None:
    write_nifti(tmp_path / "labels.nii.gz", np.ones(SHAPE, np.uint8), geometry())
    found = inspect_source(tmp_path / "labels.nii.gz")
    assert found.refusal == "not_hounsfield"
    assert "uint8" in (found.message or "")


def test_two_slices_are_too_few(tmp_path: Path) -> None:
    grid = Geometry((2, 5, 4), (2.5, 1.0, 1.0), (0.0, 0.0, 0.0))
    write_nifti(tmp_path / "thin.nii.gz", np.full((2, 5, 4), -500, np.int16), grid)
    assert refusal_code(tmp_path / "thin.nii.gz") == "too_few_slices"


def test_metres_are_refused(plain: Path) -> None:
    assert refusal_code(rewritten(plain, 123, "B", 1)) == "invalid_geometry"


def test_two_voxel_sizes_are_refused(plain: Path) -> None:
    data = bytearray(plain.read_bytes())
    struct.pack_into("<h", data, 252, 0)  # without qform, pixdim has to agree with the sform
    plain.write_bytes(bytes(data))
    assert load_series(plain).volume.hu.shape == (6, 5, 4)
    struct.pack_into("<f", data, 80, 1.4)
    plain.write_bytes(bytes(data))
    assert refusal_code(plain) == "orientation_conflict"


def test_more_voxels_than_the_header_says_are_refused(plain: Path) -> None:
    plain.write_bytes(plain.read_bytes() + b"\0\0")
    assert refusal_code(plain) == "pixel_data_mismatch"


def test_a_packed_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    write_nifti(path, body(geometry()), geometry())
    whole = path.read_bytes()
    for cut in (1, 8, 9, 40):
        path.write_bytes(whole[:-cut])
        assert refusal_code(path) == "truncated_pixel_data"
    path.write_bytes(whole[:-8] + b"\xff" * 8)  # the check sum
    assert refusal_code(path) == "unreadable_file"
