"""The aorta's wall against its lumen on unenhanced scans: an anaemic patient's blood is darker than the wall.

The wall (1 to 2 mm) is thinner than the scan's blur, so that no voxel shows its density. Rays that leave the vessel
into fat are laid upon each other by their border; their mean is fitted by a lumen, a wall and a step to fat, all
blurred. What the fit knows is the wall's excess times its thickness; the thickness is taken as a usual one. Borders
to lung are left out: what a kernel does at a step of 900 HU is larger than what a wall adds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.measure.gates import why_not
from paraspinal.measure.native import distance_on_box, native_box
from paraspinal.measure.organ import HU
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement
from paraspinal.volume import CTVolume, Region

Array = npt.NDArray[np.float64]

KEY = "lumen_wall_contrast_hu"

_ANGLES = np.arange(48) * 2.0 * np.pi / 48
_STEP_MM = 0.5
_BEFORE_MM, _BEHIND_MM = 8.0, 6.5  # of every ray, inside and outside the outline of the working grid
_AT_MM = np.arange(-_BEFORE_MM, _BEHIND_MM + 0.1, _STEP_MM)
_BETWEEN_MM = 2.0  # heights at which rays are cast
_ALONG_MM = 4.0  # the vessel is averaged so far along itself
_LEAST_MM2 = 120.0
_FROM_MM, _UP_TO_MM = 2.5, 5.5  # what lies there must be fat and nothing else
_FAT_HU = (-150.0, -65.0)
_MOVED_MM = 3.0  # a border farther from the outline is another structure's
_SMOOTH = (1.5, 1.5)  # heights and rays over which a border is steadied, so that noise does not align
_CALCIUM_HU = 100.0  # above the lumen, averaged along the vessel: calcified
_READ_MM = np.arange(-6.0, 4.6, _STEP_MM)  # of the border, where profiles are laid upon each other
_LEAST_RAYS = 120
_BLOCKS = 8  # stretches of the vessel that are left out in turn
_LEAST_BLOCKS = 4
_WALL_MM, _WALL_SD_MM = 1.5, 0.3  # thickness of the wall (engineering default)
_MODEL_HU = 2.5  # what the form of the blur leaves open: SD over synthetic aortas of known wall
_SEEN_SD, _LIMIT_SD = 2.0, 3.5  # a contrast is read from here on, and not missed from there on
_OVERSHOOT_MM = 1.5  # reach of a sharp kernel's overshoot


def _grid(widths: Array, shifts: Array, sharp: Array) -> Array:
    """Return every combination (n, 3) of width and shift of the border (mm) and of the kernel's sharpness."""
    return np.stack([g.ravel() for g in np.meshgrid(widths, shifts, sharp, indexing="ij")], axis=1)


_COARSE = _grid(np.arange(0.3, 2.01, 0.1), np.arange(-0.8, 0.81, 0.1), np.arange(0.0, 1.01, 0.2))
_FINER = _grid(np.arange(-0.1, 0.11, 0.025), np.arange(-0.1, 0.11, 0.025), np.arange(-0.2, 0.21, 0.1))
_FINEST = _grid(np.arange(-0.02, 0.021, 0.01), np.arange(-0.02, 0.021, 0.01), np.arange(-0.08, 0.081, 0.04))


@dataclass(frozen=True, slots=True)
class WallFit:
    """A profile across the wall: HU of lumen and surroundings, and the wall's excess over the lumen."""

    lumen_hu: float
    outside_hu: float
    contrast_hu: float


def measure_wall_contrast(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, config: MeasureConfig
) -> Measurement:
    """Return ``lumen_wall_contrast_hu``: wall minus lumen of the descending aorta, on unenhanced scans."""
    refusal = why_not(KEY, quality, config, slice_mm=volume.effective_slice_mm)
    if refusal is not None:
        return Measurement.missing(HU, refusal)
    if not anatomy.mask("aorta").any():
        return Measurement.missing(HU, "aorta: not found")
    profiles, heights = wall_profiles(volume, anatomy)
    if len(profiles) < _LEAST_RAYS:
        return Measurement.missing(HU, f"only {len(profiles)} rays leave the aorta into fat")
    block = np.digitize(heights, np.quantile(heights, np.linspace(0, 1, _BLOCKS + 1)[1:-1]))
    present = np.unique(block)
    if len(present) < _LEAST_BLOCKS:
        return Measurement.missing(HU, "too short a stretch of the aorta lies in fat")
    fit = fit_wall(np.median(profiles, axis=0))
    left_out = np.array([fit_wall(np.median(profiles[block != b], axis=0)).contrast_hu for b in present])
    n = len(present)
    type_a = float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))
    thin, thick = (
        fit_wall(np.median(profiles, axis=0), wall_mm=_WALL_MM + d).contrast_hu
        for d in (-_WALL_SD_MM, _WALL_SD_MM)
    )
    type_b = float(np.hypot(0.5 * (thin - thick), _MODEL_HU))
    doubt = float(np.hypot(type_a, _MODEL_HU))
    limit = _LIMIT_SD * doubt
    if fit.contrast_hu < _SEEN_SD * doubt:
        return Measurement.below(HU, "the wall is not denser than the lumen beyond doubt", limit=limit)
    return Measurement.measured(
        fit.contrast_hu,
        HU,
        type_a=type_a,
        type_b=type_b,
        method="type A: stretches of the vessel left out in turn; type B: thickness of the wall, form of the blur",
        detection_limit=limit,
        region=f"{len(profiles)} rays into fat, a wall of {_WALL_MM:g} mm",
    )


def wall_profiles(volume: CTVolume, anatomy: Anatomy) -> tuple[Array, Array]:
    """Return HU (n, places) along the rays that leave the aorta into fat, and their slices (n,).

    They are laid upon each other by the border: places are `_READ_MM` from it, negative inside.
    """
    rays = list(_rays(volume, anatomy))
    if not rays:
        return np.zeros((0, len(_READ_MM))), np.zeros(0)
    heights, hu = np.array([z for z, _ in rays], float), np.stack([p for _, p in rays])
    outside = hu[:, :, (_AT_MM >= _FROM_MM) & (_AT_MM <= _UP_TO_MM)]
    lumen = float(np.nanmedian(hu[:, :, _AT_MM <= -4.0]))
    fat = (outside.min(axis=2) > _FAT_HU[0]) & (outside.max(axis=2) < _FAT_HU[1])
    wall = hu[:, :, (_AT_MM >= -4.0) & (_AT_MM <= 1.0)]
    fat &= wall.max(axis=2) < lumen + _CALCIUM_HU
    border = _borders(hu, 0.5 * (lumen + outside.mean(axis=2)))
    fat &= np.isfinite(border)
    weight = ndimage.gaussian_filter(fat.astype(float), _SMOOTH, mode=("nearest", "wrap"))
    total = ndimage.gaussian_filter(np.where(fat, border, 0.0), _SMOOTH, mode=("nearest", "wrap"))
    steady = total / np.maximum(weight, 1e-6)
    row, column = np.nonzero(fat)
    index = (steady[row, column, None] + _READ_MM - _AT_MM[0]) / _STEP_MM
    flat = np.arange(len(row))[:, None] + np.zeros_like(index)
    read = ndimage.map_coordinates(hu[row, column], [flat, index], order=1, mode="nearest")
    return np.asarray(read), heights[row]


def _rays(volume: CTVolume, anatomy: Anatomy) -> Iterator[tuple[int, Array]]:
    """Yield the slice and HU [angle, offset] around the aorta that runs along the spine, at even heights."""
    grid = anatomy.geometry
    mask = anatomy.mask("aorta")
    region = Region.of(mask).padded((1, 3, 3), grid.shape)
    box = native_box(volume, grid, region, margin_mm=_BEHIND_MM + 2.0)
    inside = distance_on_box(mask, grid, volume.geometry, box)
    sz, sy, sx = volume.geometry.spacing_mm
    hu = ndimage.uniform_filter1d(volume.hu[box].astype(np.float32), max(1, round(_ALONG_MM / sz)), axis=0)
    for z in range(0, len(hu), max(1, round(_BETWEEN_MM / sz))):
        parts, count = ndimage.label(inside[z] > 0)
        size = np.bincount(parts.ravel(), minlength=count + 1)[1:] * sy * sx
        large = [k + 1 for k in range(count) if size[k] >= _LEAST_MM2]
        if not large:
            continue
        # Beside the arch's other limb, the descending aorta is the one behind.
        centres = {k: np.argwhere(parts == k).mean(axis=0) for k in large}
        own = max(large, key=lambda k: centres[k][0])
        yield (
            box[0].start + z,
            _around(hu[z], np.where(parts == own, inside[z], -1.0), centres[own], (sy, sx)),
        )


def _around(
    hu: npt.NDArray[np.float32], inside: npt.NDArray[np.float32], centre: Array, pixel: tuple[float, float]
) -> Array:
    """Return HU [angle, offset from the outline] of one slice."""
    towards = np.stack([np.sin(_ANGLES) / pixel[0], np.cos(_ANGLES) / pixel[1]])  # voxels per mm
    radii = np.arange(2.0, 40.0, _STEP_MM)
    places = centre[:, None, None] + towards[:, :, None] * radii
    depth = ndimage.map_coordinates(inside, places, order=1, mode="constant", cval=-1.0)
    out = depth <= 0.0
    first = np.maximum(out.argmax(axis=1), 1)
    ray = np.arange(len(_ANGLES))
    a, b = depth[ray, first - 1], depth[ray, first]
    radius = radii[first - 1] + _STEP_MM * np.clip(a / np.maximum(a - b, 1e-3), 0.0, 1.0)
    along = np.maximum(radius[:, None] + _AT_MM, 0.0)
    places = centre[:, None, None] + towards[:, :, None] * along
    return np.asarray(ndimage.map_coordinates(hu, places, order=1, mode="nearest"), float)


def _borders(hu: Array, level: Array) -> Array:
    """Return where rays [height, angle, offset] fall below their level for the last time (mm); NaN far away."""
    near = _AT_MM < _FROM_MM
    above = (hu >= level[..., None]) & near
    last = len(_AT_MM) - 1 - above[..., ::-1].argmax(axis=2)
    last = np.minimum(last, len(_AT_MM) - 2)
    inner = np.take_along_axis(hu, last[..., None], axis=2)[..., 0]
    outer = np.take_along_axis(hu, last[..., None] + 1, axis=2)[..., 0]
    border = _AT_MM[last] + _STEP_MM * np.clip((inner - level) / np.maximum(inner - outer, 1.0), 0.0, 1.0)
    return np.where(above.any(axis=2) & (np.abs(border) < _MOVED_MM), border, np.nan)


def fit_wall(profile: Array, *, wall_mm: float = _WALL_MM) -> WallFit:
    """Fit lumen, wall and fat, blurred, to a mean profile at `_READ_MM`; the three densities by least squares.

    The blur is a Gaussian with the overshoot of a sharp kernel, which a wall would be taken for otherwise: it shows
    on the side of the fat as well, a wall does not. Width, place and overshoot are tried one by one, at last in steps
    of 0.01 mm: a border that is 0.1 mm off makes a wall 8 HU denser.
    """
    tried, best = _COARSE, np.zeros(3)
    for fine in (None, _FINER, _FINEST):
        if fine is not None:
            tried = best + fine
            tried[:, 2] = np.clip(tried[:, 2], 0.0, None)
        design = _design(tried, wall_mm)
        normal = np.einsum("kpi,kpj->kij", design, design)
        densities = np.linalg.solve(normal, np.einsum("kpi,p->ki", design, profile)[..., None])[..., 0]
        rest = ((profile - np.einsum("kpi,ki->kp", design, densities)) ** 2).sum(axis=1)
        k = int(rest.argmin())
        best = tried[k]
    lumen, outside, wall = densities[k]
    return WallFit(float(lumen), float(outside), float(wall - lumen))


def _design(tried: Array, wall_mm: float) -> Array:
    """Return how much of lumen, fat and wall (last axis) every place sees through every blur that is tried."""
    width, shift, sharp = (tried[:, k, None] for k in range(3))

    def edge(at: Array) -> Array:
        soft = special.ndtr(-at / np.hypot(width, _OVERSHOOT_MM))
        return np.asarray((1.0 + sharp) * special.ndtr(-at / width) - sharp * soft)

    outer, inner = edge(_READ_MM - shift), edge(_READ_MM - shift + wall_mm)
    return np.stack([inner, 1.0 - outer, outer - inner], axis=-1)
