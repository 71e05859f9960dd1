"""The catalogue of an archive: every object once, unchanged folders left alone, every change noticed."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from archive_case import ct_series
from paraspinal.archive import Key, index_archive, load_key
from paraspinal.archive.index import Indexed
from paraspinal.archive.store import SeriesEntry, open_store
from paraspinal.archive.tree import walk_folders
from paraspinal.errors import UsageError

KEY = Key(b"k" * 32)


@pytest.fixture(autouse=True)
def _trust_new_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a test are seconds old, and their stamps would not be trusted yet."""
    monkeypatch.setattr("paraspinal.archive.tree._SETTLED_NS", -1)


def _index(tmp_path: Path) -> Indexed:
    return index_archive(tmp_path / "archive", tmp_path / "catalogue", key=KEY)


def _series(tmp_path: Path) -> list[SeriesEntry]:
    with open_store(tmp_path / "catalogue") as store:
        return list(store.series())


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
    done = _index(tmp_path)
    found = _series(tmp_path)
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
    first = _index(tmp_path)
    before = _series(tmp_path)
    monkeypatch.setattr("paraspinal.archive.index.look_at_files", lambda *a, **k: pytest.fail("read again"))
    again = _index(tmp_path)
    assert (first.read, first.unchanged) == (2, 0)
    assert (again.read, again.unchanged, again.series_made) == (0, 2, 0)
    assert _series(tmp_path) == before


def test_what_is_added_changed_or_gone_is_noticed(archive: Path, tmp_path: Path) -> None:
    _index(tmp_path)
    before = {e.name: e for e in _series(tmp_path)}
    ct_series(archive / "b", "two", slices=9)  # one slice more under the same UID
    shutil.rmtree(archive / "a")
    (archive / "b" / "packed.zip").unlink()
    _index(tmp_path)
    after = {e.name: e for e in _series(tmp_path)}
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
    _index(tmp_path)
    (whole,) = _series(tmp_path)
    assert whole.row["slices"] == 8
    assert len(whole.location["folders"]) == 2
    for path in (root / "second").iterdir():
        path.rename(root / "first" / path.name)
    (root / "second").rmdir()
    _index(tmp_path)
    (moved,) = _series(tmp_path)
    assert moved.id == whole.id
    assert len(moved.location["folders"]) == 1


def test_an_interrupted_run_goes_on(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import paraspinal.archive.index as module

    real, calls = module.look_at_files, []

    def stops_at_the_second(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "look_at_files", stops_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        _index(tmp_path)
    done = _index(tmp_path)
    assert (done.read, done.unchanged) == (1, 1)
    assert len(_series(tmp_path)) == 4


def test_a_file_that_cannot_be_read_is_accounted_for(archive: Path, tmp_path: Path) -> None:
    (archive / "b" / "broken").write_bytes(bytes(128) + b"DICM" + b"\xff" * 64)
    _index(tmp_path)
    (broken,) = (e for e in _series(tmp_path) if e.refusal == "unreadable_file")
    assert broken.location["path"].endswith("broken")


def test_what_was_meant_to_be_an_image_and_is_none_is_accounted_for(archive: Path, tmp_path: Path) -> None:
    for name in ("empty.dcm", "empty", "random.nii.gz", "cut.zip"):
        (archive / "b" / name).write_bytes(b"" if name.startswith("empty") else b"nothing of the kind")
    _index(tmp_path)
    found = [e for e in _series(tmp_path) if e.refusal == "unreadable_file"]
    assert {Path(e.location["path"]).name for e in found} == {
        "empty.dcm",
        "empty",
        "random.nii.gz",
        "cut.zip",
    }


def test_a_file_beside_a_series_does_not_change_it(archive: Path, tmp_path: Path) -> None:
    _index(tmp_path)
    before = {e.id: e.stamp for e in _series(tmp_path)}
    (archive / "b" / "more.txt").write_text("a note")
    _index(tmp_path)
    assert {e.id: e.stamp for e in _series(tmp_path)} == before


def test_an_empty_mount_or_another_archive_erases_nothing(archive: Path, tmp_path: Path) -> None:
    _index(tmp_path)
    before = _series(tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError) as caught:
        index_archive(tmp_path / "other", tmp_path / "catalogue", key=KEY)
    assert caught.value.code == "catalogue_other_archive"
    archive.rename(tmp_path / "away")
    archive.mkdir()
    with pytest.raises(UsageError) as empty:
        _index(tmp_path)
    assert empty.value.code == "archive_empty"
    assert _series(tmp_path) == before


def test_a_catalogue_within_its_archive_is_none_of_it(archive: Path) -> None:
    done = [index_archive(archive, archive / "b" / "own.sqlite", key=KEY) for _ in range(2)]
    assert (done[1].read, done[1].unchanged) == (0, 2)


def test_links_that_go_round_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert [folder.path.name for folder in walk_folders(tmp_path)] == ["a"]


def test_names_outside_the_catalogue_need_the_key(archive: Path, tmp_path: Path) -> None:
    _index(tmp_path)
    ids = {e.id for e in _series(tmp_path)}
    other = Key(b"o" * 32)
    with pytest.raises(UsageError) as caught:
        index_archive(archive, tmp_path / "catalogue", key=other)
    assert caught.value.code == "catalogue_other_key"
    index_archive(archive, tmp_path / "second", key=other)
    with open_store(tmp_path / "second") as store:
        assert ids.isdisjoint(e.id for e in store.series())


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = load_key(tmp_path / "key")
    assert load_key(tmp_path / "key") == key
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    (tmp_path / "bad").write_text("not a key")
    with pytest.raises(UsageError) as caught:
        load_key(tmp_path / "bad")
    assert caught.value.code == "key_unusable"
