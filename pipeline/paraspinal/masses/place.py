"""Where a mass lies: its side, the levels it spans, its key slice and what it touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy import ndimage

from paraspinal.anatomy.extent import cut_by_scan
from paraspinal.anatomy.morphology import largest
from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.config import MassConfig
from paraspinal.masses.types import Mass
from paraspinal.result import Side
from paraspinal.volume import CTVolume, FloatArray, Region

_SAMPLE = 20000  # voxels; more change no percentile
_MIDLINE_MM = 8.0  # a centre this close to the midline is on neither side


def placed(
    number: int,
    region: Region,
    volume: CTVolume,
    anatomy: Anatomy,
    *,
    state: Literal["present", "indeterminate"],
    confidence: float,
    config: MassConfig,
) -> Mass:
    """Return a region of the native grid as a mass: its side, levels and flags follow from the anatomy.

    It spans the vertebrae nearest to its ends along the spine: the 1st and 99th percentile of its voxels' arc length.

    Raises
    ------
    ValueError
        The region lies beyond the traced spine (`along_spine` tells).
    """
    s, left = along_spine(region, volume, anatomy)
    if not s.size:
        raise ValueError("the region lies beyond the traced spine")
    left_mm = float(left.mean())
    x, y, z = (float(v) for v in volume.geometry.to_lps(region.centroid_index()))
    areas = region.mask.sum(axis=(1, 2))
    spanned = _spanned(anatomy, float(np.percentile(s, 1)), float(np.percentile(s, 99)))
    side: Side = "midline" if abs(left_mm) < _MIDLINE_MM else "left" if left_mm > 0 else "right"
    return Mass(
        id=number,
        state=state,
        side=side,
        region=region,
        levels=(spanned[0].label, spanned[-1].label),
        level_probabilities=level_probabilities(spanned),
        centroid_lps_mm=(x, y, z),
        key_slice=region.start[0] + int(np.argmax(areas)),
        confidence=confidence,
        flags=_flags(region, spanned, volume, anatomy, config=config),
    )


def along_spine(region: Region, volume: CTVolume, anatomy: Anatomy) -> tuple[FloatArray, FloatArray]:
    """Return arc length along the spine and distance to its left at (a sample of) a native region's voxels, in mm.

    Voxels beyond the traced spine are left out; both are empty where all are, or where no vertebra was found.
    """
    where = anatomy.spine
    points = np.argwhere(region.mask)
    points = points[:: max(1, len(points) // _SAMPLE)] + np.asarray(region.start)
    if not anatomy.vertebrae:
        points = points[:0]
    index = anatomy.geometry.to_index(volume.geometry.to_lps(points))
    index -= np.asarray([part.start for part in where.box])
    inside = ((index >= -0.5) & (index < np.asarray(where.s.shape) - 0.5)).all(axis=1)
    at = index[inside].T
    s, left = (ndimage.map_coordinates(f, at, order=1, mode="nearest") for f in (where.s, where.left))
    return s, left


def without(taken: Sequence[Region], region: Region | None) -> Region | None:
    """Take from a region what a larger mass holds already, and keep its largest piece."""
    if region is None:
        return None
    mask = region.mask.copy()
    for other in taken:
        mask &= ~other.on(region.box)
    if not mask.any():
        return None
    if int(mask.sum()) == region.voxels:
        return region
    tight = Region.of(largest(mask))
    z, y, x = (a + b for a, b in zip(region.start, tight.start, strict=True))
    return Region((z, y, x), tight.mask)


def _spanned(anatomy: Anatomy, low: float, high: float) -> tuple[Vertebra, ...]:
    """Vertebrae from the one at arc length `high` to the one at `low`, cranial first."""
    first, last = (_nearest(anatomy, s) for s in (high, low))
    return anatomy.vertebrae[first : last + 1]


def _nearest(anatomy: Anatomy, s: float) -> int:
    distance = [abs(v.s_mm - s) for v in anatomy.vertebrae]
    return distance.index(min(distance))


def level_probabilities(spanned: Sequence[Vertebra]) -> dict[str, float]:
    """Probability of each level to be among those that a mass spans.

    Under one naming a level belongs to one vertebra, so the probabilities of the spanned vertebrae add up.
    """
    out: dict[str, float] = {}
    for vertebra in spanned:
        for label, p in vertebra.label_probabilities.items():
            out[label] = out.get(label, 0.0) + p
    return {label: round(min(1.0, p), 6) for label, p in sorted(out.items(), key=lambda item: -item[1])}


def _flags(
    region: Region,
    spanned: Sequence[Vertebra],
    volume: CTVolume,
    anatomy: Anatomy,
    *,
    config: MassConfig,
) -> tuple[str, ...]:
    flags = ["level_uncertain"] if any(v.level_uncertain for v in spanned) else []
    centre = anatomy.geometry.to_index(volume.geometry.to_lps(_surface_points(region)))
    near = np.rint(centre).astype(int)
    near = near[((near >= 0) & (near < np.asarray(anatomy.geometry.shape))).all(axis=1)]
    aorta = anatomy.mask("aorta")
    reach = max(1, round((config.aortic_wall_mm + 2.0) / anatomy.geometry.spacing_mm[1]))
    touched = any(
        aorta[
            np.clip(near[:, 0], 0, None),
            np.clip(near[:, 1] + dy, 0, aorta.shape[1] - 1),
            np.clip(near[:, 2] + dx, 0, aorta.shape[2] - 1),
        ].any()
        for dy in (-reach, 0, reach)
        for dx in (-reach, 0, reach)
    )
    if touched:
        flags.append("contiguous_with_aorta")
    if cut_by_scan(region, volume):
        flags.append("cut_by_scan")
    return tuple(flags)


def _surface_points(region: Region) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    points = np.argwhere(region.mask)
    return np.asarray(points[:: max(1, len(points) // 5000)] + np.asarray(region.start))


def paired(masses: list[Mass]) -> tuple[Mass, ...]:
    """Give a left and a right mass at overlapping heights a common ``pair_id`` (largest first)."""
    taken: dict[int, int] = {}
    for mass in masses:
        if mass.id in taken:
            continue
        for other in masses:
            opposite = {mass.side, other.side} == {"left", "right"}
            if other.id not in taken and opposite and _overlap(mass, other):
                taken[mass.id] = taken[other.id] = len(set(taken.values())) + 1
                break
    return tuple(replace(mass, pair_id=taken.get(mass.id)) for mass in masses)


def _overlap(a: Mass, b: Mass) -> bool:
    low = max(a.region.start[0], b.region.start[0])
    high = min(a.region.start[0] + a.region.mask.shape[0], b.region.start[0] + b.region.mask.shape[0])
    return bool(high > low)
