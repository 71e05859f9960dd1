"""The built-in `classical` segmenter: no weights, no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from paraspinal.anatomy.bodies import ColumnOutline, column_mask, trace_column
from paraspinal.anatomy.body import segment_body
from paraspinal.anatomy.cage import chest_wall, inside_cage
from paraspinal.anatomy.canal import CanalTrace, canal_mask, trace_spinal_canal
from paraspinal.anatomy.chest import find_chest
from paraspinal.anatomy.coordinates import SpineCoordinates, spine_coordinates
from paraspinal.anatomy.discs import DiscBorders, find_borders_along, spine_signals
from paraspinal.anatomy.end_plates import find_end_plates
from paraspinal.anatomy.extent import cut_sides, padding_on
from paraspinal.anatomy.grid import Float32Volume, to_working_grid, working_grid
from paraspinal.anatomy.labels import assemble_labels, vertebra_numbers
from paraspinal.anatomy.levels import LABELS, LevelEvidence, Naming, naming_posterior, unusual_plans
from paraspinal.anatomy.lungs import Airspaces, segment_lungs, split_lungs
from paraspinal.anatomy.mask_apply import source_of
from paraspinal.anatomy.mask_canal import guided_canal
from paraspinal.anatomy.mask_types import StructureSet
from paraspinal.anatomy.morphology import dilate
from paraspinal.anatomy.rib_instances import find_rib_tracks
from paraspinal.anatomy.rib_names import name_ribs
from paraspinal.anatomy.ribs import bone_contrast, thin_bone
from paraspinal.anatomy.set_levels import with_set_levels
from paraspinal.anatomy.soft_organs import find_soft_organs
from paraspinal.anatomy.straighten import SpineFrame, spine_frame
from paraspinal.anatomy.types import Anatomy, Organ, Vertebra
from paraspinal.anatomy.vertebra_masks import SpineParts, part_spine
from paraspinal.anatomy.vertebrae import name_vertebrae, read_level_evidence
from paraspinal.anatomy.vessels import find_aorta
from paraspinal.config import AnatomyConfig
from paraspinal.errors import AnalysisError
from paraspinal.volume import BoolArray, CTVolume, Geometry, Index3, Region

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Spine:
    """What the later steps need to know about the spine."""

    trace: CanalTrace
    frame: SpineFrame
    where: SpineCoordinates
    outline: ColumnOutline
    borders: DiscBorders
    column: BoolArray
    guided: bool = False


def segment_anatomy(
    volume: CTVolume,
    *,
    config: AnatomyConfig | None = None,
    given: StructureSet | None = None,
    set_levels: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> Anatomy:
    """Segment body, lungs, canal, vertebrae with names, ribs, aorta, liver and spleen.

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
    grid = working_grid(volume.geometry, spacing_mm=config.working_spacing_mm)
    hu = to_working_grid(volume, grid)
    padding = padding_on(volume, grid)
    tell("body and spinal canal")
    found_body = segment_body(hu, grid, config=config)
    body = found_body.trunk & ~padding
    bone = (hu > config.bone_threshold_hu) & body
    spine = _trace_spine(hu, bone, body, grid, given=given, config=config)
    tell("lungs and ribs")
    air = segment_lungs(hu, body, spine.where, grid, config=config)
    contrast = bone_contrast(hu, grid, config=config)
    tracks = find_rib_tracks(
        hu, contrast, body, padding, spine.trace, spine.where, spine.borders, grid, config=config
    )
    tell("vertebral levels")
    evidence = read_level_evidence(
        spine.borders,
        tracks,
        bone,
        air.lungs,
        padding,
        air.carina_z,
        spine.frame,
        spine.where,
        grid,
        config=config,
    )
    evidence = with_set_levels(evidence, spine.borders, spine.frame, grid, set_levels or {}, config=config)
    posterior = naming_posterior(evidence)
    vertebrae = name_vertebrae(spine.borders, evidence, spine.frame, grid, config=config)
    ribs, rib_labels = name_ribs(
        tracks,
        posterior,
        hu,
        bone,
        spine.column,
        spine.borders,
        spine.frame,
        spine.where,
        grid,
        config=config,
    )
    canal = canal_mask(spine.trace, bone, grid, config=config)
    parts = _part_spine(hu, bone, canal, rib_labels > 0, spine, grid, config=config)
    tell("vessels and organs")
    thin = thin_bone(hu, contrast, grid, config=config)
    masks = _soft_structures(hu, body, bone, thin, air, rib_labels > 0, spine, vertebrae, grid, config=config)
    masks |= {"padding": padding, "arms": found_body.arms, "canal": canal, "column": spine.column & ~canal}
    masks |= {
        "disc": _spread(parts.disc > 0, spine, grid),
        "vertebral_bodies": _spread(parts.body, spine, grid),
    }
    chest, chest_states = find_chest(
        hu, masks, air.carina_z, spine.trace, where=spine.where, grid=grid, config=config
    )
    masks |= chest
    found, states = find_soft_organs(hu, masks, thin, spine.trace, vertebrae, grid, config=config)
    masks |= found
    organs = {name: _simple(masks, name, config=config) for name in ("lung_left", "lung_right", "aorta")}
    organs |= {
        name: _cut(organ, masks, name, config=config) for name, organ in (chest_states | states).items()
    }
    numbers = vertebra_numbers(spine.borders, vertebrae)
    labels = assemble_labels(masks, parts, numbers, spine.where, grid, ribs=rib_labels)
    points = np.column_stack([np.arange(spine.trace.first, spine.trace.last + 1), spine.trace.points_yx])
    return Anatomy(
        geometry=grid,
        hu=hu,
        masks=masks,
        labels=labels,
        centreline_lps_mm=grid.to_lps(points[::-1]),
        vertebrae=vertebrae,
        organs=organs,
        spine=spine.where,
        spine_length_mm=spine.frame.length_mm,
        notes=_notes(spine.borders, evidence, posterior),
        ribs=ribs,
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


def _trace_spine(
    hu: Float32Volume,
    bone: BoolArray,
    body: BoolArray,
    grid: Geometry,
    *,
    given: StructureSet | None,
    config: AnatomyConfig,
) -> _Spine:
    trace = trace_spinal_canal(hu, bone, body, grid, config=config)
    guided = False
    if given is not None:
        trace, guided = guided_canal(trace, given, grid, min_mm=config.min_spine_mm)
    if trace is None:
        raise AnalysisError(
            "No spinal canal was found.",
            code="no_spine",
            remedy=f"Give a CT series that shows at least {config.min_spine_mm:.0f} mm of the spine.",
        )
    frame = spine_frame(trace, grid)
    where = spine_coordinates(frame, grid)
    outline = trace_column(hu, frame, grid, config=config)
    borders = find_borders_along(spine_signals(hu, frame, grid), frame, config=config)
    column = np.zeros(grid.shape, bool)
    column[where.box] = column_mask(outline, frame, where)
    return _Spine(trace, frame, where, outline, borders, column, guided)


def _part_spine(
    hu: Float32Volume,
    bone: BoolArray,
    canal: BoolArray,
    ribs: BoolArray,
    spine: _Spine,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> SpineParts:
    plates = find_end_plates(hu, spine.frame, spine.borders, grid, config=config)
    return part_spine(
        hu,
        bone,
        spine.column,
        canal,
        ribs,
        spine.where,
        plates,
        spine.borders,
        spine.frame.length_mm,
        grid,
        config=config,
    )


def _spread(part: BoolArray, spine: _Spine, grid: Geometry) -> BoolArray:
    """Put a mask of the spine's box into the whole grid."""
    out = np.zeros(grid.shape, bool)
    out[spine.where.box] = part
    return out


def _soft_structures(
    hu: Float32Volume,
    body: BoolArray,
    bone: BoolArray,
    thin: BoolArray,
    air: Airspaces,
    ribs: BoolArray,
    spine: _Spine,
    vertebrae: tuple[Vertebra, ...],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> dict[str, BoolArray]:
    where = spine.where
    aorta = find_aorta(
        hu,
        body,
        spine.column,
        air,
        spine.frame,
        where,
        spine.outline,
        spine.borders,
        vertebrae,
        grid,
        config=config,
    )
    midline = spine.trace.at(np.arange(grid.shape[0]))[:, 1]
    left, right = split_lungs(air.lungs, midline, grid)
    zone = np.zeros(grid.shape, bool)
    zone[where.box] = (np.abs(where.left) < config.rib_cut_mm) & (where.anterior < 45.0)
    wall = chest_wall(ribs & ~zone, thin & ~dilate(aorta, 4.0, grid.spacing_mm), spine.trace, grid)
    cage = inside_cage(wall, air.lungs, body, spine.trace, grid, config=config)
    masks = {
        "body": body,
        "lungs": air.lungs,
        "lung_left": left,
        "lung_right": right,
        "gas": air.other_gas,
        "airway": air.airway,
        "bone": bone,
        "ribs": ribs,
        "thoracic_cavity": cage,
    }
    if aorta.any():
        masks["aorta"] = aorta
    return masks


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
