"""DICOM RT Structure Sets (PS3.3 A.19.3): closed planar contours, filled into one region of a grid per structure.

A structure set has no voxels. Each plane of contours is filled by the even-odd rule at voxel centres, so that a
contour inside another one is a hole (the two forms in which holes are written, a second contour and a keyhole, give
the same). A plane stands for the slab half way to its neighbours at the structure's own plane distance.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from paraspinal.dicomio import values
from paraspinal.dicomio.bounded import BoundedStream, HeaderError
from paraspinal.dicomio.headers import plain_bytes
from paraspinal.volume import BoolArray, Geometry, Region

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"

_MAX_READS = 4_000_000
_MAX_BYTES = 1 << 30
_MAX_SIDE = 4096
_MAX_PLANES = 5000
_IN_PLANE_MM = 0.75
"""Voxel of the grid on which contours are filled: that of an ordinary chest CT. Filling at voxel centres is unbiased;
a circle of 10 mm radius keeps its area within 1 %."""
_FLAT_MM = 0.1
_AXIAL = 0.99
_ONE_PLANE_MM = 3.0
"""Thickness of a structure with a single plane, where nothing says it."""


class RtStructError(ValueError):
    """A structure set that cannot be taken; ``code`` is the stable code of the reason."""

    def __init__(self, message: str, code: str = "rtstruct_unreadable") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ContouredStructure:
    """One region of interest; ``region`` is None when it has no closed contour. ``grid`` is its own."""

    number: int
    name: str
    codes: tuple[str, ...]
    region: Region | None
    grid: Geometry | None


@dataclass(frozen=True, slots=True)
class StructureSetFile:
    """The structures of one object, and what it refers to; ``left_out`` counts contours that enclose nothing."""

    structures: tuple[ContouredStructure, ...]
    frame_of_reference_uid: str | None
    series_uid: str | None
    left_out: int = 0


def read_rtstruct(path: Path) -> StructureSetFile:
    """Read one structure set.

    Raises
    ------
    RtStructError
        If it is none, is damaged, or has contours that are not in axial planes.
    """
    try:
        return _read(path)
    except RtStructError:
        raise
    except HeaderError as error:
        raise RtStructError(str(error)) from error
    except MemoryError:
        raise
    except Exception as error:
        # What pydicom raises on malformed bytes is not limited to any type; one file is isolated here.
        raise RtStructError("it is no readable DICOM object") from error


def _read(path: Path) -> StructureSetFile:
    if path.stat().st_size > _MAX_BYTES:
        raise RtStructError(f"it is larger than {_MAX_BYTES >> 30} GiB")
    blob = plain_bytes(path.read_bytes(), limit=_MAX_BYTES)
    stream = BoundedStream(io.BytesIO(blob), reads=_MAX_READS)
    dataset = pydicom.dcmread(stream, force=True)
    if values.text(dataset, "SOPClassUID") != RT_STRUCTURE_SET:
        raise RtStructError("it is no DICOM RT structure set", "rtstruct_other_object")
    contours = {
        values.whole(item, "ReferencedROINumber"): item
        for item in values.items(dataset, "ROIContourSequence")
    }
    observations = {
        values.whole(item, "ReferencedROINumber"): item
        for item in values.items(dataset, "RTROIObservationsSequence")
    }
    found, left_out = [], 0
    frames = set()
    for item in values.items(dataset, "StructureSetROISequence"):
        number = values.whole(item, "ROINumber")
        if number is None:
            continue
        frames.add(values.text(item, "ReferencedFrameOfReferenceUID"))
        planes, skipped = _planes(contours.get(number))
        left_out += skipped
        region, grid = _filled(planes) if planes else (None, None)
        name = values.text(item, "ROIName") or f"ROI {number}"
        codes = tuple(_codes(observations.get(number)))
        found.append(ContouredStructure(number, name, codes, region, grid))
    return StructureSetFile(
        tuple(found), next(iter(frames)) if len(frames) == 1 else None, _series(dataset), left_out
    )


def _codes(observation: Dataset | None) -> Iterable[str]:
    """Yield the SNOMED CT codes by which a region's observation identifies it."""
    for item in (
        values.items(observation, "RTROIIdentificationCodeSequence") if observation is not None else ()
    ):
        if values.text(item, "CodingSchemeDesignator") == "SCT" and (code := values.text(item, "CodeValue")):
            yield code


def _series(dataset: Dataset) -> str | None:
    """The one series on which the contours were drawn, if it is one."""
    found = {
        values.text(series, "SeriesInstanceUID")
        for frame in values.items(dataset, "ReferencedFrameOfReferenceSequence")
        for study in values.items(frame, "RTReferencedStudySequence")
        for series in values.items(study, "RTReferencedSeriesSequence")
    }
    return next(iter(found)) if len(found) == 1 else None


Polygon = npt.NDArray[np.float64]


def _planes(item: Dataset | None) -> tuple[dict[float, list[Polygon]], int]:
    """Return the closed contours by LPS z, each an (n, 2) array of x and y, and how many enclose nothing."""
    planes: dict[float, list[Polygon]] = {}
    skipped = 0
    for contour in values.items(item, "ContourSequence") if item is not None else ():
        kind = (values.text(contour, "ContourGeometricType") or "").upper()
        numbers = np.array(values.numbers(contour, "ContourData"), float)
        if kind not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "") or numbers.size < 9 or numbers.size % 3:
            skipped += 1
            continue
        points = numbers.reshape(-1, 3)
        if np.ptp(points[:, 2]) > _FLAT_MM:
            raise RtStructError("its contours do not lie in axial planes", "rtstruct_not_axial")
        height = round(float(points[:, 2].mean()), 2)
        planes.setdefault(height, []).append(points[:, :2])
    return planes, skipped


def _filled(planes: dict[float, list[Polygon]]) -> tuple[Region | None, Geometry]:
    heights = np.array(sorted(planes))
    step = _plane_distance(heights)
    index = np.rint((heights - heights[0]) / step).astype(int)
    every = np.concatenate([p for polygons in planes.values() for p in polygons])
    low = np.floor(every.min(axis=0) / _IN_PLANE_MM) * _IN_PLANE_MM
    columns, rows = (int(v) for v in np.ceil((every.max(axis=0) - low) / _IN_PLANE_MM) + 1)
    if max(columns, rows) > _MAX_SIDE or index[-1] >= _MAX_PLANES:
        raise RtStructError("its contours reach farther than any scan")
    mask = np.zeros((int(index[-1]) + 1, rows, columns), bool)
    for z, height in zip(index, heights, strict=True):
        mask[z] ^= fill_even_odd([(p - low) / _IN_PLANE_MM for p in planes[float(height)]], (rows, columns))
    grid = Geometry(
        mask.shape, (step, _IN_PLANE_MM, _IN_PLANE_MM), (float(low[0]), float(low[1]), float(heights[0]))
    )
    return (Region.of(mask) if mask.any() else None), grid


def _plane_distance(heights: npt.NDArray[np.float64]) -> float:
    """Distance of the planes: the smallest gap, averaged over the stack; single missing planes stay gaps."""
    if len(heights) == 1:
        return _ONE_PLANE_MM
    gaps = np.diff(heights)
    return float((heights[-1] - heights[0]) / np.rint(gaps / gaps.min()).sum())


def fill_even_odd(polygons: Iterable[Polygon], shape: tuple[int, int]) -> BoolArray:
    """Fill closed polygons by the even-odd rule at voxel centres.

    Parameters
    ----------
    polygons : iterable of ndarray, shape (n, 2)
        Corners as (column, row) in voxels, the centre of the first voxel being (0, 0).
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    ndarray of bool, shape (rows, columns)
    """
    rows, columns = shape
    flips = np.zeros((rows, columns + 1), np.int32)
    for polygon in polygons:
        x0, y0 = polygon.T
        x1, y1 = np.roll(polygon, -1, axis=0).T
        swap = y0 > y1
        low_y, high_y = np.where(swap, y1, y0), np.where(swap, y0, y1)
        low_x, high_x = np.where(swap, x1, x0), np.where(swap, x0, x1)
        first = np.clip(np.ceil(low_y), 0, rows).astype(int)
        # A corner on a row belongs to the edge that starts there: each row is crossed an even number of times.
        last = np.clip(np.ceil(high_y), 0, rows).astype(int)
        count = last - first
        edge = np.repeat(np.arange(len(count)), count)
        row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        share = (row - low_y[edge]) / (high_y[edge] - low_y[edge])
        column = low_x[edge] + share * (high_x[edge] - low_x[edge])
        np.add.at(flips, (row, np.clip(np.ceil(column), 0, columns).astype(int)), 1)
    return np.asarray(np.cumsum(flips[:, :columns], axis=1) % 2 == 1)
