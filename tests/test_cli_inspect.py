"""What `paraspinal inspect` tells of an input, without decoding it."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

import paraspinal.loading.decode
from dicom_factory import stored_body, uid_of, write_series
from grid_files import write_itk
from paraspinal import LoadError, inspect_source, load_series
from paraspinal.cli.main import run
from paraspinal.errors import UsageError
from paraspinal.loading.codes import REFUSALS
from paraspinal.loading.inspection import Inspection
from paraspinal.volume import Geometry


def mixed_folder(folder: Path) -> None:
    """Write a chest, a short thick abdomen with a missing slice, a localizer and a structured report."""

    def named(number: int, **values: object):
        def edit(index: int, ds: Dataset) -> None:
            ds.SeriesInstanceUID = uid_of(f"series {number}")
            ds.SeriesNumber = number
            ds.PatientName = "Secret^Person"
            ds.PatientID = "MRN-4711"
            for name, value in values.items():
                setattr(ds, name, value)

        return edit

    write_series(
        folder,
        stored_body(60),
        edit=named(
            1, BodyPartExamined="CHEST", ContrastBolusAgent="Iohexol", ReconstructionAlgorithm="ITERATIVE"
        ),
        prefix="a",
    )
    gap = [(0.0, 0.0, 5.0 * i) for i in (0, 1, 2, 4, 5, 6)]
    write_series(
        folder, stored_body(6), positions=gap, edit=named(2, SeriesDescription="ABD 5mm"), prefix="b"
    )
    write_series(
        folder, stored_body(1), edit=named(3, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), prefix="c"
    )
    write_series(
        folder,
        stored_body(3),
        edit=named(4, Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33"),
        prefix="d",
    )
    (folder / "broken").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 200)


def test_the_table_names_every_series_the_best_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed_folder(tmp_path)
    assert run(["inspect", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].split()[:5] == ["series", "no.", "modality", "region", "plane"]
    assert [line.split()[1] for line in lines[1:5]] == ["1", "2", "4", "3"] or [
        line.split()[1] for line in lines[1:5]
    ] == ["1", "2", "3", "4"]
    assert "chest" in lines[1]
    assert "iterative" in lines[1]
    assert lines[1].rstrip().endswith("ok")
    assert lines[2].rstrip().endswith("repaired")
    assert "refused: localizer" in out
    assert "refused: not_ct" in out
    assert "missing_slices" in out
    assert "file broken" in out
    assert "Secret" not in out
    assert "4711" not in out
    assert uid_of("series 1") not in out


def test_json_holds_the_score_with_its_reasons_and_what_analyze_would_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed_folder(tmp_path)
    assert run(["inspect", str(tmp_path), "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    first, second = found["series"][:2]
    assert first["score"] == pytest.approx(sum(first["reasons"].values()), abs=0.01)
    assert first["score"] > second["score"]
    assert (first["kvp"], first["kernel"], first["contrast"]) == (120.0, "B30f", True)
    assert second["region"] == "abdomen"
    assert [c["code"] for c in second["codes"] if c["kind"] == "repair"] == ["missing_slices"]
    chosen = load_series(tmp_path)
    assert chosen.uid_digest.startswith(first["name"])
    assert f"next is series {second['name']}" in str(chosen.loading.chosen_because)


def test_no_pixel_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed_folder(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(paraspinal.loading.decode, "decode_frame", refuse)
    assert len(inspect_source(tmp_path).series) == 4


def test_an_unchanged_tree_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed_folder(tmp_path / "in")
    catalogue = tmp_path / "headers.sqlite"
    assert run(["inspect", str(tmp_path / "in"), "--catalogue", str(catalogue)]) == 0
    assert catalogue.stat().st_mode & 0o077 == 0
    assert run(["inspect", str(tmp_path / "in"), "--catalogue", str(catalogue)]) == 0


def test_a_defect_that_is_refused_comes_with_its_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    positions = [(0.0, 0.0, 2.5 * i) for i in (0, 1, 2, 9, 10, 11)]
    write_series(tmp_path, stored_body(6), positions=positions)
    assert run(["inspect", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "refused: missing_slices" in out
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert refusal.value.remedy in out


def test_nothing_to_inspect_is_an_error_of_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.txt").write_text("no image")
    assert run(["inspect", str(tmp_path)]) == 3
    err = [line for line in capsys.readouterr().err.splitlines() if "reading headers" not in line]
    assert len(err) == 1
    assert "not_an_image_series" in err[0]


def test_nothing_that_leads_to_somebody_is_shown(tmp_path: Path) -> None:
    def edit(_: int, ds: Dataset) -> None:
        ds.StudyInstanceUID, ds.PatientID, ds.StudyDate = uid_of("study"), "MRN-4711", "19470708"

    write_series(tmp_path, stored_body(), edit=edit)
    found = inspect_source(tmp_path)
    facts = found.series[0].facts
    assert (facts.study_key != "", facts.day, facts.voxels) == (True, "19470708", 8 * 12 * 10)
    for shown in (found.model_dump_json(), repr(found)):
        assert facts.study_key not in shown
        assert "19470708" not in shown


def described(found: Inspection) -> list[tuple[int | None, bool]]:
    return [(row.number, row.taken) for row in found.series]


def test_the_best_series_is_what_is_taken_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A long scan with a hole in it is refused; the short one is not taken in its place, and inspect says so."""

    def named(number: int):
        def edit(_: int, ds: Dataset) -> None:
            ds.SeriesInstanceUID, ds.SeriesNumber = uid_of(f"series {number}"), number

        return edit

    hole = [(0.0, 0.0, 2.5 * i) for i in range(128) if not 60 <= i < 68]
    write_series(tmp_path, stored_body(120), positions=hole, edit=named(1), prefix="a")
    write_series(tmp_path, stored_body(6), edit=named(2), prefix="b")
    found = inspect_source(tmp_path)
    assert found.refusal == "missing_slices"
    assert described(found) == [(1, False), (2, False)]
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert refusal.value.code == found.refusal
    assert run(["inspect", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "analyze refuses: missing_slices" in out
    # One file of the short series is given: that series, and no other, is meant.
    one = inspect_source(tmp_path / "b0003")
    assert described(one) == [(2, True), (1, False)]
    assert load_series(tmp_path / "b0003").uid_digest.startswith(one.series[0].name)
    assert one.refusal is None


def test_a_series_without_a_uid_can_be_asked_for_by_the_name_that_inspect_gives(tmp_path: Path) -> None:
    def nameless(_: int, ds: Dataset) -> None:
        del ds.SeriesInstanceUID, ds.FrameOfReferenceUID

    write_series(tmp_path / "a", stored_body(8), edit=nameless)
    write_series(tmp_path / "b", stored_body(12) + np.int16(1), edit=nameless)
    found = inspect_source(tmp_path)
    names = {row.slices: row.name for row in found.series}
    assert all(len(name) == 8 for name in names.values())
    assert len(load_series(tmp_path, series=names[8]).volume.hu) == 8
    assert len(load_series(tmp_path, series=names[12]).volume.hu) == 12
    with pytest.raises(UsageError) as error:
        load_series(tmp_path, series="3")  # the number of both
    assert error.value.code == "series_ambiguous"
    assert all(name in error.value.remedy for name in names.values())


def test_a_volume_file_says_its_plane_and_its_codes(tmp_path: Path) -> None:
    axes = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # slices run to the back
    path = write_itk(tmp_path / "scan.nii.gz", Geometry((6, 5, 4), (2.0, 0.8, 0.7), (0.0, 0.0, 0.0), axes))
    (row,) = inspect_source(path).series
    told = {code.code for code in load_series(path).loading.codes}
    assert (row.plane, row.taken) == ("coronal", True)
    assert "non_axial" in {code.code for code in row.codes} <= told


def test_every_refusal_has_its_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixed_folder(tmp_path)
    assert run(["inspect", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"localizer – {REFUSALS['localizer']}" in out
    assert f"not_ct – {REFUSALS['not_ct']}" in out
    (tmp_path / "a.nii").write_bytes(write_itk(tmp_path / "b.nii").read_bytes()[:348])
    assert run(["inspect", str(tmp_path / "a.nii"), "--policy", "strict"]) == 0
    path = write_itk(tmp_path / "c.nii")
    content = bytearray(path.read_bytes())
    content[252:256] = bytes(4)  # neither qform nor sform
    path.write_bytes(bytes(content))
    capsys.readouterr()
    assert run(["inspect", str(path)]) == 0
    assert "analyze refuses: orientation_unknown – c.nii" in (out := capsys.readouterr().out)
    assert REFUSALS["orientation_unknown"] in out


def test_the_policy_counts_as_it_does_for_analyze(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gap = [(0.0, 0.0, 2.5 * i) for i in (0, 1, 2, 4, 5, 6)]
    write_series(tmp_path, stored_body(6), positions=gap)
    assert run(["inspect", str(tmp_path), "--policy", "strict", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["refusal"], found["series"][0]["refusal"]) == ("missing_slices", "missing_slices")
    assert run(["inspect", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["series"][0]["taken"]
