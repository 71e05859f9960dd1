"""Real series and files of real archives: right geometry, or a typed refusal."""

import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.nifti import read_nifti
from paraspinal.errors import LoadError
from paraspinal.loading import LoadedSeries, load_series

pytestmark = pytest.mark.realdata

# name: shape, (z, y, x) spacing; the zips are read as they are
SERIES = {
    "lidc-0314.zip": ((275, 512, 512), (1.0, 0.78125, 0.78125)),
    "cmb-crc-chest.zip": ((100, 512, 512), (2.5, 0.898438, 0.898438)),
    "crlm-1006.zip": ((51, 512, 512), (5.0, 0.804688, 0.804688)),
    "medimages-flipped.zip": ((75, 512, 512), (5.0, 0.703125, 0.703125)),
    "totalseg-slab": ((20, 512, 512), (2.0, 0.9765625, 0.9765625)),
}
PADDED = {"cmb-crc-chest.zip", "crlm-1006.zip", "medimages-flipped.zip"}


def codes(loaded: LoadedSeries) -> set[str]:
    return {c.code for c in loaded.loading.codes}


@pytest.mark.parametrize("name", SERIES)
def test_real_series_load_with_their_geometry(real_data: Path, name: str) -> None:
    loaded = load_series(real_data / "ct" / name)
    volume = loaded.volume
    shape, spacing = SERIES[name]
    assert volume.hu.shape == shape
    np.testing.assert_allclose(volume.geometry.spacing_mm, spacing, atol=1e-6)
    np.testing.assert_array_equal(volume.geometry.axes_lps, [[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert ("padding" in codes(loaded)) == (name in PADDED) == (volume.padding is not None)
    assert len(volume.slices) == shape[0]
    assert -1024 <= volume.hu.min() < -900
    if volume.padding is not None:  # the four corners outside the round field
        assert volume.padding[:, 0, 0].all()
        assert 0.20 < volume.padding.mean() < 0.23  # 1 − π/4


@pytest.mark.parametrize(
    ("name", "level"),
    [("crlm-1006.zip", (0.5, 0.7)), ("medimages-flipped.zip", (0.75, 1.0)), ("totalseg-slab", (0.0, 1.0))],
)
def test_the_liver_lies_right_and_the_spine_behind(
    real_data: Path, name: str, level: tuple[float, float]
) -> None:
    hu = load_series(real_data / "ct" / name).volume.hu
    top = hu[int(level[0] * len(hu)) : int(level[1] * len(hu)), ::2, ::2]  # where the liver is largest
    tissue = (top > 60) & (top < 180)  # enhanced parenchyma; x grows to the patient's left
    half = top.shape[2] // 2
    assert tissue[:, :, :half].sum() > 1.15 * tissue[:, :, half:].sum()
    body = np.flatnonzero((top > -300).mean(axis=(0, 2)) > 0.2)
    middle = top[:, :, half - 30 : half + 30]
    bone = np.nonzero(middle > 250)[1]
    assert np.median(bone) > body.mean()


def test_the_labels_of_the_slab_lie_on_their_organs(real_data: Path) -> None:
    volume = load_series(real_data / "ct" / "totalseg-slab").volume
    labels, grid = read_nifti(real_data / "labels" / "totalseg-slab.nii.gz")
    assert sorted(labels.shape) == sorted(volume.hu.shape)

    def hu_under(number: int) -> np.ndarray:
        index = np.rint(volume.geometry.to_index(grid.to_lps(np.argwhere(labels == number)))).astype(int)
        assert (index >= 0).all()
        assert (index < volume.hu.shape).all()
        return volume.hu[tuple(index.T)]

    for organ in (1, 5):  # spleen, liver: enhanced parenchyma, and little else
        assert 60 < np.median(hu_under(organ)) < 180
        assert hu_under(organ).std() < 40
    assert np.median(hu_under(32)) > 120  # T12


def test_the_lungs_of_the_slab_would_show_a_flip(real_data: Path) -> None:
    """The same labels, read with rows turned over, miss the organs: the test above can fail."""
    volume = load_series(real_data / "ct" / "totalseg-slab").volume
    labels, grid = read_nifti(real_data / "labels" / "totalseg-slab.nii.gz")
    index = np.rint(volume.geometry.to_index(grid.to_lps(np.argwhere(labels == 1)))).astype(int)
    index[:, 2] = volume.hu.shape[2] - 1 - index[:, 2]
    assert volume.hu[tuple(index.T)].std() > 40


def test_nifti_of_a_person(real_data: Path) -> None:
    loaded = load_series(real_data / "nifti" / "totalseg-lumbar-3mm.nii.gz")
    assert loaded.volume.hu.shape == (112, 101, 122)
    assert loaded.source == "nifti"
    labels, grid = read_nifti(real_data / "labels" / "totalseg-lumbar-3mm.nii.gz")
    bodies = np.isin(labels, range(27, 32))  # L5 … L1
    index = np.rint(loaded.volume.geometry.to_index(grid.to_lps(np.argwhere(bodies)))).astype(int)
    assert np.median(loaded.volume.hu[tuple(index.T)]) > 90
    vertebrae = {n: grid.to_lps(np.argwhere(labels == n)).mean(axis=0)[2] for n in (28, 30)}
    assert vertebrae[30] > vertebrae[28]  # L2 above L4


LOADER = {
    "failing/notavolume/001": "one_position",
    "failing/slicecount/001": "not_ct",
    "failing/sliceorientation/001": "not_ct",
    "duplicate-positions/dupe-positions.zip": "variable_spacing",
    "enhanced": "too_few_slices",
    "wg04": "one_position",
    "transfer-syntaxes": "one_position",
    "transfer-syntaxes/TestPattern_RGB.dcm": "not_ct",
    "transfer-syntaxes/CTImage.dcm": "one_position",
    "legacy-enhanced/23x38x3/seg": "not_ct",
    "legacy-enhanced/23x38x3/nrrd": "not_hounsfield",
}


@pytest.mark.parametrize("name", LOADER)
def test_what_the_loader_refuses(real_data: Path, name: str) -> None:
    with pytest.raises(LoadError) as refusal:
        load_series(real_data / "loader" / name)
    assert refusal.value.code == LOADER[name]


@pytest.mark.parametrize("name", ["23x38x3", "24x38x3"])
def test_multi_frame_and_single_frames_give_the_same_volume(real_data: Path, name: str) -> None:
    folder = real_data / "loader" / "legacy-enhanced" / name
    many, one = load_series(folder / "image"), load_series(folder / "multiframe")
    np.testing.assert_array_equal(many.volume.hu, one.volume.hu)
    assert many.volume.geometry.same_grid(one.volume.geometry, tolerance_mm=1e-3)
    assert "enhanced_multiframe" in codes(one)
    assert [s.frame for s in one.volume.slices] == sorted(s.frame for s in one.volume.slices)  # type: ignore[type-var]


def test_the_untilted_series_of_a_mixed_folder_is_found(real_data: Path) -> None:
    loaded = load_series(real_data / "loader" / "dcm-qa-ct" / "Philips.zip")
    assert loaded.volume.hu.shape[0] == 28
    assert loaded.volume.geometry.spacing_mm[0] == 5.0
    left_out = " ".join(loaded.loading.left_out)
    assert left_out.count("less suited") == 2
    assert "localizer" in left_out


# folder: shape, spacing along the normal, repairs with the numbers that must come out
REPAIRED = {
    "failing/sliceincrement/001": ((5, 512, 512), 5.0, {"missing_slices": {"missing": 1}}),
    "failing/sliceincrement/002": (
        (5, 514, 512),
        0.7497,
        {"gantry_tilt": {"tilt_deg": -15.5}, "missing_slices": {"missing": 1}},
    ),
    "failing/gantrytilting/001": ((4, 521, 512), 4.8515, {"gantry_tilt": {"tilt_deg": -14.0}}),
    "dcm-qa-ct/GE.zip": (
        (37, 612, 512),
        4.0019,
        {
            "gantry_tilt": {"tilt_deg": -18.5},
            "variable_spacing": {"gap_min_mm": 1.0811, "gap_max_mm": 6.9986},
        },
    ),
}


@pytest.mark.parametrize("name", REPAIRED)
def test_what_the_loader_repairs(real_data: Path, name: str) -> None:
    shape, gap_mm, repairs = REPAIRED[name]
    loaded = load_series(real_data / "loader" / name)
    assert loaded.loading.verdict == "repaired"
    assert loaded.volume.hu.shape == shape
    assert loaded.volume.geometry.spacing_mm[0] == pytest.approx(gap_mm, abs=1e-3)
    found = {c.code: c.numbers for c in loaded.loading.codes if c.kind == "repair"}
    assert set(found) == set(repairs)
    for code, numbers in repairs.items():
        for key, value in numbers.items():
            assert found[code][key] == pytest.approx(value, abs=0.01)
    strict = LoadingConfig(policy="strict")
    with pytest.raises(LoadError) as refusal:
        load_series(real_data / "loader" / name, config=strict)
    assert refusal.value.code == next(iter(repairs))


@pytest.mark.parametrize(("series", "tilt_deg"), [("e8fbd284", -18.5), ("1496760c", 16.5)])
def test_a_phantom_scanned_tilted_lies_where_it_lay_untilted(
    real_data: Path, series: str, tilt_deg: float
) -> None:
    """One physical head phantom, scanned upright and tilted to both sides: its thin skull must coincide."""
    archive = real_data / "loader" / "dcm-qa-ct" / "Philips.zip"
    tilted, upright = load_series(archive, series=series), load_series(archive, series="34c687fd")
    tilt = next(c for c in tilted.loading.codes if c.code == "gantry_tilt")
    assert tilt.numbers["tilt_deg"] == pytest.approx(tilt_deg, abs=0.05)
    index = np.moveaxis(np.indices(upright.volume.hu.shape), 0, -1)[::2, ::4, ::4]
    there = tilted.volume.geometry.to_index(upright.volume.geometry.to_lps(index))

    def overlap(at: np.ndarray) -> float:
        moved = map_coordinates(
            tilted.volume.hu.astype(np.float32), np.moveaxis(at, -1, 0), order=1, cval=-1024
        )
        seen = moved > -1020
        one, other = moved > 200, (upright.volume.hu[::2, ::4, ::4] > 200) & seen
        return float(2 * (one & other).sum() / (one.sum() + other.sum()))

    assert overlap(there) > 0.8
    lean_px = np.tan(np.radians(tilt_deg)) * tilted.volume.geometry.spacing_mm[0] / 0.45
    middle = (tilted.volume.hu.shape[0] - 1) / 2
    sheared = there + np.stack(
        [there[..., 0] * 0, (there[..., 0] - middle) * lean_px, there[..., 0] * 0], axis=-1
    )
    assert overlap(sheared) < 0.7  # as a reader without tilt correction has it


def test_every_malformed_file_ends_in_a_typed_refusal(real_data: Path, tmp_path: Path) -> None:
    files = [p for p in sorted((real_data / "fuzz").rglob("*")) if p.suffix == ".dcm"]
    assert len(files) > 300
    slowest = 0.0
    for number, path in enumerate(files):
        alone = tmp_path / str(number)
        alone.mkdir()
        os.symlink(path, alone / path.name)
        began = time.perf_counter()
        with pytest.raises(LoadError) as refusal:  # one slice is never a volume
            load_series(alone / path.name)
        slowest = max(slowest, time.perf_counter() - began)
        assert "\n" not in refusal.value.one_line()
    assert slowest < 10.0


def test_malformed_files_beside_a_good_series_do_not_stop_it(real_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(real_data / "ct" / "crlm-1006.zip") as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename)[:13]:
            if not info.is_dir():
                (tmp_path / Path(info.filename).name).write_bytes(archive.read(info))
    good = load_series(tmp_path)
    for path in sorted((real_data / "fuzz").rglob("*.dcm"))[::3]:
        os.symlink(path, tmp_path / f"fuzz-{path.name}")
    loaded = load_series(tmp_path)
    np.testing.assert_array_equal(loaded.volume.hu, good.volume.hu)
    assert loaded.input_digest == good.input_digest
    assert {"unreadable_file", "dicom_warnings"} <= codes(loaded)
    assert any("file fuzz-" in text for text in loaded.loading.left_out)
