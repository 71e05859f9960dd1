"""Synthetic CT series on disk, written with pydicom alone: the reader is never tested against its own writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
Edit = Callable[[int, Dataset], None]


def uid_of(name: str) -> str:
    """Return a valid UID that depends on `name` only."""
    return str(generate_uid(entropy_srcs=[name]))


def ct_dataset(stored: npt.NDArray[np.generic], position: Sequence[float]) -> Dataset:
    """Return one CT image with 16-bit stored values, HU = stored − 1024."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID = CTImageStorage
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesInstanceUID = uid_of("series")
    ds.FrameOfReferenceUID = uid_of("frame")
    ds.SeriesNumber = 3
    ds.KVP = "120"
    ds.ConvolutionKernel = "B30f"
    ds.Exposure = "100"
    ds.SliceThickness = "2.5"
    ds.ImagePositionPatient = [float(v) for v in position]
    ds.ImageOrientationPatient = list(AXIAL)
    ds.PixelSpacing = [0.8, 0.7]
    ds.Rows, ds.Columns = stored.shape
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.RescaleSlope, ds.RescaleIntercept = "1", "-1024"
    ds.PixelData = stored.tobytes()
    return ds


def write_series(
    folder: Path,
    stored: npt.NDArray[np.generic],
    *,
    positions: npt.ArrayLike | None = None,
    edit: Edit | None = None,
    prefix: str = "slice",
) -> list[Path]:
    """Write stored values [n, rows, columns] as one file a slice; positions default to every 2.5 mm along z.

    ``edit(index, dataset)`` may change any data set before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = [(-10.0, -20.0, 2.5 * i - 100.0) for i in range(len(stored))] if positions is None else positions
    paths = []
    for index, (plane, position) in enumerate(zip(stored, np.asarray(places, float), strict=True)):
        ds = ct_dataset(plane, position)
        ds.SOPInstanceUID = uid_of(f"{prefix} {index}")
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.InstanceNumber = index + 1
        if edit is not None:
            edit(index, ds)
        paths.append(folder / f"{prefix}{index:04d}")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def stored_body(slices: int = 8, rows: int = 12, columns: int = 10) -> npt.NDArray[np.int16]:
    """Return stored values of a small body: air around soft tissue, every voxel different from its neighbours."""
    generator = np.random.default_rng(7)
    stored = generator.integers(1000, 1100, (slices, rows, columns)).astype(np.int16)
    stored[:, :2] = 24  # -1000 HU
    return stored
