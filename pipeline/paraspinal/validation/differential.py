"""The whole pipeline on patients of every entity: what is lost between true findings and those that are measured.

Bodies are drawn from the model that judges them, so that its answer on the true findings is the best that anybody
could give (the ceiling of Bayes). It tries the wiring and the measurements; it is no evidence on real patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from paraspinal.analysis.clock import StageClock
from paraspinal.analysis.stages import judge, measure_all, survey
from paraspinal.config import Config
from paraspinal.differential import differential_of, differentials_of
from paraspinal.differential.draw import drawn_findings
from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.observe import observe
from paraspinal.differential.patient import joined_findings
from paraspinal.phantom import make_phantom
from paraspinal.result import ENTITIES, Finding, likeliest
from paraspinal.validation.draw_entity import EntityPatient, draw_entity_patient
from paraspinal.validation.wilson import share

Record = dict[str, Any]


def run_entity_patient(
    patient: EntityPatient, model: DifferentialModel, config: Config, *, seed: int
) -> Record:
    """Make the body, analyse it, and put the differential beside that on the true findings.

    ``ceiling`` is the posterior on the true findings, ``found`` that of the whole pipeline (None where no mass was
    found), ``same`` that on what was measured of the findings that are true of the body, others left out.
    """
    true = drawn_findings(patient.truth, model, np.random.default_rng(seed), misread=False)
    made = make_phantom(patient.spec)
    scan = survey(made.volume, config, StageClock(None))
    judged = judge(scan, measure_all(scan, config), model, config)
    found = judged.differential
    spoke = [mass for mass in judged.masses if mass.id in found.masses]
    unit = [(mass.id, mass.findings, mass.measurements["volume_ml"].value or 0.0) for mass in spoke]
    told = [*joined_findings(unit), *judged.findings]
    compared = _compared(true, told, model)
    kept = {row["variable"] for row in compared}
    own = [f for f in told if _variables(f, model) & kept]
    return {
        "entity": patient.truth.entity,
        "kind": patient.truth.kind,
        "ceiling": _posterior(true, model),
        "found": None
        if found.posterior is None
        else {str(k): round(p, 4) for k, p in found.posterior.items()},
        "same": _posterior(own, model) if spoke else None,
        "abstained": found.abstained.value,
        "masses_found": sum(mass.state == "present" for mass in judged.masses),
        "masses_true": len(patient.spec.masses),
        "findings": compared,
    }


def _posterior(findings: Sequence[Finding], model: DifferentialModel) -> dict[str, float]:
    posterior = differential_of(findings, model).posterior or {}
    return {str(entity): round(p, 4) for entity, p in posterior.items()}


def _variables(finding: Finding, model: DifferentialModel) -> set[str]:
    return {name for name, v in model.variables.items() if finding.name in (v.readings or (name,))}


def _compared(true: Sequence[Finding], told: Sequence[Finding], model: DifferentialModel) -> list[Record]:
    """Return what was made of every variable that is true of the body: right, wrong, unsure or not judged."""
    seen = observe([true, told], model)
    rows = []
    for f, name in enumerate(model.compiled.variables):
        if not seen.known[0, f]:
            continue
        count = len(model.variables[name].categories)
        truth = int(np.argmax(seen.weight[0, f, :count]))
        weights = seen.weight[1, f, :count]
        if not seen.known[1, f]:
            made = "not judged"
        elif weights.max() < 1.4 * np.sort(weights)[-2]:
            made = "unsure"
        else:
            made = "right" if int(np.argmax(weights)) == truth else "wrong"
        rows.append({"variable": name, "truth": model.variables[name].categories[truth], "made": made})
    return rows


def ceiling(model: DifferentialModel, *, per_entity: int = 300, seed: int = 0) -> float:
    """Return the share of drawn patients in whom the true entity comes first on the true findings of their bodies."""
    right = total = 0
    for k, entity in enumerate(ENTITIES):
        patients = [
            draw_entity_patient(model, entity, 10**6 + seed + 1000 * k + i) for i in range(per_entity)
        ]
        rng = np.random.default_rng([seed, k])
        cases = [drawn_findings(p.truth, model, rng, misread=False) for p in patients]
        for d in differentials_of(cases, model):
            posterior = d.posterior or {}
            right += likeliest(posterior) == entity
            total += 1
    return right / total


def differential_table(records: Sequence[Record]) -> str:
    """Return the tables: top-1 and log-loss per entity with the ceiling, and what became of every finding."""
    rows = [r["differential"] for r in records if "differential" in r]
    if not rows:
        return ""
    return "\n\n".join([_entities(rows), _lost(rows), _findings(rows)])


def _first(posterior: dict[str, float] | None, entity: str) -> bool:
    return posterior is not None and likeliest(posterior) == entity


def _within_two(posterior: dict[str, float] | None, entity: str) -> bool:
    return posterior is not None and entity in sorted(posterior, key=lambda e: -posterior[e])[:2]


def _loss(posterior: dict[str, float] | None, entity: str) -> float:
    return float(-np.log(max(1e-4, 1 / len(ENTITIES) if posterior is None else posterior[entity])))


def _entities(rows: Sequence[Record]) -> str:
    lines = [
        "| entity | n | no mass found | first: true findings | first: from DICOM | within two: true |"
        " within two: from DICOM | log-loss: true | log-loss: from DICOM |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups: list[tuple[str, list[Record]]] = [(e, [r for r in rows if r["entity"] == e]) for e in ENTITIES]
    for name, own in [*groups, ("all", list(rows))]:
        if not own:
            continue
        cells = [str(sum(r["found"] is None for r in own))]
        for judge_of in (_first, _within_two):
            for key in ("ceiling", "found"):
                cells.append(share(sum(judge_of(r[key], r["entity"]) for r in own), len(own)))
        losses = [f"{np.mean([_loss(r[key], r['entity']) for r in own]):.2f}" for key in ("ceiling", "found")]
        lines.append(f"| {name} | {len(own)} | {' | '.join([*cells, *losses])} |")
    return "\n".join(lines)


def _lost(rows: Sequence[Record]) -> str:
    true = np.array([_first(r["ceiling"], r["entity"]) for r in rows])
    lines = []
    for key, what in (
        ("found", "as the pipeline tells it"),
        ("same", "on the findings that are true of the body alone"),
    ):
        got = np.array([_first(r[key], r["entity"]) for r in rows])
        change = got.astype(float) - true
        rng = np.random.default_rng(0)
        drawn = change[rng.integers(0, len(change), (2000, len(change)))].mean(axis=1)
        low, high = 100 * np.percentile(drawn, [2.5, 97.5])
        lines.append(
            f"Top-1 against the true findings, {what}: {100 * change.mean():+.1f} points ({low:+.1f} to {high:+.1f};"
            f" {int((true & ~got).sum())} lost, {int((got & ~true).sum())} won)."
        )
    return "\n".join(lines)


def _findings(rows: Sequence[Record]) -> str:
    lines = ["| finding | true of n | right | wrong | unsure | not judged |", "|---|---|---|---|---|---|"]
    told = [f for r in rows if r["found"] is not None for f in r["findings"]]
    for name in dict.fromkeys(f["variable"] for f in told):
        own = [f["made"] for f in told if f["variable"] == name]
        counts = " | ".join(str(own.count(made)) for made in ("right", "wrong", "unsure", "not judged"))
        lines.append(f"| {name} | {len(own)} | {counts} |")
    return "\n".join(lines)
