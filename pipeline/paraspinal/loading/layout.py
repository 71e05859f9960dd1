"""Where the slices of a stack lie, from orientation and position alone, and on which grid they are put.

Slice Thickness and Spacing Between Slices are never spacing: both are wrong in real files, and the positions say
it exactly. A stack that is no evenly spaced box is put on one if the positions say how; the numbers are recorded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.config import LoadingConfig
from paraspinal.loading.codes import note, refuse, repaired
from paraspinal.loading.positions import complete_positions
from paraspinal.loading.regrid import Regrid
from paraspinal.loading.scan import Entry
from paraspinal.loading.spacing import even_grid
from paraspinal.loading.stacks import Stack
from paraspinal.result import LoadCode
from paraspinal.volume import Geometry

Positions = npt.NDArray[np.float64]

# Direction cosines are written with 6 significant digits or more; beyond this they are no rotation.
_COSINE_ERROR = 0.01


@dataclass(frozen=True, slots=True)
class Layout:
    """Slices in order along their normal (row × column direction), and the grid [slice, row, column] they form.

    ``regrid`` says how the slices are moved or interpolated to fill the grid; None where each is a slice of it.
    """

    entries: tuple[Entry, ...]
    geometry: Geometry
    notes: tuple[LoadCode, ...]
    regrid: Regrid | None = None


@dataclass(frozen=True, slots=True)
class _Frame:
    """Directions (unit vectors in LPS) and pixel spacing (row, column) that all slices share."""

    row: Positions
    column: Positions
    normal: Positions
    spacing: tuple[float, float]


def lay_out(stack: Stack, *, config: LoadingConfig) -> Layout:
    """Order the slices of a stack and put them on an evenly spaced box.

    Raises
    ------
    LoadError
        ``missing_geometry``, ``invalid_geometry``, ``one_position``, ``duplicate_positions``, ``gantry_tilt``,
        ``irregular_positions``, ``missing_slices`` or ``variable_spacing``, with numbers in ``details``.
    """
    stack, inferred = complete_positions(stack, config=config)
    frame = _frame(stack)
    pixels = stack.header.pixels
    if pixels is None:
        raise refuse("no_pixel_data", f"The {stack.label} holds no pixel data.")
    positions = np.asarray([e.header.plane.position for e in stack.entries], dtype=np.float64)
    along = positions @ frame.normal
    order = np.argsort(along, kind="stable")
    along, positions = along[order], positions[order]
    entries = tuple(stack.entries[i] for i in order)
    _check_distinct(stack, along, config)
    offset_px, leaning = _in_plane(stack, positions, along, frame, config)
    grid = even_grid(stack.label, along, _thickness(entries), config=config)
    shift_px, origin_px, size = _canvas(offset_px, (pixels.rows, pixels.columns), moved=bool(leaning))
    first = (
        grid.first_mm * frame.normal
        + (origin_px[0] * frame.spacing[0]) * frame.column
        + (origin_px[1] * frame.spacing[1]) * frame.row
    )
    if not leaning and not grid.notes:
        first = positions[0]
    x, y, z = (float(v) for v in first)
    geometry = Geometry(
        (grid.count, *size),
        (grid.gap_mm, *frame.spacing),
        (x, y, z),
        np.stack([frame.normal, frame.column, frame.row], axis=1),
    )
    codes = (*stack.codes, *inferred, *leaning, *grid.notes)
    regrid = None
    if leaning or not grid.plain:
        regrid = Regrid((len(entries), pixels.rows, pixels.columns), geometry.shape, shift_px, along, grid)
    return Layout(entries, geometry, (*codes, *_notes(entries, geometry, grid.jitter_mm)), regrid)


def _frame(stack: Stack) -> _Frame:
    """Return the directions and spacing of a stack, checked."""
    plane = stack.header.plane
    if plane.orientation is None or plane.spacing is None:
        raise refuse(
            "missing_geometry",
            f"The {stack.label} does not state orientation or pixel spacing.",
            slices=len(stack.entries),
        )
    row, column = np.asarray(plane.orientation[:3]), np.asarray(plane.orientation[3:])
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1.0).max() > _COSINE_ERROR or abs(float(row @ column)) > _COSINE_ERROR:
        raise refuse("invalid_geometry", f"The directions of {stack.label} are no right-angled unit vectors.")
    if not all(0.01 <= s <= 20.0 for s in plane.spacing):
        raise refuse(
            "invalid_geometry", f"The pixel spacing of {stack.label} is impossible.", spacing_mm=plane.spacing
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    return _Frame(row, column, np.cross(row, column), (plane.spacing[0], plane.spacing[1]))


def _check_distinct(stack: Stack, along: Positions, config: LoadingConfig) -> None:
    if along[-1] - along[0] < config.position_tolerance_mm:
        raise refuse(
            "one_position",
            f"All {len(along)} images of {stack.label} lie at one position.",
            slices=len(along),
        )
    repeated = int(np.count_nonzero(np.diff(along) < config.position_tolerance_mm))
    if repeated:
        raise refuse(
            "duplicate_positions",
            f"{repeated} of {len(along)} images of {stack.label} lie where another one lies.",
            slices=len(along),
            repeated=repeated,
        )


def _in_plane(
    stack: Stack, positions: Positions, along: Positions, frame: _Frame, config: LoadingConfig
) -> tuple[Positions, tuple[LoadCode, ...]]:
    """Return where each slice's first pixel lies within its plane, in pixels (row, column), and whether it leans.

    The tilt is read from the positions: the tag that states it is missing, or has the wrong sign, often enough.
    """
    plane_mm = np.stack([positions @ frame.column, positions @ frame.row], axis=1)
    centred = along - along.mean()
    slope = centred @ (plane_mm - plane_mm.mean(axis=0)) / (centred @ centred)
    residual = plane_mm - plane_mm.mean(axis=0) - np.outer(centred, slope)
    worst = float(np.linalg.norm(residual, axis=1).max())
    if worst > config.sideways_tolerance_px * min(frame.spacing):
        raise refuse(
            "irregular_positions",
            f"Slices of {stack.label} are shifted sideways by up to {worst:.2f} mm.",
            shift_mm=round(worst, 3),
        )
    offset_px = (plane_mm - residual) / np.asarray(frame.spacing)
    lean = float(np.linalg.norm(slope))
    if np.ptp(along) * lean <= config.tilt_tolerance_px * min(frame.spacing):
        return offset_px, ()
    tilt = round(float(np.degrees(np.arctan(lean))), 3)
    signed = tilt if slope[np.abs(slope).argmax()] > 0 else -tilt
    words = f"The slices of {stack.label} are tilted by {tilt:.1f} degrees"
    if tilt > config.max_tilt_deg:
        raise refuse("gantry_tilt", f"{words}.", tilt_deg=signed, limit_deg=config.max_tilt_deg)
    code = repaired(
        "gantry_tilt",
        f"{words}; each was moved within its plane to where it belongs.",
        config=config,
        tilt_deg=signed,
        largest_shift_mm=round(float(np.ptp(along) * lean), 2),
    )
    return offset_px, (code,)


def _canvas(
    offset_px: Positions, size: tuple[int, int], *, moved: bool
) -> tuple[Positions, tuple[float, float], tuple[int, int]]:
    """Return each slice's place on a field that holds all of them, that field's first pixel and its size.

    The middle slice lies on whole pixels; without a lean all do.
    """
    base = offset_px[len(offset_px) // 2]
    if not moved:
        return np.zeros_like(offset_px), (float(base[0]), float(base[1])), size
    relative = offset_px - base
    low, high = np.floor(relative.min(axis=0) + 1e-6), np.ceil(relative.max(axis=0) - 1e-6)
    first = base + low
    rows, columns = (int(n + h - lo) for n, lo, h in zip(size, low, high, strict=True))
    return relative - low, (float(first[0]), float(first[1])), (rows, columns)


def _thickness(entries: tuple[Entry, ...]) -> Positions:
    """Return the stated slice thickness of every slice in mm, NaN where it is not stated."""
    stated = [e.header.acquisition.slice_thickness_mm for e in entries]
    return np.array([np.nan if t is None else t for t in stated])


def _notes(entries: tuple[Entry, ...], geometry: Geometry, jitter: float) -> list[LoadCode]:
    gap, row_mm, column_mm = geometry.spacing_mm
    found = []
    if jitter > 0.01 * gap:
        found.append(note("position_jitter", largest_mm=round(jitter, 4)))
    if abs(row_mm - column_mm) > 1e-3 * column_mm:
        found.append(note("non_square_pixels", row_mm=row_mm, column_mm=column_mm))
    thickness = entries[len(entries) // 2].header.acquisition.slice_thickness_mm
    if thickness is None:
        found.append(note("thickness_unknown"))
    elif thickness > 1.05 * gap:
        found.append(note("overlapping_slices", thickness_mm=thickness, spacing_mm=gap))
    elif thickness < 0.95 * gap:
        found.append(note("slice_gap", thickness_mm=thickness, spacing_mm=gap))
    return found
