"""The summary fits a screen and says the outcome first."""

from pathlib import Path

from analysis_factory import make_analysis
from paraspinal.cli.summary import summary
from paraspinal.result import Differential


def lines() -> list[str]:
    return summary(make_analysis().result, report=Path("out/report.html")).splitlines()


def test_outcome_first_and_purpose_last() -> None:
    assert lines()[0].startswith("MASS: One mass.")
    assert lines()[-1].startswith("Research use only")
    assert "Report: out/report.html" in lines()


def test_a_mass_is_one_line_with_uncertainty_and_odds() -> None:
    (line,) = [line for line in lines() if "T9–T10" in line]
    assert "42 × ≥ 28 × ?" in line
    assert "45 ± 10" in line  # 1.96 × √(3² + 4²)
    assert "emh 80 % (odds 4.0:1)" in line


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
    assert "none named (too little)" in text
    assert "%" not in next(line for line in text.splitlines() if "T9–T10" in line)
