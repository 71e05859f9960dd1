"""The cortex: the mean profile across the wall of the ribs with what was fitted, and of the vertebrae by level."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from paraspinal.measure import RibSurvey
from paraspinal.report import drawing
from paraspinal.report.numbers import with_unit
from paraspinal.report.spine_chart import CHART_PX, Chart, draw_axes, draw_mark
from paraspinal.result import Measurements

_PROFILE_PX, _HEIGHT_PX, _FOOT_PX, _NAME_PX = 360, 300, 46, 56
_LEFT_PX, _TOP_PX = 52, 12
_GRID: drawing.Colour = (70, 70, 70)
_PLACES_MM = (-5.0, 3.0)
_HU_STEP = 250.0
_KEYS = ("cortical_peak_hu", "cortical_mass_hu_mm")
_CHARTS = (
    Chart(_KEYS[0], "peak HU", (0.0, 1200.0), (0.0, 400.0, 800.0, 1200.0)),
    Chart(_KEYS[1], "mass HU·mm", (0.0, 1200.0), (0.0, 400.0, 800.0, 1200.0)),
)


def render_cortex_chart(ribs: RibSurvey | None, measured: Mapping[str, Measurements]) -> Image.Image | None:
    """Return the chart: left the profile of the ribs, right a row per vertebra; None where nothing was measured."""
    rows = [
        label for label, own in measured.items() if any(k in own and own[k].value is not None for k in _KEYS)
    ]
    walls = None if ribs is None else ribs.walls
    if walls is None and not rows:
        return None
    width = (_PROFILE_PX if walls is not None else 0) + (_NAME_PX + len(_CHARTS) * CHART_PX if rows else 0)
    image = Image.new("RGB", (width, _HEIGHT_PX + _FOOT_PX))
    if walls is not None:
        image = _profile(image, *walls.mean_profile())
    if rows:
        _vertebrae(image, width - _NAME_PX - len(_CHARTS) * CHART_PX, rows, measured)
    return image


def cortex_chart_legend(ribs: RibSurvey | None, patient: Measurements) -> str:
    """Return the caption: what the lines mean, the density that was fitted, and the thickness."""
    parts = []
    if ribs is not None and ribs.walls is not None:
        fit, count = ribs.walls.fitted, np.count_nonzero(ribs.walls.usable())
        thickness = patient.get("rib_cortex_mm")
        value = (
            f"; thickness {with_unit(thickness)}"
            if thickness is not None and thickness.value is not None
            else ""
        )
        parts.append(
            f"Ribs, from marrow (left) to soft tissue: line, mean of {count} profiles;"
            f" dashed, the blurred cortex that was fitted, of {fit.cortex_hu:.0f} HU before the blur{value}."
        )
    parts.append(
        "Vertebrae: greatest HU of the side wall, which falls with the scan's blur, and cortical mass per area, which"
        " does not; bars: 95 % intervals. The shell's thickness lies below what CT resolves."
    )
    return " ".join(parts)


def _profile(
    image: Image.Image,
    places_mm: npt.NDArray[np.float64],
    hu: npt.NDArray[np.float64],
    model: npt.NDArray[np.float64],
) -> Image.Image:
    low = _HU_STEP * np.floor(min(hu.min(), model.min(), 0.0) / _HU_STEP)
    high = _HU_STEP * np.ceil(max(hu.max(), model.max()) / _HU_STEP)

    def x(place: float) -> float:
        share = (place - _PLACES_MM[0]) / (_PLACES_MM[1] - _PLACES_MM[0])
        return _LEFT_PX + share * (_PROFILE_PX - _LEFT_PX - 16)

    def y(value: float) -> float:
        return float(_HEIGHT_PX - (value - low) / (high - low) * (_HEIGHT_PX - _TOP_PX))

    pen = ImageDraw.Draw(image)
    for place in np.arange(_PLACES_MM[0] + 1.0, _PLACES_MM[1] + 0.1, 2.0):
        pen.line((x(place), _TOP_PX, x(place), _HEIGHT_PX), fill=_GRID)
        drawing.draw_text(image, (x(place), _HEIGHT_PX + 11), f"{place:g}", size=11, colour=drawing.MARK)
    for value in np.arange(low, high + 1.0, _HU_STEP):
        pen.line((_LEFT_PX, y(value), _PROFILE_PX - 16, y(value)), fill=_GRID)
        drawing.draw_text(
            image, (_LEFT_PX - 6, y(value)), f"{value:g}", size=11, colour=drawing.MARK, anchor="rm"
        )
    title = "mm across the wall of the ribs, HU"
    drawing.draw_text(image, (_PROFILE_PX / 2, _HEIGHT_PX + 32), title, size=13, colour=drawing.MARK)
    fine = np.linspace(places_mm[0], places_mm[-1], 200)
    for values, colour, dashed in ((hu, drawing.CENTRELINE, False), (model, drawing.UNCERTAIN, True)):
        line = [
            (x(float(p)), y(float(v))) for p, v in zip(fine, np.interp(fine, places_mm, values), strict=True)
        ]
        image = drawing.draw_polyline(image, np.asarray(line), colour, dashed=dashed)
    return image


def _vertebrae(image: Image.Image, left: int, rows: list[str], measured: Mapping[str, Measurements]) -> None:
    step = (_HEIGHT_PX - _TOP_PX) / len(rows)
    for k, label in enumerate(rows):
        at = (left + _NAME_PX / 2, _TOP_PX + (k + 0.5) * step)
        drawing.draw_text(image, at, label, size=min(15, int(step)), colour=drawing.CERTAIN)
    for k, chart in enumerate(_CHARTS):
        start = left + _NAME_PX + k * CHART_PX
        draw_axes(image, chart, start, _HEIGHT_PX)
        for row, label in enumerate(rows):
            m = measured[label].get(chart.key)
            if m is not None:
                draw_mark(image, chart, start, _TOP_PX + (row + 0.5) * step, m)
