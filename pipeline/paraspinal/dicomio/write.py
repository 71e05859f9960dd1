"""Writes a CT volume as a DICOM series: one CT Image Storage file a slice, valid and repeatable.

Meant for synthetic data: patient, study and equipment say so in every file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    generate_uid,
)

from paraspinal.errors import UsageError
from paraspinal.volume import CTVolume

Syntax = Literal["explicit", "implicit", "jpeg-ls"]
SYNTAXES: tuple[Syntax, ...] = get_args(Syntax)

_SYNTAX_UID: dict[Syntax, UID] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "jpeg-ls": JPEGLSLossless,
}
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
    series = _series_dataset(
        volume, uid_seed=uid_seed, patient_name=patient_name, series_description=series_description
    )
    count = volume.geometry.shape[0]
    paths = []
    for index in range(count):
        number = count - index
        path = folder / f"{number:04d}.dcm"
        _write_slice(series, volume, index, path, number=number, syntax=transfer_syntax, uid_seed=uid_seed)
        paths.append(path)
    return tuple(paths)


def _series_dataset(
    volume: CTVolume, *, uid_seed: str, patient_name: str, series_description: str
) -> Dataset:
    """Return all that the slices have in common: patient, study, series, equipment, acquisition."""
    acquired, g = volume.acquisition, volume.geometry
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
    ds.SliceThickness = _decimal(acquired.slice_thickness_mm or g.spacing_mm[0])
    ds.KVP = None if acquired.kvp is None else _decimal(acquired.kvp)
    if acquired.exposure_mas is not None:
        ds.Exposure = round(acquired.exposure_mas)
    ds.ConvolutionKernel = acquired.kernel or "SYNTHETIC"
    if acquired.contrast_agent is not None:
        ds.ContrastBolusAgent = acquired.contrast_agent
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID = _uid(uid_seed, "study")
    ds.SeriesInstanceUID = _uid(uid_seed, "series")
    ds.StudyID = "1"
    ds.SeriesNumber = 1
    ds.AcquisitionNumber = 1
    ds.FrameOfReferenceUID = _uid(uid_seed, "frame of reference")
    ds.PositionReferenceIndicator = ""
    ds.ImageOrientationPatient = [
        _decimal(c) for column in (2, 1) for c in g.axes_lps[:, column]
    ]  # along a row (array axis x), then along a column (y)
    ds.PixelSpacing = [_decimal(g.spacing_mm[1]), _decimal(g.spacing_mm[2])]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = g.shape[1], g.shape[2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.RescaleSlope, ds.RescaleType = "1", "HU"
    ds.LossyImageCompression = "00"
    return ds


def _write_slice(
    series: Dataset, volume: CTVolume, index: int, path: Path, *, number: int, syntax: Syntax, uid_seed: str
) -> None:
    ds = Dataset()
    ds.update(series)
    ds.SOPInstanceUID = _uid(uid_seed, f"slice {number}")
    ds.InstanceNumber = number
    ds.ImagePositionPatient = [_decimal(c) for c in volume.geometry.to_lps((index, 0, 0))]
    frame = np.ascontiguousarray(volume.hu[index])
    if syntax == "jpeg-ls":
        ds.PixelRepresentation, ds.RescaleIntercept = 0, str(_UNSIGNED_INTERCEPT)
        ds.PixelData = encapsulate([_jpeg_ls(frame)])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    else:
        ds.PixelRepresentation, ds.RescaleIntercept = 1, "0"
        ds.PixelData = frame.astype("<i2").tobytes()
        ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = _SYNTAX_UID[syntax]
    ds.save_as(path, enforce_file_format=True)


def _jpeg_ls(frame: npt.NDArray[np.int16]) -> bytes:
    stored = (frame.astype(np.int32) - _UNSIGNED_INTERCEPT).astype(np.uint16)
    return bytes(imagecodecs.jpegls_encode(stored))


def _uid(seed: str, what: str) -> UID:
    return generate_uid(entropy_srcs=["paraspinal phantom", seed, what])


def _decimal(value: float) -> str:
    """Return a Decimal String: at most 16 characters, no negative zero."""
    text = f"{round(float(value), 6) + 0.0:.6f}".rstrip("0").rstrip(".")
    return text or "0"
