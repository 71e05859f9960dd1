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


def level_finding(probabilities: Mapping[str, float]) -> Finding:
    """Return the finding ``level``, not assessed where nothing is known."""
    if not probabilities:
        return Finding(
            name="level", kind="categorical", state="not_assessed", reason="the level is not known"
        )
    clipped = {band: min(max(p, 0.0), 1.0) for band, p in probabilities.items()}
    best = max(clipped, key=lambda band: clipped[band])
    return Finding(name="level", kind="categorical", state="present", value=best, probabilities=clipped)
