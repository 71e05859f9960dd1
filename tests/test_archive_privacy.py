"""What a batch writes names nobody: people, UIDs and file names are planted and looked for in every output."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive_case import ct_series, rehearsal
from dicom_factory import uid_of
from paraspinal.archive import Options, Rules, Workers, batch
from paraspinal.archive.batch import ANALYSE
from paraspinal.archive.dashboard import write_dashboard
from paraspinal.archive.job import Job
from paraspinal.archive.tasks import analyse
from paraspinal.config import load_config
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


def _outputs(out: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file outside the private folder with its name and content, databases as their text, too."""
    for path in out.rglob("*"):
        if path.is_file() and "private" not in path.relative_to(out).parts:
            yield path, str(path.relative_to(out)).encode() + b"\n" + path.read_bytes()
            if path.suffix == ".sqlite":
                with sqlite3.connect(path) as sql:
                    yield path, "\n".join(sql.iterdump()).encode()


def _found(out: Path, wanted: tuple[str, ...]) -> list[tuple[str, str]]:
    return [
        (path.name, word)
        for path, content in _outputs(out)
        for word in wanted
        if word.lower().encode() in content.lower()
    ]


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


def test_ledger_log_tables_and_page_name_nobody(archive: Path, tmp_path: Path) -> None:
    options = rehearsal(tmp_path, rules=Rules(per_study=False))
    done = batch(archive, tmp_path / "out", options)
    assert sum(done.counts.values()) == CASES
    write_dashboard(tmp_path / "out", processes=1)
    wanted = (*PLANTED, *(uid for name in ("good", "mr", "few") for uid in _uids(name)))
    assert _found(tmp_path / "out", wanted) == []
    assert (tmp_path / "out" / "private").stat().st_mode & 0o077 == 0


def test_a_refusal_of_the_analysis_names_nobody(archive: Path, tmp_path: Path) -> None:
    """The real task on a series that is no spine: what it says of it quotes no file."""
    options = Options(workers=Workers(1), key=tmp_path / "key", task=ANALYSE)
    done = batch(archive, tmp_path / "out", options)
    assert sum(done.counts.values()) == CASES
    write_dashboard(tmp_path / "out", processes=1)
    assert _found(tmp_path / "out", (*PLANTED, *_uids("good"))) == []


def test_a_result_names_nobody_unless_it_is_asked_to(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "Zwetschgenbaum"
    shutil.copytree(repository / "sample_data" / "healthy" / "dicom", folder)
    paths = sorted(folder.iterdir())
    settings = {
        "config": load_config("default").model_dump(mode="json"),
        "recipe": "r",
        "stamp": "s",
        "salt": "0",
    }
    source = {"folders": [[str(folder), [path.name for path in paths]]], "series": None}
    for identifiers in (False, True):
        out = tmp_path / f"out-{identifiers}"
        analyse(Job("c" * 16, ANALYSE, source, str(out), settings | {"identifiers": identifiers}))
        text = (out / RESULT_NAME).read_text(encoding="utf-8")
        assert "Zwetschgenbaum" not in text
        assert ('"uid": null' in text) is not identifiers
        if not identifiers:
            assert "c" * 16 in text
            assert _found(out, ("Zwetschgenbaum",)) == []
