"""A small archive on disk, and a catalogue of series that exist in name only, for batches of rehearsals."""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from distributed import LocalCluster
from pydicom.dataset import Dataset

from dicom_factory import stored_body, uid_of, write_series
from paraspinal.archive import Limits, Options, Workers, load_key
from paraspinal.archive.index import Indexed, index_archive
from paraspinal.archive.job import Job
from paraspinal.archive.keys import Key
from paraspinal.archive.store import SeriesEntry, open_store
from paraspinal.errors import AnalysisError

KEY = Key(b"k" * 32)
REHEARSE = "paraspinal.archive.rehearsal:rehearse"


def ct_series(
    folder: Path, name: str, *, slices: int = 8, study: str | None = None, **tags: Any
) -> list[Path]:
    """Write a CT series whose UIDs depend on its name; tags are those of every image."""

    def edit(_: int, ds: Dataset) -> None:
        ds.SeriesInstanceUID = uid_of(f"series {name}")
        ds.StudyInstanceUID = uid_of(f"study {study or name}")
        ds.FrameOfReferenceUID = uid_of(f"frame {name}")
        for tag, value in tags.items():
            setattr(ds, tag, value)

    return write_series(folder, stored_body(slices), edit=edit, prefix=f"{name}-")


def index(tmp: Path, **options: Any) -> Indexed:
    """Bring the catalogue of ``tmp/archive`` up to date."""
    return index_archive(tmp / "archive", tmp / "catalogue", key=KEY, **options)


def series_of(tmp: Path) -> list[SeriesEntry]:
    """Return every series of that catalogue."""
    with open_store(tmp / "catalogue") as store:
        return list(store.series())


def pretend(catalogue: Path, key: Key, cases: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Put series into a catalogue that have no files, and return their ids by name."""
    ids = {name: key.digest("series", name, "") for name in cases}
    with open_store(catalogue, fingerprint=key.fingerprint) as store, store.transaction():
        for name, row in cases.items():
            facts = {"modality": "CT", "slices": 100, "voxels": 1_000_000} | dict(row)
            entry = SeriesEntry(
                ids[name], name, f"study {name}", "CT", "ok", None, 1.0, f"stamp {name}",
                {"path": f"/nowhere/{name}", "series": None}, facts,
            )  # fmt: skip
            store.replace_series(name, [entry])
        store.finish()
    return ids


@cache
def shared_worker() -> Workers:
    """Return a worker that the tests of one process share: to start a cluster takes longer than most of them."""
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", memory_limit=0
    )
    atexit.register(cluster.close)
    return Workers(scheduler=cluster.scheduler_address)


def rehearsal(tmp: Path, **changes: Any) -> Options:
    """Return options of a batch that rehearses, with one worker, small limits and a key in `tmp`."""
    options = {
        "workers": changes.get("workers") or shared_worker(),
        "limits": Limits(seconds=20.0, memory_mib=700.0),
        "key": tmp / "key",
        "task": REHEARSE,
    }
    load_key(tmp / "key")
    return Options(**(options | changes))


def claim(job: Job) -> dict[str, Any]:
    """Say that a case is done, and write nothing."""
    return {"outcome": f"claimed for {job.case}"}


def fail(job: Job) -> dict[str, Any]:
    """Fail with the code of the settings."""
    raise AnalysisError("As was asked for.", code=job.settings["code"], remedy="None.")
