"""What the steps of the segmenter hand on: the scan on the working grid, the spine in it, its skeleton."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.body import segment_body
from paraspinal.anatomy.extent import padding_on
from paraspinal.anatomy.given.canal import guided_canal
from paraspinal.anatomy.given.types import StructureSet
from paraspinal.anatomy.grid import Float32Volume, to_working_grid, working_grid
from paraspinal.anatomy.parallel import both
from paraspinal.anatomy.spine.bodies import ColumnOutline, column_mask, trace_column
from paraspinal.anatomy.spine.canal import CanalTrace, canal_mask, trace_spinal_canal
from paraspinal.anatomy.spine.coordinates import SpineCoordinates, spine_coordinates
from paraspinal.anatomy.spine.discs import DiscBorders, find_borders_along, spine_signals
from paraspinal.anatomy.spine.straighten import SpineFrame, spine_frame
from paraspinal.anatomy.spine.vertebra_masks import SpineParts
from paraspinal.anatomy.types import Rib
from paraspinal.config import AnatomyConfig
from paraspinal.errors import AnalysisError
from paraspinal.volume import BoolArray, CTVolume, Geometry


@dataclass(frozen=True, slots=True)
class Scan:
    """The working grid: HU, what of it is padding, the trunk and its bone, and the arms."""

    grid: Geometry
    hu: Float32Volume
    padding: BoolArray
    body: BoolArray
    bone: BoolArray
    arms: BoolArray
    config: AnatomyConfig


@dataclass(frozen=True, slots=True)
class Spine:
    """What the later steps need to know about the spine."""

    trace: CanalTrace
    frame: SpineFrame
    where: SpineCoordinates
    outline: ColumnOutline
    borders: DiscBorders
    column: BoolArray
    canal: BoolArray
    guided: bool = False

    def spread(self, part: BoolArray) -> BoolArray:
        """Put a mask of the spine's box into the whole grid."""
        out = np.zeros(self.column.shape, bool)
        out[self.where.box] = part
        return out


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Ribs with their label numbers, and the parts of the spine."""

    ribs: tuple[Rib, ...]
    rib_labels: npt.NDArray[np.uint16]
    parts: SpineParts


def read_scan(volume: CTVolume, config: AnatomyConfig) -> Scan:
    """Put a series on the working grid and part the trunk from arms, table and air."""
    grid = working_grid(volume.geometry, spacing_mm=config.working_spacing_mm)
    hu = to_working_grid(volume, grid)
    padding = padding_on(volume, grid)
    found = segment_body(hu, grid, config=config)
    body = found.trunk & ~padding
    return Scan(grid, hu, padding, body, (hu > config.bone_threshold_hu) & body, found.arms, config)


def trace_spine(scan: Scan, given: StructureSet | None) -> Spine:
    """Trace the canal and outline the bodies and discs along it.

    Raises
    ------
    AnalysisError
        ``no_spine`` when no canal of ``min_spine_mm`` is found.
    """
    hu, grid, config = scan.hu, scan.grid, scan.config
    trace = trace_spinal_canal(hu, scan.bone, scan.body, grid, config=config)
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
    where, (outline, borders) = both(
        lambda: spine_coordinates(frame, grid),
        lambda: (
            trace_column(hu, frame, grid, config=config),
            find_borders_along(spine_signals(hu, frame, grid), frame, config=config),
        ),
    )
    column = np.zeros(grid.shape, bool)
    column[where.box] = column_mask(outline, frame, where)
    canal = canal_mask(trace, scan.bone, grid, config=config)
    return Spine(trace, frame, where, outline, borders, column, canal, guided)
