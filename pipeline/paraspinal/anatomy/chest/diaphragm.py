"""The diaphragm's domes: where the base of lung or pleural fluid rests on what lies below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.spine.canal import CanalTrace
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_BELOW_MM = 24.0  # this much tissue below the base: a rib, a fissure or a vessel is thinner
_THICKNESS_MM = 4.0  # the muscle's 2–5 mm and the pleura
_MIN_DOME_CM2 = 20.0
_HEART_BACK_MM = 30.0  # the heart lies farther in front of the canal
_AORTA_MM = 45.0  # aorta, oesophagus and the roots of the lungs lie closer to the midline


@dataclass(frozen=True, slots=True)
class Domes:
    """The domes as a thin layer, and the height (slice index) of the surface in every column, carried on between."""

    mask: BoolArray
    height: npt.NDArray[np.float32]


def find_diaphragm(
    lungs: BoolArray,
    fluid: BoolArray,
    inside: BoolArray,
    trace: CanalTrace,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> Domes | None:
    """Find the domes below lungs and fluid; None where too little of the base is in view.

    Parameters
    ----------
    lungs, fluid : ndarray of bool, [z, y, x]
        Lungs with their airway, and pleural effusions.
    inside : ndarray of bool
        Where soft tissue can be: the body without bone.
    """
    pleura = lungs | fluid
    seen = pleura.any(axis=0)
    lowest = np.argmax(pleura, axis=0)
    depth = round(_BELOW_MM / grid.spacing_mm[0])
    base = seen & (lowest >= depth)
    y, x = np.nonzero(base)
    z = lowest[y, x]
    solid = np.ones(len(z), bool)
    for step in range(1, depth + 1):
        solid &= inside[z - step, y, x]
    base[y, x] = solid
    # A base that steps by more than its neighbourhood is the side of the chest, not its floor.
    smooth = ndimage.median_filter(np.where(base, lowest, 0).astype(np.float32), 5)
    base &= np.abs(lowest - smooth) * grid.spacing_mm[0] < 12.0
    base &= lowest <= _highest(lowest, base, trace, grid, config=config)
    if base.sum() * grid.spacing_mm[1] * grid.spacing_mm[2] / 100.0 < _MIN_DOME_CM2:
        return None
    mask = np.zeros(lungs.shape, bool)
    y, x = np.nonzero(base)
    for step in range(1, 1 + max(1, round(_THICKNESS_MM / grid.spacing_mm[0]))):
        mask[lowest[y, x] - step, y, x] = True
    index = ndimage.distance_transform_edt(~base, return_distances=False, return_indices=True)
    height = lowest[tuple(index)].astype(np.float32)
    return Domes(mask & inside, ndimage.gaussian_filter(height, 10.0 / grid.spacing_mm[1]))


def _highest(
    lowest: npt.NDArray[np.intp], base: BoolArray, trace: CanalTrace, grid: Geometry, *, config: AnatomyConfig
) -> npt.NDArray[np.float64]:
    """Highest slice that the dome of a column's side can reach: a little above its part behind the heart."""
    y, x = trace.points_yx.mean(axis=0)
    behind = (y - np.arange(base.shape[0]))[:, None] * grid.spacing_mm[1] < _HEART_BACK_MM
    rise = config.dome_rise_mm / grid.spacing_mm[0]
    limit = np.full(base.shape, -1.0)
    lateral = (np.arange(base.shape[1]) - x) * grid.spacing_mm[2]
    for side in (lateral, -lateral):
        own = base & behind & (side > _AORTA_MM)[None, :]
        if own.any():
            limit[:, side >= 0] = float(np.percentile(lowest[own], 98)) + rise
    return limit
