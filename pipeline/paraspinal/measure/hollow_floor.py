"""Whether the floor of a hollow has a cortex: its mean profile against that of the body's clean wall.

A shell thinner than the scan's blur has no thickness to be read, and in a noisy scan no single ray shows it. All rays
of a floor are therefore laid on each other at their border and averaged. What stands out over the bone behind it
(HU times millimetres, which blur leaves as it is) is compared with what the same body's clean wall shows.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.measure.wall import BodyWall, Grid
from paraspinal.measure.wall_border import RADII_MM, STEP_MM
from paraspinal.volume import BoolArray

_SHELL_MM = (-2.75, -0.25)  # from the border inwards: the shell, as far as blur spreads it
_BEHIND_MM = (-6.5, -4.0)
_LEAST_CLEAN = 30  # rays
_LEAST_CORTEX_HU = 30.0  # mean over the shell's depth, above the bone behind it
_LEAST_INNER = 4
_ALIKE_RAYS = 4.0  # rays beside each other that share their noise
_KEPT_FROM = (
    0.33  # of the clean wall: floors without cortex read 0, with one 0.4 to 1.2 (engineering default)
)
_VARIES = 0.2  # SD of a kept cortex against the clean wall's (engineering default)


def cortex_kept_probability(
    wall: BodyWall, clean: BoolArray, border_mm: Grid, floor: BoolArray
) -> float | None:
    """Return the probability that the floor of a hollow has a cortex, at least a third of the clean wall's.

    None where too little of the body is clean, where its own cortex hardly stands out, or where the floor lies at the
    body's axis.

    Parameters
    ----------
    clean, floor : bool array [height, angle]
        Rays of the same body that face no mass, and those of the hollow.
    border_mm : float array [height, angle]
        Where bone ends along the rays of the hollow (NaN: not told).
    """
    own = _shell_hu(wall, np.where(clean, wall.radius_mm, np.nan))
    if own.size < _LEAST_CLEAN or float(own.mean()) < _LEAST_CORTEX_HU:
        return None
    core = ndimage.binary_erosion(floor)
    # At its rim a hollow has the cortex of the wall around it.
    inner = core if np.count_nonzero(core) >= _LEAST_INNER else floor
    shell = _shell_hu(wall, np.where(inner, border_mm, np.nan))
    if shell.size < _LEAST_INNER:
        shell = _shell_hu(wall, np.where(floor, border_mm, np.nan))
    if shell.size == 0:
        return None
    share = float(shell.mean() / own.mean())
    noise = float(own.std() / own.mean()) / math.sqrt(max(shell.size / _ALIKE_RAYS, 1.0))
    return 0.5 * math.erfc((_KEPT_FROM - share) / (math.hypot(noise, _VARIES) * math.sqrt(2.0)))


def _shell_hu(wall: BodyWall, border_mm: Grid) -> npt.NDArray[np.floating]:
    """Return, ray by ray, how far (HU) the shell stands above the bone behind it."""
    # Rays begin 4 mm from the axis: of a floor as deep as that nothing is seen.
    told = np.isfinite(border_mm) & (border_mm + _SHELL_MM[0] >= RADII_MM[0])
    if not told.any():
        return np.zeros(0)
    shell, behind = (_mean(wall.profiles[told], border_mm[told], reach) for reach in (_SHELL_MM, _BEHIND_MM))
    room = border_mm[told] + _BEHIND_MM[0] >= RADII_MM[0]
    return np.asarray(shell - np.where(room, behind, wall.core_hu))


def _mean(
    profiles: npt.NDArray[np.floating], border_mm: npt.NDArray[np.floating], reach_mm: tuple[float, float]
) -> npt.NDArray[np.floating]:
    """Return the mean of every profile [n, radius] over a stretch from its border, read every half millimetre."""
    off = np.arange(reach_mm[0], reach_mm[1] + 1e-6, STEP_MM)
    at = ((border_mm[:, None] + off - RADII_MM[0]) / STEP_MM).clip(0.0, profiles.shape[1] - 1.001)
    low = at.astype(int)
    row = np.arange(len(profiles))[:, None]
    part = at - low
    return np.asarray(((1.0 - part) * profiles[row, low] + part * profiles[row, low + 1]).mean(axis=1))
