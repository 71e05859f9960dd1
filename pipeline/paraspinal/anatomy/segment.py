"""The built-in `classical` segmenter: no weights, no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.aorta import aorta_mask, track_aorta
from paraspinal.anatomy.bodies import ColumnOutline, column_mask, trace_column
from paraspinal.anatomy.body import Airspaces, segment_body, segment_lungs, split_lungs
from paraspinal.anatomy.cage import inside_cage
from paraspinal.anatomy.canal import CanalTrace, canal_mask, trace_spinal_canal
from paraspinal.anatomy.coordinates import SpineCoordinates, spine_coordinates
from paraspinal.anatomy.discs import DiscBorders, find_disc_borders, spine_signals
from paraspinal.anatomy.extent import cut_sides, padding_on
from paraspinal.anatomy.grid import Float32Volume, halved, to_working_grid, working_grid
from paraspinal.anatomy.labels import assemble_labels, vertebra_numbers
from paraspinal.anatomy.levels import LABELS, LevelEvidence
from paraspinal.anatomy.morphology import dilate
from paraspinal.anatomy.organs import even_tissue, find_liver, find_spleen, refine_organ
from paraspinal.anatomy.ribs import RibCage, find_ribs, thin_bone
from paraspinal.anatomy.straighten import SpineFrame, spine_frame
from paraspinal.anatomy.types import Anatomy, Organ, Vertebra
from paraspinal.anatomy.vertebrae import name_vertebrae, read_level_evidence
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


def segment_anatomy(
    volume: CTVolume, *, config: AnatomyConfig | None = None, progress: Progress | None = None
) -> Anatomy:
    """Segment body, lungs, canal, vertebrae with names, ribs, aorta, liver and spleen.

    Parameters
    ----------
    volume : CTVolume
        HU int16 [z, y, x], canonical order.

    Raises
    ------
    AnalysisError
        ``no_spine`` when no spinal canal of ``min_spine_mm`` can be traced.
    """
    config = config or AnatomyConfig()
    tell = progress or (lambda _: None)
    grid = working_grid(volume.geometry, spacing_mm=config.working_spacing_mm)
    hu = to_working_grid(volume, grid)
    padding = padding_on(volume, grid)
    tell("body and spinal canal")
    body = segment_body(hu, grid, config=config) & ~padding
    bone = (hu > config.bone_threshold_hu) & body
    spine = _trace_spine(hu, bone, body, grid, config=config)
    tell("lungs and ribs")
    air = segment_lungs(hu, body, spine.where, grid, config=config)
    ribs = find_ribs(hu, spine.where, grid, config=config)
    tell("vertebral levels")
    evidence = read_level_evidence(
        spine.borders,
        ribs,
        bone,
        air.lungs,
        padding,
        air.carina_z,
        spine.frame,
        spine.where,
        grid,
        config=config,
    )
    vertebrae = name_vertebrae(spine.borders, evidence, spine.frame, grid, config=config)
    tell("vessels and organs")
    masks = _soft_structures(hu, body, bone, air, ribs, spine, vertebrae, grid, config=config)
    masks["padding"] = padding
    found, states = _liver_and_spleen(hu, masks, spine.where, grid, config=config)
    masks |= found
    organs = {name: _simple(masks, name, config=config) for name in ("lung_left", "lung_right", "aorta")}
    organs |= {name: _cut(organ, masks, name, config=config) for name, organ in states.items()}
    numbers = vertebra_numbers(spine.where, spine.borders, vertebrae, spine.frame)
    labels = assemble_labels(masks, numbers, spine.where, spine.borders, grid)
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
        notes=_notes(vertebrae, spine.borders, evidence),
    )


def _notes(vertebrae: tuple[Vertebra, ...], borders: DiscBorders, evidence: LevelEvidence) -> tuple[str, ...]:
    notes = []
    if not np.isfinite(evidence.rib).any():
        notes.append(
            "No rib could be looked for: the scan does not reach far enough to the side, or is too short."
        )
    if len(borders.s_mm) - 1 > len(LABELS):
        notes.append("More vertebrae were found than have names; those at the end are left out.")
    return tuple(notes)


def _trace_spine(
    hu: Float32Volume, bone: BoolArray, body: BoolArray, grid: Geometry, *, config: AnatomyConfig
) -> _Spine:
    trace = trace_spinal_canal(hu, bone, body, grid, config=config)
    if trace is None:
        raise AnalysisError(
            "No spinal canal was found.",
            code="no_spine",
            remedy=f"Give a CT series that shows at least {config.min_spine_mm:.0f} mm of the spine.",
        )
    frame = spine_frame(trace, grid)
    where = spine_coordinates(frame, grid)
    outline = trace_column(hu, frame, grid, config=config)
    borders = find_disc_borders(spine_signals(hu, frame, grid), config=config)
    column = np.zeros(grid.shape, bool)
    column[where.box] = column_mask(outline, frame, where)
    return _Spine(trace, frame, where, outline, borders, column)


def _soft_structures(
    hu: Float32Volume,
    body: BoolArray,
    bone: BoolArray,
    air: Airspaces,
    ribs: RibCage,
    spine: _Spine,
    vertebrae: tuple[Vertebra, ...],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> dict[str, BoolArray]:
    where = spine.where
    aorta = _aorta(hu, spine, vertebrae, grid, config=config)
    midline = spine.trace.at(np.arange(grid.shape[0]))[:, 1]
    left, right = split_lungs(air.lungs, midline)
    zone = np.zeros(grid.shape, bool)
    zone[where.box] = (np.abs(where.left) < config.rib_cut_mm) & (where.anterior < 45.0)
    thin = thin_bone(hu, grid, config=config)
    cage = inside_cage(
        thin & ~zone & ~dilate(aorta, 4.0, grid.spacing_mm), air.lungs, body, spine.trace, grid, config=config
    )
    canal = canal_mask(spine.trace, bone, grid, config=config)
    column = spine.column & ~canal
    rib_mask = np.zeros(grid.shape, bool)
    rib_mask[where.box] = ribs.mask & (where.s > _lowest_thoracic(vertebrae) - 60.0)
    masks = {
        "body": body,
        "lungs": air.lungs,
        "lung_left": left,
        "lung_right": right,
        "gas": air.other_gas,
        "bone": bone,
        "canal": canal,
        "column": column,
        "ribs": rib_mask,
        "thoracic_cavity": cage,
    }
    if aorta.any():
        masks["aorta"] = aorta
    # The muscles of the back are as even and as dense as an organ.
    back = np.zeros(grid.shape, bool)
    back[where.box] = (where.anterior < -12.0) & (np.abs(where.left) < 62.0)
    excluded = bone | column | air.lungs | dilate(aorta | thin, 2.0, grid.spacing_mm) | back
    return masks | {"no_organ": excluded}


def _aorta(
    hu: Float32Volume,
    spine: _Spine,
    vertebrae: tuple[Vertebra, ...],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> BoolArray:
    """Mask of the aorta, cut above T4 where the level is known (the arch leaves the spine there)."""
    mask = np.zeros(grid.shape, bool)
    track = track_aorta(hu, spine.frame, spine.outline, grid, config=config)
    if track is None:
        return mask
    mask[spine.where.box] = aorta_mask(track, hu, spine.where, config=config)
    for vertebra in vertebrae:
        if vertebra.label == "T4":  # by arc length: slices of an oblique volume do not follow the levels
            top = float(spine.borders.s_mm[spine.borders.s_mm > vertebra.s_mm].min())
            mask[spine.where.box] &= spine.where.s <= top
    return mask


def _liver_and_spleen(
    hu: Float32Volume,
    seen: dict[str, BoolArray],
    where: SpineCoordinates,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> tuple[dict[str, BoolArray], dict[str, Organ]]:
    """Find both on a grid of twice the spacing, which is fine enough for organs, and refine the border."""
    coarse = halved(grid)
    half = where.halved()
    body, excluded = seen["body"], seen.pop("no_organ")
    tissue = even_tissue(
        coarse.mean(hu),
        coarse.most(body),
        coarse.any(excluded),
        coarse.most(seen["padding"]),
        coarse.geometry,
        config=config,
    )
    liver = find_liver(tissue, half, coarse.geometry, config=config)
    cage = coarse.most(seen["thoracic_cavity"])
    spleen = find_spleen(tissue, cage, liver.mask, half, coarse.geometry, config=config)
    masks: dict[str, BoolArray] = {}
    for name, found in (("liver", liver), ("spleen", spleen)):
        if found.mask is not None:
            free = body & ~excluded
            for other in masks.values():
                free &= ~other
            masks[name] = refine_organ(coarse.back(found.mask), hu, free, grid, config=config)
    return masks, {"liver": liver.organ, "spleen": spleen.organ}


def _lowest_thoracic(vertebrae: tuple[Vertebra, ...]) -> float:
    """Arc length of the lowest vertebra that may bear ribs; the pelvis below is bone that reaches far, too."""
    thoracic = [v.s_mm for v in vertebrae if v.label.startswith("T")]
    return min(thoracic, default=min((v.s_mm for v in vertebrae), default=0.0))


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


def native_labels(anatomy: Anatomy, volume: CTVolume) -> npt.NDArray[np.uint16]:
    """Return the label map on the native grid, [z, y, x] in canonical order (nearest working voxel)."""
    return np.asarray(to_native(anatomy.labels.data, anatomy.geometry, volume.geometry))


def to_native(data: npt.NDArray[np.uint16], grid: Geometry, native: Geometry) -> npt.NDArray[np.uint16]:
    """Spread a working-grid array over the native grid of the same box (nearest voxel)."""
    _, ny, nx = native.shape
    z = np.clip(
        ((np.arange(native.shape[0]) + 0.5) * grid.shape[0] / native.shape[0]).astype(int),
        0,
        grid.shape[0] - 1,
    )
    planes: Mapping[int, npt.NDArray[np.uint16]] = {
        int(k): cv2.resize(data[k], (nx, ny), interpolation=cv2.INTER_NEAREST_EXACT) for k in np.unique(z)
    }
    return np.stack([planes[int(k)] for k in z])
