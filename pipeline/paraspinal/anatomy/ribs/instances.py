"""Rib instances: bone that is a rib, where each begins, how far it goes, and which vertebra bears it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.signal import find_peaks
from scipy.spatial import cKDTree

from paraspinal.anatomy.ribs.bone import rib_bone
from paraspinal.anatomy.ribs.heads import bearing_places, rib_heads
from paraspinal.anatomy.ribs.order import order_entering
from paraspinal.anatomy.ribs.tracks import BoneGraph, Nodes, RibPath, bone_graph, follow_ribs
from paraspinal.anatomy.spine.canal import CanalTrace
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.discs import DiscBorders
from paraspinal.config import AnatomyConfig
from paraspinal.result import Side
from paraspinal.volume import BoolArray, Geometry

_BRIDGE_ROUNDS = 3
_BRIDGE_COS = 0.7  # the piece beyond a gap lies within 45 degrees of the rib's direction
_MIN_SEED = 6  # voxels, 48 mm³: less is noise or a vessel's wall
_SHEET_AHEAD_MM = (
    -45.0,
    18.0,
)  # where ribs cross the sheet, before the canal's middle; rib 1 lies farthest forward
_SHEETS = 4  # half a sheet farther out each: 12 mm in all
_SECTION_MM = 26.0  # a rib that falls by 60 degrees has no taller section through the sheet
_RIBS_APART_MM = 14.0  # neighbouring ribs' necks lie farther apart than this
_ENTERING_MM = 15.0  # an entering piece is followed at least so far


@dataclass(frozen=True, slots=True)
class RibTrack:
    """One rib, or a transverse process that looks like a short one (``reach_mm`` tells).

    ``place`` is the bearing vertebra's place in the sequence, caudal first (beyond its ends for ribs whose head lies
    outside the scan), None where that is unknown. ``voxels`` [n, 3] and ``path`` [m, 3] (medial end first) are
    indices of the working grid. ``reach_mm`` is the farthest distance from the midline, ``length_mm`` that along the
    path; both are lower bounds where ``cut`` says that the scan cuts the rib at either end. ``headed`` says that its
    neck is in the scan.
    """

    side: Side
    place: int | None
    voxels: Nodes
    path: npt.NDArray[np.float64]
    reach_mm: float
    length_mm: float
    cut: bool
    headed: bool
    head: npt.NDArray[np.float64] | None = None


def find_rib_tracks(
    hu: npt.NDArray[np.float32],
    contrast: npt.NDArray[np.float32],
    body: BoolArray,
    padding: BoolArray,
    trace: CanalTrace,
    where: SpineCoordinates,
    borders: DiscBorders,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> tuple[RibTrack, ...]:
    """Find all ribs in the scan, those that enter it from above included.

    Parameters
    ----------
    hu, contrast, body, padding : ndarrays, [z, y, x]
        HU, `ribs.bone_contrast`, the body, and what lies outside the reconstructed field.
    """
    midline = trace.at(np.arange(grid.shape[0])) * np.asarray(grid.spacing_mm[1:])
    bone = rib_bone(hu, contrast, body, grid, config=config)
    graph = bone_graph(bone & ~_central(midline, where, grid, config=config), grid)
    seeds, signs = _sheet_seeds(graph, where, config=config)
    headed = len(seeds)
    _, reached = follow_ribs(graph, seeds, signs, grid, config=config)
    entering, entering_signs = _entering_seeds(graph, reached, midline, grid)
    seeds, signs = seeds + entering, signs + entering_signs
    paths = _follow_over_gaps(graph, seeds, signs, grid, config=config)
    tracks, kept = [], []
    for k, path in enumerate(paths):
        if path is None or (k >= headed and not _enters_like_a_rib(path, signs[k], grid)):
            continue
        tracks.append(_track(path, signs[k], midline, body, padding, grid, headed=k < headed))
        if k < headed:
            kept.append(graph.voxels[seeds[k]])
    heads = rib_heads(hu, where, kept, grid, config=config)
    tracks = [
        t for t in bearing_places(tracks, heads, where, borders, grid) if t.place is not None or not t.headed
    ]
    return order_entering(tracks, midline, where, borders, grid, config=config)


def _central(
    midline: npt.NDArray[np.float64], where: SpineCoordinates, grid: Geometry, *, config: AnatomyConfig
) -> BoolArray:
    """Return the zone of the spine and of the sternum, where bone is no rib's shaft."""
    _, ny, nx = grid.shape
    y, x = np.arange(ny) * grid.spacing_mm[1], np.arange(nx) * grid.spacing_mm[2]
    near = np.abs(x[None, :] - midline[:, 1:]) < config.sternum_half_mm
    front = midline[:, :1] - y[None, :] > 45.0
    zone = front[:, :, None] & near[:, None, :]
    zone[where.box] |= (np.abs(where.left) < config.rib_cut_mm) & (where.anterior <= 45.0)
    return zone


def _sheet_seeds(
    graph: BoneGraph, where: SpineCoordinates, *, config: AnatomyConfig
) -> tuple[list[Nodes], list[int]]:
    """Sections of bone through a sheet beside the transverse processes: one per rib, as node numbers, and its side.

    Where transverse processes or ribs join each other in the sheet, the next one farther out is taken.
    """
    local = graph.voxels - [part.start for part in where.box]
    nodes = np.flatnonzero(((local >= 0) & (local < where.s.shape)).all(axis=1))
    at = tuple(local[nodes].T)
    near = (where.anterior[at] > _SHEET_AHEAD_MM[0]) & (where.anterior[at] < _SHEET_AHEAD_MM[1])
    nodes = nodes[near]
    at = tuple(local[nodes].T)
    left, s = where.left[at], where.s[at]
    sheet = np.flatnonzero(_between(left, *config.rib_sheet_mm))
    seeds, signs = [], []
    half = 0.5 * (config.rib_sheet_mm[1] - config.rib_sheet_mm[0])
    for step in range(_SHEETS):
        pieces = _pieces(local[nodes[sheet]], where.s.shape)
        joined = []
        for piece in range(1, int(pieces.max(initial=0)) + 1):
            own = sheet[pieces == piece]
            if own.size < _MIN_SEED:
                continue
            tall = float(np.ptp(s[own])) > _SECTION_MM
            if tall and step + 1 < _SHEETS:
                joined.append(own)
                continue
            parts = _sections(own, s[own]) if tall else [own]
            seeds += [nodes[part] for part in parts]
            signs += [1 if left[own].mean() > 0 else -1] * len(parts)
        if not joined:
            break
        low, high = (edge + (step + 1) * half for edge in config.rib_sheet_mm)
        sheet = _reached_from(
            np.concatenate(joined), np.flatnonzero(_between(left, low, high)), local[nodes], where.s.shape
        )
    return seeds, signs


def _sections(own: Nodes, s: npt.NDArray[np.float32]) -> list[Nodes]:
    """Part sections that hang together along the spine at the thin places between them."""
    first = float(s.min())
    amount = ndimage.gaussian_filter1d(np.bincount(((s - first) / 2.0).astype(int)).astype(float), 1.0)
    peaks, _ = find_peaks(np.pad(amount, 1), distance=_RIBS_APART_MM / 2.0, prominence=0.2 * amount.max())
    middles = first + 2.0 * (peaks - 1) + 1.0
    parts = [own[np.abs(s - middle) < _RIBS_APART_MM / 2.0] for middle in middles]
    return [part for part in parts if part.size >= _MIN_SEED]


def _between(left: npt.NDArray[np.float32], low: float, high: float) -> npt.NDArray[np.bool_]:
    lateral = np.abs(left)
    return np.asarray((lateral > low) & (lateral < high))


def _reached_from(inner: Nodes, outer: Nodes, voxels: Nodes, shape: tuple[int, ...]) -> Nodes:
    """Return those of the outer sheet's nodes that hang together with the inner ones."""
    both = np.union1d(inner, outer)
    pieces = _pieces(voxels[both], shape)
    own = np.unique(pieces[np.isin(both, inner)])
    found: Nodes = np.intersect1d(both[np.isin(pieces, own)], outer)
    return found


def _pieces(voxels: npt.NDArray[np.integer], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return the connected piece, from 1, of each of some voxels."""
    mask = np.zeros(shape, bool)
    mask[tuple(voxels.T)] = True
    pieces = np.asarray(cc3d.connected_components(mask, connectivity=26), np.int64)
    return np.asarray(pieces[tuple(voxels.T)])


def _entering_seeds(
    graph: BoneGraph, reached: npt.NDArray[np.bool_], midline: npt.NDArray[np.float64], grid: Geometry
) -> tuple[list[Nodes], list[int]]:
    """Sections of other bone through the scan's upper end: ribs slope down, so one without its head enters there."""
    top = grid.shape[0] - 2
    nodes = np.flatnonzero(~reached & (graph.voxels[:, 0] >= top))
    pieces = _pieces(graph.voxels[nodes] - np.array([top, 0, 0]), (2, *grid.shape[1:]))
    seeds, signs = [], []
    for piece in range(1, int(pieces.max(initial=0)) + 1):
        own = nodes[pieces == piece]
        if own.size >= _MIN_SEED:
            seeds.append(own)
            x = graph.voxels[own, 2].mean() * grid.spacing_mm[2]
            signs.append(1 if x > midline[-1, 1] else -1)
    return seeds, signs


def _enters_like_a_rib(path: RibPath, sign: int, grid: Geometry) -> bool:
    """Tell whether a piece goes down and around the chest; an arm goes straight down, a costal cartilage back."""
    way = (path.path[-1] - path.path[0]) * np.asarray(grid.spacing_mm)
    forward, out = -way[1], sign * way[2]
    if np.linalg.norm(way) < _ENTERING_MM or way[0] > -0.2 * np.linalg.norm(way):
        return False
    return bool(max(forward, out) > 0.35 * -way[0] and forward > -0.3 * abs(way[0]))


def _follow_over_gaps(
    graph: BoneGraph, seeds: Sequence[Nodes], signs: Sequence[int], grid: Geometry, *, config: AnatomyConfig
) -> list[RibPath | None]:
    """Follow all ribs; where one ends and bone goes on in its direction, carry on there."""
    places = graph.voxels * np.asarray(grid.spacing_mm)
    paths, reached = follow_ribs(graph, seeds, signs, grid, config=config)
    for _ in range(_BRIDGE_ROUNDS):
        free = np.flatnonzero(~reached)
        if free.size == 0:
            break
        tree = cKDTree(places[free])
        bridges = []
        for path in paths:
            link = None if path is None else _bridge(path, tree, places[free], grid, config=config)
            if path is not None and link is not None:
                target = int(free[link])
                tip = path.voxels[
                    np.argmin(np.abs(path.voxels * grid.spacing_mm - places[target]).sum(axis=1))
                ]
                node = int(np.flatnonzero((graph.voxels == tip).all(axis=1))[0])
                bridges.append((node, target, float(np.linalg.norm(places[node] - places[target]))))
        if not bridges:
            break
        graph = graph.bridged(bridges)
        paths, reached = follow_ribs(graph, seeds, signs, grid, config=config)
    return paths


def _bridge(
    path: RibPath,
    tree: cKDTree,
    free: npt.NDArray[np.float64],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> int | None:
    """Return the nearest free voxel ahead of a rib's tip, None where there is none."""
    way = path.path * np.asarray(grid.spacing_mm)
    if len(way) < 2:
        return None
    ahead = way[-1] - way[max(0, len(way) - 5)]
    ahead /= max(float(np.linalg.norm(ahead)), 1e-6)
    near = np.asarray(tree.query_ball_point(way[-1], config.rib_gap_mm), int)
    if near.size == 0:
        return None
    gap = free[near] - way[-1]
    far = np.linalg.norm(gap, axis=1)
    good = gap @ ahead > _BRIDGE_COS * far
    return int(near[good][np.argmin(far[good])]) if good.any() else None


def _track(
    path: RibPath,
    sign: int,
    midline: npt.NDArray[np.float64],
    body: BoolArray,
    padding: BoolArray,
    grid: Geometry,
    *,
    headed: bool,
) -> RibTrack:
    spacing = np.asarray(grid.spacing_mm)
    middle = midline[np.clip(path.voxels[:, 0], 0, len(midline) - 1), 1]
    reach = float((sign * (path.voxels[:, 2] * spacing[2] - middle)).max())
    length = float(np.linalg.norm(np.diff(path.path * spacing, axis=0), axis=1).sum())
    return RibTrack(
        side="left" if sign > 0 else "right",
        place=None,
        voxels=path.voxels,
        path=path.path,
        reach_mm=reach,
        length_mm=length,
        cut=not headed or _leaves(path, padding, grid),
        headed=headed,
    )


def _leaves(path: RibPath, padding: BoolArray, grid: Geometry) -> bool:
    """Tell whether the last step lies at the end of the scan or of the round field of view.

    What begins at the spine slopes down: where any of it lies in the lowest slices it goes on below.
    """
    if path.voxels[:, 0].min() <= 1:
        return True
    far = np.linalg.norm((path.voxels - path.path[-1]) * np.asarray(grid.spacing_mm), axis=1)
    tip = path.voxels[far < 12.0]
    if (tip.min(axis=0) <= 1).any() or (tip.max(axis=0) >= np.asarray(grid.shape) - 2).any():
        return True
    low, high = np.maximum(tip.min(axis=0) - 2, 0), tip.max(axis=0) + 3
    return bool(padding[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].any())
