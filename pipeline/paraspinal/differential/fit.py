"""Confirmed cases update the counts of a model: its own counts are the prior, the cases add to them.

Every cell is a Dirichlet distribution, so that a case adds one count to the category that was told. Which sub-kind a
case belongs to is not known unless the case says it: it counts for each sub-kind of its entity by the posterior share
(expectation-maximisation; Dempster, Laird, Rubin 1977, doi:10.1111/j.2517-6161.1977.tb01600.x).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.differential.compiled import Array
from paraspinal.differential.evaluation.baselines import folds
from paraspinal.differential.evaluation.evaluate import posteriors, truths
from paraspinal.differential.evaluation.known import KnownCase
from paraspinal.differential.evaluation.scores import Figure, scores
from paraspinal.differential.explain import differentials_of
from paraspinal.differential.inference import infer
from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.observe import Observations, observe
from paraspinal.differential.schema import DEFAULT_CELL, Cell, EntityModel, Fitted, Variable
from paraspinal.result import ENTITIES, Entity

MAX_STEPS = 50
_SETTLED = 1e-4
INHERITED_AT_MOST = 20.0
"""Pseudo-counts that an entity takes over from `default`: counts of others, however many, weigh no more."""
SHARE_CASES = 10.0
"""How many cases the shares of the sub-kinds, which are judgement, count for."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """The new model, how often expectation and maximisation alternated, and the cases per entity."""

    model: DifferentialModel
    steps: int
    cases: Mapping[Entity, int]


def fit(
    cases: Sequence[KnownCase],
    base: DifferentialModel,
    *,
    weight: float = 1.0,
    name: str | None = None,
) -> FitResult:
    """Return `base` with the counts of confirmed cases added.

    Parameters
    ----------
    weight : float
        What one case counts for: 1 as much as one case of a published series; less where the cases are chosen ones.
    name : str, optional
        Name of the new model; that of the base with ``-fit`` without it.

    Notes
    -----
    What a case does not mention adds nothing. A probability between yes and no adds a part to each category. A cell
    that several sub-kinds of the entity share stays shared. A cell that the entity has from ``default`` becomes its
    own, beginning with what it had, so that the cases of one entity do not move another. Groups, reliabilities and
    priors stay: the mix of collected cases is no prevalence.
    """
    seen = observe([case.findings for case in cases], base)
    allowed = _allowed(cases, base)
    model, change, steps = base, 1.0, 0
    kinds = allowed / allowed.sum(axis=1, keepdims=True)
    while change >= _SETTLED and steps < MAX_STEPS:
        before, steps = kinds, steps + 1
        kinds = _responsibilities(seen, allowed, model)
        model = _with_counts(base, model, seen, weight * kinds)
        change = float(np.abs(kinds - before).max())
    counted: dict[Entity, int] = {e: sum(case.entity == e for case in cases) for e in ENTITIES}
    provenance = Fitted(
        base=f"{base.name} {base.version}",
        cases=len(cases),
        weight=weight,
        digest=cases_digest(cases),
        per_entity={e: n for e, n in counted.items() if n},
        before=base.fitted,
    )
    renamed = model.model_copy(
        update={"name": name or f"{base.name}-fit", "version": "1.0", "fitted": provenance}
    )
    return FitResult(renamed.with_variables(dict(renamed.variables)), steps, counted)


def cases_digest(cases: Sequence[KnownCase]) -> str:
    """Return a digest of findings and diagnoses in any order; names of the cases do not enter it."""
    rows = sorted(
        json.dumps([case.entity, case.kind, sorted(f.model_dump_json() for f in case.findings)])
        for case in cases
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def _allowed(cases: Sequence[KnownCase], model: DifferentialModel) -> npt.NDArray[np.bool_]:
    """Tell which sub-kinds a case can belong to, (n, kinds)."""
    kinds = model.compiled.kinds
    return np.array([[e == c.entity and c.kind in (None, k) for e, k in kinds] for c in cases], dtype=bool)


def _responsibilities(seen: Observations, allowed: npt.NDArray[np.bool_], model: DifferentialModel) -> Array:
    """Return the posterior share of every sub-kind that a case can belong to, (n, kinds); rows add up to 1."""
    found = infer(seen, model.compiled, np.full(len(ENTITIES), 1.0 / len(ENTITIES)))
    kept = np.where(allowed, np.maximum(found.kinds, 1e-300), 0.0)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def _with_counts(
    base: DifferentialModel, current: DifferentialModel, seen: Observations, kinds: Array
) -> DifferentialModel:
    """Return the base with the counts that the cases add, the sub-kinds weighing as `kinds` says."""
    compiled = current.compiled
    variables = dict(base.variables)
    reliabilities = [base.reliability_of(variable) for variable in base.variables.values()]
    for f, (name, variable) in enumerate(base.variables.items()):
        known = seen.known[:, f]
        if not variable.cells or not known.any():
            continue
        count = len(variable.categories)
        told = np.maximum(seen.weight[known, f, :count] - (1.0 - reliabilities[f]), 0.0)
        theta = compiled.theta[:, f, :count]
        category = told[:, None, :] * theta[None]
        category /= np.maximum(category.sum(axis=2, keepdims=True), 1e-300)
        added = np.einsum("ns,nsk->sk", kinds[known], category)
        variables[name] = _variable(base, variable, added)
    updated = base.model_copy(update={"entities": _shares(base, kinds.sum(axis=0))})
    return updated.with_variables(variables)


def _variable(base: DifferentialModel, variable: Variable, added: Array) -> Variable:
    """Return a variable with the counts ``added[s, k]`` of sub-kinds in the cells that hold for them."""
    cells = dict(variable.cells)
    new: dict[str, Array] = {}
    for s, (entity, kind) in enumerate(base.subkinds()):
        key = base.cell_key(variable, entity, kind)
        assert key is not None
        own = str(entity) if key == DEFAULT_CELL else key
        new[own] = new.get(own, np.zeros(added.shape[1])) + added[s]
    for key, counts in new.items():
        if counts.sum() > 0.0:
            cells[key] = _cell(cells.get(key) or _inherited(variable.cells[DEFAULT_CELL]), counts)
    return variable.model_copy(update={"cells": cells})


def _inherited(default: Cell) -> Cell:
    """Return what an entity takes over from ``default``: the same frequencies, weighing no more than some cases."""
    alpha = np.array(default.alpha)
    scaled = alpha * min(1.0, INHERITED_AT_MOST / float(alpha.sum()))
    note = f"as default ({default.note or default.source})"
    return Cell(n=tuple(scaled.tolist()), grade="C", source=default.source, note=note)


def _cell(cell: Cell, counts: Array) -> Cell:
    before = np.array(cell.added) if cell.added else np.zeros(len(counts))
    return cell.model_copy(update={"added": tuple((before + counts).round(4).tolist())})


def _shares(base: DifferentialModel, counts: Array) -> dict[Entity, EntityModel]:
    """Return the entities with shares of their sub-kinds that the cases have moved."""
    entities = dict(base.entities)
    for entity, described in base.entities.items():
        rows = [s for s, (e, _) in enumerate(base.subkinds()) if e == entity]
        total = SHARE_CASES + float(counts[rows].sum())
        moved = {
            kind: rule.model_copy(update={"weight": float(SHARE_CASES * rule.weight + counts[s]) / total})
            for s, (kind, rule) in zip(rows, described.kinds.items(), strict=True)
        }
        entities[entity] = described.model_copy(update={"kinds": moved})
    return entities


def cross_validated(
    cases: Sequence[KnownCase],
    base: DifferentialModel,
    *,
    weight: float = 1.0,
    count: int = 10,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, Figure]]:
    """Return scores of the base and of fits that have not seen the case they judge, from imaging and with context."""
    truth = truths(cases)
    fold = folds(len(cases), count=count, seed=seed)
    fits = {
        int(k): fit([c for c, own in zip(cases, fold, strict=True) if own != k], base, weight=weight).model
        for k in np.unique(fold)
    }
    out: dict[str, dict[str, Figure]] = {}
    for evidence in ("imaging", "with context"):
        findings = [c.imaging(base) if evidence == "imaging" else c.findings for c in cases]
        p = np.zeros((len(cases), len(ENTITIES)))
        for k, model in fits.items():
            rows = np.flatnonzero(fold == k)
            p[rows] = posteriors(differentials_of([findings[i] for i in rows], model))
        out[f"base, {evidence}"] = scores(
            posteriors(differentials_of(findings, base)), truth, draws=draws, seed=seed
        )
        out[f"fit, {evidence}"] = scores(p, truth, draws=draws, seed=seed)
    return out
