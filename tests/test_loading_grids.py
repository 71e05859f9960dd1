"""NRRD and MetaImage files are one CT volume each, or they are refused; 48 orientations keep every voxel's place."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from dicom_factory import write_series
from grid_files import (
    FRAMES,
    SHAPE,
    body,
    frame_name,
    grid,
    hu_at,
    identity,
    image,
    write_itk,
    write_meta,
    write_nifti2,
    write_nrrd,
)
from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading import LoadedSeries, load_series
from paraspinal.loading.grid_input import grid_summary
from paraspinal.loading.opening import open_source
from paraspinal.volume import Geometry

ALL_FRAMES = pytest.mark.parametrize("number", range(48), ids=frame_name)
CONFIG = LoadingConfig()
KINDS = {"nii.gz": "nifti", "nrrd": "nrrd", "mha": "metaimage"}


def refused(path: Path, config: LoadingConfig = CONFIG) -> LoadError:
    with pytest.raises(LoadError) as refusal:
        load_series(path, config=config)
    assert "\n" not in refusal.value.one_line()
    return refusal.value


def assert_every_voxel_in_its_place(loaded: LoadedSeries) -> None:
    """Assert canonical axes, and that each voxel reads what the field says at its LPS point."""
    volume = loaded.volume
    np.testing.assert_allclose(volume.geometry.axes_lps, [[0, 0, 1], [0, 1, 0], [1, 0, 0]], atol=1e-6)
    points = volume.geometry.to_lps(np.moveaxis(np.indices(volume.hu.shape), 0, -1))
    np.testing.assert_allclose(volume.hu, hu_at(points), atol=1)
    assert volume.hu.flags.c_contiguous


@ALL_FRAMES
@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "nrrd", "mha", "mhd", "nhdr"])
def test_a_file_in_any_orientation(tmp_path: Path, number: int, suffix: str) -> None:
    place = grid(FRAMES[number])
    path = write_itk(tmp_path / f"scan.{suffix}", place, packed=suffix == "mhd")
    loaded = load_series(path)
    assert_every_voxel_in_its_place(loaded)
    np.testing.assert_array_equal(loaded.volume.to_source(loaded.volume.hu), body(place))
    assert loaded.volume.source_geometry().same_grid(place, tolerance_mm=1e-4)


@ALL_FRAMES
def test_dicom_in_any_orientation(tmp_path: Path, number: int) -> None:
    """A DICOM plane has no handedness of its own: left-handed frames are slices stored from the far end."""
    place = grid(FRAMES[number])
    across, down, along = (place.axes_lps[:, k] for k in (2, 1, 0))
    stored = (body(place).astype(np.int32) + 1024).astype(np.int16)

    def turn(index: int, dataset: object) -> None:
        dataset.ImageOrientationPatient = [*across, *down]  # type: ignore[attr-defined]

    positions = [place.to_lps((k, 0, 0)) for k in range(SHAPE[0])]
    write_series(tmp_path / "ct", stored, positions=positions, edit=turn)
    loaded = load_series(tmp_path / "ct")
    assert_every_voxel_in_its_place(loaded)
    assert abs(along @ np.cross(across, down)) == 1.0
    if loaded.volume.slices:
        top = loaded.volume.geometry.to_lps((5, 0, 0))[2]
        heights = {p[2]: n + 1 for n, p in enumerate(positions)}
        assert loaded.volume.slices[-1].instance_number == heights[min(heights, key=lambda h: abs(h - top))]


@pytest.mark.parametrize(
    ("space", "factors"),
    [("RAS", (-1, -1, 1)), ("right-anterior-superior", (-1, -1, 1)), ("LAS", (1, -1, 1))],
)
def test_nrrd_spaces_are_turned_into_lps(tmp_path: Path, space: str, factors: tuple[int, ...]) -> None:
    fx, fy, fz = factors
    fields = {
        "space": space,
        "space directions": f"({0.7 * fx},0,0) (0,{0.8 * fy},0) (0,0,{2.5 * fz})",
        "space origin": f"({4 * fx}, {5 * fy}, {-6 * fz})",
    }
    loaded = load_series(write_nrrd(tmp_path / "scan.nrrd", fields=dict(fields)))
    assert_every_voxel_in_its_place(loaded)
    assert loaded.volume.geometry.same_grid(identity())
    assert loaded.source == "nrrd"


@pytest.mark.parametrize(
    ("letters", "axes"),
    [("RAI", ((1, 0, 0), (0, 1, 0), (0, 0, 1))), ("LPS", ((-1, 0, 0), (0, -1, 0), (0, 0, -1)))],
)
def test_metaimage_letters_are_the_sides_that_axes_come_from(
    tmp_path: Path, letters: str, axes: tuple[tuple[int, ...], ...]
) -> None:
    path = write_meta(tmp_path / "a.mha", fields={"TransformMatrix": None, "AnatomicalOrientation": letters})
    geometry = load_series(path).volume.source_geometry()
    np.testing.assert_array_equal(geometry.axes_lps[:, ::-1].T, axes)


@pytest.mark.parametrize("suffix", ["nrrd", "mha"])
@pytest.mark.parametrize("kind", ["gzip", "zlib"])
def test_packed_voxels_are_the_same_voxels(tmp_path: Path, suffix: str, kind: str) -> None:
    pack = {"gzip": gzip.compress, "zlib": zlib.compress}[kind]
    if suffix == "nrrd":
        path = write_nrrd(tmp_path / "a", fields={"encoding": "gzip"}, pack=pack)
    else:
        path = write_meta(tmp_path / "a", fields={"CompressedData": "True"}, pack=pack)
    np.testing.assert_array_equal(load_series(path).volume.hu, body(identity()))
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert refused(path).code == "truncated_pixel_data"


@pytest.mark.parametrize("suffix", ["nrrd", "mha"])
def test_big_endian_voxels_are_the_same_voxels(tmp_path: Path, suffix: str) -> None:
    swapped = body(identity()).astype(">i2")
    if suffix == "nrrd":
        path = write_nrrd(tmp_path / "a", fields={"endian": "big"}, array=swapped)
    else:
        path = write_meta(tmp_path / "a", fields={"BinaryDataByteOrderMSB": "True"}, array=swapped)
    np.testing.assert_array_equal(load_series(path).volume.hu, body(identity()))


@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_2_is_read(tmp_path: Path, order: str) -> None:
    loaded = load_series(write_nifti2(tmp_path / "scan.bin", order=order))
    assert_every_voxel_in_its_place(loaded)
    assert loaded.source == "nifti"


NRRD_REFUSALS: list[tuple[dict[str, str | None], str]] = [
    ({"space": None}, "orientation_unknown"),
    ({"space": "scanner-xyz"}, "orientation_unknown"),
    ({"space": None, "space dimension": "3"}, "orientation_unknown"),
    ({"space directions": None, "spacings": "0.7 0.8 2.5"}, "orientation_unknown"),
    ({"space directions": "none (0,0.8,0) (0,0,2.5)"}, "invalid_geometry"),
    ({"space directions": "(nan,0,0) (0,0.8,0) (0,0,2.5)"}, "invalid_geometry"),
    ({"space directions": "(0.7,0.3,0) (0,0.8,0) (0,0,2.5)"}, "invalid_geometry"),
    ({"space directions": "(0,0,0) (0,0.8,0) (0,0,2.5)"}, "invalid_geometry"),
    ({"space units": '"m" "m" "m"'}, "invalid_geometry"),
    ({"space origin": None}, "missing_geometry"),
    ({"dimension": "4", "sizes": "4 5 6 2"}, "four_dimensional"),
    ({"dimension": "4"}, "unreadable_file"),
    ({"sizes": "4 5 six"}, "unreadable_file"),
    ({"sizes": "4 5 0"}, "not_an_image_series"),
    ({"sizes": "4 5 5"}, "pixel_data_mismatch"),
    ({"sizes": "4 5 7"}, "truncated_pixel_data"),
    ({"sizes": "4000 5000 60000"}, "too_large"),
    ({"sizes": "4 5 6" + "0" * 5000}, "unreadable_file"),
    ({"endian": None}, "unreadable_file"),
    ({"type": "block"}, "not_hounsfield"),
    ({"encoding": "bzip2"}, "undecodable"),
    ({"byte skip": "-2"}, "unreadable_file"),
    ({"byte skip": "10"}, "truncated_pixel_data"),
]


@pytest.mark.parametrize(("fields", "code"), NRRD_REFUSALS)
def test_nrrd_headers_that_are_refused(tmp_path: Path, fields: dict[str, str | None], code: str) -> None:
    error = refused(write_nrrd(tmp_path / "scan.nrrd", fields=fields))
    assert error.code == code
    assert "scan.nrrd" in error.message


META_REFUSALS: list[tuple[dict[str, str | None], str]] = [
    ({"TransformMatrix": None, "AnatomicalOrientation": None}, "orientation_unknown"),
    ({"TransformMatrix": None, "AnatomicalOrientation": "???"}, "orientation_unknown"),
    ({"TransformMatrix": None, "AnatomicalOrientation": "RRI"}, "orientation_unknown"),
    ({"AnatomicalOrientation": "LAI"}, "orientation_conflict"),
    ({"TransformMatrix": "1 0 0 0 1 0 0 0"}, "invalid_geometry"),
    ({"TransformMatrix": "2 0 0 0 1 0 0 0 1"}, "invalid_geometry"),
    ({"TransformMatrix": "1 0 0 0.6 0.8 0 0 0 1"}, "invalid_geometry"),
    ({"ElementSpacing": "0.7 0.8 0"}, "invalid_geometry"),
    ({"DistanceUnits": "cm"}, "invalid_geometry"),
    ({"ElementSpacing": None}, "missing_geometry"),
    ({"Offset": None}, "missing_geometry"),
    ({"NDims": "4", "DimSize": "4 5 6 2"}, "four_dimensional"),
    ({"DimSize": "4 5"}, "unreadable_file"),
    ({"DimSize": "4 5 7"}, "truncated_pixel_data"),
    ({"DimSize": "4 5 5"}, "pixel_data_mismatch"),
    ({"DimSize": "40000 50000 60000"}, "too_large"),
    ({"ElementType": "MET_LONG"}, "not_hounsfield"),
    ({"ElementNumberOfChannels": "3"}, "not_hounsfield"),
    ({"ElementToIntensityFunctionSlope": "2"}, "not_hounsfield"),
    ({"BinaryData": "False"}, "undecodable"),
    ({"BinaryDataByteOrderMSB": None}, "unreadable_file"),
    ({"HeaderSize": "x"}, "unreadable_file"),
    ({"ElementDataFile": "LIST"}, "unsupported_format"),
    ({"ElementDataFile": "slice%03d.raw 1 6 1"}, "unsupported_format"),
    ({"ObjectType": "Tube"}, "not_an_image_series"),
]


@pytest.mark.parametrize(("fields", "code"), META_REFUSALS)
def test_metaimage_headers_that_are_refused(tmp_path: Path, fields: dict[str, str | None], code: str) -> None:
    error = refused(write_meta(tmp_path / "scan.mha", fields=fields))
    assert error.code == code
    assert "scan.mha" in error.message


def test_a_field_that_is_stated_twice_is_refused(tmp_path: Path) -> None:
    assert refused(write_nrrd(tmp_path / "a", extra="sizes: 5 4 6\n")).code == "unreadable_file"
    path = write_meta(tmp_path / "b")
    path.write_bytes(path.read_bytes().replace(b"DimSize = 4", b"Position = 0 0 0\nDimSize = 4"))
    assert refused(path).code == "unreadable_file"


def test_voxels_at_the_end_of_the_file(tmp_path: Path) -> None:
    for path in (
        write_nrrd(tmp_path / "a", fields={"byte skip": "-1"}, pack=lambda b: b"skipped" + b),
        write_nrrd(tmp_path / "b", fields={"byte skip": "7"}, pack=lambda b: b"skipped" + b),
        write_meta(tmp_path / "c", fields={"HeaderSize": "-1"}, pack=lambda b: b"skipped" + b),
    ):
        np.testing.assert_array_equal(load_series(path).volume.hu, body(identity()))


@pytest.mark.parametrize("name", ["../voxels.raw", "/etc/passwd", "sub/voxels.raw", "..", "link.raw", "gone"])
def test_a_data_file_elsewhere_is_not_followed(tmp_path: Path, name: str) -> None:
    here = tmp_path / "here"
    (here / "sub").mkdir(parents=True)
    for place in (tmp_path, here / "sub"):
        (place / "voxels.raw").write_bytes(body(identity()).tobytes())
    (here / "link.raw").symlink_to(tmp_path / "voxels.raw")
    for path in (
        write_nrrd(here / "a.nhdr", fields={"data file": name}),
        write_meta(here / "a.mhd", fields={"ElementDataFile": name}),
    ):
        assert refused(path).code == "data_file_missing"


def test_a_data_file_beside_its_header_is_read(tmp_path: Path) -> None:
    (tmp_path / "voxels.raw").write_bytes(body(identity()).tobytes())
    for path in (
        write_nrrd(tmp_path / "a.nhdr", fields={"data file": "./voxels.raw"}),
        write_meta(tmp_path / "a.mhd", fields={"ElementDataFile": "voxels.raw"}),
    ):
        np.testing.assert_array_equal(load_series(path).volume.hu, body(identity()))


def test_the_digest_of_a_detached_volume_covers_both_files(tmp_path: Path) -> None:
    path = write_itk(tmp_path / "a.mhd")
    before = load_series(path).input_digest
    raw = tmp_path / "a.raw"
    raw.write_bytes(raw.read_bytes()[:-1] + b"\xff")
    assert load_series(path).input_digest != before


def test_values_that_are_no_hounsfield_units_are_refused(tmp_path: Path) -> None:
    ones = np.ones(SHAPE, np.int16)
    for path in (write_nrrd(tmp_path / "a", array=ones), write_meta(tmp_path / "b", array=ones)):
        assert refused(path).code == "not_hounsfield"


@pytest.mark.parametrize("suffix", ["nrrd", "mha"])
def test_holes_padding_and_fractions_are_on_record(tmp_path: Path, suffix: str) -> None:
    values = body(identity()).astype(np.float32) + np.float32(0.25)
    values[0, 0, 0], values[1, 1, 1], values[2, 2, 2], values[3, 3, 3] = np.nan, -3024, 1e6, np.inf
    if suffix == "nrrd":
        path = write_nrrd(tmp_path / "a", fields={"type": "float"}, array=values)
    else:
        path = write_meta(tmp_path / "a", fields={"ElementType": "MET_FLOAT"}, array=values)
    loaded = load_series(path)
    numbers = {c.code: c.numbers for c in loaded.loading.codes}
    assert numbers["not_a_number"] == {"voxels": 2}
    assert numbers["padding"] == {"voxels": 3}
    assert numbers["clipped_to_int16"] == {"voxels": 1}
    assert "fractional_values" in numbers
    assert loaded.volume.padding is not None
    assert (loaded.volume.hu[loaded.volume.padding] == -1024).all()
    assert loaded.volume.hu[2, 2, 2] == 32767


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd", "mha"])
def test_the_summary_needs_no_voxels(tmp_path: Path, suffix: str) -> None:
    frame = FRAMES[next(n for n in range(48) if frame_name(n) == "AIR")]
    path = write_itk(tmp_path / f"scan.{suffix}", grid(frame))
    if suffix != "nii.gz":
        path.write_bytes(path.read_bytes()[:-100])
    summary = grid_summary(open_source(path, config=CONFIG), config=CONFIG)
    assert (summary.kind, summary.orientation) == (KINDS[suffix], "RIA")  # x, y, z of the file
    assert summary.shape == (SHAPE[1], SHAPE[0], SHAPE[2])
    np.testing.assert_allclose(summary.spacing_mm, (0.8, 2.5, 0.7), rtol=1e-6)
    assert summary.dtype == "int16"


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd", "mha"])
def test_a_volume_that_expands_without_bound_is_refused_before_it_does(tmp_path: Path, suffix: str) -> None:
    place = Geometry((40, 256, 256), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    path = tmp_path / f"bomb.{suffix}"
    sitk.WriteImage(image(np.full(place.shape, -1000, np.int16), place), str(path), True)
    assert path.stat().st_size < 40_000
    error = refused(path)
    assert (error.code, error.details["ratio"] > 200) == ("too_large", True)


@pytest.mark.parametrize("slope", [-1.0, 1e-4, 300.0])
def test_a_scale_of_a_nifti_obeys_the_rule_of_dicom(tmp_path: Path, slope: float) -> None:
    path = write_itk(tmp_path / "scan.nii")
    content = bytearray(path.read_bytes())
    content[112:120] = struct.pack("<2f", slope, 0.0)
    path.write_bytes(bytes(content))
    error = refused(path)
    assert error.code == "not_hounsfield"
    assert "conversion" in error.message
