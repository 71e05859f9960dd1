"""The output folder appears complete or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from analysis_factory import make_analysis, make_mass, make_volume
from paraspinal import saving
from paraspinal.errors import AnalysisError, LoadError, OutputError
from paraspinal.volume import SourceAxes

FILES = {
    *("result.json", "report.html", "labels.nii.gz", "labels.json", "masses.nii.gz"),
    *("compartments.nii.gz", "compartments.json"),
}


@pytest.fixture(autouse=True)
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report has tests of its own; here it is a file."""
    monkeypatch.setattr(saving, "write_report", lambda path, analysis: path.write_text("report"))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_new_folder_holds_the_whole_result_and_nothing_else(tmp_path: Path) -> None:
    out = make_analysis().save(tmp_path / "deep" / "out")
    assert contents(out).keys() == FILES
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    assert json.loads((out / "result.json").read_text())["outcome"] == "mass"


def test_an_existing_result_is_left_alone_unless_forced(tmp_path: Path) -> None:
    out = make_analysis().save(tmp_path / "out")
    (out / "notes.txt").write_text("mine")
    before = contents(out)
    with pytest.raises(OutputError) as caught:
        make_analysis().save(out)
    assert caught.value.code == "result_exists"
    assert contents(out) == before
    make_analysis().save(out, force=True)
    assert contents(out).keys() == FILES | {"notes.txt"}


def test_files_of_others_are_left_alone_unless_forced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("of somebody else")
    with pytest.raises(OutputError, match=r"report\.html") as caught:
        make_analysis().save(out)
    assert caught.value.code == "output_names_taken"
    assert contents(out) == {"report.html": b"of somebody else"}
    make_analysis().save(out, force=True)
    assert (out / "report.html").read_text() == "report"


def test_an_existing_folder_is_enough_whatever_its_parent_allows(tmp_path: Path) -> None:
    """Files are staged on the disk of the folder itself: a mount point has another one than its parent."""
    out = tmp_path / "out"
    out.mkdir()
    with saving._staging(out) as staged:
        assert staged.parent == out
    assert list(out.iterdir()) == []


def test_masses_that_share_voxels_are_an_error_not_a_map(tmp_path: Path) -> None:
    analysis = make_analysis(make_mass(mass_id=1), make_mass(mass_id=2))
    with pytest.raises(AnalysisError, match="Masses 1 and 2 share 24 voxels") as caught:
        analysis.save(tmp_path / "out")
    assert caught.value.code == "masses_overlap"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails_at", range(1, 6))
def test_a_move_that_fails_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    out = make_analysis().save(tmp_path / "out")
    (out / "result.json").write_text("the old result")
    before = contents(out)
    real, calls = saving.os.replace, []

    def replace(source: Path, target: Path) -> None:
        if Path(target).parent == out and not calls.count("failed"):
            calls.append("moved")
            if len(calls) == fails_at:
                calls.append("failed")
                raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(saving.os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        make_analysis().save(out, force=True)
    assert contents(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, analysis: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving, "write_report", broken)
    with pytest.raises(OutputError, match="No space left"):
        make_analysis().save(tmp_path / "deep" / "out")
    assert list(tmp_path.iterdir()) == []


def test_result_json_is_moved_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, order = saving.os.replace, []

    def replace(source: Path, target: Path) -> None:
        order.append(Path(target).name)
        real(source, target)

    monkeypatch.setattr(saving.os, "replace", replace)
    make_analysis().save(tmp_path / "out")
    assert order[-1] == "result.json"
    assert set(order) == FILES


@pytest.mark.parametrize("where", ["file", "file/out", "/proc/none/out"])
def test_a_place_that_cannot_be_written_is_refused_early(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(OutputError):
        saving.check_destination(tmp_path / where, force=True)
    assert contents(tmp_path) == {"file": b"a file"}


def test_a_refusal_is_written_beside_what_is_there_and_goes_with_the_next_result(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    error = LoadError("Two slices.", code="too_few_slices", remedy="Give more.", details={"slices": 2})
    saving.save_refusal(error, out)
    told = json.loads((out / "refusal.json").read_text())
    numbers = {"slices": 2}
    assert told["codes"] == [
        {"code": "too_few_slices", "text": "Two slices.", "numbers": numbers, "slices": []}
    ]
    assert told["remedy"] == "Give more."
    assert told["details"] == {"slices": 2}
    assert (out / "notes.txt").read_text() == "mine"
    make_analysis().save(out)
    assert contents(out).keys() == FILES | {"notes.txt"}


def test_written_labels_lie_where_the_working_grid_has_them(tmp_path: Path) -> None:
    analysis = make_analysis()
    assert analysis.anatomy is not None
    out = analysis.save(tmp_path / "out")
    image = SimpleITK.ReadImage(str(out / "labels.nii.gz"))
    array = SimpleITK.GetArrayFromImage(image)
    assert array.shape == analysis.volume.hu.shape
    centre = np.argwhere(array == 200).mean(0)[::-1]
    work, coarse = analysis.anatomy.labels, analysis.anatomy.geometry
    expected = coarse.to_lps(np.argwhere(work.data == 200).mean(0))
    assert image.TransformContinuousIndexToPhysicalPoint(centre) == pytest.approx(tuple(expected), abs=1e-3)
    voxel_ml = analysis.volume.geometry.voxel_ml
    assert (array == 200).sum() * voxel_ml == pytest.approx((work.data == 200).sum() * coarse.voxel_ml)
    assert json.loads((out / "labels.json").read_text())["200"] == "spinal_canal"


@pytest.mark.parametrize(
    "axes",
    [SourceAxes(), SourceAxes((0, 1, 2), (False, True, True)), SourceAxes((2, 0, 1), (True, False, True))],
)
def test_written_masks_keep_their_place_whatever_the_source_order(tmp_path: Path, axes: SourceAxes) -> None:
    analysis = make_analysis(volume=make_volume(source_axes=axes))
    out = analysis.save(tmp_path / "out")
    image = SimpleITK.ReadImage(str(out / "masses.nii.gz"))
    array = SimpleITK.GetArrayFromImage(image)
    assert array.shape == analysis.volume.to_source(analysis.volume.hu).shape
    centre = np.argwhere(array == 1).mean(0)[::-1]
    expected = analysis.volume.geometry.to_lps(analysis.search.masses[0].region.centroid_index())
    assert image.TransformContinuousIndexToPhysicalPoint(centre) == pytest.approx(tuple(expected), abs=1e-3)


def test_a_refusal_supersedes_an_older_result_and_a_new_result_supersedes_both(tmp_path: Path) -> None:
    out = make_analysis().save(tmp_path / "out")
    old = contents(out)
    error = LoadError(
        "Gap.", code="gap", remedy="None.", details={"gap_mm": 5.5, "nan": float("nan"), "f": "x"}
    )
    saving.save_refusal(error, out)
    assert {name.removesuffix(".superseded") for name in contents(out)} - {"refusal.json"} == FILES
    assert not any(name in FILES for name in contents(out))
    assert contents(out)["result.json.superseded"] == old["result.json"]
    told = json.loads((out / "refusal.json").read_text())
    assert set(told["superseded"]) == {f"{name}.superseded" for name in FILES}
    assert told["codes"][0]["numbers"] == {"gap_mm": 5.5}
    saving.save_refusal(error, out)
    assert contents(out)["result.json.superseded"] == old["result.json"]
    make_analysis().save(out)
    assert contents(out).keys() == FILES


def test_a_refusal_that_cannot_be_placed_leaves_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = make_analysis().save(tmp_path / "out")
    before = contents(out)
    real = saving.os.replace

    def replace(source: Path, target: Path) -> None:
        if Path(target).name == "refusal.json":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(saving.os, "replace", replace)
    with pytest.raises(OutputError):
        saving.save_refusal(LoadError("No.", code="no", remedy="None."), out)
    assert contents(out) == before


def test_contact_sheets_come_and_go_with_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.new("RGB", (4, 4))
    monkeypatch.setattr(saving, "contact_sheets", lambda *_: dict.fromkeys(saving.DEBUG_SHEETS, picture))
    sheets = {f"debug/{name}.png" for name in ("skeleton", "soft", "spine")}
    out = make_analysis().save(tmp_path / "out", debug_images=True)
    assert contents(out).keys() == FILES | sheets
    (out / "debug" / "mine.txt").write_text("kept")
    make_analysis().save(out, force=True)
    assert contents(out).keys() == FILES | {"debug/mine.txt"}
    (out / "debug" / "mine.txt").unlink()
    make_analysis().save(out, force=True, debug_images=True)
    saving.save_refusal(LoadError("refused", code="not_ct", remedy="none"), out)
    assert contents(out).keys() >= {f"{name}.superseded" for name in sheets}
    make_analysis().save(out, force=True)
    assert contents(out).keys() == FILES
    assert not (out / "debug").exists()


def test_a_failed_move_leaves_no_debug_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "contact_sheets", lambda *_: {"soft": Image.new("RGB", (4, 4))})

    def failing(_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(saving, "_move_all", failing)
    with pytest.raises(OutputError):
        make_analysis().save(tmp_path / "out", debug_images=True)
    assert not (tmp_path / "out").exists()
