"""Choose one series of an input, and say why and what was left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paraspinal.dicomio.headers import short_digest
from paraspinal.errors import LoadError, UsageError
from paraspinal.loading.image_kind import stated_kind
from paraspinal.loading.sources import shown
from paraspinal.loading.stacks import Stack
from paraspinal.loading.suitability import Candidate

_SHOWN = 30
_PARALLEL = 0.02  # of direction cosines: about one degree
_MIN_DIGEST_DIGITS = 4

UidOf = Callable[[Stack], str]


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen candidate, why it was taken, and one sentence per series that was not.

    ``siblings`` counts images under the same Series Instance UID that are not in the volume; ``parallel_siblings``
    those of them that are slices in the same direction, and may have been lost to it.
    """

    candidate: Candidate
    because: str
    left_out: tuple[str, ...]
    siblings: int
    parallel_siblings: int


def choose_series(candidates: Sequence[Candidate], *, wanted: str | None, uid_of: UidOf) -> Choice:
    """Choose the series to load.

    Parameters
    ----------
    candidates : sequence of Candidate
        At least one.
    wanted : str or None
        Series Instance UID, series number, or the first digits (4 or more) of the UID's digest, with ``/part`` after
        it where one UID holds several scans; None takes the best axial chest or abdomen CT.
    uid_of : callable
        Gives the UID of a stack, derived where the files carry none (which means reading them).

    Raises
    ------
    UsageError
        If no series, or more than one, is called `wanted`.
    LoadError
        If no series can be loaded; the reason of the best one.
    """
    eligible = list(candidates) if wanted is None else _named(candidates, wanted, uid_of)
    ranked = sorted((c for c in eligible if c.refusal is None), key=lambda c: -c.score)
    if not ranked:
        raise _no_candidate(eligible, len(candidates))
    best = ranked[0]
    if best.defect is not None:
        raise _with_file(best.defect, best)
    others = [c for c in candidates if c is not best]
    left_out = [_left_out(other, best, wanted) for other in others]
    if len(left_out) > _SHOWN:
        left_out = [*left_out[:_SHOWN], f"and {len(left_out) - _SHOWN} more"]
    siblings = [other.stack for other in others if other.stack.uid == best.stack.uid and best.stack.uid]
    return Choice(
        best,
        _because(ranked, wanted),
        tuple(left_out),
        siblings=sum(len(stack.entries) for stack in siblings),
        parallel_siblings=sum(len(stack.entries) for stack in siblings if _parallel(stack, best.stack)),
    )


def _parallel(stack: Stack, other: Stack) -> bool:
    """Tell whether two stacks hold slices, not localizers or maps, of one direction."""
    one, two = stack.header.plane.orientation, other.header.plane.orientation
    if one is None or two is None:
        return one is two
    alike = max(abs(a - b) for a, b in zip(one, two, strict=True)) < _PARALLEL
    return alike and stated_kind(stack.header) == stated_kind(other.header)


def _named(candidates: Sequence[Candidate], wanted: str, uid_of: UidOf) -> list[Candidate]:
    name, _, part = wanted.strip().partition("/")
    found = [c for c in candidates if c.stack.uid == name and name]
    if not found and name.isascii() and name.isdigit():
        found = [c for c in candidates if c.stack.header.series_number == int(name)]
    if not found and len(name) >= _MIN_DIGEST_DIGITS:
        found = [c for c in candidates if short_digest(uid_of(c.stack), 64).startswith(name.lower())]
    if part:
        found = [c for c in found if part.isascii() and part.isdigit() and c.stack.part == int(part)]
    if not found:
        raise UsageError(
            "The input holds no series of that name.",
            code="series_not_found",
            remedy=f"It holds: {_listing(candidates, uid_of)}.",
        )
    if len(found) > 1 and len({uid_of(c.stack) for c in found}) > 1:
        raise UsageError(
            "More than one series goes by that name.",
            code="series_ambiguous",
            remedy=f"Use the first digits of a digest: {_listing(found, uid_of)}.",
        )
    return found


def _listing(candidates: Sequence[Candidate], uid_of: UidOf) -> str:
    parts = [f"{_label(c.stack, uid_of)}, {_images(len(c.stack.entries))}" for c in candidates[:_SHOWN]]
    return "; ".join(parts) + ("; …" if len(candidates) > _SHOWN else "")


def _label(stack: Stack, uid_of: UidOf) -> str:
    """Return the series with the digest by which it can be asked for, a derived one where it has no UID."""
    return stack.label if stack.uid else f"{stack.label} {short_digest(uid_of(stack))}"


def _no_candidate(candidates: Sequence[Candidate], total: int) -> LoadError:
    """Return the refusal of the series that came nearest: CT before others, then the most images."""
    refused = [(c, c.refusal) for c in candidates if c.refusal is not None]
    candidate, nearest = max(refused, key=lambda pair: (pair[1].code != "not_ct", len(pair[0].stack.entries)))
    nearest.details.setdefault("series_in_input", total)
    return _with_file(nearest, candidate)


def _with_file(error: LoadError, candidate: Candidate) -> LoadError:
    """Name a file of the series that is refused: a digest alone leads nobody to it."""
    error.details.setdefault("file", shown(candidate.stack.entries[0].file.name))
    return error


def _left_out(other: Candidate, best: Candidate, wanted: str | None) -> str:
    entries = other.stack.entries
    # A file that belongs to no series must be found again by its name.
    alone = f" (file {shown(entries[0].file.name)})" if len(entries) == 1 else ""
    head = f"{other.stack.label}: {_images(len(entries))}{alone}"
    if other.refusal is not None:
        code, modality = other.refusal.code, other.stack.header.modality
        return f"{head}, {code}" + (f" ({modality})" if code == "not_ct" and modality else "")
    if other.defect is not None:
        return f"{head}, {other.defect.code}"
    if wanted is not None and other.stack.uid != best.stack.uid:
        return f"{head}, not the one that was asked for"
    return (
        f"{other.stack.label}: {other.facts}; less suited (score {other.score:.1f} against {best.score:.1f})"
    )


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _because(ranked: Sequence[Candidate], wanted: str | None) -> str:
    best = ranked[0]
    if wanted is not None:
        return f"asked for: {best.facts}"
    if len(ranked) == 1:
        return f"the only CT series: {best.facts}"
    why = ", ".join(f"{reason} {points:+.1f}" for reason, points in best.reasons)
    second = ranked[1]
    return (
        f"the best of {len(ranked)} CT series: {best.facts}; score {best.score:.1f} ({why});"
        f" next is {second.stack.label} with {second.score:.1f}"
    )
