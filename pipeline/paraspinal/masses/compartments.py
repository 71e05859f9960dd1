"""The paravertebral compartments on the working grid, in the box of the spine coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.morphology import dilate, distance_inside
from paraspinal.anatomy.spine.levels import VERTEBRA_NUMBERS
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.masses.heights import diaphragm_s, top_s
from paraspinal.volume import BoolArray, LabelMap

_LEAST_LUNG_VOXELS = 500
_LIKELY = 0.5
_RIGHT = 100


@dataclass(frozen=True, slots=True)
class Compartments:
    """Where a mass can be, in the box of `Anatomy.spine` ([z, y, x]).

    ``zone`` is the compartment of both sides; ``search`` the larger space into which a candidate may grow;
    ``to_column_mm`` the distance to the vertebral column; ``front_mm`` the anterior vertebral line in front of the
    canal; ``diaphragm_s`` the arc length above which the space is thoracic (`heights.diaphragm_s`).
    """

    zone: BoolArray
    search: BoolArray
    to_column_mm: npt.NDArray[np.float32]
    front_mm: float
    diaphragm_s: float


def paravertebral_compartments(anatomy: Anatomy, *, config: MassConfig) -> Compartments:
    """Return the compartments: beside the column, inside the chest wall, to 15 mm before the anterior vertebral line.

    Where no rib cage is seen (lumbar levels) the space in front of the transverse processes takes its place.
    """
    where = anatomy.spine
    spacing = anatomy.geometry.spacing_mm
    column = anatomy.mask("column")[where.box]
    to_column = (
        distance_inside(~column, spacing) if column.any() else np.full(column.shape, np.inf, np.float32)
    )
    front = float(np.percentile(where.anterior[column], 97)) if column.any() else 40.0
    cage = anatomy.mask("thoracic_cavity")[where.box]
    caged = cage.any(axis=(1, 2), keepdims=True)
    lateral = np.abs(where.left)
    ahead = where.anterior > np.where(lateral < config.behind_column_mm, config.posterior_limit_mm, -60.0)
    lumbar = (where.anterior > config.posterior_limit_mm) & (lateral < config.lateral_mm + 30.0)
    inner = np.where(caged, cage & ahead, lumbar)
    solid = dilate(anatomy.mask("ribs")[where.box], 2.0, spacing) | anatomy.mask("canal")[where.box] | column
    search = inner & ~solid & anatomy.mask("body")[where.box]
    zone = search & (lateral < config.lateral_mm) & (where.anterior < front + config.anterior_mm)
    zone &= (where.s > max(0.0, _lowest_s(anatomy))) & (where.s < anatomy.spine_length_mm)
    zone &= where.s < _highest_s(anatomy)
    for side in (where.left > 0, where.left <= 0):
        zone &= ~side | (where.s < _apex_s(anatomy, side, config=config))
    return Compartments(zone, search, to_column, front, diaphragm_s(anatomy))


def _highest_s(anatomy: Anatomy) -> float:
    """Arc length of the top of T1, above which lies the neck; infinite where it is not in view."""
    tops = [top_s(v) for v in anatomy.vertebrae if v.label == "T1" and v.confidence >= _LIKELY]
    return max(tops, default=np.inf)


def _lowest_s(anatomy: Anatomy) -> float:
    """Arc length of the middle of the L5–S1 disc: the compartment ends there."""
    ends = [v.s_mm for v in anatomy.vertebrae if v.label in ("L5", "S1") and v.confidence >= _LIKELY]
    return float(np.mean(ends)) if len(ends) == 2 else 0.0


def _apex_s(anatomy: Anatomy, side: BoolArray, *, config: MassConfig) -> float:
    """Arc length of the top of a lung beside the spine, above which the neck begins; infinite without lung."""
    where = anatomy.spine
    beside = anatomy.mask("lungs")[where.box] & side & (np.abs(where.left) < config.lateral_mm)
    if np.count_nonzero(beside) < _LEAST_LUNG_VOXELS:
        return np.inf
    return float(np.percentile(where.s[beside], 99.5)) + config.apex_mm


def compartment_map(anatomy: Anatomy, places: Compartments) -> LabelMap:
    """Return the compartments per level and side on the working grid: T1 to L5, by the likeliest names.

    A left one has its vertebra's number in the label map (27 for L5 … 43 for T1), a right one 100 more.
    """
    where = anatomy.spine
    data = np.zeros(anatomy.geometry.shape, np.uint16)
    inner = data[where.box]
    names = {}
    order = sorted(anatomy.vertebrae, key=lambda v: v.s_mm)
    borders = [0.5 * (a.s_mm + b.s_mm) for a, b in pairwise(order)]
    for vertebra, low, high in zip(order, [-np.inf, *borders], [*borders, np.inf], strict=True):
        if vertebra.label[0] not in "TL":
            continue
        here = places.zone & (where.s > low) & (where.s <= high)
        for side, beside, more in (("left", where.left > 0, 0), ("right", where.left <= 0, _RIGHT)):
            number = VERTEBRA_NUMBERS[vertebra.label] + more
            inner[here & beside] = number
            names[number] = f"{vertebra.label} {side}"
    return LabelMap(data, anatomy.geometry, names)
