"""The catalogue of an archive: every object once, unchanged folders left alone, every change noticed."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

import paraspinal.archive.index as index_module
from archive_case import KEY, ct_series, index, series_of
from paraspinal.archive import Key, index_archive, load_key
from paraspinal.archive.location import current_stamp, paths_of
from paraspinal.archive.rules import Rules, choose
from paraspinal.archive.store import open_store
from paraspinal.archive.tree import walk_folders
from paraspinal.config import LoadingConfig
from paraspinal.errors import UsageError


@pytest.fixture(autouse=True)
def _trust_new_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a test are seconds old, and their stamps would not be trusted yet."""
    monkeypatch.setattr("paraspinal.archive.tree._SETTLED_NS", -1)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    root = tmp_path / "archive"
    ct_series(root / "a" / "deep", "one", BodyPartExamined="CHEST", AcquisitionDate="20240131")
    ct_series(root / "b", "two")
    ct_series(root / "b", "mr", Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    (root / "b" / "notes.txt").write_text("no image")
    with zipfile.ZipFile(root / "b" / "packed.zip", "w") as packed:
        for path in ct_series(tmp_path / "loose", "three"):
            packed.write(path, path.name)
    return root


def test_every_series_is_found_once(archive: Path, tmp_path: Path) -> None:
    done = index(tmp_path)
    found = series_of(tmp_path)
    assert done.counts["series"] == len(found) == 4
    assert {e.refusal for e in found} == {None, "not_ct"}
    assert len({e.id for e in found}) == 4
    (chest,) = (e for e in found if e.row.get("region") == "chest")
    assert chest.row["date"] == "20240131"
    assert chest.row["voxels"] == 8 * 12 * 10
    assert [Path(folder) for folder, _ in chest.location["folders"]] == [archive / "a" / "deep"]


def test_an_unchanged_tree_is_not_read_again(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = index(tmp_path)
    before = series_of(tmp_path)
    monkeypatch.setattr("paraspinal.archive.index.look_at_files", lambda *a, **k: pytest.fail("read again"))
    again = index(tmp_path)
    assert (first.read, first.unchanged) == (2, 0)
    assert (again.read, again.unchanged, again.series_made) == (0, 2, 0)
    assert series_of(tmp_path) == before


def test_what_is_added_changed_or_gone_is_noticed(archive: Path, tmp_path: Path) -> None:
    index(tmp_path)
    before = {e.name: e for e in series_of(tmp_path)}
    ct_series(archive / "b", "two", slices=9)  # one slice more under the same UID
    shutil.rmtree(archive / "a")
    (archive / "b" / "packed.zip").unlink()
    index(tmp_path)
    after = {e.name: e for e in series_of(tmp_path)}
    assert len(after) == 2
    (two,) = (e for e in after.values() if e.refusal is None)
    assert two.row["slices"] == 9
    assert two.id == before[two.name].id
    assert two.stamp != before[two.name].stamp


def test_images_of_one_uid_in_two_folders_are_one_series(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    paths = ct_series(root / "first", "spread", slices=8)
    (root / "second").mkdir()
    for path in paths[4:]:
        path.rename(root / "second" / path.name)
    index(tmp_path)
    (whole,) = series_of(tmp_path)
    assert whole.row["slices"] == 8
    assert len(whole.location["folders"]) == 2
    for path in (root / "second").iterdir():
        path.rename(root / "first" / path.name)
    (root / "second").rmdir()
    index(tmp_path)
    (moved,) = series_of(tmp_path)
    assert moved.id == whole.id
    assert len(moved.location["folders"]) == 1


def test_what_was_meant_to_be_an_image_and_is_none_is_accounted_for(archive: Path, tmp_path: Path) -> None:
    for name in ("empty.dcm", "empty", "random.nii.gz", "cut.zip"):
        (archive / "b" / name).write_bytes(b"" if name.startswith("empty") else b"nothing of the kind")
    index(tmp_path)
    found = [e for e in series_of(tmp_path) if e.refusal == "unreadable_file"]
    assert {Path(e.location["path"]).name for e in found} == {
        "empty.dcm",
        "empty",
        "random.nii.gz",
        "cut.zip",
    }


def test_a_file_beside_a_series_does_not_change_it(archive: Path, tmp_path: Path) -> None:
    index(tmp_path)
    before = {e.id: e.stamp for e in series_of(tmp_path)}
    (archive / "b" / "more.txt").write_text("a note")
    index(tmp_path)
    assert {e.id: e.stamp for e in series_of(tmp_path)} == before


def test_an_empty_mount_or_another_archive_erases_nothing(archive: Path, tmp_path: Path) -> None:
    index(tmp_path)
    before = series_of(tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError) as caught:
        index_archive(tmp_path / "other", tmp_path / "catalogue", key=KEY)
    assert caught.value.code == "catalogue_other_archive"
    archive.rename(tmp_path / "away")
    archive.mkdir()
    with pytest.raises(UsageError) as empty:
        index(tmp_path)
    assert empty.value.code == "archive_empty"
    assert series_of(tmp_path) == before


def test_a_catalogue_within_its_archive_is_none_of_it(archive: Path) -> None:
    done = [index_archive(archive, archive / "b" / "own.sqlite", key=KEY) for _ in range(2)]
    assert (done[1].read, done[1].unchanged) == (0, 2)


def test_links_that_go_round_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert [folder.path.name for folder in walk_folders(tmp_path)] == ["a"]


def test_names_outside_the_catalogue_need_the_key(archive: Path, tmp_path: Path) -> None:
    index(tmp_path)
    ids = {e.id for e in series_of(tmp_path)}
    other = Key(b"o" * 32)
    with pytest.raises(UsageError) as caught:
        index_archive(archive, tmp_path / "catalogue", key=other)
    assert caught.value.code == "catalogue_other_key"
    index_archive(archive, tmp_path / "second", key=other)
    with open_store(tmp_path / "second") as store:
        assert ids.isdisjoint(e.id for e in store.series())


_MHD = """ObjectType = Image
NDims = 3
DimSize = 16 16 8
ElementSpacing = 1 1 2
Offset = 0 0 0
TransformMatrix = 1 0 0 0 1 0 0 0 1
BinaryData = True
BinaryDataByteOrderMSB = False
ElementType = MET_SHORT
ElementDataFile = v.raw
"""


def test_voxels_beside_their_header_are_part_of_the_series(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    root.mkdir()
    (root / "v.mhd").write_text(_MHD)
    (root / "v.raw").write_bytes(bytes(16 * 16 * 8 * 2))
    index(tmp_path)
    (before,) = series_of(tmp_path)
    assert [path.name for path in paths_of(before.location)] == ["v.mhd", "v.raw"]
    assert before.stamp == current_stamp(before.location)
    assert before.row["voxels"] == 16 * 16 * 8
    (root / "v.raw").write_bytes(b"\1" * 16 * 16 * 8 * 2)
    assert before.stamp != current_stamp(before.location)
    index(tmp_path)
    (after,) = series_of(tmp_path)
    assert after.id == before.id
    assert after.stamp == current_stamp(after.location)


def test_every_stamp_is_that_of_its_files(archive: Path, tmp_path: Path) -> None:
    (archive / "b" / "cut.zip").write_bytes(b"no archive")
    index(tmp_path)
    for entry in series_of(tmp_path):
        assert entry.stamp == current_stamp(entry.location), entry.location


def test_series_of_a_zip_are_chosen_as_those_of_a_folder(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    root.mkdir()
    with zipfile.ZipFile(root / "three.zip", "w") as packed:
        for name in ("p1", "p2", "p3"):
            for path in ct_series(tmp_path / "loose", name, PatientID=name, AcquisitionDate="20240131"):
                packed.write(path, f"{name}/{path.name}")
    index(tmp_path)
    found = series_of(tmp_path)
    assert [choice.taken for choice in choose(found, Rules(since="20240101"))] == [True] * 3
    assert {entry.row["voxels"] for entry in found} == {8 * 12 * 10}
    ct_series(root / "again", "p1", PatientID="p1")
    index(tmp_path)
    assert len({entry.study for entry in series_of(tmp_path)}) == 3


@pytest.mark.parametrize(
    ("tags", "day"),
    [
        ({"AcquisitionDate": "20240131", "ContentDate": "20240201"}, "20240131"),
        ({"AcquisitionDateTime": "20240131101530.5+0100"}, "20240131"),
        ({"AcquisitionTime": "101530.123456"}, None),
        ({"AcquisitionTime": "101530.123456", "ContentDate": "20240131"}, "20240131"),
        ({"StudyDate": "20240131"}, "20240131"),
        ({"SeriesDate": "20240201", "StudyDate": "20240131"}, "20240201"),
        ({"AcquisitionDate": "20240230", "StudyDate": "20240228"}, "20240228"),
    ],
)
def test_a_series_has_the_day_that_its_headers_state(
    tmp_path: Path, tags: dict[str, str], day: str | None
) -> None:
    ct_series(tmp_path / "archive", "one", **tags)
    index(tmp_path)
    (entry,) = series_of(tmp_path)
    assert entry.row.get("date") == day


def test_digits_of_another_kind_make_no_day(tmp_path: Path) -> None:
    for path in ct_series(tmp_path / "archive", "one", AcquisitionDate="20240131"):
        path.write_bytes(path.read_bytes().replace(b"20240131", b"\xb2" * 8))
    index(tmp_path)
    (entry,) = series_of(tmp_path)
    assert "date" not in entry.row


@pytest.mark.parametrize(
    ("part", "description", "region"),
    [
        ("CHEST_ABD_PELVIS", None, "chest+abdomen"),
        (None, "Thorax/Abdomen", "chest+abdomen"),
        ("CHEST", "Darstellung", "chest"),
        ("TSPINE", None, "spine"),
        (None, "Verlaufsdarstellung", None),
    ],
)
def test_a_series_has_every_region_that_its_headers_name(
    tmp_path: Path, part: str | None, description: str | None, region: str | None
) -> None:
    ct_series(tmp_path / "archive", "one", BodyPartExamined=part, SeriesDescription=description)
    index(tmp_path)
    (entry,) = series_of(tmp_path)
    assert entry.row.get("region") == region


def test_a_modality_that_dicom_does_not_know_is_not_written_down(tmp_path: Path) -> None:
    ct_series(tmp_path / "archive", "one", Modality="MUELLER")
    ct_series(tmp_path / "archive", "two", Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    index(tmp_path)
    found = series_of(tmp_path)
    assert (
        {entry.modality for entry in found} == {entry.row["modality"] for entry in found} == {"other", "MR"}
    )


@pytest.mark.parametrize("change", ["limits", "software"])
def test_series_are_made_anew_by_other_limits_or_software(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    ct_series(tmp_path / "archive" / "a", "one")
    index(tmp_path, config=LoadingConfig(min_slices=20))
    assert [entry.refusal for entry in series_of(tmp_path)] == ["too_few_slices"]
    if change == "software":
        monkeypatch.setattr(index_module, "__version__", "99")
        assert index(tmp_path, config=LoadingConfig(min_slices=20)).series_made == 1
        return
    monkeypatch.setattr("paraspinal.loading.catalogue._SETTLED_NS", -(10**12))
    index(tmp_path, config=LoadingConfig(min_slices=19))
    monkeypatch.setattr("paraspinal.loading.scan._look_at", lambda *_: pytest.fail("a header was read again"))
    index(tmp_path, config=LoadingConfig(min_slices=3))
    assert [entry.refusal for entry in series_of(tmp_path)] == [None]


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = load_key(tmp_path / "key")
    assert load_key(tmp_path / "key") == key
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    (tmp_path / "bad").write_text("not a key")
    with pytest.raises(UsageError) as caught:
        load_key(tmp_path / "bad")
    assert caught.value.code == "key_unusable"
