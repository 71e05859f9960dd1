"""An archive of small phantom series with planted trouble, analysed as a batch: is every case accounted for, once?

    python benchmarks/archive_trial.py                  # 300 series, an eighth of them in trouble
    python benchmarks/archive_trial.py --series 40 --workers 2 --keep FOLDER

Prints what was expected and found by kind of trouble, and what was found in the good series (the mass's side and
overlapping levels, or none).
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import generate_uid

from paraspinal.archive import Limits, Options, Workers, batch, load_key
from paraspinal.archive.job import Job
from paraspinal.archive.ledger import CaseRow, open_ledger
from paraspinal.archive.software import software_of
from paraspinal.archive.store import open_store
from paraspinal.config import load_config
from paraspinal.phantom import MassSpec, PhantomSpec, make_phantom, preset, write_phantom
from paraspinal.phantom.presets import fast

HANG = "hangs"
MEMORY_MIB = 480.0
TIMEOUT_S = 240.0
Row = tuple[str, tuple[str, ...]]
"""A line of the ledger: its status, and the codes that it may have."""
_DONE: Row = ("done", ("",))
# Kind of trouble: the defect that makes it, and every line that a folder of it gives.
TROUBLE: Mapping[str, tuple[tuple[str, ...], tuple[Row, ...]]] = {
    "mr": (("modality:MR",), (("refused", ("not_ct",)),)),
    "localizer": (("localizer",), (_DONE, ("refused", ("localizer",)))),  # beside a good series
    "malformed": (
        ("malformed",),
        (_DONE, ("refused", ("no_pixel_data", "unreadable_file"))),
    ),  # a file beside one
    "truncated": (
        ("truncated-pixels:9",),
        (("refused", ("truncated_pixel_data", "pixel_data_mismatch", "undecodable")),),
    ),
    "tilt": (("tilt:12",), (_DONE,)),
    "few": (("few:2",), (("refused", ("too_few_slices",)),)),
    "one-position": (
        ("one-position",),
        (("refused", ("one_position", "duplicate_positions", "no_extent")),),
    ),
    "huge": (
        (),
        (("refused", ("too_large", "pixel_data_mismatch", "truncated_pixel_data", "unreadable_file")),),
    ),
    "over-memory": ((), (("failed", ("memory_limit", "out_of_memory")),)),
    HANG: ((), (("failed", ("timeout",)),)),
}
_GOOD: tuple[Row, ...] = (_DONE,)
_RIGHT, _DOUBTED, _WRONG = "right", "indeterminate at the right place", "wrong"
_HIDDEN = "hidden in the liver and said to be"
_COUNTS = {"huge": 2, "over-memory": 2, HANG: 1}


def analyse(job: Job) -> dict[str, Any]:
    """The real analysis, but for the one series that hangs."""
    from paraspinal.archive.tasks import analyse as real

    while any(HANG in folder for folder, _ in job.source.get("folders", ())):
        time.sleep(1.0)
    return real(job)


def bodies() -> list[tuple[PhantomSpec, MassSpec | None]]:
    """Return a dozen small bodies, half of them with a mass."""
    out: list[tuple[PhantomSpec, MassSpec | None]] = []
    for k in range(12):
        plain = replace(fast(preset("healthy")), seed=100 + k)
        mass = MassSpec(("left", "right")[k % 2], ("T9", "T10", "T11")[k % 3], (17.0, 15.0, 22.0), hu=40.0)
        out.append((replace(plain, masses=(mass,)), mass) if k % 2 else (plain, None))
    return out


def copy_series(source: Path, target: Path, name: str, *, edit: Any = None) -> None:
    """Copy a series under UIDs of its own."""
    target.mkdir(parents=True)
    for path in sorted(source.rglob("*")):
        if not path.is_file():
            continue
        try:
            ds = pydicom.dcmread(path, force=False)
            ds.StudyInstanceUID = generate_uid(entropy_srcs=["study", name])
            ds.SeriesInstanceUID = generate_uid(entropy_srcs=["series", name, str(ds.SeriesInstanceUID)])
            ds.SOPInstanceUID = generate_uid(entropy_srcs=["image", name, str(ds.SOPInstanceUID)])
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            if edit is not None:
                edit(ds)
            ds.save_as(target / path.name)
        except Exception:  # what is no DICOM file any more is copied as it is
            shutil.copy(path, target / path.name)


def make_archive(root: Path, series: int) -> dict[str, tuple[str, Any]]:
    """Write the archive and return, by folder name, its kind of trouble ("" for none) and its mass."""
    store = root.with_name("bodies")
    known = bodies()
    for k, (spec, _) in enumerate(known):
        write_phantom(make_phantom(spec), store / f"good-{k}", syntax="explicit")
    kinds = trouble_kinds(series)
    for kind in set(kinds):
        defects = TROUBLE[kind][0]
        if defects:
            write_phantom(make_phantom(known[0][0]), store / kind, defects=defects)
    large = replace(known[0][0], shape=(300, 512, 512), spacing_mm=(1.0, 0.75, 0.75), name="large")
    if "over-memory" in kinds:
        write_phantom(make_phantom(large), store / "over-memory", syntax="explicit")
    out: dict[str, tuple[str, Any]] = {}
    for k in range(series):
        kind = kinds[k] if k < len(kinds) else ""
        body = k % len(known)
        name = f"{k:04d}-{kind or 'good'}"
        plain = kind in ("", HANG, "huge")
        source = store / (f"good-{body}" if plain else kind) / "dicom"
        copy_series(source, root / name, name, edit=_huge if kind == "huge" else None)
        out[name] = (kind, known[body][1] if plain else None)
    return out


def _huge(ds: Any) -> None:
    ds.Rows = ds.Columns = 65535


def trouble_kinds(series: int) -> list[str]:
    """Return the kinds of trouble of the first series: an eighth of all, every kind at least once."""
    number = max(len(TROUBLE), round(0.12 * series))
    few = [kind for kind in TROUBLE if kind in _COUNTS for _ in range(_COUNTS[kind])]
    many = [kind for kind in TROUBLE if kind not in _COUNTS]
    return [*few, *(many[k % len(many)] for k in range(max(len(many), number - len(few))))]


def folder_of(location: Mapping[str, Any]) -> str:
    """Return the name of the archive's folder that a series lies in."""
    return (
        Path(location["folders"][0][0]).name if "folders" in location else Path(location["path"]).parent.name
    )


Known = Mapping[str, tuple[str, MassSpec | None]]


def judge(known: Known, rows: Mapping[str, list[CaseRow]], out: Path) -> tuple[Counter[str], list[str]]:
    """Return what was right by kind of trouble, and a sentence for everything that was not.

    A folder is right if it gives the lines that are expected of it, each once, and no other.
    """
    right: Counter[str] = Counter()
    wrong = [f"{name}: a folder that nobody made" for name in rows.keys() - known.keys()]
    for name, (kind, mass) in known.items():
        own = rows.get(name, [])
        if not accounted_for(own, TROUBLE[kind][1] if kind else _GOOD):
            wrong.append(f"{name}: {sorted((row.status, row.code) for row in own)}")
            continue
        right[kind or "good"] += 1
        if not kind:
            finding = _finding(out, own[0].id, mass)
            right[finding] += 1
            if finding == _WRONG:
                wrong.append(f"{name}: finding, {own[0].facts.get('outcome')}")
    return right, wrong


def accounted_for(own: Sequence[CaseRow], expected: Sequence[Row]) -> bool:
    """Tell whether the lines of a folder are those that are expected of it, each once."""
    left = list(own)
    for status, codes in expected:
        fits = [row for row in left if row.status == status and row.code in codes]
        if len(fits) != 1:
            return False
        left.remove(fits[0])
    return not left


def _finding(out: Path, case: str, mass: MassSpec | None) -> str:
    """Return how a good series reads: its mass on its side near its level, or no present mass, is right.

    A mass that no density parts from the liver about it cannot be seen: it is hidden and said to be where the outcome
    is inconclusive and names its side and level, and doubted where a candidate there is indeterminate.
    """
    result = json.loads((out / "cases" / case[:2] / case / "result.json").read_text())
    present = [m for m in result["masses"] if m["state"] == "present"]
    if mass is None:
        return _WRONG if present else _RIGHT
    order = [f"T{n}" for n in range(1, 13)] + [f"L{n}" for n in range(1, 6)]
    at = order.index(mass.level)
    for m in sorted(result["masses"], key=lambda m: m["state"] != "present"):
        levels = order.index(m["levels"][0]) - 1, order.index(m["levels"][-1]) + 1
        if m["side"] == mass.side and levels[0] <= at <= levels[1]:
            return _RIGHT if m["state"] == "present" else _DOUBTED
    named = f"{mass.side} {mass.level}" in result["outcome_reason"]
    return _HIDDEN if result["outcome"] == "inconclusive" and named else _WRONG


def remembered(path: Path, archive: Path, series: int) -> Known:
    """Return what is known of the archive, which is made where there is none."""
    if not path.exists():
        made = make_archive(archive, series)
        plain = {n: [k, [m.side, m.level, m.semi_axes_mm] if m else None] for n, (k, m) in made.items()}
        path.write_text(json.dumps(plain))
    stored = json.loads(path.read_text())
    return {n: (k, MassSpec(m[0], m[1], tuple(m[2])) if m else None) for n, (k, m) in stored.items()}


def main() -> None:
    """Make the archive, run the batch twice, and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--series", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for archive and results; made if missing, kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        archive, out = folder / "archive", folder / "out"
        begin = time.perf_counter()
        known = remembered(folder / "known.json", archive, options.series)
        print(f"archive of {len(known)} folders made in {time.perf_counter() - begin:.0f} s")
        settings = Options(
            limits=Limits(seconds=TIMEOUT_S, memory_mib=MEMORY_MIB),
            workers=Workers(options.workers),
            task="archive_trial:analyse",
            settings={"software": software_of(load_config("default"))},
        )
        begin = time.perf_counter()
        done = batch(archive, out, settings)
        print(f"{done.ran} cases ran in {time.perf_counter() - begin:.0f} s with {options.workers} workers")
        again = batch(archive, out, settings)
        print(f"again: {again.ran} cases ran; {dict(again.plan.counts)}")
        key = load_key(out / "private" / "key")
        with open_store(out / "private" / "catalogue.sqlite", fingerprint=key.fingerprint) as store:
            places = {entry.id: folder_of(entry.location) for entry in store.series()}
        rows: dict[str, list[CaseRow]] = {}
        with open_ledger(out / "ledger.sqlite") as ledger:
            lines = list(ledger.rows())
        for row in lines:
            rows.setdefault(places.get(row.id, "(in no folder)"), []).append(row)
        right, wrong = judge(known, rows, out)
        wrong += [f"{places[case]}: not in the ledger" for case in places.keys() - {row.id for row in lines}]
        print(f"{len(lines)} lines of the ledger for {len(places)} series of the catalogue")
        for kind in ("good", *TROUBLE):
            total = sum((k or "good") == kind for k, _ in known.values())
            if total:
                print(f"  {kind:14} {right[kind]} of {total} as expected")
        print(
            "  findings of good series: "
            + ", ".join(f"{n} {right[n]}" for n in (_RIGHT, _DOUBTED, _HIDDEN, _WRONG))
        )
        for line in wrong:
            print(f"  - {line}")


if __name__ == "__main__":
    main()
