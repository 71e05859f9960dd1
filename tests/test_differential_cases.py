"""Coded cases in both forms, and the command that classifies them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from paraspinal.cli.classify import classify_command
from paraspinal.cli.main import run
from paraspinal.differential import differential_of, findings_from_case, load_model
from paraspinal.differential.names import CATALOGUE
from paraspinal.errors import UsageError
from paraspinal.result import Finding

MODEL = load_model("emh-differential-1")


def _run(*arguments: str, text: str | None = None) -> tuple[int, list[dict[str, object]], str]:
    app = typer.Typer()
    app.command()(classify_command)
    result = CliRunner().invoke(app, list(arguments), input=text)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def test_null_is_not_mentioned_and_never_no() -> None:
    assert findings_from_case({"findings": {"fat": None, "level_min": None, "margin": None}}) == ()


def test_both_forms_give_the_same_differential() -> None:
    table = findings_from_case({"findings": {"fat": True, "bilateral": False, "margin": "well"}})
    records = [
        {"name": "bilateral", "kind": "boolean", "state": "absent"},
        {"name": "margin", "kind": "categorical", "state": "present", "value": "well"},
        {"name": "fat", "kind": "boolean", "state": "present"},
    ]
    assert differential_of(findings_from_case({"findings": records}), MODEL) == differential_of(table, MODEL)


@pytest.mark.parametrize(
    ("text", "degree", "pattern"),
    [
        ("none", {"none": 1.0}, None),
        ("minimal, homogeneous", {"mild": 1.0}, "homogeneous"),
        ("intense", {"marked": 1.0}, None),
        ("heterogeneous (MRI)", {"mild": 0.5, "marked": 0.5}, "heterogeneous"),
        ("present (MRI)", {"mild": 0.5, "marked": 0.5}, None),
    ],
)
def test_enhancement_is_a_degree_and_a_pattern(
    text: str, degree: dict[str, float], pattern: str | None
) -> None:
    found = {f.name: f for f in findings_from_case({"findings": {"enhancement": text}})}
    assert found["enhancement"].probabilities == degree
    assert (found["enhancement_pattern"].value if pattern else None) == pattern


def test_levels_make_one_finding_and_a_mean_hu_is_graded_as_fluid() -> None:
    found = {
        f.name: f
        for f in findings_from_case(
            {"findings": {"level_min": "T8", "level_max": "T10", "hu_unenhanced": 10}, "age": 44, "sex": "F"}
        )
    }
    assert found["level"].value == "lower_thoracic"
    assert found["fluid_compatible"].probability == pytest.approx(0.95)
    assert (found["age_years"].value, found["sex"].value) == (44.0, "female")
    solid = findings_from_case({"findings": {"hu_phase_unstated": 60}})[1]
    assert solid.probability == pytest.approx(0.0695, abs=1e-3)


@pytest.mark.parametrize(
    ("findings", "hint"),
    [
        ({"bilaterall": True}, "bilateral"),
        ({"calcified": True}, "calcification"),
        ({"fat": "yes"}, "true, false or null"),
        ({"size_mm": True}, "number"),
        ({"size_mm": float("nan")}, "number"),
        ({"margin": "fuzzy"}, "well"),
        ({"enhancement": "heterogenous"}, "heterogeneous"),
        ({"level_min": "Th9"}, "T1 to T12"),
        ([{"name": "fat", "kind": "boolean"}], "docs/findings.md"),
        ([{"name": "fat", "kind": "numeric", "state": "present", "value": 3}], "kind boolean"),
        ([{"name": "level", "kind": "categorical", "state": "present", "value": "T9"}], "lower_thoracic"),
        ([{"name": "fatt", "kind": "boolean", "state": "present"}], "fat"),
        (["fat"], "name, kind and state"),
        ({"size_mm": -5}, "0.1 to 1000"),
        ({"size_mm": float("inf")}, "0.1 to 1000"),
        ({"age_years": 200}, "0 to 130"),
        ({"hu_unenhanced": 5000}, "-1024 to 3071"),
        ({"level_min": "T10", "level_max": "T8"}, "level_max is T8"),
        ([{"name": "size_mm", "kind": "numeric", "state": "present", "value": -5}], "0.1 to 1000"),
        ([{"name": "size_mm", "kind": "numeric", "state": "present"}], "0.1 to 1000"),
        ([{"name": "fat", "kind": "boolean", "state": "present", "probability": 0.1}], "state is present"),
        ([{"name": "fat", "kind": "boolean", "state": "absent"}] * 2, "once"),
        ([{"kind": "boolean", "state": "absent"}], "a name"),
        ("fat", "table"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_way_out(findings: object, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        findings_from_case({"findings": findings})
    assert hint in error.value.remedy


def test_the_model_reads_no_finding_that_nobody_can_give() -> None:
    read = {name for n, v in MODEL.variables.items() for name in (v.readings or {n: None})}
    assert read <= set(CATALOGUE)
    hu = {name for name in CATALOGUE if name.startswith("hu_")}
    assert set(CATALOGUE) - read == hu


def test_classify_does_the_good_lines_and_names_the_bad_ones() -> None:
    lines = [
        '{"id": "a", "findings": {"fat": true}}',
        "oops",
        '{"id": 3, "findings": {"fatt": true}}',
        "",
        "[1]",
    ]
    code, cases, err = _run("-", text="\n".join([*lines, '{"findings": {"gas": true}}']))
    assert code == 2
    assert [case["id"] for case in cases] == ["a", "line 6"]
    assert ["line 2" in err, "line 3" in err, "line 5" in err, "line 4" in err] == [True, True, True, False]
    assert "did you mean fat" in err.lower()


def test_classify_reads_one_case_many_cases_and_bare_findings(tmp_path: Path) -> None:
    case = {"id": "x", "findings": {"cystic_or_fluid": True, "foraminal_widening": True}}
    record = Finding(name="gas", kind="boolean", state="present").model_dump()
    for content, ids in ((case, ["x"]), ([case, case], ["x", "x"]), ([record], ["document"])):
        file = tmp_path / "cases.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        code, cases, _ = _run(str(file))
        assert (code, [c["id"] for c in cases]) == (0, ids)
    assert set(cases[0]) >= {
        "posterior",
        "interval",
        "log_likelihood_ratio",
        "evidence",
        "abstained",
        "flags",
    }


def test_a_table_reads_as_lines_of_json_do(tmp_path: Path) -> None:
    rows = [
        {
            "id": "a",
            "diagnosis": "emh",
            "age": 44.0,
            "findings": {"fat": False, "size_mm": 40.0, "level_min": "T9"},
        },
        {"id": "b", "findings": {"bilateral": True, "enhancement": "none", "margin": "well"}},
    ]
    table = (
        "id;diagnosis;age;fat;size_mm;level_min;bilateral;enhancement;margin\n"
        "a;emh;44;no;40;T9;;;\n\nb;;;;;;yes;none;well\n"
    )
    (tmp_path / "c.csv").write_text("\ufeff" + table, encoding="utf-8")
    (tmp_path / "c.tsv").write_text(table.replace(";", "\t"), encoding="utf-8")
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    told = [_run(str(tmp_path / f"c.{form}")) for form in ("csv", "tsv", "jsonl")]
    assert told[0][:2] == told[1][:2] == told[2][:2]
    assert [c["id"] for c in told[0][1]] == ["a", "b"]


@pytest.mark.parametrize(
    ("table", "hint"),
    [
        ("id,fatt\na,yes\n", "fat"),
        ("id,fat,fat\na,yes,no\n", "more than once"),
        ("id,fat\na,yes,no\n", "3 cells under 2 columns"),
        ("id,fat\na,maybe\n", "true, false or null"),
        ("id,size_mm\na,4 cm\n", "0.1 to 1000"),
    ],
)
def test_what_is_no_table_of_cases_is_told(tmp_path: Path, table: str, hint: str, capsys) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "c.csv").write_text(table, encoding="utf-8")
    assert run(["classify", str(tmp_path / "c.csv")]) == 2
    assert hint in capsys.readouterr().err


def test_a_context_file_speaks_of_one_case(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    case = '{"findings": {"bilateral": true}}'
    (tmp_path / "one.jsonl").write_text(case)
    (tmp_path / "two.jsonl").write_text(f"{case}\n{case}")
    (tmp_path / "c.toml").write_text("known_anemia = true")
    more = ["--context", str(tmp_path / "c.toml")]
    assert run(["classify", str(tmp_path / "one.jsonl"), *more]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["posterior"]["emh"] > told["imaging_only"]["posterior"]["emh"]
    assert {e["finding"] for e in told["imaging_only"]["evidence"]} == {"bilateral"}
    assert run(["classify", str(tmp_path / "two.jsonl"), *more]) == 2
    assert "context_of_many" in capsys.readouterr().err
    assert run(["classify", str(tmp_path / "one.jsonl"), *more, "--no-context"]) == 2


def test_context_can_be_left_out_and_priors_named() -> None:
    line = json.dumps({"id": 1, "age": 30, "findings": {"bilateral": True, "known_anemia": True}})
    _, with_context, _ = _run("-", text=line)
    _, imaging, _ = _run("-", "--no-context", text=line)
    _, archive, _ = _run("-", "--no-context", "--prior", "archive", text=line)
    names = [{e["finding"] for e in c[0]["evidence"]} for c in (with_context, imaging)]  # type: ignore[index, union-attr, attr-defined]
    assert names == [{"bilateral", "known_anemia", "age_years"}, {"bilateral"}]
    emh = [c[0]["posterior"]["emh"] for c in (with_context, imaging, archive)]  # type: ignore[index, call-overload]
    assert emh[0] > emh[1] > emh[2]


def test_the_command_starts_without_numpy_scipy_or_pydantic() -> None:
    code = "import sys, paraspinal.cli.classify; print({'numpy', 'scipy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_whole_result_is_not_taken_for_a_case() -> None:
    with pytest.raises(UsageError) as caught:
        findings_from_case({"schema_version": "1.0", "masses": [], "findings": []})
    assert caught.value.code == "result_not_case"


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('{"findings": {"fat": true, "fat": false}}', "fat"),
        ('{"age": -3, "findings": {"fat": true}}', "age"),
        ('{"age": 44, "findings": {"age_years": 45}}', "age_years"),
        ('{"findings": {"size_mm": NaN}}', "size_mm"),
        ('{"findings": {"hu_unenhanced": 1e999}}', "hu_unenhanced"),
        ('{"id": [1], "findings": {"fat": true}}', "id"),
    ],
)
def test_the_impossible_is_told_with_line_and_field(line: str, field: str) -> None:
    code, cases, err = _run("-", text=f'{{"findings": {{"fat": true}}}}\n{line}')
    assert (code, len(cases)) == (2, 1)
    assert err.startswith("paraspinal: line 2: ")
    assert re.search(rf"\b{field}\b", err)


def test_ages_of_the_newborn_and_levels_of_one_end_are_possible() -> None:
    found = {f.name: f for f in findings_from_case({"age": 0, "findings": {"level_max": "T8"}})}
    assert found["age_years"].value == 0.0
    assert found["level"].value == "lower_thoracic"


def test_an_empty_file_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text("\n")
    assert run(["classify", str(tmp_path / "cases.jsonl")]) == 2
