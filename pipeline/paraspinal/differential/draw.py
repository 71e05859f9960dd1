"""Patients drawn from the model's own frequencies: what a case looks like if the model is right.

Nobody's patients: they try the maths, and what a measurement loses of it. They are no evidence on the model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.schema import Reading, Variable
from paraspinal.result import ENTITIES, Entity, Finding

BAND_ENDS: Mapping[str, tuple[float, float]] = {
    "size_mm": (12.0, 140.0),
    "age_years": (1.0, 85.0),
    "fdg_suv_max": (0.5, 15.0),
}
"""Least and greatest value that is drawn in the outer bands of a number."""


@dataclass(frozen=True, slots=True)
class DrawnCase:
    """A patient: sub-kind, and the category of every variable."""

    entity: Entity
    kind: str
    categories: Mapping[str, str]


def draw_case(
    model: DifferentialModel, rng: np.random.Generator, entity: Entity, *, kind: str | None = None
) -> DrawnCase:
    """Draw one patient of an entity (or of one of its sub-kinds), findings of one cause together.

    As in the inference: with the probability of a group's coupling one degree of the cause decides all its findings,
    otherwise each is drawn on its own.
    """
    compiled = model.compiled
    rows = [s for s, (e, k) in enumerate(compiled.kinds) if e == entity and kind in (None, k)]
    share = compiled.share[rows] / compiled.share[rows].sum()
    s = int(rng.choice(rows, p=share))
    chosen = {
        f: int(rng.choice(count, p=compiled.theta[s, f, :count]))
        for f, count in enumerate(compiled.categories)
        if f not in compiled.stands_in
    }
    for group in compiled.groups:
        if rng.uniform() < group.coupling:
            edges = np.cumsum(group.length[s])
            piece = min(int(np.searchsorted(edges, rng.uniform())), len(edges) - 1)
            chosen |= {f: int(group.category[j, s, piece]) for j, f in enumerate(group.members)}
    names = list(model.variables.items())
    return DrawnCase(
        entity=ENTITIES[ENTITIES.index(entity)],
        kind=compiled.kinds[s][1],
        categories={names[f][0]: names[f][1].categories[k] for f, k in chosen.items()},
    )


def drawn_findings(
    case: DrawnCase,
    model: DifferentialModel,
    rng: np.random.Generator,
    *,
    told: Collection[str] | None = None,
    misread: bool = True,
) -> tuple[Finding, ...]:
    """Return the findings that a reader reports of a drawn patient.

    `told` names the variables that are mentioned (all without it). With `misread` a finding is, as often as the
    model's reliability says, one of the categories by chance.
    """
    found: list[Finding] = []
    for name, category in case.categories.items():
        if told is not None and name not in told:
            continue
        variable = model.variables[name]
        seen = category
        if misread and rng.uniform() >= model.reliability_of(variable):
            seen = str(rng.choice(variable.categories))
        found.extend(_findings(name, variable, seen, rng))
    return tuple(found)


def _findings(name: str, variable: Variable, category: str, rng: np.random.Generator) -> list[Finding]:
    readings = {n: r for n, r in variable.readings.items() if r.scope in (None, variable.scope)}
    if not readings:
        return [_plain(name, variable, category)]
    several = {n: r for n, r in readings.items() if r.present}
    if several:
        return [_stated(n, category in r.present) for n, r in several.items()]
    first, reading = next(iter(readings.items()))
    if reading.bands:
        return [_numeric(first, variable, reading, category, rng)]
    return [_plain(first, variable, category)]


def _plain(name: str, variable: Variable, category: str) -> Finding:
    if variable.categories == ("present", "absent"):
        return _stated(name, category == "present")
    return Finding(name=name, kind="categorical", state="present", value=category)


def _stated(name: str, there: bool) -> Finding:
    return Finding(name=name, kind="boolean", state="present" if there else "absent")


def _numeric(
    name: str, variable: Variable, reading: Reading, category: str, rng: np.random.Generator
) -> Finding:
    low, high = BAND_ENDS[name]
    edges = (low, *reading.bands, high)
    k = variable.categories.index(category)
    value = float(np.exp(rng.uniform(np.log(edges[k]), np.log(edges[k + 1]))))
    return Finding(name=name, kind="numeric", state="present", value=min(value, edges[k + 1] * (1.0 - 1e-9)))
