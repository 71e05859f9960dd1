"""Vertebrae as instances: body, arch and processes of each, and the discs between them.

Bodies end at their end plates. Arches hang on their bodies by the pedicles alone, so each voxel of an arch belongs to
the body from which it is reached soonest through bone; where bone of neighbours touches (facet joints), a path pays
for leaving the height at which a vertebra's arch lies at that depth.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse.csgraph import dijkstra

from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.discs import DiscBorders
from paraspinal.anatomy.spine.end_plates import EndPlates
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

Indices = npt.NDArray[np.uint8]
_STEPS = np.array(
    [s for s in itertools.product((-1, 0, 1), repeat=3) if s > (0, 0, 0) and sum(map(abs, s)) < 3]
)
"""Links to half of a voxel's 18 neighbours; the other half link to it."""

_PEDICLES_SHARE = 0.5  # pedicles leave the body in its upper half
_END_VOXELS = 2


@dataclass(frozen=True, slots=True)
class SpineParts:
    """Place of each voxel of the spine's box: index + 1 (caudal first) of its vertebra or disc border; 0 elsewhere.

    ``body`` tells which voxels of ``vertebra`` belong to the body; the others are arch and processes.
    """

    vertebra: Indices
    disc: Indices
    body: BoolArray


def part_spine(
    hu: npt.NDArray[np.float32],
    bone: BoolArray,
    column: BoolArray,
    canal: BoolArray,
    ribs: BoolArray,
    where: SpineCoordinates,
    plates: EndPlates,
    borders: DiscBorders,
    length_mm: float,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> SpineParts:
    """Part the spine into vertebrae and discs.

    Parameters
    ----------
    hu, bone, column, canal, ribs : ndarrays, [z, y, x]
        On the whole working grid.

    Returns
    -------
    SpineParts
        In `where`'s box.
    """
    box = where.box
    inside = column[box] & ~canal[box]
    vertebra, disc = _part_column(inside, where, plates, len(borders.s_mm))
    body = vertebra > 0
    arch = bone[box] & ~column[box] & ~canal[box] & ~ribs[box]
    arch &= (np.abs(where.left) < config.arch_side_mm) & (where.anterior < config.arch_front_mm)
    arch &= where.anterior > -config.arch_back_mm
    arch &= (where.s > -config.arch_below_mm) & (where.s < length_mm + config.arch_below_mm)
    vertebra = np.where(
        body, vertebra, _part_arches(hu[box], arch, vertebra, where, borders, length_mm, grid, config=config)
    )
    return SpineParts(vertebra.astype(np.uint8), disc, body)


def _part_column(
    inside: BoolArray, where: SpineCoordinates, plates: EndPlates, count: int
) -> tuple[Indices, Indices]:
    """Return vertebra and disc indices of the column's voxels."""
    at = np.nonzero(inside)
    s, anterior, left = where.s[at], where.anterior[at], where.left[at]
    above = np.zeros(len(s), np.uint8)  # how many discs lie below
    disc = np.zeros(len(s), np.uint8)
    for k in range(count):
        low, high = plates.below[k].min(), plates.above[k].max()
        above[s > high] += 1
        near = np.flatnonzero((s >= low) & (s <= high))
        up = plates.at(plates.above, k, anterior[near], left[near])
        down = plates.at(plates.below, k, anterior[near], left[near])
        above[near] += s[near] > up
        disc[near[(s[near] >= down) & (s[near] <= up)]] = k + 1
    numbers = np.where((above > 0) & (above < count), above, 0).astype(np.uint8)
    numbers[disc > 0] = 0
    out = np.zeros((2, *inside.shape), np.uint8)
    out[0][at], out[1][at] = numbers, disc
    return out[0], out[1]


def _part_arches(
    hu: npt.NDArray[np.float32],
    arch: BoolArray,
    body: Indices,
    where: SpineCoordinates,
    borders: DiscBorders,
    length_mm: float,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> Indices:
    """Give every voxel of bone behind the bodies to the body from which it is reached at the least cost."""
    spacing = np.asarray(grid.spacing_mm)
    touching = ndimage.binary_dilation(arch, ndimage.generate_binary_structure(3, 2)) & (body > 0)
    voxels = np.argwhere(arch | touching)
    node = np.full(arch.shape, -1, np.int32)
    node[tuple(voxels.T)] = np.arange(len(voxels))
    at = tuple(voxels.T)
    seed = body[at]
    at_end = at[0] + where.box[0].start >= grid.shape[0] - _END_VOXELS
    hanging = _from_above(where.s[at], where.anterior[at], at_end, borders, length_mm, config=config)
    seed = np.where(seed > 0, seed, hanging)
    cost = (
        1.0 + config.arch_gap_cost * np.clip(config.arch_dense_hu - hu[at], 0.0, None) / config.arch_dense_hu
    )
    s, behind = where.s[at], np.maximum(0.0, -where.anterior[at])
    best = np.full(len(voxels), np.inf)
    owner = np.zeros(len(voxels), np.uint8)
    edges = _edges(voxels, node, spacing)
    for k in range(len(borders.s_mm) - 1):
        low, high = float(borders.s_mm[k]), float(borders.s_mm[k + 1])
        window = (s > low - config.arch_fall_mm) & (s < high + 12.0) & ((seed == 0) | (seed == k + 1))
        if not (window & (seed == k + 1)).any():
            continue
        off = _off_height(s[window], behind[window], low, high, config=config)
        reached = _travel(window, cost[window] * (1.0 + off / config.arch_stray_mm), edges, seed == k + 1)
        own = np.flatnonzero(window)
        better = reached < best[own]
        best[own[better]] = reached[better]
        owner[own[better]] = k + 1
    owner[best > config.arch_reach_mm] = 0
    out = np.zeros(arch.shape, np.uint8)
    out[at] = np.where(body[at] > 0, 0, owner)
    return out


def _from_above(
    s: npt.NDArray[np.float32],
    anterior: npt.NDArray[np.float32],
    at_end: BoolArray,
    borders: DiscBorders,
    length_mm: float,
    *,
    config: AnatomyConfig,
) -> Indices:
    """Seed the arch that hangs down from a vertebra whose pedicles lie above the scan, at the scan's end."""
    seed = np.zeros(len(s), np.uint8)
    top = len(borders.s_mm) - 1
    if top < 2:
        return seed
    low, high = float(borders.s_mm[-2]), float(borders.s_mm[-1])
    if length_mm > low + _PEDICLES_SHARE * (high - low):
        return seed
    behind = np.maximum(0.0, -anterior)
    own = _off_height(s, behind, low, high, config=config)
    below = _off_height(s, behind, float(borders.s_mm[-3]), low, config=config)
    seed[at_end & (anterior < 0.0) & (own < below)] = top
    return seed


def _off_height(
    s: npt.NDArray[np.float32],
    behind: npt.NDArray[np.float32],
    low: float,
    high: float,
    *,
    config: AnatomyConfig,
) -> npt.NDArray[np.float64]:
    """How far (mm) voxels lie above or below the heights that an arch takes at their depth behind the canal."""
    height = high - low
    back = np.clip(behind / config.arch_slope_depth_mm, 0.0, 1.0)
    bottom = low + height * (config.arch_bottom[0] + (config.arch_bottom[1] - config.arch_bottom[0]) * back)
    top = low + height * (config.arch_top[0] + (config.arch_top[1] - config.arch_top[0]) * back)
    return np.asarray(np.maximum(0.0, np.maximum(bottom - s, s - top)), float)


def _edges(
    voxels: npt.NDArray[np.int64], node: npt.NDArray[np.int32], spacing: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Return both ends and the length (mm) of every link between neighbouring voxels."""
    padded = np.pad(node, 1, constant_values=-1)
    first, second, length = [], [], []
    for step in _STEPS:
        other = padded[tuple((voxels + 1 + step).T)]
        linked = np.flatnonzero(other >= 0)
        first.append(linked.astype(np.int32))
        second.append(other[linked])
        length.append(np.full(len(linked), float(np.linalg.norm(step * spacing))))
    return np.concatenate(first), np.concatenate(second), np.concatenate(length)


def _travel(
    window: BoolArray,
    cost: npt.NDArray[np.float64],
    edges: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float64]],
    source: BoolArray,
) -> npt.NDArray[np.float64]:
    """Least cost of a way from any source to each node of the window."""
    place = np.cumsum(window) - 1
    first, second, length = edges
    kept = window[first] & window[second]
    a, b = place[first[kept]], place[second[kept]]
    weight = length[kept] * 0.5 * (cost[a] + cost[b])
    count = int(window.sum())
    graph = sparse.csr_matrix((weight, (a, b)), shape=(count, count))
    starts = np.flatnonzero(source[window])
    return np.asarray(dijkstra(graph, directed=False, indices=starts, min_only=True))
