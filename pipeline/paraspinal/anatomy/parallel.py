"""Two steps at once that do not need each other: numpy, scipy and OpenCV leave the interpreter while they work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

First = TypeVar("First")
Second = TypeVar("Second")


def both(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Run two functions in two threads and return both results; the first one's error is raised first."""
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(second)
        return first(), later.result()


def each(function: Callable[[First], Second], items: Iterable[First], *, threads: int = 2) -> list[Second]:
    """Run a function on every item, `threads` at a time, and return the results in the items' order."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
