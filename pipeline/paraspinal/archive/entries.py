"""From images, zips and volume files to the series of a catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paraspinal.archive.keys import Key
from paraspinal.archive.location import Location, at_path, in_folders, joined_stamp
from paraspinal.archive.store import SeriesEntry
from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading.inspection import Inspection, SeriesRow, inspect_source, series_row
from paraspinal.loading.scan import Entry
from paraspinal.loading.sources import DiskFile
from paraspinal.loading.stacks import group_stacks
from paraspinal.loading.suitability import Candidate, candidates_of

_NO_UID = "no-uid"
_DATE_DIGITS = 8
_OTHER = "other"
# Any other text in this attribute is somebody's text, and might name a person.
_MODALITY = re.compile(r"[A-Z]{2,10}|not stated")


@dataclass(frozen=True, slots=True)
class Makers:
    """What rows are made with."""

    key: Key
    config: LoadingConfig


def name_of(entry: Entry) -> str:
    """Return what images of one series have in common: its UID, or their folder and series number without one."""
    uid = entry.header.series_uid
    return uid or f"{_NO_UID}:{entry.file.folder}:{entry.header.series_number}"


def dicom_entries(
    name: str, images: Sequence[Entry], states: Mapping[Path, str], make: Makers
) -> list[SeriesEntry]:
    """Return the series that the images of one name make up; `states` change with their files."""
    candidates = candidates_of(group_stacks(images, config=make.config), config=make.config)
    files = _files(images)
    stamp = joined_stamp(states.get(file, "") for file in files)
    several = len(candidates) > 1
    out = []
    for candidate in candidates:
        row = series_row(candidate, make.config)
        # The files of a name hold nothing else, so that the series needs no name where it is alone.
        location = in_folders(files, row.name if several else None)
        part = str(candidate.stack.part)
        study = candidate.stack.header.study_key
        out.append(_entry(name, part, row, location, stamp, make, study=study, facts=_facts(candidate)))
    return out


def place_entries(path: Path, stamp: str, make: Makers) -> list[SeriesEntry]:
    """Return the series of a zip or of a volume file; one that is refused where nothing in it can be loaded."""
    name = str(path)
    try:
        found = inspect_source(path, config=make.config)
    except LoadError as error:
        return [refused_entry(name, at_path(path, None), error.code, stamp, make)]
    rows = [row for row in found.series if row.slices or row.refusal]
    return [
        _entry(name, row.name or str(k), row, _at(path, found, row), stamp, make)
        for k, row in enumerate(rows)
    ]


def _at(path: Path, found: Inspection, row: SeriesRow) -> Location:
    return at_path(path, row.name if len(found.series) > 1 else None)


def refused_entry(name: str, location: Location, code: str, stamp: str, make: Makers) -> SeriesEntry:
    """Return what cannot even be looked into as a series of its own, so that it is accounted for.

    Of the error its code alone is kept: its text names files.
    """
    row = SeriesRow(
        modality="not stated", name="", slices=0, plane="not known", verdict="refused", refusal=code
    )
    return _entry(name, "", row, location, stamp, make)


def _entry(
    name: str,
    part: str,
    row: SeriesRow,
    location: Location,
    stamp: str,
    make: Makers,
    *,
    study: str = "",
    facts: dict[str, Any] | None = None,
) -> SeriesEntry:
    plain = row.modality if _MODALITY.fullmatch(row.modality) else _OTHER
    return SeriesEntry(
        id=make.key.digest("series", name, part),
        name=name,
        study=make.key.digest("study", study or f"alone:{name}"),
        modality=plain,
        verdict=row.verdict,
        refusal=row.refusal,
        score=row.score,
        stamp=stamp,
        location=location,
        row=row.model_dump(mode="json", exclude={"name", "taken"}, exclude_none=True)
        | {"modality": plain}
        | (facts or {}),
    )


def _facts(candidate: Candidate) -> dict[str, Any]:
    header = candidate.stack.header
    moment = header.acquired_at or header.content_at or ""
    digits = "".join(c for c in moment[:10] if c.isdigit())
    out: dict[str, Any] = {}
    if len(digits) >= _DATE_DIGITS:
        out["date"] = digits[:_DATE_DIGITS]
    if candidate.layout is not None:
        out["voxels"] = int(np.prod(candidate.layout.geometry.shape))
    out["bytes"] = sum(file.size for file in {id(e.file): e.file for e in candidate.stack.entries}.values())
    return out


def _files(images: Iterable[Entry]) -> list[Path]:
    """Return the files of images, each once (frames share one)."""
    found = {image.file.path: None for image in images if isinstance(image.file, DiskFile)}
    return list(found)
