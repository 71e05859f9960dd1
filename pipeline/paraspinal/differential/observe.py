"""Findings as evidence: for every variable a weight per category, all alike where nothing is known."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.differential.compiled import Array
from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.schema import Reading, Variable
from paraspinal.result import Finding

Weights = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Observations:
    """Evidence of B cases.

    ``weight[b, f, k]`` is proportional to the probability of what was seen given category k, scaled so that a
    variable of which nothing is known has 1 throughout; ``known[b, f]`` tells where something is known;
    ``named[b]`` maps a variable's index to the finding that spoke most clearly.
    """

    weight: Array
    known: npt.NDArray[np.bool_]
    named: tuple[dict[int, str], ...]


def observe(cases: Sequence[Iterable[Finding]], model: DifferentialModel) -> Observations:
    """Turn each case's findings into evidence; findings that the model does not read are left out.

    Several findings that read one variable are joined by the smallest weight, which is AND for certain ones and
    does not count the same statement twice; a contradiction leaves nothing known. A stand-in variable (erosion
    of a kind not told) is dropped as soon as one of its kinds is known.
    """
    compiled = model.compiled
    widest = compiled.theta.shape[2]
    padding = (np.arange(widest) < compiled.categories[:, None]).astype(float)
    weight = np.repeat(padding[None], len(cases), axis=0)
    known = np.zeros(weight.shape[:2], dtype=bool)
    named: list[dict[int, str]] = []
    readers = _readers(model)
    reliability = [model.reliability_of(variable) for variable in model.variables.values()]
    for b, findings in enumerate(cases):
        names: dict[int, str] = {}
        for f, (weights, name) in _joined(findings, readers).items():
            if f in compiled.stands_in and any(k in names for k in compiled.stands_in[f]):
                continue
            weight[b, f, : len(weights)] = _scaled(weights, reliability[f])
            known[b, f] = True
            names[f] = name
        named.append(names)
    return Observations(weight, known, tuple(named))


_Reader = tuple[int, Variable, Reading]


def _readers(model: DifferentialModel) -> dict[str, list[_Reader]]:
    readers: dict[str, list[_Reader]] = {}
    for f, (name, variable) in enumerate(model.variables.items()):
        for finding, reading in (variable.readings or {name: Reading()}).items():
            readers.setdefault(finding, []).append((f, variable, reading))
    return readers


def _joined(findings: Iterable[Finding], readers: dict[str, list[_Reader]]) -> dict[int, tuple[Weights, str]]:
    """Return weights and the clearest finding per variable, in the model's order."""
    seen: dict[int, list[tuple[Weights, str]]] = {}
    for finding in findings:
        for f, variable, reading in readers.get(finding.name, ()):
            weights = category_weights(finding, variable, reading)
            if weights is not None:
                seen.setdefault(f, []).append((weights, finding.name))
    joined: dict[int, tuple[Weights, str]] = {}
    for f in sorted(seen):
        parts = seen[f]
        weights = parts[0][0] if len(parts) == 1 else tuple(map(min, *(w for w, _ in parts)))
        if max(weights) - min(weights) > 0.0:
            joined[f] = (weights, min(parts, key=lambda part: (sum(part[0]) / max(part[0]), part[1]))[1])
    return joined


def _scaled(weights: Weights, reliability: float) -> Weights:
    count, total = len(weights), sum(weights)
    return tuple(reliability * count * w / total + (1.0 - reliability) for w in weights)


def category_weights(finding: Finding, variable: Variable, reading: Reading) -> Weights | None:
    """Return the weight of each category of a variable that one finding gives, or None where it says nothing."""
    if finding.state == "not_assessed":
        return None
    if finding.kind == "boolean":
        return _boolean_weights(finding, variable, reading)
    if finding.probabilities is not None:
        weights = tuple(finding.probabilities.get(category, 0.0) for category in variable.categories)
        return weights if max(weights) > 0.0 else None
    if finding.state == "indeterminate" or finding.value is None:
        return None
    if isinstance(finding.value, str):
        return _one(variable, finding.value) if finding.value in variable.categories else None
    if reading.bands and finding.uncertainty:
        return _over_bands(finding.value, finding.uncertainty, reading.bands)
    if reading.bands:
        return _one(variable, variable.categories[bisect.bisect_right(reading.bands, finding.value)])
    return None


def _over_bands(value: float, sd: float, bands: Sequence[float]) -> Weights:
    """Return the probability of each band of a number whose error is normal."""
    below = [0.5 * math.erfc((value - edge) / (sd * math.sqrt(2.0))) for edge in bands]
    return tuple(high - low for low, high in zip([0.0, *below], [*below, 1.0], strict=True))


def _one(variable: Variable, category: str) -> Weights:
    return tuple(float(c == category) for c in variable.categories)


def _boolean_weights(finding: Finding, variable: Variable, reading: Reading) -> Weights | None:
    p = finding.probability
    if p is None:
        if finding.state == "indeterminate":
            return None
        p = float(finding.state == "present")
    present = reading.present or variable.categories[:1]
    absent = reading.absent or variable.categories[1:]
    return tuple(p * (c in present) + (1.0 - p) * (c in absent) for c in variable.categories)
