"""The exclusive label map: numbers, names and which structure wins where two meet."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.discs import DiscBorders
from paraspinal.anatomy.spine.levels import LABELS, UNCERTAIN_NUMBERS, VERTEBRA_NUMBERS
from paraspinal.anatomy.spine.vertebra_masks import SpineParts
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
    "crura": 239,
    "osteophytes": 264,
}
"""Numbers of what is no vertebra; our own structures start at 200. Later entries win where structures meet."""

_DISC_BELOW = {VERTEBRA_NUMBERS[upper]: 300 + k for k, upper in enumerate(LABELS) if 1 < k < len(LABELS) - 1}
"""The number of the disc below a vertebra, by that vertebra's number; none below S1 and C1."""

DISC_NUMBERS: dict[int, str] = {
    disc: f"disc_{LABELS[upper - 25]}_{LABELS[upper - 26]}" for upper, disc in _DISC_BELOW.items()
}
"""Names of the discs, as ``disc_T12_L1``."""

LABEL_NAMES: dict[int, str] = {
    **{number: name for name, number in STRUCTURE_NUMBERS.items()},
    **{number: f"vertebrae_{label}" for label, number in VERTEBRA_NUMBERS.items()},
    **{number: f"vertebra_of_uncertain_level_{k + 1}" for k, number in enumerate(UNCERTAIN_NUMBERS)},
    **RIB_NUMBERS,
    **DISC_NUMBERS,
    **UNCERTAIN_RIB_NUMBERS,
}

_ORDER = (
    *("prevertebral", "heart", "diaphragm", "crura", "effusion_left", "effusion_right", "airway"),
    *("psoas_left", "psoas_right", "autochthon_left", "autochthon_right", "kidney_left", "kidney_right"),
    *("lung_left", "lung_right", "liver", "spleen", "ribs", "aorta", "vertebrae", "osteophytes", "canal"),
)
"""Painting order: the last one wins."""

_ALA_MM = 24.0
"""Beside this distance from the midline S1 is the sacrum's wing, which TotalSegmentator's S1 leaves to the sacrum."""


def vertebra_numbers(borders: DiscBorders, vertebrae: tuple[Vertebra, ...]) -> npt.NDArray[np.uint16]:
    """Return the number of the vertebra above each border, at index + 1 (see `SpineParts`); 0 for none.

    The scan's ends may cut a vertebra so short that it is not listed; its piece is counted on from its neighbour.
    """
    middle = 0.5 * (borders.s_mm[:-1] + borders.s_mm[1:])
    numbers = np.zeros(len(borders.s_mm) + 1, np.uint16)
    for vertebra in vertebrae:
        numbers[1 + int(np.argmin(np.abs(middle - vertebra.s_mm)))] = vertebra.number
    listed = np.flatnonzero(numbers)
    if len(listed):
        for end, step in ((int(listed[0]) - 1, -1), (int(listed[-1]) + 1, 1)):
            number = int(numbers[end - step]) + step
            if 0 < end < len(numbers) - 1 and number in (*VERTEBRA_NUMBERS.values(), *UNCERTAIN_NUMBERS):
                numbers[end] = number
    return numbers


def disc_numbers(vertebrae: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Return the number of the disc below each vertebra of `vertebra_numbers`, at the same index.

    A disc has a name where both its vertebrae have one; elsewhere it is a `disc`.
    """
    numbers = np.full(len(vertebrae), STRUCTURE_NUMBERS["disc"], np.uint16)
    for k in range(1, len(vertebrae)):
        upper, lower = int(vertebrae[k]), int(vertebrae[k - 1])
        if upper in _DISC_BELOW and lower == upper - 1:
            numbers[k] = _DISC_BELOW[upper]
    numbers[0] = 0
    return numbers


def assemble_labels(
    masks: Mapping[str, BoolArray],
    parts: SpineParts,
    numbers: npt.NDArray[np.uint16],
    where: SpineCoordinates,
    grid: Geometry,
    *,
    ribs: npt.NDArray[np.uint16] | None = None,
) -> LabelMap:
    """Paint all structures into one exclusive map of the working grid; `ribs` holds the numbers of the ribs."""
    data = np.zeros(grid.shape, np.uint16)
    for name in _ORDER:
        if name == "vertebrae":
            _paint_spine(data[where.box], parts, numbers, where)
        elif name == "ribs" and ribs is not None:
            data[ribs > 0] = ribs[ribs > 0]
        elif name in masks:
            data[masks[name]] = STRUCTURE_NUMBERS[name]
    return LabelMap(data, grid, LABEL_NAMES)


def _paint_spine(
    data: npt.NDArray[np.uint16], parts: SpineParts, numbers: npt.NDArray[np.uint16], where: SpineCoordinates
) -> None:
    vertebra, disc = numbers[parts.vertebra], disc_numbers(numbers)[parts.disc]
    vertebra[(vertebra == VERTEBRA_NUMBERS["S1"]) & (np.abs(where.left) > _ALA_MM)] = 0
    for painted in (vertebra, disc):
        data[painted > 0] = painted[painted > 0]
