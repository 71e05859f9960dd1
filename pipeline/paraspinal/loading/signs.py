"""What anatomy says about the direction of the three axes of a volume, sign by sign.

A `Sign` is positive where anatomy agrees with canonical order (index z to the head, y to the back, x to the
patient's left), negative where it speaks against it; 1 is where it becomes a statement. Each is antisymmetric:
mirroring its axis changes its sign and nothing else. A sign that cannot be seen is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.config import OrientationConfig
from paraspinal.loading.coarse import CoarseBody, between, evenness
from paraspinal.volume import BoolArray

Floats = npt.NDArray[np.float64]

# Engineering defaults: every sign only has to be right for the sums of `sanity`, whose false codes on mirrored scans
# stand in docs/loading.md.
_AIR_HU = -400.0
_SOFT_HU = -200.0
_SOLID_HU = (10.0, 200.0)  # solid organs, unenhanced to portal
_SOLID_SD = 30.0  # of 3 × 3 pixels inside a solid organ; bowel and mesentery are more varied
_BOWEL_GAS_HU = -300.0
_MAX_SCORE = 3.0


@dataclass(frozen=True, slots=True)
class Sign:
    """One observation: its name and its score, -3 to 3, of which ±1 is a statement."""

    name: str
    score: float


@dataclass(frozen=True, slots=True)
class LungEnd:
    """Where a lung ends inside the view: base or apex, at the higher (1) or the lower (-1) end of the z axis.

    ``reach`` is how far the lung reaches to the side near its end, of half the body's width; ``between_cm2`` the
    area between the lungs in front of the column there.
    """

    direction: int
    z: int
    reach: float
    between_cm2: float


@dataclass(frozen=True, slots=True)
class Frame:
    """Distances from the column in mm: ``front`` along y, positive on the side of the body's bulk; ``left`` along
    x from the midline. The front is told by the body itself, so that a wrong y axis does not hide a wrong x axis.
    """

    front: Floats
    left: Floats
    between: BoolArray


def column_sign(body: CoarseBody, *, config: OrientationConfig) -> Sign:
    """The column of bone lies in the back half."""
    offset = (body.column_yx[:, 0] - body.middle_yx[:, 0]) / body.half_depth
    return _sign("column", float(np.nanmedian(offset)) / config.column_offset)


def front_back_signs(body: CoarseBody, *, config: OrientationConfig) -> tuple[Sign, ...]:
    """Column, gas and bone, and the lungs' lower recess, along y.

    No gas lies behind the spine near the midline; ribs, shoulder blades and sacrum give the back half more bone;
    at their base the lungs reach down behind liver and spleen.
    """
    signs = [column_sign(body, config=config)]
    y = np.arange(body.hu.shape[1])[None, :, None]
    behind = (y - body.middle_yx[:, 0, None, None]) / body.half_depth[:, None, None]
    from_column = (y - body.column_yx[:, 0, None, None]) * body.step_mm[1]
    beside = np.abs(_offset(body, body.column_yx[:, 1])) <= 24.0
    gas = (body.hu < _AIR_HU) & body.body & beside
    front, back = (
        np.count_nonzero(gas & side) * body.voxel_ml for side in (from_column < -24, from_column > 24)
    )
    if front + back >= config.min_gas_ml:
        signs.append(_sign("gas", _lead(front, back) / config.gas_share))
    _, sd = evenness(body.hu)
    bone = (body.hu > 180.0) & (sd > 40.0) & body.body & (np.abs(behind) > 0.1)
    before, after = (int(np.count_nonzero(bone & half)) for half in (behind < 0, behind > 0))
    if (before + after) * body.voxel_ml > 20.0:
        signs.append(_sign("bone", _lead(after, before) / config.bone_share))
    bases = [end for end in lung_ends(body, config=config) if end.reach > config.lung_reach]
    if bases:
        end = max(bases, key=lambda e: e.reach)
        ahead = round(20.0 / body.step_mm[0])
        first, last = sorted((end.z, end.z - end.direction * ahead))
        low = body.lungs[max(0, first) : last + 1]
        where = np.broadcast_to(behind[max(0, first) : last + 1], low.shape)[low]
        if where.size:
            signs.append(_sign("recess", float(where.mean()) / config.recess_offset))
    return tuple(signs)


def head_feet_signs(
    body: CoarseBody, ends: tuple[LungEnd, ...], frame: Frame, *, config: OrientationConfig
) -> tuple[Sign, ...]:
    """Along z: broad bases and narrow apices, domes against upper mediastinum, and a heart that is below."""
    signs = []
    if ends:
        reach, width = _balance(ends, config)
        signs = [_sign("lung_ends", reach), _sign("between_lung_ends", width)]
    area = _areas(body, body.lungs)
    rows = np.flatnonzero(area > 0.4 * area.max())
    if len(rows) * body.step_mm[0] >= 60.0:
        middle = _areas(body, frame.between)[rows]
        if np.ptp(middle) >= 2 * config.between_lungs_step_cm2:
            trend = float(np.corrcoef(rows, middle)[0, 1])
            signs.append(_sign("mediastinum", -trend / config.mediastinum_trend))
    return tuple(signs)


def _balance(ends: tuple[LungEnd, ...], config: OrientationConfig) -> tuple[float, float]:
    """Return what the lower ends say minus what the upper ends say.

    Only what is broad speaks: an end that is narrow is an apex, or the base of a lung beside an effusion.
    """
    reach = width = 0.0
    for direction in (1, -1):
        here = [e for e in ends if e.direction == direction]
        if here:
            broad = max(e.reach for e in here) - config.lung_reach
            full = max(e.between_cm2 for e in here) - config.between_lungs_cm2
            reach -= direction * max(0.0, broad) / config.lung_reach_step
            width -= direction * max(0.0, full) / config.between_lungs_step_cm2
    return reach, width


def left_right_signs(
    body: CoarseBody, ends: tuple[LungEnd, ...], frame: Frame, *, config: OrientationConfig
) -> tuple[Sign, ...]:
    """Along x: descending aorta and heart to the left, liver to the right, stomach gas to the left."""
    signs = [*_aorta_sign(body, ends, frame, config)]
    bases = [end for end in ends if end.reach > config.lung_reach]
    if bases:
        base = max(bases, key=lambda e: e.reach)
        signs += _heart_sign(body, frame, base, config)
        signs += _belly_signs(body, frame, base, config)
    return tuple(signs)


def _aorta_sign(
    body: CoarseBody, ends: tuple[LungEnd, ...], frame: Frame, config: OrientationConfig
) -> list[Sign]:
    """Compare the soft tissue beside and before the column where lung lies on both sides.

    Near the bases crura and liver lie there, and a mass beside the spine may lie anywhere: three quarters of at
    least 60 mm must agree.
    """
    wide = (np.abs(frame.left) > 36) & (np.abs(frame.left) < 80) & (np.abs(frame.front - 8) < 20) & body.lungs
    left, right = (_areas(body, wide & side) for side in (frame.left > 0, frame.left < 0))
    rows = np.minimum(left, right) > 2.5
    for end in ends:
        if end.reach > config.lung_reach:
            rows &= (end.z - np.arange(len(rows))) * end.direction * body.step_mm[0] > 25.0
    if np.count_nonzero(rows) * body.step_mm[0] < 60.0:
        return []
    near = (np.abs(frame.left) >= 12) & (np.abs(frame.left) <= 40) & (frame.front > 9) & (frame.front < 45)
    soft = near & (body.hu > _SOFT_HU)
    more = 100.0 * (_areas(body, soft & (frame.left > 0)) - _areas(body, soft & (frame.left < 0)))[rows]
    low, high = np.percentile(more, (25, 75))
    return [_sign("aorta", float(max(low, 0.0) + min(high, 0.0)) / config.aorta_mm2)]


def _heart_sign(body: CoarseBody, frame: Frame, base: LungEnd, config: OrientationConfig) -> list[Sign]:
    """Compare the middle of what lies between the lungs, 45 to 115 mm above their base, with the midline."""
    above = (base.z - np.arange(len(body.hu))) * base.direction * body.step_mm[0]
    rows = (above >= 45) & (above <= 115)
    heart = frame.between[rows]
    if np.count_nonzero(heart) * body.voxel_ml < 150.0:
        return []
    left = np.broadcast_to(frame.left[rows], heart.shape)[heart]
    return [_sign("heart", float(left.mean()) / config.heart_offset_mm)]


def _belly_signs(body: CoarseBody, frame: Frame, base: LungEnd, config: OrientationConfig) -> list[Sign]:
    """Compare both sides from 15 mm above the lungs' base to 50 mm below it: solid organ, and bowel gas."""
    below = (np.arange(len(body.hu)) - base.z) * base.direction * body.step_mm[0]
    rows = (below > -15) & (below < 50)
    if np.count_nonzero(rows) * body.step_mm[0] < 25.0:
        return []
    mean, sd = evenness(body.hu[rows])
    left, before, inside = frame.left[rows], frame.front[rows] > 15, body.body[rows]
    solid = (mean > _SOLID_HU[0]) & (mean < _SOLID_HU[1]) & (sd < _SOLID_SD) & inside & before
    lobes = [np.count_nonzero(solid & side) * body.voxel_ml for side in (left < -25, left > 25)]
    signs = [_sign("liver", _lead(lobes[0], lobes[1]) / config.solid_share)] if sum(lobes) > 150.0 else []
    near_lung = ndimage.binary_dilation(body.lungs[rows])
    gas = (body.hu[rows] < _BOWEL_GAS_HU) & inside & ~near_lung & before
    bubbles = [np.count_nonzero(gas & side) * body.voxel_ml for side in (left > 15, left < -15)]
    if sum(bubbles) >= config.min_gas_ml:
        signs.append(_sign("stomach_gas", _lead(bubbles[0], bubbles[1]) / config.gas_share))
    return signs


def frame_of(body: CoarseBody, *, front: int) -> Frame:
    """Return distances from the column (its front at -y: `front` 1, at +y: -1) and the tissue between the lungs."""
    y = np.arange(body.hu.shape[1])[None, :, None]
    known = np.flatnonzero(np.isfinite(body.column_yx[:, 0]))
    column = np.interp(np.arange(len(body.hu)), known, body.column_yx[known, 0])
    ahead = np.asarray((column[:, None, None] - y) * body.step_mm[1] * front)
    middle = between(body.lungs, 2) & ~body.lungs & (ahead > 15) & (body.hu > _SOFT_HU)
    return Frame(ahead, _offset(body, body.middle_yx[:, 1]), middle)


def lung_ends(body: CoarseBody, *, config: OrientationConfig) -> tuple[LungEnd, ...]:
    """Return the ends in view of the lung of each side."""
    left = _offset(body, body.middle_yx[:, 1])
    middle = _areas(body, between(body.lungs, 2) & ~body.lungs & body.body)
    ends: list[LungEnd] = []
    for side in (left > 0, left < 0):
        half = body.lungs & side
        area = _areas(body, half)
        if area.max() >= config.min_lung_area_cm2:
            reach = np.where(half, np.abs(left), 0.0).max(axis=(1, 2)) / (body.half_width * body.step_mm[2])
            ends += [*_end(area, reach, middle, 1), *_end(area, reach, middle, -1)]
    return tuple(ends)


def _end(area: Floats, reach: Floats, middle: Floats, direction: int) -> list[LungEnd]:
    """Follow one lung from its widest slice until less than a third is left."""
    z = int(area.argmax())
    while 0 <= z < len(area) and area[z] >= 0.3 * area.max():
        z += direction
    if not 0 <= z < len(area):
        return []
    return [LungEnd(direction, z, float(reach[z - direction]), float(middle[z - direction]))]


def _areas(body: CoarseBody, mask: BoolArray) -> Floats:
    """Area of a mask per slice in cm²."""
    pixel_cm2 = body.step_mm[1] * body.step_mm[2] / 100.0
    return np.asarray(np.count_nonzero(mask, axis=(1, 2)) * pixel_cm2, np.float64)


def _offset(body: CoarseBody, x: Floats) -> Floats:
    """Distance of every pixel from x (per slice) towards +x, in mm, as [z, 1, x]."""
    return np.asarray((np.arange(body.hu.shape[2])[None, None, :] - x[:, None, None]) * body.step_mm[2])


def _lead(a: float, b: float) -> float:
    return float((a - b) / (a + b))


def _sign(name: str, score: float) -> Sign:
    return Sign(name, float(np.clip(score, -_MAX_SCORE, _MAX_SCORE)))
