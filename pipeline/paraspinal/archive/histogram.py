"""Histograms as plain SVG."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BINS = 24
_WIDTH, _HEIGHT, _FOOT = 300, 110, 18


@dataclass(frozen=True, slots=True)
class Histogram:
    """How values are spread: title, number, quartiles as text, and the bars (x, y, width, height) of a drawing.

    ``left_out`` says what is not among the values; empty for nothing.
    """

    title: str
    count: int
    summary: str
    low: str
    high: str
    bars: tuple[tuple[float, float, float, float], ...]
    left_out: str = ""
    width: int = _WIDTH
    height: int = _HEIGHT + _FOOT
    baseline: int = _HEIGHT


def histogram(title: str, values: npt.ArrayLike, *, left_out: str = "") -> Histogram | None:
    """Return the histogram of some values; None where there are none.

    The outermost hundredth on either side is gathered in the outermost bars.
    """
    array = np.asarray(values, np.float64)
    if array.size == 0:
        return None
    low, high = np.percentile(array, (1, 99))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(np.clip(array, low, high), bins=_BINS, range=(low, high))
    step = _WIDTH / _BINS
    tallest = max(int(counts.max()), 1)
    bars = tuple(
        (
            round(k * step, 1),
            round(_HEIGHT * (1 - n / tallest), 1),
            round(step - 1, 1),
            round(_HEIGHT * n / tallest, 1),
        )
        for k, n in enumerate(counts.tolist())
    )
    first, middle, third = np.percentile(array, (25, 50, 75))
    summary = f"median {_short(middle)}, quartiles {_short(first)} to {_short(third)}"
    return Histogram(title, int(array.size), summary, _short(low), _short(high), bars, left_out)


def _short(value: float) -> str:
    """Return three digits, and whole numbers from a thousand on."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
