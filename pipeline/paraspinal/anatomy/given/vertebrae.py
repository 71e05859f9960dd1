"""Vertebrae from given masks: where each lies along the canal, what it is called, and what lies beyond them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from paraspinal.anatomy.extent import cut_sides
from paraspinal.anatomy.given.grid import OnGrid
from paraspinal.anatomy.given.names import VERTEBRA_PREFIX
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.levels import LABELS, VERTEBRA_NUMBERS
from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Region

_BODY_MM = (8.0, 45.0, 22.0)
"""A vertebral body lies this far in front of the canal's middle (from, to) and to the side."""
_AXIS_MM = 8.0
_MIN_BODY_VOXELS = 60
"""About 0.5 mL on the 2 mm grid."""
_SURE = 0.9
_STEP_LOSS = 0.02
"""A name counted on from a given vertebra loses this much confidence a step: a border may be missed."""
_SAME_SHARE = 0.5


def given_vertebrae(
    here: OnGrid, found: Anatomy, *, source: str, config: AnatomyConfig
) -> tuple[Vertebra, ...]:
    """Return the given vertebrae that have enough of a body in the scan, cranial first.

    A name that the built-in naming contradicts with at least 90 % is kept, with less confidence and the
    contradiction as evidence.
    """
    out = []
    front = _in_front(found.spine)
    for name in here:
        level = name.removeprefix(VERTEBRA_PREFIX)
        if level in VERTEBRA_NUMBERS and name.startswith(VERTEBRA_PREFIX):
            vertebra = _vertebra(level, here[name], front, found, source=source, config=config)
            if vertebra is not None:
                out.append(vertebra)
    return tuple(sorted(out, key=lambda v: -v.s_mm))


def _vertebra(
    level: str, mask: BoolArray, front: BoolArray, found: Anatomy, *, source: str, config: AnatomyConfig
) -> Vertebra | None:
    where, grid = found.spine, found.geometry
    body = mask[where.box] & front
    if np.count_nonzero(body) < _MIN_BODY_VOXELS:
        return None
    index = np.argwhere(body)
    at = grid.to_lps(index + [s.start for s in where.box])
    near = _near_axis(body, where)
    s, middle = where.s[body][near], at.mean(axis=0)
    half = 0.5 * grid.spacing_mm[0]
    along = float(0.5 * (s.min() + s.max()))
    rival = _rival(level, along, found.vertebrae)
    sure = config.given_disputed_confidence if rival else config.given_confidence
    evidence = [f"named by the given masks ({source})"]
    if rival:
        evidence.append(f"the built-in naming says {rival.label} ({100 * rival.confidence:.0f} %)")
    x, y, z = (float(v) for v in middle)
    return Vertebra(
        label=level,
        label_probabilities=_probabilities(level, sure, rival),
        centroid_lps_mm=(x, y, z),
        top_mm=float(at[near, 2].max()) + half,
        bottom_mm=float(at[near, 2].min()) - half,
        s_mm=along,
        number=VERTEBRA_NUMBERS[level],
        confidence=sure,
        evidence=tuple(evidence),
        truncated=cut_sides(Region.of(mask), mask.shape, found.mask("padding")),
    )


def _in_front(where: SpineCoordinates) -> BoolArray:
    low, high, side = _BODY_MM
    return np.asarray((where.anterior > low) & (where.anterior < high) & (np.abs(where.left) < side))


def _near_axis(body: BoolArray, where: SpineCoordinates) -> BoolArray:
    """Tell which voxels of a body lie near its axis, where its end plates are its ends."""
    left, front = where.left[body], where.anterior[body]
    near = (np.abs(left - np.median(left)) < _AXIS_MM) & (np.abs(front - np.median(front)) < _AXIS_MM)
    return np.asarray(near if near.any() else np.ones_like(near))


def _rival(level: str, s_mm: float, built_in: Iterable[Vertebra]) -> Vertebra | None:
    """The built-in vertebra at the same place, if it surely has another name."""
    nearest = min(built_in, key=lambda v: abs(v.s_mm - s_mm), default=None)
    if nearest is None or nearest.label == level or nearest.confidence < _SURE:
        return None
    height = abs(nearest.top_mm - nearest.bottom_mm)
    return nearest if abs(nearest.s_mm - s_mm) < _SAME_SHARE * height else None


def _probabilities(level: str, sure: float, rival: Vertebra | None) -> dict[str, float]:
    if rival is not None:
        return {level: sure, rival.label: 1.0 - sure}
    k = LABELS.index(level)
    beside = [LABELS[j] for j in (k - 1, k + 1) if 0 <= j < len(LABELS)]
    return {level: sure} | {name: (1.0 - sure) / len(beside) for name in beside}


def counted_on(
    given: tuple[Vertebra, ...], built_in: tuple[Vertebra, ...]
) -> tuple[tuple[Vertebra, ...], dict[int, int], dict[str, str]]:
    """Name the built-in vertebrae that no mask shows by counting on from the given ones.

    Returns
    -------
    rest : tuple of Vertebra
        Those, renamed.
    numbers : dict
        From the number of every built-in vertebra in the label map to its new one; 0 where a given one stands.
    names : dict
        From the name of a built-in vertebra to the new name of the same bone.
    """
    pairs = {}
    for k, vertebra in enumerate(built_in):
        own = [g for g in given if abs(g.s_mm - vertebra.s_mm) < _SAME_SHARE * abs(g.top_mm - g.bottom_mm)]
        if own:
            pairs[k] = min(own, key=lambda g: abs(g.s_mm - vertebra.s_mm))
    used = {g.label for g in given}
    rest, numbers = [], {v.number: 0 for v in built_in}
    names = {built_in[k].label: g.label for k, g in pairs.items()}
    for k, vertebra in enumerate(built_in):
        if k in pairs or not pairs:
            continue
        anchor = min(pairs, key=lambda p: abs(p - k))
        place = LABELS.index(pairs[anchor].label) - (k - anchor)
        if not 0 <= place < len(LABELS) or LABELS[place] in used:
            continue
        moved = _renamed(vertebra, LABELS[place], pairs[anchor], abs(k - anchor))
        rest.append(moved)
        numbers[vertebra.number] = moved.number
        names[vertebra.label] = moved.label
    return tuple(rest), numbers, names


def _renamed(vertebra: Vertebra, label: str, anchor: Vertebra, steps: int) -> Vertebra:
    sure = max(0.0, anchor.confidence - _STEP_LOSS * steps)
    if label == vertebra.label:
        sure = max(sure, vertebra.confidence)
    return replace(
        vertebra,
        label=label,
        label_probabilities=_probabilities(label, sure, None),
        number=VERTEBRA_NUMBERS[label],
        confidence=sure,
        evidence=(f"counted on from {anchor.label}, which the given masks name",),
    )
