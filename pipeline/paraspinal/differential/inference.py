"""The maths of the differential, for many cases at once (see ``docs/differential.md``).

Given the sub-kind, findings are independent, except those of one group. A group's findings are, with the
probability ``coupling``, all decided by one and the same degree of their common cause; otherwise independent. Every
probability of this model is linear in the evidence of each single finding, so the odds of an entity move one way
only as a finding becomes more probable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.differential.compiled import Array, CompiledModel, CoupledGroup
from paraspinal.differential.observe import Observations
from paraspinal.result import ENTITIES

Known = npt.NDArray[np.bool_]
Columns = npt.NDArray[np.intp]

CHUNK = 512
Z90 = 1.6448536269514722
"""Standard normal quantile of a two-sided 90 % interval."""


@dataclass(frozen=True, slots=True)
class Inference:
    """Results of B cases: E entities, S sub-kinds, F variables.

    ``kinds[b, s]`` and ``entities[b, e]`` are posterior probabilities; ``llr[b, e]`` the log-likelihood ratio of an
    entity against the rest; ``contributions[b, f, e]`` adds up to it over f; ``low`` and ``high`` bound the 90 %
    interval; ``gain[b, f]`` is the information (nats) expected from a variable that is not known, else 0.
    """

    kinds: Array
    entities: Array
    llr: Array
    contributions: Array
    low: Array
    high: Array
    gain: Array


def infer(seen: Observations, compiled: CompiledModel, prior: Array) -> Inference:
    """Return the posterior of every case under a prior over `ENTITIES` (shape (E,), sums to 1)."""
    starts = range(0, max(len(seen.weight), 1), CHUNK)
    parts = [_infer_chunk(seen, slice(i, i + CHUNK), compiled, prior) for i in starts]
    names = Inference.__dataclass_fields__
    return Inference(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def _infer_chunk(seen: Observations, rows: slice, compiled: CompiledModel, prior: Array) -> Inference:
    weight, known = seen.weight[rows], seen.known[rows]
    single = _single_likelihoods(weight, known, compiled)
    log_prior = np.log(compiled.share) + np.log(compiled.member @ prior)
    used = np.flatnonzero(known.any(axis=0))
    increments = _increments(weight, known, single, compiled)
    total = log_prior + increments.sum(axis=2)
    kinds = np.exp(total - total.max(axis=1, keepdims=True))
    kinds /= kinds.sum(axis=1, keepdims=True)
    entities = kinds @ compiled.member
    spread = Z90 * np.sqrt(_logit_variance(weight, known, single, kinds, compiled))
    logit = _log_odds(entities)
    return Inference(
        kinds=kinds,
        entities=entities,
        llr=logit - _log_odds(prior),
        contributions=_along(increments, log_prior, used, compiled, prior) * known[:, :, None],
        low=_expit(logit - spread),
        high=_expit(logit + spread),
        gain=_expected_information(known, kinds, entities, compiled),
    )


def _single_likelihoods(weight: Array, known: Known, compiled: CompiledModel) -> Array:
    """Return P(evidence on one variable | sub-kind), shape (B, S, F); exactly 1 where nothing is known."""
    likelihood = np.matmul(weight.transpose(1, 0, 2), compiled.theta.transpose(1, 2, 0))
    return np.where(known[:, None, :], likelihood.transpose(1, 2, 0), 1.0)


def _increments(weight: Array, known: Known, single: Array, compiled: CompiledModel) -> Array:
    """Return what each variable adds to the log-likelihood of each sub-kind, (B, S, F), in the model's order.

    Inside a group a finding adds less when others of its group came first; the sum does not depend on the order.
    """
    increments = np.log(single)
    for group in compiled.groups:
        if np.count_nonzero(known[:, group.members]) > 0:
            _couple_increments(increments, weight, single, group)
    return increments


def _couple_increments(increments: Array, weight: Array, single: Array, group: CoupledGroup) -> None:
    pieces = np.broadcast_to(group.length, (len(weight), *group.length.shape))
    apart = np.ones(single.shape[:2])
    before = np.zeros(single.shape[:2])
    for j, f in enumerate(group.members):
        pieces = pieces * weight[:, f, :][:, group.category[j]]
        apart = apart * single[:, :, f]
        after = np.log(group.coupling * pieces.sum(axis=2) + (1.0 - group.coupling) * apart)
        increments[:, :, f] = after - before
        before = after


def _along(
    increments: Array, log_prior: Array, used: Columns, compiled: CompiledModel, prior: Array
) -> Array:
    """Return by how much each step along the variables moves each entity's log odds, shape (B, F, E).

    Only the columns `used` (known in some case) are walked; the others do not move anything.
    """
    moved = np.zeros((*increments.shape[::2], len(ENTITIES)))
    path = np.cumsum(increments[:, :, used].transpose(0, 2, 1), axis=1) + log_prior
    path -= path.max(axis=2, keepdims=True)
    reached = _log_odds(np.exp(path) @ compiled.member)
    start = np.broadcast_to(_log_odds(prior), (len(reached), 1, len(ENTITIES)))
    moved[:, used] = np.diff(np.concatenate([start, reached], axis=1), axis=1)
    return moved


def _log_odds(shares: Array) -> Array:
    """Return log(share / sum of the others) along the last axis; the others are summed, not subtracted from 1."""
    others = shares @ (1.0 - np.eye(shares.shape[-1]))
    tiny = np.finfo(float).tiny
    return np.asarray(np.log(np.maximum(shares, tiny)) - np.log(np.maximum(others, tiny)))


def _expit(x: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _logit_variance(
    weight: Array, known: Known, single: Array, kinds: Array, compiled: CompiledModel
) -> Array:
    """Return the variance of each entity's log odds that comes from the counts, shape (B, E).

    First-order propagation of the Dirichlet variance of every cell. A cell shared by several sub-kinds moves
    them together. Coupling is left out, so the interval is rather too wide than too narrow.
    """
    entities = kinds @ compiled.member
    inside = kinds[:, None, :] * compiled.member.T / np.maximum(entities, 1e-300)[:, :, None]
    others = np.maximum(entities @ (1.0 - np.eye(len(ENTITIES))), 1e-300)
    outside = kinds[:, None, :] * (1.0 - compiled.member.T) / others[:, :, None]
    slope = inside - outside
    variance = np.zeros(entities.shape)
    for f in np.flatnonzero(known.any(axis=0)):
        cells = compiled.cells[f]
        total = cells.alpha.sum(axis=1)
        mean = cells.alpha / total[:, None]
        w = weight[:, f, : mean.shape[1]]
        first = w @ mean.T
        relative = ((w**2) @ mean.T - first**2) / (total + 1.0) / first**2
        gather = np.eye(len(total))[cells.of_kind]
        variance += np.einsum("bec,bc->be", (slope @ gather) ** 2, relative * known[:, f, None])
    return variance


def _expected_information(known: Known, kinds: Array, entities: Array, compiled: CompiledModel) -> Array:
    """Return the entropy over entities that knowing a variable is expected to remove, (B, F), in nats.

    A variable whose group already spoke is taken to bring (1 - coupling) of it; a stand-in brings nothing.
    """
    widest = compiled.theta.shape[2]
    starts = np.concatenate([[0], np.cumsum(compiled.categories)[:-1]])
    # Only the categories that there are: one variable with many would pad all the others.
    flat = compiled.theta[:, np.arange(widest) < compiled.categories[:, None]]
    own = [np.flatnonzero(column) for column in compiled.member.T]
    joint = np.stack([kinds[:, s] @ flat[s] for s in own], axis=2)
    each = np.where(joint > 0.0, joint, 1.0)
    total = np.where(joint.sum(axis=2) > 0.0, joint.sum(axis=2), 1.0)
    rest = total * np.log(total) - np.sum(each * np.log(each), axis=2)
    positive = np.where(entities > 0.0, entities, 1.0)
    entropy = -np.sum(positive * np.log(positive), axis=1)
    gain = entropy[:, None] - np.add.reduceat(rest, starts, axis=1)
    for group in compiled.groups:
        spoke = known[:, group.members].any(axis=1)
        gain[:, group.members] *= np.where(spoke, 1.0 - group.coupling, 1.0)[:, None]
    gain[:, list(compiled.stands_in)] = 0.0
    return np.asarray(np.where(known, 0.0, np.maximum(gain, 0.0)))
