"""The neural foramina: how wide each is, and by how much those beside a mass exceed what is expected.

A foramen is a short tunnel below a pedicle, closed by bone in front (body), above (pedicle) and behind (facets); only
the disc leaves a narrow gap. In planes that cut it across, the largest circle without bone tells its width, wherever
nerve, fat, vessels or a mass fill it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.measure.native import groups_within
from paraspinal.measure.wall import body_axes
from paraspinal.volume import CTVolume, Geometry, Region

Side = Literal["left", "right"]
Points = npt.NDArray[np.float64]
Planes = npt.NDArray[np.float32]

SIDES: tuple[Side, Side] = ("left", "right")
_STEP_MM = 0.5
_UP_MM = np.arange(-16.0, 16.01, _STEP_MM)  # from the caudal end plate; the plane reaches as far
_BACK_MM = np.arange(-16.0, 16.01, _STEP_MM)  # from the canal's middle
_OUT_MM = np.arange(0.0, 6.01, 1.0)  # from the canal's side wall
_CENTRE_UP_MM, _CENTRE_BACK_MM = 8.0, 6.0  # the circle's centre lies so near to the plane's middle
_BONE_HU = 160.0  # soft tissue and blood with contrast medium mostly lie below, walls of bone above
_SMOOTH_MM = 0.5
_PEDICLE_SHARES = (0.45, 0.55, 0.65, 0.75)  # of the body's height, where pedicles wall the canal in
_LEVELS_ALIKE = 2  # canals of so many neighbours on either side are as wide
_IN_VIEW = 0.98
_BLOCKED_MM = 2.0  # narrower than any nerve: bone, or no foramen where one was expected


@dataclass(frozen=True, slots=True)
class Foramen:
    """One foramen, named by the vertebra above it: its width (mm) and the points (n, 3), LPS, of its tunnel."""

    label: str
    side: Side
    width_mm: float
    tunnel_lps_mm: Points


@dataclass(frozen=True, slots=True)
class Canal:
    """Where the canal's side walls stand beside one vertebra: axes, half its width (mm), and the ``middle`` (LPS).

    The middle lies at the height of the vertebra's caudal end plate.
    """

    label: str
    middle: Points
    up: Points
    anterior: Points
    left: Points
    half_mm: float


def read_foramina(volume: CTVolume, anatomy: Anatomy) -> tuple[Foramen, ...]:
    """Return the foramina below the thoracic and lumbar vertebrae that lie in the scan, cranial first.

    The width is the median, over planes at right angles to the tunnel 1 to 5 mm beside the canal, of the diameter of
    the largest circle without bone (above 160 HU) that has its centre at the foramen.
    """
    read = [_read(volume, canal, side) for canal in read_canals(anatomy) for side in SIDES]
    return tuple(foramen for foramen in read if foramen is not None)


def read_canals(anatomy: Anatomy) -> tuple[Canal, ...]:
    """Return the canal beside every thoracic and lumbar vertebra, cranial first, its width even along the spine."""
    canals = [c for v in anatomy.vertebrae if v.label[0] in "TL" and (c := _canal(anatomy, v)) is not None]
    widths = _even([c.half_mm for c in canals])
    return tuple(replace(canal, half_mm=half) for canal, half in zip(canals, widths, strict=True))


def tunnels_at(
    foramina: Sequence[Foramen], region: Region, geometry: Geometry, *, within_mm: float
) -> frozenset[int]:
    """Return the indices of the foramina whose tunnel comes within `within_mm` of a region (native grid)."""
    tunnels = [foramen.tunnel_lps_mm for foramen in foramina]
    return groups_within(tunnels, region, geometry, within_mm=within_mm)


def _canal(anatomy: Anatomy, vertebra: Vertebra) -> Canal | None:
    """Return the canal beside a vertebra; its side walls are read where pedicles stand, above the foramen."""
    line = anatomy.centreline_lps_mm
    if len(line) < 3 or not line[:, 2].min() <= vertebra.bottom_mm <= line[:, 2].max():
        return None
    line = line[np.argsort(line[:, 2])]
    geometry, mask = anatomy.geometry, anatomy.mask("canal")
    sides = []
    for share in _PEDICLE_SHARES:
        z = vertebra.bottom_mm + share * (vertebra.top_mm - vertebra.bottom_mm)
        x, y = (float(np.interp(z, line[:, 2], line[:, k])) for k in (0, 1))
        k = round(float(geometry.to_index(np.array([x, y, z]))[0]))
        columns = np.flatnonzero(mask[k].any(axis=0)) if 0 <= k < len(mask) else np.zeros(0, int)
        if columns.size:
            ends = geometry.to_lps(np.array([[k, 0, columns[0] - 0.5], [k, 0, columns[-1] + 0.5]]))[:, 0]
            sides.append((ends.max() - x, x - ends.min()))
    if not sides:
        return None
    to_left, to_right = np.median(sides, axis=0)
    z = vertebra.bottom_mm
    place = np.array([*(float(np.interp(z, line[:, 2], line[:, k])) for k in (0, 1)), z])
    up, anterior, left = body_axes(anatomy, place)
    half = float(to_left + to_right) / 2.0
    return Canal(vertebra.label, place + left * float(to_left - to_right) / 2.0, up, anterior, left, half)


def _even(widths_mm: Sequence[float]) -> list[float]:
    """Return the median of each width and its neighbours': where the canal's outline leaks, they hold it."""
    n = _LEVELS_ALIKE
    return [float(np.median(widths_mm[max(0, k - n) : k + n + 1])) for k in range(len(widths_mm))]


def _read(volume: CTVolume, canal: Canal, side: Side) -> Foramen | None:
    out = canal.left if side == "left" else -canal.left
    places = (
        canal.middle
        + _UP_MM[None, :, None, None] * canal.up
        - _BACK_MM[None, None, :, None] * canal.anterior
        + (canal.half_mm + _OUT_MM)[:, None, None, None] * out
    )
    planes = _planes(volume, places)
    if planes is None:
        return None
    circles = [_circle(plane) for plane in planes[1:-1]]
    width = float(np.median([diameter for diameter, _ in circles]))
    if width < _BLOCKED_MM:
        return None
    tunnel = np.array([places[k, i, j] for k, (_, (i, j)) in enumerate(circles, 1)])
    return Foramen(canal.label, side, width, tunnel)


def _planes(volume: CTVolume, places: Points) -> Planes | None:
    """Return the CT in the planes, each averaged with its neighbours; None where they leave the scan."""
    index = volume.geometry.to_index(places.reshape(-1, 3))
    inside = np.all((index >= -0.5) & (index <= np.asarray(volume.geometry.shape) - 0.5), axis=1)
    if inside.mean() < _IN_VIEW:
        return None
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, None)
    high = np.ceil(index.max(axis=0)).astype(int) + 2
    part = volume.hu[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    hu = ndimage.map_coordinates(part, (index - low).T, order=1, mode="nearest", output=np.float32)
    hu = hu.reshape(places.shape[:-1])
    hu = ndimage.uniform_filter1d(hu, 3, axis=0, mode="nearest")
    return np.asarray(ndimage.gaussian_filter(hu, (0.0, _SMOOTH_MM / _STEP_MM, _SMOOTH_MM / _STEP_MM)))


def _circle(plane: Planes) -> tuple[float, tuple[int, int]]:
    """Return diameter (mm) and place (row, column) of the largest circle without bone at the foramen."""
    free = edt.edt(plane < _BONE_HU, anisotropy=(_STEP_MM, _STEP_MM), black_border=False)
    near = (np.abs(_UP_MM) <= _CENTRE_UP_MM)[:, None] & (np.abs(_BACK_MM) <= _CENTRE_BACK_MM)[None, :]
    i, j = np.unravel_index(int(np.argmax(np.where(near, free, -1.0))), free.shape)
    # The distance runs to the middle of the next bone pixel, half a step behind its border.
    return max(0.0, 2.0 * float(free[i, j]) - _STEP_MM), (int(i), int(j))
