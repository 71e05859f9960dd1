"""Segmentations of known shape in the forms in which other programs write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian

from paraspinal.dicomio.seg import SEGMENTATION
from paraspinal.volume import Geometry

ROOT = "1.2.826.0.1.3680043.8.498.77"
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"


def ball(grid: Geometry, centre_lps_mm: Sequence[float], radius_mm: float) -> npt.NDArray[np.bool_]:
    """Return the voxels of `grid` whose middle lies in a ball."""
    at = grid.to_lps(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1))
    return np.asarray(np.linalg.norm(at - np.asarray(centre_lps_mm), axis=-1) <= radius_mm)


def _base(sop_class: str, modality: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = f"{ROOT}.1"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = f"{ROOT}.1"
    ds.Modality = modality
    ds.FrameOfReferenceUID = f"{ROOT}.9"
    return ds


def coded(code: str, scheme: str = "SCT", meaning: str = "x") -> Dataset:
    """Return a coded concept."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, meaning
    return item


def segment(number: int, label: str, code: str | None = None, side: str | None = None) -> Dataset:
    """Return one item of the segment sequence."""
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = number, label
    if code is not None:
        concept = coded(code)
        if side is not None:
            concept.SegmentedPropertyTypeModifierCodeSequence = Items([coded(side)])
        item.SegmentedPropertyTypeCodeSequence = Items([concept])
    return item


def write_seg(
    path: Path,
    grid: Geometry,
    masks: dict[int, npt.NDArray[np.bool_]],
    segments: Sequence[Dataset],
    *,
    order: Sequence[int] | None = None,
    kind: str = "BINARY",
    series_uid: str | None = None,
) -> Path:
    """Write a segmentation: one frame per segment and plane that is not empty, in the `order` given."""
    ds = _base(SEGMENTATION, "SEG")
    ds.SegmentationType = kind
    ds.SegmentSequence = Items(segments)
    shared = Dataset()
    measures = Dataset()
    measures.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[2]]
    measures.SpacingBetweenSlices = grid.spacing_mm[0]
    orientation = Dataset()
    row, column = grid.axes_lps[:, 2], grid.axes_lps[:, 1]
    orientation.ImageOrientationPatient = [round(float(v), 6) for v in (*row, *column)]
    shared.PixelMeasuresSequence = Items([measures])
    shared.PlaneOrientationSequence = Items([orientation])
    ds.SharedFunctionalGroupsSequence = Items([shared])
    if series_uid is not None:
        referenced = Dataset()
        referenced.SeriesInstanceUID = series_uid
        ds.ReferencedSeriesSequence = Items([referenced])
    frames = [(n, z, m[z]) for n, m in masks.items() for z in range(grid.shape[0]) if m[z].any()]
    frames = [frames[k] for k in (order if order is not None else range(len(frames)))]
    per_frame = []
    for number, z, _ in frames:
        item, place, which = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [round(float(v), 6) for v in grid.to_lps((z, 0, 0))]
        which.ReferencedSegmentNumber = number
        item.PlanePositionSequence = Items([place])
        item.SegmentIdentificationSequence = Items([which])
        per_frame.append(item)
    ds.PerFrameFunctionalGroupsSequence = Items(per_frame)
    ds.NumberOfFrames = len(frames)
    ds.Rows, ds.Columns = grid.shape[1:]
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, 0
    ds.PhotometricInterpretation = "MONOCHROME2"
    stacked = np.concatenate([f.ravel() for _, _, f in frames])
    if kind == "BINARY":
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 1, 0
        packed = np.packbits(stacked, bitorder="little").tobytes()
    else:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.MaximumFractionalValue = 200
        # 45 % everywhere in the frame, 60 % inside: only the inside is more than half.
        packed = np.where(stacked, 120, 90).astype(np.uint8).tobytes()
    ds.PixelData = packed + b"\0" * (len(packed) % 2)
    ds.save_as(path, enforce_file_format=True)
    return path


def circle(
    centre: Sequence[float], radius_mm: float, *, corners: int = 90, reverse: bool = False
) -> npt.NDArray[np.float64]:
    """Return a closed contour (n, 2) of LPS x and y."""
    t = np.linspace(0.0, 2.0 * np.pi, corners, endpoint=False)[:: -1 if reverse else 1]
    return np.column_stack([centre[0] + radius_mm * np.cos(t), centre[1] + radius_mm * np.sin(t)])


def write_rtstruct(
    path: Path,
    structures: dict[str, list[tuple[float, npt.NDArray[np.float64]]]],
    *,
    kind: str = "CLOSED_PLANAR",
) -> Path:
    """Write a structure set: by name, contours with their LPS z."""
    ds = _base(RTSTRUCT, "RTSTRUCT")
    rois, drawn = [], []
    for number, (name, contours) in enumerate(structures.items(), start=1):
        roi, own = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, f"{ROOT}.9"
        own.ReferencedROINumber = number
        items = []
        for z, corners in contours:
            item = Dataset()
            item.ContourGeometricType = kind
            points = np.column_stack([corners, np.full(len(corners), z)])
            item.NumberOfContourPoints = len(points)
            item.ContourData = [f"{v:.4f}" for v in points.ravel()]
            items.append(item)
        own.ContourSequence = Items(items)
        rois.append(roi)
        drawn.append(own)
    ds.StructureSetROISequence = Items(rois)
    ds.ROIContourSequence = Items(drawn)
    ds.save_as(path, enforce_file_format=True)
    return path


def reread(path: Path) -> Dataset:
    """Return a file as a data set, for a test that spoils it."""
    return pydicom.dcmread(path)
