"""Clinical context: read from files, optional, evidence like any other, and beside the answer from imaging."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from analysis_factory import make_analysis, make_mass, make_search
from paraspinal.analysis.stages import Measured, Survey, judge
from paraspinal.cli.main import run
from paraspinal.config import Config
from paraspinal.differential import (
    differential_of,
    differentials_of,
    findings_from_case,
    load_model,
    parse_override,
    read_context,
)
from paraspinal.differential.names import CONTEXT_FIELDS
from paraspinal.errors import UsageError

MODEL = load_model("emh-differential-1")
EVERYTHING = {
    "age": 44,
    "sex": "F",
    "known_anemia": True,
    "known_haemoglobinopathy_or_marrow_disease": True,
    "known_primary_malignancy": False,
    "nf1": False,
    "fever_or_infection": False,
    "splenectomy": True,
    "sulfur_colloid_uptake": True,
    "fdg_uptake": "low",
    "fdg_suv_max": 2.2,
    "mri_marrow_signal": True,
    "growth": "stable",
    "biopsy": "emh",
}


def _emh(*findings: object) -> float:
    return differential_of(findings, MODEL).log_likelihood_ratio["emh"]  # type: ignore[arg-type, index]


def test_every_field_can_be_told_in_json_and_toml(tmp_path: Path) -> None:
    assert set(EVERYTHING) == set(CONTEXT_FIELDS)
    as_json, as_toml = tmp_path / "c.json", tmp_path / "c.toml"
    as_json.write_text(json.dumps({**EVERYTHING, "nf1": None}), encoding="utf-8")
    as_toml.write_text(
        "\n".join(f"{k} = {json.dumps(v)}" for k, v in EVERYTHING.items() if k != "nf1"), encoding="utf-8"
    )
    found = read_context(as_json)
    assert found == read_context(as_toml)
    assert {f.name for f in found} == set(CONTEXT_FIELDS.values()) - {"nf1"}
    assert {f.name for f in read_context(EVERYTHING)} <= MODEL.context_findings


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ('{"known_anaemia": true}', "context_unknown", "known_anemia"),
        ('{"fdg_suv": 4}', "context_unknown", "fdg_suv_max"),
        ('{"fat": true}', "context_unknown", "known_anemia"),
        ('{"age": 200}', "finding_value", "0 to 130"),
        ('{"splenectomy": "yes"}', "finding_value", "true, false or null"),
        ('{"biopsy": "schwannoma"}', "finding_value", "neurogenic_tumour"),
        ("[1]", "context_form", "known_anemia"),
        ("{", "context_unreadable", ".json or .toml"),
    ],
)
def test_what_is_no_context_is_refused_with_a_way_out(
    tmp_path: Path, text: str, code: str, hint: str
) -> None:
    path = tmp_path / "c.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        read_context(path)
    assert refused.value.code == code
    assert hint in refused.value.remedy


def test_each_field_moves_emh_the_way_the_literature_says() -> None:
    ways = {
        "known_anemia": True,
        "known_haemoglobinopathy_or_marrow_disease": True,
        "splenectomy": True,
        "sulfur_colloid_uptake": True,
        "fdg_suv_max": 2.2,  # 2.19 in a stable EMH [QIU]
        "mri_marrow_signal": True,
        "growth": "stable",
        "biopsy": "emh",
    }
    for name, value in ways.items():
        assert _emh(*read_context({name: value})) > 0.2, name
    for name, value in {
        "known_primary_malignancy": True,
        "nf1": True,
        "fever_or_infection": True,
        "growth": "fast",
        "fdg_suv_max": 24.1,
        "biopsy": "lymphoma",
        "sulfur_colloid_uptake": False,
    }.items():
        assert _emh(*read_context({name: value})) < 0.0, name


def test_a_splenectomy_and_an_absent_spleen_are_one_thing() -> None:
    absent = findings_from_case({"findings": {"spleen_absent": True}})
    explained = read_context({"splenectomy": True})
    assert _emh(*absent, *explained) == pytest.approx(_emh(*absent))
    assert _emh(*explained) == pytest.approx(_emh(*absent))
    # It weighs no more than 15 of 27 [MAYO03] against the general population allow.
    compiled = MODEL.compiled
    own = compiled.share * compiled.member[:, 0]
    spleen = compiled.theta[:, compiled.position["spleen"]]
    assert own @ spleen[:, 2] <= 15 / 27
    # Without a splenectomy the spleen may have wasted away: nothing follows.
    assert _emh(*read_context({"splenectomy": False})) == 0.0
    assert _emh(*absent, *read_context({"splenectomy": False})) == pytest.approx(_emh(*absent))


def test_context_of_a_case_is_read_beside_its_findings() -> None:
    case = {"findings": {"bilateral": True}, "context": {"nf1": True, "age": 30}}
    assert {f.name for f in findings_from_case(case)} == {"bilateral", "nf1", "age_years"}
    with pytest.raises(UsageError) as refused:
        findings_from_case({"age": 30, **case})
    assert refused.value.code == "finding_repeated"


def test_no_context_decides_alone() -> None:
    told = differentials_of([read_context({name: value}) for name, value in EVERYTHING.items()], MODEL)
    assert all(d.posterior is not None and max(d.posterior.values()) < 0.95 for d in told)


def _judged(context: dict[str, object], *overrides: str) -> object:
    base = make_analysis()
    scan = Survey(base.volume, base.anatomy, base.quality, make_search(make_mass()), 300.0, None)
    measured = Measured({}, {}, {make_mass().id: {}})
    return judge(
        scan,
        measured,
        MODEL,
        Config(),
        overrides=[parse_override(text) for text in overrides],
        context=read_context(context),
    )


def test_an_analysis_gives_both_answers_and_imaging_stays_as_it_is() -> None:
    plain, told = _judged({}), _judged({"nf1": True})
    assert plain.with_context is None  # type: ignore[attr-defined]
    assert plain.masses[0].differential_with_context is None  # type: ignore[attr-defined]
    assert told.differential == plain.differential  # type: ignore[attr-defined]
    mass = told.masses[0]  # type: ignore[attr-defined]
    assert mass.differential == plain.masses[0].differential  # type: ignore[attr-defined]
    beside = mass.differential_with_context
    assert beside.posterior["neurogenic_tumour"] > mass.differential.posterior["neurogenic_tumour"]
    assert {e.finding for e in beside.evidence} - {e.finding for e in mass.differential.evidence} == {"nf1"}
    assert told.with_context.posterior == beside.posterior  # type: ignore[attr-defined]


def test_what_is_stated_one_by_one_goes_before_the_file() -> None:
    told = _judged({"nf1": True}, "nf1=absent")
    assert told.with_context.posterior == told.differential.posterior  # type: ignore[attr-defined]


def test_the_report_and_the_summary_show_both() -> None:
    from paraspinal.cli.summary import summary
    from paraspinal.report.html import render_html
    from paraspinal.result import Differential

    analysis = make_analysis()
    result = analysis.result.model_copy(
        update={
            "differential_with_context": Differential(posterior={"emh": 0.35, "lymphoma": 0.65}),
            "context": read_context({"known_anemia": True}),
        }
    )
    assert "With clinical context (known_anemia): Lymphoma 65 %" in summary(result, report=Path("r.html"))
    page = render_html(replace(analysis, result=result))
    assert "With clinical context" in page
    assert "With clinical context" not in render_html(analysis)


def test_a_wrong_context_is_refused_before_any_work(tmp_path: Path, repository: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "c.json").write_text('{"anemia": true}')
    arguments = ["analyze", str(repository / "sample_data" / "emh"), "-o", str(tmp_path / "out")]
    assert run([*arguments, "--context", str(tmp_path / "c.json")]) == 2
    told = capsys.readouterr().err
    assert "context_unknown" in told
    assert "known_anemia" in told
    assert not (tmp_path / "out").exists()
