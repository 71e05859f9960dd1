"""Values of the attributes that the header walker takes up, converted exactly as by pydicom or not at all.

Each form is held to its strict grammar (PS3.5 6.2): what pydicom would repair, warn of or read in another way is
`UnusualError`, and so left to pydicom.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

# All that `read_acquisition` asks for, and all that `header_of` does; tests compare the two.
ACQUISITION_NAMES = (
    *("Modality", "ImageType", "Manufacturer", "KVP", "ConvolutionKernel", "ExposureInuAs", "Exposure"),
    *("XRayTubeCurrent", "ExposureTime", "SliceThickness", "ReconstructionAlgorithm", "ContrastBolusAgent"),
    *("SeriesDescription", "PatientAge", "PatientSex", "PatientSize", "PatientWeight"),
)
_NAMES = """
    SOPClassUID SOPInstanceUID StudyInstanceUID PatientID SeriesInstanceUID SeriesNumber FrameOfReferenceUID
    Modality ImageType SeriesDate StudyDate
    BodyPartExamined InstanceNumber AcquisitionNumber TemporalPositionIdentifier AcquisitionDateTime
    AcquisitionDate AcquisitionTime ContentDate ContentTime Manufacturer KVP ConvolutionKernel ExposureInuAs
    Exposure XRayTubeCurrent ExposureTime SliceThickness ReconstructionAlgorithm ContrastBolusAgent
    SeriesDescription PatientAge PatientSex PatientSize PatientWeight ImageOrientationPatient
    ImagePositionPatient PixelSpacing RescaleSlope RescaleIntercept RescaleType ModalityLUTSequence Rows Columns
    BitsAllocated BitsStored HighBit PixelRepresentation NumberOfFrames SamplesPerPixel
    PhotometricInterpretation PixelPaddingValue PixelPaddingRangeLimit LossyImageCompression
    PerFrameFunctionalGroupsSequence
"""
_UID = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))*", re.ASCII)
_NUMBER = r" *[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)? *"
_DECIMALS = re.compile(rf"{_NUMBER}(?:\\{_NUMBER})*", re.ASCII)
_INTEGER = re.compile(r" *[+-]?\d+ *", re.ASCII)


class UnusualError(ValueError):
    """Something that is left to pydicom."""


def require(usual: bool) -> None:
    """Leave to pydicom what is not `usual`."""
    if not usual:
        raise UnusualError


def _plain(raw: bytes) -> str:
    text = raw.rstrip(b" \0").decode("ascii")
    require(text.isprintable())
    return text


def _one_or_several(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else tuple(parts)


def _code(raw: bytes) -> Any:
    return _one_or_several(_plain(raw).split("\\"))


def _text(limit: int, raw: bytes) -> Any:
    # pydicom warns of longer ones before it strips them; its warnings are counted, so such files are its own.
    require(len(raw) <= limit or all(len(part) <= limit for part in raw.split(b"\\")))
    return _one_or_several([part.rstrip(" ") for part in _plain(raw).split("\\")])


def _uid(raw: bytes) -> str:
    text = _plain(raw)
    require(not text or (len(text) <= 64 and _UID.fullmatch(text) is not None))
    return text


def _decimal(raw: bytes) -> Any:
    text = _plain(raw)
    require(not text or _DECIMALS.fullmatch(text) is not None)
    return _one_or_several([float(part) for part in text.split("\\")]) if text else None


def _integer(raw: bytes) -> int | None:
    text = _plain(raw)
    require(not text or (len(raw) <= 12 and _INTEGER.fullmatch(text) is not None))
    return int(text) if text else None


def _short(raw: bytes, *, signed: bool) -> int | None:
    require(len(raw) in (0, 2))
    return int.from_bytes(raw, "little", signed=signed) if raw else None


def _present(raw: bytes) -> bool:
    return True


def _remembered(convert: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return `convert` with a memory: slices of a series state nearly everything in the same bytes."""
    return lru_cache(maxsize=4096)(convert)


_CONVERT: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(("CS", "AS", "DA", "TM", "DT"), _remembered(_code)),
    "LO": _remembered(partial(_text, 64)),
    "SH": _remembered(partial(_text, 16)),
    "UI": _remembered(_uid),
    "DS": _remembered(_decimal),
    "IS": _remembered(_integer),
    "US": partial(_short, signed=False),
    "SS": partial(_short, signed=True),
    "SQ": _present,
    "US or SS": _present,  # the sign decides: see `attribute_value`
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """An attribute that is taken up: its keyword, its value representation, and what converts the raw bytes."""

    keyword: str
    vr: bytes
    convert: Callable[[bytes], Any]


def _wanted(keyword: str) -> tuple[int, Wanted]:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise AssertionError(f"{keyword} is no keyword of the dictionary")
    vr = dictionary_VR(tag)
    return tag, Wanted(keyword, vr.encode("ascii"), _CONVERT[vr])


WANTED = dict(_wanted(keyword) for keyword in _NAMES.split())
META = dict(_wanted(keyword) for keyword in ("MediaStorageSOPClassUID", "TransferSyntaxUID"))


def attribute_value(raw: bytes, wanted: Wanted, vr: bytes, found: dict[str, Any]) -> Any:
    """Return the value of a wanted attribute, None when it is empty.

    `vr` is the value representation that the file states, empty where it states none; `found` holds the attributes
    of lower tags by keyword.

    Raises
    ------
    ValueError
        If pydicom has to convert it (`UnusualError`, or what a conversion raises).
    """
    if vr in (b"", wanted.vr) and wanted.vr != b"US or SS":
        return wanted.convert(raw)
    require(wanted.vr == b"US or SS" and vr in (b"", b"US", b"SS"))
    signed = vr == b"SS" or (not vr and found.get("PixelRepresentation") == 1)
    return _short(raw, signed=signed)
