"""Single values out of a DICOM data set that may be malformed anywhere.

pydicom converts a value when it is first read and then raises whatever the conversion raised; an attribute that
the analysis can do without is therefore None when it cannot be read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Any, Protocol

from pydicom.dataset import Dataset

MAX_TEXT = 64
_DAY = re.compile(r"\d{8}(?=$|\d\d|[+-])", re.ASCII)  # alone, or before a time or a zone


class Attributes(Protocol):
    """Attributes by keyword: a pydicom data set, or a plain dictionary of values that are converted already."""

    def get(self, key: str, /) -> Any:
        """Return the value of an attribute, None when it is absent."""

    def __contains__(self, name: str, /) -> bool: ...


def raw_value(dataset: Attributes, keyword: str) -> Any:
    """Return a value as pydicom gives it; None when it is absent, empty or unreadable."""
    try:
        value = dataset.get(keyword)
    except Exception:
        # One attribute is isolated here: what pydicom raises on a malformed value is not limited to any type,
        # and None is the record that this attribute says nothing.
        return None
    return None if value is None or (isinstance(value, str) and not value) else value


def text(dataset: Attributes, keyword: str, *, limit: int = MAX_TEXT) -> str | None:
    """Return a value as printable text of at most `limit` characters, multiple values joined by a backslash."""
    value = raw_value(dataset, keyword)
    if value is None:
        return None
    joined = value if isinstance(value, str) else "\\".join(str(v) for v in _several(value))
    return printable(joined, limit=limit) or None


def printable(value: str, *, limit: int = MAX_TEXT) -> str:
    """Return `value` without control or invisible characters, trimmed and cut."""
    kept = value if value.isprintable() else "".join(c for c in value if c.isprintable())
    return kept.strip()[:limit]


def texts(dataset: Attributes, keyword: str) -> tuple[str, ...]:
    """Return the parts of a multi-valued text, at most 16."""
    value = raw_value(dataset, keyword)
    return () if value is None else tuple(printable(str(v)).upper() for v in list(_several(value))[:16])


def day(dataset: Attributes, keyword: str) -> str | None:
    """Return the day (YYYYMMDD) of a date or a date with a time (PS3.5 6.2), if there is such a day."""
    stated = raw_value(dataset, keyword)
    return _day(stated) if isinstance(stated, str) else None


@lru_cache(maxsize=4096)
def _day(stated: str) -> str | None:
    found = _DAY.match(stated)
    if found is None:
        return None
    digits = found[0]
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
    return digits


def numbers(dataset: Attributes, keyword: str) -> tuple[float, ...]:
    """Return the values of a numeric attribute; empty when one of them is not a finite number."""
    value = raw_value(dataset, keyword)
    if value is None:
        return ()
    try:
        found = tuple(map(float, _several(value)))
    except (TypeError, ValueError, OverflowError):
        return ()
    return found if all(map(math.isfinite, found)) else ()


def number(
    dataset: Attributes, keyword: str, *, low: float = -math.inf, high: float = math.inf
) -> float | None:
    """Return the first value of a numeric attribute if it lies in [low, high]."""
    found = numbers(dataset, keyword)
    return found[0] if found and low <= found[0] <= high else None


def whole(dataset: Attributes, keyword: str, *, low: int = 0, high: int = 2**31) -> int | None:
    """Return a whole number in [low, high]."""
    found = number(dataset, keyword, low=low, high=high)
    return int(found) if found is not None and found == int(found) else None


def vector(dataset: Attributes, keyword: str, length: int) -> tuple[float, ...] | None:
    """Return exactly `length` finite numbers, or None."""
    found = numbers(dataset, keyword)
    return found if len(found) == length else None


def items(dataset: Attributes, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none when it is absent or unreadable."""
    value = raw_value(dataset, keyword)
    return [v for v in _several(value) if isinstance(v, Dataset)] if value is not None else []


def _several(value: Any) -> Iterable[Any]:
    return [value] if isinstance(value, (str, bytes, int, float)) or not _iterable(value) else value


def _iterable(value: Any) -> bool:
    # A PersonName iterates over its letters.
    return hasattr(value, "__iter__") and not hasattr(value, "family_name")
