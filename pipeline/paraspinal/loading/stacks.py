"""Sort images into stacks: one series, one orientation, one grid, one frame of reference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.headers import ImageHeader, short_digest
from paraspinal.loading.scan import Entry

LOCALIZER_TYPES = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM"})

_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """Images that can be slices of one volume, in the order in which they were found."""

    entries: tuple[Entry, ...]

    @property
    def header(self) -> ImageHeader:
        """Header of the first image; what the grouping compares is the same in all."""
        return self.entries[0].header

    @property
    def uid(self) -> str:
        """Series Instance UID, empty where the files carry none."""
        return self.header.series_uid

    @property
    def label(self) -> str:
        """The series for people: a digest, never the UID."""
        number = "" if self.header.series_number is None else f" (number {self.header.series_number})"
        return f"series {short_digest(self.uid)}…{number}" if self.uid else f"series without a UID{number}"


def group_stacks(entries: Iterable[Entry], *, config: LoadingConfig) -> tuple[Stack, ...]:
    """Group images into stacks, in the order in which their first images were found.

    Exposure, time and acquisition number do not separate: parts of one acquisition stay together. Nor does a frame
    of reference that every single image has for itself, as some de-identification leaves it.
    """
    found = list(entries)
    shared = _series_with_shared_frames(found)
    groups: dict[_Key, list[list[Entry]]] = {}
    for entry in found:
        frame = entry.header.frame_of_reference if _series_key(entry) in shared else ""
        stacks = groups.setdefault((frame, *_key(entry)), [])
        for stack in stacks:
            if _same_direction(stack[0].header, entry.header, config.orientation_tolerance):
                stack.append(entry)
                break
        else:
            stacks.append([entry])
    return tuple(Stack(tuple(stack)) for stacks in groups.values() for stack in stacks)


def _series_key(entry: Entry) -> object:
    """Return what images of one series have in common; the folder stands in for a UID that is missing."""
    return entry.header.series_uid or (entry.file.folder, entry.header.series_number)


def _series_with_shared_frames(entries: Iterable[Entry]) -> set[object]:
    """Return the series in which some images share a frame of reference."""
    seen: set[tuple[object, str]] = set()
    shared = set()
    for entry in entries:
        pair = (_series_key(entry), entry.header.frame_of_reference)
        if pair in seen:
            shared.add(pair[0])
        seen.add(pair)
    return shared


def _key(entry: Entry) -> _Key:
    header = entry.header
    size = None if header.pixels is None else (header.pixels.rows, header.pixels.columns)
    spacing = None if header.plane.spacing is None else tuple(round(s, 4) for s in header.plane.spacing)
    localizer = not LOCALIZER_TYPES.isdisjoint(header.image_type)
    return (_series_key(entry), header.sop_class, header.modality, size, spacing, localizer)


def _same_direction(one: ImageHeader, other: ImageHeader, tolerance: float) -> bool:
    a, b = one.plane.orientation, other.plane.orientation
    if a is None or b is None:
        return a is b
    return bool(np.allclose(a, b, rtol=0.0, atol=tolerance))
