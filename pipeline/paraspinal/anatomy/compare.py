"""Two segmentations of one body against each other: overlap, surface distance, volume, names of vertebrae.

Everything is compared through geometry on the finer of the two grids, and only where both were looked at: the part
that one scan does not reach says nothing about the other's mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import edt
import numpy as np
from scipy import ndimage

from paraspinal.anatomy.given.names import RIB_PREFIXES, VERTEBRA_PREFIX, VERTEBRA_PREFIXES
from paraspinal.anatomy.given.overlap import Pair, on_one_grid
from paraspinal.anatomy.given.types import StructureMask, StructureSet, merged, structure_set
from paraspinal.anatomy.spine.levels import LABELS
from paraspinal.volume import BoolArray, FloatArray, LabelMap, Spacing

SURFACE_PERCENTILE = 95.0
"""Robust form of the Hausdorff distance, as segmentation challenges report it."""

_SIDES = (("inferior", "superior"), ("anterior", "posterior"), ("right", "left"))
_MIN_OVERLAP = 0.1
"""Share of the smaller of two vertebrae that must overlap before they are taken for the same bone: neighbours touch
by a few percent of their voxels."""
_UNIONS: Mapping[str, tuple[str, ...]] = {
    "lung_left": ("lung_upper_lobe_left", "lung_lower_lobe_left"),
    "lung_right": ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"),
}
_OF_PREFIX: Mapping[str, tuple[str, ...]] = {
    "all ribs": (*RIB_PREFIXES, "ribs"),
    "all vertebrae": VERTEBRA_PREFIXES,
}


@dataclass(frozen=True, slots=True)
class StructureComparison:
    """One structure in A and in B.

    Volumes are those of each source on its own grid. ``dice`` and ``surface_95_mm`` (95th percentile of the
    symmetric distances between the surfaces' voxels) hold where both were looked at; None with a ``reason`` where
    they cannot be had. ``cut`` names the sides on which the common field cuts either mask.
    """

    name: str
    a_ml: float | None
    b_ml: float | None
    dice: float | None = None
    surface_95_mm: float | None = None
    cut: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def difference_ml(self) -> float | None:
        """Volume of B less that of A."""
        return None if self.a_ml is None or self.b_ml is None else self.b_ml - self.a_ml


@dataclass(frozen=True, slots=True)
class LevelPair:
    """One vertebra in both, matched by overlap whatever its names are.

    ``offset`` counts how many vertebrae B's name stands below A's; None where one of the names tells no level.
    """

    a: str
    b: str
    dice: float
    offset: int | None

    @property
    def same(self) -> bool:
        """Whether both name the same level."""
        return self.offset == 0


@dataclass(frozen=True, slots=True)
class LevelAgreement:
    """Vertebrae matched by overlap, and those that have no partner in the common field."""

    pairs: tuple[LevelPair, ...]
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelComparison:
    """Everything that two segmentations say differently; ``structures`` in the order of their names."""

    structures: tuple[StructureComparison, ...]
    levels: LevelAgreement

    def named(self, name: str) -> StructureComparison | None:
        """Return the comparison of one structure, if either source has it."""
        return next((s for s in self.structures if s.name == name), None)


def compare_labels(a: LabelMap, b: LabelMap, *, names: Iterable[str] | None = None) -> LabelComparison:
    """Compare two label maps of one body, on whatever grids they are.

    Parameters
    ----------
    a, b : LabelMap
        Exclusive labels with names; the same name means the same structure.
    names : iterable of str, optional
        Only these structures, in this order.
    """
    return compare_structures(structure_set(a), structure_set(b), names=names)


def compare_structures(
    a: StructureSet, b: StructureSet, *, names: Iterable[str] | None = None
) -> LabelComparison:
    """Compare two sets of structures; lungs are also compared as wholes, ribs and vertebrae also all together."""
    ours, theirs = _with_unions(a), _with_unions(b)
    wanted = sorted({*ours, *theirs}) if names is None else list(names)
    found = [_compared(name, ours.get(name), theirs.get(name), a, b) for name in wanted]
    return LabelComparison(tuple(found), _levels(a, b))


def dice(a: BoolArray, b: BoolArray) -> float | None:
    """Return the Dice coefficient of two masks of one grid; None where both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return float(2.0 * np.count_nonzero(a & b) / total) if total else None


def surface_distance_95(
    a: BoolArray, b: BoolArray, spacing_mm: Spacing, *, field: BoolArray | None = None
) -> float | None:
    """Return the 95th percentile (mm) of both surfaces' distances to each other, taken together.

    Surface voxels are those with a face to outside the mask. The ends of the array are no surface, nor are those of
    `field`: there the scan cuts the structure. None where a mask has no surface.
    """
    surfaces = [_surface(mask, field) for mask in (a, b)]
    if not all(s.any() for s in surfaces):
        return None
    far = [_distances(surfaces[1 - k], surfaces[k], spacing_mm) for k in (0, 1)]
    return float(np.percentile(np.concatenate(far), SURFACE_PERCENTILE))


def _surface(mask: BoolArray, field: BoolArray | None) -> BoolArray:
    solid = mask if field is None else mask | ~field
    inner = ndimage.binary_erosion(solid, border_value=1)
    return np.asarray(mask & ~inner)


def _distances(targets: BoolArray, sources: BoolArray, spacing_mm: Spacing) -> FloatArray:
    far = edt.edt(np.ascontiguousarray(~targets), anisotropy=spacing_mm, parallel=2)
    return np.asarray(far[sources], np.float32)


def _with_unions(given: StructureSet) -> dict[str, StructureMask]:
    out = dict(given.structures)
    for name, parts in _UNIONS.items():
        members = [given.structures[p] for p in parts if p in given.structures]
        if name not in out:
            _add_union(out, name, members)
    for name, prefixes in _OF_PREFIX.items():
        _add_union(out, name, [s for own, s in given.structures.items() if own.startswith(prefixes)])
    return out


def _add_union(out: dict[str, StructureMask], name: str, members: list[StructureMask]) -> None:
    if members and all(m.grid.same_grid(members[0].grid) for m in members):
        out[name] = merged(name, members)


def _compared(
    name: str, one: StructureMask | None, other: StructureMask | None, a: StructureSet, b: StructureSet
) -> StructureComparison:
    if one is None or other is None:
        a_ml, b_ml = (None if s is None else round(s.volume_ml, 3) for s in (one, other))
        return StructureComparison(
            name,
            a_ml,
            b_ml,
            reason=f"only in {'A' if other is None else 'B'}" if a_ml or b_ml else "in neither",
        )
    volumes = (round(one.volume_ml, 3), round(other.volume_ml, 3))
    pair = on_one_grid(one, other, a, b)
    if pair is None:
        return StructureComparison(name, *volumes, reason="no place in which both were looked at")
    overlap = dice(pair.a, pair.b)
    far = surface_distance_95(pair.a, pair.b, pair.grid.spacing_mm, field=pair.field)
    return StructureComparison(
        name,
        *volumes,
        dice=None if overlap is None else round(overlap, 4),
        surface_95_mm=None if far is None else round(far, 3),
        cut=_cut(pair),
        reason=_why(overlap, far, pair),
    )


def _why(overlap: float | None, far: float | None, pair: Pair) -> str | None:
    if overlap is None:
        return "neither lies where both were looked at"
    if far is not None:
        return None
    empty = [name for name, mask in (("A", pair.a), ("B", pair.b)) if not mask.any()]
    if empty:
        return f"nothing of {empty[0]} lies where both were looked at"
    return "a mask fills its field and shows no surface"


def _cut(pair: Pair) -> tuple[str, ...]:
    """Sides on which either mask reaches the end of the common field."""
    found = []
    both = pair.a | pair.b
    for axis, names in enumerate(_SIDES):
        for name, index, end in zip(names, (0, -1), pair.at_end[axis], strict=True):
            if end and np.take(both, index, axis=axis).any():
                found.append(name)
    return tuple(found)


def _levels(a: StructureSet, b: StructureSet) -> LevelAgreement:
    """Match vertebrae by overlap, the best overlap first."""
    ours, theirs = _vertebrae(a), _vertebrae(b)
    overlaps = ((n, m, *_overlap(one, other, a, b)) for n, one in ours.items() for m, other in theirs.items())
    found: dict[str, LevelPair] = {}
    taken: set[str] = set()
    for n, m, share, overlap in sorted(overlaps, key=lambda o: -o[3]):
        if share >= _MIN_OVERLAP and n not in found and m not in taken:
            found[n] = LevelPair(n, m, round(overlap, 4), _offset(n, m))
            taken.add(m)
    return LevelAgreement(
        tuple(found[n] for n in ours if n in found),
        tuple(n for n in ours if n not in found),
        tuple(m for m in theirs if m not in taken),
    )


def _vertebrae(given: StructureSet) -> dict[str, StructureMask]:
    """Vertebrae from the head down."""
    found = {n: s for n, s in given.structures.items() if n.startswith(VERTEBRA_PREFIXES)}
    return dict(sorted(found.items(), key=lambda item: -float(item[1].centroid_lps_mm()[2])))


def _overlap(
    one: StructureMask, other: StructureMask, a: StructureSet, b: StructureSet
) -> tuple[float, float]:
    """Return the share of the smaller mask that lies in the other, and Dice."""
    if not _near(one, other):
        return 0.0, 0.0
    pair = on_one_grid(one, other, a, b)
    if pair is None:
        return 0.0, 0.0
    both = np.count_nonzero(pair.a & pair.b)
    smaller = min(np.count_nonzero(pair.a), np.count_nonzero(pair.b))
    return (both / smaller if smaller else 0.0), dice(pair.a, pair.b) or 0.0


def _near(one: StructureMask, other: StructureMask) -> bool:
    """Tell whether two boxes can overlap at all, from their outer spheres."""
    middle, reach = [], 0.0
    for mask in (one, other):
        shape, spacing = np.asarray(mask.geometry.shape), np.asarray(mask.geometry.spacing_mm)
        middle.append(mask.geometry.to_lps((shape - 1) / 2.0))
        reach += 0.5 * float(np.linalg.norm(shape * spacing))
    return float(np.linalg.norm(middle[0] - middle[1])) < reach


def _offset(a: str, b: str) -> int | None:
    """Vertebrae by which name B stands below name A; None where a name tells no level."""
    levels = [n.removeprefix(VERTEBRA_PREFIX) for n in (a, b)]
    if not all(level in LABELS for level in levels):
        return None
    return LABELS.index(levels[0]) - LABELS.index(levels[1])
