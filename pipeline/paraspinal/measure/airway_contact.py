"""How near a mass comes to trachea and main bronchi, and how much of the trachea's lumen is lost beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.masses.average import robust_sd
from paraspinal.measure.gates import why_not
from paraspinal.measure.native import Box, distance_on_box, native_box
from paraspinal.measure.size import Mesh
from paraspinal.measure.uncertainty import RECTANGULAR, half_range
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray, CTVolume, Region, Spacing

DISTANCE, NARROWING = "airway_distance_mm", "airway_narrowing_fraction"

_WALL_HU = (-600.0, -500.0, -400.0)  # half way between air and soft tissue, and 100 HU to either side
_RIM_MM = 1.0  # outside the coarse outline; farther out, lung beside a thin wall would count
_LEAST_PIECE_MM2 = 15.0  # smaller pieces of a slice are no lumen
_LEAST_SLICES = 2
_LARYNX_SHARE = (
    0.7  # of the trachea's median: what narrows up to where following began is larynx, or no whole lumen
)
_SMOOTH_MM = 3.0  # along the trachea: areas and, twice as much, its course
_FLARE_MM = 6.0  # the trachea widens above its division
_REFERENCE_MM = 30.0  # clean lumen so far above and below is compared
_END_MM = 4.0  # so near to where following ended the airway may go on unseen
_DISTANCE_METHOD = "type A: both borders moved by half a voxel in and out"
_NARROWING_METHOD = "type A: threshold of the wall moved by 100 HU, spread of the clean lumen"

Floats = npt.NDArray[np.float64]
Away = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lumen:
    """The lumen on native voxels of ``box``, [z, y, x], for walls at −600, −500 and −400 HU."""

    box: Box
    parts: tuple[BoolArray, BoolArray, BoolArray]

    @property
    def mask(self) -> BoolArray:
        """The lumen up to half way between air and wall."""
        return self.parts[1]


@dataclass(frozen=True, slots=True)
class Trachea:
    """Slices of the trachea, caudal first: ``rows`` in the lumen's box, and ``areas_mm2`` [threshold, row].

    Areas are those at right angles to its course. ``divided``: its lower end is the bifurcation.
    """

    rows: npt.NDArray[np.int64]
    areas_mm2: Floats
    divided: bool


def measure_airway(
    volume: CTVolume,
    anatomy: Anatomy,
    view: MassView,
    mesh: Mesh,
    quality: ScanQuality,
    config: MeasureConfig,
) -> Measurements:
    """Return ``airway_distance_mm`` and ``airway_narrowing_fraction`` of one mass.

    Parameters
    ----------
    anatomy : Anatomy
        Its mask ``airway``: lumen of trachea and main bronchi as far as they were followed, working grid.
    mesh : Mesh
        Surface of the mass, mm in the box of `view`.
    """
    mask = anatomy.mask("airway")
    if not mask.any():
        organ = anatomy.organs.get("airway")
        reason = (organ.reason if organ else None) or "no airway was followed"
        return {DISTANCE: Measurement.missing("mm", reason), NARROWING: Measurement.missing("1", reason)}
    lumen = read_lumen(volume, anatomy)
    surface = mesh.vertices_mm + [b.start * s for b, s in zip(view.box, view.spacing_mm, strict=True)]
    away = _distances(lumen, surface, view.spacing_mm, view.pixel_mm)
    return {
        DISTANCE: _distance(lumen, away, view, volume),
        NARROWING: _narrowing(lumen, away, view, quality, config),
    }


def read_lumen(volume: CTVolume, anatomy: Anatomy) -> Lumen:
    """Return the lumen on native voxels: air within 1 mm of the outline that the working grid holds."""
    mask = anatomy.mask("airway")
    box = native_box(volume, anatomy.geometry, Region.of(mask), margin_mm=2.0)
    near = distance_on_box(mask, anatomy.geometry, volume.geometry, box) > -_RIM_MM
    hu = volume.hu[box]
    low, middle, high = (near & (hu < wall) for wall in _WALL_HU)
    return Lumen(box, (low, middle, high))


def read_trachea(lumen: Lumen, spacing_mm: Spacing) -> Trachea:
    """Return the trachea: the slices that hold one lumen, from below the larynx until it divides or ends."""
    dz, dy, dx = spacing_mm
    numbered, size = _pieces(lumen.mask)
    rows: list[int] = []
    divided = False
    for z in range(len(numbered) - 1, -1, -1):
        here = np.unique(numbered[z][lumen.mask[z]])
        count = int(np.count_nonzero(size[here] * dy * dx >= _LEAST_PIECE_MM2))
        if count == 1:
            rows.append(z)
        elif rows:
            divided = count > 1
            break
    order = np.array(rows[::-1], dtype=np.int64)
    if len(order) < _LEAST_SLICES:
        return Trachea(order[:0], np.zeros((len(_WALL_HU), 0)), divided)
    areas = np.array([np.count_nonzero(part[order], axis=(1, 2)) * dy * dx for part in lumen.parts], float)
    middle = np.array([np.argwhere(lumen.mask[z]).mean(axis=0) for z in order]) * (dy, dx)
    course = ndimage.gaussian_filter1d(middle, 2.0 * _SMOOTH_MM / dz, axis=0, mode="nearest")
    slope = np.gradient(course, dz, axis=0)
    upright = areas / np.sqrt(1.0 + (slope**2).sum(axis=1))
    even = ndimage.uniform_filter1d(upright, max(1, round(_SMOOTH_MM / dz)), axis=1, mode="nearest")
    top = 1 + int(np.flatnonzero(even[1] >= _LARYNX_SHARE * np.median(even[1]))[-1])
    return Trachea(order[:top], np.asarray(even[:, :top]), divided)


def _pieces(mask: BoolArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Number the connected pieces of every slice on its own; their sizes in voxels, 0 for the outside."""
    within = np.zeros((3, 3, 3), bool)
    within[1] = True
    numbered, _ = ndimage.label(mask, structure=within)
    size = np.bincount(numbered.ravel())
    size[0] = 0
    return np.asarray(numbered, np.int32), size


def _ends(lumen: Lumen, volume: CTVolume) -> BoolArray:
    """Return the lumen where it was followed no farther, up or down, short of the scan's end."""
    numbered, size = _pieces(lumen.mask)
    pixel_mm2 = float(np.prod(volume.geometry.spacing_mm[1:]))
    small = size * pixel_mm2 < _LEAST_PIECE_MM2  # a corner of the lumen that the slice cuts
    wide = ndimage.maximum_filter(lumen.mask, (1, 5, 5))
    ended = np.zeros(len(size), bool)
    first, last = lumen.box[0].start == 0, lumen.box[0].stop == len(volume.hu)
    edge = np.ones_like(wide[:1])
    for beside in (
        np.concatenate([edge & first, wide[:-1]]),
        np.concatenate([wide[1:], edge & last]),
    ):
        followed = small.copy()
        followed[numbered[beside & lumen.mask]] = True
        ended |= ~followed
    ended[0] = False
    return np.asarray(ended[numbered])


def _distances(lumen: Lumen, surface_mm: Floats, spacing_mm: Spacing, pixel_mm: float) -> Away:
    """Return the distance (mm) of every voxel of the lumen's rim to the mass's surface; infinite elsewhere."""
    rim = lumen.mask & ~ndimage.binary_erosion(lumen.mask)
    out = np.full(rim.shape, np.inf, np.float32)
    if rim.any():
        places = np.argwhere(rim) + [b.start for b in lumen.box]
        found = cKDTree(surface_mm).query(places * np.asarray(spacing_mm))[0]
        out[rim] = np.maximum(found - 0.5 * pixel_mm, 0.0)
    return out


def _distance(lumen: Lumen, away: Away, view: MassView, volume: CTVolume) -> Measurement:
    if not np.isfinite(away).any():
        return Measurement.missing("mm", "no air was found where the airway was outlined")
    least = float(away.min())
    ends = _ends(lumen, volume)
    reach = [round(_END_MM / s) for s in view.spacing_mm]
    nearest = np.argwhere(away <= least + view.pixel_mm)
    low, high = np.maximum(nearest.min(axis=0) - reach, 0), nearest.max(axis=0) + reach + 1
    if ends[low[0] : high[0], low[1] : high[1], low[2] : high[2]].any():
        reason = f"nearest, {least:.0f} mm away, is a place where the airway was followed no farther"
        return Measurement.missing("mm", reason)
    return Measurement.measured(
        least,
        "mm",
        type_a=2.0**0.5 * 0.5 * view.pixel_mm * RECTANGULAR,
        method=_DISTANCE_METHOD,
        region="lumen of trachea and main bronchi, without its wall",
    )


def _narrowing(
    lumen: Lumen, away: Away, view: MassView, quality: ScanQuality, config: MeasureConfig
) -> Measurement:
    """Return the share of the lumen that is lost where the trachea passes the mass.

    The reference is the median of clean lumen within 30 mm; of that above and that below the smaller one counts,
    so that a trachea that widens steadily is not narrow.
    """
    refusal = why_not(NARROWING, quality, config, slice_mm=view.slice_mm)
    if refusal is not None:
        return Measurement.missing("1", refusal)
    trachea = read_trachea(lumen, view.spacing_mm)
    beside = away[trachea.rows].min(axis=(1, 2), initial=np.inf) <= config.airway_near_mm
    if not beside.any():
        return Measurement.missing("1", f"no trachea lies within {config.airway_near_mm:g} mm of the mass")
    # A lumen that is pressed aside lies farther from the mass where it is narrowest: all heights of the mass count.
    heights = np.flatnonzero(view.mask.any(axis=(1, 2)))[[0, -1]] + view.box[0].start - lumen.box[0].start
    first, last = trachea.rows[beside][[0, -1]]
    beside |= (trachea.rows >= min(first, heights[0])) & (trachea.rows <= max(last, heights[1]))
    clean = _clean(trachea, beside, view.spacing_mm[0])
    least_slices = config.airway_clean_mm / view.spacing_mm[0]
    if min(len(stretch) for stretch in clean) < least_slices:
        return Measurement.missing(
            "1", f"less than {config.airway_clean_mm:g} mm of trachea away from the mass above or below it"
        )
    lost = [_lost(areas, beside, clean) for areas in trachea.areas_mm2]
    spread, usual = _usual(trachea.areas_mm2[1], clean)
    limit = max(config.airway_narrowed, usual)
    if lost[1] < limit:
        return Measurement.below("1", "the trachea is not narrower beside the mass", limit=limit)
    return Measurement.measured(
        lost[1],
        "1",
        type_a=float(np.hypot(half_range(lost), spread)),
        method=_NARROWING_METHOD,
        detection_limit=limit,
        region=f"trachea within {config.airway_near_mm:g} mm of the mass",
    )


def _clean(trachea: Trachea, beside: BoolArray, dz: float) -> tuple[Rows, Rows]:
    """Return the places (indices of `trachea.rows`) of clean lumen below and above what lies beside the mass."""
    reach, at = round(_REFERENCE_MM / dz), np.flatnonzero(beside)
    flare = round(_FLARE_MM / dz) if trachea.divided else 0
    below = np.arange(max(flare, at[0] - reach), at[0])
    above = np.arange(at[-1] + 1, min(len(beside), at[-1] + 1 + reach))
    return below, above


def _lost(areas: Floats, beside: BoolArray, clean: tuple[Rows, Rows]) -> float:
    reference = min(float(np.median(areas[stretch])) for stretch in clean)
    return 1.0 - float(areas[beside].min()) / reference


def _usual(areas: Floats, clean: tuple[Rows, Rows]) -> tuple[float, float]:
    """Return the spread of the clean lumen about its medians, and the greatest loss that it shows itself."""
    shares = np.concatenate([areas[stretch] / np.median(areas[stretch]) for stretch in clean])
    return robust_sd(shares.astype(np.float32)), 1.0 - float(shares.min())
