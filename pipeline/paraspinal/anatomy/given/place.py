"""Do given masks lie where the CT shows what they name? Bone and lung are their own landmarks."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.given.grid import OnGrid
from paraspinal.anatomy.given.names import RIB_PREFIXES, VERTEBRA_PREFIX
from paraspinal.config import AnatomyConfig
from paraspinal.errors import UsageError
from paraspinal.volume import FloatArray, Geometry

_REACH_MM, _STEP_MM = 16.0, 4.0
_CLIP_HU = 300.0
"""Beyond, cortex and emphysema say no more than bone and lung."""
_MAX_VOXELS = 8000
_MIN_VOXELS = 200
_MIN_INSIDE = 0.6
_LUNGS = ("lung_", "lungs")
_Points = npt.NDArray[np.int64]


def check_place(here: OnGrid, hu: FloatArray, grid: Geometry, *, config: AnatomyConfig) -> float:
    """Return how far (mm) the given bones and lungs lie from where they fit the CT best; 0 without any.

    The mean HU inside the bones, less that inside the lungs, is compared over all shifts up to 16 mm in steps of
    4 mm; the masks' own place counts unless another is better by `given_shift_hu`.

    Parameters
    ----------
    here : OnGrid
        The given structures on the working grid.
    hu : ndarray, [z, y, x]
        HU of the working grid.

    Raises
    ------
    UsageError
        ``masks_shifted`` from `given_shift_mm` on.
    """
    at, sign = _landmarks(here)
    if len(at) < _MIN_VOXELS:
        return 0.0
    shift = _best_shift(at, sign, hu, grid, config.given_shift_hu)
    far = float(np.linalg.norm(shift))
    if far >= config.given_shift_mm:
        words = zip(shift, (("above", "below"), ("behind", "before"), ("left", "right")), strict=True)
        where = ", ".join(f"{abs(mm):.0f} mm {side[int(mm < 0)]}" for mm, side in words if mm)
        raise UsageError(
            f"The masks lie beside what they name: bones and lungs of this CT are {far:.0f} mm away ({where}).",
            code="masks_shifted",
            remedy="Give masks of this series; if they are, mend the origin in their header.",
        )
    return far


def _landmarks(here: OnGrid) -> tuple[_Points, npt.NDArray[np.float32]]:
    """Return voxels [n, 3] of bones and lungs, evenly thinned out, and +1 or -1 for each."""
    points, signs = [], []
    for name, region in here.regions.items():
        bone = name.startswith((VERTEBRA_PREFIX, *RIB_PREFIXES))
        if not bone and not name.startswith(_LUNGS):
            continue
        inside = np.argwhere(region.mask) + np.array(region.start)
        points.append(inside)
        signs.append(np.full(len(inside), 1.0 if bone else -1.0, np.float32))
    if not points:
        return np.empty((0, 3), np.int64), np.empty(0, np.float32)
    at, sign = np.concatenate(points), np.concatenate(signs)
    every = max(1, len(at) // _MAX_VOXELS)
    return at[::every], sign[::every]


def _best_shift(
    at: _Points, sign: npt.NDArray[np.float32], hu: FloatArray, grid: Geometry, margin_hu: float
) -> npt.NDArray[np.float64]:
    """Return the shift (z, y, x in mm) at which the voxels fit best."""
    spacing = np.asarray(grid.spacing_mm)
    steps = [
        np.unique(np.rint(np.arange(-_REACH_MM, _REACH_MM + 1, _STEP_MM) / s)).astype(int) for s in spacing
    ]
    size = np.asarray(hu.shape)
    best, found = -np.inf, np.zeros(3)
    for shift in itertools.product(*steps):
        moved = at + np.asarray(shift)
        inside = ((moved >= 0) & (moved < size)).all(axis=1)
        if inside.mean() < _MIN_INSIDE:
            continue
        value = np.clip(hu[tuple(moved[inside].T)], -_CLIP_HU, _CLIP_HU)
        score = float((value * sign[inside]).mean()) + (margin_hu if not any(shift) else 0.0)
        if score > best:
            best, found = score, np.asarray(shift) * spacing
    return found
