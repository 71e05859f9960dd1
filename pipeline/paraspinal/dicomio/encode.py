"""Stored values into the transfer syntaxes of CT: the counterpart of `frames`, for series that are written."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from paraspinal.errors import UsageError

Stored = npt.NDArray[Any]
SyntaxName = Literal[
    "explicit",
    "implicit",
    "big-endian",
    "deflated",
    "rle",
    "jpeg-lossless",
    "jpeg-ls",
    "jpeg2000",
    "htj2k",
    "jpeg",
    "jpeg-ls-near",
]
SYNTAX_NAMES: tuple[SyntaxName, ...] = get_args(SyntaxName)

SYNTAX_UIDS: dict[SyntaxName, UID] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-lossless": JPEGLosslessSV1,
    "jpeg-ls": JPEGLSLossless,
    "jpeg2000": JPEG2000Lossless,
    "htj2k": HTJ2KLossless,
    "jpeg": JPEGBaseline8Bit,
    "jpeg-ls-near": JPEGLSNearLossless,
}
LOSSY_METHODS = {"jpeg": "ISO_10918_1", "jpeg-ls-near": "ISO_14495_1"}  # PS3.3 C.7.6.1.1.5.1
# What these code is unsigned; a sign would have to be told apart from a large value.
UNSIGNED_ONLY = frozenset({"jpeg-lossless", "jpeg-ls", "jpeg2000", "htj2k", "jpeg", "jpeg-ls-near"})
NEAR_LOSSLESS_ERROR = 5  # largest change of a stored value by "jpeg-ls-near"
_JPEG_QUALITY = 95
_RLE_HEADER = 64


def set_pixel_data(ds: Dataset, frames: Sequence[Stored], syntax: SyntaxName) -> None:
    """Put frames [rows, columns] of whole numbers into a data set, coded in `syntax`.

    Raises
    ------
    UsageError
        If the syntax cannot code this type of number.
    """
    if syntax in UNSIGNED_ONLY and any(frame.dtype.kind != "u" for frame in frames):
        raise UsageError(
            f"Signed values are not written in the transfer syntax {syntax}.",
            code="values_not_codable",
            remedy="Write unsigned values, or an uncompressed transfer syntax.",
        )
    if syntax in _ENCODERS:
        ds.PixelData = encapsulate([_ENCODERS[syntax](np.ascontiguousarray(f)) for f in frames])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        return
    order: Literal[">", "<"] = ">" if syntax == "big-endian" else "<"
    raw = b"".join(f.astype(f.dtype.newbyteorder(order)).tobytes() for f in frames)
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OW" if frames[0].dtype.itemsize > 1 or syntax == "implicit" else "OB"


def save_dataset(ds: Dataset, path: Path, syntax_uid: UID) -> None:
    """Write a data set as a DICOM file; UIDs may be empty, and `syntax_uid` unknown (coded as explicit then)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = syntax_uid
    ds.file_meta = meta
    valid = bool(ds.SOPInstanceUID)
    if not valid:
        ds.preamble = b"\0" * 128
        meta.FileMetaInformationVersion = b"\0\1"
        meta.ImplementationClassUID = UID("1.2.826.0.1.3680043.8.498.1")
    if syntax_uid.is_transfer_syntax and not syntax_uid.is_private:
        dcmwrite(path, ds, enforce_file_format=valid)
    else:
        dcmwrite(path, ds, enforce_file_format=valid, implicit_vr=False, little_endian=True)


def _rle(frame: Stored) -> bytes:
    """Code one frame (PS3.5 annex G): byte planes, most significant first, every row in PackBits of its own."""
    size = frame.dtype.itemsize
    planes = frame.astype(frame.dtype.newbyteorder(">")).view(np.uint8).reshape(*frame.shape, size)
    segments = []
    for plane in range(size):
        rows = np.ascontiguousarray(planes[..., plane])
        segment = b"".join(bytes(imagecodecs.packbits_encode(row)) for row in rows)
        segments.append(segment + b"\0" * (len(segment) % 2))
    offsets = np.cumsum([_RLE_HEADER, *(len(s) for s in segments[:-1])])
    header = struct.pack("<16I", size, *(int(o) for o in offsets), *([0] * (15 - size)))
    return header + b"".join(segments)


def _jpeg_lossless(frame: Stored) -> bytes:
    return bytes(imagecodecs.ljpeg_encode(frame, bitspersample=frame.dtype.itemsize * 8))


def _jpeg2000(frame: Stored) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k", reversible=True))


def _jpeg(frame: Stored) -> bytes:
    if frame.dtype.itemsize > 1:
        raise UsageError(
            "JPEG baseline codes 8 bits per value, not 16.",
            code="values_not_codable",
            remedy="Write 8-bit values, or another transfer syntax.",
        )
    return bytes(imagecodecs.jpeg_encode(frame, level=_JPEG_QUALITY))


_ENCODERS: dict[str, Callable[[Stored], bytes]] = {
    "rle": _rle,
    "jpeg-lossless": _jpeg_lossless,
    "jpeg-ls": lambda frame: bytes(imagecodecs.jpegls_encode(frame)),
    "jpeg2000": _jpeg2000,
    "htj2k": lambda frame: bytes(imagecodecs.htj2k_encode(frame)),
    "jpeg": _jpeg,
    "jpeg-ls-near": lambda frame: bytes(imagecodecs.jpegls_encode(frame, level=NEAR_LOSSLESS_ERROR)),
}
