"""Bone that is missing beside a mass, in kinds: eaten away (no cortex left) or pressed in (the cortex kept).

The depth is the distance from the wall that is expected (`wall_reference`) to the wall that is there. What counts
as a depth is told by the patient: the same reading is made on every side of every vertebra that faces no mass, as if
one lay there, and only what exceeds nearly all of these is a defect. Osteophytes, hollows of vessels, noise, slice
thickness and a poor reference are in these readings and raise the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from paraspinal.masses.average import MAD_TO_SD
from paraspinal.measure.lost_cortex import Shell, read_shell
from paraspinal.measure.wall import ANGLES, BodyWall, Grid, border_within, peaks_at
from paraspinal.measure.wall_reference import Reference, enough, reference_of, side_sectors
from paraspinal.volume import BoolArray

_ALLOWED_MM = 1.0  # bone is followed so far beyond the expected wall: an osteophyte is no negative depth
_LEAST_AREA_MM2 = 20.0
_LEAST_NULLS = 6
_NULL_PERCENTILE = 95.0
_LEAST_LIMIT_MM = 1.0
_KEPT_SHARE = 0.5
_CORTEX_HALF = 0.5
_LEAST_CORTEX_HU = 60.0
_SOFT_HU = 50.0
_ENDS = ("L5",)  # of another form than its neighbours: a reference at most


@dataclass(frozen=True, slots=True)
class Defect:
    """A hollow of one body's wall: greatest depth (mm), area (mm²), and whether its floor has a cortex.

    ``cortex_kept`` is None where the body's own cortex is too faint to tell.
    """

    label: str
    depth_mm: float
    area_mm2: float
    cortex_kept: bool | None
    rays: BoolArray


@dataclass(frozen=True, slots=True)
class Judged:
    """What was read of the walls that face one mass.

    ``limit_mm`` is the depth that this patient's clean walls do not reach (95th percentile), ``spread_mm`` the SD
    of their readings; ``judged`` and ``skipped`` name vertebrae, the latter with the reason. ``shells`` are the
    readings of the cortex by vertebra, where it could be read.
    """

    defects: tuple[Defect, ...]
    limit_mm: float
    spread_mm: float
    judged: tuple[str, ...]
    skipped: Mapping[str, str]
    readings: int
    shells: Mapping[str, Shell]
    least_area_mm2: float = _LEAST_AREA_MM2

    def lost_outside_hollows(self) -> tuple[int, int]:
        """Return how many rays outside every hollow have lost their cortex, and of how many it was read."""
        told = lost = 0
        for label, shell in self.shells.items():
            hollow = np.zeros(shell.told.shape, bool)
            for defect in self.defects:
                if defect.label == label:  # what lies at a hollow's rim belongs to it
                    hollow |= ndimage.binary_dilation(defect.rays, np.ones((5, 5), bool))
            told += int(np.count_nonzero(shell.told & ~hollow))
            lost += int(np.count_nonzero(shell.lost & ~hollow))
        return lost, told


@dataclass(frozen=True, slots=True)
class CleanWalls:
    """The patient's walls with what may serve as reference, and the readings where no mass lies.

    ``nulls_mm`` are depths that were read on sides without a mass, ``spread_mm`` the SD of single rays against
    their reference; ``lost_shares`` are the parts of these sides that seem to have no cortex.
    """

    walls: tuple[BodyWall, ...]
    clean: Mapping[str, BoolArray]
    nulls_mm: npt.NDArray[np.float64]
    spread_mm: float
    lost_shares: npt.NDArray[np.float64]

    @property
    def limit_mm(self) -> float:
        """The depth that clean walls do not reach."""
        return max(_LEAST_LIMIT_MM, float(np.percentile(self.nulls_mm, _NULL_PERCENTILE)))


@dataclass(frozen=True, slots=True)
class FacingWall:
    """A wall that faces a mass, to be looked at: expected and read radius, depth (mm), [height, angle]."""

    wall: BodyWall
    rays: BoolArray
    reference_mm: Grid
    border_mm: Grid
    depth_mm: Grid


def facing_walls(
    known: CleanWalls, facing: Mapping[str, BoolArray], *, outside_hu: float = _SOFT_HU
) -> tuple[FacingWall, ...]:
    """Return the walls that face a mass, as `judge_erosion` reads them, where bone can be told from outside."""
    out = []
    for wall, rays, reference in _compared(known, facing):
        border = border_within(wall, reference.radius_mm + _ALLOWED_MM, outside_hu=outside_hu)
        if np.isfinite(border).any():
            depth = _depth(wall, reference, rays, outside_hu=outside_hu)
            out.append(FacingWall(wall, rays, reference.radius_mm, border, depth))
    return tuple(out)


def _compared(
    known: CleanWalls, facing: Mapping[str, BoolArray]
) -> Iterator[tuple[BodyWall, BoolArray, Reference]]:
    """Yield every wall that faces a mass with enough rays, these rays, and the wall that is expected."""
    for wall in known.walls:
        rays = facing.get(wall.label)
        if rays is not None and wall.label not in _ENDS and enough(rays):
            yield wall, rays, reference_of(wall, known.walls, known.clean, hidden=rays)


def clean_walls(walls: Sequence[BodyWall], facing: Mapping[str, BoolArray]) -> CleanWalls:
    """Return the walls as references; `facing` are the rays [height, angle] near any mass."""
    clean = {
        w.label: np.isfinite(w.radius_mm) & ~facing.get(w.label, np.zeros(w.radius_mm.shape, bool))
        for w in walls
    }
    nulls, residuals, lost = [], [], []
    for wall in walls:
        for side in side_sectors() if wall.label not in _ENDS else ():
            if np.count_nonzero(side & clean[wall.label]) < 0.8 * np.count_nonzero(side):
                continue
            reference = reference_of(wall, walls, clean, hidden=side)
            depth = _depth(wall, reference, side, outside_hu=_SOFT_HU)
            told = np.isfinite(depth)
            if not enough(told):
                continue
            defect = _deepest(wall, depth / reference.widening, _LEAST_LIMIT_MM)
            nulls.append(0.0 if defect is None else defect[0])
            residuals.append(depth[told])
            shell = _shell(wall, side, reference, walls, clean, outside_hu=_SOFT_HU)
            if shell is not None and enough(shell.told):
                lost.append(shell.share)
    # Bone is followed one millimetre outwards only, so that the spread is read from the depths.
    inwards = np.concatenate(residuals) if residuals else np.zeros(0)
    inwards = inwards[inwards > 0]
    spread = float(MAD_TO_SD * np.median(inwards)) if inwards.size else np.inf
    return CleanWalls(tuple(walls), clean, np.asarray(nulls, float), spread, np.asarray(lost, float))


def judge_erosion(known: CleanWalls, facing: Mapping[str, BoolArray], *, mass_hu: float) -> Judged | None:
    """Judge the walls that face a mass; None where too few clean walls tell what is normal in this patient.

    Parameters
    ----------
    facing : mapping of str to bool array [height, angle]
        Rays of every wall that end at this mass.
    mass_hu : float
        Mean of the mass: bone must be denser to be told from it.
    """
    if known.nulls_mm.size < _LEAST_NULLS:
        return None
    limit = known.limit_mm
    defects: list[Defect] = []
    outside = max(_SOFT_HU, mass_hu)
    judged, skipped, shells = [], {}, {}
    for wall, rays, reference in _compared(known, facing):
        depth = _depth(wall, reference, rays, outside_hu=outside)
        border = border_within(wall, reference.radius_mm, outside_hu=outside)
        if np.isnan(border).all():
            skipped[wall.label] = "its bone is hardly denser than the mass"
            continue
        if np.count_nonzero(np.isfinite(depth)) < 0.6 * np.count_nonzero(rays):
            skipped[wall.label] = "no clean reference for its wall"
            continue
        judged.append(wall.label)
        shell = _shell(wall, rays, reference, known.walls, known.clean, outside_hu=outside)
        if shell is not None:
            shells[wall.label] = shell
        found = _deepest(wall, depth / reference.widening, limit)
        if found is not None:
            _, area, part = found
            kept = _cortex_kept(wall, known.clean[wall.label] & ~rays, border, part)
            defects.append(
                Defect(wall.label, float(np.nanmax(np.where(part, depth, np.nan))), area, kept, part)
            )
    return Judged(
        tuple(defects), limit, known.spread_mm, tuple(judged), skipped, int(known.nulls_mm.size), shells
    )


def _shell(
    wall: BodyWall,
    rays: BoolArray,
    reference: Reference,
    walls: Sequence[BodyWall],
    clean: Mapping[str, BoolArray],
    *,
    outside_hu: float,
) -> Shell | None:
    border = border_within(wall, reference.radius_mm + _ALLOWED_MM, outside_hu=outside_hu)
    expected = reference.radius_mm
    return read_shell(wall, rays, walls=walls, clean=clean, expected_mm=expected, border_mm=border)


def _depth(wall: BodyWall, reference: Reference, rays: BoolArray, *, outside_hu: float) -> Grid:
    """Return how deep (mm) the wall lies under its reference surface, NaN elsewhere; smoothed over neighbours.

    Depth is the way to the nearest point of that surface: along a ray that meets the wall obliquely it is longer.
    """
    border = border_within(wall, reference.radius_mm + _ALLOWED_MM, outside_hu=outside_hu)
    inwards = reference.radius_mm - border
    told = rays & np.isfinite(inwards)
    raw = np.full(border.shape, np.nan, np.float32)
    if told.any():
        known = np.isfinite(reference.radius_mm)
        surface = cKDTree(wall.points(reference.radius_mm)[known])
        away = surface.query(wall.points(border)[told])[0]
        # Points of the surface lie millimetres apart: no depth is more than the way along the ray.
        raw[told] = np.where(inwards[told] > 0, np.minimum(away, inwards[told]), inwards[told])
    return _median_of_neighbours(raw)


def _median_of_neighbours(values: Grid) -> Grid:
    padded = np.pad(values, 1, constant_values=np.nan)
    rows, columns = values.shape
    stack = np.stack([padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)])
    told = np.isfinite(stack).sum(axis=0)
    ordered = np.sort(stack, axis=0)
    middle = np.take_along_axis(ordered, np.maximum((told - 1) // 2, 0)[None], 0)[0]
    return np.where(np.isfinite(values) & (told >= 4), middle, np.nan).astype(np.float32)


def _deepest(wall: BodyWall, depth: Grid, limit_mm: float) -> tuple[float, float, BoolArray] | None:
    """Return depth, area and rays of the deepest hollow deeper than a limit that is no speck."""
    deep = np.nan_to_num(depth, nan=-1.0) > limit_mm
    if not deep.any():
        return None
    cell = _cell_areas(wall)
    labels = np.asarray(cc3d.connected_components(deep[None].astype(np.uint8), connectivity=6))[0]
    best: tuple[float, float, BoolArray] | None = None
    for k in range(1, int(labels.max()) + 1):
        part = labels == k
        area = float(cell[part].sum())
        if area < _LEAST_AREA_MM2:
            continue
        value = float(depth[part].max())
        if best is None or value > best[0]:
            best = (value, area, part)
    return best


def _cell_areas(wall: BodyWall) -> Grid:
    """Return the area (mm²) of wall that each ray stands for."""
    step = float(np.linalg.norm(wall.feet_lps_mm[1] - wall.feet_lps_mm[0]))
    turn = float(ANGLES[1] - ANGLES[0])
    radius = np.nan_to_num(wall.radius_mm, nan=wall.typical_mm)
    return np.asarray(radius * turn * step, np.float32)


def _cortex_kept(wall: BodyWall, clean: BoolArray, border: Grid, part: BoolArray) -> bool | None:
    """Tell whether the floor of a hollow has a cortex: peaks at least half as high as on the body's clean wall."""
    peaks = wall.peak_hu[clean]
    if np.count_nonzero(np.isfinite(peaks)) < 30:
        return None
    cortex = float(np.nanmedian(peaks)) - wall.core_hu
    if cortex < _LEAST_CORTEX_HU:
        return None
    floor = peaks_at(wall, border)
    core = ndimage.binary_erosion(part)
    inner = (
        part if np.count_nonzero(core) < 4 else core
    )  # at its rim a hollow has the cortex of the wall around it
    high = floor[inner] > wall.core_hu + _CORTEX_HALF * cortex
    return bool(high.mean() > _KEPT_SHARE)
