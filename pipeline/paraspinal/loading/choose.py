"""Choose one series of an input, and say why and what was left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.headers import short_digest
from paraspinal.errors import LoadError, UsageError
from paraspinal.loading.stacks import Stack
from paraspinal.loading.suitability import Candidate, candidate_of, refusal_of

_SHOWN = 30
_MIN_DIGEST_DIGITS = 4

UidOf = Callable[[Stack], str]


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen candidate, why it was taken, and one sentence per stack that was not.

    ``siblings`` counts images under the same Series Instance UID that are not in the volume.
    """

    candidate: Candidate
    because: str
    left_out: tuple[str, ...]
    siblings: int


def choose_series(
    stacks: Sequence[Stack], *, wanted: str | None, uid_of: UidOf, config: LoadingConfig
) -> Choice:
    """Choose the stack to load.

    Parameters
    ----------
    stacks : sequence of Stack
        At least one.
    wanted : str or None
        Series Instance UID, series number, or the first digits (4 or more) of the UID's digest; None takes the
        best axial chest or abdomen CT.
    uid_of : callable
        Gives the UID of a stack, derived where the files carry none (which means reading them).
    config : LoadingConfig
        Limits.

    Raises
    ------
    UsageError
        If no series, or more than one, is called `wanted`.
    LoadError
        If no stack can be loaded; the reason of the best one.
    """
    eligible = list(stacks) if wanted is None else _named(stacks, wanted, uid_of)
    refusals = {id(stack): refusal_of(stack, config=config) for stack in stacks}
    candidates = [candidate_of(stack, config=config) for stack in eligible if refusals[id(stack)] is None]
    if not candidates:
        raise _no_candidate(eligible, refusals)
    best = max(candidates, key=lambda c: c.score)
    if best.defect is not None:
        raise best.defect
    left_out = [
        _left_out(stack, refusals[id(stack)], candidates) for stack in stacks if stack is not best.stack
    ]
    if len(left_out) > _SHOWN:
        left_out = [*left_out[:_SHOWN], f"and {len(left_out) - _SHOWN} more"]
    siblings = sum(
        len(stack.entries)
        for stack in stacks
        if stack is not best.stack and stack.uid == best.stack.uid and stack.uid
    )
    return Choice(best, _because(best, candidates, wanted), tuple(left_out), siblings)


def _named(stacks: Sequence[Stack], wanted: str, uid_of: UidOf) -> list[Stack]:
    name = wanted.strip()
    found = [stack for stack in stacks if stack.uid == name and name]
    if not found and name.isascii() and name.isdigit():
        found = [stack for stack in stacks if stack.header.series_number == int(name)]
    if not found and len(name) >= _MIN_DIGEST_DIGITS:
        found = [stack for stack in stacks if short_digest(uid_of(stack), 64).startswith(name.lower())]
    if not found:
        raise UsageError(
            "The input holds no series of that name.",
            code="series_not_found",
            remedy=f"It holds: {_listing(stacks)}.",
        )
    if len({stack.uid for stack in found}) > 1:
        raise UsageError(
            "More than one series goes by that name.",
            code="series_ambiguous",
            remedy=f"Use the first digits of a digest: {_listing(found)}.",
        )
    return found


def _listing(stacks: Sequence[Stack]) -> str:
    parts = [f"{stack.label}, {len(stack.entries)} images" for stack in stacks[:_SHOWN]]
    return "; ".join(parts) + ("; …" if len(stacks) > _SHOWN else "")


def _no_candidate(stacks: Sequence[Stack], refusals: dict[int, LoadError | None]) -> LoadError:
    """Return the refusal of the stack that came nearest: CT before others, then the most images."""
    reasons = [(stack, reason) for stack in stacks if (reason := refusals[id(stack)]) is not None]
    _, nearest = max(reasons, key=lambda pair: (pair[1].code != "not_ct", len(pair[0].entries)))
    nearest.details.setdefault("series_in_input", len(stacks))
    return nearest


def _left_out(stack: Stack, refusal: LoadError | None, candidates: Sequence[Candidate]) -> str:
    head = f"{stack.label}: {len(stack.entries)} images"
    if refusal is not None:
        modality = f" ({stack.header.modality})" if refusal.code == "not_ct" and stack.header.modality else ""
        return f"{head}, {refusal.code}{modality}"
    own = next((c for c in candidates if c.stack is stack), None)
    if own is None:
        return f"{head}, not the one that was asked for"
    if own.defect is not None:
        return f"{head}, {own.defect.code}"
    return f"{stack.label}: {own.facts}; less suited"


def _because(best: Candidate, candidates: Sequence[Candidate], wanted: str | None) -> str:
    if wanted is not None:
        return f"asked for: {best.facts}"
    if len(candidates) == 1:
        return f"the only CT series: {best.facts}"
    return f"the best of {len(candidates)} CT series by extent, plane, spacing and kernel: {best.facts}"
