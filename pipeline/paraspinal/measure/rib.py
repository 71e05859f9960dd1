"""How wide the ribs are where they leave the spine, and how thick their cortex is.

Marrow that expands balloons ribs and thins their cortex. A rib is followed from its head; cross-sections 30 to 60 mm
from there are read from native voxels along rays (`rib_section`). The width is the diameter of a circle of the
section's area, which does not depend on how the section is turned. The cortex is fitted on the flat stretches of the
wall (`rib_wall`, `cortex_model`), which also tells where a cortex thinner than the blur truly ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paraspinal.anatomy.types import Anatomy, Rib
from paraspinal.config import MeasureConfig
from paraspinal.measure.cortex_model import Prior
from paraspinal.measure.gates import why_not
from paraspinal.measure.interpolated import as_interpolated, touches
from paraspinal.measure.rib_section import WIDTH_FROM_HEAD_MM, RibSections, read_sections, rib_boxes
from paraspinal.measure.rib_wall import RibWalls, fit_ribs
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import CTVolume, Region

WIDTH, CORTEX = "rib_width_mm", "rib_cortex_mm"
OWN_WIDTH, OWN_CORTEX = "width_mm", "cortex_mm"
_BEARERS = frozenset(f"T{n}" for n in range(3, 11))  # floating and first ribs are thinner or flatter
_LEAST_SECTIONS, _LEAST_RIBS = 4, 6
_LEAST_PROFILES = 12  # of one rib
_SYSTEMATIC_MM = 0.3  # the half level of a thin cortex lies outside the bone where blur is wide
_FITTED_MM = 0.1  # of a border, and of a thickness, that the model found (engineering default)
_LEVEL_SD_MM = 0.05
_LIMIT_FWHM = (
    0.25  # of the blur along the profile: thinner walls are told by their mass alone (engineering default)
)
_FWHM_PER_SD = 2.3548
_OTHER_KVP = 2.0  # another tube voltage makes cortical bone denser or less dense than the prior says
_WHERE = "30 to 60 mm from the head"
_NO_FIT = f"too little of a flat wall could be fitted {_WHERE}"


@dataclass(frozen=True, slots=True)
class RibWidth:
    """The widths (mm) of one rib's cross-sections; ``border_mm`` is how far the bone's end lies off the half level.

    ``thickness_mm`` holds the fitted cortex per section; both are empty (0) where nothing was fitted.
    """

    rib: Rib
    sections_mm: tuple[float, ...]
    border_mm: float = 0.0
    thickness_mm: tuple[float, ...] = ()

    @property
    def width_mm(self) -> float:
        """Median of the sections."""
        return float(np.median(self.sections_mm)) + 2.0 * self.border_mm

    @property
    def cortex_mm(self) -> float | None:
        """Median of the fitted sections."""
        return float(np.median(self.thickness_mm)) if self.thickness_mm else None


@dataclass(frozen=True, slots=True)
class RibSurvey:
    """What was read of ribs 3 to 10: widths and cortices, and the fit behind them (None: the scan carries none)."""

    ribs: tuple[RibWidth, ...]
    walls: RibWalls | None = None

    @property
    def cortex_hu(self) -> float | None:
        """Density of cortical bone, as the ribs tell it."""
        return None if self.walls is None else self.walls.fitted.cortex_hu

    def of(self, rib: Rib) -> RibWidth | None:
        """Return what was read of one rib."""
        return next((r for r in self.ribs if r.rib.number == rib.number), None)


def survey_ribs(volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, config: MeasureConfig) -> RibSurvey:
    """Read the ribs 3 to 10 of which four sections or more are in view, and fit their cortex."""
    found = _sections(volume, anatomy)
    if not found or why_not(CORTEX, quality, config, slice_mm=volume.effective_slice_mm) is not None:
        return RibSurvey(tuple(RibWidth(s.rib, tuple(s.widths_mm.tolist())) for s in found))
    wider = 1.0 if quality.at_reference_kvp else _OTHER_KVP
    prior = Prior(config.rib_cortex_hu, wider * config.rib_cortex_sd_hu, config.rib_blur_relative_sd)
    walls = fit_ribs(volume, quality, found, prior)
    return RibSurvey(tuple(_read(s, k, walls) for k, s in enumerate(found)), walls)


def rib_widths(volume: CTVolume, anatomy: Anatomy) -> tuple[RibWidth, ...]:
    """Return the widths of ribs 3 to 10 by their half level, as far as four sections or more could be read."""
    return tuple(RibWidth(s.rib, tuple(s.widths_mm.tolist())) for s in _sections(volume, anatomy))


def _sections(volume: CTVolume, anatomy: Anatomy) -> list[RibSections]:
    boxes = rib_boxes(anatomy)
    ribs = [rib for rib in anatomy.ribs if rib.bearer in _BEARERS]
    read = [read_sections(volume, anatomy, rib, WIDTH_FROM_HEAD_MM, boxes=boxes) for rib in ribs]
    return [s for s in read if s is not None and len(s.from_head_mm) >= _LEAST_SECTIONS]


def _read(sections: RibSections, number: int, walls: RibWalls | None) -> RibWidth:
    widths = tuple(sections.widths_mm.tolist())
    if walls is None:
        return RibWidth(sections.rib, widths)
    own = walls.usable() & (walls.rib == number)
    if np.count_nonzero(own) < _LEAST_PROFILES:
        return RibWidth(sections.rib, widths)
    thickness, at = walls.fitted.thickness_mm[own], walls.section[own]
    each = tuple(float(np.median(thickness[at == k])) for k in np.unique(at))
    return RibWidth(sections.rib, widths, float(np.median(walls.fitted.border_mm[own])), each)


def measure_ribs(
    survey: RibSurvey, volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, *, config: MeasureConfig
) -> dict[int, Measurements]:
    """Return ``width_mm`` and ``cortex_mm`` of every rib, by its number in the label map."""
    thick = volume.effective_slice_mm
    no_width, no_cortex = (why_not(key, quality, config, slice_mm=thick) for key in (WIDTH, CORTEX))
    out = {}
    for rib in anatomy.ribs:
        own = {
            OWN_WIDTH: _own_width(survey.of(rib), rib, no_width),
            OWN_CORTEX: _own_cortex(survey, rib, no_cortex),
        }
        crossed = volume.interpolated and touches(
            volume, Region.of(anatomy.labels.data == rib.number), anatomy.geometry
        )
        out[rib.number] = as_interpolated(own) if crossed else own
    return out


def measure_rib_width(
    survey: RibSurvey, quality: ScanQuality, config: MeasureConfig, *, slice_mm: float
) -> Measurement:
    """Return ``rib_width_mm``: the median over ribs 3 to 10, both sides."""
    refusal = why_not(WIDTH, quality, config, slice_mm=slice_mm)
    if refusal is not None:
        return Measurement.missing("mm", refusal)
    if len(survey.ribs) < _LEAST_RIBS:
        return Measurement.missing("mm", f"only {len(survey.ribs)} of ribs 3 to 10 could be read {_WHERE}")
    fitted = all(r.thickness_mm for r in survey.ribs)
    return Measurement.measured(
        float(np.median([r.width_mm for r in survey.ribs])),
        "mm",
        type_a=_of_spread([r.width_mm for r in survey.ribs]),
        type_b=2.0 * _FITTED_MM if fitted else _SYSTEMATIC_MM,
        method="type A: spread of ribs; type B: border of a blurred thin cortex",
        region=f"{len(survey.ribs)} of ribs 3 to 10, {_WHERE}",
    )


def measure_rib_cortex(
    survey: RibSurvey, quality: ScanQuality, config: MeasureConfig, *, slice_mm: float
) -> Measurement:
    """Return ``rib_cortex_mm``: the median over ribs 3 to 10 of the fitted thickness of their cortex."""
    refusal = why_not(CORTEX, quality, config, slice_mm=slice_mm)
    if refusal is not None:
        return Measurement.missing("mm", refusal)
    read = [r.cortex_mm for r in survey.ribs if r.cortex_mm is not None]
    if survey.walls is None or len(read) < _LEAST_RIBS:
        return Measurement.missing(
            "mm", f"the cortex of only {len(read)} of ribs 3 to 10 could be fitted {_WHERE}"
        )
    region = f"{len(read)} of ribs 3 to 10, {_WHERE}"
    return _thickness(float(np.median(read)), _of_spread(read), survey.walls, region)


def _own_width(read: RibWidth | None, rib: Rib, refusal: str | None) -> Measurement:
    if refusal is not None or read is None:
        return Measurement.missing("mm", refusal or _unread(rib))
    return Measurement.measured(
        read.width_mm,
        "mm",
        type_a=_of_spread(read.sections_mm),
        type_b=2.0 * _FITTED_MM if read.thickness_mm else _SYSTEMATIC_MM,
        method="type A: spread of sections; type B: border of a blurred thin cortex",
        region=f"{len(read.sections_mm)} sections, {_WHERE}",
    )


def _own_cortex(survey: RibSurvey, rib: Rib, refusal: str | None) -> Measurement:
    read = survey.of(rib)
    if refusal is not None or read is None:
        return Measurement.missing("mm", refusal or _unread(rib))
    if survey.walls is None or read.cortex_mm is None:
        return Measurement.missing("mm", _NO_FIT)
    region = f"{len(read.thickness_mm)} sections, {_WHERE}"
    return _thickness(read.cortex_mm, _of_spread(read.thickness_mm), survey.walls, region)


def _unread(rib: Rib) -> str:
    if rib.bearer not in _BEARERS:
        return "read of ribs 3 to 10 only"
    return (
        "its head lies outside the scan"
        if rib.head_lps_mm is None
        else f"too little of it was outlined {_WHERE}"
    )


def _of_spread(values: Sequence[float]) -> float:
    """Return the standard error of a median of values by their spread."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else _LEVEL_SD_MM


def _thickness(value_mm: float, type_a: float, walls: RibWalls, region: str) -> Measurement:
    """Return a fitted thickness; what is thinner than the blur lets tell is below the limit.

    What the density is off by the thickness is off by, too, in proportion: their product is what the scan shows.
    """
    fit = walls.fitted
    limit = _LIMIT_FWHM * _FWHM_PER_SD * float(np.median(fit.blur_mm))
    if value_mm < limit:
        return Measurement.below("mm", "thinner than the scan's blur lets tell", limit=limit)
    step = max(fit.cortex_hu - float(np.median(fit.inside_hu)), 1.0)
    density = value_mm * fit.cortex_sd_hu / step
    return Measurement.measured(
        value_mm,
        "mm",
        type_a=type_a,
        type_b=float(np.hypot(density, _FITTED_MM)),
        method=f"type A: spread; type B: density of the cortex ({fit.cortex_hu:.0f} ± {fit.cortex_sd_hu:.0f} HU)"
        " and form of its profile",
        detection_limit=limit,
        region=region,
    )
