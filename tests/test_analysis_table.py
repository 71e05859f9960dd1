"""Views of a result for notebooks."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from analysis_factory import make_analysis
from paraspinal.analysis.table import odds
from paraspinal.errors import UsageError
from paraspinal.result import AnalysisResult


def test_every_measurement_is_one_row_and_nothing_missing_is_zero() -> None:
    table = make_analysis().to_dataframe()
    columns = ["scope", "name", "value", "unit", "status", "reason", "type_a", "type_b", "detection_limit"]
    assert list(table.columns) == columns
    assert set(table["scope"]) == {"patient", "mass 1", "T9"}
    rim = table[table["name"] == "rim_contrast_hu"].iloc[0]
    assert rim["value"] != rim["value"]  # NaN
    assert rim["reason"] == "unenhanced scan"
    hu = table[table["name"] == "attenuation_mean_hu"].iloc[0]
    assert (hu["value"], hu["type_a"], hu["type_b"]) == (45.0, 3.0, 4.0)


def test_a_missing_pandas_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pandas") as caught:
        make_analysis().to_dataframe()
    assert "pip install 'paraspinal[dataframe]'" in caught.value.remedy


def test_json_comes_back_as_the_same_result() -> None:
    analysis = make_analysis()
    assert AnalysisResult.model_validate_json(analysis.to_json()) == analysis.result


def test_no_header_text_or_identifier_leaves_in_the_clear() -> None:
    text = make_analysis().to_json()
    assert "Secret" not in text
    assert "1.2." not in text


def test_html_escapes_and_says_what_is_not_known() -> None:
    analysis = make_analysis()
    evil = analysis.result.model_copy(update={"outcome_reason": "<script>"})
    html = type(analysis)(evil, analysis.volume, None, analysis.search, analysis.quality)._repr_html_()
    assert "<script>" not in html
    assert "Research use only" in html
    assert "emh 80 % (odds 4.0:1)" in html


def test_a_size_that_the_scan_cuts_off_is_shown_as_a_lower_bound() -> None:
    analysis = make_analysis()
    mass = analysis.result.masses[0]
    cut = mass.measurements["volume_ml"].model_copy(update={"status": "lower_bound", "reason": "cut off"})
    masses = (mass.model_copy(update={"measurements": {**mass.measurements, "volume_ml": cut}}),)
    html = replace(analysis, result=analysis.result.model_copy(update={"masses": masses}))._repr_html_()
    assert "<td>≥ 35.2</td>" in html
    assert "<td>42</td>" in html


@pytest.mark.parametrize(
    ("p", "text"), [(0.5, "1.0:1"), (0.8, "4.0:1"), (0.2, "1:4.0"), (1.0, "over 999:1"), (0.0, "under 1:999")]
)
def test_odds(p: float, text: str) -> None:
    assert odds(p) == text
