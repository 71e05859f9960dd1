"""What a region beside the spine is, if it is something known.

Each region is described once (`RegionFacts`) and judged by an ordered list of rules; the first that speaks explains
it away. What no rule explains is a candidate.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.morphology import dilate, distance_inside
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.masses.candidates import SoftRegions
from paraspinal.masses.compartments import Compartments
from paraspinal.masses.heights import psoas_top_s
from paraspinal.volume import BoolArray

_ORGANS = ("liver", "spleen", "kidney_left", "kidney_right")
_IN_FRONT_MM = 30.0  # oesophagus, azygos, cava lie this close to the midline before the column
_LEAST_INSIDE = 20  # voxels; fewer give no mean of a region's inside
_BELOW_L1_MM = 26.0  # from the top of the psoas to L2, below which it is thick


@dataclass(frozen=True, slots=True)
class RegionFacts:
    """Facts of one soft region; lengths in mm, in spine coordinates.

    ``zone_share``: share of its volume inside the compartment. ``gap_mm``: distance to the vertebral column.
    ``apart``: it comes near neither the column nor a rib. ``psoas_limit_mm``: no psoas is thicker where it is
    thickest. ``far_share``: share farther than the compartment to the side. ``outline_share``: share of its surface
    that borders on lung or fat. ``mirror_share``: share of it whose mirror image across the spine is soft tissue,
    too, and ``mirror_radius_mm`` how thick that tissue is there.
    ``organ``: the organ it was segmented as; ``like_organ``: a good part of it was, and its HU are that organ's.
    ``effusion_share``: share of it that was segmented as pleural effusion, and ``fluid_step_hu`` how much denser than
    that fluid's median it is.
    ``lumbar``: below the upper end of psoas, by the likeliest names; ``lumbar_probability``: by all names.
    ``lump``: it differs in density from the muscle that it lies in; ``beside_lump``: it is like that muscle and
    touches the lump.
    ``joined_neck``: width of its widest contact with other soft tissue of like HU, relative to its own radius.
    """

    label: int
    volume_ml: float
    radius_mm: float
    zone_share: float
    gap_mm: float
    apart: bool
    far_share: float
    s_mm: float
    s_range_mm: tuple[float, float]
    psoas_limit_mm: float
    anterior_mm: float
    left_mm: float
    mean_hu: float
    outline_share: float
    mirror_share: float
    mirror_radius_mm: float
    organ: str | None
    like_organ: bool
    joined_neck: float
    effusion_share: float
    fluid_step_hu: float
    lumbar: bool
    deep_lumbar: bool
    lump: bool
    beside_lump: bool
    lumbar_probability: float


def describe_regions(
    regions: SoftRegions,
    anatomy: Anatomy,
    places: Compartments,
    *,
    config: MassConfig,
    only: Collection[int] | None = None,
) -> list[RegionFacts]:
    """Describe every region (or `only` some) that reaches into the compartment and is thick enough to be a mass."""
    where = anatomy.spine
    inside = np.bincount(regions.labels[places.zone], minlength=len(regions.radius_mm))
    dark = (anatomy.hu[where.box] < config.outline_hu) | anatomy.mask("lungs")[where.box]
    dark = ndimage.binary_dilation(dark, iterations=2)
    levels = _tissue_levels(regions, anatomy)
    depth = distance_inside(np.isfinite(levels), anatomy.geometry.spacing_mm)
    bone = anatomy.mask("column")[where.box] | anatomy.mask("ribs")[where.box]
    near_bone = dilate(bone, config.small_gap_mm, anatomy.geometry.spacing_mm)
    psoas = psoas_top_s(anatomy)
    fluid = _effusion(anatomy)
    fluid_hu = float(np.median(anatomy.hu[where.box][fluid])) if fluid.any() else 0.0
    inside_mm = distance_inside(regions.labels > 0, anatomy.geometry.spacing_mm)
    out = []
    boxes = ndimage.find_objects(regions.labels)
    for label, box in enumerate(boxes, start=1):
        if box is None or (only is not None and label not in only):
            continue
        if inside[label] < 10 or regions.radius_mm[label] < config.min_radius_mm:
            continue
        member = regions.labels[box] == label
        rim = member & ~ndimage.binary_erosion(member)
        s = where.s[box][member]
        left = where.left[box][member]
        mean_hu = float(anatomy.hu[where.box][box][member].mean())
        mirror_share, mirror_radius = _mirror(label, box, regions, depth, anatomy)
        out.append(
            RegionFacts(
                label=label,
                volume_ml=float(member.sum()) * anatomy.geometry.voxel_ml,
                radius_mm=float(regions.radius_mm[label]),
                zone_share=float(places.zone[box][member].mean()),
                gap_mm=float(places.to_column_mm[box][member].min()),
                apart=not near_bone[box][member].any(),
                far_share=float((np.abs(left) > config.lateral_mm).mean()),
                s_mm=float(s.mean()),
                s_range_mm=(float(np.percentile(s, 1)), float(np.percentile(s, 99))),
                psoas_limit_mm=config.psoas_radius_mm
                + config.psoas_widens * max(0.0, psoas - float(s[np.argmax(inside_mm[box][member])])),
                anterior_mm=float(where.anterior[box][member].mean()),
                left_mm=float(left.mean()),
                mean_hu=mean_hu,
                outline_share=float(dark[box][rim].mean()),
                mirror_share=mirror_share,
                mirror_radius_mm=mirror_radius,
                organ=_organ_of(label, box, regions, anatomy),
                like_organ=_like_organ(label, box, regions, anatomy, config=config),
                joined_neck=_widest_neck(label, box, regions, depth, levels, config=config),
                effusion_share=float(fluid[box][member].mean()),
                fluid_step_hu=mean_hu - fluid_hu,
                lumbar=float(s.mean()) < psoas,
                deep_lumbar=float(s.mean()) < psoas - _BELOW_L1_MM,
                lump=bool(regions.step_hu[label]),
                beside_lump=_beside_lump(label, box, regions, mean_hu, config=config),
                lumbar_probability=_lumbar_probability(anatomy, float(s.mean())),
            )
        )
    return out


def _effusion(anatomy: Anatomy) -> BoolArray:
    """Pleural effusion of both sides, in the box of the spine."""
    out = np.zeros(anatomy.spine.s.shape, bool)
    for name in ("effusion_left", "effusion_right"):
        if name in anatomy.masks:
            out |= anatomy.masks[name][anatomy.spine.box]
    return out


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a region is no mass: a reason of the contract, the structure in words, and how sure that is."""

    reason: str
    structure: str
    confidence: float


def explain(
    facts: RegionFacts, anatomy: Anatomy, places: Compartments, *, config: MassConfig
) -> Explanation | None:
    """Return what explains a region, or None for a candidate."""
    if facts.effusion_share > config.effusion_share and facts.fluid_step_hu < config.fluid_step_hu:
        return Explanation("effusion", "pleural effusion", 0.8)
    if facts.zone_share < config.min_zone_share:
        return _larger_structure(facts, places, config=config)
    if facts.lump:
        return None
    if facts.beside_lump and facts.radius_mm <= facts.psoas_limit_mm:
        return Explanation("psoas", "psoas beside a lump within it", 0.5)
    if facts.gap_mm > config.max_gap_mm:
        return _beside(facts, places)
    thin = _thin(facts, places, config=config)
    if thin is not None:
        return thin
    limit = config.part_neck if facts.organ is None else config.organ_part_neck
    if facts.joined_neck > limit:
        return _part_of_neighbour(facts, places)
    in_front = facts.anterior_mm > places.front_mm - 2.0 and abs(facts.left_mm) < _IN_FRONT_MM
    if in_front:
        return Explanation("oesophagus", "prevertebral structure (oesophagus, azygos or cava)", 0.7)
    return _muscle(facts, anatomy, config=config)


def _thin(facts: RegionFacts, places: Compartments, *, config: MassConfig) -> Explanation | None:
    """A thin region that bone encloses at the foramen, or that lies away from the column."""
    thinner = config.small_radius_mm - facts.radius_mm
    if thinner <= 0.0:
        return None
    enclosed = facts.outline_share < config.small_outline + config.small_outline_rise * thinner
    behind = facts.anterior_mm < config.foramen_ahead_mm and abs(facts.left_mm) < config.foramen_side_mm
    if enclosed and behind:
        return Explanation("muscle", "root, vessels and joint tissue at the foramen", 0.5)
    return _beside(facts, places) if facts.gap_mm > config.small_gap_mm else None


def _larger_structure(facts: RegionFacts, places: Compartments, *, config: MassConfig) -> Explanation:
    """A region of which most lies outside the compartment: fluid along the chest wall, or an organ."""
    if facts.organ is not None:
        return Explanation(facts.organ, facts.organ, 0.9)
    thoracic = facts.s_mm > places.diaphragm_s
    fluid = config.fluid_hu[0] < facts.mean_hu < config.fluid_hu[1]
    if thoracic and fluid and facts.far_share > 0.2:
        return Explanation("effusion", "pleural fluid along the chest wall", 0.7)
    if facts.anterior_mm > 60.0 and thoracic:
        return Explanation("heart", "heart or great vessels", 0.7)
    if facts.anterior_mm > 42.0 and abs(facts.left_mm) < 30.0:
        return Explanation("oesophagus", "prevertebral structure (oesophagus, azygos, cava or crus)", 0.6)
    if thoracic:
        return Explanation("consolidation", "consolidated or collapsed lung, or pleura", 0.4)
    if facts.left_mm < -30.0:
        return Explanation("liver", "liver or right kidney", 0.6)
    if facts.left_mm > 30.0:
        return Explanation("spleen", "spleen, stomach or left kidney", 0.6)
    return Explanation("psoas", "psoas and what it touches", 0.5)


def _part_of_neighbour(facts: RegionFacts, places: Compartments) -> Explanation:
    """A region whose contact with tissue of like density is wider than itself is a corner of that tissue."""
    if facts.organ is not None:
        return Explanation(facts.organ, f"corner of the {facts.organ}", 0.5)
    if facts.s_mm > places.diaphragm_s:
        return Explanation("consolidation", "corner of consolidated lung, fluid or an organ", 0.4)
    if abs(facts.left_mm) < 30.0:
        return Explanation("psoas", "corner of psoas or crus", 0.4)
    side = "liver" if facts.left_mm < 0 else "spleen"
    return Explanation(side, f"corner of the {side}, kidney or stomach", 0.4)


def _beside(facts: RegionFacts, places: Compartments) -> Explanation:
    if abs(facts.left_mm) > 28.0 and facts.s_mm > places.diaphragm_s:
        return Explanation(
            "consolidation", "consolidated lung, fluid or mass of the lung beside the spine", 0.4
        )
    if abs(facts.left_mm) > 28.0:
        return Explanation("kidney", "kidney, adrenal or organ that does not touch the column", 0.6)
    return Explanation("oesophagus", "prevertebral structure that does not touch the column", 0.6)


def _muscle(facts: RegionFacts, anatomy: Anatomy, *, config: MassConfig) -> Explanation | None:
    """Psoas: beside lumbar vertebrae, and there is as much of it on the other side."""
    above_mm = facts.s_mm - psoas_top_s(anatomy)
    if above_mm > 0.0:
        runs_on = facts.joined_neck > config.joined_neck and facts.s_range_mm[0] < facts.s_mm - above_mm
        thin = facts.radius_mm < config.lumbar_min_radius_mm
        if runs_on and thin and above_mm < config.psoas_above_mm:
            return Explanation("muscle", "upper end of psoas or quadratus lumborum", 0.4)
        return None
    # Masses on both sides match each other: no psoas is thicker than its level allows.
    if facts.radius_mm > facts.psoas_limit_mm:
        return None
    like_other_side = facts.radius_mm < config.psoas_ratio * facts.mirror_radius_mm
    if facts.mirror_share > config.psoas_mirror_share and like_other_side:
        if facts.lumbar_probability <= 1.0 - config.maybe_lumbar:
            return Explanation("psoas", "psoas, or masses on both sides of a thoracic vertebra", 0.4)
        return Explanation("psoas", "psoas muscle, matched by the other side", 0.7)
    if facts.radius_mm < config.lumbar_min_radius_mm:
        return Explanation("muscle", "muscle or vessel beside a lumbar vertebra, too thin to tell", 0.4)
    return None


def _beside_lump(
    label: int, box: tuple[slice, ...], regions: SoftRegions, mean_hu: float, *, config: MassConfig
) -> bool:
    """Tell whether a region has the density of psoas and touches a lump within psoas."""
    if regions.step_hu[label] or not abs(mean_hu - regions.muscle_hu) < config.merge_hu:
        return False
    grown = tuple(slice(max(0, b.start - 2), b.stop + 2) for b in box)
    here = regions.labels[grown]
    around = ndimage.binary_dilation(here == label, iterations=2)
    return bool(regions.step_hu[np.unique(here[around])].any())


def _organ_of(label: int, box: tuple[slice, ...], regions: SoftRegions, anatomy: Anatomy) -> str | None:
    """Name of the segmented organ that holds most of a region."""
    member = regions.labels[box] == label
    for name in ("liver", "spleen"):
        if float(anatomy.mask(name)[anatomy.spine.box][box][member].mean()) > 0.5:
            return name
    return None


def _like_organ(
    label: int, box: tuple[slice, ...], regions: SoftRegions, anatomy: Anatomy, *, config: MassConfig
) -> bool:
    """Tell whether a part of a region was segmented as an organ of the same density: perhaps it all is that organ."""
    member = regions.labels[box] == label
    hu = anatomy.hu[anatomy.spine.box]
    for name in _ORGANS:
        mask = anatomy.mask(name) if name in anatomy.masks else None
        if mask is None or float(mask[anatomy.spine.box][box][member].mean()) < config.organ_part:
            continue
        step = float(hu[box][member].mean()) - float(np.median(anatomy.hu[mask]))
        if abs(step) < config.merge_hu:
            return True
    return False


def _tissue_levels(regions: SoftRegions, anatomy: Anatomy) -> npt.NDArray[np.float32]:
    """HU of the tissue that each voxel belongs to: its region's mean or its organ's median; NaN elsewhere.

    A region's mean is that of its inside, where it has one: its rim is partial volume.
    """
    box = anatomy.spine.box
    hu = anatomy.hu[box]
    labels, count = regions.labels, len(regions.radius_mm)
    cross = ndimage.generate_binary_structure(3, 1)
    inside = np.where(ndimage.minimum_filter(labels, footprint=cross) == labels, labels, 0)
    means = []
    for part in (inside, labels):
        size = np.bincount(part.ravel(), minlength=count)
        means.append(np.bincount(part.ravel(), weights=hu.ravel(), minlength=count) / np.maximum(size, 1))
    mean = np.where(np.bincount(inside.ravel(), minlength=count) >= _LEAST_INSIDE, means[0], means[1])
    out = np.where(labels > 0, mean[labels], np.nan).astype(np.float32)
    for name in ("liver", "spleen"):
        organ = anatomy.mask(name)[box] & (labels == 0)
        if organ.any():
            out[organ] = float(np.median(hu[organ]))
    return out


def _widest_neck(
    label: int,
    box: tuple[slice, ...],
    regions: SoftRegions,
    depth: npt.NDArray[np.float32],
    levels: npt.NDArray[np.float32],
    *,
    config: MassConfig,
) -> float:
    """Half width of the widest contact with other tissue of like HU, divided by this region's radius."""
    grown = tuple(slice(max(0, b.start - 1), b.stop + 1) for b in box)
    member = regions.labels[grown] == label
    own = float(levels[grown][member][0])
    # Collapsed lung and fluid are uneven, an organ is not: less tells a mass from it.
    like = np.where(regions.labels[grown] > 0, config.merge_hu, config.like_hu)
    with np.errstate(invalid="ignore"):
        other = ~member & (np.abs(levels[grown] - own) < like)
    contact = other & ndimage.binary_dilation(member)
    return float(depth[grown][contact].max(initial=0.0)) / float(regions.radius_mm[label])


def _mirror(
    label: int,
    box: tuple[slice, ...],
    regions: SoftRegions,
    depth: npt.NDArray[np.float32],
    anatomy: Anatomy,
) -> tuple[float, float]:
    """Share of a region whose mirror (same row, other side of the canal) is soft tissue, and its greatest depth."""
    z, y, x = np.nonzero(regions.labels[box] == label)
    z, y, x = (k + b.start for k, b in zip((z, y, x), box, strict=True))
    left = anatomy.spine.left[z, y, x]
    mirror = np.rint(x - 2.0 * left / anatomy.geometry.spacing_mm[2]).astype(int)
    inside = (mirror >= 0) & (mirror < regions.labels.shape[2])
    mirrored = regions.labels[z, y, np.clip(mirror, 0, regions.labels.shape[2] - 1)]
    soft = inside & (mirrored > 0) & (mirrored != label)
    if not soft.any():
        return 0.0, 0.0
    return float(soft.mean()), float(depth[z[soft], y[soft], mirror[soft]].max())


def _lumbar_probability(anatomy: Anatomy, s: float) -> float:
    """Probability that the vertebra at arc length `s` is a lumbar or sacral one, over all namings."""
    nearest = min(anatomy.vertebrae, key=lambda v: abs(v.s_mm - s), default=None)
    if nearest is None:
        return 0.5
    return float(sum(p for label, p in nearest.label_probabilities.items() if label[0] in "LS"))
