"""From images, zips and volume files to the series of a catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from paraspinal.archive.faults import fault_of
from paraspinal.archive.keys import Key
from paraspinal.archive.location import Location, at_path, in_folders, joined_stamp
from paraspinal.archive.modality import NOT_STATED, plain_modality
from paraspinal.archive.store import SeriesEntry
from paraspinal.archive.tree import state_at
from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading.catalogue import Known
from paraspinal.loading.codes import REFUSALS
from paraspinal.loading.inspection import SeriesRow, inspect_source, series_row
from paraspinal.loading.scan import Entry, Unread, is_passing
from paraspinal.loading.sources import DiskFile
from paraspinal.loading.stacks import group_stacks
from paraspinal.loading.suitability import candidates_of

INTERNAL = "internal"
_INTERNAL_REMEDY = "Index again, and report it if it stays: it is a fault of this software"
UNREADABLE = "unreadable_file"
_NO_UID = "no-uid"
ONLY_PART = "0"
_SUFFIXES = (".dcm", ".ima", ".zip", ".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


@dataclass(frozen=True, slots=True)
class Makers:
    """What rows are made with."""

    key: Key
    config: LoadingConfig


class Made(NamedTuple):
    """Series, and whether they are to be made again from the same files, since a disk or this software failed."""

    entries: Sequence[SeriesEntry]
    again: bool = False


def images_of(files: Sequence[DiskFile], found: Sequence[Known | Unread]) -> list[Entry]:
    """Return the images in files, from what these were found to be."""
    return [
        Entry(file, header)
        for file, one in zip(files, found, strict=True)
        if isinstance(one, Known)
        for header in one.headers
    ]


def looks_like_an_image(file: DiskFile) -> bool:
    """Tell whether a file that is none of the known kinds was meant to be one: by its name, or since it is empty."""
    return file.size == 0 or file.name.lower().endswith(_SUFFIXES)


def name_of(entry: Entry) -> str:
    """Return what images of one series have in common: its UID, or their folder and series number without one."""
    uid = entry.header.series_uid
    return uid or f"{_NO_UID}:{entry.file.folder}:{entry.header.series_number}"


def dicom_entries(name: str, images: Sequence[Entry], states: Mapping[Path, str], make: Makers) -> Made:
    """Return the series that the images of one name make up; `states` are those of their files."""
    files = _files(images)
    stamp = joined_stamp(states[file] for file in files)
    try:
        return Made(_dicom_entries(name, images, files, stamp, make))
    except Exception as error:
        # One series is isolated here, and put on record: headers from anywhere break rules that nobody wrote down.
        location = in_folders(files, None)
        entry = refused_entry(name, location, INTERNAL, stamp, make, part=ONLY_PART, fault=error)
        return Made([entry], again=True)


def _dicom_entries(
    name: str, images: Sequence[Entry], files: Sequence[Path], stamp: str, make: Makers
) -> list[SeriesEntry]:
    candidates = candidates_of(group_stacks(images, config=make.config), config=make.config)
    several = len(candidates) > 1
    out = []
    for candidate in candidates:
        row = series_row(candidate, make.config)
        # The files of a name hold nothing else, so that the series needs no name where it is alone.
        location = in_folders(files, row.name if several else None)
        out.append(_entry(name, str(candidate.stack.part), row, location, stamp, make, alone=name))
    return out


def place_entries(path: Path, state: str, make: Makers) -> Made:
    """Return the series of a zip or of a volume file; one that is refused where nothing in it can be loaded."""
    name = str(path)

    def refused(code: str, fault: Exception | None = None) -> SeriesEntry:
        return refused_entry(name, at_path(path, None), code, joined_stamp([state]), make, fault=fault)

    try:
        return _place_entries(path, state, make)
    except LoadError as error:
        return Made([refused(error.code)], again=is_passing(error.__cause__) or error.code == UNREADABLE)
    except Exception as error:
        # One file is isolated here, and put on record, as above.
        return Made([refused(INTERNAL, error)], again=True)


def _place_entries(path: Path, state: str, make: Makers) -> Made:
    found = inspect_source(path, config=make.config)
    several = len(found.series) > 1
    out = []
    for k, row in enumerate(row for row in found.series if row.slices or row.refusal):
        data = row.facts.data_file
        stamp = joined_stamp([state] if data is None else [state, state_at(data)])
        location = at_path(path, row.name if several else None, beside=data)
        # Parts of one series share its name up to the slash.
        alone = "\0".join(part for part in (str(path), row.name.partition("/")[0]) if part)
        out.append(_entry(str(path), row.name or str(k), row, location, stamp, make, alone=alone))
    return Made(out, again=found.passing)


def refused_entry(
    name: str,
    location: Location,
    code: str,
    stamp: str,
    make: Makers,
    *,
    part: str = "",
    fault: Exception | None = None,
) -> SeriesEntry:
    """Return what cannot even be looked into as a series of its own, so that it is accounted for.

    Of an error its code alone is kept, of a `fault` of this software its type and place: their texts name files.
    """
    remedy = REFUSALS.get(code, "") if fault is None else f"{_INTERNAL_REMEDY} ({fault_of(fault)})."
    row = SeriesRow(
        modality=NOT_STATED, name="", slices=0, plane="not known", verdict="refused",
        refusal=code, remedy=remedy,
    )  # fmt: skip
    return _entry(name, part, row, location, stamp, make, alone=name)


def _entry(
    name: str, part: str, row: SeriesRow, location: Location, stamp: str, make: Makers, *, alone: str
) -> SeriesEntry:
    """Return the entry of a series; `alone` names its study where its headers name none."""
    plain = plain_modality(row.modality)
    return SeriesEntry(
        id=make.key.digest("series", name, part),
        name=name,
        study=make.key.digest("study", row.facts.study_key or f"alone:{alone}"),
        modality=plain,
        verdict=row.verdict,
        refusal=row.refusal,
        score=row.score,
        stamp=stamp,
        location=location,
        row=row.model_dump(mode="json", exclude={"name", "taken"}, exclude_none=True)
        | {"modality": plain}
        | _facts(row),
    )


def _facts(row: SeriesRow) -> dict[str, Any]:
    known = {"date": row.facts.day, "voxels": row.facts.voxels, "bytes": row.facts.bytes or None}
    return {name: value for name, value in known.items() if value is not None}


def _files(images: Iterable[Entry]) -> list[Path]:
    """Return the files of images, each once (frames share one)."""
    found = {image.file.path: None for image in images if isinstance(image.file, DiskFile)}
    return list(found)
