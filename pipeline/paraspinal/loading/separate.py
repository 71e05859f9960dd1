"""Images of one series that cannot be one volume: duplicates are dropped, phases and overlapping scans separated.

Two images at one position are the same image sent twice, or two phases, reconstructions or scans under one Series
Instance UID. The first is told by the pixels; the second by an attribute in which the images differ and that
leaves no position occupied twice.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.frames import FrameError, decode_frame, split_frames
from paraspinal.dicomio.headers import HeaderError, plain_bytes
from paraspinal.loading.codes import repaired
from paraspinal.loading.scan import Entry
from paraspinal.loading.stacks import Stack

Attribute = Callable[[Entry], Hashable]

# Tried in this order: what names a pass over the patient first, what merely differs between passes last.
_ATTRIBUTES: tuple[tuple[str, Attribute], ...] = (
    ("Temporal Position Identifier", lambda e: e.header.temporal_position),
    ("Acquisition Number", lambda e: e.header.acquisition_number),
    ("Acquisition Time", lambda e: e.header.acquired_at),
    ("Content Time", lambda e: e.header.content_at),
    ("Convolution Kernel", lambda e: e.header.acquisition.kernel),
    ("KVP", lambda e: e.header.acquisition.kvp),
    ("Image Type", lambda e: e.header.image_type),
    ("Slice Thickness", lambda e: e.header.acquisition.slice_thickness_mm),
    ("Contrast/Bolus Agent", lambda e: e.header.acquisition.contrast_agent),
    ("Series Number", lambda e: e.header.series_number),
    ("folder", lambda e: e.file.folder),
)
# More groups than this is one group an image or two: an attribute that counts slices, not passes.
_MIN_GROUP = 2
_SHARED = 0.5


@dataclass(frozen=True, slots=True)
class _Place:
    """Images at one position."""

    along_mm: float
    entries: tuple[Entry, ...]


def separate(stack: Stack, *, config: LoadingConfig) -> tuple[Stack, ...]:
    """Return the volumes that a stack of CT images holds; the stack itself where nothing speaks against one.

    Pixels are read only of images that share a position. A stack without geometry, or with a single position, is
    returned as it is: `lay_out` says what is wrong with it.
    """
    if any(entry.header.plane.position is None for entry in stack.entries):
        return (stack,)
    places = _places(stack, config)
    if len(places) < 2:
        return (stack,)
    if all(len(place.entries) == 1 for place in places):
        return _split_overlap(stack, config)
    kept, dropped = _without_duplicates(places, config)
    codes = stack.codes
    if dropped:
        codes = (*codes, repaired("duplicate_slices", config=config, dropped=dropped))
    rest = replace(stack, entries=kept, codes=codes)
    places = _places(rest, config)
    if all(len(place.entries) == 1 for place in places):
        return (rest,)
    return _split_phases(rest, places, config)


def positions_along(entries: Sequence[Entry]) -> npt.NDArray[np.float64]:
    """Return the position of every image along the normal of the first, in mm."""
    plane = entries[0].header.plane
    if plane.orientation is None:
        return np.zeros(len(entries))
    normal = np.cross(plane.orientation[:3], plane.orientation[3:])
    return np.asarray([e.header.plane.position for e in entries], dtype=np.float64) @ normal


def _places(stack: Stack, config: LoadingConfig) -> list[_Place]:
    along = positions_along(stack.entries)
    order = np.argsort(along, kind="stable")
    groups: list[list[int]] = []
    for index in order:
        if groups and along[index] - along[groups[-1][0]] < config.position_tolerance_mm:
            groups[-1].append(int(index))
        else:
            groups.append([int(index)])
    return [_Place(float(along[g[0]]), tuple(stack.entries[i] for i in sorted(g))) for g in groups]


def _without_duplicates(places: Sequence[_Place], config: LoadingConfig) -> tuple[tuple[Entry, ...], int]:
    """Drop images whose pixels another image at the same position has; the lowest instance number stays."""
    kept: list[Entry] = []
    dropped = 0
    for place in places:
        seen: set[str] = set()
        for entry in sorted(place.entries, key=_instance):
            digest = _pixel_digest(entry, config) if len(place.entries) > 1 else None
            if digest is not None and digest in seen:
                dropped += 1
                continue
            kept.append(entry)
            if digest is not None:
                seen.add(digest)
    return tuple(kept), dropped


def _instance(entry: Entry) -> tuple[int, str]:
    number = entry.header.instance_number
    return (2**31 if number is None else number, entry.header.sop_instance_uid)


def _pixel_digest(entry: Entry, config: LoadingConfig) -> str | None:
    """Return a digest of values and their conversion; None if they cannot be decoded, which is dealt with later."""
    form = entry.header.pixels
    if form is None:
        return None
    try:
        blob = plain_bytes(entry.file.read(), limit=int(config.max_file_mib) << 20)
        stored, _ = decode_frame(split_frames(blob, form)[entry.header.frame or 0], form)
    except (FrameError, HeaderError, OSError):
        return None
    digest = hashlib.sha256(repr(entry.header.rescale).encode())
    digest.update(np.ascontiguousarray(stored).tobytes())
    return digest.hexdigest()


def _split_phases(stack: Stack, places: Sequence[_Place], config: LoadingConfig) -> tuple[Stack, ...]:
    for name, attribute in _ATTRIBUTES:
        groups = _grouped(stack.entries, attribute)
        if len(groups) > 1 and all(
            len(g) >= _MIN_GROUP and not _repeats(g, stack, config) for g in groups.values()
        ):
            return _parts(stack, list(groups.values()), name, config)
    runs = _passes(stack, config)
    if len(runs) <= max(len(place.entries) for place in places) + 1 and _go_over_the_same(runs, config):
        return _parts(stack, runs, "Instance Number", config)
    ranks: dict[int, list[Entry]] = defaultdict(list)
    for place in places:
        for rank, entry in enumerate(sorted(place.entries, key=_instance)):
            ranks[rank].append(entry)
    return _parts(stack, list(ranks.values()), "the order of images at each position", config)


def _grouped(entries: Sequence[Entry], attribute: Attribute) -> dict[Hashable, list[Entry]]:
    groups: dict[Hashable, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[attribute(entry)].append(entry)
    return groups


def _repeats(entries: Sequence[Entry], stack: Stack, config: LoadingConfig) -> bool:
    part = replace(stack, entries=tuple(entries))
    return any(len(place.entries) > 1 for place in _places(part, config))


def _passes(stack: Stack, config: LoadingConfig) -> list[list[Entry]]:
    """Cut the images, in order of instance number, where a position comes up again."""
    runs: list[list[Entry]] = [[]]
    seen: list[float] = []
    for entry in sorted(stack.entries, key=_instance):
        along = float(positions_along([stack.entries[0], entry])[1])
        if any(abs(along - other) < config.position_tolerance_mm for other in seen):
            runs.append([])
            seen = []
        runs[-1].append(entry)
        seen.append(along)
    return runs


def _go_over_the_same(runs: Sequence[Sequence[Entry]], config: LoadingConfig) -> bool:
    """Tell whether each pass shows at least half of what the shortest one shows; one odd image is no pass."""
    along = [positions_along([runs[0][0], *run])[1:] for run in runs]
    first = along[0]
    need = max(2.0, _SHARED * min(len(places) for places in along))
    return all(
        np.count_nonzero(np.abs(places[:, None] - first[None, :]).min(axis=1) < config.position_tolerance_mm)
        >= need
        for places in along[1:]
    )


def _split_overlap(stack: Stack, config: LoadingConfig) -> tuple[Stack, ...]:
    """Separate scans of one series whose slices interleave, or that lie apart; one even scan stays whole."""
    if _even(stack.entries, config):
        return (stack,)
    for name, attribute in _ATTRIBUTES:
        groups = list(_grouped(stack.entries, attribute).values())
        if len(groups) < 2 or not all(len(g) >= config.min_slices and _even(g, config) for g in groups):
            continue
        if _interleaved(groups) or _apart(groups, config):
            return _parts(stack, groups, name, config)
    return (stack,)


def _even(entries: Sequence[Entry], config: LoadingConfig) -> bool:
    gaps = np.diff(np.sort(positions_along(entries)))
    limit = max(config.even_tolerance_mm, config.spacing_tolerance * float(gaps.mean()))
    return bool(np.ptp(gaps) <= 2 * limit)


def _spans(groups: Sequence[Sequence[Entry]]) -> list[tuple[float, float, float]]:
    """Return (first, last, gap) of every group along the normal, lowest first."""
    found = []
    for group in groups:
        along = np.sort(positions_along([groups[0][0], *group])[1:])
        found.append((float(along[0]), float(along[-1]), float(np.diff(along).mean())))
    return sorted(found)


def _interleaved(groups: Sequence[Sequence[Entry]]) -> bool:
    spans = _spans(groups)
    return any(
        low_next < high - 0.5 * min(gap, gap_next)
        for (_, high, gap), (low_next, _, gap_next) in pairwise(spans)
    )


def _apart(groups: Sequence[Sequence[Entry]], config: LoadingConfig) -> bool:
    """Tell whether more lies between two groups than missing slices that could be filled in."""
    spans = _spans(groups)
    return any(
        low_next - high > max(gap, gap_next) + config.max_missing_mm
        for (_, high, gap), (low_next, _, gap_next) in pairwise(spans)
    )


def _parts(
    stack: Stack, groups: Sequence[Sequence[Entry]], by: str, config: LoadingConfig
) -> tuple[Stack, ...]:
    code = repaired(
        "repeated_positions",
        f"The series holds {len(groups)} scans of one region or of regions apart; they were separated by {by}.",
        config=config,
        scans=len(groups),
        images=len(stack.entries),
    )
    return tuple(Stack(tuple(group), (*stack.codes, code)) for group in groups)
