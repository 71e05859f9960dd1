"""The summary fits a screen and says the outcome first."""

from pathlib import Path

from analysis_factory import make_analysis
from paraspinal.cli.summary import summary
from paraspinal.result import Correction, Differential


def lines() -> list[str]:
    return summary(make_analysis().result, report=Path("out/report.html")).splitlines()


def test_outcome_first_and_purpose_last() -> None:
    assert lines()[0].startswith("MASS: One mass.")
    assert lines()[-1].startswith("Research use only")
    assert "Report: out/report.html" in lines()


def test_a_mass_is_one_line_with_its_uncertainty() -> None:
    (line,) = [line for line in lines() if "T9–T10" in line]
    assert "42 × ≥ 28 × ?" in line
    assert "45 ± 5" in line  # √(3² + 4²), one standard uncertainty as in the report
    assert line.endswith("EMH 80 %")
    assert any("one standard uncertainty" in other for other in lines())


def test_organs_spine_and_gaps_are_told() -> None:
    text = "\n".join(lines())
    assert "T9 to T11" in text
    assert "spleen 520 mL" in text
    assert "Could not be assessed:\n  - Organs not in view: liver." in text


def test_a_screen_is_enough_whatever_is_missing() -> None:
    result = make_analysis().result.model_copy(
        update={"not_assessed": tuple(f"{'x ' * 400}{i}" for i in range(50))}
    )
    text = summary(result, report=Path("out/report.html"))
    assert len(text.splitlines()) <= 40
    assert "and 42 more" in text


def test_an_abstaining_model_names_nobody() -> None:
    result = make_analysis().result
    none = Differential.model_validate(
        {"posterior": None, "abstained": {"value": True, "reason": "too little"}}
    )
    mass = result.masses[0].model_copy(update={"differential": none})
    text = summary(result.model_copy(update={"masses": (mass,)}), report=Path("r"))
    assert "None named for mass 1: too little." in text
    assert "%" not in next(line for line in text.splitlines() if "T9–T10" in line)


def test_series_that_were_left_out_are_told() -> None:
    result = make_analysis().result
    loading = result.loading.model_copy(
        update={"left_out": tuple(f"series {k}: too short" for k in range(5))}
    )
    text = summary(result.model_copy(update={"loading": loading}), report=Path("r"))
    assert "  - series 2: too short\n  - and 2 more" in text
    assert "--series" in text


def test_a_level_that_is_a_guess_is_marked() -> None:
    result = make_analysis().result
    assert result.anatomy is not None
    vertebrae = tuple(v.model_copy(update={"confidence": 0.4}) for v in result.anatomy.vertebrae)
    anatomy = result.anatomy.model_copy(update={"vertebrae": vertebrae})
    text = summary(result.model_copy(update={"anatomy": anatomy}), report=Path("r"))
    assert "T9–T10?" in text
    assert "?: level uncertain" in text
    assert "3 vertebrae of uncertain level" in text


def test_measurements_without_a_value_are_counted_not_listed() -> None:
    text = "\n".join(lines())
    assert "rim_contrast_hu" not in text
    assert "2 measurements or findings in this scan, see the report" in text


def test_what_a_user_changed_is_told() -> None:
    changed = Correction(
        kind="override", target="patient: nf1", before="not among the findings", after="present"
    )
    result = make_analysis().result.model_copy(update={"corrections": (changed,)})
    assert "Changed by the user: patient: nf1: present." in summary(result, report=Path("r"))
