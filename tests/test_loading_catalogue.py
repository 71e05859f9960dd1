"""The catalogue gives back what was read, notices every change, and never breaks a scan."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

import paraspinal.loading.scan as scan_module
from dicom_factory import stored_body, write_series
from paraspinal.config import LoadingConfig
from paraspinal.errors import UsageError
from paraspinal.loading.catalogue import open_catalogue
from paraspinal.loading.scan import Scan, scan_files
from paraspinal.loading.sources import folder_files

CONFIG = LoadingConfig()


@pytest.fixture
def series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of eight slices and a file of another kind; none of them counts as changed a moment ago."""
    folder = tmp_path / "series"
    write_series(folder, stored_body())
    (folder / "notes.txt").write_text("no DICOM at all, only some words")
    monkeypatch.setattr("paraspinal.loading.catalogue._SETTLED_NS", -(10**12))
    return folder


def scan(folder: Path, catalogue_path: Path) -> Scan:
    with open_catalogue(catalogue_path) as catalogue:
        return scan_files(folder_files(folder, config=CONFIG), config=CONFIG, catalogue=catalogue)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the name of every file whose content is looked at."""
    names: list[str] = []
    look_at = scan_module._look_at

    def spy(file: scan_module.SourceFile, config: LoadingConfig) -> object:
        names.append(file.name)
        return look_at(file, config)

    monkeypatch.setattr(scan_module, "_look_at", spy)
    return names


def test_unchanged_files_are_not_opened_and_read_the_same(
    series: Path, tmp_path: Path, opened: list[str]
) -> None:
    plain = scan_files(folder_files(series, config=CONFIG), config=CONFIG)
    assert len(plain.entries) == 8
    assert scan(series, tmp_path / "c") == plain
    opened.clear()
    assert scan(series, tmp_path / "c") == plain
    assert opened == []


def rewrite_same_size(path: Path) -> None:
    blob, times = path.read_bytes(), path.stat()
    path.write_bytes(blob.replace(b"B30f", b"B70f"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def replace_by_copy(path: Path) -> None:
    blob, times = path.read_bytes(), path.stat()
    other = path.with_name("other")
    other.write_bytes(blob.replace(b"B30f", b"B70f"))
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [rewrite_same_size, replace_by_copy])
def test_a_change_is_noticed_even_where_size_and_time_stay(
    series: Path, tmp_path: Path, opened: list[str], change: object
) -> None:
    scan(series, tmp_path / "c")
    assert callable(change)
    change(series / "slice0003")
    opened.clear()
    kernels = [e.header.acquisition.kernel for e in scan(series, tmp_path / "c").entries]
    assert kernels == ["B30f"] * 3 + ["B70f"] + ["B30f"] * 4
    assert opened == ["slice0003"]


def test_a_file_that_just_changed_is_not_remembered(
    series: Path, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paraspinal.loading.catalogue._SETTLED_NS", 10**12)
    scan(series, tmp_path / "c")
    opened.clear()
    scan(series, tmp_path / "c")
    assert len(opened) == 9


def test_failures_are_looked_at_again(series: Path, tmp_path: Path, opened: list[str]) -> None:
    (series / "slice0002").write_bytes((series / "slice0002").read_bytes()[:140] + b"\xff" * 400)
    first = scan(series, tmp_path / "c")
    opened.clear()
    assert scan(series, tmp_path / "c") == first
    assert [name for name, _ in first.unreadable] == ["slice0002"]
    assert opened == ["slice0002"]


def test_only_the_owner_may_read_it_and_no_name_is_in_it(series: Path, tmp_path: Path) -> None:
    def name(_: int, ds: object) -> None:
        ds.PatientName, ds.PatientID = "QXDOEZ^JANE", "MRNQXZKV"  # type: ignore[attr-defined]

    write_series(series, stored_body(), edit=name)
    scan(series, tmp_path / "c")
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o600
    content = b"".join(path.read_bytes() for path in tmp_path.glob("c*"))
    assert b"B30f" in content
    assert b"QXDOE" not in content
    assert b"MRNQXZ" not in content


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + bytes(4000)])
def test_a_damaged_catalogue_is_a_typed_error_with_a_remedy(
    series: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(UsageError) as error:
        scan(series, tmp_path / "c")
    assert error.value.code == "catalogue_unusable"
    assert "Delete it" in error.value.remedy
    assert (tmp_path / "c").read_bytes() == content


def test_the_database_of_another_program_is_not_touched(series: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "c") as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(UsageError, match="another program"):
        scan(series, tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == before


def test_it_can_be_damaged_anywhere(series: Path, tmp_path: Path) -> None:
    plain = scan(series, tmp_path / "c")
    good = (tmp_path / "c").read_bytes()
    for at in range(0, len(good), 64):
        damaged = bytearray(good)
        damaged[at : at + 16] = bytes(b ^ 0x5A for b in damaged[at : at + 16])
        (tmp_path / "d").write_bytes(damaged)
        with suppress(UsageError):
            assert scan(series, tmp_path / "d") == plain


def edit_rows(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE files SET content = '{'",
        "UPDATE files SET content = '[]'",
        'UPDATE files SET content = \'["dicom", 0, [["none", null]]]\'',
        "UPDATE facts SET content = '[{}, {}]'",
        "DELETE FROM facts",
        "UPDATE files SET stamp = 'of an older version'",
    ],
)
def test_rows_that_make_no_sense_are_read_again(series: Path, tmp_path: Path, statement: str) -> None:
    plain = scan(series, tmp_path / "c")
    edit_rows(tmp_path / "c", statement)
    assert scan(series, tmp_path / "c") == plain


def test_a_place_that_cannot_be_written_is_a_typed_error(series: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="catalogue"):
        scan(series, tmp_path / "no folder" / "c")


_OTHER_PROCESS = """
import sys
from pathlib import Path
import paraspinal.loading.catalogue as catalogue_module
from paraspinal.config import LoadingConfig
from paraspinal.loading.scan import scan_files
from paraspinal.loading.sources import folder_files
catalogue_module._SETTLED_NS = -10**12
config = LoadingConfig()
for _ in range(8):
    with catalogue_module.open_catalogue(Path(sys.argv[2])) as catalogue:
        catalogue._connection.execute("DELETE FROM files WHERE path LIKE '%slice%' AND random() % 2")
        scan = scan_files(folder_files(Path(sys.argv[1]), config=config), config=config, catalogue=catalogue)
    assert len(scan.entries) == 8
"""


def test_two_processes_may_use_it(series: Path, tmp_path: Path) -> None:
    command: Sequence[str] = [sys.executable, "-c", _OTHER_PROCESS, str(series), str(tmp_path / "c")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors


@pytest.mark.realdata
def test_every_real_header_comes_back_as_it_was(real_data: Path, tmp_path: Path) -> None:
    files = folder_files(real_data, config=CONFIG)
    plain = scan_files(files, config=CONFIG)
    with open_catalogue(tmp_path / "c") as catalogue:
        assert scan_files(files, config=CONFIG, catalogue=catalogue) == plain
    with open_catalogue(tmp_path / "c") as catalogue:
        assert scan_files(files, config=CONFIG, catalogue=catalogue) == plain
    assert len(plain.entries) > 300
