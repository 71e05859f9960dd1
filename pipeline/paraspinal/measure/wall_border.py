"""Where bone ends along a ray: the change from bone to soft tissue that the whole ray speaks for.

A single crossing of a threshold is moved by noise, by marrow and by another bone behind a hollow. Every step along a
ray is therefore weighed as evidence for soft tissue or for bone, and the border lies where bone inside and soft
tissue outside together explain the ray best (the maximum of a cumulative sum, the likelihood of one change point).
Then the border is set at half height between the bone just inside and what lies just outside, so that a wall reads
the same beside lung, fat and a mass.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Grid = npt.NDArray[np.float32]
Rays = npt.NDArray[np.intp]

STEP_MM = 0.5
RADII_MM = np.arange(4.0, 44.0, STEP_MM)
LEAST_STEP_HU = 25.0
_BESIDE = np.array([0.25, 0.5, 0.25], np.float32)
_SUREST = 3.0  # evidence of one point, natural logarithm
_EVENNESS, _LEAST_SD_SHARE = 0.7, 0.2  # SD of soft tissue: of marrow's, and of the step between them
_LEAST_STEP_SD = 1.25  # a smaller step from soft tissue to bone, in SDs of marrow, tells nothing
_NOISY_STEPS_SD = (3.0, 2.0)  # smaller ones ask for the rays on either side
_INNERMOST = 0.3  # of the limit: nearer to the axis no border is sought
_INSIDE_STEPS, _OUTSIDE_STEPS = 5, 4  # where the bone's peak and what lies beside it are read
_MOST_MOVED_MM = 1.5


def change_points(
    profiles: Grid, limit_mm: Grid, *, core_hu: float, core_sd_hu: float, outside_hu: float
) -> Grid:
    """Return the radius, `limit_mm` at most, up to which bone reaches; NaN where bone and outside are too alike.

    Parameters
    ----------
    profiles : float array [height, angle, radius]
        HU at `RADII_MM`.
    limit_mm : float array [height, angle]
        Where the ray is entered from outside (NaN: not read).
    core_hu, core_sd_hu : float
        Density of the body's own interior, and the SD of its points.
    outside_hu : float
        Density of what lies beside it.
    """
    step = core_hu - outside_hu
    if step < max(LEAST_STEP_HU, _LEAST_STEP_SD * core_sd_hu):
        return np.full(limit_mm.shape, np.nan, np.float32)
    threshold = 0.5 * (core_hu + outside_hu)
    soft = _log_ratio(profiles, core_hu, core_sd_hu, outside_hu)
    passes = sum(step < share * core_sd_hu for share in _NOISY_STEPS_SD)
    within = (limit_mm[..., None] >= RADII_MM) & (limit_mm[..., None] * _INNERMOST <= RADII_MM)
    evidence = np.where(within, beside_averaged(soft, passes), 0.0)
    total = np.cumsum(evidence[..., ::-1], axis=-1)[..., ::-1]
    first = np.argmax(total, axis=-1)  # the innermost step of soft tissue
    hollow = np.take_along_axis(total, first[..., None], -1)[..., 0] > 0.0
    outermost = np.count_nonzero(limit_mm[..., None] >= RADII_MM, axis=-1) - 1
    last = np.where(hollow, first - 1, outermost).clip(0)
    radius = RADII_MM[last] + STEP_MM * _part(profiles, last, threshold)
    found = np.where(hollow, _at_half_height(profiles, last, radius), radius)
    found = np.where(np.isfinite(limit_mm), np.fmin(found, limit_mm), np.nan)
    return np.asarray(found, np.float32)


def _log_ratio(profiles: Grid, core_hu: float, core_sd_hu: float, outside_hu: float) -> Grid:
    """Return the logarithm of the likelihood of soft tissue to that of bone, clipped, of every point.

    Both are normal; what is denser than marrow is bone as surely as marrow, and what is darker than the soft tissue
    (fat, lung) is soft. Soft tissue is the more even of the two.
    """
    soft_sd = max(_EVENNESS * core_sd_hu, _LEAST_SD_SHARE * (core_hu - outside_hu))
    bone_sd = max(core_sd_hu, soft_sd)
    off_soft = np.maximum(profiles - outside_hu, 0.0) / soft_sd
    off_bone = np.maximum(core_hu - profiles, 0.0) / bone_sd
    ratio = 0.5 * (off_bone**2 - off_soft**2) + np.log(bone_sd / soft_sd)
    return np.asarray(np.clip(ratio, -_SUREST, _SUREST), np.float32)


def beside_averaged(rays: Grid, passes: int) -> Grid:
    """Return rays [height, angle, radius] averaged so often, a quarter each, with those on either side."""
    out = rays
    for _ in range(passes):
        for axis in (0, 1):
            out = ndimage.correlate1d(out, _BESIDE, axis=axis, mode="nearest")
    return np.asarray(out, np.float32)


def _at_half_height(
    profiles: Grid, last: Rays, radius_mm: npt.NDArray[np.floating]
) -> npt.NDArray[np.floating]:
    """Return the crossing, next to a border, of the level half way from the bone's peak to what lies outside."""
    count = profiles.shape[-1]
    inside = np.clip(last[..., None] + np.arange(-_INSIDE_STEPS, 1), 0, count - 1)
    outside = np.clip(last[..., None] + np.arange(1, _OUTSIDE_STEPS + 1), 0, count - 1)
    bone = np.take_along_axis(profiles, inside, -1)
    peak, low = bone.max(-1), np.take_along_axis(profiles, outside, -1).min(-1)
    level = 0.5 * (peak + low)
    top = np.take_along_axis(inside, np.argmax(bone, axis=-1)[..., None], -1)
    way = np.clip(top + np.arange(_INSIDE_STEPS + _OUTSIDE_STEPS + 1), 0, count - 1)
    fallen = np.take_along_axis(profiles, way, -1) < level[..., None]
    crossed = np.take_along_axis(way, np.argmax(fallen, axis=-1)[..., None], -1)[..., 0] - 1
    found = RADII_MM[crossed.clip(0)] + STEP_MM * _part(profiles, crossed.clip(0), level)
    near = fallen.any(-1) & (np.abs(found - radius_mm) <= _MOST_MOVED_MM)
    return np.asarray(np.where(near, found, radius_mm))


def _part(profiles: Grid, last: Rays, level: npt.NDArray[np.floating] | float) -> npt.NDArray[np.floating]:
    """Return which part of the step after `last` lies inside the crossing of a level."""
    inside, outside = (
        np.take_along_axis(profiles, k[..., None], -1)[..., 0]
        for k in (last, np.minimum(last + 1, profiles.shape[-1] - 1))
    )
    return np.asarray(np.clip((inside - level) / np.maximum(inside - outside, 1.0), 0.0, 1.0))
