"""Which vertebra bears a rib: the way from its neck through bone to the vertebra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from paraspinal.anatomy.ribs.tracks import Nodes, bone_graph
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.discs import DiscBorders
from paraspinal.config import AnatomyConfig
from paraspinal.volume import Geometry

if TYPE_CHECKING:
    from paraspinal.anatomy.ribs.instances import RibTrack

_TARGET_SIDE_MM, _TARGET_FRONT_MM = 14.0, (0.0, 10.0)
"""The way ends in the pedicle: this close to the midline and this far before the canal's middle."""
_DENSE_HU = 450.0  # bone through which the way is cheapest
_PLACE = (
    0.74  # where ribs meet their vertebra between its lower (0) and upper disc (1): T10–T12 0.55, T2–T9 0.95
)
_PLACE_SD = 0.2
_SLOPE_SD = 0.4  # the same where no bone connects and the rib's slope tells
_NECK_SHARE = 0.6  # a rib's neck falls at least so steeply against its first 50 mm
_STEEP_MM = 7.0  # a rise of the neck over its last 18 mm that says that the rib falls steeply
_SHORT_REACH_MM = 46.0  # transverse processes reach no farther, apart from the longest of L3
_OFFSET_FROM, _OFFSET_AGREE, _OFFSET_MOST = 4, 0.6, 0.3  # ribs, resultant of their circular mean, vertebrae
_SURE_LENGTH_MM = 50.0  # longer than any process or piece of a vessel's wall
_NECK_OFF, _NECK_MISFIT = 1.2, 4.0  # a neck may be misread by so many vertebrae, at the cost of two spreads
_CERTAIN_MM = 100.0  # nothing but a rib is so long
_DROP, _DROP_STUMP, _DROP_CERTAIN = (
    9.0,
    3.0,
    16.0,
)  # cost of a rib, a stump, a sure rib that belongs to no vertebra


def rib_heads(
    hu: npt.NDArray[np.float32],
    where: SpineCoordinates,
    necks: Sequence[Nodes],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> list[float | None]:
    """Return the arc length at which the cheapest way through bone from each neck meets a pedicle.

    None where no bone connects them.
    """
    lateral = np.abs(where.left)
    zone = (lateral > 8.0) & (lateral < config.rib_sheet_mm[1]) & (where.anterior > -40.0)
    zone &= (where.anterior < 28.0) & ~((where.anterior > 14.0) & (lateral < 20.0))
    bone = zone & (hu[where.box] > config.rib_bone_hu)
    graph = bone_graph(bone, grid)
    at = tuple(graph.voxels.T)
    dense = np.clip((_DENSE_HU - hu[where.box][at]) / 100.0, 0.3, 4.0)
    edges = graph.weights.tocoo()
    cost = edges.data * 0.5 * (dense[edges.row] + dense[edges.col])
    front = where.anterior[at]
    near, far = _TARGET_FRONT_MM
    target = np.flatnonzero((lateral[at] < _TARGET_SIDE_MM) & (front > near) & (front < far))
    if target.size == 0 or not necks:
        return [None] * len(necks)
    weights = sparse.csr_matrix((cost, (edges.row, edges.col)), graph.weights.shape)
    distance, _, source = csgraph.dijkstra(
        weights, directed=False, indices=target, min_only=True, return_predecessors=True
    )
    index = np.full(where.s.shape, -1, np.int64)
    index[at] = np.arange(len(graph.voxels))
    out: list[float | None] = []
    for neck in necks:
        local = tuple((neck - [part.start for part in where.box]).T)
        nodes = index[local][index[local] >= 0]
        best = int(nodes[np.argmin(distance[nodes])]) if nodes.size else -1
        if best < 0 or not np.isfinite(distance[best]):
            out.append(None)
        else:
            out.append(float(where.s[tuple(graph.voxels[source[best]])]))
    return out


@dataclass(frozen=True, slots=True)
class _Neck:
    """Where a track meets the spine: place of the vertebra (fractional) and its spread; the track and its length."""

    at: float
    spread: float
    length_mm: float
    track: int


def bearing_places(
    tracks: Sequence[RibTrack],
    heads: Sequence[float | None],
    where: SpineCoordinates,
    borders: DiscBorders,
    grid: Geometry,
) -> list[RibTrack]:
    """Give every headed rib its vertebra: one rib a side and vertebra, in order, at the smallest total misfit."""
    out = list(tracks)
    headed = [k for k, track in enumerate(tracks) if track.headed]
    found = []
    for k, head in zip(headed, heads, strict=True):
        start, by_slope = _slope_head(tracks[k], where, grid)
        # The head of a rib that falls steeply lies above its neck; a way through bone that ends lower found another.
        lost = head is None or (by_slope > start + _STEEP_MM and head < start - 2.0)
        s, spread = (by_slope, _SLOPE_SD) if head is None or lost else (head, _PLACE_SD)
        found.append(_Neck(place_of(s, borders) - _PLACE, spread, tracks[k].length_mm, k))
    sure = [neck for neck in found if neck.spread == _PLACE_SD and neck.length_mm > _SURE_LENGTH_MM]
    offset = _common_offset([neck.at for neck in sure])
    for side in ("left", "right"):
        mine = sorted(
            (replace(neck, at=neck.at - offset) for neck in found if tracks[neck.track].side == side),
            key=lambda neck: neck.at,
        )
        long = [neck for neck in mine if tracks[neck.track].reach_mm > _SHORT_REACH_MM]
        for neck, place in zip(long, _in_order(long), strict=True):
            out[neck.track] = replace(out[neck.track], place=place)
        _place_short([neck for neck in mine if neck not in long], long, out)
    return out


def _common_offset(at: Sequence[float]) -> float:
    """Offset by which all ribs of a patient meet their vertebrae higher or lower than usual (circular mean)."""
    known = np.asarray([a for a in at if np.isfinite(a)])
    if known.size < _OFFSET_FROM:
        return 0.0
    mean = np.exp(2j * np.pi * known).mean()
    if abs(mean) < _OFFSET_AGREE:
        return 0.0
    return float(np.clip(np.angle(mean) / (2 * np.pi), -_OFFSET_MOST, _OFFSET_MOST))


def _slope_head(track: RibTrack, where: SpineCoordinates, grid: Geometry) -> tuple[float, float]:
    """Arc length of the rib's first step, and of its head, by carrying its slope on to 20 mm from the midline.

    The slope is that of the first 25 mm or, where that is steeper, part of that of the first 50 mm: upper ribs run
    level from the spine to their angle, lower ones fall from the beginning.
    """
    local = np.rint(track.path).astype(int) - [part.start for part in where.box]
    inside = ((local >= 0) & (local < where.s.shape)).all(axis=1)
    if not inside[0]:
        return float("nan"), float("nan")
    local = local[: len(local) if inside.all() else int(np.argmin(inside))]
    at = tuple(local.T)
    s, left = where.s[at].astype(float), np.abs(where.left[at].astype(float))
    far = np.linalg.norm((local - local[0]) * np.asarray(grid.spacing_mm), axis=1)
    slopes = [share * _slope(s[far < mm], left[far < mm]) for mm, share in ((25.0, 1.0), (50.0, _NECK_SHARE))]
    slope = float(np.clip(min(slopes), -1.2, 0.3))
    return float(s[0]), float(s[0] + slope * (20.0 - left[0]))


def _slope(s: npt.NDArray[np.float64], left: npt.NDArray[np.float64]) -> float:
    """Change of arc length per millimetre away from the midline; 0 where it cannot be read."""
    return float(np.polyfit(left, s, 1)[0]) if len(s) > 2 and np.ptp(left) > 5.0 else 0.0


def place_of(s: float, borders: DiscBorders) -> float:
    """Place in the sequence (0 at the lowest border, 1 at the next), extrapolated beyond the ends."""
    edges = borders.s_mm
    count = len(edges) - 1
    if s < edges[0]:
        return float((s - edges[0]) / (edges[1] - edges[0]))
    if s > edges[-1]:
        return float(count + (s - edges[-1]) / (edges[-1] - edges[-2]))
    return float(np.interp(s, edges, np.arange(count + 1)))


def _place_short(short: list[_Neck], long: list[_Neck], tracks: list[RibTrack]) -> None:
    """Give transverse processes the vertebrae that no rib took, where they fit."""
    taken = {tracks[neck.track].place for neck in long}
    for neck in short:
        place = round(neck.at) if np.isfinite(neck.at) else None
        if place is not None and abs(neck.at - place) < 2 * neck.spread and place not in taken:
            tracks[neck.track] = replace(tracks[neck.track], place=place)
            taken.add(place)


def _in_order(mine: list[_Neck]) -> list[int | None]:
    """Assign increasing vertebrae to ribs sorted caudal to cranial (dynamic programming); None for one left out."""
    if not mine:
        return []
    position = np.array([neck.at if np.isfinite(neck.at) else -99.0 for neck in mine])
    first = int(np.floor(np.min(position[position > -50], initial=0.0))) - 1
    last = int(np.ceil(np.max(position, initial=0.0))) + 1
    places = np.arange(first, last + 1)
    # best[j]: least cost so far with all assigned places < places[j]
    best = np.zeros(len(places) + 1)
    choices: list[npt.NDArray[np.int64]] = []
    for at, neck in zip(position, mine, strict=True):
        drop = _DROP if neck.length_mm > _SURE_LENGTH_MM else _DROP_STUMP
        far = np.abs(at - places)
        misfit = (far / neck.spread) ** 2
        if neck.length_mm > _CERTAIN_MM:  # its neighbours place a rib better than a misread neck
            drop = _DROP_CERTAIN
            misfit = np.where(far < _NECK_OFF, np.minimum(misfit, _NECK_MISFIT), misfit)
        taken = best[:-1] + misfit
        new, choice = best + drop, np.full(len(best), -1, np.int64)
        for j in range(len(places)):
            low = int(np.argmin(taken[: j + 1]))
            if taken[low] < new[j + 1]:
                new[j + 1], choice[j + 1] = taken[low], low
        best = new
        choices.append(choice)
    out: list[int | None] = []
    j = len(places)
    for choice in reversed(choices):
        if choice[j] < 0:
            out.append(None)
        else:
            j = int(choice[j])
            out.append(int(places[j]))
    return out[::-1]
