"""Spinal levels and the three bands that the differential distinguishes."""

from __future__ import annotations

from collections.abc import Mapping

from paraspinal.result import Finding

LEVELS = (
    *(f"C{n}" for n in range(1, 8)),
    *(f"T{n}" for n in range(1, 13)),
    *(f"L{n}" for n in range(1, 6)),
    *(f"S{n}" for n in range(1, 6)),
)
BANDS = ("upper", "lower_thoracic", "lumbar")
_LAST_UPPER, _LAST_THORACIC = LEVELS.index("T6"), LEVELS.index("T12")


def band_of(level: str) -> str:
    """Return the band of a level: down to T6, T7 to T12, below.

    Raises
    ------
    ValueError
        If there is no such level.
    """
    position = LEVELS.index(level)
    if position <= _LAST_UPPER:
        return "upper"
    return "lower_thoracic" if position <= _LAST_THORACIC else "lumbar"


def span_probabilities(top: str, bottom: str) -> dict[str, float]:
    """Return the share of the levels from `top` to `bottom` (either order) in each band.

    Raises
    ------
    ValueError
        If there is no such level.
    """
    first, last = sorted((LEVELS.index(top), LEVELS.index(bottom)))
    bands = [band_of(level) for level in LEVELS[first : last + 1]]
    return {band: bands.count(band) / len(bands) for band in BANDS}


def band_probabilities(levels: Mapping[str, float], span: tuple[str, str]) -> dict[str, float]:
    """Return the probability of each band from level probabilities, or from the span where there are none."""
    known = {level: p for level, p in levels.items() if level in LEVELS and p > 0.0}
    total = sum(known.values())
    if total <= 0.0:
        return span_probabilities(*span) if set(span) <= set(LEVELS) else {}
    return {band: sum(p for level, p in known.items() if band_of(level) == band) / total for band in BANDS}


def level_finding(probabilities: Mapping[str, float], *, present_from: float = 0.0) -> Finding:
    """Return the finding ``level``: indeterminate below `present_from`, not assessed where nothing is known."""
    if not probabilities:
        return Finding(
            name="level", kind="categorical", state="not_assessed", reason="the level is not known"
        )
    clipped = {band: min(max(p, 0.0), 1.0) for band, p in probabilities.items()}
    best = max(clipped, key=lambda band: clipped[band])
    sure = clipped[best] >= present_from
    return Finding(
        name="level",
        kind="categorical",
        state="present" if sure else "indeterminate",
        value=best,
        probabilities=clipped,
        reason=None if sure else f"the likeliest band of levels has a probability of {clipped[best]:.2f}",
    )


def span_of(levels: tuple[str, str]) -> tuple[str, ...]:
    """Return every level from the first to the second; nothing when one of them is no level."""
    if not set(levels) <= set(LEVELS):
        return ()
    first, last = sorted(LEVELS.index(level) for level in levels)
    return LEVELS[first : last + 1]
