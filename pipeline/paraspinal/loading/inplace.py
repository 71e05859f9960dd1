"""Uncompressed slices read by the operating system straight into the volume, and rescaled there."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from paraspinal.dicomio.frames import FrameError, check_format, check_native_length, is_native
from paraspinal.dicomio.headers import BIG_ENDIAN, ImageHeader, PixelFormat
from paraspinal.loading.hounsfield import AIR_FLOOR_HU

_INT16_MAX = np.iinfo(np.int16).max


def fits(form: PixelFormat, plane: npt.NDArray[np.generic]) -> bool:
    """Tell whether the bytes of a file's only frame are, as they lie there, the memory of `plane`."""
    return (
        is_native(form)
        and not form.inflated
        and form.transfer_syntax != BIG_ENDIAN
        and sys.byteorder == "little"
        and form.frames == 1
        and form.bits_allocated == 16
        and plane.dtype == np.int16
        and plane.flags.c_contiguous
        and plane.shape == (form.rows, form.columns)
    )


def read_into(path: Path, form: PixelFormat, plane: npt.NDArray[np.int16], *, digest: bool) -> str:
    """Read the stored values of a file into `plane` and return the SHA-256 of all its bytes, or no text.

    Raises
    ------
    FrameError
        If the file is shorter than its header says, or its format contradicts itself.
    OSError
        If it cannot be read.
    """
    check_format(form)
    memory = plane.data.cast("B")
    seen = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        check_native_length(form, os.fstat(stream.fileno()).st_size - form.offset)
        if digest:
            seen.update(stream.read(form.offset))
        stream.seek(form.offset)
        if stream.readinto(memory) != len(memory):
            raise FrameError("it ends within its pixel data", "truncated_pixel_data")
        if digest:
            seen.update(memory)
            seen.update(stream.read())
    return seen.hexdigest() if digest else ""


def rescale_in_place(plane: npt.NDArray[np.int16], header: ImageHeader) -> tuple[int, int] | None:
    """Turn stored values into Hounsfield units and return their extremes; None, and nothing done, in special cases.

    Special is whatever asks for more than adding a whole number: another slope, values that do not fit, bits
    that are no part of the value, and anything darker than air can be, which may be padding.
    """
    form, rescale = header.pixels, header.rescale
    if form is None or rescale.slope != 1.0 or rescale.intercept is None:
        return None
    if rescale.intercept != int(rescale.intercept):
        return None
    stored = plane if form.signed else plane.view(np.uint16)
    low, high = int(stored.min()), int(stored.max())
    half = 1 << (form.bits_stored - 1)
    if low < (-half if form.signed else 0) or high >= (half if form.signed else 2 * half):
        return None
    low, high = low + int(rescale.intercept), high + int(rescale.intercept)
    if low < AIR_FLOOR_HU or high > _INT16_MAX:
        return None
    # Both terms may wrap, the sum cannot: it was shown to fit.
    plane += np.int64(rescale.intercept).astype(np.int16)
    return low, high
