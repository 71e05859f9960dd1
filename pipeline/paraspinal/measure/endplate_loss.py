"""The share of end plates that is gone at the interspaces beside a mass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from paraspinal.config import MeasureConfig
from paraspinal.masses.types import Mass
from paraspinal.measure.gates import why_not
from paraspinal.measure.interspace import Grid, Interspace, excess_share
from paraspinal.measure.null_limit import null_limit
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement
from paraspinal.volume import Geometry, Region

KEY = "endplate_loss_fraction"
_LOST_MM = 3.0  # soft tissue so much thicker than expected has taken bone
_REACH_MM = 8.0  # from the mass to the disc's side
_SOFT_HU = 50.0
_SOFT_RANGE_HU = (_SOFT_HU, 110.0)  # calcified or fatty masses are no measure of what fills an interspace
_LEAST_STEP_HU = 60.0  # from soft tissue to the body's density
_NEIGHBOURS, _LEAST_CLEAN, _LEAST_NEIGHBOURS = 2, 2, 3
_LEAST_NULLS = 4
_LEAST_LIMIT, _USUAL_LIMIT = 0.05, 0.1  # the latter where too few are clean: healthy ones read 0.07 at most
_ALIKE_COLUMNS = 6.0  # neighbouring places of the grid tell of the same bone
_COLUMNS = 96


@dataclass(frozen=True, slots=True)
class Interspaces:
    """All interspaces of a patient; ``clean`` are the indices of those that no mass comes near.

    ``nulls`` are the shares that clean ones read when they are judged as those beside a mass are.
    """

    each: tuple[Interspace, ...]
    clean: frozenset[int]
    nulls: npt.NDArray[np.float64]

    def loss(self, index: int, *, soft_hu: float = _SOFT_HU) -> float | None:
        """Return the share of an interspace whose end plates are gone; None where that cannot be told."""
        own = self.each[index]
        if min(own.core_hu) - soft_hu < _LEAST_STEP_HU:
            return None
        near = self._references(index)
        if not near:
            return None
        # By ring only: a disc is as thick on its left as on its right, and the neighbours' noise averages out.
        rings = np.median([np.median(self.each[k].soft_mm(soft_hu), axis=1) for k in near], axis=0)
        expected: Grid = np.asarray(rings, np.float32)[:, None]
        return excess_share(own.soft_mm(soft_hu), expected, least_mm=_LOST_MM)

    def _references(self, index: int) -> list[int]:
        """Return the clean neighbours or, where they are too few, all: a mass alone changes no interspace.

        Of three or four the median holds where one more is destroyed.
        """
        near = [k for k in range(len(self.each)) if k != index and abs(k - index) <= _NEIGHBOURS]
        clean = [k for k in near if k in self.clean]
        if len(clean) >= _LEAST_CLEAN:
            return clean
        return near if len(near) >= _LEAST_NEIGHBOURS else []


def clean_interspaces(each: Sequence[Interspace], masses: Sequence[Mass], geometry: Geometry) -> Interspaces:
    """Return the interspaces with those that no mass comes near as references of each other."""
    touched: frozenset[int] = frozenset()
    for mass in masses:
        touched |= _beside(each, mass.region, geometry)
    clean = frozenset(range(len(each))) - touched
    bare = Interspaces(tuple(each), clean, np.zeros(0))
    nulls = [share for k in sorted(clean) if (share := bare.loss(k)) is not None]
    return Interspaces(bare.each, clean, np.asarray(nulls, float))


def measure_endplate_loss(
    spaces: Interspaces,
    mass: Mass,
    view: MassView,
    geometry: Geometry,
    quality: ScanQuality,
    config: MeasureConfig,
) -> Measurement:
    """Return ``endplate_loss_fraction``: the greatest share of an interspace beside the mass without end plates."""
    refusal = why_not(KEY, quality, config, slice_mm=view.slice_mm)
    if refusal is not None:
        return Measurement.missing("1", refusal)
    beside = _beside(spaces.each, mass.region, geometry)
    if not beside:
        return Measurement.missing("1", "the mass lies beside no interspace that could be read")
    soft = float(np.clip(np.median(view.hu[view.mask]), *_SOFT_RANGE_HU))
    told = [(share, k) for k in sorted(beside) if (share := spaces.loss(k, soft_hu=soft)) is not None]
    if not told:
        return Measurement.missing("1", "bone too little denser than the mass, or too few interspaces near")
    share, index = max(told)
    known = spaces.nulls.size >= _LEAST_NULLS
    limit = max(null_limit(spaces.nulls, sites=len(told)), _LEAST_LIMIT) if known else _USUAL_LIMIT
    spread = float(spaces.nulls.std()) if known else _LEAST_LIMIT
    where = spaces.each[index].name
    if share <= limit and len(told) < len(beside):
        unread = ", ".join(spaces.each[k].name for k in sorted(beside - {k for _, k in told}))
        return Measurement.missing(
            "1", f"bone too little denser than the mass, or too few interspaces near {unread}"
        )
    if share <= limit:
        return Measurement.below("1", f"no more than interspaces without a mass show, {where}", limit=limit)
    binomial = float(np.sqrt(share * (1.0 - share) * _ALIKE_COLUMNS / _COLUMNS))
    return Measurement.measured(
        share,
        "1",
        type_a=float(np.hypot(max(binomial, _LEAST_LIMIT), spread)),
        method="type A: binomial over independent stretches of end plate, spread of clean interspaces",
        detection_limit=limit,
        region=where,
    )


def _beside(each: Sequence[Interspace], region: Region, geometry: Geometry) -> frozenset[int]:
    """Return the interspaces to whose side a region (native grid) comes."""
    points = np.argwhere(region.mask)
    tree = cKDTree(geometry.to_lps(points[:: max(1, len(points) // 20000)] + np.asarray(region.start)))
    return frozenset(k for k, space in enumerate(each) if tree.query(space.rim_lps_mm)[0].min() <= _REACH_MM)
