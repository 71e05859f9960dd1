"""The 13 directions in which a voxel has neighbours in 3-D; each stands for its opposite, too."""

from __future__ import annotations

from itertools import product

_STEPS = (-1, 0, 1)

DIRECTIONS: tuple[tuple[int, int, int], ...] = tuple(
    (z, y, x) for z, y, x in product(_STEPS, _STEPS, _STEPS) if (z, y, x) > (0, 0, 0)
)
"""Steps along z, y, x."""
