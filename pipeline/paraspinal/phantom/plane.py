"""Where an image lies (`Plane`), and how a volume is imaged there: a slab average of the image's own thickness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.volume import CTVolume, Geometry

Vector = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]
Point = tuple[float, float, float]

# A slab is cut into sheets when it is this much thicker than what a voxel of the volume averages over.
_THICKER = 1.2
_SAME_MM = 1e-4


@dataclass(frozen=True, slots=True)
class Plane:
    """One image in the patient.

    Parameters
    ----------
    corner_lps_mm : tuple of float
        Centre of the first pixel, (x, y, z).
    row_lps, column_lps : tuple of float
        Unit vectors along a row (towards higher columns) and along a column.
    spacing_mm : tuple of float
        Distance of rows, distance of columns.
    shape : tuple of int
        Rows, columns.
    thickness_mm : float
        What a pixel averages over, along the normal.
    """

    corner_lps_mm: Point
    row_lps: Point
    column_lps: Point
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]
    thickness_mm: float

    @property
    def normal(self) -> Vector:
        """Unit vector across the image: row × column."""
        return np.cross(self.row_lps, self.column_lps)

    @property
    def centre(self) -> Vector:
        """Centre of the image, (x, y, z) in LPS."""
        return self.at((self.shape[0] - 1) / 2, (self.shape[1] - 1) / 2)

    def at(self, row: float, column: float) -> Vector:
        """Return the place of a pixel, (x, y, z) in LPS."""
        along = np.multiply(self.column_lps, row * self.spacing_mm[0])
        return np.asarray(
            self.corner_lps_mm + along + np.multiply(self.row_lps, column * self.spacing_mm[1]), float
        )

    def points(self, offset_mm: float = 0.0) -> Vector:
        """Return the places of all pixels, shape (rows, columns, 3), moved along the normal."""
        rows = np.arange(self.shape[0])[:, None, None] * self.spacing_mm[0] * np.asarray(self.column_lps)
        columns = np.arange(self.shape[1])[None, :, None] * self.spacing_mm[1] * np.asarray(self.row_lps)
        return np.asarray(self.corner_lps_mm + rows + columns + offset_mm * self.normal)

    def moved(self, by_mm: npt.ArrayLike) -> Plane:
        """Return the same image elsewhere."""
        return replace(self, corner_lps_mm=point(np.add(self.corner_lps_mm, by_mm)))

    def turned(self, rotation: Vector) -> Plane:
        """Return the image turned about its own centre by a 3×3 rotation."""
        row, column = rotation @ self.row_lps, rotation @ self.column_lps
        new = replace(self, row_lps=point(row), column_lps=point(column))
        return new.moved(self.centre - new.centre)


Imager = Callable[[Plane], Values]


def point(vector: npt.ArrayLike) -> Point:
    """Return three numbers as a tuple of floats, without negative zeros."""
    x, y, z = (float(v) + 0.0 for v in np.round(np.asarray(vector, float), 12))
    return (x, y, z)


def planes_of(volume: CTVolume) -> tuple[Plane, ...]:
    """Return the planes of a volume's slices, in its own order (the most caudal first)."""
    g = volume.geometry
    thickness = volume.acquisition.slice_thickness_mm or g.spacing_mm[0]
    return tuple(
        Plane(
            point(g.to_lps((index, 0, 0))),
            point(g.axes_lps[:, 2]),
            point(g.axes_lps[:, 1]),
            (g.spacing_mm[1], g.spacing_mm[2]),
            (g.shape[1], g.shape[2]),
            thickness,
        )
        for index in range(g.shape[0])
    )


@dataclass(frozen=True)
class VolumeImager:
    """Images planes of a volume of slab averages.

    Planes that keep the volume's pixels are weighted means of its slices, by how far the slabs overlap: exact. Others
    are interpolated (cubic spline, cut to the range of the volume); beyond its border the border continues.
    """

    volume: CTVolume

    def __call__(self, plane: Plane) -> Values:
        """Return HU of one plane, float32 [rows, columns]."""
        within = self._kept_pixels(plane)
        return self._slab(plane) if within is None else self._mean_of_slices(plane, *within)

    @cached_property
    def _spline(self) -> Values:
        hu = self.volume.hu.astype(np.float32)
        return np.asarray(ndimage.spline_filter(hu, order=3, output=np.float32, mode="nearest"))

    def _kept_pixels(self, plane: Plane) -> tuple[float, slice, slice] | None:
        """Return the slice index and the part of the slice that the plane shows, if its pixels are the volume's."""
        g: Geometry = self.volume.geometry
        ends = g.to_index([plane.at(*p) for p in ((0, 0), (0, plane.shape[1] - 1), (plane.shape[0] - 1, 0))])
        (z, y, x), (zr, yr, xr), (zc, yc, xc) = ends
        steps = (abs(xr - x) - (plane.shape[1] - 1), abs(yc - y) - (plane.shape[0] - 1))
        off = (zr - z, zc - z, yr - y, xc - x, *steps, y - round(y), x - round(x))
        inside = min(round(y), round(yc)) >= 0 and max(round(y), round(yc)) < g.shape[1]
        inside = inside and min(round(x), round(xr)) >= 0 and max(round(x), round(xr)) < g.shape[2]
        if not inside or max(abs(v) for v in off) > _SAME_MM:
            return None
        return float(z), _through(round(y), round(yc)), _through(round(x), round(xr))

    def _mean_of_slices(self, plane: Plane, z: float, rows: slice, columns: slice) -> Values:
        hu, gap = self.volume.hu, self.volume.geometry.spacing_mm[0]
        native = self.volume.acquisition.slice_thickness_mm or gap
        # Thick slices that overlap: only what is thicker than them asks for more than one of them.
        half = max(plane.thickness_mm / gap if plane.thickness_mm > _THICKER * native else 1.0, 1.0) / 2
        index = np.arange(int(np.floor(z - half)), int(np.ceil(z + half)) + 1)
        weights = np.clip(np.minimum(index + 0.5, z + half) - np.maximum(index - 0.5, z - half), 0.0, None)
        total = np.zeros(plane.shape, np.float32)
        for k, weight in zip(index, weights / weights.sum(), strict=True):
            if weight > _SAME_MM:
                total += np.float32(weight) * hu[int(np.clip(k, 0, len(hu) - 1)), rows, columns]
        return total

    def _slab(self, plane: Plane) -> Values:
        g = self.volume.geometry
        own = self.volume.acquisition.slice_thickness_mm or g.spacing_mm[0]
        native = float(np.abs(plane.normal @ g.axes_lps) @ (own, *g.spacing_mm[1:]))
        sheets = max(1, round(plane.thickness_mm / native)) if plane.thickness_mm > _THICKER * native else 1
        total = np.zeros(plane.shape, np.float32)
        for offset in (np.arange(sheets) - (sheets - 1) / 2) * plane.thickness_mm / sheets:
            index = np.moveaxis(g.to_index(plane.points(float(offset))), -1, 0)
            total += ndimage.map_coordinates(self._spline, index, order=3, prefilter=False, mode="nearest")
        low, high = int(self.volume.hu.min()), int(self.volume.hu.max())
        return np.asarray(np.clip(total / sheets, low, high), np.float32)


def _through(first: int, last: int) -> slice:
    """Return the slice from `first` to `last`, both included, in either direction."""
    if first <= last:
        return slice(first, last + 1)
    return slice(first, last - 1 if last > 0 else None, -1)
