"""The model as arrays: frequencies per sub-kind, the uncertainty of each cell, and the layout of groups.

Axes: S sub-kinds, F variables, K categories (padded with zeros where a variable has fewer).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.schema import Variable
from paraspinal.result import ENTITIES

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

DERIVED_TOTAL = 10.0
"""Pseudo-counts given to the frequency of a stand-in variable, whose own counts nobody published."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The Dirichlet cells of one variable; ``of_kind[s]`` is the cell of sub-kind s."""

    alpha: Array
    of_kind: Indices


@dataclass(frozen=True, slots=True)
class CoupledGroup:
    """Findings that share a cause, laid along one line of its degree u in [0, 1].

    In sub-kind s the line falls into M pieces of ``length[s, m]``; on piece m member j has the category
    ``category[j, s, m]``. Each member keeps its own frequency: the pieces of a category add up to it.
    """

    members: tuple[int, ...]
    coupling: float
    length: Array
    category: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """Arrays of one model. ``theta[s, f, k]`` is the mean frequency; ``member[s, e]`` is 1 for s in entity e."""

    variables: tuple[str, ...]
    position: dict[str, int]
    categories: npt.NDArray[np.intp]
    theta: Array
    cells: tuple[Cells, ...]
    groups: tuple[CoupledGroup, ...]
    kinds: tuple[tuple[str, str], ...]
    share: Array
    member: Array
    stands_in: dict[int, tuple[int, ...]]


def compile_model(model: DifferentialModel) -> CompiledModel:
    """Lay a validated model out as arrays."""
    names = tuple(model.variables)
    position = {name: f for f, name in enumerate(names)}
    kinds = tuple(model.subkinds())
    widest = max(len(v.categories) for v in model.variables.values())
    theta = np.zeros((len(kinds), len(names), widest))
    cells: list[Cells] = []
    for name, variable in model.variables.items():
        made = _cells(model, variable) if variable.cells else _stand_in(theta, position, variable)
        mean = made.alpha / made.alpha.sum(axis=1, keepdims=True)
        theta[:, position[name], : mean.shape[1]] = mean[made.of_kind]
        cells.append(made)
    members = {
        group: [position[n] for n in names if model.variables[n].group == group] for group in model.groups
    }
    return CompiledModel(
        variables=names,
        position=position,
        categories=np.array([len(v.categories) for v in model.variables.values()]),
        theta=theta,
        cells=tuple(cells),
        groups=tuple(_couple(theta, model, fs, group) for group, fs in members.items() if len(fs) > 1),
        kinds=kinds,
        share=np.array([model.entities[e].kinds[k].weight for e, k in kinds]),
        member=np.array([[float(e == entity) for entity in ENTITIES] for e, _ in kinds]),
        stands_in={
            position[n]: tuple(position[o] for o in v.any_of) for n, v in model.variables.items() if v.any_of
        },
    )


def _cells(model: DifferentialModel, variable: Variable) -> Cells:
    keys = [model.cell_key(variable, entity, kind) for entity, kind in model.subkinds()]
    distinct = list(dict.fromkeys(key for key in keys if key is not None))
    alpha = np.array([variable.cells[key].alpha for key in distinct])
    return Cells(alpha, np.array([distinct.index(key) for key in keys if key is not None]))


def _stand_in(theta: Array, position: dict[str, int], variable: Variable) -> Cells:
    """Return cells for "at least one of": the complement of none, each taken as independent of the others."""
    parts = theta[:, [position[name] for name in variable.any_of], 0]
    present = 1.0 - np.prod(1.0 - parts, axis=1)
    alpha = DERIVED_TOTAL * np.stack([present, 1.0 - present], axis=1)
    return Cells(alpha, np.arange(len(alpha)))


def _couple(theta: Array, model: DifferentialModel, members: Sequence[int], group: str) -> CoupledGroup:
    variables = list(model.variables.values())
    kinds = theta.shape[0]
    pieces = 1 + sum(len(variables[f].categories) - 1 for f in members)
    length = np.zeros((kinds, pieces))
    category = np.zeros((len(members), kinds, pieces), dtype=np.intp)
    for s in range(kinds):
        orders = [_most_first(variables[f]) for f in members]
        cuts = [np.cumsum(theta[s, f, order])[:-1] for f, order in zip(members, orders, strict=True)]
        edges = np.concatenate([[0.0], np.sort(np.concatenate(cuts)), [1.0]])
        length[s] = np.diff(edges)
        middle = (edges[1:] + edges[:-1]) / 2.0
        for j, (cut, order) in enumerate(zip(cuts, orders, strict=True)):
            category[j, s] = np.asarray(order)[np.searchsorted(cut, middle)]
    return CoupledGroup(tuple(members), model.groups[group].coupling.value, length, category)


def _most_first(variable: Variable) -> list[int]:
    """Return category indices from most to least of the group's cause.

    A boolean is written present first; other variables are written from least to most.
    """
    count = len(variable.categories)
    most_first = list(range(count)) if count == 2 else list(range(count - 1, -1, -1))
    return most_first[::-1] if variable.reversed else most_first
