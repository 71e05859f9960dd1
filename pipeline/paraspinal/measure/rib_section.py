"""Cross-sections of the ribs: where bone ends along rays, at growing distance from the rib's head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy, Rib
from paraspinal.volume import CTVolume

Points = npt.NDArray[np.float64]
Rays = npt.NDArray[np.float64]
Boxes = Mapping[int, tuple[slice, ...]]

ANGLES = np.deg2rad(np.arange(0.0, 360.0, 10.0))
"""Directions of the rays in a section's plane, from its first axis (outwards) to its second (upwards)."""
WIDTH_FROM_HEAD_MM = np.arange(24.0, 67.0, 6.0)
"""The first and the last lend their direction to their neighbours."""
_SHELL_MM = 3.0
_LEAST_VOXELS = 8
_KINK_MM = (
    3.4  # centres farther apart, against the distance that they should have, belong to another rib or to none
)
_RADII_MM = np.arange(0.0, 12.01, 0.25)
_CORTEX_WITHIN_MM = 10.0  # of the section's centre, in an expanded rib, too
_LEAST_PEAK_HU, _SOFT_HU = 150.0, 40.0
_LEAST_RAYS = 0.7
_AVERAGE = np.array([0.25, 0.5, 0.25], np.float32)


@dataclass(frozen=True, slots=True)
class RibSections:
    """The cross-sections of one rib that could be read.

    ``from_head_mm`` (k,), ``centres_mm`` (k, 3) LPS, ``planes`` (k, 2, 3) the section's axes (outwards, upwards) and
    ``radii_mm`` (k, 36), from the centre to half way between cortex and soft tissue, by `ANGLES`.
    """

    rib: Rib
    from_head_mm: Rays
    centres_mm: Points
    planes: Points
    radii_mm: Rays

    @property
    def widths_mm(self) -> Rays:
        """Diameter of the circle of each section's area."""
        return 2.0 * np.sqrt(_areas(self.radii_mm)[0] / np.pi)

    def directions(self) -> Points:
        """Return the unit directions of the rays (k, 36, 3)."""
        return _directions(self.planes)


def rib_boxes(anatomy: Anatomy) -> Boxes:
    """Return the box of every structure of the label map, by its number."""
    found = ndimage.find_objects(anatomy.labels.data)
    return {number: box for number, box in enumerate(found, 1) if box is not None}


def read_sections(
    volume: CTVolume,
    anatomy: Anatomy,
    rib: Rib,
    from_head_mm: Rays,
    *,
    boxes: Boxes,
    recentred: bool = True,
) -> RibSections | None:
    """Return a rib's sections at distances from its head; None where it has no head in view or no section.

    The first and the last distance only lend their direction. Unless `recentred`, rays leave the middle of the rib's
    outline instead of that of the section.
    """
    where = _places(anatomy, rib, boxes)
    if where is None or rib.head_lps_mm is None:
        return None
    middles = _middles(where, np.asarray(rib.head_lps_mm), from_head_mm)
    along = middles[2:] - middles[:-2]
    length = np.linalg.norm(along, axis=1)
    gap = from_head_mm[2:] - from_head_mm[:-2]
    sound = np.isfinite(middles[1:-1]).all(axis=1) & np.isfinite(length)
    sound &= (length > 0.0) & (length <= gap + _KINK_MM * gap / 6.0)
    if not sound.any():
        return None
    planes, level = _planes(along[sound], 1.0 if rib.side == "left" else -1.0)
    centres, distances = middles[1:-1][sound][level], from_head_mm[1:-1][sound][level]
    if not len(centres):
        return None
    for _ in range(2 if recentred else 1):  # the second time around the section's own middle
        radii = _radii(volume, centres, planes)
        known = np.isfinite(radii).all(axis=1)
        centres, planes, distances, radii = centres[known], planes[known], distances[known], radii[known]
        if not len(centres):
            return None
        read_at, shift = centres, _areas(radii)[1]
        centres = centres + np.einsum("kp,kpc->kc", shift, planes)
    return RibSections(rib, distances, read_at, planes, radii)


def neck_places(anatomy: Anatomy, rib: Rib, within_mm: float, *, boxes: Boxes) -> Points:
    """Return the places (n, 3) of a rib's voxels so near to its head."""
    where = _places(anatomy, rib, boxes)
    if where is None or rib.head_lps_mm is None:
        return np.zeros((0, 3))
    return np.asarray(where[np.linalg.norm(where - np.asarray(rib.head_lps_mm), axis=1) < within_mm])


def _places(anatomy: Anatomy, rib: Rib, boxes: Boxes) -> Points | None:
    """Return the places (n, 3) of a rib's voxels on the working grid."""
    box = boxes.get(rib.number)
    if box is None:
        return None
    index = np.argwhere(anatomy.labels.data[box] == rib.number) + [s.start for s in box]
    return anatomy.geometry.to_lps(index)


def _middles(places_mm: Points, head_mm: Points, from_head_mm: Rays) -> Points:
    """Return the rib's middle (n, 3) at growing distance from its head; NaN where it was not outlined."""
    away = np.linalg.norm(places_mm - head_mm, axis=1)
    out = np.full((len(from_head_mm), 3), np.nan)
    for k, distance in enumerate(from_head_mm):
        near = np.abs(away - distance) < _SHELL_MM
        if np.count_nonzero(near) >= _LEAST_VOXELS:
            out[k] = places_mm[near].mean(axis=0)
    return out


def _planes(along: Points, sign: float) -> tuple[Points, npt.NDArray[np.bool_]]:
    """Return the axes (k, 2, 3) across a rib, outwards and upwards, and where it does not run straight up or down.

    Both sides of the body get mirrored axes.
    """
    along = along / np.linalg.norm(along, axis=1, keepdims=True)
    outward = -sign * np.cross(along, [0.0, 0.0, 1.0])
    length = np.linalg.norm(outward, axis=1)
    level = length >= 0.1
    outward = outward[level] / length[level][:, None]
    upward = sign * np.cross(outward, along[level])
    return np.stack([outward, upward * np.sign(upward[:, 2:])], axis=1), level


def _directions(planes: Points) -> Points:
    return np.asarray(
        np.cos(ANGLES)[:, None] * planes[:, None, 0] + np.sin(ANGLES)[:, None] * planes[:, None, 1]
    )


def _areas(radii: Rays) -> tuple[Rays, Points]:
    """Return the areas (k,) of outlines and their middles (k, 2) in the axes of their planes."""
    x, y = radii * np.cos(ANGLES), radii * np.sin(ANGLES)
    ahead = [np.roll(v, -1, axis=1) for v in (x, y)]
    cross = x * ahead[1] - ahead[0] * y
    area = 0.5 * cross.sum(axis=1)
    middle = [((v + w) * cross).sum(axis=1) / (6.0 * area) for v, w in zip((x, y), ahead, strict=True)]
    return area, np.stack(middle, axis=1)


def sampled(volume: CTVolume, places_mm: Points) -> npt.NDArray[np.float32]:
    """Return the CT at places (..., 3), interpolated between voxels; NaN outside the scan."""
    index = volume.geometry.to_index(places_mm.reshape(-1, 3))
    shape = np.asarray(volume.geometry.shape)
    outside = ((index < -0.5) | (index > shape - 0.5)).any(axis=1)
    inside = np.clip(index, 0, shape - 1)
    low = np.floor(inside.min(axis=0)).astype(int)
    high = np.ceil(inside.max(axis=0)).astype(int) + 1
    part = volume.hu[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    hu = ndimage.map_coordinates(part, (inside - low).T, order=1, mode="nearest", output=np.float32)
    hu[outside] = np.nan
    return np.asarray(hu.reshape(places_mm.shape[:-1]))


def _radii(volume: CTVolume, centres: Points, planes: Points) -> Rays:
    """Return how far bone reaches along rays (k, 36); NaN where too many find no end, or leave the scan."""
    places = centres[:, None, None] + _RADII_MM[:, None, None] * _directions(planes)[:, None]
    hu = sampled(volume, places)
    in_view = np.isfinite(hu).all(axis=(1, 2))
    hu = ndimage.correlate1d(np.nan_to_num(hu), _AVERAGE, axis=2, mode="wrap")
    near = np.where((_RADII_MM <= _CORTEX_WITHIN_MM)[:, None], hu, -np.inf)
    peak, at = near.max(axis=1), near.argmax(axis=1)
    level = 0.5 * (np.maximum(peak, _LEAST_PEAK_HU) + _SOFT_HU)
    outside = (hu < level[:, None]) & (np.arange(len(_RADII_MM))[:, None] > at[:, None])
    met = outside.any(axis=1)
    first = np.maximum(outside.argmax(axis=1), 1)[:, None]
    inner, outer = (np.take_along_axis(hu, k, axis=1)[:, 0] for k in (first - 1, first))
    part_way = np.clip((inner - level) / np.maximum(inner - outer, 1.0), 0.0, 1.0)
    radii = _RADII_MM[first[:, 0] - 1] + (_RADII_MM[1] - _RADII_MM[0]) * part_way
    usable = in_view & (met.mean(axis=1) >= _LEAST_RAYS)
    typical = np.nanmedian(np.where(met | ~usable[:, None], radii, np.nan), axis=1)
    radii = np.where(met, radii, typical[:, None])
    radii = ndimage.median_filter(radii, (1, 5), mode="wrap")
    return np.where(usable[:, None], radii, np.nan)
