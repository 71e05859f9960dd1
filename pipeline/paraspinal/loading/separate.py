"""Images of one series that cannot be one volume: duplicates are dropped, phases and overlapping scans separated.

Two images at one position are the same image sent twice, or two phases, reconstructions or scans under one Series
Instance UID. The first is told by the pixels; the second by an attribute in which the images differ and that
leaves no position occupied twice. Where neither says which image belongs to which scan, the stack stays as it is, and
`lay_out` refuses it: a volume mixed from two scans is worse than none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from paraspinal.config import LoadingConfig
from paraspinal.loading.codes import repaired
from paraspinal.loading.doubles import Place, instance_order, pixel_groups, places_of, positions_along
from paraspinal.loading.scan import Entry
from paraspinal.loading.stacks import Stack

Attribute = Callable[[Entry], Hashable]

# What names a pass over the patient: slices that alternate in it are of two scans, even if together they are even.
_PASSES: tuple[tuple[str, Attribute], ...] = (
    ("Temporal Position Identifier", lambda e: e.header.temporal_position),
    ("Acquisition Number", lambda e: e.header.acquisition_number),
    ("Convolution Kernel", lambda e: e.header.acquisition.kernel),
    ("KVP", lambda e: e.header.acquisition.kvp),
    ("Contrast/Bolus Agent", lambda e: e.header.acquisition.contrast_agent),
)
# Tried in this order: what names a pass over the patient first, what merely differs between passes last.
_ATTRIBUTES: tuple[tuple[str, Attribute], ...] = (
    *_PASSES[:2],
    ("Acquisition Time", lambda e: e.header.acquired_at),
    ("Content Time", lambda e: e.header.content_at),
    *_PASSES[2:],
    ("Image Type", lambda e: e.header.image_type),
    ("Slice Thickness", lambda e: e.header.acquisition.slice_thickness_mm),
    ("Series Number", lambda e: e.header.series_number),
    ("folder", lambda e: e.file.folder),
)
# A scan has at least this many images: an attribute that gives each image its own value counts slices, not passes.
_MIN_PASS = 2
# A step to the next slice of one pass is at most this many times its usual step, and in the same direction.
_LONGEST_STEP = 2.5
_SHARED = 0.5


def separate(stack: Stack, *, config: LoadingConfig) -> tuple[Stack, ...]:
    """Return the volumes that a stack of CT images holds; the stack itself where nothing speaks against one.

    Pixels are read only of images that share a position. A stack without geometry, or with a single position, is
    returned as it is: `lay_out` says what is wrong with it.
    """
    if any(entry.header.plane.position is None for entry in stack.entries):
        return (stack,)
    places = places_of(stack.entries, config)
    if len(places) < 2:
        return (stack,)
    if not any(place.doubled for place in places):
        return _split_overlap(stack, config)
    groups, differ = pixel_groups(places, config)
    if differ and (phases := _phases(stack, places, config)):
        return phases
    kept = [
        entry
        for index, place in enumerate(places)
        for entry in ([same[0] for same in groups[index]] if index in groups else place.entries)
    ]
    codes = stack.codes
    if dropped := len(stack.entries) - len(kept):
        codes = (*codes, repaired("duplicate_slices", config=config, dropped=dropped))
    return _without_odd_images(replace(stack, entries=tuple(kept), codes=codes), config)


def _phases(stack: Stack, places: Sequence[Place], config: LoadingConfig) -> tuple[Stack, ...]:
    """Return the scans that cover the same region; empty where nothing tells which image belongs to which."""
    deepest = max(len(place.entries) for place in places)
    for name, attribute in _ATTRIBUTES:
        groups = list(_grouped(stack.entries, attribute).values())
        if len(groups) == deepest and _are_passes(groups, config):
            return _parts(stack, groups, name, config)
    runs = _runs(stack, config)
    if len(runs) == deepest and _are_passes(runs, config) and _go_over_the_same(runs, config):
        return _parts(stack, runs, "Instance Number", config)
    if all(len(place.entries) == deepest for place in places):
        ranks = [[place.entries[rank] for place in places] for rank in range(deepest)]
        return _parts(stack, ranks, "the order of images at each position", config)
    return ()


def _grouped(entries: Sequence[Entry], attribute: Attribute) -> dict[Hashable, list[Entry]]:
    groups: dict[Hashable, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[attribute(entry)].append(entry)
    return groups


def _are_passes(groups: Sequence[Sequence[Entry]], config: LoadingConfig) -> bool:
    """Tell whether no group takes a position twice, and each is a scan, not a slice or two."""
    return all(
        len(group) >= _MIN_PASS and not any(place.doubled for place in places_of(group, config))
        for group in groups
    )


def _runs(stack: Stack, config: LoadingConfig) -> list[list[Entry]]:
    """Cut the images, in order of instance number, where a position comes up again or the march breaks off."""
    entries = sorted(stack.entries, key=instance_order)
    along = positions_along([stack.entries[0], *entries])[1:]
    steps = np.abs(np.diff(along))
    usual = float(np.median(steps[steps >= config.position_tolerance_mm], axis=0)) if steps.any() else 0.0
    runs: list[list[int]] = [[0]]
    for index in range(1, len(entries)):
        run = runs[-1]
        step = along[index] - along[run[-1]]
        turned = len(run) > 1 and step * (along[run[-1]] - along[run[-2]]) < 0
        again = np.abs(along[run] - along[index]).min() < config.position_tolerance_mm
        if again or turned or abs(step) > _LONGEST_STEP * usual:
            runs.append([])
        runs[-1].append(index)
    return [[entries[index] for index in run] for run in runs]


def _go_over_the_same(runs: Sequence[Sequence[Entry]], config: LoadingConfig) -> bool:
    """Tell whether each run shows at least half of what the shorter of it and the first one shows."""
    along = [positions_along([runs[0][0], *run])[1:] for run in runs]
    first = along[0]
    return all(
        np.count_nonzero(np.abs(places[:, None] - first[None, :]).min(axis=1) < config.position_tolerance_mm)
        >= _SHARED * min(len(places), len(first))
        for places in along[1:]
    )


def _without_odd_images(stack: Stack, config: LoadingConfig) -> tuple[Stack, ...]:
    """Leave out a few images that lie where another one lies; the one with the lowest instance number stays.

    More than may be missing from a series are no accident, and nothing says which of them belong together.
    """
    places = places_of(stack.entries, config)
    odd = [entry for place in places for entry in place.entries[1:]]
    if not odd or len(odd) > config.max_missing_slices:
        return (stack,)
    code = repaired(
        "repeated_positions",
        f"{len(odd)} images with other pixels lie where an image with a lower instance number lies;"
        " they were left out.",
        config=config,
        scans=1,
        images=len(stack.entries),
        left_out=len(odd),
    )
    codes = (*stack.codes, code)
    kept = tuple(place.entries[0] for place in places)
    return replace(stack, entries=kept, codes=codes), replace(stack, entries=tuple(odd), codes=codes)


def _split_overlap(stack: Stack, config: LoadingConfig) -> tuple[Stack, ...]:
    """Separate scans of one series whose slices interleave, or that lie apart.

    One even scan stays whole, unless an attribute that names a pass alternates within it.
    """
    even = _even(stack.entries, config)
    for name, attribute in _PASSES if even else _ATTRIBUTES:
        groups = list(_grouped(stack.entries, attribute).values())
        if len(groups) < 2 or not all(len(g) >= config.min_slices and _even(g, config) for g in groups):
            continue
        if _interleaved(groups) or (not even and _apart(groups, config)):
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
