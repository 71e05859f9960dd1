"""Cuts through a CT volume: flat ones, and curved ones that follow the spinal canal.

A `Cut` is an isotropic picture in Hounsfield units whose rows and columns each run along one array axis, so that
a point of the volume finds its pixel, and millimetres look alike in both directions whatever the slice distance.
Pictures follow the radiological convention: the patient's right on the left of axial and coronal pictures, the
head up, the face to the left of sagittal ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from paraspinal.volume import CTVolume, Geometry, Region

AIR_HU = -1024
Plane = Literal["axial", "coronal", "sagittal"]
# Array axis that each plane is cut across, runs down its rows, and runs along its columns.
_AXES: dict[Plane, tuple[int, int, int]] = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}
# Patient sides at the left, right, top and bottom of a picture: right, left, anterior, posterior, head, feet.
_SIDES: dict[Plane, str] = {"axial": "RLAP", "coronal": "RLHF", "sagittal": "APHF"}

Image = npt.NDArray[np.int16]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of one array axis that a picture's rows or columns show.

    Pixel p shows index ``first + step * p``; ``step`` is negative where the picture runs against the array.
    """

    axis: int
    first: float
    step: float
    pixels: int

    def indices(self) -> Array:
        """Return the (fractional) array index of every pixel."""
        return self.first + self.step * np.arange(self.pixels, dtype=np.float64)

    def pixel(self, index: npt.ArrayLike) -> Array:
        """Return the (fractional) pixel of array indices."""
        return np.asarray((np.asarray(index, dtype=np.float64) - self.first) / self.step)


@dataclass(frozen=True, slots=True)
class Cut:
    """A picture in Hounsfield units.

    ``hu`` is int16 [row, column] with square pixels of ``mm_per_px``; ``through`` is the index of the cut along
    the axis it was cut across (for a curved cut: one per slice of the volume); ``sides`` names the patient's
    sides at the left, right, top and bottom.
    """

    plane: Plane
    hu: Image
    mm_per_px: float
    rows: Span
    columns: Span
    through: int | Array
    sides: str

    def pixels(self, index_zyx: npt.ArrayLike) -> Array:
        """Map volume indices (…, 3) to pixels (…, 2) in (column, row) order, projected onto the cut."""
        index = np.asarray(index_zyx, dtype=np.float64)
        column = self.columns.pixel(index[..., self.columns.axis])
        return np.stack([column, self.rows.pixel(index[..., self.rows.axis])], axis=-1)

    def outlines(self, region: Region, shape: tuple[int, int, int], *, projected: bool) -> list[Array]:
        """Return the borders of a region in this cut as pixel polygons (n, 2) in (column, row) order.

        Parameters
        ----------
        region : Region
            On the grid of the volume.
        shape : tuple of int
            Of the volume.
        projected : bool
            Outline the region's shadow along the viewing direction instead of its section.
        """
        across = _AXES[self.plane][0]
        if projected:
            flat = region.mask.any(axis=across)
        else:
            place = int(np.asarray(self.through).flat[0]) - region.start[across]
            if not 0 <= place < region.mask.shape[across]:
                return []
            flat = region.mask.take(place, axis=across)
        row_axis, column_axis = self.rows.axis, self.columns.axis
        whole = np.zeros((shape[row_axis], shape[column_axis]), dtype=np.float32)
        whole[region.box[row_axis], region.box[column_axis]] = flat
        inside = _resample(whole, self.rows, self.columns, outside=0.0) >= 0.5
        found, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        return [contour[:, 0].astype(np.float64) for contour in found if len(contour) > 2]


def flat_cut(
    volume: CTVolume,
    plane: Plane,
    centre_zyx: tuple[float, float, float],
    *,
    size_mm: float,
    mm_per_px: float,
) -> Cut:
    """Cut a volume through a point.

    Parameters
    ----------
    volume : CTVolume
        The series.
    plane : {"axial", "coronal", "sagittal"}
        Which array axis is cut across.
    centre_zyx : tuple of float
        Index of the picture's middle; the nearest slice, row or column is shown.
    size_mm : float
        Width of the picture; its height is the same, or what the volume has of it along z.
    mm_per_px : float
        Edge of a pixel.
    """
    across, row_axis, column_axis = _AXES[plane]
    count = volume.geometry.shape[across]
    place = min(max(round(centre_zyx[across]), 0), count - 1)
    rows = _span(volume.geometry, row_axis, centre_zyx[row_axis], size_mm, mm_per_px)
    columns = _span(volume.geometry, column_axis, centre_zyx[column_axis], size_mm, mm_per_px)
    section = np.asarray(volume.hu.take(place, axis=across))
    return Cut(plane, _resample(section, rows, columns), mm_per_px, rows, columns, place, _SIDES[plane])


def curved_cut(
    volume: CTVolume,
    plane: Literal["coronal", "sagittal"],
    through: Array,
    *,
    slab_mm: float,
    columns_mm: tuple[float, float],
    middle: float,
    mm_per_px: float,
) -> Cut:
    """Cut a volume along a curve that gives every slice its own column (sagittal) or row (coronal).

    Parameters
    ----------
    volume : CTVolume
        The series.
    plane : {"coronal", "sagittal"}
        Which way the picture looks.
    through : ndarray, shape (slices,)
        Index along the axis that is cut across, one per slice.
    slab_mm : float
        Thickness that is averaged, against noise.
    columns_mm : tuple of float
        How far the picture reaches before and behind `middle` along its columns.
    middle : float
        Column index that `columns_mm` counts from.
    mm_per_px : float
        Edge of a pixel.
    """
    across, row_axis, column_axis = _AXES[plane]
    geometry = volume.geometry
    spacing = geometry.spacing_mm[across]
    half = int(slab_mm / spacing / 2)
    offsets = np.arange(-half, half + 1)
    index = np.rint(through).astype(np.intp)[:, None] + offsets
    index = np.clip(index, 0, geometry.shape[across] - 1)
    lines = np.arange(geometry.shape[0])[:, None]
    # Both take one line per slice and offset: [slice, offset, column].
    slab = volume.hu[lines, index, :] if plane == "coronal" else volume.hu[lines, :, index]
    section = slab.mean(axis=1, dtype=np.float32)
    step = mm_per_px / geometry.spacing_mm[column_axis]
    before, behind = columns_mm
    columns = Span(
        column_axis,
        middle - before / geometry.spacing_mm[column_axis],
        step,
        max(1, round((before + behind) / mm_per_px)),
    )
    rows = _span(geometry, row_axis, (geometry.shape[0] - 1) / 2, geometry.extent_mm[0], mm_per_px)
    hu = np.rint(_resample(section, rows, columns)).astype(np.int16)
    return Cut(plane, hu, mm_per_px, rows, columns, np.asarray(through, dtype=np.float64), _SIDES[plane])


def _span(geometry: Geometry, axis: int, centre: float, length_mm: float, mm_per_px: float) -> Span:
    """Return a span around `centre`; along z it keeps to the volume and runs from the head down."""
    step = mm_per_px / geometry.spacing_mm[axis]
    if axis != 0:
        pixels = max(1, round(length_mm / mm_per_px))
        return Span(axis, centre - step * (pixels - 1) / 2, step, pixels)
    half = length_mm / geometry.spacing_mm[0] / 2
    low = max(centre - half, -0.5)
    high = min(centre + half, geometry.shape[0] - 0.5)
    pixels = max(1, round((high - low) / step))
    return Span(0, high - step / 2, -step, pixels)


def _resample(
    section: npt.NDArray[np.generic], rows: Span, columns: Span, *, outside: float = AIR_HU
) -> npt.NDArray[np.int16]:
    """Sample a [row axis, column axis] section at a picture's pixels; the edge voxels reach half a voxel out."""
    row, column = rows.indices(), columns.indices()
    height, width = section.shape
    map_row = np.clip(row, 0, height - 1).astype(np.float32)
    map_column = np.clip(column, 0, width - 1).astype(np.float32)
    grid_column, grid_row = np.meshgrid(map_column, map_row)
    sampled = cv2.remap(np.ascontiguousarray(section), grid_column, grid_row, cv2.INTER_LINEAR)
    off = (np.abs(row - (height - 1) / 2) > height / 2)[:, None] | (
        np.abs(column - (width - 1) / 2) > width / 2
    )[None, :]
    sampled[off] = outside
    return np.asarray(sampled)
