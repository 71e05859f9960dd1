"""What a known mass touches, and how it differs from muscle: the strata in which detection is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from paraspinal.anatomy.grid import average_onto
from paraspinal.anatomy.morphology import dilate
from paraspinal.anatomy.types import Anatomy
from paraspinal.volume import BoolArray, LabelMap, Region

_NEIGHBOURS = {
    "lung": ("lungs",),
    "psoas": ("psoas_left", "psoas_right"),
    "effusion": ("effusion_left", "effusion_right"),
    "crus": ("crura",),
}
_MUSCLES = ("autochthon_left", "autochthon_right")
_REACH_MM = 4.0
_TOUCHES = 0.1  # of the rim around the mass; less is a corner


def surroundings(truth: Mapping[str, Any], labels: LabelMap, anatomy: Anatomy | None) -> dict[str, Any]:
    """Return the neighbours of a known mass and its difference from muscle.

    Parameters
    ----------
    labels : LabelMap
        Known masses on the native grid.
    anatomy : Anatomy or None
        Of the scan that holds the mass; without it nothing is told.

    Returns
    -------
    dict
        ``touches``: names of what fills a tenth or more of the rim of 4 mm around the mass; ``muscle_step_hu``: the
        mass's HU less the median of the erector muscles, None where either is not known.
    """
    if anatomy is None:
        return {"touches": [], "muscle_step_hu": None}
    share = average_onto((labels.data == int(truth["id"])).view(np.uint8), anatomy.geometry)
    mask = np.asarray(share > 0.0)
    if not mask.any():
        return {"touches": [], "muscle_step_hu": None}
    around = Region.of(mask).padded((4, 4, 4), _shape(mask))
    rim = dilate(around.mask, _REACH_MM, anatomy.geometry.spacing_mm) & ~around.mask
    size = max(1, int(rim.sum()))
    touches = [
        name
        for name, parts in _NEIGHBOURS.items()
        if sum(int((anatomy.mask(p)[around.box] & rim).sum()) for p in parts) >= _TOUCHES * size
    ]
    return {"touches": touches, "muscle_step_hu": _muscle_step(truth, anatomy)}


def _shape(mask: BoolArray) -> tuple[int, int, int]:
    z, y, x = mask.shape
    return (z, y, x)


def _muscle_step(truth: Mapping[str, Any], anatomy: Anatomy) -> float | None:
    own = truth.get("mean_hu")
    own = truth.get("hu") if own is None else own
    muscle = np.logical_or.reduce([anatomy.mask(name) for name in _MUSCLES])
    if own is None or not muscle.any():
        return None
    return round(float(own) - float(np.median(anatomy.hu[muscle])), 1)
