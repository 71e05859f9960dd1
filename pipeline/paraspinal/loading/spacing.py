"""The evenly spaced positions that a stack's slices stand on, or nearly stand on.

A slice that stands on the grid stays as it is. Positions of the grid where no slice stands are interpolated, as
long as the way between slices is short; a longer way is refused, because nobody knows what lies there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading.codes import refuse, repaired
from paraspinal.loading.histopolation import tiling_edges
from paraspinal.result import LoadCode

Positions = npt.NDArray[np.float64]

# Engineering defaults, held by the readers' table of docs/loading.md (spheres, each defect).
# A spacing that fewer of the gaps have is an accident of a junction, not the spacing of a scan.
_COMMON_SHARE = 0.1
# Gaps of which fewer belong to a few values scatter.
_STRUCTURED = 0.6
# Slices whose thickness reaches this share of the way to the next one leave no tissue out between them.
_CONTIGUOUS = 0.9
# This many equal, larger gaps in a row are another spacing, fewer are missing slices.
_STRETCH = 3


@dataclass(frozen=True, slots=True)
class EvenGrid:
    """Evenly spaced positions along the normal.

    Parameters
    ----------
    first_mm, gap_mm : float
        Position ``k`` lies at ``first_mm + k × gap_mm``.
    source_of : ndarray of int, shape (positions,)
        Which slice stands there; -1 where none does and one is interpolated.
    jitter_mm : float
        Largest distance of a slice from the position that it is taken to stand on.
    notes : tuple of LoadCode
        What was repaired.
    edges_mm : ndarray, shape (slices + 1,), or None
        Edges of the slices, where they tile the volume and are interpolated so that each keeps its content.
    """

    first_mm: float
    gap_mm: float
    source_of: npt.NDArray[np.intp]
    jitter_mm: float = 0.0
    notes: tuple[LoadCode, ...] = ()
    edges_mm: Positions | None = None

    @property
    def count(self) -> int:
        """Number of positions."""
        return len(self.source_of)

    @property
    def plain(self) -> bool:
        """Whether the slices, all of them and in their order, are the grid."""
        return not self.notes


def even_grid(label: str, along: Positions, thickness: Positions, *, config: LoadingConfig) -> EvenGrid:
    """Return the grid of slices at `along` (ascending, mm) that are `thickness` mm thick (NaN: not stated).

    Raises
    ------
    LoadError
        ``missing_slices`` or ``variable_spacing``.
    """
    gaps = np.diff(along)
    gap = round(float((along[-1] - along[0]) / len(gaps)), 6)  # 1 nm: what is left of decimal strings
    jitter = float(np.abs(along - (along[0] + gap * np.arange(len(along)))).max())
    if jitter <= _limit(gap, config):
        return EvenGrid(float(along[0]), gap, np.arange(len(along)), jitter)
    base = _common_gap(gaps, config)
    return _with_gaps(label, along, base, config) or _varying(label, along, thickness, base, config)


def _limit(gap: float, config: LoadingConfig) -> float:
    return max(config.even_tolerance_mm, config.spacing_tolerance * gap)


def _common_gap(gaps: Positions, config: LoadingConfig) -> float:
    """Return the smallest gap that is no accident: that of a tenth of the slices or more.

    Gaps that scatter around one value, rather than having a few, have none: it is their mean then.
    """
    ordered = np.sort(gaps)
    width = np.maximum(config.even_tolerance_mm, config.spacing_tolerance * ordered[:-1])
    groups = np.split(ordered, np.flatnonzero(np.diff(ordered) > width) + 1)
    need = min(max(2.0, _COMMON_SHARE * len(gaps)), max(len(group) for group in groups))
    common = [group for group in groups if len(group) >= need]
    tight = all(np.ptp(group) <= 2 * _limit(float(group.mean()), config) for group in common)
    if not tight or sum(len(group) for group in common) < _STRUCTURED * len(gaps):
        return float(gaps.mean())
    return float(common[0].mean())


def _with_gaps(label: str, along: Positions, base: float, config: LoadingConfig) -> EvenGrid | None:
    """Return the grid of slices that all stand on multiples of `base`; None if they do not."""
    steps = np.rint(np.diff(along) / base).astype(np.intp)
    if (steps < 1).any():
        return None
    slots = np.concatenate([[0], np.cumsum(steps)])
    gap, first = (float(v) for v in np.polyfit(slots, along, 1))
    off = np.abs(along - (first + gap * slots))
    if float(off.max()) > _limit(gap, config):
        return None
    source_of = np.full(int(slots[-1]) + 1, -1, dtype=np.intp)
    source_of[slots] = np.arange(len(along))
    run = int(steps.max()) - 1
    missing = int((steps - 1).sum())
    if not missing:
        return EvenGrid(first, round(gap, 6), source_of, float(off.max()))
    numbers = {"missing": missing, "longest_run": run, "gap_mm": round(gap, 4), "slices": len(along)}
    if run > config.max_missing_slices or run * gap > config.max_missing_mm + _limit(gap, config):
        raise refuse(
            "missing_slices",
            f"{_slices(missing)} missing in {label}, up to {run} in a row"
            f" ({len(along)} found, {gap:.2f} mm apart; at most {config.max_missing_slices} in a row"
            f" and {config.max_missing_mm:g} mm are interpolated).",
            **numbers,
        )
    stretch = _longest_stretch(steps)
    code = repaired(
        "variable_spacing" if stretch >= _STRETCH else "missing_slices",
        f"{_slices(missing)} missing and {'was' if missing == 1 else 'were'} interpolated"
        f" ({len(along)} found, {gap:.2f} mm apart).",
        config=config,
        slices=tuple(int(i) for i in np.flatnonzero(source_of < 0)),
        missing=missing,
        longest_run=run,
        gap_mm=round(gap, 4),
    )
    return EvenGrid(first, round(gap, 6), source_of, float(off.max()), (code,))


def _longest_stretch(steps: npt.NDArray[np.intp]) -> int:
    """Return the largest number of equal gaps in a row that are wider than the smallest."""
    longest = run = 0
    for before, step in zip([0, *steps], steps, strict=False):
        run = (run + 1 if step == before else 1) if step > 1 else 0
        longest = max(longest, run)
    return longest


def _varying(
    label: str, along: Positions, thickness: Positions, base: float, config: LoadingConfig
) -> EvenGrid:
    """Return the finest grid of a stack whose parts have different spacing, if no part leaves tissue out."""
    gaps = np.diff(along)
    reach = np.fmin(thickness[:-1], thickness[1:])
    contiguous = reach >= _CONTIGUOUS * gaps
    short = gaps <= base + config.max_missing_mm
    few = gaps <= base * (config.max_missing_slices + 1) * (1 + config.spacing_tolerance)
    if not (contiguous | (short & few)).all():
        raise _uneven(label, gaps)
    anchor = float(along[_stretch_start(gaps, base, config)])
    before = int((anchor - along[0]) / base + 1e-6)
    after = int((along[-1] - anchor) / base + 1e-6)
    first = anchor - before * base
    places = first + base * np.arange(before + after + 1)
    nearest = np.abs(along[None, :] - places[:, None]).argmin(axis=1)
    stands = np.abs(along[nearest] - places) <= _limit(base, config)
    edges = tiling_edges(along, thickness, share=1.0 - _CONTIGUOUS)
    if edges is not None:  # a thick slice stands for more than the thin one at its middle
        stands &= np.abs(np.diff(edges)[nearest] - base) <= 2 * _limit(base, config)
    source_of = np.where(stands, nearest, -1)
    unused = _unused(along, places.astype(np.float64), source_of)
    code = repaired(
        "variable_spacing",
        f"The slices of {label} lie between {gaps.min():.2f} and {gaps.max():.2f} mm apart; they were"
        f" {'interpolated to' if (source_of < 0).any() else 'put on an even grid of'} {base:.2f} mm."
        + (f" {unused} of them lie between these positions and are not used." if unused else ""),
        config=config,
        slices=tuple(int(i) for i in np.flatnonzero(source_of < 0)),
        gap_min_mm=round(float(gaps.min()), 4),
        gap_max_mm=round(float(gaps.max()), 4),
        gap_mm=round(base, 4),
        interpolated=int((source_of < 0).sum()),
        unused=unused,
    )
    jitter = float(np.abs(along[nearest] - places)[stands].max(initial=0.0))
    return EvenGrid(first, round(base, 6), source_of, jitter, (code,), edges)


def _unused(along: Positions, places: Positions, source_of: npt.NDArray[np.intp]) -> int:
    """Count the slices that neither stand on the grid nor lie beside a position that is interpolated.

    They lie between two slices of the grid: no position lacks an image for want of them.
    """
    above = np.clip(np.searchsorted(along, places[source_of < 0]), 1, len(along) - 1)
    return len(along) - len(np.unique(np.concatenate([source_of[source_of >= 0], above - 1, above])))


def _stretch_start(gaps: Positions, base: float, config: LoadingConfig) -> int:
    """Return the slice that begins the longest stretch of the common gap."""
    common = np.abs(gaps - base) <= _limit(base, config)
    best = start = length = best_length = 0
    for index, same in enumerate(common):
        if not same:
            length = 0
            continue
        start = index if length == 0 else start
        length += 1
        if length > best_length:
            best, best_length = start, length
    return best


def _uneven(label: str, gaps: Positions) -> LoadError:
    return refuse(
        "variable_spacing",
        f"The slices of {label} lie between {gaps.min():.2f} and {gaps.max():.2f} mm apart, too far to interpolate.",
        slices=len(gaps) + 1,
        gap_min_mm=round(float(gaps.min()), 4),
        gap_median_mm=round(float(np.median(gaps)), 4),
        gap_max_mm=round(float(gaps.max()), 4),
    )


def _slices(count: int) -> str:
    return "1 slice is" if count == 1 else f"{count} slices are"
