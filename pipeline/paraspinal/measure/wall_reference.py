"""What a vertebral body's wall would be without a mass beside it: its mirror image and its neighbours.

Bone that faces a mass is never its own reference, and neither is any other that faces one: in bilateral and
multi-level disease, the usual case here, few references stay, and what they tell is then said to be less sure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.measure.wall import ANGLES, HEIGHTS, BodyWall, Grid
from paraspinal.volume import BoolArray

NEAR_NEIGHBOURS = 2
FAR_NEIGHBOURS = 4
WIDENED, WIDENED_FAR = (
    1.5,
    3.0,
)  # limits of what rests on one reference alone, on far ones (engineering default)
_LEAST_COMMON = 40  # rays that two walls share before one is fitted to the other
_OUTLIER = 3.0  # medians of the misfit
_SCALE_SD, _FORWARDS_SD_MM, _SIDEWAYS_SD_MM = 0.1, 0.8, 0.4  # of neighbouring bodies (engineering default)
_RAY_SD_MM, _ALIKE_RAYS = 0.8, 9.0  # misfit of a ray, and how many beside it share theirs
_SIDE_DEG = (30.0, 120.0)  # where a paraspinal mass faces a body
_LEAST_FACING = 12


@dataclass(frozen=True, slots=True)
class Reference:
    """The expected radius (mm) of every ray of a wall, and how many references told it (0: none, NaN radius)."""

    radius_mm: Grid
    count: npt.NDArray[np.int_]
    far: BoolArray

    @property
    def widening(self) -> Grid:
        """Factor on limits: 1 where two near references agree to tell, more where fewer do or only far ones."""
        near = np.where(self.count >= 2, 1.0, WIDENED)
        return np.where(self.far, WIDENED_FAR, near).astype(np.float32)


def reference_of(
    wall: BodyWall, walls: Sequence[BodyWall], clean: Mapping[str, BoolArray], *, hidden: BoolArray
) -> Reference:
    """Return the reference of one wall.

    Parameters
    ----------
    walls : sequence of BodyWall
        All walls of the patient, in their order along the spine.
    clean : mapping of str to bool array [height, angle]
        Rays of every wall that face no mass and whose border was read.
    hidden : bool array [height, angle]
        Rays of this wall that must not tell themselves (those that face the mass, or stand for it).
    """
    here = [w.label for w in walls].index(wall.label)
    own = np.where(clean[wall.label] & ~hidden, wall.radius_mm, np.nan)
    next_to: list[npt.NDArray[np.floating]] = []
    near: list[npt.NDArray[np.floating]] = []
    far: list[npt.NDArray[np.floating]] = []
    shifts = []
    for k, other in enumerate(walls):
        distance = abs(k - here)
        if distance == 0 or distance > FAR_NEIGHBOURS:
            continue
        fitted = _fitted(np.where(clean[other.label], other.radius_mm, np.nan), own)
        if fitted is None:
            continue
        radius, shift = fitted
        (near if distance <= NEAR_NEIGHBOURS else far).append(radius)
        if distance <= NEAR_NEIGHBOURS:
            shifts.append(shift)
        if distance == 1:
            next_to.append(radius)
    # An axis beside the body's middle makes one side long and the other short: neighbours tell by how much.
    moved = float(np.median(shifts)) if shifts else 0.0
    mirrored = own[:, ::-1] + 2.0 * moved * np.sin(ANGLES)
    closest, told = np.stack([*next_to, mirrored]), np.stack([*near, mirrored])
    # Bodies widen downwards: the next ones tell better than their neighbours, as long as two of them do.
    enough_next = np.isfinite(closest).sum(axis=0) >= 2
    count = np.where(enough_next, np.isfinite(closest).sum(axis=0), np.isfinite(told).sum(axis=0))
    radius = np.where(enough_next, _median(closest), _median(told))
    use_far = (count == 0) & bool(far)
    if far:
        distant = np.stack(far)
        radius = np.where(use_far, _median(distant), radius)
        count = np.where(use_far, np.isfinite(distant).sum(axis=0), count)
    return Reference(radius.astype(np.float32), count, np.asarray(use_far))


def _fitted(
    theirs: npt.NDArray[np.floating], own: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.floating], float] | None:
    """Return a neighbour's wall scaled and moved to fit the clean rays of this one, and its shift (mm) to the left.

    Robust least squares for a scale and a translation in the plane, held near 1 and 0 as far as the clean rays leave
    them open (in bilateral disease only the front of a body is clean). Rays far off are left out of later rounds.
    """
    theirs = np.where(np.isfinite(theirs), theirs, theirs[:, ::-1])
    common = np.isfinite(own) & np.isfinite(theirs)
    if np.count_nonzero(common) < _LEAST_COMMON:
        return None
    turns = np.broadcast_to(ANGLES, own.shape)
    terms = np.stack([theirs, np.cos(turns), np.sin(turns)], axis=-1)
    held = np.diag(1.0 / np.array([_SCALE_SD, _FORWARDS_SD_MM, _SIDEWAYS_SD_MM]))
    weight = 1.0 / (_RAY_SD_MM * np.sqrt(_ALIKE_RAYS))
    use = common
    change = np.zeros(3)
    for _ in range(3):
        rows = np.concatenate([weight * terms[use], held])
        change = np.linalg.lstsq(rows, np.append(weight * (own - theirs)[use], np.zeros(3)), rcond=None)[0]
        off = np.abs(own - theirs - terms @ change)
        use = common & (off <= _OUTLIER * max(float(np.median(off[common])), 0.25))
    return theirs + terms @ change, float(change[2])


def _median(stack: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Median over the first axis without NaN, NaN where nothing is finite."""
    ordered = np.sort(stack, axis=0)  # NaN last
    count = np.isfinite(stack).sum(axis=0)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[None], 0)[0]
    high = np.take_along_axis(ordered, np.maximum(count // 2, 0)[None].clip(0, len(stack) - 1), 0)[0]
    return np.where(count > 0, 0.5 * (low + high), np.nan)


def side_sectors() -> tuple[BoolArray, BoolArray]:
    """Return the rays [height, angle] of the left and of the right side, where a paraspinal mass faces a body."""
    degrees = np.rad2deg(ANGLES)
    shape = (len(HEIGHTS), len(ANGLES))
    left = (degrees >= _SIDE_DEG[0]) & (degrees <= _SIDE_DEG[1])
    return (
        np.broadcast_to(left, shape).copy(),
        np.broadcast_to(left[::-1], shape).copy(),
    )


def enough(rays: BoolArray) -> bool:
    """Tell whether so many rays face a mass that something can be said of them."""
    return int(np.count_nonzero(rays)) >= _LEAST_FACING
