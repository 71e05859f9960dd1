"""The straightened spine with what was measured of every vertebra beside it: density and coarseness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import DifferentialConfig
from paraspinal.report import drawing
from paraspinal.report.straight_spine import straight_sagittal
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import CTVolume

_NAME_PX, CHART_PX, _MARGIN_PX, _FOOT_PX = 56, 170, 14, 46
_GRID: drawing.Colour = (70, 70, 70)
_BAND: drawing.Colour = (52, 66, 84)
_BAR: drawing.Colour = (150, 150, 150)
_L1_HU = (89.0, 226.0)
_COARSE = DifferentialConfig().coarsening_index
_L1_REFERENCE = "L1: means of 20,374 people from 90 down to 30 years of age [JANG19]"


@dataclass(frozen=True, slots=True)
class Chart:
    """One quantity: its key, its axis, and a line beyond which it counts."""

    key: str
    title: str
    axis: tuple[float, float]
    ticks: tuple[float, ...]
    limit: float | None = None

    def column(self, value: float, left: int) -> float:
        """Return where a value stands (pixels)."""
        low, high = self.axis
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return left + _MARGIN_PX + share * (CHART_PX - 2 * _MARGIN_PX)


def render_spine_chart(
    volume: CTVolume, anatomy: Anatomy, measured: Mapping[str, Measurements]
) -> Image.Image | None:
    """Return the straightened sagittal spine, and beside every vertebra its trabecular density and coarsening index.

    A dot is a measured value with its 95 % interval as a bar, an open ring a detection limit below which nothing was
    seen; a vertebra without either was not assessed. None where no canal was traced.
    """
    made = straight_sagittal(volume, anatomy)
    if made is None or not made[1]:
        return None
    plane, rows = made
    charts = (
        Chart("trabecular_hu", "trabecular HU", (0.0, 400.0), (0.0, 100.0, 200.0, 300.0, 400.0)),
        Chart("coarsening_index", "coarsening", (0.0, 2.0), (0.0, 0.5, 1.0, 1.5, 2.0), _COARSE),
    )
    width = plane.width + _NAME_PX + len(charts) * CHART_PX
    image = Image.new("RGB", (width, plane.height + _FOOT_PX))
    image.paste(plane, (0, 0))
    for vertebra in anatomy.vertebrae:
        colour = drawing.UNCERTAIN if vertebra.level_uncertain else drawing.CERTAIN
        at = (plane.width + _NAME_PX / 2, rows[vertebra.label])
        drawing.draw_text(image, at, vertebra.label, size=15, colour=colour)
    for k, chart in enumerate(charts):
        left = plane.width + _NAME_PX + k * CHART_PX
        draw_axes(image, chart, left, plane.height)
        if chart.key == "trabecular_hu" and "L1" in rows:
            _reference(image, chart, left, rows["L1"])
        for label, row in rows.items():
            m = measured.get(label, {}).get(chart.key)
            if m is not None:
                draw_mark(image, chart, left, row, m)
    return image


def spine_chart_legend(measured: Mapping[str, Measurements]) -> str:
    """Return the caption: what the marks mean and how many vertebrae were assessed."""
    counts = {
        key: sum(
            1
            for own in measured.values()
            if key in own and own[key].status in ("measured", "below_detection_limit")
        )
        for key in ("trabecular_hu", "coarsening_index")
    }
    reference = f" Band at {_L1_REFERENCE}." if "L1" in measured else ""
    return (
        "Straightened along the canal, with outlines of the vertebrae. Dots: measured; bars: 95 % intervals; rings:"
        f" detection limits below which nothing was seen. Density of {counts['trabecular_hu']}, coarseness of"
        f" {counts['coarsening_index']} of {len(measured)} vertebrae assessed. Line at {_COARSE:g}: above"
        f" what chests without bone disease and synthetic osteoporosis read.{reference}"
    )


def draw_axes(image: Image.Image, chart: Chart, left: int, height: int) -> None:
    """Draw the grid, the ticks and the title of a chart whose column begins at `left`."""
    pen = ImageDraw.Draw(image)
    for tick in chart.ticks:
        x = chart.column(tick, left)
        pen.line((x, 0, x, height), fill=_GRID)
        drawing.draw_text(image, (x, height + 11), f"{tick:g}", size=11, colour=drawing.MARK)
    if chart.limit is not None:
        x = chart.column(chart.limit, left)
        for y in range(0, height, 10):
            pen.line((x, y, x, y + 5), fill=drawing.UNCERTAIN)
    drawing.draw_text(image, (left + CHART_PX / 2, height + 32), chart.title, size=13, colour=drawing.MARK)


def _reference(image: Image.Image, chart: Chart, left: int, row: float) -> None:
    low, high = (chart.column(v, left) for v in _L1_HU)
    ImageDraw.Draw(image).rectangle((low, row - 12, high, row + 12), fill=_BAND)


def draw_mark(image: Image.Image, chart: Chart, left: int, row: float, m: Measurement) -> None:
    """Draw a measured value with its 95 % interval, or a detection limit as a ring."""
    pen = ImageDraw.Draw(image)
    if m.status == "below_detection_limit" and m.detection_limit is not None:
        x = chart.column(m.detection_limit, left)
        pen.ellipse((x - 4, row - 4, x + 4, row + 4), outline=drawing.CENTRELINE, width=2)
    elif m.value is not None:
        if m.uncertainty is not None:
            reach = m.uncertainty.k * m.uncertainty.combined
            ends = [chart.column(m.value + sign * reach, left) for sign in (-1.0, 1.0)]
            pen.line((ends[0], row, ends[1], row), fill=_BAR, width=2)
        x = chart.column(m.value, left)
        pen.ellipse((x - 4, row - 4, x + 4, row + 4), fill=drawing.CENTRELINE)
