"""Stored pixel values out of a file's bytes, without letting the file decide how much memory that takes.

Native frames are views of the bytes; JPEG, JPEG-LS, JPEG 2000 and RLE frames are decoded by imagecodecs, which
releases the interpreter lock, so frames decode in parallel threads. GDCM and ITK are not used: one malformed
RLE file ends their process.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom.config
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from paraspinal.dicomio.codestream import CodestreamSize, codestream_size
from paraspinal.dicomio.headers import BIG_ENDIAN, PixelFormat

StoredArray = npt.NDArray[np.signedinteger | np.unsignedinteger]

RLE = "1.2.840.10008.1.2.5"
_NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", BIG_ENDIAN})
_JPEG = "1.2.840.10008.1.2.4."
_LOSSY = frozenset(_JPEG + n for n in ("50", "51", "53", "55", "81", "91", "203"))
_RLE_HEADER = 64
_JPEG_END = b"\xff\xd9"


class FrameError(ValueError):
    """A frame that cannot be decoded; ``code`` is the stable code of the reason."""

    def __init__(self, message: str, code: str = "undecodable") -> None:
        super().__init__(message)
        self.code = code


class OddBits(NamedTuple):
    """Voxels of a frame whose bits are not what Bits Stored says.

    ``cleared`` had bits beyond it that are no part of the value (PS3.5 8.1.1: old files keep overlays there).
    ``beyond`` need more bits than it states, and were taken as they are. ``narrow`` were coded in fewer bits than it
    states, and the highest one of these was taken as the sign.
    """

    cleared: int = 0
    beyond: int = 0
    narrow: int = 0


def syntax_name(transfer_syntax: str) -> str:
    """Return the name of a transfer syntax for people."""
    uid = UID(transfer_syntax, pydicom.config.IGNORE)  # an invalid one is no reason to warn: it is refused
    return str(uid.name) if uid.is_transfer_syntax else "an unknown transfer syntax"


def is_lossy(transfer_syntax: str) -> bool:
    """Tell whether a transfer syntax is normally used for lossy compression."""
    return transfer_syntax in _LOSSY


def check_format(form: PixelFormat) -> None:
    """Refuse pixel formats that contradict themselves or that no CT has.

    Raises
    ------
    FrameError
        With the code of the reason.
    """
    if form.samples != 1 or form.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise FrameError(
            f"its pixels are {form.photometric or 'of no stated kind'}, not grey values", "not_grey"
        )
    if form.bits_allocated not in (8, 16, 32):
        raise FrameError(f"it stores {form.bits_allocated} bits per pixel", "bit_depth")
    # High Bit is one less than Bits Stored (PS3.5 8.1.1). Where it is not, nobody can tell which of the two is wrong,
    # and the values would be off by a power of two.
    if not 1 <= form.bits_stored == form.high_bit + 1 <= form.bits_allocated:
        raise FrameError(
            f"its bit depths contradict each other (allocated {form.bits_allocated}, stored {form.bits_stored},"
            f" high bit {form.high_bit})",
            "bit_depth",
        )
    if form.transfer_syntax not in _NATIVE and form.transfer_syntax not in _DECODERS:
        raise FrameError(f"its pixels are coded in {syntax_name(form.transfer_syntax)}")


def split_frames(blob: bytes, form: PixelFormat) -> list[bytes | memoryview]:
    """Return the coded bytes of every frame of a file.

    Raises
    ------
    FrameError
        If the pixel data is shorter than the header says, or longer by more than padding.
    """
    check_format(form)
    if form.transfer_syntax in _NATIVE:
        return _native_frames(blob, form)
    if form.length is not None:
        raise FrameError("its compressed pixel data is not in fragments")
    try:
        frames = list(
            generate_frames(memoryview(blob)[form.offset :].tobytes(), number_of_frames=form.frames)
        )
    except (ValueError, EOFError, struct.error, IndexError, TypeError) as error:
        raise FrameError(
            "its fragments of compressed pixel data are damaged", "truncated_pixel_data"
        ) from error
    if len(frames) != form.frames:
        raise FrameError(f"it has {len(frames)} of {form.frames} frames", "truncated_pixel_data")
    return list(frames)


def decode_frame(coded: bytes | memoryview, form: PixelFormat) -> tuple[StoredArray, OddBits]:
    """Return the stored values of one frame, shape (rows, columns), and the voxels whose bits are odd.

    Raises
    ------
    FrameError
        If the frame cannot be decoded, or decodes to another size than the header states, or is coded with a sign
        where the header says that there is none.
    """
    stream = None
    if form.transfer_syntax in _NATIVE:
        order = ">" if form.transfer_syntax == BIG_ENDIAN else "<"
        array = np.frombuffer(coded, dtype=f"{order}u{form.bits_allocated // 8}")
    else:
        coded = bytes(coded)
        stream = _stream_size(coded, form)
        array = _decompress(coded, form)
    if array.size != form.rows * form.columns:
        raise FrameError("a frame has another size than the header states", "pixel_data_mismatch")
    return _stored_values(array.reshape(form.rows, form.columns), form, stream)


def is_native(form: PixelFormat) -> bool:
    """Tell whether the frames are stored uncompressed."""
    return form.transfer_syntax in _NATIVE


def check_native_length(form: PixelFormat, available: int) -> None:
    """Compare the pixel data of an uncompressed file, of which `available` bytes are there, with its header.

    Raises
    ------
    FrameError
        If it is shorter than the header says, or longer by more than padding.
    """
    need = form.frame_bytes * form.frames
    declared = form.length if form.length is not None else available
    if min(available, declared) < need:
        raise FrameError(
            f"it holds {max(0, min(available, declared))} of {need} bytes of pixel data",
            "truncated_pixel_data",
        )
    # One odd byte of padding is required by the standard, some writers fill up to a block; more than a row
    # means that the header describes other pixels.
    if declared - need > max(form.columns * form.bits_allocated // 8, 2):
        raise FrameError(
            f"it declares {declared} bytes of pixel data where {need} belong", "pixel_data_mismatch"
        )


def _native_frames(blob: bytes, form: PixelFormat) -> list[bytes | memoryview]:
    check_native_length(form, len(blob) - form.offset)
    view = memoryview(blob)[form.offset :]
    size = form.frame_bytes
    return [view[i * size : (i + 1) * size] for i in range(form.frames)]


def _stream_size(coded: bytes, form: PixelFormat) -> CodestreamSize | None:
    """Return what a compressed frame says of itself, checked against the header; None for RLE, which says nothing."""
    if form.transfer_syntax == RLE:
        return None
    size = codestream_size(coded)
    if size is None or size[:3] != (form.rows, form.columns, 1):
        raise FrameError("a compressed frame has another size than the header states", "pixel_data_mismatch")
    return size


def _decompress(coded: bytes, form: PixelFormat) -> StoredArray:
    try:
        array = np.asarray(_DECODERS[form.transfer_syntax](coded, form))
    except FrameError:
        raise
    except Exception as error:
        # One frame is isolated here: every codec has an error class of its own, and all mean the same.
        raise FrameError(
            f"a frame coded in {syntax_name(form.transfer_syntax)} is damaged", "truncated_pixel_data"
        ) from error
    if array.dtype.kind not in "iu":
        raise FrameError("a compressed frame does not hold whole numbers")
    return array


def _stored_values(
    array: StoredArray, form: PixelFormat, stream: CodestreamSize | None
) -> tuple[StoredArray, OddBits]:
    """Extend the sign, and clear bits that are no part of the value."""
    if array.dtype.kind == "i":  # JPEG 2000 codes the sign itself
        if not form.signed and int(array.min()) < 0:
            raise FrameError(
                "its values are coded with a sign, and the header says that they have none", "bit_depth"
            )
        return array, OddBits()
    values = array.astype(array.dtype.newbyteorder("="), copy=False)
    if not form.signed:
        return _unsigned_values(values, form.bits_stored)
    if stream is not None and stream.depth < form.bits_stored:
        # The sign bit of a value of Bits Stored was never coded: it is the highest bit of the stream, if any is.
        extended = _extended(values, stream.depth)
        return extended, OddBits(narrow=int(np.count_nonzero(extended < 0)))
    return _signed_values(values, form.bits_stored)


def _unsigned_values(values: StoredArray, bits: int) -> tuple[StoredArray, OddBits]:
    if bits >= values.dtype.itemsize * 8:
        return values, OddBits()
    kept = values & values.dtype.type((1 << bits) - 1)
    return kept, OddBits(cleared=int(np.count_nonzero(kept != values)))


def _signed_values(values: StoredArray, bits: int) -> tuple[StoredArray, OddBits]:
    """Return values of `bits` bits with their sign.

    What lies in the bits above them tells writers apart. Many leave them 0, for negative values too. Others
    write a wider number; where that is beyond the range of `bits` (metal, padding), cutting it would turn metal into
    air, so it is taken as it is. Anything else is an overlay, and cleared.
    """
    extended = _extended(values, bits)
    whole = values.view(extended.dtype)
    odd = extended != whole
    if not odd.any():
        return extended, OddBits()
    extends = bool(((whole < 0) & ~odd).any())
    if extends and int(np.abs(whole[odd].astype(np.int64)).max()) <= 1 << bits:  # one bit more than stated
        return whole, OddBits(beyond=int(np.count_nonzero(odd)))
    return extended, OddBits(cleared=int(np.count_nonzero(odd if extends else values[odd] >> bits)))


def _extended(values: StoredArray, bits: int) -> StoredArray:
    """Return the lowest `bits` bits of unsigned values as numbers in two's complement."""
    width = values.dtype.itemsize * 8
    unused = max(width - bits, 0)
    return np.asarray((values << unused).view(f"i{width // 8}") >> unused)


def _decode_rle(coded: bytes, form: PixelFormat) -> StoredArray:
    """Decode one RLE frame (PS3.5 annex G): byte planes, most significant first, each in PackBits."""
    if len(coded) < _RLE_HEADER:
        raise FrameError("an RLE frame is shorter than its header", "truncated_pixel_data")
    count, *offsets = struct.unpack("<16I", coded[:_RLE_HEADER])
    planes = form.bits_allocated // 8
    if count != planes:
        raise FrameError(f"an RLE frame has {count} byte planes where {planes} belong", "pixel_data_mismatch")
    ends = [*offsets[1:count], len(coded)]
    pixels = form.rows * form.columns
    out = np.zeros((pixels, planes), dtype=np.uint8)
    for plane, (start, end) in enumerate(zip(offsets[:count], ends, strict=True)):
        if not _RLE_HEADER <= start < end <= len(coded):
            raise FrameError("an RLE frame points outside itself", "truncated_pixel_data")
        data = _unpack_bits(coded[start:end], pixels)
        out[:, planes - 1 - plane] = np.frombuffer(data, dtype=np.uint8, count=pixels)
    return out.view(f"<u{planes}").reshape(form.rows, form.columns)


def _unpack_bits(segment: bytes, size: int) -> bytes:
    """Return `size` bytes of a PackBits segment; what follows them is padding to an even length."""
    buffer = bytearray(size + 128)
    data = bytes(imagecodecs.packbits_decode(segment, out=buffer))
    if len(data) < size:
        raise FrameError("an RLE frame ends early", "truncated_pixel_data")
    return data


def _decode_jpeg(coded: bytes, form: PixelFormat) -> StoredArray:
    return np.asarray(imagecodecs.jpeg_decode(coded))


def _decode_jpegls(coded: bytes, form: PixelFormat) -> StoredArray:
    # A cut stream followed by padding keeps CharLS 2.4 busy for seconds a frame before it gives up.
    stream = coded.rstrip(b"\0")
    if not stream.endswith(_JPEG_END):
        raise FrameError("a JPEG-LS frame ends early", "truncated_pixel_data")
    return np.asarray(imagecodecs.jpegls_decode(stream))


def _decode_jpeg2k(coded: bytes, form: PixelFormat) -> StoredArray:
    return np.asarray(imagecodecs.jpeg2k_decode(coded))


_DECODERS: dict[str, Callable[[bytes, PixelFormat], StoredArray]] = {
    RLE: _decode_rle,
    **{_JPEG + n: _decode_jpeg for n in ("50", "51", "53", "55", "57", "70")},
    **{_JPEG + n: _decode_jpegls for n in ("80", "81")},
    **{_JPEG + n: _decode_jpeg2k for n in ("90", "91", "201", "202", "203")},
}
