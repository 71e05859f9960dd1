"""A whole differential model: its parts (`paraspinal.differential.schema`) fit together.

A model is a folder: ``model.toml`` (entities, groups, priors, rules) and ``findings/*.toml`` (one table per
variable). Nothing in it is code.
"""

from __future__ import annotations

import hashlib
import tomllib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError, model_validator

from paraspinal.data import data_folder
from paraspinal.differential.names import CATALOGUE
from paraspinal.differential.schema import (
    DEFAULT_CELL,
    AbstainRules,
    EntityModel,
    Fitted,
    Group,
    Observation,
    Part,
    Prior,
    Reading,
    Sentences,
    Variable,
)
from paraspinal.errors import ConfigError
from paraspinal.result import ENTITIES, Entity, Probability

if TYPE_CHECKING:
    from paraspinal.differential.compiled import CompiledModel


class DifferentialModel(Part):
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
    fitted: Fitted | None = None

    @property
    def digest(self) -> str:
        """Sixteen hex digits of the content: two models of one name and version may differ (`paraspinal fit`)."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

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
            for finding, reading in (variable.readings or {name: Reading()}).items()
            if "context" in (reading.scope, variable.scope)
        )

    def reliability_of(self, variable: Variable) -> float:
        """Return how often a finding on this variable is taken as right."""
        return (variable.reliability or self.observation.reliability).value

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

    def with_variables(self, variables: dict[str, Variable]) -> DifferentialModel:
        """Return the model with other variables, checked anew."""
        return DifferentialModel(
            **{**{name: getattr(self, name) for name in type(self).model_fields}, "variables": variables}
        )

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
