"""How much of a mass lies in the canal and its foramina: tissue as dense where fat or thecal sac is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.config import MeasureConfig
from paraspinal.masses.types import Mass
from paraspinal.measure.epidural import (
    AHEAD_MM,
    BESIDE_MM,
    CELL_MM,
    OUT_MM,
    Expected,
    Level,
    at_places,
    connected,
    evidence,
    expected,
    in_canal,
    inside,
    visible,
)
from paraspinal.measure.foramen import SIDES, Side
from paraspinal.measure.gates import why_not
from paraspinal.measure.null_limit import null_limit
from paraspinal.measure.view import MassView
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement
from paraspinal.volume import BoolArray, Geometry, Region

KEY = "canal_extension_mm2"
_UNIT = "mm2"
_UNREAD = "too little fat, and too few levels without a mass near, to tell a mass in"
_REACH_MM = 6.0  # from the foramen's mouth to a mass that may run into it
_CLEAN_MM = 10.0  # a side nearer to a mass is nobody's reference
_TOUCH_MM = 2.5  # a mass's own outline errs so far
_MOUTH_MM = 3.0  # stretch beside the foramen where a mass would lie
_LEAST_NULLS = 6
_LEAST_LIMIT_MM2 = 20.0
_LATERAL_MM = 2.0  # of the canal belong to its side
_LEAST_TOLD = 0.5  # of the foramen and the canal's side, or nothing is said
_RELATIVE_SD = 0.15
_ALONG = 3  # planes that tell an area together
_FAR = 6  # levels
_AVERAGED = 0.2  # what averaging leaves of the noise of single voxels, in scans of the target's kind


@dataclass(frozen=True, slots=True)
class Epidural:
    """Canal and foramina of a patient, and by level the sides that no mass comes near."""

    levels: tuple[Level, ...]
    clean: Mapping[str, frozenset[Side]]


def clean_levels(levels: Sequence[Level], masses: Sequence[Mass], geometry: Geometry) -> Epidural:
    """Return the levels with the sides that may tell what others should look like."""
    clean = {level.label: frozenset(SIDES) for level in levels}
    for mass in masses:
        for level, away in _distances(levels, mass.region, geometry, _CLEAN_MM):
            near = {side for side in SIDES if _nearest(away, level, side) <= _CLEAN_MM}
            clean[level.label] -= near
    return Epidural(tuple(levels), clean)


def measure_canal_extension(
    epidural: Epidural,
    mass: Mass,
    view: MassView,
    geometry: Geometry,
    quality: ScanQuality,
    config: MeasureConfig,
) -> Measurement:
    """Return ``canal_extension_mm2``: the greatest cross-section of a mass inside the canal and its foramina."""
    refusal = why_not(KEY, quality, config, slice_mm=view.slice_mm)
    if refusal is not None:
        return Measurement.missing(_UNIT, refusal)
    core = view.deeper_than(config.core_depth_mm)
    mass_hu = float(np.median(view.hu[core if core.any() else view.mask]))
    noise = _AVERAGED * (quality.noise_sd_hu or 0.0)
    read, unread = [], []
    for level, away in _distances(epidural.levels, mass.region, geometry, _REACH_MM):
        for side in SIDES:
            if _nearest(away, level, side) > _REACH_MM:
                continue
            place = f"below {level.label}, {side}"
            found = _area(epidural, level, side, mass_hu, noise, away=away)
            if found is None:
                unread.append(place)
            else:
                read.append((found[0], place, level.label, found[1]))
    gap = f"{_UNREAD} {', '.join(unread)}" if unread else None
    if not read:
        return Measurement.missing(_UNIT, gap or "the mass reaches no foramen that could be read")
    area, where, label, nearest = max(read)
    nulls = _nulls(epidural, mass_hu, noise, label, nearest)
    if nulls.size < _LEAST_NULLS:
        return Measurement.missing(_UNIT, gap or "too few foramina without a mass as reference")
    limit = max(null_limit(nulls, sites=len(read)), _LEAST_LIMIT_MM2)
    return _judged(area, where, nulls, limit, gap=gap)


def _judged(
    area: float, where: str, nulls: npt.NDArray[np.float64], limit: float, *, gap: str | None
) -> Measurement:
    """Return the area against its limit; beside places that the mass reaches and that were not read, `gap`."""
    if area <= limit:
        if gap is not None:
            return Measurement.missing(_UNIT, gap, detection_limit=limit)
        return Measurement.below(_UNIT, f"no more than foramina without a mass show, {where}", limit=limit)
    return Measurement.measured(
        area,
        _UNIT,
        type_a=float(np.hypot(nulls.std(), _RELATIVE_SD * area)),
        method="type A: spread of foramina without a mass, and the border of the extension",
        status="measured" if gap is None else "lower_bound",
        reason=gap,
        detection_limit=limit,
        region=where,
    )


def _distances(
    levels: Sequence[Level], region: Region, geometry: Geometry, reach_mm: float
) -> Iterator[tuple[Level, npt.NDArray[np.float32]]]:
    """Yield the levels that a mass may reach with the distance of every place to it."""
    margin = int(np.ceil((reach_mm + 1.0) / min(geometry.spacing_mm)))
    around = region.padded((margin, margin, margin), geometry.shape)
    away: npt.NDArray[np.float32] | None = None
    ends = geometry.to_lps(np.array([around.start, np.add(around.start, around.mask.shape)], float))[:, 2]
    for level in levels:
        z = level.canal.middle[2]
        if not ends.min() - 20.0 <= z <= ends.max() + 20.0:
            continue
        if away is None:
            away = np.asarray(edt.edt(~around.mask, anisotropy=geometry.spacing_mm, black_border=False))
        yield level, at_places(away, geometry, around.start, level.canal)


def _nearest(away: npt.NDArray[np.float32], level: Level, side: Side) -> float:
    """Return the distance from the mouth of a foramen to the mass."""
    return float(_from(away, side)[:, _mouth(level)].min())


def _from(field: npt.NDArray[np.float32], side: Side) -> npt.NDArray[np.float32]:
    return field if side == "left" else field[..., ::-1]


def _mouth(level: Level) -> BoolArray:
    """Return the places [ahead, out] just outside the foramen on the positive side."""
    beside = OUT_MM[None, :] - level.canal.half_mm - BESIDE_MM
    return np.asarray((beside > 0.0) & (beside <= _MOUTH_MM) & (np.abs(AHEAD_MM)[:, None] <= 7.0))


def _way(level: Level) -> BoolArray:
    """Return the places [ahead, out] between the foramen and where a mass's outline may end before it."""
    beside = OUT_MM[None, :] - level.canal.half_mm - BESIDE_MM
    return np.asarray((beside > 0.0) & (beside <= _REACH_MM + _TOUCH_MM) & (np.abs(AHEAD_MM)[:, None] <= 7.0))


def _area(
    epidural: Epidural,
    level: Level,
    side: Side,
    mass_hu: float,
    noise_hu: float,
    *,
    away: npt.NDArray[np.float32] | None,
    nearest: int = 0,
) -> tuple[float, int] | None:
    """Return the area (mm²) of what looks like the mass and hangs together with it; None where nothing would show.

    Beside it stands how many levels away the nearest reference lies, which is `nearest` at least. Without `away`,
    the distance to the mass, a mass is thought to lie at the foramen's mouth.
    """
    index = [known.label for known in epidural.levels].index(level.label)
    usual = expected(epidural.levels, index, side, epidural.clean, nearest=nearest)
    if usual is None or not _shows(usual, level, mass_hu, noise_hu):
        return None
    hu = level.towards(side)
    part = inside(level.canal)
    seed = np.broadcast_to(_mouth(level), hu.shape) & np.isfinite(hu)
    if away is not None:
        seed = (_from(away, side) <= _TOUCH_MM) & (OUT_MM > 0.0)
    seed = seed & ~part
    found = evidence(hu, usual, in_canal(level.canal), mass_hu=mass_hu, noise_hu=noise_hu) > 0.0
    if away is not None:
        found |= (_from(away, side) <= 0.0) & np.isfinite(hu)
    found = connected(found & (part | _way(level)), seed) & part
    areas = found.sum(axis=(1, 2)) * CELL_MM**2
    return float(ndimage.uniform_filter1d(areas.astype(float), _ALONG, mode="nearest").max()), usual.nearest


def _shows(usual: Expected, level: Level, mass_hu: float, noise_hu: float) -> bool:
    """Tell whether a mass would look other than what fills the foramen and the canal's side, where it is widest."""
    beside = OUT_MM[None, :] - level.canal.half_mm
    zone = np.isfinite(usual.hu) & inside(level.canal) & (beside > -_LATERAL_MM)
    seen = visible(usual, mass_hu=mass_hu, noise_hu=noise_hu) & zone
    room, shown = (
        ndimage.uniform_filter1d(part.sum(axis=(1, 2)).astype(float), _ALONG) for part in (zone, seen)
    )
    widest = int(np.argmax(room))
    return bool(shown[widest] >= _LEAST_TOLD * max(room[widest], 1.0))


def _nulls(
    epidural: Epidural, mass_hu: float, noise_hu: float, label: str, nearest: int
) -> npt.NDArray[np.float64]:
    """Return the areas that sides without a mass read when they are judged as if one lay at their mouth.

    Their references lie as far away as those of the place that was read, below the vertebra `label`.
    """
    at = [level.label for level in epidural.levels].index(label)
    found = []
    for level in epidural.levels[max(0, at - _FAR) : at + _FAR + 1]:
        for side in sorted(epidural.clean[level.label]):
            read = _area(epidural, level, side, mass_hu, noise_hu, away=None, nearest=nearest)
            if read is not None:
                found.append(read[0])
    return np.asarray(found, float)
