"""What the mass stage hands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from paraspinal.result import Coverage, ExplainedAway, Side
from paraspinal.volume import LabelMap, Region


@dataclass(frozen=True, slots=True)
class Mass:
    """A candidate that no known structure explains; ``region`` lies on the native grid."""

    id: int
    state: Literal["present", "indeterminate"]
    side: Side
    region: Region
    levels: tuple[str, str]
    level_probabilities: Mapping[str, float]
    centroid_lps_mm: tuple[float, float, float]
    key_slice: int
    confidence: float
    pair_id: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MassSearch:
    """Everything the search found: masses, what was explained away, and where nothing could be seen.

    ``compartments`` holds the paravertebral compartments on the working grid: the vertebra's number in the label map
    for the left one, 100 more for the right one.
    """

    masses: tuple[Mass, ...]
    explained_away: tuple[ExplainedAway, ...]
    coverage: tuple[Coverage, ...]
    notes: tuple[str, ...] = field(default=())
    compartments: LabelMap | None = None
