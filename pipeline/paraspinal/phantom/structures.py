"""What a segmenter should find in a phantom: one mask a structure, by the names that the anatomy uses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from paraspinal.phantom.build import Phantom
from paraspinal.phantom.canvas import Part
from paraspinal.phantom.labels import NUMBER, rib_number, vertebra_number
from paraspinal.phantom.levels import LEVELS
from paraspinal.volume import BoolArray

RIB_NUMBERS = (
    *(rib_number(index, side) for side in ("left", "right") for index in range(1, 13)),
    *(NUMBER[f"rib_{side}_{kind}"] for side in ("left", "right") for kind in ("cervical", "lumbar")),
)
VERTEBRA_NUMBERS = tuple(vertebra_number(level) for level in LEVELS)
_OTHER_BONES = (
    *("sacrum", "sternum", "scapula_left", "scapula_right", "humerus_left", "humerus_right"),
    *("clavicula_left", "clavicula_right", "hip_left", "hip_right", "femur_left", "femur_right"),
)
_BONES = (*VERTEBRA_NUMBERS, *RIB_NUMBERS, *(NUMBER[name] for name in _OTHER_BONES))

_BY_NUMBER: Mapping[str, tuple[int, ...]] = {
    "arms": (NUMBER["arms"],),
    "airway": (NUMBER["trachea"],),
    "lungs": (NUMBER["lung_left"], NUMBER["lung_right"]),
    "lung_left": (NUMBER["lung_left"],),
    "lung_right": (NUMBER["lung_right"],),
    "bone": _BONES,
    "canal": (NUMBER["canal"],),
    "disc": (NUMBER["intervertebral_disc"],),
    "ribs": RIB_NUMBERS,
    "aorta": (NUMBER["aorta"],),
    "heart": (NUMBER["heart"],),
    "prevertebral": (NUMBER["esophagus"], NUMBER["azygos"]),
    "liver": (NUMBER["liver"],),
    "spleen": (NUMBER["spleen"],),
    "kidney_left": (NUMBER["kidney_left"],),
    "kidney_right": (NUMBER["kidney_right"],),
    "psoas_left": (NUMBER["iliopsoas_left"],),
    "psoas_right": (NUMBER["iliopsoas_right"],),
    "autochthon_left": (NUMBER["autochthon_left"],),
    "autochthon_right": (NUMBER["autochthon_right"],),
    "effusion_left": (NUMBER["effusion_left"],),
    "effusion_right": (NUMBER["effusion_right"],),
}
_BY_PART: Mapping[str, Part] = {
    "body": Part.TRUNK,
    "thoracic_cavity": Part.CAVITY,
    "column": Part.COLUMN,
    "osteophytes": Part.OSTEOPHYTE,
    "crura": Part.CRUS,
    "diaphragm": Part.PLATE,
}
STRUCTURES: tuple[str, ...] = (*_BY_NUMBER, *_BY_PART)


def structure_masks(phantom: Phantom, names: tuple[str, ...] = STRUCTURES) -> dict[str, BoolArray]:
    """Return the masks of `names` that are in view, bool [z, y, x] on the phantom's grid.

    ``lungs`` is aerated lung with its vessels: consolidated lung has a label of its own. ``thoracic_cavity`` is what
    lies inside the chest wall and above the diaphragm;
    ``body`` is the trunk without arms and table; ``psoas`` includes no
    iliacus. Vertebrae and ribs are in ``phantom.labels``, one number each.
    """
    out = {}
    for name in names:
        mask = _owned(phantom.labels.data, _BY_NUMBER[name]) if name in _BY_NUMBER else _marked(phantom, name)
        if mask.any():
            out[name] = mask
    return out


def _owned(labels: npt.NDArray[np.uint16], numbers: tuple[int, ...]) -> BoolArray:
    wanted = np.zeros(int(max(*numbers, int(labels.max()))) + 1, bool)
    wanted[list(numbers)] = True
    return np.asarray(wanted[labels])


def _marked(phantom: Phantom, name: str) -> BoolArray:
    return np.asarray((phantom.parts & np.uint8(_BY_PART[name])) != 0)
