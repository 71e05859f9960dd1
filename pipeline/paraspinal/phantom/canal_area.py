"""What counts as canal and foramen where the extension of a mass is stated as an area."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paraspinal.phantom.spine import SpinePlan
from paraspinal.volume import BoolArray, Geometry

CANAL_BESIDE_MM = 5.0
"""The foramen belongs to it so far beyond the canal's side wall: to the outer border of a thoracic pedicle."""
FORAMEN_MM = 7.0
"""It reaches so far before and behind the canal's middle."""
CANAL_MM = 11.0
"""Half depth of the ellipse that holds the canal and the fat between the laminae; bone mostly ends it before."""

_FORAMEN_UP, _FORAMEN_HALF = -0.38, 0.25  # of a vertebra's height, from its middle


def canal_area_mm2(
    mask: BoolArray, geometry: Geometry, spine: SpinePlan, canal_lps_mm: npt.NDArray[np.float64]
) -> float:
    """Return the greatest area on an axial slice of a mass inside the bony canal and its foramina.

    Parameters
    ----------
    canal_lps_mm : array (n, 3)
        The canal's centre as the volume shows it.
    """
    at = np.argwhere(mask)
    if len(at) == 0 or len(canal_lps_mm) == 0:
        return 0.0
    x, y, z = geometry.to_lps(at).T
    order = np.argsort(canal_lps_mm[:, 2])
    cx, cy = (np.interp(z, canal_lps_mm[order, 2], canal_lps_mm[order, k]) for k in (0, 1))
    half = spine.sizes(z)[:, 2] / 2
    lateral, ahead = np.abs(x - cx), np.abs(y - cy)
    between = np.zeros(len(z), bool)
    for plan in spine.free:
        middle = plan.place(0.0, plan.canal_offset, _FORAMEN_UP * plan.size.height)[2]
        between |= np.abs(z - middle) <= _FORAMEN_HALF * plan.size.height
    inside = (lateral / half) ** 2 + (ahead / CANAL_MM) ** 2 <= 1.0
    inside |= (lateral <= half + CANAL_BESIDE_MM) & (ahead <= FORAMEN_MM) & between
    _, dy, dx = geometry.spacing_mm
    return float(np.bincount(at[inside, 0], minlength=1).max() * dy * dx)
