"""The measurements of bone that is missing beside a mass: hollows in kinds, their area, and lost cortex."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.masses.types import Mass
from paraspinal.measure.erosion import CleanWalls, Defect, Judged, clean_walls, judge_erosion
from paraspinal.measure.gates import why_not
from paraspinal.measure.lost_cortex import ALIKE_RAYS
from paraspinal.measure.sclerotic_rim import KEY as RIM
from paraspinal.measure.sclerotic_rim import measure_sclerotic_rim
from paraspinal.measure.view import MassView
from paraspinal.measure.wall import rays_at, read_walls
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray, CTVolume

_CLEAN_MM = 4.0  # wall nearer to a mass is no reference
_LYTIC, _SMOOTH, _AREA = "lytic_depth_mm", "scalloping_depth_mm", "bone_defect_area_mm2"
_KEPT = "bone_defect_cortex_kept_probability"
_BARE, _BREAK = "bone_interface_without_cortex_fraction", "breakthrough_fraction"
_LEAST_SHELL = 18  # rays: a third of what a small mass faces
_LEAST_SIDES = 6
_SOFT_HU = 50.0
_METHOD = "type A: spread of single rays of clean walls against their reference"
_UNKNOWN_KIND = "a hollow whose floor cannot be told to have a cortex or none"


def survey_walls(
    volume: CTVolume, anatomy: Anatomy, masses: Sequence[Mass], *, metal: frozenset[str] = frozenset()
) -> CleanWalls:
    """Return the walls of all vertebral bodies without `metal`, thoracic and lumbar, as references of each other."""
    walls = [wall for wall in read_walls(volume, anatomy) if wall.label not in metal]
    facing: dict[str, BoolArray] = {}
    for mass in masses:
        for label, rays in rays_at(walls, mass.region, volume.geometry, within_mm=_CLEAN_MM).items():
            facing[label] = facing[label] | rays if label in facing else rays
    return clean_walls(walls, facing)


def measure_bone_defect(
    volume: CTVolume,
    walls: CleanWalls,
    mass: Mass,
    view: MassView,
    quality: ScanQuality,
    config: MeasureConfig,
) -> Measurements:
    """Return depth per kind and area of the hollows that a mass faces (`erosion`), and the cortex that is lost.

    ``bone_defect_cortex_kept_probability`` tells how sure the kind of the deepest one is.

    ``bone_interface_without_cortex_fraction`` counts the floors of hollows, too; ``breakthrough_fraction`` what lies
    outside hollows, where the bone has kept its form (`lost_cortex`).
    """
    refusal = why_not(_LYTIC, quality, config, slice_mm=view.slice_mm)
    if refusal is not None:
        return _neither(refusal)
    core = view.deeper_than(config.core_depth_mm)
    values = view.hu[core if core.any() else view.mask]
    facing = rays_at(walls.walls, mass.region, volume.geometry, within_mm=config.bone_contact_mm)
    mass_hu = float(np.median(values))
    judged = judge_erosion(walls, facing, mass_hu=mass_hu)
    if judged is None:
        return _neither("too few vertebrae face no mass: what is normal in this patient is not known")
    if not judged.judged:
        why = [f"{label}: {reason}" for label, reason in judged.skipped.items()]
        return _neither("; ".join(why) or "the mass lies against the side of no vertebral body")
    rim = {RIM: measure_sclerotic_rim(judged, walls, outside_hu=max(_SOFT_HU, mass_hu))}
    return _depths(judged) | _lost(judged, walls) | rim


def _lost(judged: Judged, walls: CleanWalls) -> Measurements:
    told = sum(int(np.count_nonzero(s.told)) for s in judged.shells.values())
    lost = sum(int(np.count_nonzero(s.lost)) for s in judged.shells.values())
    return {
        _BARE: _share(lost, told, judged, walls),
        _BREAK: _share(*judged.lost_outside_hollows(), judged, walls),
    }


def _share(lost: int, told: int, judged: Judged, walls: CleanWalls) -> Measurement:
    """Return a share of rays; what the patient's clean sides show, too, is below the limit."""
    if told < _LEAST_SHELL:
        return Measurement.missing("1", "too little of the touching wall has a cortex that could be judged")
    if walls.lost_shares.size < _LEAST_SIDES:
        return Measurement.missing("1", "the cortex of too few clean sides could be read")
    share = lost / told
    independent = max(1.0, told / ALIKE_RAYS)
    # Laplace's rule keeps the variance off 0 where all or none is lost.
    binomial = np.sqrt(
        (lost / ALIKE_RAYS + 1.0) * ((told - lost) / ALIKE_RAYS + 1.0) / (independent + 2.0) ** 3
    )
    sampling = float(binomial)
    limit = max(float(np.percentile(walls.lost_shares, 95.0)), 1.0 / independent)
    where = ", ".join(judged.shells)
    if share <= limit:
        return Measurement.below(
            "1", f"no more than clean sides of this patient show, at {where}", limit=limit
        )
    return Measurement.measured(
        share,
        "1",
        type_a=float(np.hypot(sampling, walls.lost_shares.std())),
        method="type A: binomial over independent stretches of cortex, spread of clean sides",
        detection_limit=limit,
        region=where,
        reason=_not_judged(judged),
    )


def _depths(judged: Judged) -> Measurements:
    unknown = [d for d in judged.defects if d.cortex_kept is None]
    by_kind = {
        _LYTIC: [d for d in judged.defects if d.cortex_kept is False],
        _SMOOTH: [d for d in judged.defects if d.cortex_kept is True],
    }
    out = {
        key: Measurement.missing("mm", _UNKNOWN_KIND) if unknown and not own else _deepest(own, judged)
        for key, own in by_kind.items()
    }
    if not judged.defects:
        area = Measurement.below("mm2", _none_seen(judged), limit=judged.least_area_mm2)
    else:
        area = Measurement.measured(
            sum(d.area_mm2 for d in judged.defects),
            "mm2",
            type_a=0.5 * judged.least_area_mm2,
            method="type A: half the smallest hollow that counts",
            region=", ".join(sorted({d.label for d in judged.defects})),
        )
    return out | {_AREA: area, _KEPT: _kept(judged)}


def _kept(judged: Judged) -> Measurement:
    """Return the probability that the floor of the deepest hollow has a cortex."""
    worst = max(judged.defects, key=lambda d: d.depth_mm, default=None)
    if worst is None:
        return Measurement.missing("1", _none_seen(judged))
    if worst.kept_probability is None:
        return Measurement.missing("1", _UNKNOWN_KIND)
    return Measurement.measured(
        worst.kept_probability,
        "1",
        method="mean profile of the floor against the same body's clean wall",
        region=worst.label,
    )


def _deepest(defects: Sequence[Defect], judged: Judged) -> Measurement:
    if not defects:
        return Measurement.below("mm", _none_seen(judged), limit=judged.limit_mm)
    worst = max(defects, key=lambda d: d.depth_mm)
    return Measurement.measured(
        worst.depth_mm,
        "mm",
        type_a=judged.spread_mm,
        method=_METHOD,
        detection_limit=judged.limit_mm,
        region=worst.label,
        reason=_not_judged(judged),
    )


def _none_seen(judged: Judged) -> str:
    seen = f"no hollow beyond what {judged.readings} clean sides show was seen at {', '.join(judged.judged)}"
    return "; ".join(filter(None, [seen, _not_judged(judged)]))


def _not_judged(judged: Judged) -> str | None:
    return f"not judged: {', '.join(judged.skipped)}" if judged.skipped else None


def _neither(reason: str) -> Measurements:
    units = {_LYTIC: "mm", _SMOOTH: "mm", _AREA: "mm2", _KEPT: "1", _BARE: "1", _BREAK: "1", RIM: "[hnsf'U]"}
    return {key: Measurement.missing(unit, reason) for key, unit in units.items()}
