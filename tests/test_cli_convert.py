"""``paraspinal convert``: the loaded volume as NIfTI with its verdict, or nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from dicom_factory import stored_body, write_series
from paraspinal.cli.main import run
from paraspinal.loading import load_series


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_series(tmp_path / "ct", stored_body())
    return tmp_path / "ct"


@pytest.fixture
def padded(tmp_path: Path) -> Path:
    stored = stored_body()
    stored[:, -1] = -2000  # -3024 HU
    write_series(tmp_path / "padded", stored)
    return tmp_path / "padded"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["out.nii", "out.nii.gz"])
def test_an_independent_reader_sees_the_same_voxels_in_the_same_place(
    folder: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", str(folder), "-o", str(tmp_path / name)]) == 0
    image = sitk.ReadImage(str(tmp_path / name))
    volume = load_series(folder).volume
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.hu)
    assert image.GetPixelIDTypeAsString() == "16-bit signed integer"
    for index in ((0, 0, 0), (9, 11, 7), (3, 5, 2)):
        expected = volume.geometry.to_lps(index[::-1])
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), expected, atol=1e-4)
    told = capsys.readouterr().out
    assert told.startswith("ok: 10 × 12 × 8 voxels of 0.7 × 0.8 × 2.5 mm")


def test_what_was_converted_loads_as_the_same_volume(folder: Path, tmp_path: Path) -> None:
    assert run(["convert", str(folder), "-o", str(tmp_path / "a.nii.gz"), "-q"]) == 0
    first, second = load_series(folder).volume, load_series(tmp_path / "a.nii.gz").volume
    np.testing.assert_array_equal(first.hu, second.hu)
    assert first.geometry.same_grid(second.geometry)


def test_padding_is_said(padded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", str(padded), "-o", str(tmp_path / "a.nii.gz")]) == 0
    assert "80 voxels of padding" in (told := capsys.readouterr().out)
    assert "-1024 HU" in told
    assert "note: padding: " in told
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nii.gz")))
    assert (values[:, -1] == -1024).all()


def test_json_is_the_verdict_alone(padded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", str(padded), "-o", str(tmp_path / "a.nii"), "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["verdict"], verdict["policy"]) == ("ok", "repair")
    assert verdict["shape_zyx"] == [8, 12, 10]
    assert verdict["padding_voxels"] == 80
    assert {"code", "kind", "text", "numbers", "slices"} <= verdict["codes"][0].keys()


def test_a_repair_is_said_with_its_numbers_and_refused_when_strict(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "slice0003").unlink()
    assert run(["convert", str(folder), "-o", str(tmp_path / "a.nii")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("repaired: 10 × 12 × 8")
    assert "repair: missing_slices: " in told
    assert run(["convert", str(folder), "-o", str(tmp_path / "b.nii"), "--policy", "strict"]) == 3
    assert "[missing_slices]" in capsys.readouterr().err
    assert not (tmp_path / "b.nii").exists()


def test_a_refused_input_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no image")
    before = files(tmp_path)
    assert run(["convert", str(tmp_path / "notes"), "-o", str(tmp_path / "a.nii.gz"), "--json"]) == 3
    told = capsys.readouterr()
    refusal = json.loads(told.out)
    assert (refusal["verdict"], refusal["codes"][0]["code"]) == ("refused", "not_an_image_series")
    assert told.err.count("\n") == 1
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["a.mha", "a", "a.gz", ".nii", ".nii.gz"])
def test_other_names_are_refused_before_any_work(
    folder: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", str(folder), "-o", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert "Name a file that ends in .nii or .nii.gz." in error
    assert error.count("\n") == 1
    assert not (tmp_path / name).exists()


def test_an_existing_file_stays_without_force(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.nii.gz"
    out.write_text("mine")
    assert run(["convert", str(folder), "-o", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert run(["convert", str(folder), "-o", str(out), "--force"]) == 0
    assert load_series(out).volume.hu.shape == (8, 12, 10)
    assert [name for name in files(tmp_path) if name.startswith(".")] == []


@pytest.mark.parametrize("place", ["nowhere/a.nii", "a.nii"])
def test_a_place_that_cannot_be_written_is_told_first(
    folder: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.nii").mkdir()
    assert run(["convert", str(folder), "-o", str(tmp_path / place)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_short_write_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from paraspinal.cli import nifti_output

    written = nifti_output.write_nifti

    def cut(path: Path, *rest: object) -> None:
        written(path, *rest)  # type: ignore[arg-type]
        path.write_bytes(path.read_bytes()[:-100])

    monkeypatch.setattr(nifti_output, "write_nifti", cut)
    out = tmp_path / "a.nii"
    assert run(["convert", str(folder), "-o", str(out)]) == 2
    assert "[output_not_writable]" in capsys.readouterr().err
    assert files(tmp_path) == sorted(["ct", *files(folder)])


def test_an_unknown_policy_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", str(folder), "-o", str(tmp_path / "a.nii"), "--policy", "mend"]) == 2
    assert "not one of 'strict', 'repair'" in capsys.readouterr().err


def test_a_profile_counts_and_the_policy_goes_before_it(folder: Path, tmp_path: Path) -> None:
    profile = tmp_path / "profile.toml"
    profile.write_text('[loading]\nmin_slices = 500\npolicy = "strict"\n', encoding="utf-8")
    out = str(tmp_path / "a.nii")
    assert run(["convert", str(folder), "-o", out, "--config", str(profile)]) == 3
    profile.write_text('[loading]\npolicy = "strict"\n', encoding="utf-8")
    run(["convert", str(folder), "-o", out, "--config", str(profile), "--policy", "repair"])
    assert Path(out).is_file()
