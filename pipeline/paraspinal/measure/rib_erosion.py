"""Bone that is missing from a rib beside a mass: its chords against those of the same rib across, and of others.

Cross-sections every 3 mm from the head give the chord through the rib's middle in 18 directions, on one grid for all
ribs: outwards and upwards mean the same on both sides. A bite shortens the chords that run through it. What is
expected is the median of the same chord in up to seven ribs that no mass comes near, scaled to the rib's own size.
What counts as a loss the patient tells: clean ribs, read in the same way, give the limit. Head and neck are not
read: joints and processes lie against them, and intact ones differ as much as eroded ones do. A rib that marrow
balloons has longer chords, not shorter ones; one that is eaten through has a gap, beside which nothing is denied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.masses.types import Mass
from paraspinal.measure.gates import why_not
from paraspinal.measure.native import groups_within
from paraspinal.measure.null_limit import null_limit
from paraspinal.measure.rib_section import Points, RibSections, neck_places, read_sections, rib_boxes
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement
from paraspinal.volume import CTVolume, Geometry, Region

KEY = "rib_erosion_depth_mm"
Chords = npt.NDArray[np.float64]
Where = tuple[int, str]
"""A rib by the number of the vertebra that bears it, and its side."""

_STEP_MM = 3.0
_NECK_MM = 24.0  # nearer to the head, joints and processes lie against the rib
_FROM_HEAD_MM = np.arange(_NECK_MM - _STEP_MM, 73.0, _STEP_MM)  # the first and the last lend their direction
_BEARERS = range(3, 11)  # floating and first ribs have another form
_OTHERS = ((0, True), (1, False), (-1, False), (1, True), (-1, True), (2, False), (-2, False))
"""Which ribs are references: levels away, and whether on the other side."""
_LEAST_REFERENCES, _LEAST_SHARED = 3, 60
_FACING_MM, _CLEAN_MM = 4.0, 8.0
_WINDOW = 5  # sections of a clean rib that are judged together, as if a mass lay there
_LEAST_NULLS = 12
_LEAST_LIMIT_MM, _LEAST_SD_MM = 1.0, 0.4
_LEAST_WINDOW = 3
_GAP = "part of the rib beside the mass could not be read: it may be eaten through"
_NECK = "head and neck of the ribs beside the mass are not judged"
_MAD_TO_SD = 1.4826


@dataclass(frozen=True, slots=True)
class RibLosses:
    """How much shorter (mm) each rib is than expected, by distance from its head; NaN where that was not told.

    ``borders_mm`` (section, 36, 3) are the borders of the sections, NaN where none was read; ``necks_mm`` (n, 3) the
    places of head and neck, which are not judged; ``nulls_mm`` the losses that clean ribs read.
    """

    losses_mm: Mapping[Where, Chords]
    borders_mm: Mapping[Where, Points]
    necks_mm: Mapping[Where, Points]
    nulls_mm: Chords

    def limit_mm(self, *, sites: int) -> float:
        """Return the loss (mm) that the worst of so many clean stretches of rib does not reach (95 %)."""
        return max(_LEAST_LIMIT_MM, null_limit(self.nulls_mm, sites=sites))


def survey_rib_losses(volume: CTVolume, anatomy: Anatomy, masses: Sequence[Mass]) -> RibLosses:
    """Read the ribs 3 to 10 with those that no mass comes near as references of each other."""
    boxes = rib_boxes(anatomy)
    chords, borders, necks = {}, {}, {}
    for rib in anatomy.ribs:
        level = int(rib.bearer[1:]) if rib.bearer.startswith("T") else 0
        sections = (
            read_sections(volume, anatomy, rib, _FROM_HEAD_MM, boxes=boxes) if level in _BEARERS else None
        )
        if sections is not None:
            where = (level, str(rib.side))
            chords[where], borders[where] = _on_grid(sections)
            necks[where] = neck_places(anatomy, rib, _NECK_MM, boxes=boxes)
    touched: set[Where] = set()
    for mass in masses:
        near = _sections_near(borders, mass.region, volume.geometry, _CLEAN_MM)
        touched |= {where for where, rows in near.items() if rows}
    clean = frozenset(chords) - touched
    losses = {where: _loss(where, chords, clean) for where in chords}
    return RibLosses(losses, borders, necks, _nulls({where: losses[where] for where in clean}))


def measure_rib_erosion(
    losses: RibLosses | None,
    mass: Mass,
    geometry: Geometry,
    quality: ScanQuality,
    config: MeasureConfig,
    *,
    slice_mm: float,
) -> Measurement:
    """Return ``rib_erosion_depth_mm``: by how much the rib beside a mass that lost most is shorter than expected."""
    refusal = why_not(KEY, quality, config, slice_mm=slice_mm)
    if refusal is not None or losses is None:
        return Measurement.missing("mm", refusal or "the ribs were not read")
    facing = _sections_near(losses.borders_mm, mass.region, geometry, _FACING_MM)
    facing = {where: rows for where, rows in facing.items() if rows}
    if not facing:
        return Measurement.missing("mm", "the mass faces none of ribs 3 to 10 where it could be read")
    if losses.nulls_mm.size < _LEAST_NULLS:
        return Measurement.missing("mm", "too few ribs without a mass as reference")
    judged = {where: loss for where, rows in facing.items() if (loss := _beside(losses, where, rows)).size}
    if not judged:
        return Measurement.missing(
            "mm", "the rib beside the mass could not be read, or too few clean ones near it"
        )
    gap = _GAP if any(np.isnan(loss).any() for loss in judged.values()) or len(judged) < len(facing) else None
    necks = groups_within(list(losses.necks_mm.values()), mass.region, geometry, within_mm=_FACING_MM)
    where = max(judged, key=lambda k: float(np.nanmax(judged[k])))
    unread = "; ".join(filter(None, [gap, _NECK if necks else None])) or None
    # A clean reading is the worst of one window, so that a longer stretch counts as several.
    limit = losses.limit_mm(sites=sum(-(-len(loss) // _WINDOW) for loss in judged.values()))
    loss_mm, region = float(np.nanmax(judged[where])), f"rib {where[0]}, {where[1]}"
    return _depth(loss_mm, losses, limit, unread=unread, region=region)


def _depth(
    loss_mm: float, losses: RibLosses, limit: float, *, unread: str | None, region: str
) -> Measurement:
    if loss_mm <= limit:
        if unread is not None:
            return Measurement.missing("mm", unread, detection_limit=limit)
        return Measurement.below("mm", "no thinner than ribs without a mass are", limit=limit)
    return Measurement.measured(
        loss_mm,
        "mm",
        type_a=_spread(losses.nulls_mm),
        method="type A: spread of clean ribs against those around them",
        status="measured" if unread is None else "lower_bound",
        reason=unread,
        detection_limit=limit,
        region=region,
    )


def _on_grid(sections: RibSections) -> tuple[Chords, Points]:
    """Return the chords (section, 18) and borders of one rib, NaN where no section was read; smoothed over 3 × 3."""
    rows = np.rint((sections.from_head_mm - _FROM_HEAD_MM[0]) / _STEP_MM).astype(int)
    half = sections.radii_mm.shape[1] // 2
    raw = np.full((len(_FROM_HEAD_MM), half), np.nan)
    raw[rows] = sections.radii_mm[:, :half] + sections.radii_mm[:, half:]
    turned = (np.roll(raw, 1, axis=1) + raw + np.roll(raw, -1, axis=1)) / 3.0
    padded = np.pad(turned, ((1, 1), (0, 0)), constant_values=np.nan)
    chords = _median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), least=2)
    borders = np.full((len(_FROM_HEAD_MM), 2 * half, 3), np.nan)
    borders[rows] = sections.centres_mm[:, None] + sections.radii_mm[..., None] * sections.directions()
    return np.where(np.isfinite(raw), chords, np.nan), borders


def _median(stack: Chords, *, least: int) -> Chords:
    """Return the median along the first axis of what is known, NaN where less than `least` is."""
    ordered = np.sort(stack, axis=0)
    count = np.isfinite(stack).sum(axis=0)
    low, high = (np.maximum(k, 0)[None] for k in ((count - 1) // 2, count // 2))
    middle = (
        0.5
        * (np.take_along_axis(ordered, low, 0) + np.take_along_axis(ordered, np.minimum(high, low + 1), 0))[0]
    )
    return np.where(count >= least, middle, np.nan)


def _loss(where: Where, chords: Mapping[Where, Chords], clean: frozenset[Where]) -> Chords:
    """Return, by section, the greatest shortening (mm) of any direction."""
    (level, side), own = where, chords[where]
    other = "left" if side == "right" else "right"
    references = []
    for away, across in _OTHERS:
        at = (level + away, other if across else side)
        shared = np.isfinite(own) & np.isfinite(chords[at]) if at in clean else np.zeros(0, bool)
        if np.count_nonzero(shared) >= _LEAST_SHARED:
            references.append(chords[at] * float(np.median(own[shared] / chords[at][shared])))
    if len(references) < _LEAST_REFERENCES:
        return np.full(len(own), np.nan)
    short = _median(np.stack(references), least=2) - own
    known = np.isfinite(short).any(axis=1)
    return np.where(known, np.where(np.isfinite(short), short, -np.inf).max(axis=1), np.nan)


def _nulls(losses: Mapping[Where, Chords]) -> Chords:
    """Return the greatest loss of each window of sections of clean ribs."""
    out = []
    for loss in losses.values():
        for start in range(0, len(loss) - 1, _WINDOW // 2):
            part = loss[start : start + _WINDOW]
            if np.count_nonzero(np.isfinite(part)) >= _LEAST_WINDOW:
                out.append(float(np.nanmax(part)))
    return np.asarray(out, float)


def _beside(losses: RibLosses, where: Where, rows: list[int]) -> Chords:
    """Return the losses of a rib's sections beside a mass, NaN in a gap; none where nothing was told."""
    loss = losses.losses_mm[where][min(rows) : max(rows) + 1]
    return loss if np.isfinite(loss).any() else loss[:0]


def _spread(nulls: Chords) -> float:
    return max(_LEAST_SD_MM, _MAD_TO_SD * float(np.median(np.abs(nulls - np.median(nulls)))))


def _sections_near(
    borders: Mapping[Where, Points], region: Region, geometry: Geometry, within_mm: float
) -> dict[Where, list[int]]:
    """Return, by rib, the sections whose border comes near a region (native grid)."""
    groups, names = [], []
    for where, sections in borders.items():
        for row, places in enumerate(sections):
            if np.isfinite(places).all():
                groups.append(places)
                names.append((where, row))
    out: dict[Where, list[int]] = {}
    for k in sorted(groups_within(groups, region, geometry, within_mm=within_mm)):
        out.setdefault(names[k][0], []).append(names[k][1])
    return out
