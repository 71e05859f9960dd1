"""The straightened spine with values beside it: a mark stands where its value and its vertebra are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from paraspinal.report import drawing
from paraspinal.report.spine_chart import render_spine_chart, spine_chart_legend
from paraspinal.report.straight_spine import straight_sagittal
from paraspinal.result import Measurement
from report_case import GEOMETRY, HU, LEVELS, SHAPE, anatomy_of, volume_of

VOLUME = volume_of(np.zeros(SHAPE))


def _marks(measured: dict[str, dict[str, Measurement]]) -> np.ndarray:
    """Return (row, column) of the pixels in the colour of the marks, beside the plane."""
    image = render_spine_chart(VOLUME, anatomy_of(), measured)
    assert isinstance(image, Image.Image)
    made = straight_sagittal(VOLUME, anatomy_of())
    assert made is not None
    chart = np.asarray(image)[:, made[0].width :]
    return np.argwhere((chart == drawing.CENTRELINE).all(axis=-1))


def _density(value: float) -> Measurement:
    return Measurement.measured(value, HU, type_a=5.0)


def test_a_dot_stands_at_its_vertebra_and_further_right_for_more() -> None:
    made = straight_sagittal(VOLUME, anatomy_of())
    assert made is not None
    rows = made[1]
    columns = []
    for label in LEVELS:
        low = _marks({label: {"trabecular_hu": _density(100.0)}})
        assert low[:, 0].mean() == pytest.approx(rows[label], abs=1.5)
        columns.append(low[:, 1].mean())
    assert np.ptp(columns) < 1.0
    high = _marks({LEVELS[0]: {"trabecular_hu": _density(300.0)}})
    top = _marks({LEVELS[0]: {"trabecular_hu": _density(5000.0)}})
    assert columns[0] + 40 < high[:, 1].mean() < top[:, 1].mean()


def test_what_was_not_seen_is_a_ring_and_what_was_not_assessed_is_nothing() -> None:
    dot = _marks({"T9": {"coarsening_index": Measurement.measured(0.6, "1", type_a=0.1)}})
    ring = _marks({"T9": {"coarsening_index": Measurement.below("1", "nothing", limit=0.6)}})
    assert 0 < len(ring) < len(dot)
    assert ring[:, 1].mean() == pytest.approx(dot[:, 1].mean(), abs=1.0)
    assert len(_marks({"T9": {"coarsening_index": Measurement.missing("1", "thick slices")}})) == 0


def test_the_caption_counts_what_was_assessed() -> None:
    measured = {
        "T9": {"trabecular_hu": _density(150.0)},
        "L1": {"trabecular_hu": Measurement.missing(HU, "cut")},
    }
    text = spine_chart_legend(measured)
    assert "Density of 1, coarseness of 0 of 2 vertebrae" in text
    assert "JANG19" in text
    assert "JANG19" not in spine_chart_legend({"T9": {}})


def test_rows_follow_the_canal_from_the_head_down() -> None:
    made = straight_sagittal(VOLUME, anatomy_of())
    assert made is not None
    plane, rows = made
    order = [rows[label] for label in LEVELS]
    assert order == sorted(order)
    length = np.linalg.norm(np.diff(anatomy_of().centreline_lps_mm[[0, -1]], axis=0))
    assert plane.height == pytest.approx(length / 0.45, rel=0.05)  # the ends are smoothed
    assert GEOMETRY.shape == SHAPE
