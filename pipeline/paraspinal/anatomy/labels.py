"""The exclusive label map: numbers, names and which structure wins where two meet."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.coordinates import SpineCoordinates
from paraspinal.anatomy.discs import DiscBorders
from paraspinal.anatomy.levels import UNCERTAIN_NUMBERS, VERTEBRA_NUMBERS
from paraspinal.anatomy.straighten import SpineFrame
from paraspinal.anatomy.types import RIB_NUMBERS, UNCERTAIN_RIB_NUMBERS, Vertebra
from paraspinal.volume import BoolArray, Geometry, LabelMap

STRUCTURE_NUMBERS = {
    "spleen": 1,
    "kidney_right": 2,
    "kidney_left": 3,
    "liver": 5,
    "aorta": 52,
    "autochthon_left": 86,
    "autochthon_right": 87,
    "canal": 200,
    "lung_left": 201,
    "lung_right": 202,
    "ribs": 203,
    "disc": 204,
    "effusion_left": 205,
    "effusion_right": 206,
    "psoas_left": 207,
    "psoas_right": 208,
    "airway": 209,
    "heart": 236,
    "prevertebral": 237,
    "diaphragm": 238,
}
"""Numbers of what is no vertebra; our own structures start at 200. Later entries win where structures meet."""

LABEL_NAMES: dict[int, str] = {
    **{number: name for name, number in STRUCTURE_NUMBERS.items()},
    **{number: f"vertebrae_{label}" for label, number in VERTEBRA_NUMBERS.items()},
    **{number: f"vertebra_of_uncertain_level_{k + 1}" for k, number in enumerate(UNCERTAIN_NUMBERS)},
    **RIB_NUMBERS,
    **UNCERTAIN_RIB_NUMBERS,
}

_ORDER = (
    *("prevertebral", "heart", "diaphragm", "effusion_left", "effusion_right", "airway"),
    *("psoas_left", "psoas_right", "autochthon_left", "autochthon_right", "kidney_left", "kidney_right"),
    *("lung_left", "lung_right", "liver", "spleen", "ribs", "aorta", "vertebrae", "canal"),
)
"""Painting order: the last one wins."""

_DISC_HALF_MM = 2.5


def vertebra_numbers(
    where: SpineCoordinates, borders: DiscBorders, vertebrae: tuple[Vertebra, ...], frame: SpineFrame
) -> npt.NDArray[np.uint16]:
    """Return the number of the vertebra whose interval holds each voxel of the box; 0 outside the traced canal."""
    middle = 0.5 * (borders.s_mm[:-1] + borders.s_mm[1:])
    numbers = np.zeros(len(middle) + 2, np.uint16)
    for vertebra in vertebrae:
        numbers[1 + int(np.argmin(np.abs(middle - vertebra.s_mm)))] = vertebra.number
    index = np.searchsorted(borders.s_mm, where.s.ravel()).reshape(where.s.shape)
    inside = (where.s > -2.0) & (where.s < frame.length_mm + 2.0)
    return np.where(inside, numbers[np.clip(index, 0, len(numbers) - 1)], 0).astype(np.uint16)


def assemble_labels(
    masks: Mapping[str, BoolArray],
    numbers: npt.NDArray[np.uint16],
    where: SpineCoordinates,
    borders: DiscBorders,
    grid: Geometry,
    *,
    ribs: npt.NDArray[np.uint16] | None = None,
) -> LabelMap:
    """Paint all structures into one exclusive map of the working grid; `ribs` holds the numbers of the ribs."""
    data = np.zeros(grid.shape, np.uint16)
    for name in _ORDER:
        if name == "vertebrae":
            _paint_vertebrae(data, masks, numbers, where, borders)
        elif name == "ribs" and ribs is not None:
            data[ribs > 0] = ribs[ribs > 0]
        elif name in masks:
            data[masks[name]] = STRUCTURE_NUMBERS[name]
    return LabelMap(data, grid, LABEL_NAMES)


def _paint_vertebrae(
    data: npt.NDArray[np.uint16],
    masks: Mapping[str, BoolArray],
    numbers: npt.NDArray[np.uint16],
    where: SpineCoordinates,
    borders: DiscBorders,
) -> None:
    column, bone = masks["column"][where.box], masks["bone"][where.box]
    arch = bone & (np.abs(where.left) < 30.0) & (where.anterior < 14.0) & (where.anterior > -62.0)
    arch &= ~masks["ribs"][where.box]
    disc = column & (_nearest(where.s, borders) < _DISC_HALF_MM) & ~bone
    part = data[where.box]
    vertebra = (column | arch) & (numbers > 0)
    part[vertebra] = numbers[vertebra]
    part[disc] = STRUCTURE_NUMBERS["disc"]


def _nearest(s: npt.NDArray[np.float32], borders: DiscBorders) -> npt.NDArray[np.float32]:
    """Distance along the canal to the nearest border."""
    index = np.clip(np.searchsorted(borders.s_mm, s.ravel()).reshape(s.shape), 1, len(borders.s_mm) - 1)
    below, above = borders.s_mm[index - 1], borders.s_mm[index]
    return np.asarray(np.minimum(np.abs(s - below), np.abs(above - s)), np.float32)
