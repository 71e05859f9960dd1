"""Folders, single files, zips and what else people give."""

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dicom_factory import stored_body, uid_of, write_series
from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading import load_series
from paraspinal.loading.sources import shown


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
