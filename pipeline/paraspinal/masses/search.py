"""The search for paraspinal masses: candidates by explaining away."""

from __future__ import annotations

import numpy as np

from paraspinal.anatomy.morphology import dilate
from paraspinal.anatomy.parallel import each
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.masses.borders import native_region
from paraspinal.masses.candidates import SoftRegions, join_touching, soft_regions
from paraspinal.masses.compartments import Compartments, compartment_map, paravertebral_compartments
from paraspinal.masses.coverage import assess_coverage
from paraspinal.masses.explain import Explanation, RegionFacts, describe_regions, explain
from paraspinal.masses.hidden import hidden_tissue
from paraspinal.masses.known import known_structures
from paraspinal.masses.noise import noise_beside_spine
from paraspinal.masses.place import paired, placed, without
from paraspinal.masses.trim import trimmed
from paraspinal.masses.types import Mass, MassSearch
from paraspinal.result import ExplainedAway
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
    noise_hu = noise_beside_spine(anatomy, config=config)
    hidden = hidden_tissue(volume, anatomy, regions, verdicts, noise_hu, config=config)
    masses = _masses(volume, anatomy, places, regions, [f for f, e in verdicts if e is None], config=config)
    return MassSearch(
        masses=paired(masses),
        explained_away=(
            *(_record(f, e, regions, anatomy) for f, e in verdicts if e is not None),
            *known_structures(anatomy, places, regions.labels > 0, config=config),
        ),
        coverage=assess_coverage(volume, anatomy, places, hidden, noise_hu, config=config),
        compartments=compartment_map(anatomy, places),
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
    # Chest wall and muscle look like a mass; of what the search space leaves out only the rim at bone may be one.
    outside = ~dilate(places.search, 2.0, anatomy.geometry.spacing_mm)
    solid = anatomy.mask("column") | anatomy.mask("canal") | anatomy.mask("aorta")

    def outlined(facts: RegionFacts) -> Region | None:
        part = trimmed(regions.labels == facts.label, facts.radius_mm, anatomy, config=config)
        coarse = _whole(part, anatomy).full(anatomy.geometry.shape)
        blocked = solid.copy()
        other = regions.soft if facts.lump else regions.labels > 0
        blocked[anatomy.spine.box] |= (other & ~part) | outside
        return native_region(coarse, blocked & ~coarse, volume, anatomy, config=config)

    ordered = sorted(candidates, key=lambda f: -f.volume_ml)
    masses: list[Mass] = []
    for facts, region in zip(ordered, each(outlined, ordered), strict=True):
        rest = without([mass.region for mass in masses], region)
        if rest is not None:
            confidence = _confidence(facts, config=config)
            masses.append(
                placed(
                    len(masses) + 1,
                    rest,
                    volume,
                    anatomy,
                    state="present" if confidence >= config.sure_confidence else "indeterminate",
                    confidence=confidence,
                    config=config,
                )
            )
    return masses


def _confidence(facts: RegionFacts, *, config: MassConfig) -> float:
    """Confidence that a candidate is a mass: thick, inside the compartment, outlined by lung or fat.

    A documented score, not a probability: the mean of three terms between 0 and 1, less than half of it where the
    candidate passes broadly into tissue of like density, may be one psoas that is thicker than the other, is tiny,
    lies in pleural fluid or apart from column and ribs, or is as flat as layered fluid or a collapsed lobe.
    """
    thick = np.clip((facts.radius_mm - config.min_radius_mm) / 4.0 + 0.3, 0.0, 1.0)
    # Where a level's name is uncertain the doubts of the chest and of the loin both hold.
    maybe_thoracic = not facts.lumbar or facts.lumbar_probability <= 1.0 - config.maybe_lumbar
    # Beside L1 psoas is thin, but what lies there alike on both sides may still be a strong one.
    alike = facts.lumbar and facts.mirror_share > config.lumbar_mirror_alike
    maybe_psoas = (
        facts.deep_lumbar or alike or (not facts.lumbar and facts.lumbar_probability >= config.maybe_lumbar)
    )
    joined = facts.like_organ or (maybe_thoracic and facts.joined_neck > config.joined_neck)
    thicker = facts.radius_mm / max(facts.mirror_radius_mm, 1e-6)
    doubtful = facts.mirror_share > config.lumbar_mirror_doubt and thicker < config.psoas_sure_ratio
    too_thick = facts.radius_mm > config.psoas_sure_excess * facts.psoas_limit_mm
    asymmetric = maybe_psoas and doubtful and not too_thick
    tiny = facts.volume_ml < config.min_present_ml
    sphere_ml = 4.0 / 3.0 * np.pi * facts.radius_mm**3 / 1000.0
    sprawling = facts.volume_ml > config.sprawl * sphere_ml
    in_fluid = facts.effusion_share > config.effusion_share  # compressed lung is denser than fluid, too
    inside = np.clip((facts.zone_share - config.min_zone_share) / (0.95 - config.min_zone_share), 0.0, 1.0)
    outlined = np.clip(facts.outline_share / 0.3, 0.0, 1.0)
    score = float((thick + inside + outlined) / 3.0)
    if facts.lump:  # muscle outlines it: density tells it from psoas, neither contact nor the other side does
        return round(min(_SUREST, score), 2)
    # An organ or fluid comes close; a paraspinal mass touches the column, or the rib beside what it destroyed.
    unsure = joined or asymmetric or tiny or sprawling or in_fluid or facts.apart
    return round(min(_SUREST, 0.45 * score if unsure else score), 2)
