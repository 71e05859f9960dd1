"""The end plates of vertebral bodies: how deep their middle lies under their rim, and how high each body stands.

Along lines that cross every interspace the end plates are met where HU have risen half way from the disc to the
plate. Depth is counted from a plane through the plate's outer part, so that a tilted disc is no depression.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.masses.average import robust_sd
from paraspinal.measure.gates import why_not
from paraspinal.measure.interspace import ALONG_MM, AROUND, STEP_MM, Gap, find_gaps
from paraspinal.measure.wall import BodyWall, Grid
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray, CTVolume

DEPRESSION, STEP, HEIGHT = "endplate_depression_mm", "endplate_step_mm", "height_ratio"

RINGS = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])  # of the body's radius
_INNER, _OUTER, _RIM = RINGS < 0.51, RINGS > 0.25, RINGS > 0.65
_STEP_FORM = np.array(
    [1.0, 1.0, 1.0, 0.75, 0.25, 0.0, 0.0, 0.0, 0.0]
)  # a middle third that is sunk, as lines blur it
_FORMS = np.stack([0.75**2 - RINGS**2, _STEP_FORM], axis=1)
_WEIGHTS = np.sqrt(RINGS + 0.05)  # as the area that a ring stands for
_FRONT, _BACK = np.abs(np.angle(np.exp(1j * AROUND))) <= 0.7, np.abs(np.angle(np.exp(1j * AROUND))) >= 2.44
_DISC_MM, _TILT_MM = (
    9.0,
    4.0,
)  # a disc's middle lies so near to that of the outlined bodies; its rim to its middle
_CURVED_MM, _OFF_COST = 4.0, 5.0  # how far a disc's middle wanders; HU per mm from the outlines' middle
_PLATE_MM, _DEEPEST_MM = 7.0, 13.0  # from a disc's middle to healthy plates and to sunken ones
_PLATE_HU = 350.0  # above the body's own density no plate counts for more
_LEAST_STEP_HU = 40.0
_LEAST_SHARE = 0.7  # of a plate's places must be read
_OUTLIER_MM = 1.5
_LEAST_SD_MM, _STEP_SD_MM = 0.3, 0.5  # the latter from synthetic plates of known form
_UNEVEN_MM = 0.7  # the rim of no plate is: what was met is something else
_SUNK_MM = 7.0  # plates deeper than most of the plate by more are none
_NEIGHBOURS = 2
_LIMIT_SDS = 2.0
_SLICE_SHARE = 0.3  # of a slice is what a plate's place errs by


@dataclass(frozen=True, slots=True)
class Plate:
    """One end plate: its places (LPS) [ring, angle, 3], and how deep (mm) they lie under its rim, NaN unread.

    ``spread_mm`` is the SD of its rim about a plane.
    """

    lps_mm: npt.NDArray[np.float64]
    depth_mm: Grid
    up: npt.NDArray[np.float64]
    spread_mm: float

    @property
    def middle_read(self) -> bool:
        """Tell whether the plate was met wherever a sunken middle would lie."""
        return bool(np.isfinite(self.depth_mm[_INNER]).all())

    @property
    def depression_mm(self) -> float:
        """Return the greatest depth of the inner half."""
        inner = self.depth_mm[_INNER]
        beside = np.stack([np.roll(inner, turn, axis=1) for turn in (-1, 0, 1)])
        return float(np.median(beside, axis=0).max())

    @property
    def step_mm(self) -> float:
        """Return how much deeper the middle lies than a smooth hollow: by rings, a parabola and a step are fitted."""
        told = np.isfinite(self.depth_mm).any(axis=1)
        rings = np.nanmean(self.depth_mm[told], axis=1)
        forms, weights = _FORMS[told], _WEIGHTS[told]
        return float(np.linalg.lstsq(forms * weights[:, None], rings * weights, rcond=None)[0][1])


@dataclass(frozen=True, slots=True)
class BodyPlates:
    """The plates of one body; None where one could not be read."""

    top: Plate | None
    bottom: Plate | None

    @property
    def read(self) -> tuple[Plate, ...]:
        """The plates that could be read."""
        return tuple(p for p in (self.top, self.bottom) if p is not None and p.middle_read)

    def heights_mm(self) -> npt.NDArray[np.float64] | None:
        """Return the anterior, middle and posterior height (Genant, J Bone Miner Res 1993;8:1137)."""
        if self.top is None or self.bottom is None:
            return None
        axis = self.top.up + self.bottom.up
        axis /= np.linalg.norm(axis)
        apart = (self.top.lps_mm - self.bottom.lps_mm) @ axis
        parts = ((_RIM, _FRONT), (RINGS < 0.31, np.ones(len(AROUND), bool)), (_RIM, _BACK))
        return np.array([np.nanmedian(apart[np.ix_(rings, turns)]) for rings, turns in parts])


def read_end_plates(volume: CTVolume, anatomy: Anatomy, walls: Sequence[BodyWall]) -> dict[str, BodyPlates]:
    """Return the end plates of all vertebrae of which a wall was read, by label."""
    top: dict[str, Plate | None] = {}
    bottom: dict[str, Plate | None] = {}
    for outlined in find_gaps(anatomy, walls):
        gap = _centred(volume, outlined)
        hu = gap.profiles(volume, RINGS)
        if hu is not None:
            bottom[gap.upper.label], top[gap.lower.label] = _plates(gap, hu)
    labels = [wall.label for wall in walls if wall.label in top or wall.label in bottom]
    return {label: BodyPlates(top.get(label), bottom.get(label)) for label in labels}


def measure_end_plates(
    plates: Mapping[str, BodyPlates],
    label: str,
    quality: ScanQuality,
    config: MeasureConfig,
    *,
    slice_mm: float,
) -> Measurements:
    """Return ``endplate_depression_mm``, ``endplate_step_mm`` and ``height_ratio`` of one vertebra."""
    refusal = why_not(DEPRESSION, quality, config, slice_mm=slice_mm)
    own = plates.get(label)
    if refusal is None and (own is None or not own.read):
        refusal = "neither end plate could be read in its middle"
    if refusal is not None or own is None:
        reason = refusal or ""
        units = {DEPRESSION: "mm", STEP: "mm", HEIGHT: "1"}
        return {key: Measurement.missing(unit, reason) for key, unit in units.items()}
    return {
        DEPRESSION: _depression(own),
        STEP: _step(own, slice_mm=slice_mm),
        HEIGHT: _height(plates, label, slice_mm=slice_mm),
    }


def _depression(own: BodyPlates) -> Measurement:
    worst = max(own.read, key=lambda plate: plate.depression_mm)
    spread = max(worst.spread_mm, _LEAST_SD_MM)
    limit = _LIMIT_SDS * spread
    where = "upper end plate" if worst is own.top else "lower end plate"
    note = None if len(own.read) == 2 else "one end plate only could be read"
    if worst.depression_mm <= limit:
        return Measurement.below("mm", f"no deeper than the rim is uneven, {where}", limit=limit)
    return Measurement.measured(
        worst.depression_mm,
        "mm",
        type_a=spread,
        method="type A: unevenness of the plate's rim",
        detection_limit=limit,
        region=where,
        reason=note,
    )


def _step(own: BodyPlates, *, slice_mm: float) -> Measurement:
    if len(own.read) < 2:
        return Measurement.missing("mm", "one end plate only could be read")
    step = min(plate.step_mm for plate in own.read)
    spread = max(_STEP_SD_MM, _SLICE_SHARE * slice_mm, *(plate.spread_mm for plate in own.read))
    limit = _LIMIT_SDS * spread
    if step <= limit:
        return Measurement.below(
            "mm", "the middle of both end plates lies no deeper than a smooth hollow", limit=limit
        )
    return Measurement.measured(
        step,
        "mm",
        type_a=spread,
        method="type A: unevenness of the plates' rims, a third of a slice",
        detection_limit=limit,
    )


def _height(plates: Mapping[str, BodyPlates], label: str, *, slice_mm: float) -> Measurement:
    """Return the least of the three heights over the greatest that is expected.

    That is the vertebra's own greatest or, where its neighbours stand higher, the median of their greatest ones.
    """
    own = plates[label].heights_mm()
    if own is None or not np.isfinite(own).all():
        return Measurement.missing("1", "one end plate only could be read")
    order = list(plates)
    at = order.index(label)
    around = [plates[k] for k in order[max(0, at - _NEIGHBOURS) : at + _NEIGHBOURS + 1] if k != label]
    near = [float(h.max()) for p in around if (h := p.heights_mm()) is not None and np.isfinite(h).all()]
    most = max(float(own.max()), float(np.median(near)) if near else 0.0)
    spread = max(_LEAST_SD_MM, *(plate.spread_mm for plate in plates[label].read))
    return Measurement.measured(
        float(own.min()) / most,
        "1",
        type_a=float(np.sqrt(2.0) * np.hypot(spread, _SLICE_SHARE * slice_mm) / most),
        method="type A: unevenness of both plates' rims, a third of a slice",
        region=("anterior", "middle", "posterior")[int(np.argmin(own))],
        reason=None if near else "no neighbour could be read",
    )


def _plates(gap: Gap, hu: Grid) -> tuple[Plate | None, Plate | None]:
    """Return the end plates above and below an interspace; None where too little of one shows."""
    hu = ndimage.gaussian_filter1d(hu, 1.0, axis=-1, mode="nearest")
    x, y = (RINGS[:, None] * gap.radius_mm * turn(AROUND) for turn in (np.cos, np.sin))
    middle = _disc_middle(hu, x, y)
    if middle is None:
        return None, None
    found: list[Plate | None] = []
    for towards, core_hu in ((1, gap.upper.core_hu), (-1, gap.lower.core_hu)):
        position = _position(hu, middle, core_hu, towards)
        fitted = _plane(x, y, position, of=_RIM) if np.isfinite(position).mean() >= _LEAST_SHARE else None
        if fitted is None or fitted[1] > _UNEVEN_MM:
            found.append(None)
            continue
        plane, spread = fitted
        places = gap.places(RINGS) + position[..., None] * gap.up
        found.append(Plate(places, np.asarray(towards * (position - plane), np.float32), gap.up, spread))
    return found[0], found[1]


def _centred(volume: CTVolume, gap: Gap) -> Gap:
    """Return an interspace moved to where a dark stretch lies between two plates: outlines err by millimetres."""
    hu = gap.profiles(volume, RINGS[_INNER])
    if hu is None:
        return gap
    level = ndimage.gaussian_filter1d(hu, 1.5, axis=-1, mode="nearest")
    reach = 2 * round(0.5 * _PLATE_MM / STEP_MM) + 1
    above, below = (
        ndimage.maximum_filter1d(level, reach, axis=-1, mode="nearest", origin=side * (reach // 2))
        for side in (-1, 1)
    )
    valley = np.minimum(above, below) - 2.0 * level  # flanked by plates, and dark itself
    # A hollow disc's middle lies higher or lower from place to place.
    alike = ndimage.maximum_filter1d(valley, round(_CURVED_MM / STEP_MM), axis=-1).mean(axis=(0, 1))
    alike = ndimage.uniform_filter1d(alike, round(_CURVED_MM / STEP_MM)) - _OFF_COST * np.abs(ALONG_MM)
    near = np.abs(ALONG_MM) <= _DISC_MM
    moved = float(ALONG_MM[int(np.argmax(np.where(near, alike, -np.inf)))])
    return replace(gap, centre=gap.centre + moved * gap.up)


def _disc_middle(
    hu: Grid, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64] | None:
    """Return the disc's middle (mm along the spine) at each place: a plane through the darkest places."""
    close = np.abs(ALONG_MM) <= _TILT_MM
    darkest = ALONG_MM[np.where(close, ndimage.uniform_filter1d(hu, 3, axis=-1), np.inf).argmin(axis=-1)]
    fitted = _plane(x, y, darkest, of=_OUTER)  # a sunken middle has no darkest place
    return None if fitted is None else np.clip(fitted[0], -_TILT_MM, _TILT_MM)


def _position(
    hu: Grid, middle: npt.NDArray[np.float64], core_hu: float, towards: int
) -> npt.NDArray[np.float64]:
    """Return where (mm along the spine) bone begins on each line [ring, angle], NaN where it does not.

    It begins half way between what the disc and the plate usually show in this interspace.
    """
    along = ALONG_MM
    if towards < 0:
        hu, along = hu[..., ::-1], along[::-1]
    away = towards * (along - middle[..., None])
    start = np.abs(away).argmin(axis=-1)
    disc = float(np.median(np.take_along_axis(hu, start[..., None], -1)))
    peak = np.where((away >= 0.0) & (away <= _PLATE_MM), hu, -np.inf).max(axis=-1)
    plate = min(float(np.median(peak)), core_hu + _PLATE_HU)
    if plate - disc < _LEAST_STEP_HU:
        return np.full(middle.shape, np.nan)
    half = 0.5 * (disc + plate)
    over = (away >= 0.0) & (away <= _DEEPEST_MM) & (hu >= half)
    first = np.maximum(over.argmax(axis=-1), 1)
    after, before = (np.take_along_axis(hu, k[..., None], -1)[..., 0] for k in (first, first - 1))
    part = np.clip((half - before) / np.maximum(after - before, 1e-3), 0.0, 1.0)
    found = along[first - 1] + part * STEP_MM * towards
    far = towards * (found - middle)
    usual = float(np.median(far[over.any(axis=-1)])) if over.any() else 0.0
    return _even(np.where(over.any(axis=-1) & (far <= usual + _SUNK_MM), found, np.nan))


def _even(position: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the median of every place and those beside it: a line that slips through a gap has no neighbours."""
    padded = np.concatenate([position[:1], position, position[-1:]])
    stack = [
        np.roll(padded[k : k + len(position)], turn, axis=1) for k in range(3) for turn in (-2, -1, 0, 1, 2)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of places without any neighbour
        return np.asarray(np.nanmedian(np.stack(stack), axis=0))


def _plane(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    position: npt.NDArray[np.float64],
    *,
    of: BoolArray,
) -> tuple[npt.NDArray[np.float64], float] | None:
    """Return the plane through the rings `of` a surface, and their SD about it; lips of bone do not move it."""
    use = np.isfinite(position) & of[:, None]
    if np.count_nonzero(use) < _LEAST_SHARE * np.count_nonzero(of) * len(AROUND):
        return None
    terms = np.stack([np.ones_like(x), x, y], axis=-1)
    plane = np.full(position.shape, float(np.median(position[use])))
    for _ in range(3):
        kept = use & (np.abs(position - plane) <= max(_OUTLIER_MM, 2.0 * robust_sd((position - plane)[use])))
        if np.count_nonzero(kept) < 0.5 * np.count_nonzero(use):
            return None
        weights = np.linalg.lstsq(terms[kept], position[kept], rcond=None)[0]
        plane = terms @ weights
    return plane, float(robust_sd((position - plane)[use]))
