"""Stored values of one slice to Hounsfield units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from paraspinal.dicomio.frames import FrameError, OddBits, StoredArray
from paraspinal.dicomio.headers import ImageHeader, PixelFormat, Rescale
from paraspinal.volume import BoolArray, HUArray

AIR_FLOOR_HU = -1024
# Fat reads about -100 HU, lung and air less; a volume without such values is no body or no HU.
LOW_DENSITY_HU = -30
# Without a stated conversion, values are taken as HU only when air reads as air (-1000) or padding (to -3024).
AIR_HU = (-3100, -900)
# Fat to muscle: a scale that has no number for it, no two numbers within it, or only one, is none of a CT.
_SOFT_TISSUE_HU = (-100.0, 100.0)
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, slots=True)
class SliceValues:
    """HU of one slice, where it is padding (None: nowhere), and how many voxels had to be cut to 16 bits.

    ``low`` and ``high`` are the extremes of what is not padding.
    """

    hu: HUArray
    padding: BoolArray | None
    clipped: int
    low: int
    high: int


def conversion(rescale: Rescale) -> tuple[float, float]:
    """Return slope and intercept as they are applied: 1 and 0 for what is not stated, and for a slope of 0."""
    slope = rescale.slope if rescale.known and rescale.slope is not None else 1.0
    return slope, rescale.intercept if rescale.intercept is not None else 0.0


def odd_scale(slope: float, intercept: float, stored: tuple[float, float]) -> str | None:
    """Return what is wrong with a scale on which stored values from `stored[0]` to `stored[1]` are possible.

    None for one that can tell soft tissue from fat. It need not reach to air: windowed images of 8 bits do not.
    """
    if not slope > 0:
        return "turns dense into light (slope < 0)" if slope < 0 else "turns all values into one"
    low, high = (value * slope + intercept for value in stored)
    if high < _SOFT_TISSUE_HU[0] or low > _SOFT_TISSUE_HU[1]:
        return f"has no number for soft tissue (it runs from {low:.6g} to {high:.6g} HU)"
    width = _SOFT_TISSUE_HU[1] - _SOFT_TISSUE_HU[0]
    if slope > width or high - low < width:
        return f"cannot tell fat from soft tissue (slope {slope:.6g}, {low:.6g} to {high:.6g} HU)"
    return None


def stored_range(form: PixelFormat) -> tuple[int, int]:
    """Return the smallest and the largest value that the container of a pixel has room for."""
    full = 1 << form.bits_allocated
    return (-(full >> 1), (full >> 1) - 1) if form.signed else (0, full - 1)


def check_sign(odd: OddBits, header: ImageHeader) -> None:
    """Refuse an image whose compressed stream is too narrow to say which of its values are negative.

    Header and stream contradict each other there: read as negative, metal would be padding; read as positive, air
    would be metal. Where 0 reads as air, both can be meant. Elsewhere only negative values can be air.

    Raises
    ------
    FrameError
        ``bit_depth``
    """
    if odd.narrow and conversion(header.rescale)[1] <= AIR_HU[1]:
        raise FrameError(
            "its compressed values have fewer bits than the header states, and nothing says which are negative",
            "bit_depth",
        )


def to_hounsfield(stored: StoredArray, header: ImageHeader, *, padding_hu: float) -> SliceValues:
    """Convert one slice, rounding to whole Hounsfield units; padded voxels read `AIR_FLOOR_HU`.

    Padding is what reads `padding_hu` or less (the unwritten -2000 and -3024 conventions, which no matter
    reads), and the stated Pixel Padding Value where that lies below every possible CT number. A stated value that
    is a possible one (0 HU, or the floor of -1024 that air is clipped to) cannot be told from tissue or air.
    """
    slope, intercept = conversion(header.rescale)
    hu: npt.NDArray[Any] = _rescaled(stored, slope, intercept)
    padding = _padding(hu, padding_range_hu(header), padding_hu)
    if padding is not None:
        hu[padding] = AIR_FLOOR_HU
    low, high = int(hu.min()), int(hu.max())
    clipped = 0
    if low < _INT16.min or high > _INT16.max:
        clipped = int(np.count_nonzero((hu < _INT16.min) | (hu > _INT16.max)))
        hu = np.clip(hu, _INT16.min, _INT16.max)
    return SliceValues(hu.astype(np.int16, copy=False), padding, clipped, low, high)


def padding_range_hu(header: ImageHeader) -> tuple[float, float] | None:
    """Return the stated padding values as a range in HU, or None when nothing is stated."""
    form = header.pixels
    if not header.padding or form is None:
        return None
    slope, intercept = conversion(header.rescale)
    half, full = 1 << (form.bits_allocated - 1), 1 << form.bits_allocated
    # The tag is often written unsigned beside signed pixels.
    signed = [v - full if form.signed and v >= half else v for v in header.padding]
    values = [v * slope + intercept for v in signed]
    return min(values), max(values)


def _rescaled(
    stored: StoredArray, slope: float, intercept: float
) -> npt.NDArray[np.int16] | npt.NDArray[np.float64]:
    """Return slope × stored + intercept as whole numbers, in 16 bits where they fit."""
    if slope != 1.0 or intercept != int(intercept):
        return np.rint(stored.astype(np.float64) * slope + intercept)
    low, high = int(stored.min()) + int(intercept), int(stored.max()) + int(intercept)
    if stored.dtype.itemsize > 2 or low < _INT16.min or high > _INT16.max:
        return stored.astype(np.float64) + intercept
    # Both terms may wrap, the sum cannot: it was shown to fit.
    wrapped = stored.astype(np.int16)
    wrapped += np.int64(intercept).astype(np.int16)
    return wrapped


def _padding(hu: npt.NDArray[Any], stated: tuple[float, float] | None, padding_hu: float) -> BoolArray | None:
    mask: BoolArray = np.asarray(hu <= padding_hu)
    if stated is not None and padding_hu < stated[1] < AIR_FLOOR_HU:
        low, high = np.rint(stated[0]), np.rint(stated[1])
        mask |= np.asarray((hu >= low) & (hu <= high))
    return mask if mask.any() else None
