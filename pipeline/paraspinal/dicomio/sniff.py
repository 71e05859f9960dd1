"""What a file is, told from its first bytes and never from its name."""

from __future__ import annotations

import re
import struct
import zlib
from typing import Literal

FileKind = Literal["dicom", "zip", "nifti", "nrrd", "metaimage", "other"]

HEAD_BYTES = 2048

_DICM_AT = 128
_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
# Bytes of the header, place of the magic number, and the magic numbers (single file, header and image apart).
_NIFTI_FORMS = ((348, 344, (b"n+1\0", b"ni1\0")), (540, 4, (b"n+2\0", b"ni2\0")))
_NRRD = re.compile(rb"NRRD000[1-9]\r?\n")
# A MetaImage header is lines of `Key = value`; these two keys are in every one of an image.
_META_LINE = re.compile(rb"\s*[A-Za-z]\w*\s*=[^\n]*\n")
_META_KEYS = (re.compile(rb"^\s*NDims\s*=", re.MULTILINE), re.compile(rb"^\s*DimSize\s*=", re.MULTILINE))
# A file without preamble starts with an element of group 0002 (meta) or 0008 (identification).
_FIRST_GROUPS = (0x0002, 0x0008)
# Media Storage SOP Class UID (0002,0002) of a DICOMDIR, explicit little endian as all file meta is.
_DICOMDIR_CLASS = b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10"


def file_kind(head: bytes) -> FileKind:
    """Return the kind of the file that starts with `head` (`HEAD_BYTES` of it are enough)."""
    if head[_DICM_AT : _DICM_AT + 4] == b"DICM":
        return "dicom"
    if head.startswith(_ZIP):
        return "zip"
    if is_nifti(unzipped_head(head) if head.startswith(_GZIP) else head):
        return "nifti"
    if _NRRD.match(head):
        return "nrrd"
    if _META_LINE.match(head) and all(key.search(head) for key in _META_KEYS):
        return "metaimage"
    return "dicom" if _starts_with_element(head) else "other"


def is_dicomdir(head: bytes) -> bool:
    """Tell whether a DICOM file is the directory of a medium, which holds no image itself."""
    return file_kind(head) == "dicom" and _DICOMDIR_CLASS in head


def is_nifti(head: bytes) -> bool:
    """Tell whether an uncompressed file is NIfTI-1 or NIfTI-2, in either byte order."""
    if len(head) < 4:
        return False
    sizes = (struct.unpack("<i", head[:4])[0], struct.unpack(">i", head[:4])[0])
    return any(
        size in sizes and len(head) >= size and head[at : at + 4] in magics
        for size, at, magics in _NIFTI_FORMS
    )


def unzipped_head(head: bytes) -> bytes:
    """Return the first bytes inside a gzip stream, enough for a NIfTI header, or none if it is damaged there."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, _NIFTI_FORMS[-1][0])
    except zlib.error:
        return b""


def _starts_with_element(head: bytes) -> bool:
    """Tell whether the bytes can be a little-endian DICOM element: a known first group and a short value."""
    if len(head) < 8:
        return False
    group, element = struct.unpack("<HH", head[:4])
    if group not in _FIRST_GROUPS or element > 0x0100:
        return False
    if head[4:6].isalpha() and head[4:6].isupper():
        return True
    length: int = struct.unpack("<I", head[4:8])[0]
    return length < HEAD_BYTES
