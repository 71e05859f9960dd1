"""Follow each rib through the bone, from where it leaves the spine (or enters the scan) to its tip.

All ribs grow at once along the shortest way inside bone, so that ribs which touch share the contact between them.
A rib is a curved rod: what one seed reaches is cut into steps, and a step that is too thick, climbs, or turns back is
no longer this rib but the sternum, the scapula, the clavicle or a neighbour; nothing behind it belongs to the rib.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

Nodes = npt.NDArray[np.int64]
Points = npt.NDArray[np.float64]

_STEP_MM = 6.0  # length of the steps into which a rib is cut: three working voxels
_SEED_STEPS = 3  # thickness of the seed with the first step, 20 mm, in steps
_SIDE_STEPS = 2  # side branches up to this many steps are the rib's own breadth
_HEADING_STEPS = 4  # a rib's heading is read over this many steps, four times its thickness
_NEIGHBOURS = [(z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) > (0, 0, 0)]


@dataclass(frozen=True, slots=True)
class RibPath:
    """One rib as followed: its voxels [n, 3] and the middle of each step [m, 3] (z, y, x), first step first."""

    voxels: Nodes
    path: Points


@dataclass(frozen=True, slots=True)
class BoneGraph:
    """Bone voxels [n, 3] and the distance (mm) of neighbours among them."""

    voxels: Nodes
    weights: sparse.csr_matrix

    def bridged(self, pairs: Sequence[tuple[int, int, float]]) -> BoneGraph:
        """Return the graph with more edges: pairs of nodes and their distance."""
        if not pairs:
            return self
        rows, columns, lengths = (np.array(column) for column in zip(*pairs, strict=True))
        more = sparse.csr_matrix((lengths, (rows, columns)), self.weights.shape)
        return BoneGraph(self.voxels, sparse.csr_matrix(self.weights + more))


def bone_graph(bone: BoolArray, grid: Geometry) -> BoneGraph:
    """Return the graph of all 26-neighbours of a mask, with their distances in millimetres."""
    voxels = np.argwhere(bone)
    index = np.full([n + 2 for n in bone.shape], -1, np.int32)
    index[tuple((voxels + 1).T)] = np.arange(len(voxels))
    rows, columns, lengths = [], [], []
    for step in _NEIGHBOURS:
        other = index[tuple((voxels + 1 + step).T)]
        here = np.flatnonzero(other >= 0)
        rows.append(here)
        columns.append(other[here])
        lengths.append(np.full(here.size, np.linalg.norm(np.multiply(step, grid.spacing_mm))))
    entries = np.concatenate(lengths), (np.concatenate(rows), np.concatenate(columns))
    return BoneGraph(voxels, sparse.csr_matrix(entries, (len(voxels), len(voxels))))


def follow_ribs(
    graph: BoneGraph,
    seeds: Sequence[Nodes],
    outward: Sequence[int],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> tuple[list[RibPath | None], npt.NDArray[np.bool_]]:
    """Follow all ribs from their seeds at once.

    Parameters
    ----------
    seeds : sequence of node numbers of the graph, one array per rib
    outward : sequence of int
        Per rib the sign of x away from the spine: 1 on the left, −1 on the right.

    Returns
    -------
    list
        One path per seed; None for a seed that is no rod.
    ndarray of bool
        Which nodes any seed reached at all.
    """
    owner = np.full(len(graph.voxels), -1, np.int32)
    for k, seed in enumerate(seeds):
        owner[seed] = k
    start = np.flatnonzero(owner >= 0)
    if start.size == 0:
        return [None] * len(seeds), np.zeros(len(owner), bool)
    distance, before, source = csgraph.dijkstra(
        graph.weights, directed=False, indices=start, min_only=True, return_predecessors=True
    )
    reached = np.isfinite(distance)
    owner[reached] = owner[source[reached]]
    order = np.argsort(owner, kind="stable")
    first = np.searchsorted(owner[order], np.arange(len(seeds) + 1))
    out = []
    for k, sign in enumerate(outward):
        nodes = order[first[k] : first[k + 1]]
        steps = _Steps.cut(graph, nodes, distance, before, grid)
        out.append(None if steps is None else _main_path(steps, sign, grid, config=config))
    return out, reached


@dataclass(frozen=True, slots=True)
class _Steps:
    """What one seed reached, cut into pieces of equal distance: per voxel its piece, per piece (from 1) the rest."""

    voxels: Nodes
    piece: Nodes
    band: Nodes
    parent: Nodes
    size: Nodes
    middle: Points

    @classmethod
    def cut(
        cls,
        graph: BoneGraph,
        nodes: Nodes,
        distance: npt.NDArray[np.float64],
        before: npt.NDArray[np.int32],
        grid: Geometry,
    ) -> _Steps | None:
        if nodes.size == 0:
            return None
        voxels = graph.voxels[nodes]
        low = voxels.min(axis=0)
        local = tuple((voxels - low).T)
        bands = np.zeros(voxels.max(axis=0) - low + 1, np.int32)
        bands[local] = 1 + (distance[nodes] / _STEP_MM).astype(np.int32)
        pieces = np.asarray(cc3d.connected_components(bands, connectivity=26))
        piece = pieces[local].astype(np.int64)
        size = np.bincount(piece)
        band = np.zeros(size.size, np.int64)
        band[piece] = bands[local]
        sums = [np.bincount(piece, weights=voxels[:, axis]) for axis in range(3)]
        middle = np.column_stack(sums) / np.maximum(size, 1)[:, None]
        parent = np.zeros(size.size, np.int64)
        known = before[nodes] >= 0
        origin = pieces[tuple((graph.voxels[before[nodes[known]]] - low).T)]
        crossing = origin != piece[known]
        parent[piece[known][crossing]] = origin[crossing]
        return cls(voxels, piece, band, parent, size, middle)


def _main_path(steps: _Steps, sign: int, grid: Geometry, *, config: AnatomyConfig) -> RibPath | None:
    """Keep the steps on the way to the farthest tip that a rib can reach, and their side pieces."""
    keep = _rib_like(steps, sign, grid, config=config)
    if not keep.any():
        return None
    way = [int(np.argmax(np.where(keep, steps.band, 0)))]
    while steps.parent[way[-1]] > 0:
        way.append(int(steps.parent[way[-1]]))
    own = np.zeros(keep.size, bool)
    own[way] = True
    for _ in range(_SIDE_STEPS):
        own |= keep & own[steps.parent] & (steps.parent > 0)
    return RibPath(steps.voxels[own[steps.piece]], steps.middle[way[::-1]])


def _rib_like(steps: _Steps, sign: int, grid: Geometry, *, config: AnatomyConfig) -> BoolArray:
    """Return the pieces that continue a rib: thin, not climbing, not turning back; nor anything before them."""
    # A seed is a slab of its own thickness, and the first step grows from both its faces.
    thick = np.where(steps.parent == 0, _SEED_STEPS, 1) * _STEP_MM
    area = steps.size * grid.voxel_ml * 1000.0 / thick
    place = steps.middle * np.asarray(grid.spacing_mm)
    keep = area <= config.rib_section_mm2
    keep[0] = False
    lowest, turned = place[:, 0].copy(), np.full(keep.size, -np.inf)
    for p in np.argsort(steps.band, kind="stable"):
        parent = steps.parent[p]
        if parent == 0 or not keep[p]:
            continue
        lowest[p] = min(lowest[parent], place[p, 0])
        turned[p] = turned[parent]
        heading = _heading(place[p] - place[_ancestor(steps.parent, int(p))], sign)
        back = False
        if heading is not None:
            turned[p] = max(turned[p], heading)
            back = heading < turned[p] - config.rib_turn_deg
        climbs = place[p, 0] - lowest[p] > config.rib_climb_mm
        keep[p] = keep[parent] and not climbs and not back
    return np.asarray(keep)


def _ancestor(parent: Nodes, piece: int) -> int:
    for _ in range(_HEADING_STEPS):
        if parent[piece] == 0:
            break
        piece = int(parent[piece])
    return piece


def _heading(step: Points, sign: int) -> float | None:
    """Direction in the axial plane, degrees: 0 away from the spine, 90 forward, 180 back to the midline.

    A rib turns only one way around the chest; a short or steep step has no direction (None).
    """
    out, front = sign * step[2], -step[1]
    if np.hypot(out, front) < 0.4 * np.linalg.norm(step) or np.hypot(out, front) < _STEP_MM:
        return None
    angle = float(np.degrees(np.arctan2(front, out)))
    return angle + 360.0 if angle < -120.0 else angle
