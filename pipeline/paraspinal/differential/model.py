"""A differential model as validated data: entities, sub-kinds, priors, and counts for every finding.

A model is a folder: ``model.toml`` (entities, groups, priors, rules) and ``findings/*.toml`` (one table per
variable). Nothing in it is code, and a number without a grade and a reason is refused.
"""

from __future__ import annotations

import math
import tomllib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from paraspinal.data import data_folder
from paraspinal.differential.names import CATALOGUE
from paraspinal.errors import ConfigError
from paraspinal.result import ENTITIES, Entity, Probability

if TYPE_CHECKING:
    from paraspinal.differential.compiled import CompiledModel

Grade = Literal["A", "B", "C"]
Count = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
DEFAULT_CELL = "default"
JEFFREYS = 0.5
"""Pseudo-count per category added to counted data (Jeffreys' prior of a proportion); judgement has its own."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Cell(_Part):
    """Counts of one variable's categories in one kind of mass.

    ``n`` is a list (one count per category), or the count of the first category with ``of`` as the total.
    """

    n: Count | tuple[Count, ...]
    of: Annotated[float, Field(gt=0.0)] | None = None
    grade: Grade
    source: str = ""
    note: str = ""

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
        return self

    @property
    def _raw(self) -> tuple[float, ...]:
        if isinstance(self.n, tuple):
            return self.n
        return (self.n, (self.of or 0.0) - self.n)

    @property
    def alpha(self) -> tuple[float, ...]:
        """Dirichlet parameters: the counts, plus Jeffreys' half for counted data (grades A and B)."""
        extra = 0.0 if self.grade == "C" else JEFFREYS
        return tuple(count + extra for count in self._raw)


class Reading(_Part):
    """How a finding of some name speaks about a variable.

    Booleans: the categories that agree with `present` and with `absent` (default: the variable's own first and
    second). Numeric findings: `bands` are the borders between the categories.
    """

    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    bands: tuple[float, ...] = ()


class Variable(_Part):
    """One thing that is true or not of a case; findings are readings of it."""

    categories: tuple[str, ...] = ("present", "absent")
    scope: Literal["imaging", "context"] = "imaging"
    group: str | None = None
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


class Graded(_Part):
    """A number of the model itself, with its grade and reason."""

    value: float
    grade: Grade
    note: str = Field(min_length=1)


class Kind(_Part):
    """A sub-kind of an entity: its share of the entity, and where it inherits cells from, nearest first."""

    weight: Annotated[float, Field(gt=0.0, le=1.0)]
    inherits: tuple[str, ...] = ()


class EntityModel(_Part):
    """An entity with its sub-kinds; their weights sum to 1."""

    title: str
    kinds: dict[str, Kind]

    @model_validator(mode="after")
    def _weights_sum(self) -> Self:
        total = sum(kind.weight for kind in self.kinds.values())
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"the weights of the sub-kinds sum to {total:.6g}, not to 1")
        return self


class Prior(_Part):
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


class Group(_Part):
    """Findings that share a cause."""

    meaning: str
    coupling: Graded


class Observation(_Part):
    """How far a finding can be trusted."""

    reliability: Graded


class Sentences(_Part):
    """Templates with {statement}, {factor} and {best}; favouring the first entity, against it, or neither."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    in_favour: str = Field(alias="for")
    against: str
    neutral: str


class PairRule(_Part):
    """Two entities that a finding cannot tell apart without support from others."""

    code: str
    present: str
    unless: tuple[str, ...]
    leaders: tuple[Entity, ...]
    reason: str
    source: str


class AbstainRules(_Part):
    """When the model declines to name a leader."""

    min_factor: Graded
    min_lead_odds: Graded
    pairs: tuple[PairRule, ...] = ()


class DifferentialModel(_Part):
    """A whole model. Cells are looked up sub-kind first, then `inherits`, then the entity, then ``default``."""

    name: str
    version: str
    summary: str
    observation: Observation
    sentences: Sentences
    abstain: AbstainRules
    groups: dict[str, Group]
    entities: dict[Entity, EntityModel]
    priors: dict[str, Prior]
    variables: dict[str, Variable]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if set(self.entities) != set(ENTITIES):
            raise ValueError(f"a model describes each of {', '.join(ENTITIES)}")
        keys = self.cell_keys()
        for name, variable in self.variables.items():
            self._check_variable(name, variable, keys)
        for rule in self.abstain.pairs:
            unknown = {rule.present, *rule.unless} - set(self.variables)
            if unknown:
                raise ValueError(f"rule {rule.code} names unknown variables {sorted(unknown)}")
        return self

    def _check_variable(self, name: str, variable: Variable, keys: set[str]) -> None:
        if variable.group is not None and variable.group not in self.groups:
            raise ValueError(f"variable {name}: there is no group {variable.group!r}")
        unknown = (set(variable.cells) - keys) | (set(variable.any_of) - set(self.variables))
        if unknown:
            raise ValueError(f"variable {name}: unknown {', '.join(sorted(unknown))}")
        for reading in (*variable.readings, *(() if variable.readings else (name,))):
            if reading not in CATALOGUE:
                raise ValueError(f"variable {name} reads {reading!r}, which is no known finding")
        for finding, reading_rule in variable.readings.items():
            self._check_reading(f"{name}.{finding}", variable, reading_rule)
        if variable.cells:
            for entity, kind in self.subkinds():
                if self.cell_key(variable, entity, kind) is None:
                    raise ValueError(f"variable {name} has no cell for {entity}.{kind}")

    @staticmethod
    def _check_reading(name: str, variable: Variable, reading: Reading) -> None:
        if reading.bands and len(reading.bands) != len(variable.categories) - 1:
            raise ValueError(f"reading {name} needs {len(variable.categories) - 1} band borders")
        unknown = {*reading.present, *reading.absent} - set(variable.categories)
        if unknown:
            raise ValueError(f"reading {name} names unknown categories {sorted(unknown)}")

    def subkinds(self) -> list[tuple[Entity, str]]:
        """Return (entity, sub-kind) in the order in which everything is computed."""
        return [(entity, kind) for entity in ENTITIES for kind in self.entities[entity].kinds]

    def cell_keys(self) -> set[str]:
        """Return every key under which a cell may stand."""
        keys = {DEFAULT_CELL}
        for entity, described in self.entities.items():
            keys.add(entity)
            for kind, rule in described.kinds.items():
                keys.update(f"{entity}.{tag}" for tag in (kind, *rule.inherits))
        return keys

    def cell_key(self, variable: Variable, entity: Entity, kind: str) -> str | None:
        """Return the key of the cell that holds for a sub-kind: the nearest one there is."""
        tags = (kind, *self.entities[entity].kinds[kind].inherits)
        for key in (*(f"{entity}.{tag}" for tag in tags), entity, DEFAULT_CELL):
            if key in variable.cells:
                return key
        return None

    @cached_property
    def context_findings(self) -> frozenset[str]:
        """Names of the findings that are clinical context, not imaging."""
        return frozenset(
            finding
            for name, variable in self.variables.items()
            if variable.scope == "context"
            for finding in (variable.readings or {name: Reading()})
        )

    def prior_of(self, name: str) -> dict[Entity, Probability]:
        """Return a named prior.

        Raises
        ------
        ConfigError
            If the model has no prior of that name.
        """
        prior = self.priors.get(name)
        if prior is None:
            raise ConfigError(
                f"The model {self.name} has no prior {name!r}.",
                code="prior_not_found",
                remedy=f"Use one of {', '.join(self.priors)}.",
            )
        total = sum(prior.probabilities.values())
        return {entity: prior.probabilities[entity] / total for entity in ENTITIES}

    @cached_property
    def compiled(self) -> CompiledModel:
        """The model as arrays, made once."""
        from paraspinal.differential.compiled import compile_model

        return compile_model(self)


def load_model(name_or_path: str | Path) -> DifferentialModel:
    """Read a model by name (a folder under ``models/``) or from a folder.

    Raises
    ------
    ConfigError
        If there is no such model, or something in it is not valid.
    """
    folder = Path(name_or_path)
    if not (folder / "model.toml").is_file():
        folder = data_folder("models") / str(name_or_path)
    if not (folder / "model.toml").is_file():
        names = sorted(path.parent.name for path in data_folder("models").glob("*/model.toml"))
        raise ConfigError(
            f"There is no differential model {str(name_or_path)!r}.",
            code="model_not_found",
            remedy=f"Use one of {', '.join(names)}, or the path of a folder with a model.toml.",
        )
    try:
        return DifferentialModel.model_validate(_read_folder(folder))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError, ValueError) as error:
        raise ConfigError(
            f"The differential model {folder.name} is not valid: {_first_fault(error)}.",
            code="model_invalid",
            remedy="Correct the named entry; docs/differential.md describes the format.",
        ) from error


def _read_folder(folder: Path) -> dict[str, Any]:
    values = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))
    variables: dict[str, Any] = {}
    for path in sorted((folder / "findings").glob("*.toml")):
        for name, variable in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if name in variables:
                raise ValueError(f"{path.name}: {name} stands in the model twice")
            variables[name] = variable
    return {**values, "variables": variables}


def _first_fault(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)
