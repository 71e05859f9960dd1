"""Input that cannot be analysed: one line that says what is wrong and what to do, and OUT as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

import paraspinal
from paraspinal.cli.main import run
from paraspinal.dicomio.write import write_ct_series
from paraspinal.result import SCHEMA_VERSION
from paraspinal.volume import Acquisition, CTVolume, Geometry


def write_series(folder: Path, *, slices: int = 6) -> list[Path]:
    """Write a small CT series of a block of tissue in air."""
    geometry = Geometry((slices, 32, 32), (2.5, 1.0, 1.0), (0.0, 0.0, 0.0))
    hu = np.full(geometry.shape, -1000, np.int16)
    hu[:, 8:24, 8:24] = 40
    volume = CTVolume(hu, geometry, Acquisition(modality="CT", kvp=120.0))
    return list(write_ct_series(volume, folder, uid_seed="bad input"))


def change(paths: list[Path], **values: object) -> None:
    for path in paths:
        dataset = pydicom.dcmread(path)
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)


def empty_folder(folder: Path) -> Path:
    return folder


def text_files(folder: Path) -> Path:
    (folder / "notes.txt").write_text("no images here")
    (folder / "table.csv").write_text("a,b\n1,2\n")
    return folder


def mr_series(folder: Path) -> Path:
    change(write_series(folder), Modality="MR", SOPClassUID=pydicom.uid.MRImageStorage)
    return folder


def localizer(folder: Path) -> Path:
    change(write_series(folder), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    return folder


def truncated_file(folder: Path) -> Path:
    for path in write_series(folder):
        path.write_bytes(path.read_bytes()[:-700])
    return folder


def two_slices(folder: Path) -> Path:
    write_series(folder, slices=2)
    return folder


def four_dimensional(folder: Path) -> Path:
    image = SimpleITK.Image([16, 16, 8, 3], SimpleITK.sitkInt16)
    SimpleITK.WriteImage(image, str(folder / "time.nii.gz"))
    return folder / "time.nii.gz"


CASES: list[tuple[Callable[[Path], Path], str]] = [
    (empty_folder, "empty_input"),
    (text_files, "not_an_image_series"),
    (mr_series, "not_ct"),
    (localizer, "localizer"),
    (truncated_file, "truncated_pixel_data"),
    (two_slices, "too_few_slices"),
    (four_dimensional, "four_dimensional"),
]


@pytest.mark.parametrize(("make", "code"), CASES, ids=[make.__name__ for make, _ in CASES])
def test_bad_input_is_refused_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], Path], code: str
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    assert run(["analyze", str(make(source)), "-o", str(out), "--quiet"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("paraspinal: ")
    assert told.err.count("\n") == 1
    assert told.err.endswith(f"[{code}]\n")
    assert {path.name for path in out.iterdir()} == {"mine.txt", "refusal.json"}
    refusal = json.loads((out / "refusal.json").read_text(encoding="utf-8"))
    assert refusal["verdict"] == "refused"
    assert code in [item["code"] for item in refusal["codes"]]
    assert refusal["remedy"]
    assert refusal["software_version"] == paraspinal.__version__
    assert refusal["schema_version"] == SCHEMA_VERSION
    assert refusal["research_use_only"].startswith("Research use only")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


@pytest.mark.parametrize("place", ["file.txt", "file.txt/out", "/proc/none/out"])
def test_an_output_that_cannot_be_written_is_told_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    (tmp_path / "file.txt").write_text("a file")
    assert run(["analyze", str(tmp_path), "-o", str(tmp_path / place)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_series_that_is_not_there_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_series(tmp_path / "in")
    out = tmp_path / "out"
    assert run(["analyze", str(tmp_path / "in"), "-o", str(out), "--series", "99", "--quiet"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_ct_without_a_spine_is_not_assessable_and_never_no_mass(tmp_path: Path) -> None:
    write_series(tmp_path / "in", slices=24)
    assert run(["analyze", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--quiet"]) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["outcome"] == "not_assessable"
    assert result["differential"]["posterior"] is None
