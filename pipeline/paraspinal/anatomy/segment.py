"""The built-in `classical` segmenter: no weights, no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from paraspinal.anatomy.chest.crura import find_crura
from paraspinal.anatomy.chest.find import find_chest
from paraspinal.anatomy.chest.lungs import Airspaces, segment_lungs, split_lungs
from paraspinal.anatomy.chest.vessels import find_aorta
from paraspinal.anatomy.extent import cut_sides
from paraspinal.anatomy.given.apply import source_of
from paraspinal.anatomy.given.types import StructureSet
from paraspinal.anatomy.labels import assemble_labels, vertebra_numbers
from paraspinal.anatomy.morphology import dilate
from paraspinal.anatomy.organs.soft_organs import find_muscles, find_soft_organs
from paraspinal.anatomy.parallel import both
from paraspinal.anatomy.ribs.bone import bone_contrast, thin_bone
from paraspinal.anatomy.ribs.cage import chest_wall, inside_cage
from paraspinal.anatomy.ribs.instances import RibTrack, find_rib_tracks
from paraspinal.anatomy.ribs.names import name_ribs
from paraspinal.anatomy.scene import Scan, Skeleton, Spine, read_scan, trace_spine
from paraspinal.anatomy.spine.discs import DiscBorders
from paraspinal.anatomy.spine.end_plates import find_end_plates
from paraspinal.anatomy.spine.levels import LABELS, LevelEvidence, Naming, naming_posterior, unusual_plans
from paraspinal.anatomy.spine.osteophytes import spine_osteophytes
from paraspinal.anatomy.spine.set_levels import with_set_levels
from paraspinal.anatomy.spine.vertebra_masks import part_spine
from paraspinal.anatomy.spine.vertebrae import name_vertebrae, read_level_evidence
from paraspinal.anatomy.types import Anatomy, Organ, Vertebra
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, CTVolume, Index3, Region

Progress = Callable[[str], None]


def segment_anatomy(
    volume: CTVolume,
    *,
    config: AnatomyConfig | None = None,
    given: StructureSet | None = None,
    set_levels: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> Anatomy:
    """Segment the body: see `Anatomy` for what is found.

    Parameters
    ----------
    volume : CTVolume
        HU int16 [z, y, x], canonical order.
    given : StructureSet, optional
        Structures of another segmenter; of these only cord or canal are used here (see `mask_apply` for the rest).
    set_levels : mapping of str to float, optional
        {vertebra: LPS z in mm} that a user knows; they fix the naming.

    Raises
    ------
    AnalysisError
        ``no_spine`` when no spinal canal of ``min_spine_mm`` can be traced.
    UsageError
        If a set level lies outside the traced spine, or two contradict each other.
    """
    config = config or AnatomyConfig()
    tell = progress or (lambda _: None)
    tell("body and spinal canal")
    scan = read_scan(volume, config)
    spine = trace_spine(scan, given)
    tell("lungs and ribs")
    air, (tracks, thin) = both(
        lambda: segment_lungs(scan.hu, scan.body, spine.where, scan.grid, config=config),
        lambda: _follow_ribs(scan, spine),
    )
    tell("vertebral levels")
    evidence = _read_levels(scan, spine, tracks, air, set_levels or {})
    posterior = naming_posterior(evidence)
    vertebrae = name_vertebrae(spine.borders, evidence, posterior, spine.frame, scan.grid, config=config)
    tell("vessels and organs")
    aorta, (skeleton, lungs) = both(
        lambda: _find_aorta(scan, spine, air, vertebrae),
        lambda: (_build_skeleton(scan, spine, tracks, posterior), _sided_lungs(scan, spine, air)),
    )
    masks = _first_masks(scan, spine, air, skeleton) | lungs
    if aorta.any():
        masks["aorta"] = aorta
    (chest, chest_states), muscles = both(
        lambda: _find_chest(scan, spine, air, thin, masks),
        lambda: find_muscles(scan.hu, masks, spine.trace, vertebrae, scan.grid, config=config),
    )
    masks |= chest
    masks["osteophytes"], (found, states) = both(
        lambda: spine_osteophytes(scan, spine, vertebrae, masks),
        lambda: find_soft_organs(
            scan.hu, masks, muscles, thin, spine.trace, vertebrae, scan.grid, config=config
        ),
    )
    masks |= found
    masks["crura"] = find_crura(scan.hu, masks, vertebrae, scan.grid, config=config)
    organs = {
        name: _simple(masks, name, config=config) for name in ("lung_left", "lung_right", "aorta", "crura")
    }
    organs |= {
        name: _cut(organ, masks, name, config=config) for name, organ in (chest_states | states).items()
    }
    labels = assemble_labels(
        masks,
        skeleton.parts,
        vertebra_numbers(spine.borders, vertebrae),
        spine.where,
        scan.grid,
        ribs=skeleton.rib_labels,
    )
    points = np.column_stack([np.arange(spine.trace.first, spine.trace.last + 1), spine.trace.points_yx])
    return Anatomy(
        geometry=scan.grid,
        hu=scan.hu,
        masks=masks,
        labels=labels,
        centreline_lps_mm=scan.grid.to_lps(points[::-1]),
        vertebrae=vertebrae,
        organs=organs,
        spine=spine.where,
        spine_length_mm=spine.frame.length_mm,
        notes=_notes(spine.borders, evidence, posterior),
        ribs=skeleton.ribs,
        sources={"canal": source_of(given)} if spine.guided and given is not None else {},
    )


def _notes(borders: DiscBorders, evidence: LevelEvidence, posterior: tuple[Naming, ...]) -> tuple[str, ...]:
    notes = []
    if not np.isfinite(evidence.rib).any():
        notes.append(
            "No rib could be looked for: the scan does not reach far enough to the side, or is too short."
        )
    if len(borders.s_mm) - 1 > len(LABELS):
        notes.append("More vertebrae were found than have names; those at the end are left out.")
    notes += [
        f"The count of ribs or lumbar vertebrae may be unusual: {name} ({share:.0%})."
        for name, share in unusual_plans(posterior).items()
    ]
    notes += [f"{label} was set by the user." for label in evidence.fixed.values()]
    return tuple(notes)


def _follow_ribs(scan: Scan, spine: Spine) -> tuple[tuple[RibTrack, ...], BoolArray]:
    """Return the ribs' tracks, and bone that is thin."""
    contrast = bone_contrast(scan.hu, scan.grid, config=scan.config)
    tracks = find_rib_tracks(
        scan.hu,
        contrast,
        scan.body,
        scan.padding,
        spine.trace,
        spine.where,
        spine.borders,
        scan.grid,
        config=scan.config,
    )
    return tracks, thin_bone(scan.hu, contrast, scan.grid, config=scan.config)


def _read_levels(
    scan: Scan, spine: Spine, tracks: tuple[RibTrack, ...], air: Airspaces, set_levels: Mapping[str, float]
) -> LevelEvidence:
    evidence = read_level_evidence(
        spine.borders,
        tracks,
        scan.bone,
        air.lungs,
        scan.padding,
        air.carina_z,
        spine.frame,
        spine.where,
        scan.grid,
        config=scan.config,
    )
    return with_set_levels(evidence, spine.borders, spine.frame, scan.grid, set_levels, config=scan.config)


def _find_aorta(scan: Scan, spine: Spine, air: Airspaces, vertebrae: tuple[Vertebra, ...]) -> BoolArray:
    return find_aorta(
        scan.hu,
        scan.body,
        spine.column,
        air,
        spine.frame,
        spine.where,
        spine.outline,
        spine.borders,
        vertebrae,
        scan.grid,
        config=scan.config,
    )


def _build_skeleton(
    scan: Scan, spine: Spine, tracks: tuple[RibTrack, ...], posterior: tuple[Naming, ...]
) -> Skeleton:
    ribs, rib_labels = name_ribs(
        tracks,
        posterior,
        scan.hu,
        scan.bone,
        spine.column,
        spine.borders,
        spine.frame,
        spine.where,
        scan.grid,
        config=scan.config,
    )
    parts = part_spine(
        scan.hu,
        scan.bone,
        spine.column,
        spine.canal,
        rib_labels > 0,
        spine.where,
        find_end_plates(scan.hu, spine.frame, spine.borders, scan.grid, config=scan.config),
        spine.borders,
        spine.frame.length_mm,
        scan.grid,
        config=scan.config,
    )
    return Skeleton(ribs, rib_labels, parts)


def _first_masks(scan: Scan, spine: Spine, air: Airspaces, skeleton: Skeleton) -> dict[str, BoolArray]:
    return {
        "body": scan.body,
        "arms": scan.arms,
        "padding": scan.padding,
        "lungs": air.lungs,
        "gas": air.other_gas,
        "airway": air.airway,
        "bone": scan.bone,
        "canal": spine.canal,
        "column": spine.column & ~spine.canal,
        "disc": spine.spread(skeleton.parts.disc > 0),
        "vertebral_bodies": spine.spread(skeleton.parts.body),
        "ribs": skeleton.rib_labels > 0,
    }


def _sided_lungs(scan: Scan, spine: Spine, air: Airspaces) -> dict[str, BoolArray]:
    midline = spine.trace.at(np.arange(scan.grid.shape[0]))[:, 1]
    left, right = split_lungs(air.lungs, midline, scan.grid)
    return {"lung_left": left, "lung_right": right}


def _find_chest(
    scan: Scan, spine: Spine, air: Airspaces, thin: BoolArray, masks: Mapping[str, BoolArray]
) -> tuple[dict[str, BoolArray], dict[str, Organ]]:
    """Find the chest wall's inside, and what fills the chest besides lungs and aorta."""
    grid, config = scan.grid, scan.config
    where = spine.where
    near = spine.spread((np.abs(where.left) < config.rib_cut_mm) & (where.anterior < 45.0))
    if "aorta" in masks:
        thin = thin & ~dilate(masks["aorta"], 4.0, grid.spacing_mm)
    wall = chest_wall(masks["ribs"] & ~near, thin, spine.trace, grid)
    cage = inside_cage(wall, air.lungs, scan.body, spine.trace, grid, config=config)
    found, states = find_chest(
        scan.hu,
        {**masks, "thoracic_cavity": cage},
        air.carina_z,
        spine.trace,
        where=where,
        grid=grid,
        config=config,
    )
    return {"thoracic_cavity": cage, **found}, states


def _simple(masks: Mapping[str, BoolArray], name: str, *, config: AnatomyConfig) -> Organ:
    """Presence of a structure whose absence from the picture proves nothing."""
    if name not in masks or not masks[name].any():
        return Organ("indeterminate", 0.5, reason="not found in the scanned part of the body")
    return _cut(Organ("present", 0.9), masks, name, config=config)


def _cut(organ: Organ, masks: Mapping[str, BoolArray], name: str, *, config: AnatomyConfig) -> Organ:
    """Name the sides on which the scan cuts an organ that was found."""
    if name not in masks or not masks[name].any():
        return organ
    mask, reach = masks[name], config.cut_margin_voxels
    along = reach
    if name == "aorta":  # its track is smooth and may end a little before the scan does
        along = max(reach, round(config.aorta_cut_mm / config.working_spacing_mm))
    sides = cut_sides(Region.of(mask), _shape(mask), masks["padding"], margin=(along, reach, reach))
    return replace(organ, truncated=sides)


def _shape(mask: BoolArray) -> Index3:
    z, y, x = mask.shape
    return (z, y, x)
