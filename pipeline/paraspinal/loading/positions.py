"""Images without a position in a series whose other images have one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from paraspinal.config import LoadingConfig
from paraspinal.loading.codes import refuse, repaired
from paraspinal.loading.scan import Entry
from paraspinal.loading.stacks import Stack
from paraspinal.result import LoadCode

# A line through fewer images proves nothing about the rest.
_MIN_PLACED = 3


def complete_positions(stack: Stack, *, config: LoadingConfig) -> tuple[Stack, tuple[LoadCode, ...]]:
    """Return the stack with a position for every image.

    Where instance numbers and positions of all other images lie on one line, an image without a position gets that
    of its instance number, if that place is free.

    Raises
    ------
    LoadError
        ``missing_geometry``.
    """
    lost = [e for e in stack.entries if e.header.plane.position is None]
    if not lost:
        return stack, ()
    placed = [e for e in stack.entries if e.header.plane.position is not None]
    error = refuse(
        "missing_geometry",
        f"{len(lost)} of {len(stack.entries)} images of {stack.label} have no position.",
        without_position=len(lost),
        slices=len(stack.entries),
    )
    numbers = [e.header.instance_number for e in stack.entries]
    if len(placed) < _MIN_PLACED or None in numbers or len(set(numbers)) < len(numbers):
        raise error
    number = np.array([e.header.instance_number for e in placed], dtype=np.float64)
    place = np.array([e.header.plane.position for e in placed], dtype=np.float64)
    design = np.stack([np.ones_like(number), number], axis=1)
    line = np.linalg.pinv(design) @ place
    if float(np.abs(place - design @ line).max()) > config.even_tolerance_mm:
        raise error
    code = repaired("position_inferred", config=config, images=len(lost))
    entries = [_placed(e, line) if e.header.plane.position is None else e for e in stack.entries]
    return replace(stack, entries=tuple(entries)), (code,)


def _placed(entry: Entry, line: npt.NDArray[np.float64]) -> Entry:
    number = entry.header.instance_number
    x, y, z = (float(v) for v in line[0] + line[1] * (0 if number is None else number))
    plane = replace(entry.header.plane, position=(x, y, z))
    return replace(entry, header=replace(entry.header, plane=plane))
