"""Size and depth of a compressed frame, read from its own header before anything is allocated for it."""

from __future__ import annotations

import struct
from typing import NamedTuple

_J2K_START = b"\xff\x4f\xff\x51"
_JPEG_START = b"\xff\xd8"
# Start-of-frame markers of JPEG (C0..CF without DHT C4, JPG C8, DAC CC) and of JPEG-LS (F7).
_FRAME_MARKERS = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})


class CodestreamSize(NamedTuple):
    """Rows, columns and components that a compressed frame declares, and the depth of its samples in bits.

    Only JPEG 2000 codes a sign; JPEG and JPEG-LS code the bits of a value, whatever they mean.
    """

    rows: int
    columns: int
    components: int
    depth: int
    signed: bool = False


def codestream_size(frame: bytes) -> CodestreamSize | None:
    """Return what a JPEG, JPEG-LS or JPEG 2000 frame says about its size; None if it says nothing readable."""
    if frame.startswith(_JPEG_START):
        return _jpeg_size(frame)
    start = frame.find(_J2K_START, 0, 4096)
    return _j2k_size(frame, start) if start >= 0 else None


def _jpeg_size(frame: bytes) -> CodestreamSize | None:
    at = 2
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_MARKERS:
            if at + 10 > len(frame):
                return None
            depth, rows, columns, components = struct.unpack(">BHHB", frame[at + 4 : at + 10])
            return CodestreamSize(rows, columns, components, depth)
        at += 2 + int(struct.unpack(">H", frame[at + 2 : at + 4])[0])
    return None


def _j2k_size(frame: bytes, start: int) -> CodestreamSize | None:
    """Read the SIZ marker segment (ISO/IEC 15444-1 A.5.1)."""
    fields = frame[start + 8 : start + 43]
    if len(fields) < 35:
        return None
    x1, y1, x0, y0, *_tiles, components, depth = struct.unpack(">8IHB", fields)
    return CodestreamSize(y1 - y0, x1 - x0, components, (depth & 0x7F) + 1, signed=bool(depth & 0x80))
