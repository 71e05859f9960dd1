"""The spinal canal, traced through the whole series.

Score of a voxel: the share of in-plane rays that meet bone within 18 mm (the bony ring), a vertebral body in front,
and soft tissue inside. The path of highest score through all slices, under a limit on its slope, is the canal
(dynamic programming); each point is then moved to the middle of the ring and smoothed along the canal.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.morphology import dilate, ellipse, per_slice
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

FloatMap = npt.NDArray[np.float32]

_BEHIND_MM = (14.0, 34.0)
"""From the middle of a vertebral body, also of a sacral one, to the middle of the canal."""
_BESIDE_MM = 12.0


@dataclass(frozen=True, slots=True)
class CanalTrace:
    """Canal points on the working grid, one per slice of [first, last], and the ring score of each (0–1)."""

    first: int
    points_yx: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]

    @property
    def last(self) -> int:
        """Index of the last traced slice."""
        return self.first + len(self.points_yx) - 1

    def at(self, z: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return (y, x) at fractional slice indices, held constant beyond the ends."""
        index = np.arange(self.first, self.last + 1)
        zs = np.asarray(z, float)
        return np.stack([np.interp(zs, index, self.points_yx[:, k]) for k in range(2)], axis=-1)


def ring_score(bone: BoolArray, *, radius: int, rays: int = 16) -> FloatMap:
    """Share of in-plane rays from each voxel that meet bone between 2 and `radius` voxels; float32 [z, y, x]."""
    total = np.zeros(bone.shape, np.float32)
    for angle in np.arange(rays) * 2 * np.pi / rays:
        hit = np.zeros_like(bone)
        for r in range(2, radius + 1):
            hit |= _shifted(bone, round(r * np.sin(angle)), round(r * np.cos(angle)))
        total += hit
    return np.asarray(total / rays, np.float32)


def _shifted(mask: BoolArray, dy: int, dx: int) -> BoolArray:
    """Return mask[z, y + dy, x + dx] with False beyond the border."""
    out = np.zeros_like(mask)
    ny, nx = mask.shape[1:]
    if abs(dy) >= ny or abs(dx) >= nx:
        return out
    ys, xs = slice(max(0, -dy), min(ny, ny - dy)), slice(max(0, -dx), min(nx, nx - dx))
    yt, xt = slice(max(0, dy), min(ny, ny + dy)), slice(max(0, dx), min(nx, nx + dx))
    out[:, ys, xs] = mask[:, yt, xt]
    return out


@dataclass(frozen=True, slots=True)
class BestPath:
    """A path through the slices [first, first + len(yx))."""

    first: int
    yx: npt.NDArray[np.int64]


def best_path(gain: FloatMap, *, reach: int, slope_cost: float) -> BestPath:
    """Contiguous path of highest total gain through `gain` [z, y, x]; it may begin and end at any slice.

    Between neighbouring slices the path moves at most `reach` voxels in y and x and pays `slope_cost` per
    squared voxel. Slices of negative gain are crossed only where that pays off beyond them.
    """
    nz, ny, nx = gain.shape
    steps = [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    total = gain[0].copy()
    back = np.full((nz, ny, nx), -1, np.int8)
    peaks = [total.max()]
    ends = [int(np.argmax(total))]
    for z in range(1, nz):
        best = np.zeros((ny, nx), np.float32)  # 0: the path may begin here
        padded = np.pad(total, reach, constant_values=-np.inf)
        for k, (dy, dx) in enumerate(steps):
            cost = slope_cost * (dy * dy + dx * dx)
            candidate = padded[reach + dy : reach + dy + ny, reach + dx : reach + dx + nx] - cost
            better = candidate > best
            best[better] = candidate[better]
            back[z][better] = k
        total = best + gain[z]
        peaks.append(total.max())
        ends.append(int(np.argmax(total)))
    z = int(np.argmax(peaks))
    y, x = divmod(ends[z], nx)
    path = [(y, x)]
    while back[z, y, x] >= 0:
        dy, dx = steps[back[z, y, x]]
        z, y, x = z - 1, y + dy, x + dx
        path.append((y, x))
    return BestPath(z, np.array(path[::-1], np.int64))


def canal_score(
    hu: FloatMap, bone: BoolArray, body: BoolArray, grid: Geometry, *, config: AnatomyConfig
) -> FloatMap:
    """Score every voxel of [z, y, x] as a canal centre; 0 where it cannot be one, up to about 1.5 inside.

    Ring share, plus the bone of a vertebral body in front; a canal is at least as wide as
    ``canal_clearance_mm`` on each side, which the marrow of the iliac wing is not, and no other ring lies behind it.
    """
    step = grid.spacing_mm[1]
    score = ring_score(bone, radius=round(config.canal_ray_mm / step))
    width = round(config.canal_ray_mm / step) + 1
    column = ndimage.uniform_filter(bone.astype(np.float32), (1, width, width))
    ahead = np.zeros_like(column)
    shift = round(config.body_centre_mm / step)
    ahead[:, shift:] = column[:, :-shift]
    soft = ndimage.uniform_filter(hu, (1, 3, 3))
    inside = (soft > config.canal_hu[0]) & (soft < config.canal_hu[1]) & body
    reach = max(1, round(config.canal_clearance_mm / step))
    inside &= ~per_slice(bone, cv2.MORPH_DILATE, ellipse(reach, reach))
    score[~inside] = 0.0
    rival = config.canal_behind_weight * np.clip(_behind(score, grid) - config.canal_behind_score, 0.0, None)
    return np.where(inside, score + config.body_ahead_weight * ahead - rival, 0.0).astype(np.float32)


def _behind(score: FloatMap, grid: Geometry) -> FloatMap:
    """Best score of a ring behind each voxel: a canal has none, the marrow of a thin-boned body has the canal."""
    step = grid.spacing_mm[1]
    near, far = (round(mm / step) for mm in _BEHIND_MM)
    best = ndimage.maximum_filter(score, (1, far - near + 1, 2 * round(_BESIDE_MM / step) + 1))
    shift = (near + far) // 2
    out = np.zeros_like(score)
    out[:, :-shift] = best[:, shift:]
    return out


def trace_spinal_canal(
    hu: FloatMap, bone: BoolArray, body: BoolArray, grid: Geometry, *, config: AnatomyConfig
) -> CanalTrace | None:
    """Trace the canal as far as a bony ring supports it.

    Parameters
    ----------
    hu, bone, body : ndarrays, [z, y, x]
        The working grid.

    Returns
    -------
    CanalTrace or None
        None where no stretch of spine of ``min_spine_mm`` is found.
    """
    x0, x1, off_centre = _central_columns(body, grid, config=config)
    box = (slice(None), slice(None), slice(x0, x1))
    score = canal_score(hu[box], bone[box], body[box], grid, config=config)
    gain = score - config.canal_min_score - config.canal_off_centre_cost * off_centre**2
    best = best_path(gain, reach=2, slope_cost=config.canal_slope_cost)
    marrow = _marrow_at_end(hu[box], best, grid, config=config)
    if marrow is not None:
        barred = np.where(marrow, -config.canal_min_score, gain)
        best = best_path(barred, reach=2, slope_cost=config.canal_slope_cost)
    first, last = best.first, best.first + len(best.yx) - 1
    if (last - first + 1) * grid.spacing_mm[0] < config.min_spine_mm * 0.9:
        return None
    raw = score[np.arange(first, last + 1), best.yx[:, 0], best.yx[:, 1]]
    points = (best.yx + np.array([0, x0])).astype(float)
    centred = centre_in_ring(points, bone[first : last + 1], grid, config=config)
    sigma = config.canal_smoothing_mm / grid.spacing_mm[0]
    smooth = np.stack([_smooth_path(centred[:, k], sigma) for k in range(2)], axis=1)
    return CanalTrace(first, smooth, np.clip(raw / 1.3, 0, 1))


def _marrow_at_end(
    hu: FloatMap, path: BestPath, grid: Geometry, *, config: AnatomyConfig
) -> BoolArray | None:
    """Marrow that the path's lower end runs into, [z, y, x]; None where it does not.

    Bone surrounds the marrow of a sacral body as it does the sacral canal, but that holds fluid and fat.
    """
    soft = ndimage.uniform_filter(hu, (1, 3, 3))
    content = soft[path.first + np.arange(len(path.yx)), path.yx[:, 0], path.yx[:, 1]]
    likely, sure = np.median(content) + np.array(config.canal_marrow_hu)
    run = int(np.argmin(content > likely))
    if run == 0 or content[:run].max() < sure:
        return None
    seed = np.zeros(hu.shape, bool)
    seed[path.first + np.arange(run), path.yx[:run, 0], path.yx[:run, 1]] = True
    spacing = grid.spacing_mm
    around = dilate(seed, config.canal_ray_mm, spacing) & (soft > likely)
    marrow: BoolArray = around | dilate(seed, config.canal_clearance_mm, spacing)
    return marrow


def _central_columns(
    body: BoolArray, grid: Geometry, *, config: AnatomyConfig
) -> tuple[int, int, npt.NDArray[np.float32]]:
    """Columns around the body's middle, where the spine can be, and their distance from it relative to the band's.

    Where the field of view cuts the body on one side only, its middle is not known: every column may hold the spine.
    """
    width = body.shape[2]
    xs = np.flatnonzero(body.any(axis=(0, 1)))
    if xs.size == 0 or _cut_on_one_side(body, config.canal_cut_share):
        return 0, width, np.zeros(width, np.float32)
    weight = body.sum(axis=(0, 1))
    middle = float((weight * np.arange(width)).sum() / weight.sum())
    half = config.canal_half_width_mm / grid.spacing_mm[2]
    x0, x1 = max(0, int(middle - half)), min(width, int(middle + half) + 1)
    return x0, x1, ((np.arange(x0, x1) - middle) / half).astype(np.float32)


def _cut_on_one_side(body: BoolArray, share: float) -> bool:
    """Tell whether the body ends in an upright wall on the left or on the right, and not on both."""
    height = max(1, int(body.any(axis=2).sum()))
    ends = [int(np.diff(body, axis=2, prepend=False, append=False)[:, :, x].sum()) for x in _ends(body)]
    return bool((np.array(ends) > share * height).sum() == 1)


def _ends(body: BoolArray) -> tuple[int, int]:
    """Index of the border before the first and after the last column that holds body."""
    xs = np.flatnonzero(body.any(axis=(0, 1)))
    return int(xs[0]), int(xs[-1]) + 1


def _smooth_path(values: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    """Median against single outliers, then Gaussian; ends extrapolated by reflection about the end point."""
    window = 2 * max(1, round(sigma)) + 1
    robust = ndimage.median_filter(values, size=min(window, len(values) // 2 * 2 + 1), mode="nearest")
    pad = min(len(values) - 1, int(4 * sigma) + 1)
    if pad < 1:
        return np.asarray(robust)
    padded = np.pad(robust, pad, mode="reflect", reflect_type="odd")
    return np.asarray(ndimage.gaussian_filter1d(padded, sigma)[pad:-pad])


def centre_in_ring(
    points_yx: npt.NDArray[np.float64], bone: BoolArray, grid: Geometry, *, config: AnatomyConfig
) -> npt.NDArray[np.float64]:
    """Move each point (one per slice of `bone`) to the middle of the bony ring around it, two rounds."""
    points = points_yx.copy()
    for _ in range(2):
        distance, direction = _ring_distances(points, bone, grid, config=config, rays=32)
        edge = points[:, None, :] + distance[..., None] * direction[None]
        points = np.stack([_middle(edge[..., 0]), _middle(edge[..., 1])], axis=1)
    return points


def _ring_distances(
    points: npt.NDArray[np.float64], bone: BoolArray, grid: Geometry, *, config: AnatomyConfig, rays: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Distance (voxels) to bone per [slice, ray] and the rays' directions (y, x).

    Rays that meet no bone take that direction's median over all slices, so an open foramen does not pull the
    middle sideways.
    """
    radii = np.arange(1.0, config.canal_ray_mm / grid.spacing_mm[1] + 0.5, 0.5)
    angles = np.arange(rays) * 2 * np.pi / rays
    direction = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    sample = points[:, None, None, :] + radii[None, None, :, None] * direction[None, :, None, :]
    z = np.broadcast_to(np.arange(len(points))[:, None, None], sample.shape[:3])
    value = ndimage.map_coordinates(
        bone.astype(np.float32), [z, sample[..., 0], sample[..., 1]], order=1, mode="constant"
    )
    hit = value > 0.5
    return _fill_rays(np.where(hit.any(axis=2), radii[np.argmax(hit, axis=2)], np.nan)), direction


def _fill_rays(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Fill missing ray lengths [slice, ray] with that direction's median over all slices, else the overall one."""
    known = np.isfinite(distance)
    overall = float(np.median(distance[known])) if known.any() else 6.0
    typical = np.array(
        [np.median(col[ok]) if ok.any() else overall for col, ok in zip(distance.T, known.T, strict=True)]
    )
    return np.where(known, distance, typical[None, :])


def _middle(edge: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mid-range of the ring's border along one axis, trimmed against a ray that slips through a gap."""
    return np.asarray((np.percentile(edge, 4, axis=1) + np.percentile(edge, 96, axis=1)) / 2.0)


def canal_mask(trace: CanalTrace, bone: BoolArray, grid: Geometry, *, config: AnatomyConfig) -> BoolArray:
    """Return the inside of the bony ring around the traced canal, [z, y, x].

    Where a ray meets no bone the ring is closed by that direction's median distance.
    """
    part = bone[trace.first : trace.last + 1]
    distance, direction = _ring_distances(trace.points_yx, part, grid, config=config, rays=32)
    distance = np.minimum(distance, config.canal_max_radius_mm / grid.spacing_mm[1])
    wrapped = np.pad(distance, ((0, 0), (1, 1)), mode="wrap")
    distance = ndimage.median_filter(wrapped, (3, 3), mode="nearest")[:, 1:-1] - 0.5
    edge = trace.points_yx[:, None, :] + distance[..., None] * direction[None]
    out = np.zeros(bone.shape, bool)
    for k, corners in enumerate(edge):
        plane = np.zeros(bone.shape[1:], np.uint8)
        cv2.fillPoly(plane, [np.rint(corners[:, ::-1] * 16).astype(np.int32)], 1, shift=4)
        out[trace.first + k] = plane > 0
    return out & ~bone
