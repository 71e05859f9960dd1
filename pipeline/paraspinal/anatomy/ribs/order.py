"""Number ribs that enter the scan from above, by their order around the chest.

Ribs slope down, so an axial slice meets them in order: the lowest beside the spine, each one farther forward a
vertebra higher. A rib whose head lies above the scan takes its number from the ribs behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.ribs.heads import place_of
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.discs import DiscBorders
from paraspinal.config import AnatomyConfig
from paraspinal.volume import Geometry

if TYPE_CHECKING:
    from paraspinal.anatomy.ribs.instances import RibTrack

_NECK_MM = 20.0  # where a rib's head lies beside the midline
_ALIKE_RAD = 0.1  # ribs of one vertebra lie at the same angle on both sides; neighbours 0.3 to 0.5 apart
_ALIKE_SLICES = 5
_STEEPEST = 1.2  # a rib falls at most so much per millimetre to the side


def order_entering(
    tracks: Sequence[RibTrack],
    midline: npt.NDArray[np.float64],
    where: SpineCoordinates,
    borders: DiscBorders,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> tuple[RibTrack, ...]:
    """Give entering ribs their place; those that nothing connects to a numbered one keep None."""
    out = list(tracks)
    mine: dict[str, list[int]] = {
        side: [
            k
            for k, track in enumerate(out)
            if track.side == side and (track.reach_mm > config.rib_min_reach_mm or not track.headed)
        ]
        for side in ("left", "right")
    }
    angles = {
        side: _angles({k: out[k] for k in ks}, midline, grid, config=config) for side, ks in mine.items()
    }
    votes = {side: _neighbours(mine[side], angles[side]) for side in mine}
    places = {
        side: _spread({k: out[k].place for k in ks if out[k].place is not None}, votes[side])
        for side, ks in mine.items()
    }
    for side, other in (("left", "right"), ("right", "left")):
        if not places[side] and mine[side]:
            known = _by_other_side(mine[side], angles[side], places[other], mine[other], angles[other])
            known = known or _by_slope(out, votes[side], mine[side], midline, where, borders, grid)
            places[side] = _spread(known, votes[side])
    for k, place in (places["left"] | places["right"]).items():
        if out[k].place is None:
            out[k] = replace(out[k], place=place)
    return tuple(out)


def _angles(
    tracks: dict[int, RibTrack], midline: npt.NDArray[np.float64], grid: Geometry, *, config: AnatomyConfig
) -> npt.NDArray[np.float64]:
    """Return the angle around the chest, 0 behind and π in front, of every track (columns) in every slice."""
    angle = np.full((grid.shape[0], len(tracks)), np.nan)
    for column, track in enumerate(tracks.values()):
        sign = 1.0 if track.side == "left" else -1.0
        z = track.voxels[:, 0]
        out = sign * (track.voxels[:, 2] * grid.spacing_mm[2] - midline[z, 1])
        front = (midline[z, 0] - config.cage_centre_mm) - track.voxels[:, 1] * grid.spacing_mm[1]
        theta = np.arctan2(out, -front)
        count = np.bincount(z, minlength=grid.shape[0])
        total = np.bincount(z, weights=theta, minlength=grid.shape[0])
        seen = count > 0
        angle[seen, column] = total[seen] / count[seen]
    return angle


def _neighbours(names: Sequence[int], angles: npt.NDArray[np.float64]) -> Counter[tuple[int, int]]:
    """Count in how many slices rib a is followed, around the chest from back to front, by rib b."""
    votes: Counter[tuple[int, int]] = Counter()
    for row in angles:
        present = np.flatnonzero(np.isfinite(row))
        order = present[np.argsort(row[present])]
        for a, b in pairwise(order):
            votes[names[a], names[b]] += 1
    return votes


def _by_other_side(
    mine: Sequence[int],
    angles: npt.NDArray[np.float64],
    places: dict[int, int],
    theirs: Sequence[int],
    their_angles: npt.NDArray[np.float64],
) -> dict[int, int | None]:
    """Place the rib that lies most like one of the other side; nothing where none does clearly."""
    column = {name: k for k, name in enumerate(theirs)}
    best: tuple[float, dict[int, int | None]] = (_ALIKE_RAD, {})
    for k, name in enumerate(mine):
        for other, place in places.items():
            apart = np.abs(angles[:, k] - their_angles[:, column[other]])
            if np.isfinite(apart).sum() >= _ALIKE_SLICES and np.nanmean(apart) < best[0]:
                best = (float(np.nanmean(apart)), {name: place})
    return best[1]


def _spread(known: dict[int, int | None], votes: Counter[tuple[int, int]]) -> dict[int, int]:
    """Carry places along the neighbourhood relations, those seen in most slices first."""
    places = {k: place for k, place in known.items() if place is not None}
    grew = True
    while grew:
        grew = False
        for (behind, before), _ in votes.most_common():
            if behind in places and before not in places:
                places[before] = places[behind] + 1
                grew = True
            elif before in places and behind not in places:
                places[behind] = places[before] - 1
                grew = True
            if grew:
                break
    return places


def _by_slope(
    tracks: Sequence[RibTrack],
    votes: Counter[tuple[int, int]],
    mine: Sequence[int],
    midline: npt.NDArray[np.float64],
    where: SpineCoordinates,
    borders: DiscBorders,
    grid: Geometry,
) -> dict[int, int | None]:
    """Place the hindmost rib by carrying its slope on to the spine; nothing where it is too far from it."""
    spacing = np.asarray(grid.spacing_mm)
    hindmost = min(mine, key=lambda k: abs(tracks[k].path[0, 2] * spacing[2] - midline[-1, 1]))
    path = tracks[hindmost].path * spacing
    lateral = np.abs(
        path[:, 2] - midline[np.clip(tracks[hindmost].path[:, 0].astype(int), 0, len(midline) - 1), 1]
    )
    if lateral[0] > 90.0 or len(path) < 3:
        return {}
    head = path[: max(3, min(len(path), 6))]
    out = lateral[: len(head)]
    slope = float(np.clip(np.polyfit(out, head[:, 0], 1)[0], -_STEEPEST, 0.0)) if np.ptp(out) > 4.0 else -0.6
    z = path[0, 0] + slope * (_NECK_MM - lateral[0])
    s = _arc_at(z, where, midline, grid)
    return {hindmost: int(np.floor(place_of(s, borders) - 0.74 + 0.5))}


def _arc_at(z_mm: float, where: SpineCoordinates, midline: npt.NDArray[np.float64], grid: Geometry) -> float:
    """Arc length of the canal at a height, carried on beyond the scan."""
    rows = np.arange(where.box[0].start, where.box[0].stop)
    y = np.clip(
        np.rint(midline[rows, 0] / grid.spacing_mm[1]).astype(int) - where.box[1].start,
        0,
        where.s.shape[1] - 1,
    )
    x = np.clip(
        np.rint(midline[rows, 1] / grid.spacing_mm[2]).astype(int) - where.box[2].start,
        0,
        where.s.shape[2] - 1,
    )
    s = where.s[np.arange(len(rows)), y, x].astype(float)
    z = rows * grid.spacing_mm[0]
    if z_mm > z[-1]:
        return float(s[-1] + z_mm - z[-1])
    return float(np.interp(z_mm, z, s))
