"""Confirmed cases update counts: conjugate, on their own cells, without a trace of who they were."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from paraspinal.cli.main import run
from paraspinal.differential import findings_from_case, load_model
from paraspinal.differential.draw import draw_case, drawn_findings
from paraspinal.differential.evaluation import KnownCase
from paraspinal.differential.fit import INHERITED_AT_MOST, cases_digest, fit
from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.write_model import write_model
from paraspinal.result import ENTITIES, Entity

BASE = load_model("emh-differential-1")


def known(entity: Entity, kind: str | None = None, name: str = "x", **findings: object) -> KnownCase:
    return KnownCase(name, findings_from_case({"findings": findings}), entity, kind, True, len(findings))


def alpha(model: DifferentialModel, variable: str, entity: str, kind: str) -> np.ndarray:
    v = model.variables[variable]
    key = model.cell_key(v, entity, kind)  # type: ignore[arg-type]
    assert key is not None
    return np.array(v.cells[key].alpha)


def frequency(model: DifferentialModel, variable: str, entity: str, kind: str) -> float:
    compiled = model.compiled
    return float(compiled.theta[compiled.kinds.index((entity, kind)), compiled.position[variable], 0])  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_a_case_adds_its_weight_to_what_it_tells_and_nothing_else(weight: float) -> None:
    cases = [known("other", "myelolipoma", fat=True)] * 6 + [known("other", "myelolipoma", fat=False)] * 2
    new = fit(cases, BASE, weight=weight).model
    before, after = (alpha(m, "fat", "other", "myelolipoma") for m in (BASE, new))
    assert after - before == pytest.approx([6 * weight, 2 * weight])
    assert frequency(new, "fat", "other", "myelolipoma") == pytest.approx(after[0] / after.sum())
    for name, variable in BASE.variables.items():
        if name != "fat":
            assert new.variables[name] == variable
    assert new.priors == BASE.priors
    assert new.groups == BASE.groups


def test_an_uncertain_finding_adds_a_part_to_each_category() -> None:
    told = findings_from_case(
        {"findings": [{"name": "gas", "kind": "boolean", "state": "indeterminate", "probability": 0.9}]}
    )
    new = fit([KnownCase("x", told, "abscess", "pyogenic", True, 1)] * 10, BASE).model
    added = alpha(new, "gas", "abscess", "pyogenic") - alpha(BASE, "gas", "abscess", "pyogenic")
    assert added.sum() == pytest.approx(10.0)
    assert 3.0 < added[0] < 9.0  # 0.9 against a frequency of 0.15


def test_a_frequency_from_default_becomes_the_entitys_own() -> None:
    cases = [known("lymphoma", "nodal", liver_iron=True)] * 20
    new = fit(cases, BASE).model
    assert frequency(new, "liver_iron", "lymphoma", "nodal") > 0.4
    inherited = alpha(new, "liver_iron", "lymphoma", "nodal").sum() - 20.0
    assert inherited == pytest.approx(INHERITED_AT_MOST)
    for entity, kind in (("metastasis", "osseous"), ("emh", "other_active"), ("other", "cyst")):
        assert frequency(new, "liver_iron", entity, kind) == pytest.approx(
            frequency(BASE, "liver_iron", entity, kind)
        )


def test_a_cell_that_sub_kinds_share_stays_shared() -> None:
    new = fit([known("emh", "haemoglobinopathy_active", rib_expansion=False)] * 30, BASE).model
    kinds = ("haemoglobinopathy_active", "haemoglobinopathy_inactive")
    active, inactive = (frequency(new, "rib_expansion", "emh", kind) for kind in kinds)
    assert active == inactive < 0.4
    assert frequency(new, "rib_expansion", "emh", "myelofibrosis_active") == pytest.approx(
        frequency(BASE, "rib_expansion", "emh", "myelofibrosis_active")
    )


def test_a_case_without_a_sub_kind_counts_where_it_belongs() -> None:
    fluid = [known("other", cystic_or_fluid=True, fat=False, margin="well", enhancement="none")] * 30
    new = fit(fluid, BASE).model
    weights = {kind: rule.weight for kind, rule in new.entities["other"].kinds.items()}
    assert max(weights, key=lambda kind: weights[kind]) == "cyst"
    assert sum(weights.values()) == pytest.approx(1.0)
    for kind in ("lipoma", "myelolipoma"):
        moved = alpha(new, "fat", "other", kind) - alpha(BASE, "fat", "other", kind)
        assert moved.sum() < 1.5


def test_neither_order_nor_names_make_a_difference() -> None:
    cases = [known("emh", name="A. B.", fat=True), known("abscess", gas=True), known("emh", bilateral=True)]
    one, two = fit(cases, BASE).model, fit([*cases[::-1]], BASE).model
    assert one.fitted == two.fitted
    assert np.allclose(one.compiled.theta, two.compiled.theta)
    renamed = [
        KnownCase("other", *[getattr(c, f) for f in ("findings", "entity", "kind", "tissue", "stated")])
        for c in cases
    ]
    assert cases_digest(renamed) == cases_digest(cases)
    assert cases_digest(cases[:2]) != cases_digest(cases)
    assert "A. B." not in one.model_dump_json()


def test_many_cases_bring_a_wrong_model_to_the_truth() -> None:
    """Cases drawn from the model, fitted on one whose frequencies of two findings are turned around."""
    turned = {
        name: v.model_copy(
            update={
                "cells": {
                    k: c.model_copy(update={"n": tuple(c._raw[::-1]), "of": None}) for k, c in v.cells.items()
                }
            }
        )
        if name in ("fat", "bone_destruction")
        else v
        for name, v in BASE.variables.items()
    }
    wrong = BASE.with_variables(turned)
    rng = np.random.default_rng(1)
    cases = []
    for k in range(700):
        case = draw_case(BASE, rng, ENTITIES[k % 7])
        findings = drawn_findings(case, BASE, rng, misread=False)
        cases.append(KnownCase(str(k), findings, case.entity, case.kind, True, len(findings)))
    new = fit(cases, wrong).model
    for entity, kind in (("metastasis", "osseous"), ("meningocele", "lateral")):
        truth, before = (frequency(m, "bone_destruction", entity, kind) for m in (BASE, wrong))
        after = frequency(new, "bone_destruction", entity, kind)
        assert abs(after - truth) < 0.3 * abs(before - truth)


def test_what_is_written_reads_as_the_same_model(tmp_path: Path) -> None:
    write_model(BASE, tmp_path / "same", card="x")
    assert load_model(tmp_path / "same") == BASE
    new = fit([known("emh", fat=True), known("abscess", gas=True)], BASE).model
    write_model(new, tmp_path / "new", card="x")
    again = load_model(tmp_path / "new")
    assert np.allclose(again.compiled.theta, new.compiled.theta)
    assert again.fitted == new.fitted
    twice = fit([known("emh", fat=True)], again).model
    assert twice.fitted is not None
    assert twice.fitted.before == new.fitted


def test_the_command_writes_a_model_with_its_card_and_replaces_nothing(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(2)
    rows = []
    for k in range(14):
        case = draw_case(BASE, rng, ENTITIES[k % 7])
        table = {n: c == "present" for n, c in case.categories.items() if n in ("fat", "gas", "bilateral")}
        rows.append({"id": f"patient-{k}", "diagnosis": case.entity, "findings": table})
    file, out = tmp_path / "c.jsonl", tmp_path / "mine"
    file.write_text("\n".join(map(json.dumps, rows)))
    arguments = ["fit", str(file), "-o", str(out), "--draws", "20", "--folds", "2"]
    assert run(arguments) == 0
    assert {p.name for p in out.iterdir()} == {"model.toml", "findings", "MODEL_CARD.md"}
    card = (out / "MODEL_CARD.md").read_text()
    assert "cross-validated" in card
    assert "2 folds" in card
    assert not any("patient-" in path.read_text() for path in out.rglob("*.*") if path.is_file())
    assert load_model(out).name == "mine"
    capsys.readouterr()
    assert run(arguments) == 2
    assert "model_exists" in capsys.readouterr().err
    assert run([*arguments, "--force"]) == 0
    (out / "notes.txt").write_text("mine")
    capsys.readouterr()
    assert run([*arguments, "--force"]) == 2
    assert "output_not_empty" in capsys.readouterr().err
    assert run(["classify", str(file), "--model", str(out)]) == 0
    assert run([*arguments[:2], "-o", str(tmp_path / "t"), "--tissue-only"]) == 2
    assert "too_few_cases" in capsys.readouterr().err
