"""How wide the ribs are where they leave the spine: there marrow that expands balloons them.

A rib is followed from its head; cross-sections 30 to 60 mm from there are read from native voxels along rays. Bone
ends half way between its cortex and soft tissue. The width is the diameter of a circle of the section's area, which
does not depend on how the section is turned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy, Rib
from paraspinal.config import MeasureConfig
from paraspinal.measure.gates import why_not
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement
from paraspinal.volume import CTVolume

Points = npt.NDArray[np.float64]
Rays = npt.NDArray[np.float64]

KEY = "rib_width_mm"
_FROM_HEAD_MM = np.arange(24.0, 67.0, 6.0)  # the first and the last lend their direction to their neighbours
_SHELL_MM = 3.0
_LEAST_VOXELS = 8
_KINK_MM = 20.0  # centres farther apart belong to another rib or to none
_RADII_MM = np.arange(0.0, 12.01, 0.25)
_ANGLES = np.deg2rad(np.arange(0.0, 360.0, 10.0))
_CORTEX_WITHIN_MM = 10.0  # of the section's centre, in an expanded rib, too
_LEAST_PEAK_HU, _SOFT_HU = 150.0, 40.0
_LEAST_RAYS = 0.7
_AVERAGE = np.array([0.25, 0.5, 0.25], np.float32)
_BEARERS = frozenset(f"T{n}" for n in range(3, 11))  # floating and first ribs are thinner or flatter
_LEAST_SECTIONS, _LEAST_RIBS = 4, 6
_SYSTEMATIC_MM = 0.3  # the half level of a thin cortex lies outside the bone where blur is wide


@dataclass(frozen=True, slots=True)
class RibWidth:
    """The widths (mm) of one rib's cross-sections."""

    rib: Rib
    sections_mm: tuple[float, ...]

    @property
    def width_mm(self) -> float:
        """Median of the sections."""
        return float(np.median(self.sections_mm))


def rib_widths(volume: CTVolume, anatomy: Anatomy) -> tuple[RibWidth, ...]:
    """Return the widths of ribs 3 to 10 of which four sections or more could be read."""
    boxes = ndimage.find_objects(anatomy.labels.data)
    found = []
    for rib in anatomy.ribs:
        if rib.bearer not in _BEARERS or rib.head_lps_mm is None or rib.number > len(boxes):
            continue
        box = boxes[rib.number - 1]
        if box is None:
            continue
        index = np.argwhere(anatomy.labels.data[box] == rib.number) + [s.start for s in box]
        centres = _centres(anatomy.geometry.to_lps(index), np.asarray(rib.head_lps_mm))
        widths = [w for k in range(1, len(centres) - 1) if (w := _section(volume, centres, k)) is not None]
        if len(widths) >= _LEAST_SECTIONS:
            found.append(RibWidth(rib, tuple(widths)))
    return tuple(found)


def measure_rib_width(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, config: MeasureConfig
) -> Measurement:
    """Return ``rib_width_mm``: the median over ribs 3 to 10, both sides."""
    refusal = why_not(KEY, quality, config, slice_mm=volume.effective_slice_mm)
    if refusal is not None:
        return Measurement.missing("mm", refusal)
    widths = [rib.width_mm for rib in rib_widths(volume, anatomy)]
    if len(widths) < _LEAST_RIBS:
        return Measurement.missing(
            "mm", f"only {len(widths)} of ribs 3 to 10 could be read 30 to 60 mm from the head"
        )
    return Measurement.measured(
        float(np.median(widths)),
        "mm",
        type_a=float(np.std(widths, ddof=1) / np.sqrt(len(widths))),
        type_b=_SYSTEMATIC_MM,
        method="type A: spread of ribs; type B: border of a blurred thin cortex",
        region=f"{len(widths)} of ribs 3 to 10, 30 to 60 mm from the head",
    )


def _centres(places_mm: Points, head_mm: Points) -> Points:
    """Return the rib's middle (n, 3) at growing distance from its head; NaN where it was not outlined."""
    away = np.linalg.norm(places_mm - head_mm, axis=1)
    out = np.full((len(_FROM_HEAD_MM), 3), np.nan)
    for k, distance in enumerate(_FROM_HEAD_MM):
        near = np.abs(away - distance) < _SHELL_MM
        if np.count_nonzero(near) >= _LEAST_VOXELS:
            out[k] = places_mm[near].mean(axis=0)
    return out


def _section(volume: CTVolume, centres: Points, k: int) -> float | None:
    """Return the width (mm) of the cross-section at a centre, None where its border is not closed."""
    along = centres[k + 1] - centres[k - 1]
    length = float(np.linalg.norm(along))
    if not np.isfinite(length) or not np.isfinite(centres[k]).all() or not 0.0 < length <= _KINK_MM:
        return None
    across = np.cross(along, [0.0, 0.0, 1.0])
    if np.linalg.norm(across) < 0.1 * length:
        return None
    across /= np.linalg.norm(across)
    plane = np.stack([across, np.cross(across, along / length)])
    centre = centres[k]
    for _ in range(2):  # the second time around the section's own middle
        radii = _radii(volume, centre, plane)
        if radii is None:
            return None
        x, y = radii * np.cos(_ANGLES), radii * np.sin(_ANGLES)
        cross = x * np.roll(y, -1) - np.roll(x, -1) * y
        area = 0.5 * float(cross.sum())
        middle = np.array([((v + np.roll(v, -1)) * cross).sum() / (6.0 * area) for v in (x, y)])
        centre = centre + middle @ plane
    return 2.0 * float(np.sqrt(area / np.pi))


def _radii(volume: CTVolume, centre: Points, plane: Points) -> Rays | None:
    """Return how far bone reaches along rays from a centre; None where too many find no end, or leave the scan."""
    directions = np.cos(_ANGLES)[:, None] * plane[0] + np.sin(_ANGLES)[:, None] * plane[1]
    places = centre + _RADII_MM[:, None, None] * directions
    index = volume.geometry.to_index(places.reshape(-1, 3))
    if (index < -0.5).any() or (index > np.asarray(volume.geometry.shape) - 0.5).any():
        return None
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, None)
    high = np.ceil(index.max(axis=0)).astype(int) + 2
    part = volume.hu[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    hu = ndimage.map_coordinates(part, (index - low).T, order=1, mode="nearest", output=np.float32)
    hu = ndimage.correlate1d(hu.reshape(places.shape[:-1]), _AVERAGE, axis=1, mode="wrap")
    near = np.where((_RADII_MM <= _CORTEX_WITHIN_MM)[:, None], hu, -np.inf)
    peak, at = near.max(axis=0), near.argmax(axis=0)
    level = 0.5 * (np.maximum(peak, _LEAST_PEAK_HU) + _SOFT_HU)
    outside = (hu < level) & (np.arange(len(_RADII_MM))[:, None] > at)
    met = outside.any(axis=0)
    if met.mean() < _LEAST_RAYS:
        return None
    first = np.maximum(outside.argmax(axis=0), 1)
    ray = np.arange(len(_ANGLES))
    inner, outer = hu[first - 1, ray], hu[first, ray]
    part_way = np.clip((inner - level) / np.maximum(inner - outer, 1.0), 0.0, 1.0)
    radii = _RADII_MM[first - 1] + (_RADII_MM[1] - _RADII_MM[0]) * part_way
    radii = np.where(met, radii, np.median(radii[met]))
    return np.asarray(ndimage.median_filter(radii, 5, mode="wrap"))
