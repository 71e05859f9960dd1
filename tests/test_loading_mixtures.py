"""Images that must never share a volume: two scans, two patients, two kinds of image under one series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_factory import stored_body, uid_of, write_series
from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading import LoadedSeries, load_series

STRICT = LoadingConfig(policy="strict")


def along_z(*z_mm: float) -> list[tuple[float, float, float]]:
    return [(0.0, 0.0, z) for z in z_mm]


def codes(loaded: LoadedSeries) -> dict[str, dict[str, float]]:
    return {c.code: dict(c.numbers) for c in loaded.loading.codes}


def refusal(path: Path, config: LoadingConfig = LoadingConfig()) -> LoadError:  # noqa: B008  (frozen)
    with pytest.raises(LoadError) as caught:
        load_series(path, config=config)
    return caught.value


def phase_of(loaded: LoadedSeries) -> set[int]:
    """Return which of two scans, 300 HU apart, the slices come from."""
    means = loaded.volume.hu[:, 3:].mean(axis=(1, 2))
    return set(np.rint((means - means.min()) / 300.0).astype(int).tolist())


def test_phases_of_different_extent_that_march_against_each_other_are_parted(tmp_path: Path) -> None:
    first, second = 2.5 * np.arange(20), 2.5 * np.arange(35, 7, -1)
    stored = np.concatenate([stored_body(20), stored_body(28) + 300])
    write_series(tmp_path, stored, positions=along_z(*first, *second))
    loaded = load_series(tmp_path)
    assert loaded.volume.hu.shape[0] == 28
    assert phase_of(loaded) == {0}
    assert codes(loaded)["repeated_positions"]["scans"] == 2


def test_phases_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    body = stored_body(20)
    places, images = [], []
    for index in range(20):
        if index < 12:
            places.append(2.5 * index)
            images.append(body[index])
        if index >= 6:
            places.append(2.5 * index)
            images.append(body[index] + 300)
    write_series(tmp_path, np.array(images), positions=along_z(*places))
    assert refusal(tmp_path).code == "duplicate_positions"


@pytest.mark.parametrize("tag", ["AcquisitionNumber", "ConvolutionKernel", "ContrastBolusAgent"])
def test_two_scans_that_alternate_evenly_are_no_finer_scan(tmp_path: Path, tag: str) -> None:
    z = 2.5 * np.arange(20)
    values = (1, 2) if tag == "AcquisitionNumber" else ("A", "B")
    stored = np.concatenate([stored_body(20), stored_body(20) + 300])
    write_series(
        tmp_path,
        stored,
        positions=along_z(*z, *(z + 1.25)),
        edit=lambda index, ds: setattr(ds, tag, values[index >= 20]),
    )
    loaded = load_series(tmp_path)
    assert loaded.volume.hu.shape[0] == 20
    assert phase_of(loaded) == {0}
    assert refusal(tmp_path, STRICT).code == "repeated_positions"


@pytest.mark.parametrize("what", ["StudyInstanceUID", "PatientID"])
@pytest.mark.parametrize("alternating", [False, True])
def test_two_patients_under_one_series_uid_are_two_volumes(
    tmp_path: Path, what: str, alternating: bool
) -> None:
    def own(index: int, ds: Dataset) -> None:
        second = index % 2 if alternating else index >= 24
        setattr(ds, what, uid_of("other") if second else uid_of("one"))

    write_series(tmp_path, stored_body(40), edit=own)
    assert load_series(tmp_path).volume.hu.shape[0] == (20 if alternating else 24)


def test_slices_sent_again_do_not_cut_a_stepwise_scan_into_steps(tmp_path: Path) -> None:
    stored = np.concatenate([stored_body(40), stored_body(40)[20:22] + 3])
    z = 2.5 * np.array([*range(40), 20, 21])
    write_series(
        tmp_path,
        stored,
        positions=along_z(*z),
        edit=lambda index, ds: setattr(ds, "AcquisitionNumber", index // 4 + 1),
    )
    loaded = load_series(tmp_path)
    np.testing.assert_array_equal(loaded.volume.hu, stored[:40] - 1024)
    assert "repeated_positions" in codes(loaded)


def test_two_phases_scanned_step_by_step_are_two_volumes(tmp_path: Path) -> None:
    stored = np.concatenate([stored_body(20), stored_body(20) + 300])
    z = 2.5 * np.arange(20)
    write_series(
        tmp_path,
        stored,
        positions=along_z(*z, *z),
        edit=lambda index, ds: setattr(ds, "AcquisitionTime", f"10{index // 4:02d}00"),
    )
    loaded = load_series(tmp_path)
    assert loaded.volume.hu.shape[0] == 20
    assert phase_of(loaded) == {0}


def test_equal_slices_of_pure_air_are_no_duplicates_of_another_phase(tmp_path: Path) -> None:
    one, other = stored_body(12), stored_body(12) + 300
    for phase in (one, other):
        phase[[0, 6, 11]] = 24
    z = 2.5 * np.arange(12)
    write_series(
        tmp_path,
        np.concatenate([one, other]),
        positions=along_z(*z, *z),
        edit=lambda index, ds: setattr(ds, "AcquisitionNumber", 1 + index // 12),
    )
    loaded = load_series(tmp_path, series=None)
    assert loaded.volume.hu.shape[0] == 12
    assert loaded.volume.interpolated == ()
    assert "duplicate_slices" not in codes(loaded)


@pytest.mark.parametrize(("kind", "code"), [("IODINE_MAP", "not_hounsfield"), ("MIP", "projection_image")])
def test_a_series_of_maps_is_not_saved_by_its_first_image(tmp_path: Path, kind: str, code: str) -> None:
    def mark(index: int, ds: Dataset) -> None:
        ds.ImageType = ["DERIVED", "SECONDARY", kind] if index else ["ORIGINAL", "PRIMARY", "AXIAL"]

    write_series(tmp_path, stored_body(10), edit=mark)
    assert refusal(tmp_path).code in {code, "too_few_slices"}


@pytest.mark.parametrize("shift_px", [0.4, 3.6])
def test_a_small_lean_is_ignored_by_its_shift_and_not_by_its_angle(tmp_path: Path, shift_px: float) -> None:
    z = 10.0 * np.arange(60)
    pixel = 0.8
    y = z / z[-1] * shift_px * pixel
    write_series(
        tmp_path,
        stored_body(60),
        positions=[(0.0, float(b), float(a)) for a, b in zip(z, y, strict=True)],
        edit=lambda _, ds: setattr(ds, "PixelSpacing", [pixel, pixel]),
    )
    loaded = load_series(tmp_path)
    assert ("gantry_tilt" in codes(loaded)) == (shift_px > 1.0)
    last = loaded.volume.geometry.to_lps((loaded.volume.hu.shape[0] - 1, 0, 0))
    assert abs(float(last[1]) - y[0]) < 0.51 * pixel + (shift_px > 1.0) * 4 * pixel


def test_a_damaged_file_takes_no_namesake_with_it(tmp_path: Path) -> None:
    paths = write_series(tmp_path, stored_body(24))
    for index, path in enumerate(paths):
        folder = tmp_path / f"S{index // 12}"
        folder.mkdir(exist_ok=True)
        content = path.read_bytes()
        path.unlink()
        (folder / f"I{index % 12:04d}").write_bytes(content[:-60] if index == 5 else content)
    loaded = load_series(tmp_path)
    assert codes(loaded)["damaged_slices"] == {"images": 1}
    assert loaded.volume.interpolated == (5,)


def test_strict_refuses_where_slices_may_have_been_left_out(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "cut", stored_body(12))
    for path in paths[-3:]:
        path.write_bytes(path.read_bytes()[:200] + b"\xff" * 400)
    assert load_series(tmp_path / "cut").volume.hu.shape[0] == 9
    assert refusal(tmp_path / "cut", STRICT).code == "unreadable_file"

    def wider(index: int, ds: Dataset) -> None:
        if index >= 9:
            ds.PixelSpacing = [1.5, 1.5]

    write_series(tmp_path / "wider", stored_body(12), edit=wider)
    assert load_series(tmp_path / "wider").volume.hu.shape[0] == 9
    assert refusal(tmp_path / "wider", STRICT).code == "images_left_out"


def test_frames_of_reference_of_their_own_survive_an_image_sent_twice(tmp_path: Path) -> None:
    order = [*range(12), 4]
    write_series(
        tmp_path,
        stored_body(12)[order],
        positions=along_z(*(2.5 * np.array(order))),
        edit=lambda index, ds: setattr(ds, "FrameOfReferenceUID", uid_of(f"frame {order[index]}")),
    )
    loaded = load_series(tmp_path)
    assert loaded.volume.hu.shape[0] == 12
    assert "duplicate_slices" in codes(loaded)


@pytest.mark.parametrize(
    ("words", "kev"),
    [
        ("Thorax monophasisch 1.0 B30f", None),
        ("Mono+ 55 keV", 55.0),
        ("MonoE 70", 70.0),
        ("VMI_40keV", 40.0),
        ("Thorax nativ 2.0", None),
    ],
)
def test_an_energy_is_read_beside_its_word_only(tmp_path: Path, words: str, kev: float | None) -> None:
    write_series(tmp_path, stored_body(8), edit=lambda _, ds: setattr(ds, "SeriesDescription", words))
    loaded = load_series(tmp_path)
    assert ("virtual_energy" in codes(loaded)) == (kev is not None)
    if kev is not None:
        assert codes(loaded)["virtual_energy"]["energy_kev"] == kev


def test_a_position_beyond_all_scanners_costs_its_image_alone(tmp_path: Path) -> None:
    z = [2.5 * k for k in range(11)] + [1e308]
    write_series(tmp_path, stored_body(12), positions=along_z(*z))
    assert load_series(tmp_path).volume.hu.shape[0] == 11
