"""What lies above the diaphragm's domes: no abdominal organ is there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.organs.lumps import Trunk
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray

Float32Volume = npt.NDArray[np.float32]


def above_diaphragm(trunk: Trunk, *, config: AnatomyConfig) -> BoolArray:
    """Return what lies higher than the lungs' base, which is carried on under the heart, [z, y, x].

    Beside the heart the lowest lung of a column lies on the dome. Over the heart it lies far above the
    diaphragm, which runs there from one dome to the other. An effusion lifts one lung's base; the domes' tops
    differ by little.
    """
    sz, sy, sx = trunk.grid.spacing_mm
    lungs = trunk.lungs
    out = np.zeros(lungs.shape, bool)
    seen: BoolArray = np.asarray(lungs.any(axis=0))
    if not seen.any():
        return out
    base = np.argmax(lungs, axis=0) * np.float32(sz)
    lowest = int(np.argmax(lungs.any(axis=(1, 2))))
    highest = min(lungs.shape[0] - 1, lowest + round(config.dome_height_mm / sz))
    cover = trunk.inside[lowest : highest + 1].mean(axis=0) > 0.5
    deep = ndimage.distance_transform_edt(cover, sampling=(sy, sx)) > config.dome_wall_mm
    left, front = trunk.left[highest], trunk.front[highest]
    aside = config.dome_aside_mm
    on_left = np.asarray(deep & (left > aside) & (front < config.dome_behind_mm))
    right_dome = _dome_top(base, seen, np.asarray(deep & (left < -aside)))
    left_dome = _dome_top(base, seen, on_left)
    low_right, low_left = config.dome_difference_mm
    right_top, left_top = min(right_dome, left_dome + low_left), min(left_dome, right_dome + low_right)
    if not np.isfinite(right_top):
        return out
    if max(right_top, left_top) <= 0.0:  # lung in the lowest slice: the scan ends above the diaphragm
        return np.ones(lungs.shape, bool)
    part = np.clip((left + aside) / (2.0 * aside), 0.0, 1.0)
    between = (1.0 - part) * right_top + part * left_top
    own = seen & ((base < between + config.dome_slack_mm) | (left < -aside))
    floor = np.where(own, np.maximum(base, between * ~own), between)
    height = np.arange(lungs.shape[0], dtype=np.float32)[:, None, None] * sz
    return np.asarray(height > floor + config.dome_slack_mm)


def _dome_top(base: Float32Volume, seen: BoolArray, place: BoolArray) -> float:
    """Height (mm) of a dome's top: under lung nearly everywhere; infinite where the scan ends below it."""
    if not place.any() or float(seen[place].mean()) < 0.7:
        return np.inf
    return float(np.percentile(base[place & seen], 95))
