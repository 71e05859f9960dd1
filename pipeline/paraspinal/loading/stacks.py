"""Sort images into stacks: one series, one orientation, one grid, one frame of reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.headers import ImageHeader, short_digest
from paraspinal.loading.image_kind import stated_kind
from paraspinal.loading.scan import Entry
from paraspinal.result import LoadCode

# No scanner reaches this far; a position beyond it is a damaged number, and would tear a grid out of all proportion.
_FARTHEST_MM = 1e5

_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """Images that can be slices of one volume, in the order in which they were found.

    ``codes`` is what had to be done to get there (images dropped, phases separated). ``part`` numbers the stacks
    of one Series Instance UID from 1; 0 where it has only one.
    """

    entries: tuple[Entry, ...]
    codes: tuple[LoadCode, ...] = ()
    part: int = 0

    @property
    def header(self) -> ImageHeader:
        """Header of the first image; what the grouping compares is the same in all."""
        return self.entries[0].header

    @property
    def uid(self) -> str:
        """Series Instance UID, empty where the files carry none."""
        return self.header.series_uid

    @property
    def name(self) -> str:
        """The series as `--series` takes it: a digest of the UID, never the UID, and the part after a slash."""
        return short_digest(self.uid) + (f"/{self.part}" if self.part else "") if self.uid else ""

    @property
    def label(self) -> str:
        """The series for people; without its digest where that would name what is to stay nameless."""
        number = "" if self.header.series_number is None else f" (number {self.header.series_number})"
        if self.entries[0].file.nameless:
            return f"series at hand{number}"
        return f"series {self.name}{number}" if self.uid else f"series without a UID{number}"


def numbered(stacks: Sequence[Stack]) -> list[Stack]:
    """Return the stacks with their part numbers, in the order given."""
    total = Counter(stack.uid for stack in stacks)
    seen: Counter[str] = Counter()
    found = []
    for stack in stacks:
        seen[stack.uid] += 1
        found.append(replace(stack, part=seen[stack.uid] if total[stack.uid] > 1 else 0))
    return found


def group_stacks(entries: Iterable[Entry], *, config: LoadingConfig) -> tuple[Stack, ...]:
    """Group images into stacks, in the order in which their first images were found.

    Images of two studies or two patients are never one volume, whatever their Series Instance UID says. Exposure,
    time and acquisition number do not separate: parts of one acquisition stay together. Nor does a frame of
    reference that every single image has for itself, as some de-identification leaves it.
    """
    found = list(entries)
    shared = _series_with_shared_frames(found)
    groups: dict[_Key, list[list[Entry]]] = {}
    for entry in found:
        frame = entry.header.frame_of_reference if _series_key(entry) in shared else ""
        stacks = groups.setdefault((frame, *_key(entry)), [])
        for stack in stacks:
            if _same_plane(stack[0].header, entry.header, config):
                stack.append(entry)
                break
        else:
            stacks.append([entry])
    return tuple(Stack(tuple(stack)) for stacks in groups.values() for stack in stacks)


def _series_key(entry: Entry) -> object:
    """Return what images of one series have in common; the folder stands in for a UID that is missing."""
    return entry.header.series_uid or (entry.file.folder, entry.header.series_number)


def _series_with_shared_frames(entries: Iterable[Entry]) -> set[object]:
    """Return the series in which images share a frame of reference; an image sent twice shares it with itself."""
    images: Counter[object] = Counter()
    frames: dict[object, set[str]] = {}
    for entry in entries:
        key = _series_key(entry)
        images[key] += 1
        frames.setdefault(key, set()).add(entry.header.frame_of_reference)
    return {key for key, count in images.items() if 2 * len(frames[key]) <= count}


def _key(entry: Entry) -> _Key:
    header = entry.header
    size = None if header.pixels is None else (header.pixels.rows, header.pixels.columns)
    # A value that does not end at its High Bit is shifted when it is read; one image that says so among others that
    # do not is a damaged header.
    lowest_bit = None if header.pixels is None else header.pixels.high_bit - header.pixels.bits_stored
    far = header.plane.position is not None and max(map(abs, header.plane.position)) > _FARTHEST_MM
    kind = stated_kind(header)
    return (
        _series_key(entry),
        header.study_key,
        header.sop_class,
        header.modality,
        size,
        lowest_bit,
        kind,
        far,
    )


def _same_plane(one: ImageHeader, other: ImageHeader, config: LoadingConfig) -> bool:
    """Tell whether two images have one orientation and pixel spacing; text of the same number may differ."""
    return _close(
        one.plane.orientation, other.plane.orientation, atol=config.orientation_tolerance
    ) and _close(one.plane.spacing, other.plane.spacing, rtol=config.pixel_spacing_tolerance)


def _close(
    a: tuple[float, ...] | None, b: tuple[float, ...] | None, *, atol: float = 0.0, rtol: float = 0.0
) -> bool:
    if a is None or b is None or a == b:  # the same text, as in nearly every series
        return a == b
    return all(abs(x - y) <= atol + rtol * abs(y) for x, y in zip(a, b, strict=True))
