"""`paraspinal compare`, and `paraspinal analyze --anatomy`, from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from anatomy_case import phantom
from mask_files import ball, segment, write_seg
from paraspinal.anatomy.given.names import TOTAL_NAMES
from paraspinal.cli.main import run
from paraspinal.dicomio.nifti import write_nifti
from paraspinal.volume import Geometry

GRID = Geometry((30, 40, 40), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0))
MIDDLE = GRID.to_lps((15, 20, 20))


def write_map(path: Path, radius: float, extra: int | None = None) -> Path:
    data = (ball(GRID, MIDDLE, radius) * 5).astype(np.uint16)
    if extra is not None:
        data[2:5, 2:9, 2:9] = extra
    write_nifti(path, data, GRID)
    return path


def test_compare_prints_json_with_null_and_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write_map(tmp_path / "a.nii.gz", 10.0, extra=1), write_map(tmp_path / "b.nii.gz", 12.0)
    assert run(["compare", str(a), str(b), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {s["name"]: s for s in found["structures"]}
    assert rows["liver"]["dice"] == pytest.approx(2 * 10**3 / (10**3 + 12**3), abs=0.02)
    assert rows["spleen"]["dice"] is None
    assert rows["spleen"]["reason"] == "only in A"
    assert found["a"]["numbers_assumed"]
    assert found["levels"]["pairs"] == []


def test_compare_takes_different_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_map(tmp_path / "a.nii.gz", 10.0)
    folder = tmp_path / "masks"
    folder.mkdir()
    write_nifti(folder / "liver.nii.gz", ball(GRID, MIDDLE, 10.0), GRID)
    write_seg(tmp_path / "s.dcm", GRID, {1: ball(GRID, MIDDLE, 10.0)}, [segment(1, "x", "10200004")])
    for other in (folder, tmp_path / "s.dcm"):
        assert run(["compare", str(a), str(other)]) == 0
        out = capsys.readouterr().out
        assert "liver" in out
        assert "1.000" in out


def test_names_may_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write_map(tmp_path / "a.nii.gz", 10.0), write_map(tmp_path / "b.nii.gz", 10.0)
    (tmp_path / "own.json").write_text('{"5": "spleen"}', encoding="utf-8")
    assert run(["compare", str(a), str(b), "--names-a", str(tmp_path / "own.json"), "--json"]) == 0
    rows = {s["name"]: s for s in json.loads(capsys.readouterr().out)["structures"]}
    assert rows["spleen"]["reason"] == "only in A"
    assert rows["liver"]["reason"] == "only in B"


def test_what_is_no_segmentation_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = write_map(tmp_path / "a.nii.gz", 10.0)
    (tmp_path / "note.txt").write_text("hello", encoding="utf-8")
    assert run(["compare", str(a), str(tmp_path / "note.txt")]) == 2
    assert "[masks_format]" in capsys.readouterr().err


@pytest.mark.integration
def test_an_analysis_with_masks_says_so_and_agrees_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = phantom("healthy")
    write_nifti(tmp_path / "ct.nii.gz", body.volume.hu, body.volume.geometry)
    data = np.where(np.isin(body.labels.data, list(TOTAL_NAMES)), body.labels.data, 0).astype(np.uint16)
    write_nifti(tmp_path / "seg.nii.gz", data, body.labels.geometry)
    out, masks = tmp_path / "out", str(tmp_path / "seg.nii.gz")
    source = str(tmp_path / "ct.nii.gz")
    assert run(["analyze", source, "-o", str(out), "--anatomy", f"masks:{masks}", "-q"]) == 0
    sources = json.loads((out / "result.json").read_text(encoding="utf-8"))["anatomy"]["sources"]
    assert sources["liver"] == sources["vertebrae"] == "masks"
    assert sources["body"] == "classical"
    capsys.readouterr()
    assert run(["compare", str(out), masks, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {s["name"]: s["dice"] for s in found["structures"]}
    assert rows["liver"] > 0.99
    assert rows["spleen"] > 0.99
    assert rows["vertebrae_T10"] > 0.98
    assert found["levels"]["off"] == 0
    assert found["levels"]["same"] >= 7


def test_a_wrong_choice_is_told_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_map(tmp_path / "a.nii.gz", 10.0)
    for choice, code in (("nnunet", "anatomy_choice"), ("masks:/nowhere", "not_found")):
        assert run(["analyze", str(a), "-o", str(tmp_path / "out"), "--anatomy", choice, "-q"]) == 2
        assert f"[{code}]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
