"""What the answer rests on: one source left out, one finding left out, another prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from paraspinal.differential.compiled import Array, Indices
from paraspinal.differential.evaluation.evaluate import posteriors, truths
from paraspinal.differential.evaluation.known import KnownCase
from paraspinal.differential.evaluation.page import markdown_table
from paraspinal.differential.explain import differentials_of
from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.schema import DEFAULT_CELL, Variable
from paraspinal.result import ENTITIES, Finding


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the model or the cases.

    ``watched`` is the natural log odds of EMH in the case that is watched (None without one), ``mean`` the mean
    probability of the truth per entity that has cases, ``log_loss`` and ``top1`` those over all cases.
    """

    what: str
    name: str
    watched: float | None
    mean: Mapping[str, float]
    log_loss: float
    top1: float


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The model as it is, and every change with the strongest first."""

    model: str
    watched: str | None
    n: int
    base: Step
    steps: tuple[Step, ...]


def sensitivity(
    cases: Sequence[KnownCase], model: DifferentialModel, *, watch: str | None = None, prior: str = "uniform"
) -> Sensitivity:
    """Leave out each source, each finding, and try each prior, imaging alone.

    Cells that name a left-out source fall back to what they inherit; a cell that inherits from nobody stays. `watch`
    is the name of a case whose log odds of EMH are followed.
    """
    watched = next((k for k, case in enumerate(cases) if case.name == watch), None)
    run = _Run([case.imaging(model) for case in cases], truths(cases), watched)
    base = run.step("model", "as it is", model, prior)
    steps = [
        *(run.step("without source", code, without_source(model, code), prior) for code in sources(model)),
        *(
            run.step("without finding", name, model, prior, drop=_read(v, name))
            for name, v in _told(model, run)
        ),
        *(run.step("prior", name, model, name) for name in model.priors if name != prior),
    ]
    steps.sort(key=lambda step: (step.what, -abs(step.log_loss - base.log_loss), step.name))
    return Sensitivity(
        f"{model.name} {model.version}",
        watch if watched is not None else None,
        len(cases),
        base,
        tuple(steps),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    findings: Sequence[tuple[Finding, ...]]
    truth: Indices
    watched: int | None

    def step(
        self,
        what: str,
        name: str,
        model: DifferentialModel,
        prior: str,
        *,
        drop: frozenset[str] = frozenset(),
    ) -> Step:
        kept = [[f for f in case if f.name not in drop] for case in self.findings]
        p: Array = posteriors(differentials_of(kept, model, prior=prior))
        own = p[np.arange(len(p)), self.truth]
        return Step(
            what=what,
            name=name,
            watched=None if self.watched is None else _log_odds(p[self.watched]),
            mean={
                e: float(own[self.truth == k].mean())
                for k, e in enumerate(ENTITIES)
                if (self.truth == k).any()
            },
            log_loss=float(-np.log(own).mean()),
            top1=float((p.argmax(axis=1) == self.truth).mean()),
        )


def _log_odds(p: Array) -> float:
    return float(np.log(p[0]) - np.log(p[1:].sum()))


def sources(model: DifferentialModel) -> tuple[str, ...]:
    """Return the codes of all sources that cells name, in order of the alphabet."""
    cells = (cell for variable in model.variables.values() for cell in variable.cells.values())
    return tuple(sorted({code.strip() for cell in cells for code in cell.source.split(",") if code.strip()}))


def without_source(model: DifferentialModel, code: str) -> DifferentialModel:
    """Return the model whose cells that name a source fall back to what they inherit, where they inherit anything."""
    return model.with_variables({name: _without(v, code) for name, v in model.variables.items()})


def _without(variable: Variable, code: str) -> Variable:
    if DEFAULT_CELL not in variable.cells:
        return variable
    kept = {
        key: cell
        for key, cell in variable.cells.items()
        if key == DEFAULT_CELL or code not in [part.strip() for part in cell.source.split(",")]
    }
    return variable.model_copy(update={"cells": kept})


def _told(model: DifferentialModel, run: _Run) -> list[tuple[str, Variable]]:
    """Return the variables that some case tells of."""
    names = {finding.name for case in run.findings for finding in case}
    return [(name, v) for name, v in model.variables.items() if names & _read(v, name)]


def _read(variable: Variable, name: str) -> frozenset[str]:
    return frozenset(variable.readings or (name,))


def sensitivity_page(found: Sensitivity, *, source: str, least: float = 0.01) -> str:
    """Return the tables as markdown; changes that move no column by `least` are only counted."""
    head = ("left out", "log-loss", "top-1", *((found.watched,) if found.watched else ()), *found.base.mean)
    parts = [
        f"{found.model} on {found.n} cases of {source}, imaging alone. Columns: log-loss and top-1 over all cases"
        + (f", ln odds of EMH in {found.watched}" if found.watched else "")
        + ", and the mean probability of the truth in each entity; after the first line, the change against it.",
    ]
    for what in ("without source", "without finding", "prior"):
        steps = [step for step in found.steps if step.what == what]
        shown = [step for step in steps if what == "prior" or _moved(step, found.base) >= least]
        rows = [_row(found.base, None), *(_row(step, found.base) for step in shown)]
        rest = len(steps) - len(shown)
        more = f"\n\n{rest} others move nothing by {least:g} or more." if rest else ""
        parts.append(f"## {what.capitalize()}\n\n{markdown_table(head, rows)}{more}")
    return "\n\n".join(parts)


def _moved(step: Step, base: Step) -> float:
    watched = 0.0 if step.watched is None or base.watched is None else abs(step.watched - base.watched)
    return max(
        abs(step.log_loss - base.log_loss), watched, *(abs(step.mean[e] - base.mean[e]) for e in base.mean)
    )


def _row(step: Step, base: Step | None) -> tuple[str, ...]:
    figures = [
        step.log_loss,
        step.top1,
        *([] if step.watched is None else [step.watched]),
        *step.mean.values(),
    ]
    if base is None:
        return (step.name, *(f"{figure:.2f}" for figure in figures))
    before = [
        base.log_loss,
        base.top1,
        *([] if base.watched is None else [base.watched]),
        *base.mean.values(),
    ]
    return (step.name, *(f"{new - old:+.2f}" for new, old in zip(figures, before, strict=True)))
