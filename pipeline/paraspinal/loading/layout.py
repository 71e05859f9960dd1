"""Where the slices of a stack lie, from orientation and position alone.

Slice Thickness and Spacing Between Slices are never spacing: both are wrong in real files, and the positions say
it exactly. A stack that is no evenly spaced box is refused with the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading.codes import note, refuse
from paraspinal.loading.scan import Entry
from paraspinal.loading.stacks import Stack
from paraspinal.result import LoadCode
from paraspinal.volume import Geometry

Positions = npt.NDArray[np.float64]

# Direction cosines are written with 6 significant digits or more; beyond this they are no rotation.
_COSINE_ERROR = 0.01


@dataclass(frozen=True, slots=True)
class Layout:
    """Slices in order along their normal (row × column direction), and the grid [slice, row, column] they form."""

    entries: tuple[Entry, ...]
    geometry: Geometry
    notes: tuple[LoadCode, ...]


def lay_out(stack: Stack, *, config: LoadingConfig) -> Layout:
    """Order the slices of a stack and prove that they form an evenly spaced box.

    Raises
    ------
    LoadError
        ``missing_geometry``, ``invalid_geometry``, ``one_position``, ``duplicate_positions``, ``gantry_tilt``,
        ``irregular_positions``, ``missing_slices`` or ``variable_spacing``, with numbers in ``details``.
    """
    row, column, spacing, positions = _planes(stack)
    normal = np.cross(row, column)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    along, positions = along[order], positions[order]
    _check_distinct(stack, along, config)
    _check_line(stack, positions - np.outer(along, normal), along, config, pixel_mm=min(spacing))
    gap, jitter = _even_gap(stack, along, config)
    pixels = stack.header.pixels
    if pixels is None:
        raise refuse("no_pixel_data", f"The {stack.label} holds no pixel data.")
    x, y, z = (float(v) for v in positions[0])
    geometry = Geometry(
        (len(along), pixels.rows, pixels.columns),
        (gap, spacing[0], spacing[1]),
        (x, y, z),
        np.stack([normal, column, row], axis=1),
    )
    entries = tuple(stack.entries[i] for i in order)
    return Layout(entries, geometry, tuple(_notes(entries, geometry, jitter)))


def _planes(stack: Stack) -> tuple[Positions, Positions, tuple[float, float], Positions]:
    """Return row direction, column direction, (row, column) spacing and all positions, each checked."""
    planes = [entry.header.plane for entry in stack.entries]
    first = planes[0]
    positions = [plane.position for plane in planes if plane.position is not None]
    if first.orientation is None or first.spacing is None or len(positions) != len(planes):
        raise refuse(
            "missing_geometry",
            f"The {stack.label} does not state position, orientation or pixel spacing for every slice.",
            slices=len(planes),
        )
    row, column = np.asarray(first.orientation[:3]), np.asarray(first.orientation[3:])
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1.0).max() > _COSINE_ERROR or abs(float(row @ column)) > _COSINE_ERROR:
        raise refuse("invalid_geometry", f"The directions of {stack.label} are no right-angled unit vectors.")
    if not all(0.01 <= s <= 20.0 for s in first.spacing):
        raise refuse(
            "invalid_geometry", f"The pixel spacing of {stack.label} is impossible.", spacing_mm=first.spacing
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    return row, column, (first.spacing[0], first.spacing[1]), np.asarray(positions, dtype=np.float64)


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


def _check_line(
    stack: Stack, in_plane: Positions, along: Positions, config: LoadingConfig, *, pixel_mm: float
) -> None:
    """Refuse a stack that leans (gantry tilt) or wanders sideways.

    The tilt is read from the positions: the tag that states it is missing, or has the wrong sign, often enough.
    """
    centred = along - along.mean()
    slope = centred @ (in_plane - in_plane.mean(axis=0)) / (centred @ centred)
    tilt = float(np.linalg.norm(slope))
    if tilt > config.tilt_tolerance:
        raise refuse(
            "gantry_tilt",
            f"The slices of {stack.label} are tilted by {np.degrees(np.arctan(tilt)):.1f} degrees.",
            tilt_deg=round(float(np.degrees(np.arctan(tilt))), 3),
        )
    residual = in_plane - in_plane.mean(axis=0) - np.outer(centred, slope)
    worst = float(np.linalg.norm(residual, axis=1).max())
    if worst > config.sideways_tolerance_px * pixel_mm:
        raise refuse(
            "irregular_positions",
            f"Slices of {stack.label} are shifted sideways by up to {worst:.2f} mm.",
            shift_mm=round(worst, 3),
        )


def _even_gap(stack: Stack, along: Positions, config: LoadingConfig) -> tuple[float, float]:
    """Return the common distance of neighbours and the largest departure from the even grid, in mm."""
    gaps = np.diff(along)
    gap = round(float((along[-1] - along[0]) / len(gaps)), 6)  # 1 nm: what is left of decimal strings
    jitter = float(np.abs(along - (along[0] + gap * np.arange(len(along)))).max())
    if jitter <= _limit(gap, config):
        return gap, jitter
    raise _uneven(stack, gaps, config)


def _limit(gap: float, config: LoadingConfig) -> float:
    return max(config.even_tolerance_mm, config.spacing_tolerance * gap)


def _uneven(stack: Stack, gaps: Positions, config: LoadingConfig) -> LoadError:
    """Return the refusal of uneven gaps: slices missing if all are multiples of the smallest, else variable."""
    smallest = float(gaps.min())
    steps = np.rint(gaps / smallest)
    limit = _limit(smallest, config)
    details = {
        "slices": len(gaps) + 1,
        "gap_min_mm": round(smallest, 4),
        "gap_median_mm": round(float(np.median(gaps)), 4),
        "gap_max_mm": round(float(gaps.max()), 4),
    }
    if (np.abs(gaps - steps * smallest) <= limit * steps).all() and np.median(steps) == 1:
        missing = int((steps - 1).sum())
        return refuse(
            "missing_slices",
            f"{_slices(missing)} missing in {stack.label} ({len(gaps) + 1} found, {smallest:.2f} mm apart).",
            missing=missing,
            longest_run=int(steps.max()) - 1,
            **details,
        )
    return refuse(
        "variable_spacing",
        f"The slices of {stack.label} lie between {smallest:.2f} and {gaps.max():.2f} mm apart.",
        **details,
    )


def _slices(count: int) -> str:
    return "1 slice is" if count == 1 else f"{count} slices are"


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
