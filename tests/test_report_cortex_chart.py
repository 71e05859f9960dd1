"""The picture of the cortex: only where something was measured, the fit on the profile, a mark at its value."""

from __future__ import annotations

import numpy as np

from paraspinal.measure.cortex_model import Prior, fit_walls
from paraspinal.measure.rib import RibSurvey
from paraspinal.measure.rib_wall import PLACES_MM, RibWalls
from paraspinal.report import drawing
from paraspinal.report.cortex_chart import cortex_chart_legend, render_cortex_chart
from paraspinal.report.gallery import cortex_picture
from paraspinal.report.rib_table import rib_rows
from paraspinal.result import Measurement, RibResult
from report_case import case


def _ribs() -> RibSurvey:
    hu = np.where(PLACES_MM > 0, 40.0, np.where(PLACES_MM > -1.5, 900.0, 150.0))[None].repeat(20, axis=0)
    weights = np.ones_like(hu)
    fitted = fit_walls(
        hu,
        PLACES_MM,
        weights,
        np.full(20, 0.5),
        prior=Prior(1200.0, 200.0, 0.05),
        outside_hu=np.full(20, 20.0),
        inside_hu=np.full(20, 150.0),
    )
    return RibSurvey((), RibWalls(np.zeros(20, int), np.zeros(20, int), hu, weights, fitted))


def _mass(value: float) -> Measurement:
    return Measurement.measured(value, "[hnsf'U].mm", type_a=20.0)


def test_no_picture_where_nothing_was_measured() -> None:
    missing = {"T9": {"cortical_mass_hu_mm": Measurement.missing("[hnsf'U].mm", "thick slices")}}
    assert render_cortex_chart(None, missing) is None
    assert render_cortex_chart(RibSurvey(()), {}) is None
    assert cortex_picture(case()) is None


def test_profile_and_model_are_drawn_and_the_density_is_named() -> None:
    ribs = _ribs()
    image = render_cortex_chart(ribs, {})
    assert image is not None
    pixels = np.asarray(image)
    for colour in (drawing.CENTRELINE, drawing.UNCERTAIN):
        assert (np.abs(pixels.astype(int) - colour).sum(axis=-1) < 120).sum() > 50
    text = cortex_chart_legend(ribs, {})
    assert "20 profiles" in text
    assert f"{ribs.walls.fitted.cortex_hu:.0f} HU" in text


def test_a_heavier_shell_stands_further_right() -> None:
    columns = []
    for value in (300.0, 700.0):
        image = render_cortex_chart(None, {"T9": {"cortical_mass_hu_mm": _mass(value)}})
        assert image is not None
        columns.append(np.argwhere((np.asarray(image) == drawing.CENTRELINE).all(axis=-1))[:, 1].mean())
    assert columns[0] + 40 < columns[1]


def test_ribs_with_a_value_or_a_limit_have_a_row() -> None:
    def rib(**own: Measurement) -> RibResult:
        return RibResult(label="rib_left_7", side="left", bearer="T7", confidence=0.9, measurements=own)

    thick = rib(
        width_mm=Measurement.measured(8.1, "mm"), cortex_mm=Measurement.below("mm", "thinner than", limit=0.4)
    )
    (row,) = rib_rows([rib(width_mm=Measurement.missing("mm", "cut off")), thick, rib()])
    assert row.name == "Rib left 7"
    assert row.width.startswith("8.1")
    assert "0.4" in row.cortex
    assert row.note == "thinner than"
