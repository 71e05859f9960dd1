"""What a file is, told from its first bytes and never from its name."""

from __future__ import annotations

import struct
import zlib
from typing import Literal

FileKind = Literal["dicom", "zip", "nifti", "other"]

HEAD_BYTES = 2048

_DICM_AT = 128
_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_NIFTI1_HEADER = 348
_NIFTI1_MAGIC_AT = 344
_NIFTI1_MAGICS = (b"n+1\0", b"ni1\0")
# A file without preamble starts with an element of group 0002 (meta) or 0008 (identification).
_FIRST_GROUPS = (0x0002, 0x0008)


def file_kind(head: bytes) -> FileKind:
    """Return the kind of the file that starts with `head` (`HEAD_BYTES` of it are enough)."""
    if head[_DICM_AT : _DICM_AT + 4] == b"DICM":
        return "dicom"
    if head.startswith(_ZIP):
        return "zip"
    if is_nifti(_unzipped(head) if head.startswith(_GZIP) else head):
        return "nifti"
    return "dicom" if _starts_with_element(head) else "other"


def is_nifti(head: bytes) -> bool:
    """Tell whether an uncompressed file is NIfTI-1, in either byte order."""
    if len(head) < _NIFTI1_HEADER:
        return False
    sizes = (struct.unpack("<i", head[:4])[0], struct.unpack(">i", head[:4])[0])
    return _NIFTI1_HEADER in sizes and head[_NIFTI1_MAGIC_AT : _NIFTI1_MAGIC_AT + 4] in _NIFTI1_MAGICS


def _unzipped(head: bytes) -> bytes:
    """Return the first bytes inside a gzip stream, or none if it is damaged."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, _NIFTI1_HEADER + 4)
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
