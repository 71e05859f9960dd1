"""Levels that a user sets: which vertebra lies at a height."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from paraspinal.anatomy.spine.discs import DiscBorders
from paraspinal.anatomy.spine.levels import LABELS, LevelEvidence
from paraspinal.anatomy.spine.straighten import SpineFrame
from paraspinal.config import AnatomyConfig
from paraspinal.errors import UsageError
from paraspinal.volume import Geometry


def parse_set_level(text: str) -> tuple[str, float]:
    """Read ``T9=-412.5``: a vertebra and the LPS z (mm) of a point in it.

    Raises
    ------
    UsageError
        ``set_level_invalid`` when it is written differently or names no vertebra.
    """
    label, _, height = text.partition("=")
    label = label.strip().upper()
    try:
        z = float(height)
    except ValueError:
        z = float("nan")
    if label not in LABELS or not abs(z) < 1e5:
        raise UsageError(
            f"{text!r} sets no level.",
            code="set_level_invalid",
            remedy="Write a vertebra from C1 to S2 and the LPS z of its middle in millimetres: T9=-412.5.",
        )
    return label, z


def set_levels_from(texts: Sequence[str]) -> dict[str, float]:
    """Read several; the same vertebra at two heights is a contradiction.

    Raises
    ------
    UsageError
        ``set_level_invalid`` or ``set_levels_contradict``.
    """
    out: dict[str, float] = {}
    for label, z in map(parse_set_level, texts):
        if label in out and out[label] != z:
            raise UsageError(
                f"{label} is set at {out[label]:g} mm and at {z:g} mm.",
                code="set_levels_contradict",
                remedy="Set every vertebra once.",
            )
        out[label] = z
    return out


def with_set_levels(
    evidence: LevelEvidence,
    borders: DiscBorders,
    frame: SpineFrame,
    grid: Geometry,
    levels: Mapping[str, float],
    *,
    config: AnatomyConfig,
) -> LevelEvidence:
    """Return the evidence with the user's levels fixed to the vertebrae at their heights.

    Raises
    ------
    UsageError
        ``set_level_outside`` when a height lies outside the traced spine, ``set_levels_contradict`` when the
        heights name the found vertebrae in two ways.
    """
    if not levels:
        return evidence
    heights = [
        float(grid.to_lps(frame.position(s, config.column_centre_mm)[0] / grid.spacing_mm)[2])
        for s in borders.s_mm
    ]
    fixed: dict[int, str] = {}
    for label, z in levels.items():
        place = next((k for k, (a, b) in enumerate(pairwise(heights)) if a <= z < b), None)
        if place is None:
            raise UsageError(
                f"{label} was set at z = {z:g} mm, outside the spine that was traced.",
                code="set_level_outside",
                remedy=f"Give an LPS z between {heights[0]:.0f} and {heights[-1]:.0f} mm.",
            )
        if fixed.get(place, label) != label:
            raise _contradiction(levels)
        fixed[place] = label
    if len({LABELS.index(label) - place for place, label in fixed.items()}) > 1:
        raise _contradiction(levels)
    return replace(evidence, fixed=fixed)


def _contradiction(levels: Mapping[str, float]) -> UsageError:
    told = ", ".join(f"{label} = {z:g} mm" for label, z in levels.items())
    return UsageError(
        f"The levels that were set name the vertebrae in two ways: {told}.",
        code="set_levels_contradict",
        remedy="Set one level; the others follow from it.",
    )
