"""What the model is compared with: the most frequent entity, naive Bayes, and the teaching rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from paraspinal.differential.compiled import Array, Indices
from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.observe import Observations
from paraspinal.result import ENTITIES, Finding

FOLDS = 10
_EROSIONS = ("bone_destruction", "pressure_scalloping", "vertebral_erosion", "rib_erosion")


def folds(n: int, count: int = FOLDS, seed: int = 0) -> Indices:
    """Return which fold each case is left out in, (n,): as even as can be, drawn once."""
    fold = np.arange(n) % max(2, min(count, n))
    return np.asarray(np.random.default_rng(seed).permutation(fold))


def majority(truth: Indices) -> Array:
    """Return the shares of the entities among the cases (one added to each) as every case's probabilities.

    It knows the cases' own mix, which is more than it could know of others.
    """
    counts = np.bincount(truth, minlength=len(ENTITIES)) + 1.0
    return np.tile(counts / counts.sum(), (len(truth), 1))


def naive_bayes(seen: Observations, truth: Indices, model: DifferentialModel, *, seed: int = 0) -> Array:
    """Return cross-validated probabilities of naive Bayes: counts of the cases themselves, one added per category.

    It reads the same variables as the model, each at its clearest category, and gives all entities the same prior.
    What is not mentioned is left out.
    """
    fold = folds(len(truth), seed=seed)
    clearest = seen.weight.argmax(axis=2)
    p = np.zeros((len(truth), len(ENTITIES)))
    for left_out in np.unique(fold):
        train, test = fold != left_out, fold == left_out
        score = np.zeros((int(test.sum()), len(ENTITIES)))
        for f, count in enumerate(model.compiled.categories):
            known = seen.known[:, f]
            table = np.ones((len(ENTITIES), count))
            np.add.at(table, (truth[train & known], clearest[train & known, f]), 1.0)
            log = np.log(table / table.sum(axis=1, keepdims=True))
            score += np.where(known[test][:, None], log[:, clearest[test, f]].T, 0.0)
        score -= score.max(axis=1, keepdims=True)
        p[test] = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    return p


def teaching_rule(cases: Sequence[Sequence[Finding]]) -> npt.NDArray[np.bool_]:
    """Tell which cases "bilateral, lower thoracic, not calcified, no erosion" calls EMH.

    Two sides must be told; the other three must not be contradicted.
    """
    return np.array([_by_rule({f.name: f for f in case}) for case in cases], dtype=bool)


def _by_rule(told: dict[str, Finding]) -> bool:
    level = told.get("level")
    elsewhere = level is not None and level.value not in (None, "lower_thoracic")
    calcified = _shown(told, "calcification") or _shown(told, "discrete_high_density")
    return (
        _shown(told, "bilateral")
        and not elsewhere
        and not calcified
        and not any(_shown(told, name) for name in _EROSIONS)
    )


def _shown(told: dict[str, Finding], name: str) -> bool:
    finding = told.get(name)
    if finding is None or finding.state == "not_assessed":
        return False
    return finding.state == "present" if finding.probability is None else finding.probability > 0.5
