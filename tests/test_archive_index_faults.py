"""What goes wrong while an archive is looked at is put on record, looked at again, and never the end of the run."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import paraspinal.archive.entries as entries_module
import paraspinal.archive.index as index_module
import paraspinal.archive.tree as tree_module
from archive_case import ct_series, index, series_of
from paraspinal.archive.location import current_stamp, paths_of
from paraspinal.archive.store import open_store
from paraspinal.archive.tree import FileStamp, _stamp, walk_folders
from paraspinal.cli.main import run
from paraspinal.errors import UsageError
from paraspinal.loading.sources import DiskFile, ZipMember


@pytest.fixture(autouse=True)
def _trust_new_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a test are seconds old, and their stamps would not be trusted yet."""
    monkeypatch.setattr("paraspinal.archive.tree._SETTLED_NS", -1)
    monkeypatch.setattr("paraspinal.loading.catalogue._SETTLED_NS", -(10**12))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    root = tmp_path / "archive"
    ct_series(root / "a", "one")
    ct_series(root / "b", "two")
    with zipfile.ZipFile(root / "b" / "packed.zip", "w") as packed:
        for path in ct_series(tmp_path / "loose", "three"):
            packed.write(path, path.name)
    return root


def _spread(root: Path) -> None:
    """Write a series that lies in two folders."""
    paths = ct_series(root / "first", "spread")
    (root / "second").mkdir()
    for path in paths[4:]:
        path.rename(root / "second" / path.name)


def _refusals(tmp_path: Path) -> list[str]:
    return sorted(entry.refusal or "" for entry in series_of(tmp_path))


def _fails_for(real: Callable[..., Any], broken: Callable[..., bool]) -> Callable[..., Any]:
    def either(*args: Any, **kwargs: Any) -> Any:
        if broken(*args):
            raise RuntimeError("nobody foresaw this")
        return real(*args, **kwargs)

    return either


def test_names_that_are_no_text_are_names_all_the_same(archive: Path, tmp_path: Path) -> None:
    latin = Path(os.fsdecode(os.fsencode(archive) + b"/M\xfcller"))
    for path in ct_series(latin, "named"):
        path.rename(path.with_name(os.fsdecode(b"\xfc" + path.name.encode())))
    ct_series(latin / "without", "no uid", SeriesInstanceUID="")
    shutil.copy(archive / "b" / "packed.zip", latin / os.fsdecode(b"\xfc.zip"))
    (archive / "a" / os.fsdecode(b"M\xfcller.dcm")).write_bytes(b"no image")
    first = index(tmp_path)
    assert (first.read, first.counts["series"]) == (4, 7)
    found = series_of(tmp_path)
    assert all(entry.stamp == current_stamp(entry.location) for entry in found)
    assert sum(path.is_file() for entry in found for path in paths_of(entry.location)) == 8 * 4 + 3
    again = index(tmp_path)
    assert (again.read, again.unchanged, again.gone) == (0, 4, 0)
    assert series_of(tmp_path) == found


def test_a_series_that_cannot_be_made_is_one_of_many(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        broken = _fails_for(
            entries_module.candidates_of, lambda stacks: stacks[0].entries[0].file.folder.endswith("/a")
        )
        patch.setattr(entries_module, "candidates_of", broken)
        index(tmp_path)
        assert _refusals(tmp_path) == ["", "", "internal"]
        (entry,) = (e for e in series_of(tmp_path) if e.refusal)
        assert entry.stamp == current_stamp(entry.location)
    index(tmp_path)
    assert _refusals(tmp_path) == ["", "", ""]
    assert entry.id in {e.id for e in series_of(tmp_path)}


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (entries_module, "inspect_source", lambda path: True),
        (index_module, "look_at_files", lambda files: files[0].path.parent.name == "a"),
        (index_module, "dicom_entries", lambda name, images, *_: images[0].file.path.parent.name == "a"),
    ],
)
def test_a_fault_of_this_software_is_one_refusal_until_it_is_mended(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, broken: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, name, _fails_for(getattr(module, name), broken))
        index(tmp_path)
        assert _refusals(tmp_path) == ["", "", "internal"]
        (refused,) = (e for e in series_of(tmp_path) if e.refusal)
        assert "RuntimeError in paraspinal.archive" in refused.row["remedy"]
        assert "foresaw" not in str(refused.row)
    again = index(tmp_path)
    assert (again.read, _refusals(tmp_path)) == (1, ["", "", ""])
    assert index(tmp_path).read == 0


def test_a_series_of_two_folders_is_made_again_after_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spread(tmp_path / "archive")
    with monkeypatch.context() as patch:
        patch.setattr(index_module, "name_of", _fails_for(index_module.name_of, lambda _: patched["broken"]))
        patched = {"broken": False}
        real = index_module._Run.series

        def series(run: Any) -> None:
            patched["broken"] = True
            real(run)

        patch.setattr(index_module._Run, "series", series)
        index(tmp_path)
        assert _refusals(tmp_path) == ["internal"]
    index(tmp_path)
    assert [(e.refusal, e.row["slices"]) for e in series_of(tmp_path)] == [(None, 8)]
    assert index(tmp_path).series_made == 0


@pytest.mark.parametrize("kind", [DiskFile, ZipMember])
def test_what_a_disk_could_not_read_is_read_again(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    real, packed = kind.head, kind is ZipMember

    def head(file: Any, limit: int = 2048) -> bytes:
        if file.name.endswith(("one-0003", "three-0003")):
            raise OSError(errno.EIO, "Input/output error")
        return bytes(real(file, limit))

    with monkeypatch.context() as patch:
        patch.setattr(kind, "head", head)
        index(tmp_path)
        assert sorted(e.row["slices"] for e in series_of(tmp_path)) == ([7, 8, 8] if packed else [0, 7, 8, 8])
    assert index(tmp_path).read == 1
    assert sorted(e.row["slices"] for e in series_of(tmp_path)) == [8, 8, 8]
    assert index(tmp_path).read == 0


def test_what_lies_in_a_folder_that_cannot_be_read_now_is_kept(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ct_series(archive / "b" / "below", "four")
    index(tmp_path)
    before = series_of(tmp_path)
    real = tree_module._entries

    def entries(path: Path, leave_out: frozenset[Path]) -> Any:
        if path.name == "b":
            raise OSError(errno.EIO, "Input/output error")
        return real(path, leave_out)

    with monkeypatch.context() as patch:
        patch.setattr(tree_module, "_entries", entries)
        for _ in range(2):
            assert index(tmp_path).gone == 0
            assert [e for e in series_of(tmp_path) if e.refusal is None] == before
            assert _refusals(tmp_path) == ["", "", "", "", "unreadable_file"]
    index(tmp_path)
    assert series_of(tmp_path) == before


def test_half_of_a_series_does_not_pass_for_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spread(tmp_path / "archive")
    index(tmp_path)
    (before,) = series_of(tmp_path)
    real = tree_module._entries

    def entries(path: Path, leave_out: frozenset[Path]) -> Any:
        if path.name == "second":
            raise OSError(errno.EIO, "Input/output error")
        return real(path, leave_out)

    (tmp_path / "archive" / "first" / "more.txt").write_text("a note")
    with monkeypatch.context() as patch:
        patch.setattr(tree_module, "_entries", entries)
        index(tmp_path)
        assert _refusals(tmp_path) == ["unreadable_file"] * 2
        assert before.id in {e.id for e in series_of(tmp_path)}
    index(tmp_path)
    assert series_of(tmp_path) == [before]


def test_what_is_damaged_for_good_is_read_once(archive: Path, tmp_path: Path) -> None:
    (archive / "b" / "broken").write_bytes(bytes(128) + b"DICM" + b"\xff" * 64)
    (archive / "b" / "cut.zip").write_bytes(b"PK\3\4 and no more")
    index(tmp_path)
    assert _refusals(tmp_path) == ["", "", "", "unreadable_file", "zip_damaged"]
    (broken,) = (e for e in series_of(tmp_path) if e.refusal == "unreadable_file")
    assert broken.location["path"].endswith("broken")
    assert index(tmp_path).read == 0


def test_a_zip_that_stays_is_not_read_for_what_lies_beside_it(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(tmp_path)
    before = {e.id: e for e in series_of(tmp_path)}
    (archive / "b" / "more.txt").write_text("a note")
    monkeypatch.setattr(
        entries_module, "inspect_source", lambda *a, **k: pytest.fail("the zip was read again")
    )
    assert index(tmp_path).read == 1
    assert {e.id: e for e in series_of(tmp_path)} == before


def test_an_interrupted_run_goes_on_and_nobody_works_from_its_half(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = index_module.look_at_files, []

    def stops_at_the_second(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(index_module, "look_at_files", stops_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            index(tmp_path)
    with open_store(tmp_path / "catalogue") as store, pytest.raises(UsageError) as caught:
        store.require_complete()
    assert caught.value.code == "catalogue_incomplete"
    assert run(["select", str(tmp_path / "catalogue")]) == 2
    assert "catalogue_incomplete" in capsys.readouterr().err
    done = index(tmp_path)
    assert (done.read, done.unchanged) == (1, 1)
    assert _refusals(tmp_path) == ["", "", ""]
    assert run(["select", str(tmp_path / "catalogue")]) == 0


def test_a_catalogue_is_whole_until_something_changes(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    index(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(index_module.Store, "forget_unseen", stops)
        with pytest.raises(KeyboardInterrupt):
            index(tmp_path)
        with open_store(tmp_path / "catalogue") as store:
            store.require_complete()
        ct_series(archive / "a", "more")
        with pytest.raises(KeyboardInterrupt):
            index(tmp_path)
        with open_store(tmp_path / "catalogue") as store, pytest.raises(UsageError):
            store.require_complete()


def test_every_refusal_says_in_words_what_is_wrong(archive: Path, tmp_path: Path) -> None:
    ct_series(archive / "mr", "mr", Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    (archive / "cut.zip").write_bytes(b"no archive")
    index(tmp_path)
    assert run(["select", str(tmp_path / "catalogue"), "--csv", str(tmp_path / "out.csv")]) == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert [row["taken"] for row in rows].count("yes") == 3
    assert all(row["reason"] for row in rows if row["taken"] == "no")


def test_a_link_that_cannot_be_followed_is_put_on_record(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    root.mkdir()
    (root / "nowhere").symlink_to(root / "gone")
    (root / "long").symlink_to("x" * 300)
    assert [(folder.path.name, bool(folder.problem)) for folder in walk_folders(root)] == [("long", True)]


def test_a_time_that_no_clock_ever_showed_is_not_remembered() -> None:
    assert _stamp([FileStamp("a", 1, -(1 << 64), 0, 1)]) == ""
