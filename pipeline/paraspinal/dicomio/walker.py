"""A fast way through the header of a plain little-endian file; whatever is unusual is left to pydicom.

The walker reads only what it can read exactly as pydicom does, and answers None for all the rest: other transfer
syntaxes, multi-frame objects, character sets in which ASCII is not ASCII, unknown value representations, tags that
are doubled or out of order, values that are not strictly of their form. Tests hold its answers equal to pydicom's.

Formats: PS3.5 chapter 7 (elements, sequences), PS3.10 chapter 7 (file meta information), PS3.6 (data dictionary).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_VR

from paraspinal.dicomio.acquisition import read_acquisition
from paraspinal.dicomio.headers import (
    DEFLATED,
    DICOMDIR,
    UNDEFINED_LENGTH,
    ImageHeader,
    header_of,
    pixel_element,
)
from paraspinal.dicomio.walker_values import (
    ACQUISITION_NAMES,
    META,
    WANTED,
    UnusualError,
    attribute_value,
    require,
)
from paraspinal.volume import Acquisition

_META_START = 132
_FIRST_TAG, _PIXELS_FROM, _PIXELS = 0x0008_0000, 0x7FE0_0008, 0x7FE0_0010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_DELIMITERS = 0xFFFE_0000
_MAX_DEPTH = 16

_IMPLICIT_SYNTAX, _EXPLICIT_SYNTAX = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
_ENCAPSULATED = re.compile(r"1\.2\.840\.10008\.1\.2\.(5|4\.\d+)")

# Value representations with a 16-bit and with a 32-bit length (PS3.5 7.1.2).
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())

# Character sets whose 7-bit half is ASCII (PS3.3 C.12.1.1.2); ISO_IR 13 has a yen sign for the backslash.
_ASCII_SETS = frozenset(
    ("", *(f"ISO_IR {n}" for n in (6, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 192)))
)
_CHARACTER_SET = 0x0008_0005

_explicit_head = struct.Struct("<HH2sH").unpack_from
_implicit_head = struct.Struct("<HHI").unpack_from
_unsigned32 = struct.Struct("<I").unpack_from

_Head = Callable[[bytes, int], tuple[int, bytes, int, int]]


def walk_header(blob: bytes) -> ImageHeader | None:
    """Return what `read_headers` gives for a plain single-frame file, or None where pydicom has to read it.

    `blob` may be cut off anywhere after the header: an answer rests on the bytes before the pixel data alone.
    """
    try:
        return _walk(blob)
    except (ValueError, struct.error):
        return None


def _walk(blob: bytes) -> ImageHeader:
    require(blob[128:_META_START] == b"DICM" and DEFLATED.encode() not in blob[: 4 * 1024])
    meta, at = _read_meta(blob)
    syntax = meta.get("TransferSyntaxUID") or ""
    implicit = syntax == _IMPLICIT_SYNTAX
    require(implicit or syntax == _EXPLICIT_SYNTAX or _ENCAPSULATED.fullmatch(syntax) is not None)
    require(meta.get("MediaStorageSOPClassUID") != DICOMDIR)
    # Two capitals where an implicit length would be huge mean that the file is explicit after all.
    require(not (implicit and blob[at + 4 : at + 6].isalpha()))
    found, at = _read_dataset(blob, at, _implicit if implicit else _explicit)
    require("Rows" in found and "PerFrameFunctionalGroupsSequence" not in found)
    require(found.get("NumberOfFrames", 1) in (None, 1))
    place = pixel_element(blob[at : at + 12], at, syntax)
    require(place is not None)
    return header_of(
        found, syntax, place, acquisition=_acquisition(tuple(found.get(name) for name in ACQUISITION_NAMES))
    )


@lru_cache(maxsize=1024)
def _acquisition(stated: tuple[Any, ...]) -> Acquisition:
    """Return the acquisition of these values; most slices of a series share one."""
    return read_acquisition(dict(zip(ACQUISITION_NAMES, stated, strict=True)))


def _explicit(blob: bytes, at: int) -> tuple[int, bytes, int, int]:
    """Return (tag, value representation, start of value, length) of the element at `at`."""
    group, element, vr, length = _explicit_head(blob, at)
    if vr in _SHORT_VRS:
        return group << 16 | element, vr, at + 8, length
    if vr in _LONG_VRS:
        return group << 16 | element, vr, at + 12, _unsigned32(blob, at + 8)[0]
    raise UnusualError


def _implicit(blob: bytes, at: int) -> tuple[int, bytes, int, int]:
    group, element, length = _implicit_head(blob, at)
    return group << 16 | element, b"", at + 8, length


def _read_meta(blob: bytes) -> tuple[dict[str, Any], int]:
    """Return the file meta information that is wanted, and where it ends: pydicom goes by the group, as here."""
    found: dict[str, Any] = {}
    at, last = _META_START, 0
    while blob[at : at + 2] == b"\x02\x00":
        tag, vr, start, length = _explicit(blob, at)
        require(tag > last and length != UNDEFINED_LENGTH and (tag != 0x0002_0000 or length == 4))
        last, at = tag, start + length
        if (wanted := META.get(tag)) is not None:
            found[wanted.keyword] = attribute_value(blob[start:at], wanted, vr, found)
    return found, at


def _read_dataset(blob: bytes, at: int, head: _Head) -> tuple[dict[str, Any], int]:
    """Return the wanted attributes by keyword, and where the pixel data element begins."""
    found: dict[str, Any] = {}
    last = _FIRST_TAG - 1
    while True:
        tag, vr, start, length = head(blob, at)
        if tag >= _PIXELS_FROM:
            require(tag == _PIXELS and vr in (b"", b"OB", b"OW"))
            return found, at
        require(tag > last)
        last = tag
        if length == UNDEFINED_LENGTH:
            at = _skip_sequence(blob, at, head, 0)
            require(tag not in WANTED)
            continue
        at = start + length
        if (wanted := WANTED.get(tag)) is not None:
            found[wanted.keyword] = attribute_value(blob[start:at], wanted, vr, found)
        elif tag == _CHARACTER_SET:
            _require_ascii_set(vr, blob[start:at])


def _skip_sequence(blob: bytes, at: int, head: _Head, depth: int) -> int:
    """Return where the sequence of undefined length whose element begins at `at` ends."""
    tag, vr, at, _ = head(blob, at)
    require(depth < _MAX_DEPTH and (vr.decode("ascii") or _known_vr(tag)) == "SQ")
    items = 0
    while True:
        tag, _, at, length = _implicit(blob, at)
        # pydicom takes an unknown element that does not begin with an item for plain bytes.
        if tag == _SEQUENCE_END and length == 0 and (items or vr):
            return at
        require(tag == _ITEM)
        at = _skip_item(blob, at, None if length == UNDEFINED_LENGTH else at + length, head, depth)
        items += 1


def _skip_item(blob: bytes, at: int, end: int | None, head: _Head, depth: int) -> int:
    """Return where the item whose first element begins at `at` ends; `end` is None for one of undefined length."""
    while at != end:
        tag, _, start, length = _implicit(blob, at)
        if tag == _ITEM_END and end is None and length == 0:
            return start
        require(tag < _DELIMITERS and (end is None or at < end))
        _, vr, start, length = head(blob, at)
        if length == UNDEFINED_LENGTH:
            at = _skip_sequence(blob, at, head, depth + 1)
            continue
        at = start + length
        if tag == _CHARACTER_SET:
            _require_ascii_set(vr, blob[start:at])
    return at


def _known_vr(tag: int) -> str:
    """Return what the dictionary says; an unknown tag with an item after it is read as a sequence."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "SQ"


def _require_ascii_set(vr: bytes, raw: bytes) -> None:
    require(vr in (b"", b"CS") and raw.rstrip(b" \0").decode("ascii") in _ASCII_SETS)
