"""A voxel's value is where the headers say that it is, whatever the order of files, slices, rows and columns."""

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_factory import stored_body, write_series
from paraspinal.errors import LoadError
from paraspinal.loading import LoadedSeries, load_series
from paraspinal.volume import CTVolume

SHAPE = (5, 6, 7)
SPACING = (2.5, 0.8, 0.7)


def hu_at(lps: np.ndarray) -> np.ndarray:
    """Return a value that is different for every place: linear in LPS, HU."""
    return np.rint(lps @ np.array([9.123, 23.457, 61.789]) - 400.0)


def rotations() -> list[np.ndarray]:
    """Return the 24 rotations of a cube."""
    found = []
    for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        matrix = np.eye(3)[list(order)] * np.array(signs)[:, None]
        if np.linalg.det(matrix) > 0:
            found.append(matrix)
    return found


def write_oriented(folder: Path, rotation: np.ndarray, *, reverse: bool = False) -> None:
    """Write a series whose (row, column, normal) directions are the columns of `rotation`."""
    row, column, normal = rotation.T
    origin = np.array([4.0, -7.0, 11.0])
    k, j, i = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    lps = (
        origin
        + k[..., None] * SPACING[0] * normal
        + j[..., None] * SPACING[1] * column
        + i[..., None] * SPACING[2] * row
    )
    stored = (hu_at(lps) + 1024).astype(np.int16)
    positions = lps[:, 0, 0]
    if reverse:
        stored, positions = stored[::-1], positions[::-1]

    def orient(_: int, ds: Dataset) -> None:
        ds.ImageOrientationPatient = [float(v) for v in (*row, *column)]

    write_series(folder, stored, positions=positions, edit=orient)


def assert_values_in_place(loaded: LoadedSeries, *, atol: float = 0.0) -> None:
    volume = loaded.volume
    index = np.moveaxis(np.indices(volume.hu.shape), 0, -1)
    np.testing.assert_allclose(volume.hu, hu_at(volume.geometry.to_lps(index)), atol=atol)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("number", range(24))
def test_every_orientation_puts_every_voxel_in_its_place(tmp_path: Path, number: int, reverse: bool) -> None:
    write_oriented(tmp_path, rotations()[number], reverse=reverse)
    loaded = load_series(tmp_path)
    assert_values_in_place(loaded)
    volume = loaded.volume
    np.testing.assert_allclose(volume.geometry.axes_lps, [[0, 0, 1], [0, 1, 0], [1, 0, 0]], atol=1e-9)
    assert volume.hu.flags.c_contiguous
    axial = volume.source_axes.order[0] == 0
    assert ("non_axial" in codes(loaded)) == (not axial)
    assert len(volume.slices) == (volume.hu.shape[0] if axial else 0)


@pytest.mark.parametrize("number", [0, 5, 11, 17])
def test_source_axes_lead_back_to_the_file(tmp_path: Path, number: int) -> None:
    write_oriented(tmp_path, rotations()[number])
    volume = load_series(tmp_path).volume
    source, geometry = volume.to_source(volume.hu), volume.source_geometry()
    assert source.shape == SHAPE
    index = np.moveaxis(np.indices(source.shape), 0, -1)
    np.testing.assert_array_equal(source, hu_at(geometry.to_lps(index)))


def turned(degrees: float) -> np.ndarray:
    """Return (row, column, normal) of slices turned about the left-right axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def test_oblique_slices_stay_oblique(tmp_path: Path) -> None:
    write_oriented(tmp_path, turned(12.0))
    loaded = load_series(tmp_path)
    assert_values_in_place(loaded, atol=1.0)
    assert next(c for c in loaded.loading.codes if c.code == "oblique").numbers["angle_deg"] == pytest.approx(
        12
    )


def test_very_oblique_slices_are_refused(tmp_path: Path) -> None:
    write_oriented(tmp_path, turned(30.0))
    with pytest.raises(LoadError, match="30 degrees") as refusal:
        load_series(tmp_path)
    assert refusal.value.code == "too_oblique"


def test_spacing_comes_from_positions_alone(tmp_path: Path) -> None:
    def lie(_: int, ds: Dataset) -> None:
        ds.SliceThickness = "7"
        ds.SpacingBetweenSlices = "-4"

    write_series(tmp_path, stored_body(), edit=lie)
    loaded = load_series(tmp_path)
    assert loaded.volume.geometry.spacing_mm == (2.5, 0.8, 0.7)
    assert "overlapping_slices" in codes(loaded)


def test_instance_numbers_stay_with_their_slices(tmp_path: Path) -> None:
    stored = stored_body()
    stored[:, 5, 5] = 1024 + np.arange(len(stored))
    descending = [(0.0, 0.0, -3.0 * i) for i in range(len(stored))]
    write_series(tmp_path, stored, positions=descending)
    volume = load_series(tmp_path).volume
    assert [s.instance_number for s in volume.slices] == [int(v) + 1 for v in volume.hu[:, 5, 5]]


def test_names_and_order_of_files_do_not_matter(tmp_path: Path) -> None:
    stored = stored_body()
    places = np.array([(0.0, 0.0, 2.0 * i) for i in range(len(stored))])
    first = write_series(tmp_path / "a", stored, positions=places)
    (tmp_path / "b" / "deep").mkdir(parents=True)
    for i, path in enumerate(reversed(first)):
        target = tmp_path / "b" / ("deep" if i % 2 else ".") / f"IM{(i * 5) % 8}"
        target.write_bytes(path.read_bytes())
    one, other = load_series(tmp_path / "a"), load_series(tmp_path / "b")
    np.testing.assert_array_equal(one.volume.hu, other.volume.hu)
    assert (one.uid, one.input_digest) == (other.uid, other.input_digest)


def codes(loaded: LoadedSeries) -> set[str]:
    return {c.code for c in loaded.loading.codes}


def shifted(*offsets: tuple[int, tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Return 8 even positions, 2.5 mm apart, some of them moved."""
    places = [[0.0, 0.0, 2.5 * i] for i in range(8)]
    for index, offset in offsets:
        places[index] = [a + b for a, b in zip(places[index], offset, strict=True)]
    return [(x, y, z) for x, y, z in places]


DEFECTS = {
    "one_position": [(0.0, 0.0, 0.0)] * 8,
    "missing_slices": [(0.0, 0.0, 2.5 * i) for i in (0, 1, 2, 3, 5, 6, 10, 11)],
    "variable_spacing": [(0.0, 0.0, z) for z in (0.0, 2.5, 5.0, 7.5, 17.1, 26.7, 36.3, 45.9)],
    "gantry_tilt": [(0.0, 2.5 * i * np.tan(np.radians(35.0)), 2.5 * i) for i in range(8)],
    "irregular_positions": shifted((4, (0.6, 0.0, 0.0))),
}


@pytest.mark.parametrize("code", DEFECTS)
def test_an_uneven_stack_is_refused_with_its_code(tmp_path: Path, code: str) -> None:
    write_series(tmp_path, stored_body(), positions=DEFECTS[code])
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert refusal.value.code == code
    assert refusal.value.exit_code == 3


def test_the_numbers_of_a_defect_are_right(tmp_path: Path) -> None:
    found = {}
    for code in ("missing_slices", "gantry_tilt", "irregular_positions"):
        write_series(tmp_path / code, stored_body(), positions=DEFECTS[code])
        with pytest.raises(LoadError) as refusal:
            load_series(tmp_path / code)
        found[code] = refusal.value.details
    assert found["missing_slices"]["missing"] == 4
    assert found["missing_slices"]["longest_run"] == 3
    assert found["gantry_tilt"]["tilt_deg"] == pytest.approx(35.0, abs=1e-3)
    assert found["irregular_positions"]["shift_mm"] == pytest.approx(0.5, abs=0.15)


def test_rounded_positions_are_even(tmp_path: Path) -> None:
    even = [(0.0, 0.0, round(0.625 * i, 1)) for i in range(8)]
    write_series(tmp_path, stored_body(), positions=even)
    loaded = load_series(tmp_path)
    assert loaded.volume.geometry.spacing_mm[0] == pytest.approx(0.625, abs=0.01)
    assert "position_jitter" in codes(loaded)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_slices(tmp_path: Path, count: int) -> None:
    write_series(tmp_path, stored_body(count))
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert refusal.value.code == "too_few_slices"


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_a_stack_without_place_is_refused(tmp_path: Path, keyword: str) -> None:
    def drop(_: int, ds: Dataset) -> None:
        delattr(ds, keyword)

    write_series(tmp_path, stored_body(), edit=drop)
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert refusal.value.code == "missing_geometry"


def test_directions_that_are_no_rotation_are_refused(tmp_path: Path) -> None:
    def skew(_: int, ds: Dataset) -> None:
        ds.ImageOrientationPatient = [1, 0, 0, 0.5, 0.8, 0]

    write_series(tmp_path, stored_body(), edit=skew)
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert refusal.value.code == "invalid_geometry"


def test_a_frame_of_reference_for_every_image_is_no_frame_of_reference(tmp_path: Path) -> None:
    def own(index: int, ds: Dataset) -> None:
        ds.FrameOfReferenceUID = f"1.2.3.{index}"

    write_series(tmp_path, stored_body(), edit=own)
    loaded = load_series(tmp_path)
    assert loaded.volume.hu.shape[0] == 8
    assert "frame_of_reference_differs" in codes(loaded)


def test_two_frames_of_reference_are_two_stacks(tmp_path: Path) -> None:
    def half(index: int, ds: Dataset) -> None:
        ds.FrameOfReferenceUID = f"1.2.3.{index // 5}"

    write_series(tmp_path, stored_body(), edit=half)
    loaded = load_series(tmp_path)
    assert loaded.volume.hu.shape[0] == 5
    assert len(loaded.loading.left_out) == 1
    assert "images_left_out" in codes(loaded)


def test_headers_mutated_at_random_never_change_a_volume_without_a_word(tmp_path: Path) -> None:
    paths = write_series(tmp_path, stored_body())
    good = load_series(tmp_path).volume
    blobs = [path.read_bytes() for path in paths]
    generator = np.random.default_rng(11)
    outcomes = {"same": 0, "told": 0, "refused": 0}
    for _ in range(250):
        number = int(generator.integers(len(paths)))
        mutated = bytearray(blobs[number])
        mutated[int(generator.integers(128, len(mutated) - 240))] = int(generator.integers(256))
        paths[number].write_bytes(bytes(mutated))
        outcome = _outcome(tmp_path, good)
        paths[number].write_bytes(blobs[number])
        outcomes[outcome] += 1
    assert min(outcomes.values()) > 10, outcomes


def _outcome(folder: Path, good: CTVolume) -> str:
    """Return what became of a series with one mutated file; a silent change fails the test."""
    try:
        loaded = load_series(folder)
    except LoadError:
        return "refused"
    volume = loaded.volume
    if volume.hu.shape == good.hu.shape and volume.geometry.same_grid(good.geometry):
        if np.array_equal(volume.hu, good.hu):
            return "same"
        told = {"varying_rescale", "unused_bits", "clipped_to_int16", "padding", "missing_slices"}
        assert codes(loaded) & told, codes(loaded)
        return "told"
    assert loaded.loading.left_out or "other_files" in codes(loaded)
    assert codes(loaded) & {"images_left_out", "unreadable_file", "other_files"} or loaded.loading.left_out
    return "told"
