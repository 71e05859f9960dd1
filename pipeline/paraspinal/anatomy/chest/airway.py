"""Trachea and main bronchi: the free air that is followed from the neck down to where it divides, and beyond."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.morphology import components, dilate
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.volume import BoolArray, Geometry

_LUMEN_HU = -880.0  # free air with the partial volume of a 2 mm voxel; aerated lung is denser
_WALL_HU = -500.0  # half way between air and the wall
_TRACHEA_MM2 = (
    60.0,
    450.0,
)  # lumen of adults: about 130–420 mm² (13–27 mm across), less where the wall is cut in
_MIN_TRACHEA_MM = 15.0  # shorter tracks are bowel, oesophagus or lung
_BRONCHI_MM = 40.0  # the left main bronchus is about 45 mm long; below it divides


@dataclass(frozen=True, slots=True)
class Airway:
    """Lumen of trachea and main bronchi; ``carina_z`` is the slice in which the trachea has divided."""

    mask: BoolArray
    carina_z: float | None


@dataclass(slots=True)
class _Track:
    """The lumen in the slice above, and what was passed on the way."""

    planes: dict[int, BoolArray]
    lumen: BoolArray
    area: float


def find_airway(
    hu: npt.NDArray[np.float32], body: BoolArray, where: SpineCoordinates, grid: Geometry
) -> Airway:
    """Follow the tracheal lumen caudally from its highest round cross-section, then both main bronchi.

    Parameters
    ----------
    hu : ndarray, [z, y, x]
        HU on the working grid.
    """
    middle = np.zeros(hu.shape, bool)
    middle[where.box] = (np.abs(where.left) < 45.0) & (where.anterior > 12.0) & (where.anterior < 90.0)
    lumen = (hu < _LUMEN_HU) & body & middle
    mask = np.zeros(hu.shape, bool)
    track: _Track | None = None
    pixel = grid.spacing_mm[1] * grid.spacing_mm[2]
    for z in range(hu.shape[0] - 1, -1, -1):
        labels, counts = components(lumen[z][None])
        plane, areas = labels[0], counts * pixel
        if track is None:
            track = _begun(plane, areas, z)
            continue
        parts = [int(k) for k in np.unique(plane[track.lumen]) if k and areas[k] > 30.0]
        travelled = (len(track.planes)) * grid.spacing_mm[0]
        if len(parts) >= 2 and travelled > _MIN_TRACHEA_MM:
            for level, seen in track.planes.items():
                mask[level] = seen
            _add_bronchi(mask, lumen, z, plane, parts, track.area, grid)
            return Airway(_with_rim(mask, hu, grid), float(z))
        if len(parts) != 1 or areas[parts[0]] > 3.0 * track.area:
            if travelled > 2 * _MIN_TRACHEA_MM:
                break
            track = None
            continue
        track.lumen = plane == parts[0]
        track.planes[z] = track.lumen
        track.area = 0.8 * track.area + 0.2 * float(areas[parts[0]])
    if track is not None and len(track.planes) * grid.spacing_mm[0] > _MIN_TRACHEA_MM:
        for level, seen in track.planes.items():
            mask[level] = seen
    return Airway(_with_rim(mask, hu, grid), None)


def _begun(plane: npt.NDArray[np.integer], areas: npt.NDArray[np.floating], z: int) -> _Track | None:
    low, high = _TRACHEA_MM2
    candidates = [k for k in range(1, len(areas)) if low < areas[k] < high]
    if len(candidates) != 1 or z <= 5:
        return None
    lumen = np.asarray(plane == candidates[0])
    return _Track({z: lumen}, lumen, float(areas[candidates[0]]))


def _add_bronchi(
    mask: BoolArray,
    lumen: BoolArray,
    z: int,
    plane: npt.NDArray[np.integer],
    parts: list[int],
    trachea_mm2: float,
    grid: Geometry,
) -> None:
    """Follow each bronchus as long as it stays narrower than the trachea; where it opens, it has met lung."""
    pixel = grid.spacing_mm[1] * grid.spacing_mm[2]
    current = [np.asarray(plane == k) for k in parts]
    for level in range(z, max(-1, z - round(_BRONCHI_MM / grid.spacing_mm[0])), -1):
        labels, counts = components(lumen[level][None])
        following = []
        for bronchus in current:
            for k in np.unique(labels[0][bronchus]):
                part = labels[0] == k
                # A main bronchus runs obliquely, so its cross-section may be as large as the trachea's.
                if k and 15.0 < counts[k] * pixel < 1.2 * trachea_mm2:
                    mask[level] |= part
                    following.append(part)
        current = following


def _with_rim(mask: BoolArray, hu: npt.NDArray[np.float32], grid: Geometry) -> BoolArray:
    """Add the voxels that the wall fills in part, up to half way."""
    if not mask.any():
        return mask
    return np.asarray(mask | dilate(mask, 2.0 * grid.spacing_mm[1] * 0.75, grid.spacing_mm) & (hu < _WALL_HU))
