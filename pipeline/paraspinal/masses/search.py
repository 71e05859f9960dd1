"""The search for paraspinal masses: candidates by explaining away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from paraspinal.anatomy.extent import cut_by_scan
from paraspinal.anatomy.morphology import dilate, largest
from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.config import MassConfig
from paraspinal.masses.borders import native_region
from paraspinal.masses.candidates import SoftRegions, join_touching, soft_regions, without_tails
from paraspinal.masses.compartments import Compartments, paravertebral_compartments
from paraspinal.masses.coverage import assess_coverage
from paraspinal.masses.explain import Explanation, RegionFacts, describe_regions, explain
from paraspinal.masses.hidden import hidden_tissue
from paraspinal.masses.types import Mass, MassSearch
from paraspinal.result import ExplainedAway, Side
from paraspinal.volume import BoolArray, CTVolume, Region

Verdict = tuple[RegionFacts, Explanation | None]
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
    regions, verdicts = judge_regions(regions, anatomy, places, config=config)
    hidden = hidden_tissue(volume, anatomy, regions, verdicts, config=config)
    masses = _masses(volume, anatomy, places, regions, [f for f, e in verdicts if e is None], config=config)
    return MassSearch(
        masses=_paired(masses),
        explained_away=tuple(_record(f, e, regions, anatomy) for f, e in verdicts if e is not None),
        coverage=assess_coverage(volume, anatomy, places, hidden, config=config),
    )


def judge_regions(
    regions: SoftRegions, anatomy: Anatomy, places: Compartments, *, config: MassConfig
) -> tuple[SoftRegions, list[Verdict]]:
    """Explain every region; candidates that touch and are alike are parts of one mass (a dumb-bell has a waist)."""
    facts = describe_regions(regions, anatomy, places, config=config)
    verdicts = [(f, explain(f, anatomy, places, config=config)) for f in facts]
    joined, names = join_touching(regions, [f for f, why in verdicts if why is None], config=config)
    if not names:
        return regions, verdicts
    again = describe_regions(joined, anatomy, places, config=config, only=names)
    gone = {f.label for f, why in verdicts if why is None and not (joined.labels == f.label).any()} | names
    kept = [(f, why) for f, why in verdicts if f.label not in gone]
    return joined, [*kept, *((f, explain(f, anatomy, places, config=config)) for f in again)]


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
        part = without_tails(
            regions.labels == facts.label, facts.radius_mm, anatomy.geometry.spacing_mm, config=config
        )
        coarse = _whole(part, anatomy).full(anatomy.geometry.shape)
        blocked = anatomy.mask("column") | anatomy.mask("canal") | anatomy.mask("aorta")
        other = regions.soft if facts.lump else regions.labels > 0
        blocked[anatomy.spine.box] |= (other & ~part) | outside
        region = native_region(coarse, blocked & ~coarse, volume, anatomy, config=config)
        region = _without([mass.region for mass in masses], region)
        if region is not None:
            masses.append(_mass(len(masses) + 1, facts, region, volume, anatomy, config=config))
    return masses


def _without(taken: Sequence[Region], region: Region | None) -> Region | None:
    """Take from a region what a larger mass holds already, and keep its largest piece."""
    if region is None:
        return None
    mask = region.mask.copy()
    for other in taken:
        own, theirs = [], []
        for a, n, b, m in zip(region.start, mask.shape, other.start, other.mask.shape, strict=True):
            low, high = max(a, b), max(a, b, min(a + n, b + m))
            own.append(slice(low - a, high - a))
            theirs.append(slice(low - b, high - b))
        mask[tuple(own)] &= ~other.mask[tuple(theirs)]
    if not mask.any():
        return None
    if int(mask.sum()) == region.voxels:
        return region
    tight = Region.of(largest(mask))
    z, y, x = (a + b for a, b in zip(region.start, tight.start, strict=True))
    return Region((z, y, x), tight.mask)


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
    spanned = _spanned(anatomy, low, high)
    side: Side = "midline" if abs(facts.left_mm) < 8.0 else "left" if facts.left_mm > 0 else "right"
    return Mass(
        id=number,
        state="present" if confidence >= config.sure_confidence else "indeterminate",
        side=side,
        region=region,
        levels=(spanned[0].label, spanned[-1].label),
        level_probabilities=_probabilities(spanned),
        centroid_lps_mm=(x, y, z),
        key_slice=region.start[0] + int(np.argmax(areas)),
        confidence=confidence,
        flags=_flags(region, spanned, volume, anatomy, config=config),
    )


def _spanned(anatomy: Anatomy, low: float, high: float) -> tuple[Vertebra, ...]:
    """Vertebrae from the one at arc length `high` to the one at `low`, cranial first."""
    first, last = (_nearest(anatomy, s) for s in (high, low))
    return anatomy.vertebrae[first : last + 1]


def _nearest(anatomy: Anatomy, s: float) -> int:
    distance = [abs(v.s_mm - s) for v in anatomy.vertebrae]
    return distance.index(min(distance))


def _probabilities(spanned: Sequence[Vertebra]) -> dict[str, float]:
    """Probability of each level to be among those that a mass spans.

    Under one naming a level belongs to one vertebra, so the probabilities of the spanned vertebrae add up.
    """
    out: dict[str, float] = {}
    for vertebra in spanned:
        for label, p in vertebra.label_probabilities.items():
            out[label] = out.get(label, 0.0) + p
    return {label: round(min(1.0, p), 6) for label, p in sorted(out.items(), key=lambda item: -item[1])}


def _confidence(facts: RegionFacts, *, config: MassConfig) -> float:
    """Confidence that a candidate is a mass: thick, inside the compartment, outlined by lung or fat.

    A documented score, not a probability: the mean of three terms between 0 and 1, less than half of it where the
    candidate passes broadly into tissue of like density, or may be one psoas that is thicker than the other.
    """
    thick = np.clip((facts.radius_mm - config.min_radius_mm) / 4.0 + 0.3, 0.0, 1.0)
    # Where a level's name is uncertain the doubts of the chest and of the loin both hold.
    maybe_thoracic = not facts.lumbar or facts.lumbar_probability <= 1.0 - config.maybe_lumbar
    maybe_psoas = facts.deep_lumbar or (not facts.lumbar and facts.lumbar_probability >= config.maybe_lumbar)
    joined = facts.like_organ or (maybe_thoracic and facts.joined_neck > config.joined_neck)
    thicker = facts.radius_mm / max(facts.mirror_radius_mm, 1e-6)
    doubtful = facts.mirror_share > config.lumbar_mirror_doubt and thicker < config.psoas_sure_ratio
    too_thick = facts.radius_mm > config.psoas_sure_excess * facts.psoas_limit_mm
    asymmetric = maybe_psoas and doubtful and not too_thick
    inside = np.clip((facts.zone_share - config.min_zone_share) / (0.95 - config.min_zone_share), 0.0, 1.0)
    outlined = np.clip(facts.outline_share / 0.3, 0.0, 1.0)
    score = float((thick + inside + outlined) / 3.0)
    if (
        facts.lump
    ):  # outlined by muscle: its density tells it from psoas, neither its contact nor the other side
        return round(min(_SUREST, score), 2)
    return round(min(_SUREST, 0.45 * score if joined or asymmetric else score), 2)


def _flags(
    region: Region,
    spanned: Sequence[Vertebra],
    volume: CTVolume,
    anatomy: Anatomy,
    *,
    config: MassConfig,
) -> tuple[str, ...]:
    flags = ["level_uncertain"] if any(v.level_uncertain for v in spanned) else []
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
    if cut_by_scan(region, volume):
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
