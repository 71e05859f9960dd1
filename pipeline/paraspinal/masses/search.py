"""The search for paraspinal masses: candidates by explaining away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from paraspinal.anatomy.morphology import dilate
from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.config import MassConfig
from paraspinal.masses.borders import native_region
from paraspinal.masses.candidates import SoftRegions, soft_regions
from paraspinal.masses.compartments import Compartments, paravertebral_compartments
from paraspinal.masses.coverage import assess_coverage
from paraspinal.masses.explain import Explanation, RegionFacts, describe_regions, diaphragm_s, explain
from paraspinal.masses.types import Mass, MassSearch
from paraspinal.result import ExplainedAway, Side
from paraspinal.volume import BoolArray, CTVolume, Region

_HIDING = ("effusion", "consolidation", "collapse", "liver", "spleen")
"""What hides a mass of like density above the diaphragm; below, organs beside the column are where they belong."""

_SUREST = 0.95  # no rule of ours is surer than this (engineering default)


def find_masses(volume: CTVolume, anatomy: Anatomy, *, config: MassConfig | None = None) -> MassSearch:
    """Find masses beside the spine on the working grid and refine their borders on the native grid.

    Returns
    -------
    MassSearch
        Masses (largest first), what was explained away with its reason, and the coverage per level and side.
    """
    config = config or MassConfig()
    places = paravertebral_compartments(anatomy, config=config)
    regions = soft_regions(anatomy, places, config=config)
    facts = describe_regions(regions, anatomy, places, config=config)
    verdicts = [(f, explain(f, anatomy, places, config=config)) for f in facts]
    hidden = _hiding(verdicts, regions, anatomy)
    masses = _masses(volume, anatomy, places, regions, [f for f, e in verdicts if e is None], config=config)
    return MassSearch(
        masses=_paired(masses),
        explained_away=tuple(_record(f, e, regions, anatomy) for f, e in verdicts if e is not None),
        coverage=assess_coverage(anatomy, places, hidden, regions, config=config),
    )


def _hiding(
    verdicts: list[tuple[RegionFacts, Explanation | None]], regions: SoftRegions, anatomy: Anatomy
) -> dict[str, BoolArray]:
    """Soft tissue above the diaphragm in which a mass of like density could not be told apart, per reason."""
    where = anatomy.spine
    thoracic = where.s > diaphragm_s(anatomy)
    out = {}
    for reason in _HIDING:
        labels = [f.label for f, e in verdicts if e and e.reason == reason]
        out[reason] = (np.isin(regions.labels, labels) | anatomy.mask(reason)[where.box]) & thoracic
    return out


def _record(facts: RegionFacts, why: Explanation, regions: SoftRegions, anatomy: Anatomy) -> ExplainedAway:
    centre = _whole(regions.labels == facts.label, anatomy).centroid_index()
    x, y, z = (float(v) for v in anatomy.geometry.to_lps(centre))
    return ExplainedAway(
        reason=why.reason,
        structure=why.structure,
        volume_ml=round(facts.volume_ml, 1),
        centroid_lps_mm=(x, y, z),
        confidence=why.confidence,
    )


def _whole(part: BoolArray, anatomy: Anatomy) -> Region:
    """Region on the working grid of a mask in the spine box."""
    tight = Region.of(part)
    start = tuple(s.start + k for s, k in zip(anatomy.spine.box, tight.start, strict=True))
    return Region((start[0], start[1], start[2]), tight.mask)


def _masses(
    volume: CTVolume,
    anatomy: Anatomy,
    places: Compartments,
    regions: SoftRegions,
    candidates: list[RegionFacts],
    *,
    config: MassConfig,
) -> list[Mass]:
    masses: list[Mass] = []
    # Chest wall and muscle look like a mass; of what the search space leaves out only the rim at bone may be one.
    outside = ~dilate(places.search, 2.0, anatomy.geometry.spacing_mm)
    for facts in sorted(candidates, key=lambda f: -f.volume_ml):
        part = regions.labels == facts.label
        coarse = _whole(part, anatomy).full(anatomy.geometry.shape)
        blocked = anatomy.mask("column") | anatomy.mask("canal") | anatomy.mask("aorta")
        blocked[anatomy.spine.box] |= ((regions.labels > 0) & ~part) | outside
        region = native_region(coarse, blocked & ~coarse, volume, anatomy, config=config)
        if region is not None:
            masses.append(_mass(len(masses) + 1, facts, region, volume, anatomy, config=config))
    return masses


def _mass(
    number: int,
    facts: RegionFacts,
    region: Region,
    volume: CTVolume,
    anatomy: Anatomy,
    *,
    config: MassConfig,
) -> Mass:
    x, y, z = (float(v) for v in volume.geometry.to_lps(region.centroid_index()))
    areas = region.mask.sum(axis=(1, 2))
    confidence = _confidence(facts, config=config)
    low, high = facts.s_range_mm
    top, bottom, middle = (_vertebra_at(anatomy, s) for s in (high, low, facts.s_mm))
    side: Side = "midline" if abs(facts.left_mm) < 8.0 else "left" if facts.left_mm > 0 else "right"
    return Mass(
        id=number,
        state="present" if confidence >= config.sure_confidence else "indeterminate",
        side=side,
        region=region,
        levels=(top.label, bottom.label),
        level_probabilities=dict(middle.label_probabilities),
        centroid_lps_mm=(x, y, z),
        key_slice=region.start[0] + int(np.argmax(areas)),
        confidence=confidence,
        flags=_flags(region, volume, anatomy, config=config),
    )


def _vertebra_at(anatomy: Anatomy, s: float) -> Vertebra:
    return min(anatomy.vertebrae, key=lambda v: abs(v.s_mm - s))


def _confidence(facts: RegionFacts, *, config: MassConfig) -> float:
    """Confidence that a candidate is a mass: thick, inside the compartment, outlined by lung or fat.

    A documented score, not a probability: the mean of three terms between 0 and 1, less than half of it where the
    candidate passes broadly into tissue of like density, or may be one psoas that is thicker than the other.
    """
    thick = np.clip((facts.radius_mm - config.min_radius_mm) / 4.0 + 0.3, 0.0, 1.0)
    joined = not facts.lumbar and facts.joined_neck > config.joined_neck
    thicker = facts.radius_mm / max(facts.mirror_radius_mm, 1e-6)
    doubtful = facts.mirror_share > config.lumbar_mirror_doubt and thicker < config.psoas_sure_ratio
    asymmetric = facts.deep_lumbar and doubtful
    inside = np.clip((facts.zone_share - config.min_zone_share) / (0.95 - config.min_zone_share), 0.0, 1.0)
    outlined = np.clip(facts.outline_share / 0.3, 0.0, 1.0)
    score = float((thick + inside + outlined) / 3.0)
    return round(min(_SUREST, 0.45 * score if joined or asymmetric else score), 2)


def _flags(region: Region, volume: CTVolume, anatomy: Anatomy, *, config: MassConfig) -> tuple[str, ...]:
    flags = []
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
    edges = [
        (s == 0, s + n == limit)
        for s, n, limit in zip(region.start, region.mask.shape, volume.geometry.shape, strict=True)
    ]
    if any(low or high for low, high in edges):
        flags.append("cut_by_scan")
    return tuple(flags)


def _surface_points(region: Region) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    points = np.argwhere(region.mask)
    return np.asarray(points[:: max(1, len(points) // 5000)] + np.asarray(region.start))


def _paired(masses: list[Mass]) -> tuple[Mass, ...]:
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
