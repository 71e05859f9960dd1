"""Folders, single files, zips and what else people give."""

import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from dicom_factory import stored_body, uid_of, write_series
from grid_files import write_itk, write_meta, write_nrrd
from paraspinal.config import LoadingConfig
from paraspinal.dicomio.sniff import file_kind
from paraspinal.errors import LoadError
from paraspinal.loading import load_series
from paraspinal.loading.opening import OpenedSource, open_source
from paraspinal.loading.sources import is_base_name, shown

CONFIG = LoadingConfig()


def refused(path: Path, config: LoadingConfig | None = None) -> LoadError:
    with pytest.raises(LoadError) as refusal:
        load_series(path, config=config or LoadingConfig())
    assert "\n" not in refusal.value.one_line()
    return refusal.value


def zipped(folder: Path, target: Path, *, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.writestr(prefix + path.name, path.read_bytes())
    return target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_series(tmp_path / "ct", stored_body())
    return tmp_path / "ct"


def test_folder_file_and_zip_give_the_same_volume(folder: Path, tmp_path: Path) -> None:
    whole = load_series(folder)
    one = load_series(str(folder / "slice0002"))
    packed = load_series(zipped(folder, tmp_path / "packed.bin"))
    for other in (one, packed):
        np.testing.assert_array_equal(whole.volume.hu, other.volume.hu)
        assert (other.uid, other.input_digest) == (whole.uid, whole.input_digest)


def test_zip_members_are_never_written_by_their_names(folder: Path, tmp_path: Path) -> None:
    archive = zipped(folder, tmp_path / "evil.zip", prefix="../../escaped/")
    before = sorted(p for p in tmp_path.rglob("*"))
    assert load_series(archive).volume.hu.shape[0] == 8
    assert sorted(p for p in tmp_path.rglob("*")) == before


def test_an_encrypted_zip_is_refused(folder: Path, tmp_path: Path) -> None:
    archive = zipped(folder, tmp_path / "secret.zip")
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            flags = struct.unpack_from("<H", data, at + offset)[0]
            struct.pack_into("<H", data, at + offset, flags | 1)
            at = data.find(signature, at + 4)
    archive.write_bytes(bytes(data))
    assert refused(archive).code == "zip_encrypted"


def test_a_cut_zip_is_refused(folder: Path, tmp_path: Path) -> None:
    archive = zipped(folder, tmp_path / "cut.zip")
    archive.write_bytes(archive.read_bytes()[:-200])
    assert refused(archive).code == "zip_damaged"


def test_a_damaged_member_is_on_record(folder: Path, tmp_path: Path) -> None:
    archive = zipped(folder, tmp_path / "damaged.zip")
    with zipfile.ZipFile(archive) as opened:
        last = opened.infolist()[-1]
    data = bytearray(archive.read_bytes())
    at = last.header_offset + 60
    data[at : at + 40] = b"\xff" * 40
    archive.write_bytes(bytes(data))
    loaded = load_series(archive)
    assert loaded.volume.hu.shape[0] == 7
    assert any("slice0007" in text for text in loaded.loading.left_out)


def spoiled_lzma(data: bytearray, info: zipfile.ZipInfo) -> None:
    at = info.header_offset + 30 + len(info.filename)
    data[at : at + 9] = b"\xff" * 9  # the properties of the coder


def spoiled_name(data: bytearray, info: zipfile.ZipInfo) -> None:
    at = info.header_offset
    data[at + 6 : at + 8] = struct.pack("<H", 0x800)  # the local name is UTF-8
    data[at + 30 : at + 32] = b"\xff\xfe"


@pytest.mark.parametrize(
    ("method", "spoil"), [(zipfile.ZIP_LZMA, spoiled_lzma), (zipfile.ZIP_DEFLATED, spoiled_name)]
)
def test_every_kind_of_damage_to_a_member_is_on_record(
    folder: Path, tmp_path: Path, method: int, spoil: Callable[[bytearray, zipfile.ZipInfo], None]
) -> None:
    archive = tmp_path / "spoiled.zip"
    with zipfile.ZipFile(archive, "w", method) as target:
        for path in sorted(folder.iterdir()):
            target.write(path, path.name)
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as whole:
        spoil(data, whole.infolist()[0])
    archive.write_bytes(bytes(data))
    loaded = load_series(archive)
    assert len(loaded.volume.hu) == 7
    assert any("slice0000" in text for text in loaded.loading.left_out)


def test_a_member_without_a_name_is_a_file(folder: Path, tmp_path: Path) -> None:
    archive = zipped(folder, tmp_path / "nameless.zip")
    data = archive.read_bytes().replace(b"slice0000", b"\0lice0000")
    archive.write_bytes(data)
    assert len(load_series(archive).volume.hu) >= 7


@pytest.fixture
def closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two parts of a series, of which one may not be looked into (by nobody, root or not)."""
    write_series(
        folder / "more", stored_body(), positions=[(-10, -20, -80 + 2.5 * i) for i in range(8)], prefix="more"
    )
    scandir = os.scandir

    def guarded(path: str) -> object:
        if Path(path).name == "more":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    return folder


def test_a_folder_that_may_not_be_looked_into_is_on_record(closed: Path) -> None:
    loaded = load_series(closed)
    assert {c.code: c.numbers for c in loaded.loading.codes}["unreadable_file"] == {"files": 1}
    assert any("more" in text and "Permission denied" in text for text in loaded.loading.left_out)
    assert refused(closed, LoadingConfig(policy="strict")).code == "unreadable_file"
    assert refused(closed / "more").code == "unreadable_file"


def test_a_file_whose_folder_hides_it_is_on_record(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = Path.stat

    def guarded(path: Path, **options: bool) -> os.stat_result:
        if path.name == "slice0007":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", guarded)
    loaded = load_series(folder)
    assert len(loaded.volume.hu) == 7
    assert any("slice0007" in text for text in loaded.loading.left_out)


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big", bytes(8 << 20))
    assert refused(bomb).code == "too_large"
    assert refused(bomb, LoadingConfig(max_zip_ratio=1e6, max_zip_gib=0.001)).code == "too_large"


def test_loops_of_links_end(folder: Path) -> None:
    os.symlink(folder, folder / "again")
    assert load_series(folder).volume.hu.shape[0] == 8


def test_one_bad_file_never_stops_the_rest(folder: Path) -> None:
    good = (folder / "slice0001").read_bytes()
    (folder / "broken").write_bytes(good[:132] + b"\xff" * 400)
    (folder / "notes.txt").write_text("no image")
    loaded = load_series(folder)
    assert loaded.volume.hu.shape[0] == 8
    numbers = {c.code: c.numbers for c in loaded.loading.codes}
    assert numbers["unreadable_file"]["files"] == 1
    assert numbers["other_files"]["files"] == 1
    assert any("broken" in text for text in loaded.loading.left_out)


def test_a_file_without_preamble_is_read(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[132:])
    assert load_series(folder).volume.hu.shape[0] == 8


def test_inputs_that_are_no_series(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("hello")
    (tmp_path / "a.dcm").write_bytes(b"x" * 500)
    (tmp_path / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x00\x00XX\x00\x00")
    for name, code in (
        ("missing", "not_found"),
        ("empty", "empty_input"),
        ("texts", "not_an_image_series"),
        ("a.dcm", "unsupported_format"),
        ("broken.dcm", "unreadable_file"),
    ):
        error = refused(tmp_path / name)
        assert error.code == code
        assert name in error.message


def test_limits_are_kept(folder: Path) -> None:
    assert refused(folder, LoadingConfig(max_files=5)).code == "too_many_files"
    assert refused(folder, LoadingConfig(max_volume_gib=1e-6)).code == "too_large"
    assert refused(folder, LoadingConfig(max_file_mib=1e-4)).code == "unreadable_file"


def test_a_uid_in_a_file_name_is_not_shown() -> None:
    uid = uid_of("somebody")
    assert uid not in shown(f"/data/CT.{uid}.dcm")
    assert shown("../../etc/pass\x1bwd") == "passwd"


def test_progress_tells_each_step(folder: Path) -> None:
    steps: list[str] = []
    load_series(folder, progress=steps.append)
    assert steps == ["reading 8 headers", "decoding 8 slices"]


def opened(path: Path) -> OpenedSource:
    return open_source(path, config=CONFIG)


def note_numbers(source: OpenedSource) -> dict[str, dict[str, float]]:
    return {code.code: code.numbers for code in source.notes}


def write_dicomdir(path: Path, file_ids: list[list[str]]) -> Path:
    """Write a DICOMDIR whose records name `file_ids`, with a patient record that names none."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    ds.file_meta.MediaStorageSOPInstanceUID = uid_of("directory")
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.FileSetID = "DISC"
    records = [Dataset()]
    records[0].DirectoryRecordType = "PATIENT"
    for parts in file_ids:
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        record.ReferencedFileID = parts
        records.append(record)
    ds.DirectoryRecordSequence = records
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """Return the folder of a disc: eight images in IMAGES, seven of them listed in capitals."""
    root = tmp_path / "disc"
    write_series(root / "images", stored_body())
    return root


LISTED = [["IMAGES", f"SLICE{i:04d}"] for i in range(7)]


def test_a_dicomdir_gives_exactly_what_it_lists(disc: Path) -> None:
    source = opened(write_dicomdir(disc / "DICOMDIR", LISTED))
    assert (source.kind, source.only) == ("dicomdir", None)
    assert [file.name for file in source.files] == [f"slice{i:04d}" for i in range(7)]
    assert note_numbers(source) == {"dicomdir_unlisted": {"files": 1}}
    loaded = load_series(disc / "DICOMDIR")
    assert loaded.volume.hu.shape[0] == 7
    assert "dicomdir_unlisted" in {code.code for code in loaded.loading.codes}
    # The folder is another question: it has eight images.
    assert load_series(disc).volume.hu.shape[0] == 8


@pytest.mark.filterwarnings("ignore:.*VR CS")
@pytest.mark.parametrize(
    "parts",
    [
        ["..", "secret", "slice0000"],
        ["IMAGES", "..", "..", "secret", "slice0000"],
        ["../secret/slice0000"],
        ["/etc/passwd"],
        ["C:", "secret"],
        ["LINK"],
        ["AWAY", "slice0000"],
    ],
)
def test_a_record_cannot_lead_out_of_the_folder(disc: Path, tmp_path: Path, parts: list[str]) -> None:
    outside = write_series(tmp_path / "secret", stored_body(), prefix="slice")
    (disc / "LINK").symlink_to(outside[0])
    (disc / "AWAY").symlink_to(tmp_path / "secret")
    source = opened(write_dicomdir(disc / "DICOMDIR", [*LISTED, parts]))
    assert note_numbers(source)["dicomdir_outside"] == {"records": 1}
    assert all((disc / "images") == file.path.parent for file in source.files)  # type: ignore[attr-defined]
    assert refused(write_dicomdir(disc / "DICOMDIR", [parts])).code == "dicomdir_empty"


def test_missing_files_of_a_dicomdir_are_on_record(disc: Path) -> None:
    source = opened(write_dicomdir(disc / "DICOMDIR", [*LISTED, ["IMAGES", "GONE"], ["NOWHERE", "A"]]))
    assert note_numbers(source)["dicomdir_missing"] == {"records": 2}
    assert len(source.files) == 7


def test_names_of_a_medium_are_found_in_any_spelling(disc: Path) -> None:
    (disc / "images" / "slice0000").rename(disc / "images" / "slice0000.;1")
    assert len(opened(write_dicomdir(disc / "DICOMDIR", LISTED)).files) == 7


def test_a_malformed_dicomdir_is_refused(disc: Path) -> None:
    path = write_dicomdir(disc / "DICOMDIR", LISTED)
    whole = path.read_bytes()
    for cut in range(140, len(whole), 97):
        path.write_bytes(whole[:cut] + b"\xff\xfe" * 20)
        try:
            opened(path)
        except LoadError as error:
            assert error.code in {"unreadable_file", "dicomdir_empty"}  # noqa: PT017
    path.write_bytes(whole)
    assert len(opened(path).files) == 7


def test_a_dicomdir_without_files_is_refused(disc: Path) -> None:
    error = refused(write_dicomdir(disc / "DICOMDIR", [["GONE"]]))
    assert error.code == "dicomdir_empty"
    assert error.details == {"listed": 1, "outside": 0, "missing": 1}


def test_one_volume_in_a_folder_or_zip_is_that_volume(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    write_itk(tmp_path / "study" / "scan.nii.gz")
    (tmp_path / "study" / "notes.txt").write_text("a text")
    alone = load_series(tmp_path / "study" / "scan.nii.gz")
    for place in (tmp_path / "study", zipped(tmp_path / "study", tmp_path / "study.zip", prefix="a/")):
        assert opened(place).kind == "nifti"
        np.testing.assert_array_equal(load_series(place).volume.hu, alone.volume.hu)
        assert load_series(place).input_digest == alone.input_digest


def test_a_detached_header_finds_its_data_in_the_same_folder_of_a_zip(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    write_itk(tmp_path / "study" / "scan.mhd")
    archive = zipped(tmp_path / "study", tmp_path / "study.zip", prefix="deep/er/")
    alone = load_series(tmp_path / "study" / "scan.mhd")
    np.testing.assert_array_equal(load_series(archive).volume.hu, alone.volume.hu)
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr("deep/er/scan.raw.old", b"")
        more.writestr("scan.raw", bytes(240))
    np.testing.assert_array_equal(load_series(archive).volume.hu, alone.volume.hu)


def test_several_volumes_are_named_and_not_guessed(tmp_path: Path) -> None:
    write_itk(tmp_path / "a.nii.gz")
    write_nrrd(tmp_path / "b.nrrd")
    error = refused(tmp_path)
    assert error.code == "several_volumes"
    assert error.details["files"] == ["a.nii.gz", "b.nrrd"]


def test_dicom_goes_before_other_volumes(folder: Path) -> None:
    write_itk(folder / "a.nii.gz")
    loaded = load_series(folder)
    assert loaded.source == "dicom"
    assert {"other_files"} <= {code.code for code in loaded.loading.codes}


def test_archives_within_are_named_and_not_opened(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    zipped(folder, tmp_path / "outer" / "inner.zip")
    write_itk(tmp_path / "outer" / "scan.nii.gz")
    source = opened(tmp_path / "outer")
    assert source.kind == "nifti"
    assert note_numbers(source)["nested_archives"] == {"archives": 1}
    assert "inner.zip" in source.notes[0].text
    (tmp_path / "outer" / "scan.nii.gz").unlink()
    assert refused(zipped(tmp_path / "outer", tmp_path / "nested.zip")).code == "not_an_image_series"


def test_a_single_file_stands_for_its_folder(folder: Path) -> None:
    source = opened(folder / "slice0002")
    assert source.kind == "file"
    assert source.only in source.files
    assert len(source.files) == 8


def test_kinds_are_told_by_content(folder: Path, tmp_path: Path) -> None:
    made = {
        "dicom": (folder / "slice0000"),
        "zip": zipped(folder, tmp_path / "z.nrrd"),
        "nifti": write_itk(tmp_path / "n.nii").rename(tmp_path / "n.dcm"),
        "nrrd": write_nrrd(tmp_path / "r.nii"),
        "metaimage": write_meta(tmp_path / "m.zip"),
    }
    for kind, path in made.items():
        assert file_kind(path.read_bytes()[:2048]) == kind
    for text in (
        b"",
        b"NRRD",
        b"NRRD0004",
        b"ObjectType = Image\n",
        b"a = b\nNDims 3\nDimSize = 1\n",
        b"\x1f\x8b",
    ):
        assert file_kind(text) == "other"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "C:a", "a\0b", "/a"])
def test_what_is_no_base_name(name: str) -> None:
    assert not is_base_name(name)
    assert is_base_name("IM000001.dcm")
