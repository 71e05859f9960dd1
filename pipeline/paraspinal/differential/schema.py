"""The parts of a differential model as validated data: counts, variables, entities, priors, rules.

A number without a grade and a reason is refused.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from paraspinal.result import ENTITIES, Entity

Grade = Literal["A", "B", "C"]
Count = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
DEFAULT_CELL = "default"
JEFFREYS = 0.5
"""Pseudo-count per category added to counted data (Jeffreys' prior of a proportion); judgement has its own."""


class Part(BaseModel):
    """Frozen, finite, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Cell(Part):
    """Counts of one variable's categories in one kind of mass.

    ``n`` is a list (one count per category), or the count of the first category with ``of`` as the total.
    """

    n: Count | tuple[Count, ...]
    of: Annotated[float, Field(gt=0.0)] | None = None
    grade: Grade
    source: str = ""
    note: str = ""
    added: tuple[Count, ...] = Field(
        (), description="counts of confirmed cases, per category (`paraspinal fit`)"
    )

    @model_validator(mode="after")
    def _is_explained(self) -> Self:
        if not (self.source or self.note):
            raise ValueError("a count needs a source or a note")
        if self.grade != "C" and not self.source:
            raise ValueError(f"grade {self.grade} needs a source")
        if isinstance(self.n, tuple) == (self.of is not None):
            raise ValueError("give n as a list, or n with of")
        if not isinstance(self.n, tuple) and self.of is not None and self.n > self.of:
            raise ValueError(f"n = {self.n} is more than of = {self.of}")
        if self.grade == "C" and min(self._raw) <= 0.0 < max(self._raw):
            raise ValueError("judgement never says never: every pseudo-count must be above 0")
        if self.added and len(self.added) != len(self._raw):
            raise ValueError(f"added has {len(self.added)} counts for {len(self._raw)} categories")
        return self

    @property
    def _raw(self) -> tuple[float, ...]:
        if isinstance(self.n, tuple):
            return self.n
        return (self.n, (self.of or 0.0) - self.n)

    @property
    def alpha(self) -> tuple[float, ...]:
        """Dirichlet parameters: the counts, Jeffreys' half for counted data (grades A and B), and added cases."""
        extra = 0.0 if self.grade == "C" else JEFFREYS
        added = self.added or (0.0,) * len(self._raw)
        return tuple(count + extra + more for count, more in zip(self._raw, added, strict=True))


class Graded(Part):
    """A number of the model itself, with its grade and reason."""

    value: float
    grade: Grade
    note: str = Field(min_length=1)


class Reading(Part):
    """How a finding of some name speaks about a variable.

    Booleans: the categories that agree with `present` and with `absent` (default: the variable's own first and
    second). Numeric findings: `bands` are the borders between the categories. A reading of an imaging variable may
    itself be context (a splenectomy tells of the spleen).
    """

    scope: Literal["imaging", "context"] | None = None
    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    bands: tuple[float, ...] = ()


class Variable(Part):
    """One thing that is true or not of a case; findings are readings of it."""

    categories: tuple[str, ...] = ("present", "absent")
    scope: Literal["imaging", "context"] = "imaging"
    group: str | None = None
    reliability: Graded | None = Field(None, description="of this finding, where it differs from the model's")
    reversed: bool = Field(False, description="the first category goes with less of the group's cause")
    meaning: str
    says: dict[str, str]
    caveat: str = ""
    readings: dict[str, Reading] = Field(default_factory=dict)
    any_of: tuple[str, ...] = Field((), description="stands in for these when none of them is told")
    cells: dict[str, Cell] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if len(self.categories) < 2 or len(set(self.categories)) != len(self.categories):
            raise ValueError("a variable needs two or more different categories")
        if set(self.says) != set(self.categories):
            raise ValueError("says needs one text per category")
        if bool(self.any_of) == bool(self.cells):
            raise ValueError("give cells, or any_of")
        for name, cell in self.cells.items():
            if len(cell.alpha) != len(self.categories):
                raise ValueError(
                    f"cell {name} has {len(cell.alpha)} counts for {len(self.categories)} categories"
                )
        return self


class Kind(Part):
    """A sub-kind of an entity: its share of the entity, and where it inherits cells from, nearest first."""

    weight: Annotated[float, Field(gt=0.0, le=1.0)]
    inherits: tuple[str, ...] = ()


class Shares(Part):
    """Why the sub-kinds of an entity have the shares they have."""

    grade: Grade
    source: str = ""
    note: str = Field(min_length=1)


class EntityModel(Part):
    """An entity with its sub-kinds; their weights sum to 1."""

    title: str
    shares: Shares
    kinds: dict[str, Kind]

    @model_validator(mode="after")
    def _weights_sum(self) -> Self:
        total = sum(kind.weight for kind in self.kinds.values())
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"the weights of the sub-kinds sum to {total:.6g}, not to 1")
        return self


class Prior(Part):
    """A named prior over the entities."""

    note: str
    probabilities: dict[Entity, Annotated[float, Field(gt=0.0, lt=1.0)]]

    @model_validator(mode="before")
    @classmethod
    def _entities_beside_note(cls, values: Any) -> Any:
        if isinstance(values, dict) and "probabilities" not in values:
            rest = {k: v for k, v in values.items() if k != "note"}
            return {"note": values.get("note", ""), "probabilities": rest}
        return values

    @model_validator(mode="after")
    def _sums(self) -> Self:
        if set(self.probabilities) != set(ENTITIES):
            raise ValueError(f"a prior names each of {', '.join(ENTITIES)}")
        if not math.isclose(sum(self.probabilities.values()), 1.0, abs_tol=1e-6):
            raise ValueError("a prior sums to 1")
        return self


class Group(Part):
    """Findings that share a cause."""

    meaning: str
    coupling: Graded


class Fitted(Part):
    """Where the counts that were added to a model come from; nothing in it names a case."""

    base: str
    cases: int
    weight: float
    digest: str = Field(description="of findings and diagnoses")
    per_entity: dict[Entity, int]
    before: Fitted | None = None


class Observation(Part):
    """How far a finding can be trusted."""

    reliability: Graded


class Sentences(Part):
    """Templates with {statement}, {factor} and {best}; favouring the first entity, against it, or neither."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    in_favour: str = Field(alias="for")
    against: str
    neutral: str


class PairRule(Part):
    """Two entities that a finding cannot tell apart without support from others."""

    code: str
    present: str
    unless: tuple[str, ...]
    leaders: tuple[Entity, ...]
    reason: str
    source: str


class AbstainRules(Part):
    """When the model declines to name a leader."""

    min_factor: Graded
    min_lead_odds: Graded
    min_probability: Graded
    pairs: tuple[PairRule, ...] = ()
