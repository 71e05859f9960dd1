"""From numbers to a `Differential` that a radiologist can check line by line."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from paraspinal.differential.compiled import Array, Indices
from paraspinal.differential.inference import Inference, infer
from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.observe import Observations, observe
from paraspinal.differential.schema import PairRule, Variable
from paraspinal.result import ENTITIES, Abstention, Differential, Evidence, Finding

NO_MASS = "There is no mass to explain, so there is no posterior."
NEUTRAL = 0.05
"""Contributions (natural log) nearer to 0 than this are told as saying little."""
LARGEST_FACTOR = 1000.0
_EXCLUDED = 0.15
"""A category is told as excluded when its weight lies below this share of the rest, doubt in readings included."""


def differential_of(
    findings: Sequence[Finding],
    model: DifferentialModel,
    *,
    prior: str = "uniform",
    flags: tuple[str, ...] = (),
    has_mass: bool = True,
) -> Differential:
    """Rank the entities by the findings of one mass.

    The order of the findings, and findings that were not assessed, make no difference. `flags` are handed on.

    Raises
    ------
    ConfigError
        If the model has no prior of that name.
    """
    if not has_mass:
        model.prior_of(prior)
        return Differential(posterior=None, abstained=Abstention(value=True, reason=NO_MASS), flags=flags)
    return differentials_of([findings], model, prior=prior, flags=[flags])[0]


def differentials_of(
    cases: Sequence[Iterable[Finding]],
    model: DifferentialModel,
    *,
    prior: str = "uniform",
    flags: Sequence[tuple[str, ...]] | None = None,
) -> list[Differential]:
    """Rank the entities for many masses at once; the same as `differential_of` one by one, only faster.

    Raises
    ------
    ConfigError
        If the model has no prior of that name.
    """
    before = model.prior_of(prior)
    if not cases:
        return []
    seen = observe(cases, model)
    found = infer(seen, model.compiled, np.array([before[e] for e in ENTITIES]))
    view = _View(
        model=model,
        seen=seen,
        found=found,
        prior={str(e): p for e, p in before.items()},
        ranked=np.argsort(-found.entities, axis=1, kind="stable"),
        strongest=found.contributions.argmax(axis=2),
        imaging=np.array([variable.scope == "imaging" for variable in model.variables.values()]),
    )
    with _without_collection():
        return [view.differential(b, () if flags is None else flags[b]) for b in range(len(cases))]


@contextmanager
def _without_collection() -> Iterator[None]:
    """Spare the search for reference cycles, of which results have none, while very many of them are made."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@dataclass(frozen=True, slots=True)
class _View:
    """Everything that is needed to tell one case of a batch.

    ``ranked[b]`` are the entities from the likeliest on, ``strongest[b, f]`` is the one that a finding favours most,
    ``imaging[f]`` tells what is no context; ``told`` keeps statements that occurred already.
    """

    model: DifferentialModel
    seen: Observations
    found: Inference
    prior: dict[str, float]
    ranked: Indices
    strongest: Indices
    imaging: npt.NDArray[np.bool_]
    told: dict[tuple[int, tuple[float, ...]], str] = field(default_factory=dict)

    def differential(self, b: int, flags: tuple[str, ...]) -> Differential:
        found = self.found
        kinds = zip(self.model.compiled.kinds, found.kinds[b].tolist(), strict=True)
        bounds = zip(found.low[b].tolist(), found.high[b].tolist(), strict=True)
        return Differential(
            posterior=_by_entity(found.entities[b]),
            interval=dict(zip(ENTITIES, bounds, strict=True)),
            prior=self.prior,
            log_likelihood_ratio=_by_entity(found.llr[b]),
            subtypes={f"{entity}.{kind}": p for (entity, kind), p in kinds},
            evidence=self.evidence(b),
            abstained=self.abstention(b),
            flags=flags,
            most_informative_missing=self.most_informative_missing(b),
        )

    def evidence(self, b: int) -> tuple[Evidence, ...]:
        """Return one entry per known variable, the strongest for or against EMH first."""
        own = self.found.contributions[b]
        rows = [(f, own[f].tolist(), name) for f, name in self.seen.named[b].items()]
        rows.sort(key=lambda row: (-abs(row[1][0]), row[0]))
        return tuple(
            Evidence(
                finding=name,
                contribution=each[0],
                contributions=dict(zip(ENTITIES, each, strict=True)),
                sentence=self.sentence(b, f, each[0]),
            )
            for f, each, name in rows
        )

    def sentence(self, b: int, f: int, emh: float) -> str:
        variable = self.model.variables[self.model.compiled.variables[f]]
        texts = self.model.sentences
        side = texts.in_favour if emh > 0.0 else texts.against
        template = texts.neutral if abs(emh) < NEUTRAL else side
        told = template.format(
            statement=self.statement(b, f, variable),
            factor=_factor(emh),
            best=self.model.entities[ENTITIES[int(self.strongest[b, f])]].title,
        )
        return f"{told} {variable.caveat}".rstrip()

    def statement(self, b: int, f: int, variable: Variable) -> str:
        weights = tuple(self.seen.weight[b, f, : len(variable.categories)].tolist())
        text = self.told.get((f, weights))
        if text is None:
            text = _statement(variable, list(weights), self.model.reliability_of(variable))
            self.told[f, weights] = text
        return text

    def abstention(self, b: int) -> Abstention:
        rules, found = self.model.abstain, self.found
        order = self.ranked[b].tolist()
        first, second = (self.model.entities[ENTITIES[e]].title for e in order[:2])
        odds = found.entities[b, order[0]] / max(float(found.entities[b, order[1]]), 1e-300)
        for rule in rules.pairs:
            if ENTITIES[order[0]] in rule.leaders and self.unsupported(b, rule):
                return Abstention(value=True, reason=rule.reason)
        if np.abs(found.llr[b]).max() < math.log(rules.min_factor.value):
            return Abstention(value=True, reason="Too little evidence: the findings hardly move the prior.")
        if odds < rules.min_lead_odds.value:
            return Abstention(
                value=True, reason=f"The evidence does not tell {first} from {second} (odds {odds:.1f}:1)."
            )
        likeliest = float(found.entities[b, order[0]])
        if likeliest < rules.min_probability.value:
            return Abstention(
                value=True,
                reason=f"No entity is likely enough to lead: {first} comes first with {likeliest:.0%}, and "
                f"{rules.min_probability.value:.0%} are needed.",
            )
        return Abstention(value=False)

    def unsupported(self, b: int, rule: PairRule) -> bool:
        """Tell whether the finding that raises the question is there, and none that would settle it."""
        return self.shows(b, rule.present) and not any(self.shows(b, name) for name in rule.unless)

    def shows(self, b: int, name: str) -> bool:
        """Tell whether a boolean is likelier present than not, or an ordered variable likelier not at its least."""
        f = self.model.compiled.position[name]
        if f not in self.seen.named[b]:
            return False
        count = len(self.model.variables[name].categories)
        least = 1 if count == 2 else 0
        weights = self.seen.weight[b, f, :count]
        return bool(max(np.delete(weights, least)) > weights[least])

    def most_informative_missing(self, b: int) -> str | None:
        """Return the unknown variable that is expected to tell most; context only where some context is known."""
        context = any(not self.imaging[f] for f in self.seen.named[b])
        gain = self.found.gain[b] if context else self.found.gain[b] * self.imaging
        best = int(gain.argmax())
        return self.model.compiled.variables[best] if gain[best] > 0.0 else None


def _by_entity(values: Array) -> dict[str, float]:
    return dict(zip(ENTITIES, values.tolist(), strict=True))


def _factor(log_ratio: float) -> str:
    factor = math.exp(min(abs(log_ratio), math.log(LARGEST_FACTOR)))
    return f"over {LARGEST_FACTOR:.0f}" if factor >= LARGEST_FACTOR else f"{factor:.2g}"


def _then(text: str, place: int) -> str:
    """Return a statement as it stands at some place of a sentence."""
    return text if place == 0 else f"{text[0].lower()}{text[1:]}"


def _statement(variable: Variable, weights: list[float], reliability: float) -> str:
    """Return what was seen in words, with its probability unless that is plain."""
    top = max(weights)
    less = [c for c, w in zip(variable.categories, weights, strict=True) if w < top]
    excluded = len(weights) > 2 and len(less) == 1
    if excluded and min(weights) <= _EXCLUDED * top:
        text = variable.says[less[0]]
        return f"Excluded: {text[0].lower()}{text[1:]}"
    likeliest = [c for c, w in zip(variable.categories, weights, strict=True) if math.isclose(w, top)]
    text = " or ".join(_then(variable.says[c], k) for k, c in enumerate(likeliest))
    count = len(likeliest)
    share = (count * top / sum(weights) - count * (1.0 - reliability) / len(weights)) / reliability
    return text if share > 0.95 else f"{text} (probability {share:.2f})"
