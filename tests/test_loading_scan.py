"""A scan reads no more than it has to, and no file stops it."""

import struct
import time
from pathlib import Path

import numpy as np
import pytest

import paraspinal.loading.scan as scan_module
from dicom_factory import stored_body, write_series
from paraspinal.config import LoadingConfig
from paraspinal.dicomio.headers import read_headers
from paraspinal.loading.scan import scan_files
from paraspinal.loading.sources import DiskFile, folder_files

CONFIG = LoadingConfig()


class CountingFile:
    """A file on disk that remembers how many bytes were asked of it."""

    def __init__(self, path: Path) -> None:
        self.file = DiskFile(path, path.stat().st_size)
        self.name, self.folder, self.size = path.name, str(path.parent), self.file.size
        self.asked = 0

    def head(self, limit: int = 2048) -> bytes:
        self.asked += min(limit, self.size)
        return self.file.head(limit)

    def read(self) -> bytes:
        self.asked += self.size
        return self.file.read()

    def beside(self, name: str) -> None:
        return None


def test_the_pixels_of_a_plain_file_are_not_read(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path, np.zeros((1, 512, 512), np.int16))
    file = CountingFile(path)
    scan = scan_files([file], config=CONFIG)
    assert scan.entries[0].header.pixels is not None
    assert 0 < file.asked <= 64 << 10 < file.size


def test_a_long_header_is_read_too(tmp_path: Path) -> None:
    def long_private(_: int, ds: object) -> None:
        block = ds.private_block(0x0029, "LONG", create=True)  # type: ignore[attr-defined]
        block.add_new(1, "OB", bytes(200_000))

    (path,) = write_series(tmp_path, stored_body()[:1], edit=long_private)
    scan = scan_files([DiskFile(path, path.stat().st_size)], config=CONFIG)
    assert [entry.header for entry in scan.entries] == list(read_headers(path.read_bytes()))


@pytest.mark.parametrize("walks", [True, False])
def test_both_ways_give_the_same_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, walks: bool) -> None:
    write_series(tmp_path, stored_body())
    if not walks:
        monkeypatch.setattr(scan_module, "walk_header", lambda _: None)
    entries = scan_files(folder_files(tmp_path, config=CONFIG), config=CONFIG).entries
    expected = [read_headers(path.read_bytes())[0] for path in sorted(tmp_path.iterdir())]
    assert [entry.header for entry in entries] == expected


def test_bombs_are_put_on_record_beside_good_slices(tmp_path: Path) -> None:
    first = write_series(tmp_path, stored_body())[0].read_bytes()
    start = first[: first.index(b"\xe0\x7f\x10\0")]
    tiny = b"".join(struct.pack("<HH2sH", 0x0029, n, b"LO", 0) for n in range(0x1000, 0xF000)) * 12
    deep = struct.pack("<HH2sHIHHI", 0x0029, 0x1010, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    (tmp_path / "tiny").write_bytes(start + tiny)
    (tmp_path / "deep").write_bytes(start + deep * 50_000)
    begin = time.perf_counter()
    scan = scan_files(folder_files(tmp_path, config=CONFIG), config=CONFIG)
    assert time.perf_counter() - begin < 20
    assert len(scan.entries) == 8
    assert sorted(name for name, _ in scan.unreadable) == ["deep", "tiny"]


@pytest.mark.realdata
def test_every_malformed_file_is_read_or_put_on_record(real_data: Path) -> None:
    files = folder_files(real_data / "fuzz", config=CONFIG)
    assert len(files) > 300
    for file in files:
        begin = time.perf_counter()
        scan = scan_files([file], config=CONFIG)
        assert len(scan.entries) + len(scan.unreadable) + len(scan.other) >= 1, file.name
        assert time.perf_counter() - begin < 10, file.name
