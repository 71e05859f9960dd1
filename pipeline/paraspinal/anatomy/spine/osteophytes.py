"""Osteophytes: bone that stands out over the vertebral body's own outline beside its end plates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import ndimage

from paraspinal.anatomy.morphology import components, dilate, keep_larger, opened
from paraspinal.anatomy.scene import Scan, Spine
from paraspinal.anatomy.spine.bodies import ColumnOutline
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.straighten import STEP_MM
from paraspinal.anatomy.types import Vertebra
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_BLOOD_HU = 80.0  # arteries and veins differ, and voxels at their wall
_VESSEL_MM = 3.0  # thinner vessels lie nowhere on the spine
_USUAL_MM = 61.0
"""Over two vertebrae and more the median radius is that of the waists, whatever hangs on single end plates."""


def find_osteophytes(
    bone: BoolArray,
    column: BoolArray,
    other: BoolArray,
    outline: ColumnOutline,
    plates_mm: Sequence[float],
    where: SpineCoordinates,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> BoolArray:
    """Return the osteophytes of the bodies' front and sides, bool [z, y, x] in `where`'s box.

    Those behind, towards canal and foramina, are not told from pedicles and facets; what stands out by less than
    `osteophyte_height_mm` is the flare of a normal end plate.

    Parameters
    ----------
    plates_mm : sequence of float
        Arc length of the discs beside which they are looked for. The sacrum's wings, and enhanced vessels
        before the short cervical bodies, would pass for them.
    bone, column, other : ndarrays of bool
        In the same box: dense bone, bodies and discs, and bone-like structures that are no part of the spine (ribs,
        calcified or enhanced vessels).
    """
    forward = where.anterior - outline.centre_mm
    angle = np.arctan2(where.left, forward)
    count = outline.radius_mm.shape[1]
    usual = ndimage.median_filter(outline.radius_mm, (round(_USUAL_MM / STEP_MM), 1), mode="nearest")
    row = np.clip(where.s / STEP_MM, 0, len(usual) - 1)
    at = [row, np.mod(angle, 2 * np.pi) * count / (2 * np.pi)]
    limit = ndimage.map_coordinates(np.pad(usual, ((0, 0), (0, 1)), mode="wrap"), at, order=1, mode="nearest")
    beyond = np.hypot(forward, where.left) - limit
    facing = np.abs(angle) < np.radians(config.osteophyte_side_deg)
    near = _near(where, plates_mm, config.osteophyte_plate_mm)
    hanging: BoolArray = bone & facing & near & (beyond > 0.0) & (beyond < config.osteophyte_reach_mm)
    hanging &= ~dilate(other, 3.0, grid.spacing_mm)
    if not hanging.any():
        return hanging
    labels, _ = components(hanging, connectivity=26)
    base = dilate(column & bone & (beyond <= 0.0), 1.1 * max(grid.spacing_mm), grid.spacing_mm)
    own = np.unique(labels[base])
    out: BoolArray = np.isin(labels, own[own > 0]) & (beyond > config.osteophyte_height_mm)
    return keep_larger(out, config.osteophyte_ml / grid.voxel_ml)


def _near(where: SpineCoordinates, plates_mm: Iterable[float], reach_mm: float) -> BoolArray:
    """Tell which voxels lie at the height of a disc or of the end plates beside it."""
    near: BoolArray = np.zeros(where.s.shape, bool)
    for s in plates_mm:
        near |= np.abs(where.s - s) < reach_mm
    return near


def spine_osteophytes(
    scan: Scan, spine: Spine, vertebrae: tuple[Vertebra, ...], masks: Mapping[str, BoolArray]
) -> BoolArray:
    """Return the osteophytes of the whole spine: between the sacrum's wings and the neck's vessels."""
    box = spine.where.box
    sacrum = max((v.s_mm for v in vertebrae if v.label.startswith("S")), default=-np.inf)
    neck = min((v.s_mm for v in vertebrae if v.label == "T1" or v.label.startswith("C")), default=np.inf)
    other = masks["ribs"][box] | (scan.hu[box] > scan.config.osteophyte_metal_hu)
    if "aorta" in masks:
        other |= masks["aorta"][box] | _enhanced_vessels(scan, masks["aorta"], box)
    found = find_osteophytes(
        scan.bone[box],
        spine.column[box],
        other,
        spine.outline,
        [float(s) for s in spine.borders.s_mm if sacrum < s < neck],
        spine.where,
        scan.grid,
        config=scan.config,
    )
    return spine.spread(found)


def _enhanced_vessels(scan: Scan, aorta: BoolArray, box: tuple[slice, slice, slice]) -> BoolArray:
    """Return even tissue of the aorta's own density where contrast medium makes it pass for bone."""
    blood = float(np.median(scan.hu[aorta]))
    if blood < scan.config.bone_threshold_hu:
        return np.zeros(aorta[box].shape, bool)
    alike = np.abs(scan.hu[box] - blood) < _BLOOD_HU
    return opened(alike, _VESSEL_MM, scan.grid.spacing_mm)
