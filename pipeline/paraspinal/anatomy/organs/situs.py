"""On which side the liver lies: usual, mirrored (situs inversus), or not to be told.

One sign alone does not mirror a body: a huge spleen can outgrow the liver, an aorta can be tortuous or descend on
the right. Where the larger solid organ lies on the left and aorta and heart lie on the right as well, the body, or
its picture, is mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from paraspinal.anatomy.morphology import distance_inside
from paraspinal.anatomy.organs.lumps import Trunk
from paraspinal.volume import BoolArray

Situs = Literal["usual", "mirrored", "unsure"]

_DEEP_MM = 12.0  # inside organs: loops of bowel and muscles are thinner
_ASIDE_MM = 25.0  # beside the great vessels and the spine
_BELOW_L1_MM = 30.0  # kidneys and bowel only
_MORE = 1.5  # a spleen as large as the liver is rare, one so much larger rarer still (engineering default)
_OFF_MM = 3.0  # a vessel or heart nearer to the midline tells nothing


def find_situs(trunk: Trunk, sided: Mapping[str, BoolArray]) -> Situs:
    """Compare the solid organs of both sides, and the side of what lies left in the usual body.

    Parameters
    ----------
    sided : mapping of str to ndarray of bool, [z, y, x]
        Aorta and heart on the trunk's grid, as far as they were found.
    """
    upper = ~(trunk.height < -_BELOW_L1_MM)[:, None, None]
    deep = (distance_inside(trunk.tissue, trunk.grid.spacing_mm) > _DEEP_MM) & upper
    left, right = (
        np.count_nonzero(deep & side) for side in (trunk.left > _ASIDE_MM, trunk.left < -_ASIDE_MM)
    )
    if left <= _MORE * right:
        return "usual"
    signs = [float(trunk.left[mask].mean()) for mask in sided.values() if mask.any()]
    telling = [place < 0.0 for place in signs if abs(place) > _OFF_MM]
    if not telling:
        return "unsure"
    if all(telling):
        return "mirrored"
    return "unsure" if any(telling) else "usual"


def turned(trunk: Trunk) -> Trunk:
    """Return the trunk with left and right exchanged."""
    return replace(trunk, left=-trunk.left)


def other_side(name: str) -> str:
    """Return the name of a sided structure on the other side."""
    for one, other in (("left", "right"), ("right", "left")):
        if name.endswith(f"_{one}"):
            return name.removesuffix(one) + other
    return name
