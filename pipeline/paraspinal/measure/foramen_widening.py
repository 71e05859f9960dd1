"""By how much the foramina that a mass reaches are wider than the patient's own clean ones say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.config import MeasureConfig
from paraspinal.masses.types import Mass
from paraspinal.measure.foramen import Foramen, tunnels_at
from paraspinal.measure.gates import why_not
from paraspinal.measure.null_limit import null_limit
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import Geometry

_REACH_MM = 5.0  # from a foramen's tunnel to the mass that runs through it
_CLEAN_MM = 8.0  # a foramen nearer to a mass is nobody's reference
_NEIGHBOURS = 2
_LEAST_REFERENCES, _LEAST_NULLS = 2, 6
_LEAST_SD_MM = 0.5
_WIDTH, _EXCESS = "foramen_width_mm", "foramen_widening_mm"
_SKIP = (
    "T1"  # its foramen lies behind the shoulders, and no thoracic one above it tells how wide it should be
)


@dataclass(frozen=True, slots=True)
class Foramina:
    """All foramina of a patient; ``clean`` are the indices of those beside which no mass lies.

    ``nulls_mm`` are the excesses that clean foramina read when they are judged as those beside a mass are.
    """

    each: tuple[Foramen, ...]
    clean: frozenset[int]
    nulls_mm: npt.NDArray[np.float64]

    def excess_mm(self, index: int) -> float | None:
        """Return how much wider a foramen is than the clean ones around it; None where they are too few."""
        widths = [self.each[k].width_mm for k in self._around(index)]
        if len(widths) < _LEAST_REFERENCES:
            return None
        return self.each[index].width_mm - float(np.median(widths))

    def _around(self, index: int) -> list[int]:
        """Return the clean foramina of the same level and of two levels above and below, both sides."""
        levels = list(dict.fromkeys(f.label for f in self.each))
        at = levels.index(self.each[index].label)
        near = set(levels[max(0, at - _NEIGHBOURS) : at + _NEIGHBOURS + 1])
        return [k for k in self.clean if k != index and self.each[k].label in near]


def clean_foramina(foramina: Sequence[Foramen], masses: Sequence[Mass], geometry: Geometry) -> Foramina:
    """Return the foramina with those that no mass comes near as references of each other."""
    each = tuple(f for f in foramina if f.label != _SKIP)
    touched: frozenset[int] = frozenset()
    for mass in masses:
        touched |= tunnels_at(each, mass.region, geometry, within_mm=_CLEAN_MM)
    clean = frozenset(range(len(each))) - touched
    bare = Foramina(each, clean, np.zeros(0))
    nulls = [e for k in sorted(clean) if (e := bare.excess_mm(k)) is not None]
    return Foramina(each, clean, np.asarray(nulls, float))


def measure_foramina(
    foramina: Foramina,
    mass: Mass,
    view: MassView,
    geometry: Geometry,
    quality: ScanQuality,
    config: MeasureConfig,
) -> Measurements:
    """Return the width of the foramen beside a mass that exceeds its references most, and that excess."""
    refusal = why_not(_WIDTH, quality, config, slice_mm=view.slice_mm)
    if refusal is not None:
        return _neither(refusal)
    reached = tunnels_at(foramina.each, mass.region, geometry, within_mm=_REACH_MM)
    if not reached:
        return _neither("the mass reaches no foramen that could be read")
    if foramina.nulls_mm.size < _LEAST_NULLS:
        return _neither("too few foramina without a mass as reference")
    told = [(e, k) for k in sorted(reached) if (e := foramina.excess_mm(k)) is not None]
    if not told:
        return _neither("too few foramina without a mass near this level")
    excess, index = max(told)
    worst = foramina.each[index]
    spread = max(float(np.std(foramina.nulls_mm)), _LEAST_SD_MM)
    limit = max(null_limit(foramina.nulls_mm, sites=len(told)), 0.0)
    where = f"below {worst.label}, {worst.side}"
    return {
        _WIDTH: Measurement.measured(
            worst.width_mm, "mm", type_a=spread, method="type A: spread of clean foramina", region=where
        ),
        _EXCESS: _excess(excess, spread, limit, where),
    }


def _excess(excess: float, spread: float, limit: float, where: str) -> Measurement:
    if excess <= limit:
        return Measurement.below("mm", f"no wider than foramina without a mass are, {where}", limit=limit)
    return Measurement.measured(
        excess,
        "mm",
        type_a=spread,
        method="type A: spread of clean foramina against those around them",
        detection_limit=limit,
        region=where,
    )


def _neither(reason: str) -> Measurements:
    return {key: Measurement.missing("mm", reason) for key in (_WIDTH, _EXCESS)}
