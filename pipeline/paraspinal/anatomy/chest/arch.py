"""Ascending aorta and arch, from the descending aorta that was tracked along the spine.

The ascending aorta is a round, even vessel in front and to the right of the descending one, with blood of the same
attenuation: tracked from slice to slice. The arch is half an ellipse that joins the two; its height is where the tube
around it fits best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.chest.aorta import outline_centroid, roundness, vessel_outline
from paraspinal.anatomy.grid import Float32Volume
from paraspinal.anatomy.morphology import components, opened
from paraspinal.anatomy.spine.canal import best_path
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_RADII_MM = (12.0, 14.0, 16.0, 19.0, 22.0)  # ascending aorta 24–44 mm across
# Where it lies seen from the descending one: forward and to the left (mm), with spreads (engineering default).
_PLACE_MM, _PLACE_SD_MM = (66.0, -36.0), (18.0, 16.0)
_STEP = 2.0
_UNENHANCED_HU = 130.0  # blood is brighter with contrast medium only
_MIN_FIT = (
    0.33  # a third of a sharp wall and of full likeness; inside a heart or vein there is no wall (0.0–0.2)
)


@dataclass(frozen=True, slots=True)
class _Ascending:
    first: int
    centre_yx: npt.NDArray[np.float64]  # voxels
    outline_mm: npt.NDArray[np.float64]

    def below(self, z: int) -> _Ascending:
        """Return the part below slice `z`."""
        n = max(0, z - self.first)
        return _Ascending(self.first, self.centre_yx[:n], self.outline_mm[:n])


@dataclass(frozen=True, slots=True)
class ThoracicAorta:
    """Ascending aorta and arch; ``top`` is the arch's highest slice, None where no arch was found."""

    mask: BoolArray
    top: int | None


@dataclass(frozen=True, slots=True)
class _Arch:
    path: npt.NDArray[np.float64]  # z, y, x in voxels
    radius_mm: float


def find_arch(
    hu: Float32Volume,
    descending: BoolArray,
    hard: BoolArray,
    carina_z: float | None,
    side: float,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> ThoracicAorta:
    """Return ascending aorta and arch; all False where the scan does not show them or they cannot be told.

    Parameters
    ----------
    hu : ndarray, [z, y, x]
        HU on the working grid.
    descending : ndarray of bool
        The aorta tracked along the spine.
    hard : ndarray of bool
        What no vessel is: vertebral column, lungs, airway, outside.
    carina_z : float or None
        Slice of the tracheal bifurcation, where it is known: the arch lies on the left main bronchus, so the vessel
        beside the spine is the descending aorta up to `descending_above_carina_mm` above it.
    side : float
        -1 where the aorta runs on the right.
    """
    out = np.zeros(hu.shape, bool)
    slices = np.flatnonzero(descending.any(axis=(1, 2)))
    if carina_z is not None:
        slices = slices[slices <= carina_z + config.descending_above_carina_mm / grid.spacing_mm[0]]
    if slices.size * grid.spacing_mm[0] < config.min_aorta_mm:
        return ThoracicAorta(out, None)
    track = _centres(descending, slices, hu.shape[0])
    blood = _blood(hu, descending, slices, hu.shape[0])
    found = _track_ascending(hu, track, blood, slices, side, grid, config=config)
    if found is None:
        return ThoracicAorta(out, None)
    top = None
    arch = _best_arch(hu, found, track, blood, grid)
    if arch is not None:
        _paint_arch(out, hu, arch, blood, grid)
        top = int(np.flatnonzero(out.any(axis=(1, 2))).max(initial=0))
        found = found.below(int(arch.path[0, 0]) + 1)
    elif carina_z is not None:
        found = found.below(int(carina_z + config.ascending_above_carina_mm / grid.spacing_mm[0]))
    else:  # in a scan that ends at the heart, a chamber looks like an ascending aorta
        return ThoracicAorta(out, None)
    _paint(out, found, grid)
    level = np.maximum(blood, 0.0)[:, None, None]
    out &= ~hard & (hu > 0.5 * (level - 80.0)) & ~descending
    out &= (hu < _UNENHANCED_HU) | (level > _UNENHANCED_HU)  # the sternum, where blood is darker than bone
    return ThoracicAorta(out, top)


def _centres(descending: BoolArray, slices: npt.NDArray[np.intp], n: int) -> npt.NDArray[np.float64]:
    """Middle (y, x) of the descending aorta in every slice, held beyond its ends."""
    middle = np.array([ndimage.center_of_mass(descending[z]) for z in slices])
    middle = ndimage.gaussian_filter1d(middle, 2.0, axis=0, mode="nearest")
    return np.asarray(np.column_stack([np.interp(np.arange(n), slices, middle[:, k]) for k in range(2)]))


def _blood(
    hu: Float32Volume, descending: BoolArray, slices: npt.NDArray[np.intp], n: int
) -> npt.NDArray[np.float64]:
    """Median HU of the descending aorta around every slice: contrast medium changes along it, slowly.

    Where its track ends at the arch the last slices may lie beside the vessel; they do not outvote those below.
    """
    level = np.array([float(np.median(hu[z][descending[z]])) for z in slices])
    return np.asarray(np.interp(np.arange(n), slices, ndimage.median_filter(level, 25, mode="mirror")))


def _track_ascending(
    hu: Float32Volume,
    track: npt.NDArray[np.float64],
    blood: npt.NDArray[np.float64],
    slices: npt.NDArray[np.intp],
    side: float,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> _Ascending | None:
    """Track it in axial planes that move with the descending aorta (forward, left in steps of 2 mm)."""
    _, sy, sx = grid.spacing_mm
    forward = np.arange(10.0, 130.0, _STEP)
    left = np.arange(-100.0, 40.0, _STEP) if side > 0 else np.arange(-40.0, 100.0, _STEP)
    z0 = max(int(slices[0]), 0)
    rows = np.arange(z0, hu.shape[0])
    y = track[rows, 0, None, None] - forward[:, None] / sy
    x = track[rows, 1, None, None] + left[None, :] / sx
    at = np.broadcast_arrays(rows[:, None, None].astype(float), y, x)
    planes = ndimage.map_coordinates(hu, at, order=1, mode="constant", cval=-1000.0)
    level = blood[rows, None, None]
    planes = ndimage.gaussian_filter(
        np.clip(planes, -150, np.maximum(level, 40.0) * 1.5 + 60), (1.0, 0.5, 0.5)
    )
    planes = planes.astype(np.float32)
    mean = ndimage.uniform_filter(planes, (1, 7, 7))
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(planes**2, (1, 7, 7)) - mean**2, 0))
    even = np.clip(1.0 - spread / np.maximum(40.0, 0.2 * mean), 0.0, 1.0)
    off = np.abs(mean - level) / np.maximum(20.0, 0.15 * level)
    prior = -0.25 * (
        ((forward[:, None] - _PLACE_MM[0]) / _PLACE_SD_MM[0]) ** 2
        + ((side * left - _PLACE_MM[1]) / _PLACE_SD_MM[1]) ** 2
    )
    gain = roundness(planes, _RADII_MM) + 0.3 * even + prior[None] - 0.3 * np.minimum(off, 3.0)
    gain -= config.arch_min_score
    gain[off > 3.0] = -1.0
    path = best_path(gain.astype(np.float32), reach=1, slope_cost=0.03)
    if len(path.yx) * grid.spacing_mm[0] < config.min_ascending_mm:
        return None
    centre = np.column_stack([forward[path.yx[:, 0]], left[path.yx[:, 1]]]).astype(float)
    centre = ndimage.gaussian_filter1d(centre, 2.0, axis=0, mode="nearest")
    here = planes[path.first : path.first + len(centre)]
    origin = (float(forward[0]), float(left[0]))
    for _ in range(2):
        outline = vessel_outline(here, centre, origin=origin)
        centre = centre + ndimage.gaussian_filter1d(outline_centroid(outline), 2.0, axis=0, mode="nearest")
    outline = vessel_outline(here, centre, origin=origin)
    lowest = _root(outline, config=config)
    first = z0 + path.first + lowest
    if (len(centre) - lowest) * grid.spacing_mm[0] < config.min_ascending_mm:
        return None
    own, centre = track[first : first + len(centre) - lowest], centre[lowest:]
    yx = np.column_stack([own[:, 0] - centre[:, 0] / sy, own[:, 1] + centre[:, 1] / sx])
    return _Ascending(first, yx, outline[lowest:])


def _root(outline_mm: npt.NDArray[np.float64], *, config: AnatomyConfig) -> int:
    """Lowest step that still is aorta: below it the outline opens into the heart."""
    radius = np.sqrt((outline_mm**2).mean(axis=1))
    usual = float(np.median(radius[len(radius) // 2 :]))
    wide = np.flatnonzero(radius > min(1.3 * usual, config.max_ascending_radius_mm))
    wide = wide[wide < len(radius) * 3 // 4]
    return int(wide[-1]) + 1 if wide.size else 0


def _paint(out: BoolArray, found: _Ascending, grid: Geometry) -> None:
    _, sy, sx = grid.spacing_mm
    y, x = np.mgrid[: out.shape[1], : out.shape[2]]
    angles = found.outline_mm.shape[1]
    for k, (cy, cx) in enumerate(found.centre_yx):
        forward, left = (cy - y) * sy, (x - cx) * sx
        angle = np.mod(np.arctan2(left, forward), 2 * np.pi) * angles / (2 * np.pi)
        limit = np.interp(
            angle, np.arange(angles + 1), np.append(found.outline_mm[k], found.outline_mm[k, 0])
        )
        out[found.first + k] |= np.hypot(forward, left) <= limit


def _best_arch(
    hu: Float32Volume,
    found: _Ascending,
    track: npt.NDArray[np.float64],
    blood: npt.NDArray[np.float64],
    grid: Geometry,
) -> _Arch | None:
    """Return the tube around half an ellipse that is best filled with blood and best ends at its wall."""
    spacing = np.asarray(grid.spacing_mm)
    top = found.first + len(found.centre_yx) - 1
    ascending = float(np.median(np.sqrt((found.outline_mm[-12:] ** 2).mean(axis=1))))
    light = ndimage.gaussian_filter(np.clip(hu, -150, 600), 0.7)
    reach = round(40.0 / spacing[0])
    best: tuple[float, _Arch | None] = (0.0, None)
    for apex in range(max(0, top - reach // 2), min(hu.shape[0], top + reach), 2):
        for bow in (-10.0, 0.0, 10.0):
            for flat in (0.3, 0.45):
                path = _half_ellipse(found, track, apex, bow, flat, spacing)
                for share in (0.7, 0.85, 1.0):
                    radius = float(np.clip(share * ascending, 9.0, 20.0))
                    score = _fit(light, path, radius, float(blood[apex]), spacing)
                    if score > best[0]:
                        best = (score, _Arch(path, radius))
    return best[1]


def _paint_arch(
    out: BoolArray, hu: Float32Volume, arch: _Arch, blood: npt.NDArray[np.float64], grid: Geometry
) -> None:
    """Paint what is blood within the tube, with room for a wider arch."""
    spacing = np.asarray(grid.spacing_mm)
    reach = 1.3 * arch.radius_mm
    low = np.maximum(0, np.floor(arch.path.min(axis=0) - reach / spacing).astype(int))
    high = np.minimum(out.shape, np.ceil(arch.path.max(axis=0) + reach / spacing).astype(int) + 1)
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    axes = np.meshgrid(*[np.arange(a, b) for a, b in zip(low, high, strict=True)], indexing="ij")
    near = np.full(axes[0].shape, np.inf)
    for point in arch.path:
        gap = sum(((axis - p) * h) ** 2 for axis, p, h in zip(axes, point, spacing, strict=True))
        np.minimum(near, gap, out=near)
    light = ndimage.gaussian_filter(np.clip(hu[box], -150, 600), 0.7)
    level = blood[box[0], None, None]
    bloody = (light > 0.5 * (level - 80.0)) & (light < 1.6 * level + 60.0)
    tube = opened((near <= reach**2) & bloody, 6.0, grid.spacing_mm)
    tube |= (near <= (0.8 * arch.radius_mm) ** 2) & bloody
    labels, counts = components(tube)
    if counts.size > 1:
        out[box] |= labels == 1 + int(np.argmax(counts[1:]))


def _half_ellipse(
    found: _Ascending,
    track: npt.NDArray[np.float64],
    apex: int,
    bow_mm: float,
    flat: float,
    spacing: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Centre line (z, y, x voxels) from the ascending over `apex` to the descending aorta."""
    span = np.linalg.norm((found.centre_yx[-1] - track[min(apex, len(track) - 1)]) * spacing[1:])
    rise = flat * span / spacing[0]
    foot = int(np.clip(round(apex - rise), 0, len(track) - 1))
    start = found.centre_yx[int(np.clip(foot - found.first, 0, len(found.centre_yx) - 1))]
    end = track[foot]
    angle = np.linspace(0.0, np.pi, 25)
    share = 0.5 * (1.0 - np.cos(angle))
    line = start[None] + share[:, None] * (end - start)[None]
    across = np.array([-(end - start)[1], (end - start)[0]])
    across /= max(float(np.linalg.norm(across)), 1e-6)
    line = line + (bow_mm / spacing[1] * np.sin(angle))[:, None] * across[None]
    return np.column_stack([foot + (apex - foot) * np.sin(angle), line])


def _fit(
    light: Float32Volume,
    path: npt.NDArray[np.float64],
    radius: float,
    blood: float,
    spacing: npt.NDArray[np.float64],
) -> float:
    """Mean over the tube of: blood inside, and a fall of HU across its wall (0–1); -1 where either is missing."""
    tangent = np.gradient(path * spacing, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-6)
    up = np.cross(tangent, np.cross(np.array([1.0, 0.0, 0.0]), tangent) + 1e-6)
    up /= np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-6)
    side = np.cross(tangent, up)
    angles = np.arange(12) * np.pi / 6
    normal = np.cos(angles)[:, None, None] * up + np.sin(angles)[:, None, None] * side
    middle = path[5:20]
    inner, outer = (
        ndimage.map_coordinates(
            light,
            ((middle * spacing + r * normal[:, 5:20]) / spacing).transpose(2, 0, 1),
            order=1,
            mode="nearest",
        )
        for r in (radius - 4.0, radius + 4.0)
    )
    centre = ndimage.map_coordinates(light, middle.T, order=1, mode="nearest")
    full = max(120.0, blood + 80.0)
    fall = np.clip((inner - outer) / full, -0.5, 1.0)
    alike = 1.0 - np.abs(np.concatenate([inner.ravel(), centre]) - blood) / max(40.0, 0.3 * blood)
    wall, blood_like = float(fall.mean()), float(np.clip(alike, -1.0, 1.0).mean())
    return 0.5 * (wall + blood_like) if min(wall, blood_like) > _MIN_FIT else -1.0
