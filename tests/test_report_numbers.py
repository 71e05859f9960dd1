"""Numbers are rounded as their uncertainty deserves, and none appears where none was measured."""

from __future__ import annotations

import pytest

from paraspinal.report.numbers import (
    NO_VALUE,
    counted,
    decimals_for,
    in_percent,
    measure_name,
    number_text,
    percent,
    shares,
    size_text,
    uncertainty_parts,
    unit_text,
    value_text,
    with_unit,
)
from paraspinal.result import Measurement


@pytest.mark.parametrize(
    ("uncertainty", "decimals"),
    # The Particle Data Group's own examples: 0.827 ± 0.119 → 0.12, 0.827 ± 0.367 → 0.4.
    [(0.119, 2), (0.367, 1), (0.0354, 3), (0.0355, 2), (0.97, 1), (12.0, 0), (40.0, -1), (123.0, -1)],
)
def test_uncertainty_decides_the_digits(uncertainty: float, decimals: int) -> None:
    assert decimals_for(uncertainty) == decimals


@pytest.mark.parametrize(
    ("measurement", "text"),
    [
        (Measurement.measured(0.827, "1", type_a=0.119), "0.83 ± 0.12"),
        (Measurement.measured(0.827, "1", type_a=0.367), "0.8 ± 0.4"),
        (Measurement.measured(47.81, "HU", type_a=0.6, type_b=4.0), "48 ± 4"),
        (Measurement.measured(1234.0, "mL", type_a=42.0), "1230 ± 40"),
        (Measurement.measured(-3.2, "HU", type_a=0.6), "−3.2 ± 0.6"),
        (Measurement.measured(-0.02, "HU", type_a=4.0), "0 ± 4"),
        (Measurement.measured(51.0, "mm", status="lower_bound"), "≥ 51"),
        (Measurement.measured(7.1e-11, "1", type_a=3.4e-11), "< 0.001"),
        (Measurement.measured(2.5e-5, "mL", type_a=1.2e-5), "(2.5 ± 1.2) × 10⁻⁵"),
        (Measurement.measured(-3.8e-5, "mL"), "−3.8 × 10⁻⁵"),
        (Measurement.measured(0.05, "mL"), "0.05"),
        (Measurement.measured(1234.6, "mL"), "1235"),
        (Measurement.measured(0, "{count}"), "0"),
        (
            Measurement(value=None, unit="mL", status="below_detection_limit", detection_limit=0.0134),
            "< 0.0134",
        ),
        (Measurement(value=None, unit="mL", status="below_detection_limit"), NO_VALUE),
        (Measurement.missing("mm", "not in view", status="not_in_view"), NO_VALUE),
    ],
)
def test_value_text(measurement: Measurement, text: str) -> None:
    assert value_text(measurement) == text


def test_a_missing_number_has_neither_digits_nor_unit() -> None:
    missing = Measurement.missing("mm", "thick slices")
    assert with_unit(missing) == with_unit(None) == NO_VALUE
    assert size_text([missing, None]) == NO_VALUE
    assert uncertainty_parts(missing) == ""


def test_size_keeps_what_is_known_of_it() -> None:
    parts = [Measurement.measured(41.62, "mm", type_a=0.9), None, Measurement.missing("mm", "open border")]
    assert size_text(parts) == f"41.6 × {NO_VALUE} × {NO_VALUE} mm"


@pytest.mark.parametrize(("p", "text"), [(0.0, "< 1 %"), (0.62, "62 %"), (0.994, "> 99 %"), (1.0, "> 99 %")])
def test_no_probability_is_rounded_to_certainty(p: float, text: str) -> None:
    assert percent(p) == text


def test_names_and_units_are_those_of_people() -> None:
    assert measure_name("attenuation_sd_hu") == "Attenuation SD"
    assert measure_name("canal_extension_mm2") == "Canal extension"
    assert measure_name("ibsi.glcm.contrast") == "IBSI glcm contrast"
    assert unit_text("[hnsf'U]") == "HU"
    assert unit_text("{count}") == unit_text("1") == ""
    assert number_text(-0.0) == "0"


def test_a_fraction_is_shown_as_percent_with_all_that_is_stated() -> None:
    m = in_percent(Measurement.measured(0.0005, "1", type_a=0.00024, detection_limit=3.8e-5))
    assert with_unit(m) == "0.050 ± 0.024 %"
    assert m.detection_limit == pytest.approx(3.8e-3)
    absent = in_percent(
        Measurement.missing("1", "none", status="below_detection_limit", detection_limit=0.01)
    )
    assert with_unit(absent) == "< 1 %"
    assert in_percent(Measurement.measured(3.0, "mL")) == Measurement.measured(3.0, "mL")


def test_shares_below_one_percent_are_left_out() -> None:
    assert shares({"T8": 0.064, "T9": 0.93, "T10": 0.006}) == "T9 93 %, T8 6 %"


def test_one_is_not_a_plural() -> None:
    assert [counted(n, "mass", "masses") for n in (0, 1, 2)] == ["0 masses", "1 mass", "2 masses"]
    assert counted(1, "slice") == "1 slice"


def test_names_of_one_structure_tell_its_quantities_apart() -> None:
    names = ("effusion_left_ml", "effusion_left_hu", "liver_volume_ml", "attenuation_sd_hu", "noise_sd_hu")
    assert [measure_name(name) for name in names] == [
        "Effusion left volume",
        "Effusion left attenuation",
        "Liver volume",
        "Attenuation SD",
        "Noise SD",
    ]
