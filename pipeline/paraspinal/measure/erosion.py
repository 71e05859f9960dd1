"""Bone that is missing beside a mass, in kinds: eaten away (no cortex left) or pressed in (the cortex kept).

The depth is the distance from the wall that is expected (`wall_reference`) to the wall that is there. What counts
as a depth is told by the patient: the same reading is made on every side of every vertebra that faces no mass, as if
one lay there, and only what exceeds nearly all of these is a defect. Osteophytes, hollows of vessels, noise, slice
thickness and a poor reference are in these readings and raise the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.masses.average import MAD_TO_SD
from paraspinal.measure.hollow import deepest_hollow, depth_under
from paraspinal.measure.hollow_floor import cortex_kept_probability
from paraspinal.measure.lost_cortex import Shell, read_shell
from paraspinal.measure.null_limit import null_limit
from paraspinal.measure.wall import BodyWall, Grid, border_within
from paraspinal.measure.wall_reference import Reference, enough, reference_of, side_sectors
from paraspinal.volume import BoolArray

_ALLOWED_MM = 1.0  # bone is followed so far beyond the expected wall: an osteophyte is no negative depth
_LEAST_AREA_MM2 = 20.0
_LEAST_NULLS = 6
_CLEAN_SHARE = 0.8
_LEAST_LIMIT_MM = 1.0
_SOFT_HU = 50.0
_ENDS = ("L5",)  # of another form than its neighbours: a reference at most


@dataclass(frozen=True, slots=True)
class Defect:
    """A hollow of one body's wall: greatest depth (mm), area (mm²), and the probability that its floor has a cortex.

    ``kept_probability`` is None where the body's own cortex is too faint to tell.
    """

    label: str
    depth_mm: float
    area_mm2: float
    kept_probability: float | None
    rays: BoolArray

    @property
    def cortex_kept(self) -> bool | None:
        """Whether its floor has a cortex rather than none; None where that cannot be told."""
        return None if self.kept_probability is None else self.kept_probability > 0.5


@dataclass(frozen=True, slots=True)
class Judged:
    """What was read of the walls that face one mass.

    ``limit_mm`` is the depth that this patient's clean walls do not reach (95 %), wider where references are few or
    far, at the least sure of the walls; ``spread_mm`` the SD of their readings; ``judged`` and ``skipped`` name
    vertebrae, the latter with the reason. ``shells`` are the readings of the cortex by vertebra, where it could be
    read.
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
    their reference; ``lost_shares`` are the parts of these sides that seem to have no cortex;
    ``short_mm`` is by how much references are short of these sides (median), which is added to every reference.
    """

    walls: tuple[BodyWall, ...]
    clean: Mapping[str, BoolArray]
    nulls_mm: npt.NDArray[np.float64]
    spread_mm: float
    lost_shares: npt.NDArray[np.float64]
    short_mm: float = 0.0

    @property
    def limit_mm(self) -> float:
        """The depth that another clean wall does not reach (95 %)."""
        return max(_LEAST_LIMIT_MM, null_limit(self.nulls_mm))


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
        border = _border(wall, reference, outside_hu)
        if np.isfinite(border).any():
            depth = depth_under(wall, reference.radius_mm, border, rays)
            out.append(FacingWall(wall, rays, reference.radius_mm, border, depth))
    return tuple(out)


def _compared(
    known: CleanWalls, facing: Mapping[str, BoolArray]
) -> Iterator[tuple[BodyWall, BoolArray, Reference]]:
    """Yield every wall that faces a mass with enough rays, these rays, and the wall that is expected."""
    for wall in known.walls:
        rays = facing.get(wall.label)
        if rays is not None and wall.label not in _ENDS and enough(rays):
            found = reference_of(wall, known.walls, known.clean, hidden=rays)
            yield wall, rays, replace(found, radius_mm=found.radius_mm + np.float32(known.short_mm))


def clean_walls(walls: Sequence[BodyWall], facing: Mapping[str, BoolArray]) -> CleanWalls:
    """Return the walls as references; `facing` are the rays [height, angle] near any mass."""
    clean = {
        w.label: np.isfinite(w.radius_mm) & ~facing.get(w.label, np.zeros(w.radius_mm.shape, bool))
        for w in walls
    }
    sides = list(_clean_sides(walls, clean))
    told = [(w.radius_mm - r.radius_mm)[side & np.isfinite(r.radius_mm)] for w, side, r in sides]
    known = np.concatenate([t[np.isfinite(t)] for t in told]) if told else np.zeros(0)
    short = float(np.median(known)) if known.size else 0.0
    nulls, residuals, lost = [], [], []
    for wall, side, found in sides:
        reference = replace(found, radius_mm=found.radius_mm + np.float32(short))
        border = _border(wall, reference, _SOFT_HU)
        depth = depth_under(wall, reference.radius_mm, border, side)
        if not enough(np.isfinite(depth)):
            continue
        # What a hollow must have beyond the limit, so much of a clean side is compared with it.
        defect = deepest_hollow(
            wall,
            depth / reference.widening,
            0.0,
            least_area_mm2=_LEAST_AREA_MM2,
            floor_mm2=_LEAST_AREA_MM2,
        )
        nulls.append(0.0 if defect is None else defect.depth_mm)
        residuals.append(depth[np.isfinite(depth)])
        shell = read_shell(
            wall, side, walls=walls, clean=clean, expected_mm=reference.radius_mm, border_mm=border
        )
        if shell is not None and enough(shell.told):
            lost.append(shell.share)
    # Bone is followed one millimetre outwards only, so that the spread is read from the depths.
    inwards = np.concatenate(residuals) if residuals else np.zeros(0)
    inwards = inwards[inwards > 0]
    spread = float(MAD_TO_SD * np.median(inwards)) if inwards.size else np.inf
    return CleanWalls(tuple(walls), clean, np.asarray(nulls, float), spread, np.asarray(lost, float), short)


def _clean_sides(
    walls: Sequence[BodyWall], clean: Mapping[str, BoolArray]
) -> Iterator[tuple[BodyWall, BoolArray, Reference]]:
    """Yield every side that faces no mass, its rays, and what is expected of it without itself."""
    for wall in walls:
        for side in side_sectors() if wall.label not in _ENDS else ():
            if np.count_nonzero(side & clean[wall.label]) >= _CLEAN_SHARE * np.count_nonzero(side):
                yield wall, side, reference_of(wall, walls, clean, hidden=side)


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
    limit, widest = known.limit_mm, 1.0
    defects: list[Defect] = []
    outside = max(_SOFT_HU, mass_hu)
    judged, skipped, shells = [], {}, {}
    for wall, rays, reference in _compared(known, facing):
        border = _border(wall, reference, outside)
        depth = depth_under(wall, reference.radius_mm, border, rays)
        if np.isnan(border).all():
            skipped[wall.label] = "its bone is hardly denser than the mass"
            continue
        if np.count_nonzero(np.isfinite(depth)) < 0.6 * np.count_nonzero(rays):
            skipped[wall.label] = "no clean reference for its wall"
            continue
        judged.append(wall.label)
        widest = max(widest, float(np.median(reference.widening[rays])))
        shell = read_shell(
            wall,
            rays,
            walls=known.walls,
            clean=known.clean,
            expected_mm=reference.radius_mm,
            border_mm=border,
        )
        if shell is not None:
            shells[wall.label] = shell
        found = deepest_hollow(wall, depth / reference.widening, limit, least_area_mm2=_LEAST_AREA_MM2)
        if found is not None:
            part = found.rays
            real = deepest_hollow(wall, np.where(part, depth, np.nan), 0.0, least_area_mm2=0.0)
            kept = cortex_kept_probability(wall, known.clean[wall.label] & ~rays, border, part)
            defects.append(Defect(wall.label, (real or found).depth_mm, found.area_mm2, kept, part))
    return Judged(
        tuple(defects),
        limit * widest,
        known.spread_mm,
        tuple(judged),
        skipped,
        int(known.nulls_mm.size),
        shells,
    )


def _border(wall: BodyWall, reference: Reference, outside_hu: float) -> Grid:
    """Return how far bone reaches along every ray, a millimetre beyond the expected wall at most."""
    return border_within(wall, reference.radius_mm + _ALLOWED_MM, outside_hu=outside_hu)
