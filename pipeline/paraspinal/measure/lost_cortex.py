"""The share of a mass's bone interface that has lost its cortex, in hollows and where the bone keeps its form.

Marrow that expands breaks through a cortex from within: the wall stays where it was, or moves outwards, and a mass
lies against bone without a shell. A shell thinner than the scan's blur is read by its peak, and a peak tells by
comparison only: with the wall of the same body that faces no mass, with how the cortex of this patient's other bodies
varies around the circumference, and with what clean sides show when they are read in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.measure.wall import RADII_MM, BodyWall, Grid
from paraspinal.volume import BoolArray

_AROUND_MM = 2.5  # the cortex lies so near to the expected wall, or to the floor of a hollow
_BEYOND_MM = (4.0, 6.5)
_ANOTHER_BONE_HU = 250.0  # a rib head or osteophyte against the wall hides its cortex
_LEAST_REFERENCE = 30  # rays of the same body
_LEAST_CORTEX_HU = 60.0  # above the body's interior, or its loss cannot be seen
_LOST_BELOW = 0.5  # of the prominence that is expected there
_LEAST_EXPECTED = 0.6  # where even healthy bodies show a weak cortex its loss is not told
_LEAST_WALLS = 2
ALIKE_RAYS = 9.0
"""Rays beside each other that read the same stretch of cortex."""


@dataclass(frozen=True, slots=True)
class Shell:
    """The cortex of one wall over some rays [height, angle]: ``told`` where it could be read, ``lost`` where gone."""

    told: BoolArray
    lost: BoolArray

    @property
    def share(self) -> float:
        """Part of the rays that were read whose cortex is gone."""
        return float(np.count_nonzero(self.lost)) / max(int(np.count_nonzero(self.told)), 1)


def read_shell(
    wall: BodyWall,
    rays: BoolArray,
    *,
    walls: Sequence[BodyWall],
    clean: Mapping[str, BoolArray],
    expected_mm: Grid,
    border_mm: Grid,
) -> Shell | None:
    """Return where a wall has lost its cortex; None where the body's own cortex is too faint or too little is clean.

    Parameters
    ----------
    rays : bool array [height, angle]
        Where to read.
    walls, clean
        All walls of the patient, and the rays of each that face no mass.
    expected_mm, border_mm : float arrays [height, angle]
        The wall that is expected and the one that is there (NaN: not told), from the axis.
    """
    own = clean[wall.label] & ~rays
    prominence = _prominence(wall, own)
    if prominence is None:
        return None
    expected = _expected(wall, own, walls, clean)
    inner = np.asarray(np.fmin(expected_mm, border_mm) - _AROUND_MM, np.float32)
    peaks = _greatest(wall, inner, expected_mm + np.float32(_AROUND_MM))
    beyond = _mean(wall, expected_mm + _BEYOND_MM[0], expected_mm + _BEYOND_MM[1])
    told = rays & np.isfinite(peaks) & (beyond < _ANOTHER_BONE_HU) & (expected >= _LEAST_EXPECTED)
    faint = told & (peaks < wall.core_hu + _LOST_BELOW * np.nan_to_num(expected) * prominence)
    return Shell(told, faint & _wide(faint))


def _prominence(wall: BodyWall, clean: BoolArray) -> float | None:
    """Return how far (HU) the cortex of a body stands above its interior."""
    peaks = wall.peak_hu[clean]
    if np.count_nonzero(np.isfinite(peaks)) < _LEAST_REFERENCE:
        return None
    found = float(np.nanmedian(peaks)) - wall.core_hu
    return found if found >= _LEAST_CORTEX_HU else None


def _expected(
    wall: BodyWall, own: BoolArray, walls: Sequence[BodyWall], clean: Mapping[str, BoolArray]
) -> Grid:
    """Return the cortex's prominence [height, angle] by the body's own, as other sides and bodies show it."""
    told = []
    for other in walls:
        rays = own if other.label == wall.label else clean[other.label]
        prominence = _prominence(other, rays)
        if prominence is None:
            continue
        relative = np.where(rays, (other.peak_hu - other.core_hu) / prominence, np.nan)
        told += [relative[:, ::-1]] if other.label == wall.label else [relative, relative[:, ::-1]]
    stack = np.stack(told)
    count = np.isfinite(stack).sum(axis=0)
    ordered = np.sort(stack, axis=0)
    middle = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[None], 0)[0]
    return np.where(count >= _LEAST_WALLS, middle, np.nan).astype(np.float32)


def _wide(faint: BoolArray) -> BoolArray:
    """Return the rays most of whose neighbours agree: the pore of a vessel and a speck of noise are no loss."""
    share = ndimage.uniform_filter(faint.astype(np.float32), 3, mode="nearest")
    return np.asarray(share > 0.5)


def _greatest(wall: BodyWall, low_mm: Grid, high_mm: Grid) -> Grid:
    within = _between(low_mm, high_mm)
    greatest = np.where(within, wall.profiles, -np.inf).max(-1)
    return np.where(within.any(-1), greatest, np.nan).astype(np.float32)


def _mean(wall: BodyWall, low_mm: Grid, high_mm: Grid) -> Grid:
    within = _between(low_mm, high_mm)
    total = np.where(within, wall.profiles, 0.0).sum(-1)
    return np.asarray(total / np.maximum(np.count_nonzero(within, axis=-1), 1))


def _between(low_mm: Grid, high_mm: Grid) -> npt.NDArray[np.bool_]:
    return np.asarray((low_mm[..., None] <= RADII_MM) & (high_mm[..., None] >= RADII_MM))
