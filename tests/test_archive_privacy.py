"""What a batch writes names nobody: people, UIDs and file names are planted and looked for in every output."""

from __future__ import annotations

import gzip
import hashlib
import math
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pydicom
import pytest

from archive_case import ct_series, rehearsal
from dicom_factory import uid_of
from paraspinal.archive import Rules, batch
from paraspinal.archive.batch import ANALYSE
from paraspinal.archive.dashboard import write_dashboard
from paraspinal.archive.job import Job
from paraspinal.archive.location import current_stamp, in_folders
from paraspinal.archive.software import software_of
from paraspinal.archive.tasks import analyse
from paraspinal.cli.main import run
from paraspinal.config import load_config
from paraspinal.errors import LoadError
from paraspinal.saving import RESULT_NAME

PLANTED = ("Zwetschgenbaum", "QX7731942", "19470708", "PoliklinikNordost", "DrRumpelstilz")
NAMES = {
    "PatientName": "Zwetschgenbaum^Emil",
    "PatientID": "QX7731942",
    "PatientBirthDate": "19470708",
    "InstitutionName": "PoliklinikNordost",
    "ReferringPhysicianName": "DrRumpelstilz",
    "SeriesDescription": "Thorax Zwetschgenbaum",
    "StudyDescription": "fuer DrRumpelstilz",
    "AccessionNumber": "QX7731942",
}


def _uids(name: str) -> tuple[str, ...]:
    return tuple(uid_of(f"{kind} {name}") for kind in ("series", "study", "frame"))


def _with_digests(*names: str) -> tuple[str, ...]:
    """Return names and what anybody who knows them could recompute: the first digits of their plain digests.

    Eight digits are the fewest that the program writes of any, and begin the longer ones, too.
    """
    return (*names, *(hashlib.sha256(name.encode()).hexdigest()[:8] for name in names))


def _outputs(out: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file outside the private folder with its name and content, packed ones as their text, too."""
    for path in out.rglob("*"):
        if path.is_file() and "private" not in path.relative_to(out).parts:
            yield path, str(path.relative_to(out)).encode() + b"\n" + path.read_bytes()
            if path.suffix == ".sqlite":
                with sqlite3.connect(path) as sql:
                    yield path, "\n".join(sql.iterdump()).encode()
            elif path.suffix == ".parquet":
                yield path, str(pq.ParquetFile(path).read().to_pylist()).encode()
            elif path.suffix == ".gz":
                yield path, gzip.decompress(path.read_bytes())


def _found(out: Path, wanted: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(path.name, word) for path, content in _outputs(out) for word in _within(content, wanted)]


def _within(content: bytes, wanted: tuple[str, ...]) -> list[str]:
    lower = content.lower()
    return [word for word in wanted if word.lower().encode() in lower]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    root = tmp_path / "Zwetschgenbaum_Emil_QX7731942"
    ct_series(root / "DrRumpelstilz", "good", slices=12, **NAMES)
    ct_series(root / "19470708", "mr", Modality="MR", **NAMES)
    ct_series(root / "few", "few", slices=2, **NAMES)
    (root / "few" / "Zwetschgenbaum.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 64)
    for name in ("Zwetschgenbaum.zip", "QX7731942.nii.gz"):
        (root / "few" / name).write_bytes(
            b"PK\x03\x04 no archive" if name.endswith("zip") else b"\x1f\x8b no volume"
        )
    ct_series(root / "named", "named", Modality="Zwetschgenbaum", slices=12)
    return root


CASES = 7
WANTED = _with_digests(
    *PLANTED, *NAMES.values(), *(uid for name in ("good", "mr", "few") for uid in _uids(name))
)


def test_ledger_log_tables_and_page_name_nobody(archive: Path, tmp_path: Path) -> None:
    options = rehearsal(tmp_path, rules=Rules(per_study=False))
    done = batch(archive, tmp_path / "out", options)
    assert sum(done.counts.values()) == CASES
    write_dashboard(tmp_path / "out", processes=1)
    assert _found(tmp_path / "out", WANTED) == []
    assert (tmp_path / "out" / "private").stat().st_mode & 0o077 == 0


def test_what_the_commands_write_and_say_names_nobody(
    archive: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The real task on series that are no spine: neither what it says of them nor any table quotes a file."""
    shown, catalogue, out = tmp_path / "shown", str(tmp_path / "catalogue"), str(tmp_path / "out")
    shown.mkdir()
    assert run(["index", str(archive), "-o", catalogue]) == 0
    assert run(["select", catalogue, "--all", "--csv", str(shown / "series.csv")]) == 0
    assert run(["batch", catalogue, "-o", out, "-w", "1"]) == 0
    assert run(["collect", out, "--processes", "1"]) == 0
    assert run(["dashboard", out]) == 0
    told = capfd.readouterr()
    assert f"of {CASES} series are taken" in told.out
    assert _within((told.out + told.err).encode(), WANTED) == []
    assert _found(tmp_path / "out", WANTED) == []
    assert _found(shown, WANTED) == []


@pytest.fixture
def tilted(tmp_path: Path, repository: Path) -> tuple[Path, str]:
    """Return a folder of a tilted series, whose repair is told of, and its Series Instance UID."""
    folder = tmp_path / "Zwetschgenbaum"
    shutil.copytree(repository / "sample_data" / "healthy" / "dicom", folder)
    uid = ""
    for path in folder.iterdir():
        image = pydicom.dcmread(path)
        x, y, z = map(float, image.ImagePositionPatient)
        image.ImagePositionPatient = [x, round(y + z * math.tan(math.radians(12.0)), 3), z]
        image.save_as(path)
        uid = str(image.SeriesInstanceUID)
    return folder, uid


def _job(folder: Path, out: Path, *, identifiers: bool = False) -> Job:
    """Return the analysis of a series that lies in a folder."""
    source, config = in_folders(sorted(folder.iterdir()), None), load_config("default")
    settings = {
        "config": config.model_dump(mode="json"),
        "software": software_of(config),
        "recipe": "r",
        "stamp": current_stamp(source),
        "salt": "0",
        "keep": "maps",
        "identifiers": identifiers,
    }
    return Job("c" * 16, ANALYSE, source, str(out), settings)


def test_a_refusal_that_speaks_of_the_series_names_nobody(tmp_path: Path) -> None:
    """Its message goes into the ledger."""
    ct_series(tmp_path / "few", "few", slices=2, **NAMES)
    with pytest.raises(LoadError) as caught:
        analyse(_job(tmp_path / "few", tmp_path / "out"))
    assert "series" in caught.value.message
    assert _within(caught.value.message.encode(), WANTED) == []


def test_a_result_names_nobody_unless_it_is_asked_to(tmp_path: Path, tilted: tuple[Path, str]) -> None:
    folder, uid = tilted
    for identifiers in (False, True):
        out = tmp_path / f"out-{identifiers}"
        analyse(_job(folder, out, identifiers=identifiers))
        text = (out / RESULT_NAME).read_text(encoding="utf-8")
        assert "tilted" in text
        assert ('"uid": null' in text) is not identifiers
        wanted = _with_digests("Zwetschgenbaum", uid)
        found = _found(out, wanted)
        assert {word for _, word in found} == ({uid, wanted[-1]} if identifiers else set())
        assert ("c" * 16 in text) is not identifiers
