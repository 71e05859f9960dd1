"""Writes a CT volume as a DICOM series: one CT Image Storage file a slice, valid and repeatable.

Meant for synthetic data: patient, study and equipment say so in every file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, generate_uid

from paraspinal.dicomio.encode import SYNTAX_UIDS, save_dataset, set_pixel_data
from paraspinal.errors import UsageError
from paraspinal.volume import Acquisition, CTVolume

Syntax = Literal["explicit", "implicit", "jpeg-ls"]
SYNTAXES: tuple[Syntax, ...] = get_args(Syntax)

# JPEG-LS codes unsigned samples, so HU are stored above this intercept there.
_UNSIGNED_INTERCEPT = -1024
_DATE, _TIME = "20000101", "120000"


def write_ct_series(
    volume: CTVolume,
    folder: Path,
    *,
    uid_seed: str,
    transfer_syntax: Syntax = "explicit",
    patient_name: str = "PHANTOM^SYNTHETIC",
    series_description: str = "Synthetic CT",
) -> tuple[Path, ...]:
    """Write ``folder/0001.dcm`` …, the most cranial slice first.

    Parameters
    ----------
    volume : CTVolume
        HU int16 [z, y, x] in canonical order.
    folder : Path
        Made when it does not exist; files of the same name are replaced.
    uid_seed : str
        All UIDs derive from it: the same seed and volume give the same files.
    transfer_syntax : {"explicit", "implicit", "jpeg-ls"}
        JPEG-LS is lossless; HU below -1024 cannot be stored in it.

    Returns
    -------
    tuple of Path
        The files, in canonical slice order (most caudal first).

    Raises
    ------
    UsageError
        If the transfer syntax is unknown, or a voxel cannot be stored without loss.
    """
    if transfer_syntax not in SYNTAXES:
        raise UsageError(
            f"There is no writer for transfer syntax {transfer_syntax!r}.",
            code="transfer_syntax_unknown",
            remedy=f"Use one of {', '.join(SYNTAXES)}.",
        )
    if transfer_syntax == "jpeg-ls" and int(volume.hu.min()) < _UNSIGNED_INTERCEPT:
        raise UsageError(
            f"HU down to {int(volume.hu.min())} cannot be stored above an intercept of {_UNSIGNED_INTERCEPT}.",
            code="hu_not_storable",
            remedy="Clip the volume at -1024 HU, or write it uncompressed.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    g = volume.geometry
    series = series_dataset(
        volume.acquisition,
        thickness_mm=volume.acquisition.slice_thickness_mm or g.spacing_mm[0],
        uid_seed=uid_seed,
        patient_name=patient_name,
        series_description=series_description,
    )
    place_dataset(series, row=g.axes_lps[:, 2], column=g.axes_lps[:, 1], spacing_mm=g.spacing_mm[1:])
    series.Rows, series.Columns = g.shape[1:]
    count = g.shape[0]
    paths = []
    for index in range(count):
        number = count - index
        path = folder / f"{number:04d}.dcm"
        _write_slice(series, volume, index, path, number=number, syntax=transfer_syntax, uid_seed=uid_seed)
        paths.append(path)
    return tuple(paths)


def series_dataset(
    acquired: Acquisition, *, thickness_mm: float, uid_seed: str, patient_name: str, series_description: str
) -> Dataset:
    """Return all that the images of a synthetic series have in common but their place and size."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = list(acquired.image_type) or ["DERIVED", "SECONDARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{name}Date", _DATE)
        setattr(ds, f"{name}Time", _TIME)
    ds.AccessionNumber = ""
    ds.Modality = "CT"
    ds.Manufacturer = acquired.manufacturer or "paraspinal phantom"
    ds.ManufacturerModelName = "synthetic"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Synthetic data, no patient"
    ds.SeriesDescription = series_description[:64]
    ds.PatientName = patient_name
    ds.PatientID = "PHANTOM"
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.BodyPartExamined = "CHEST"
    ds.QualityControlImage = "YES"  # DICOM's own word for an image of a phantom
    ds.BurnedInAnnotation = "NO"
    ds.SliceThickness = decimal(thickness_mm)
    ds.KVP = None if acquired.kvp is None else decimal(acquired.kvp)
    if acquired.exposure_mas is not None:
        ds.Exposure = round(acquired.exposure_mas)
    ds.ConvolutionKernel = acquired.kernel or "SYNTHETIC"
    if acquired.contrast_agent is not None:
        ds.ContrastBolusAgent = acquired.contrast_agent
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID = synthetic_uid(uid_seed, "study")
    ds.SeriesInstanceUID = synthetic_uid(uid_seed, "series")
    ds.StudyID = "1"
    ds.SeriesNumber = 1
    ds.AcquisitionNumber = 1
    ds.FrameOfReferenceUID = synthetic_uid(uid_seed, "frame of reference")
    ds.PositionReferenceIndicator = ""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.RescaleSlope, ds.RescaleType = "1", "HU"
    ds.LossyImageCompression = "00"
    return ds


def place_dataset(
    ds: Dataset, *, row: Iterable[float], column: Iterable[float], spacing_mm: Sequence[float]
) -> None:
    """State how an image lies: directions along a row and along a column (LPS), distance of rows and columns."""
    ds.ImageOrientationPatient = [decimal(c) for c in (*row, *column)]
    ds.PixelSpacing = [decimal(s) for s in spacing_mm]


def _write_slice(
    series: Dataset, volume: CTVolume, index: int, path: Path, *, number: int, syntax: Syntax, uid_seed: str
) -> None:
    ds = Dataset()
    ds.update(series)
    ds.SOPInstanceUID = synthetic_uid(uid_seed, f"slice {number}")
    ds.InstanceNumber = number
    ds.ImagePositionPatient = [decimal(c) for c in volume.geometry.to_lps((index, 0, 0))]
    frame = np.ascontiguousarray(volume.hu[index])
    if syntax == "jpeg-ls":
        ds.PixelRepresentation, ds.RescaleIntercept = 0, str(_UNSIGNED_INTERCEPT)
        stored = (frame.astype(np.int32) - _UNSIGNED_INTERCEPT).astype(np.uint16)
        set_pixel_data(ds, [stored], syntax)
    else:
        ds.PixelRepresentation, ds.RescaleIntercept = 1, "0"
        set_pixel_data(ds, [frame], syntax)
    save_dataset(ds, path, SYNTAX_UIDS[syntax])


def synthetic_uid(seed: str, what: str) -> UID:
    """Return a UID that follows from a seed and a name."""
    return generate_uid(entropy_srcs=["paraspinal phantom", seed, what])


def decimal(value: float) -> str:
    """Return a Decimal String: at most 16 characters, no negative zero."""
    text = f"{round(float(value), 6) + 0.0:.6f}".rstrip("0").rstrip(".")
    return text or "0"
