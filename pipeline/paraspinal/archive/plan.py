"""What is to be done: every series of the catalogue becomes a line of the ledger, and those that wait become jobs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paraspinal import __version__
from paraspinal.archive.estimate import expected_mib, expected_seconds
from paraspinal.archive.job import Job
from paraspinal.archive.keys import blind
from paraspinal.archive.layout import Layout
from paraspinal.archive.ledger import FINAL, NOT_SELECTED, WAITING, CaseRow, Ledger
from paraspinal.archive.location import Location, paths_of
from paraspinal.archive.receipt import whole_receipt
from paraspinal.archive.rules import Choice
from paraspinal.archive.store import SeriesEntry

_BLOCK = 1 << 20
_PUT_AT_ONCE = 1000
_FACTS = (
    *("modality", "region", "slices", "spacing_mm", "thickness_mm", "plane", "kvp", "kernel", "contrast"),
    *("year", "voxels", "bytes", "score", "verdict"),
)
_TO_RUN = "to run"
ATTEMPTS = 2
"""How often a case is tried before only `retry_failed` tries it again."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How results are made: task, settings, and the digest of all that changes them."""

    task: str
    settings: dict[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How many cases there are of every kind, ``to_run`` those to be run.

    ``seconds`` (of one core) and ``largest_mib`` are estimates for what is to be run; ``too_large`` counts cases that
    are expected to exceed the memory limit.
    """

    counts: Counter[str]
    seconds: float = 0.0
    largest_mib: float = 0.0
    too_large: int = 0

    @property
    def to_run(self) -> int:
        """Cases to be run."""
        return self.counts[_TO_RUN]


def make_recipe(task: str, settings: dict[str, Any], *parts: str) -> Recipe:
    """Return a recipe whose digest covers the software's version, the task, and `parts` (configuration, model)."""
    text = "\n".join((__version__, task, *parts))
    return Recipe(task, settings, hashlib.sha256(text.encode()).hexdigest()[:16])


def make_plan(
    choices: Iterable[Choice],
    ledger: Ledger,
    layout: Layout,
    recipe: Recipe,
    *,
    retry_failed: bool = False,
    memory_mib: float = float("inf"),
    write: bool = True,
    trust: bool = False,
) -> Plan:
    """Compare every series with the ledger, write down what is new, and return what is to be run.

    Nothing is written to the ledger without `write`. With `trust` results that the ledger calls done are not read
    again: a plan made a moment ago has read them.
    """
    compare = _Comparison(ledger=ledger, layout=layout, recipe=recipe, retry_failed=retry_failed, trust=trust)
    counts: Counter[str] = Counter()
    seconds = largest = 0.0
    large = 0
    lines: list[CaseRow] = []
    seen: set[str] = set()
    for choice in choices:
        line, kind = compare.line(choice)
        seen.add(line.id)
        counts[kind] += 1
        lines.append(line)
        if line.status == WAITING:
            seconds += expected_seconds(choice.entry.row)
            mib = expected_mib(choice.entry.row)
            largest, large = max(largest, mib), large + (mib > memory_mib)
        if write and len(lines) >= _PUT_AT_ONCE:
            ledger.put(lines)
            lines.clear()
    if write:
        ledger.put(lines)
        counts["gone"] = ledger.mark_gone(seen, keep=compare.has_result)
    return Plan(counts, seconds, largest, large)


def refused_before(ledger: Ledger, recipe: Recipe) -> Callable[[SeriesEntry], bool]:
    """Return what tells whether a series was refused by its pixels, as it is now and under this recipe."""

    def told(entry: SeriesEntry) -> bool:
        line = ledger.get(entry.id)
        same = line is not None and (line.stamp, line.recipe) == (entry.stamp, recipe.digest)
        return same and line is not None and _refused_by_pixels(line)

    return told


def _refused_by_pixels(line: CaseRow) -> bool:
    """Tell a refusal that an attempt ended with from one of the catalogue, which the catalogue may take back."""
    return line.status == "refused" and line.attempts > 0


def jobs_of(
    ledger: Ledger, layout: Layout, recipe: Recipe, locate: Callable[[str], Location | None], *, run: str
) -> Iterator[Job]:
    """Yield the jobs of the cases that wait in the ledger; `locate` gives the place of a case."""
    for line in ledger.waiting():
        job = job_of(line, layout, recipe, locate, run=run)
        if job is not None:
            yield job


def job_of(
    line: CaseRow, layout: Layout, recipe: Recipe, locate: Callable[[str], Location | None], *, run: str
) -> Job | None:
    """Return the next attempt of a case; None where the catalogue lost it meanwhile: it waits for the next plan."""
    source = locate(line.id)
    if source is None:
        return None
    return Job(
        case=line.id,
        task=recipe.task,
        source=source,
        folder=str(layout.case(line.id)),
        settings={**recipe.settings, "recipe": recipe.digest, "stamp": line.stamp},
        attempt=line.attempts + 1,
        run=run,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    """What a series is compared with: ledger, results, and how they are to be made."""

    ledger: Ledger
    layout: Layout
    recipe: Recipe
    retry_failed: bool
    trust: bool

    def line(self, choice: Choice) -> tuple[CaseRow, str]:
        """Return the line of a series as it is to stand in the ledger, and what it is counted as."""
        entry, recipe = choice.entry, self.recipe
        known = entry.row | {"year": int(str(entry.row["date"])[:4]) if "date" in entry.row else None}
        facts = {name: known[name] for name in _FACTS if known.get(name) is not None}
        fresh = CaseRow(entry.id, entry.study, WAITING, stamp=entry.stamp, recipe=recipe.digest, facts=facts)
        old = self.ledger.get(entry.id)
        if old is not None and (old.recipe != recipe.digest or not _same_input(old, choice, recipe)):
            old = None  # it tells of another result
        if not choice.taken:
            return self._left_out(fresh, old, choice)
        if old is not None and old.status == "done" and self.has_result(old):
            return replace(old, stamp=entry.stamp, code="", message=""), "done before"
        receipt = whole_receipt(self.layout.case(entry.id))
        if receipt is not None and receipt.is_of(recipe.digest, entry.stamp):
            # The result was written, and the batch ended before it could be written down, or did not see it.
            return replace(fresh, status="done", facts=facts | receipt.facts, attempts=1), "found done"
        if old is not None and (
            _refused_by_pixels(old) or (old.status == "failed" and not self.retry_failed)
        ):
            return replace(old, stamp=entry.stamp), f"{old.status} before"
        begun = old is not None and old.status not in FINAL
        return replace(fresh, attempts=old.attempts if old is not None and begun else 0), _TO_RUN

    def has_result(self, line: CaseRow) -> bool:
        """Tell whether the result of a line that is done is there, whole, and made by the line's recipe."""
        if self.trust:
            return True
        receipt = whole_receipt(self.layout.case(line.id))
        return receipt is not None and receipt.recipe == line.recipe

    def _left_out(self, fresh: CaseRow, old: CaseRow | None, choice: Choice) -> tuple[CaseRow, str]:
        if choice.entry.refusal is not None:
            return replace(fresh, status="refused", code=choice.code, message=choice.reason), "refused"
        if old is not None and old.status == "done" and self.has_result(old):
            # Other rules make no result undone: they say why it would not be chosen now.
            kept = replace(old, stamp=fresh.stamp, code=choice.code, message=choice.reason)
            return kept, "done, not chosen"
        return replace(fresh, status=NOT_SELECTED, code=choice.code, message=choice.reason), NOT_SELECTED


def _same_input(old: CaseRow, choice: Choice, recipe: Recipe) -> bool:
    """Tell whether a case's input is what it was: by the stamps of its files, or by their content."""
    if old.stamp == choice.entry.stamp:
        return True
    digest = old.facts.get("input_digest")
    if not digest:
        return False
    now = content_digest(paths_of(choice.entry.location))
    return digest in (now, blind(str(recipe.settings.get("salt", "")), now))


def content_digest(paths: Sequence[Path]) -> str:
    """Return the digest of files as `LoadedSeries.input_digest` has it; empty where one cannot be read."""
    try:
        digests = sorted(_file_digest(path) for path in paths)
    except OSError:
        return ""
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
