"""The aorta as a whole: descending and abdominal along the spine, ascending and arch where the scan shows them."""

from __future__ import annotations

import numpy as np

from paraspinal.anatomy.chest.aorta import aorta_mask, track_aorta
from paraspinal.anatomy.chest.arch import find_arch
from paraspinal.anatomy.chest.lungs import Airspaces
from paraspinal.anatomy.grid import Float32Volume
from paraspinal.anatomy.morphology import components
from paraspinal.anatomy.spine.bodies import ColumnOutline
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.discs import DiscBorders
from paraspinal.anatomy.spine.straighten import SpineFrame
from paraspinal.anatomy.types import Vertebra
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry, Region


def find_aorta(
    hu: Float32Volume,
    body: BoolArray,
    column: BoolArray,
    air: Airspaces,
    frame: SpineFrame,
    where: SpineCoordinates,
    outline: ColumnOutline,
    borders: DiscBorders,
    vertebrae: tuple[Vertebra, ...],
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> BoolArray:
    """Mask of the aorta; all False where nothing like it runs beside the spine.

    Without an arch the track ends at the upper border of T4, where the aorta leaves the spine; with one, at the arch.
    It ends at the middle of L4's lower half, where the aorta divides.
    """
    mask = np.zeros(grid.shape, bool)
    track = track_aorta(hu, frame, outline, grid, config=config)
    if track is None:
        return mask
    mask[where.box] = aorta_mask(track, hu, where, config=config)
    within = np.ones(where.s.shape, bool)
    descending = mask.copy()
    for vertebra in vertebrae:
        above = borders.s_mm[borders.s_mm > vertebra.s_mm]
        if vertebra.label == "L4" and above.size and not vertebra.level_uncertain:
            within &= where.s >= vertebra.s_mm - 0.5 * (float(above.min()) - vertebra.s_mm)
        if vertebra.label == "T4" and above.size:
            # By arc length: slices of an oblique volume do not follow the levels.
            descending[where.box] &= where.s <= float(above.min())
    mask[where.box] &= within
    descending[where.box] &= within
    hard = column | air.lungs | air.airway | ~body
    chest = find_arch(hu, descending, hard, air.carina_z, track.side, grid, config=config)
    if chest.top is None:
        return _kept(descending | chest.mask, grid, config=config)
    mask[chest.top + 1 :] = False
    return _kept(mask | chest.mask, grid, config=config)


def _kept(mask: BoolArray, grid: Geometry, *, config: AnatomyConfig) -> BoolArray:
    """Drop loose pieces: a wall cut off by a rough border, a vessel met beyond a gap."""
    if not mask.any():
        return mask
    region = Region.of(mask)
    labels, counts = components(region.mask, connectivity=26)
    keep = counts * grid.voxel_ml >= config.min_aorta_piece_ml
    keep[0] = False
    out = np.zeros_like(mask)
    out[region.box] = keep[labels]
    return out
