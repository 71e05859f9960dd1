"""How levels are written: a level that is less sure than the outcome asks for carries a question mark."""

from __future__ import annotations

from collections.abc import Collection

from paraspinal.config import OutcomeConfig
from paraspinal.result import AnalysisResult, MassResult

SURE_FROM = OutcomeConfig().min_level_confidence
GUESS_BELOW = 0.5
"""A name less likely than not is no name."""


def uncertain_labels(result: AnalysisResult) -> frozenset[str]:
    """Return the levels of vertebrae and of the coverage whose name is uncertain."""
    vertebrae = result.anatomy.vertebrae if result.anatomy else ()
    doubtful = {v.label for v in vertebrae if v.confidence < SURE_FROM}
    known = [c for c in result.coverage if c.level_confidence is not None]
    return frozenset(doubtful | {c.level for c in known if (c.level_confidence or 0.0) < SURE_FROM})


def mass_certainty(m: MassResult, result: AnalysisResult) -> float:
    """Return how sure the names of both ends of a mass are: that of the less sure vertebra, 0 if none is known."""
    vertebrae = result.anatomy.vertebrae if result.anatomy else ()
    known = [v.confidence for v in vertebrae if v.label in m.levels]
    return min(known) if known else max(m.level_probabilities.values(), default=0.0)


def mass_levels(m: MassResult, result: AnalysisResult) -> str:
    """Return ``T8–T10``, with a question mark where one of both ends is uncertain."""
    return level_span(m.levels) + ("" if mass_certainty(m, result) >= SURE_FROM else "?")


def level_span(levels: tuple[str, str]) -> str:
    """Return ``T8–T10``, or the one level where both ends are the same."""
    return "–".join(dict.fromkeys(levels))


def marked(level: str, uncertain: Collection[str]) -> str:
    """Return a level, with a question mark if it is one of the uncertain ones."""
    return f"{level}?" if level in uncertain else level
