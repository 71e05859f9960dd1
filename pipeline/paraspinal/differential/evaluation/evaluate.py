"""The model on cases of known diagnosis, by stratum, with and without context, beside the baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from paraspinal.differential.compiled import Array, Indices
from paraspinal.differential.evaluation.baselines import majority, naive_bayes, teaching_rule
from paraspinal.differential.evaluation.known import KnownCase
from paraspinal.differential.evaluation.scores import Figure, auc, scores
from paraspinal.differential.explain import differentials_of
from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.observe import observe
from paraspinal.result import ENTITIES, Differential, Finding

MIN_STATED = 3
STRATA: Mapping[str, Callable[[KnownCase], bool]] = {
    "all": lambda case: True,
    "all, tissue-confirmed": lambda case: case.tissue,
    "subset": lambda case: case.stated >= MIN_STATED,
    "subset, tissue-confirmed": lambda case: case.tissue and case.stated >= MIN_STATED,
}
"""The subset holds the cases with three findings or more other than levels and clinical context."""
EVIDENCE = ("imaging", "with context")


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One entity of a stratum: cases, how many come first and among the first two, the mean probability of the truth
    and the area under the ROC curve against the rest."""

    entity: str
    n: int
    first: int
    first_two: int
    mean_probability: float | None
    auc: Figure


@dataclass(frozen=True, slots=True)
class Block:
    """A stratum judged by one kind of evidence."""

    stratum: str
    evidence: str
    n: int
    emh: int
    scores: Mapping[str, Figure]
    abstained: int
    right_when_named: int
    classes: tuple[ClassScore, ...]
    baselines: Mapping[str, Mapping[str, Figure]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was found; ``predictions`` holds (p[n, e], truth[n]) per kind of evidence, for pictures."""

    model: str
    prior: str
    draws: int
    blocks: tuple[Block, ...]
    predictions: Mapping[str, tuple[Array, Indices]]

    def block(self, stratum: str, evidence: str) -> Block | None:
        """Return one block, None where the stratum held no case."""
        return next((b for b in self.blocks if (b.stratum, b.evidence) == (stratum, evidence)), None)

    def as_json(self) -> dict[str, Any]:
        """Return everything but the single predictions as plain data."""
        return {
            "model": self.model,
            "prior": self.prior,
            "bootstrap_draws": self.draws,
            "blocks": [asdict(block) for block in self.blocks],
        }


def evaluate(
    cases: Sequence[KnownCase],
    model: DifferentialModel,
    *,
    prior: str = "uniform",
    draws: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Score a model on known cases; the order of the cases makes no difference but for the folds of naive Bayes.

    Raises
    ------
    ConfigError
        If the model has no prior of that name.
    """
    blocks: list[Block] = []
    predictions: dict[str, tuple[Array, Indices]] = {}
    truth = truths(cases)
    for evidence in EVIDENCE:
        findings = [c.imaging(model) if evidence == "imaging" else c.findings for c in cases]
        ranked = differentials_of(findings, model, prior=prior)
        p = posteriors(ranked)
        predictions[evidence] = (p, truth)
        for stratum, chosen in STRATA.items():
            rows = np.flatnonzero([chosen(case) for case in cases])
            if len(rows):
                part = _Part(stratum, evidence, p[rows], truth[rows], draws, seed)
                blocks.append(_block(part, [ranked[i] for i in rows], [findings[i] for i in rows], model))
    blocks.sort(key=lambda b: (list(STRATA).index(b.stratum), EVIDENCE.index(b.evidence)))
    return Evaluation(f"{model.name} {model.version}", prior, draws, tuple(blocks), predictions)


def truths(cases: Sequence[KnownCase]) -> Indices:
    """Return the index of each case's entity, (n,)."""
    return np.array([ENTITIES.index(case.entity) for case in cases], dtype=np.intp)


def posteriors(ranked: Sequence[Differential]) -> Array:
    """Return the posteriors, (n, entities)."""
    return np.array([[(d.posterior or {})[e] for e in ENTITIES] for d in ranked]).reshape(-1, len(ENTITIES))


@dataclass(frozen=True, slots=True)
class _Part:
    stratum: str
    evidence: str
    p: Array
    truth: Indices
    draws: int
    seed: int

    def scored(self, p: Array, *, calibrated: bool = False) -> dict[str, Figure]:
        return scores(p, self.truth, draws=self.draws, seed=self.seed, calibrated=calibrated)


def _block(
    part: _Part,
    ranked: Sequence[Differential],
    findings: Sequence[Sequence[Finding]],
    model: DifferentialModel,
) -> Block:
    named = np.array([not d.abstained.value for d in ranked])
    right = part.p.argmax(axis=1) == part.truth
    bayes = naive_bayes(observe(findings, model), part.truth, model, seed=part.seed)
    return Block(
        stratum=part.stratum,
        evidence=part.evidence,
        n=len(part.p),
        emh=int((part.truth == 0).sum()),
        scores=part.scored(part.p, calibrated=True),
        abstained=int((~named).sum()),
        right_when_named=int((named & right).sum()),
        classes=tuple(_class(part, e) for e in range(len(ENTITIES))),
        baselines={
            "most frequent entity": part.scored(majority(part.truth)),
            "naive Bayes, cross-validated": part.scored(bayes),
            "teaching rule": _rule(part, teaching_rule(findings)),
        },
    )


def _class(part: _Part, e: int) -> ClassScore:
    own = part.truth == e
    better = (part.p > part.p[np.arange(len(part.p)), part.truth][:, None]).sum(axis=1)
    area = float(auc(part.p[:, e], own, np.ones((1, len(own))))[0])
    return ClassScore(
        entity=ENTITIES[e],
        n=int(own.sum()),
        first=int((own & (better == 0)).sum()),
        first_two=int((own & (better < 2)).sum()),
        mean_probability=float(part.p[own, e].mean()) if own.any() else None,
        auc=Figure(None if np.isnan(area) else area),
    )


def _rule(part: _Part, called: npt.NDArray[np.bool_]) -> dict[str, Figure]:
    """Score the rule, which says EMH or nothing: as a certain EMH, or all others alike."""
    others = np.full(len(ENTITIES), 1.0 / (len(ENTITIES) - 1))
    others[0] = 0.0
    p = np.where(called[:, None], np.eye(len(ENTITIES))[0], others)
    kept = ("emh_auc", "emh_sensitivity", "emh_specificity")
    return {name: figure for name, figure in part.scored(p).items() if name in kept}
