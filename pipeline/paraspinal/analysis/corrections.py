"""What a user corrects in one analysis: outlines of masses, candidates that are none, findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.differential import Override, parse_override
from paraspinal.masses import GivenMass, MassSearch, read_mass_masks, with_given, without_rejected
from paraspinal.result import Correction
from paraspinal.volume import CTVolume


@dataclass(frozen=True, slots=True)
class UserCorrections:
    """Everything that a user changes, read and checked before any work is done."""

    outlines: tuple[GivenMass, ...] = ()
    rejected: tuple[int, ...] = ()
    overrides: tuple[Override, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether anything is changed."""
        return bool(self.outlines or self.rejected or self.overrides)


def read_corrections(
    *,
    mass_mask: str | Path | None = None,
    reject_masses: Sequence[int] = (),
    overrides: Sequence[str] = (),
) -> UserCorrections:
    """Read what the user gives.

    Raises
    ------
    UsageError
        If the outlines cannot be read or a statement is none.
    """
    return UserCorrections(
        outlines=() if mass_mask is None else read_mass_masks(Path(mass_mask)),
        rejected=tuple(reject_masses),
        overrides=tuple(map(parse_override, overrides)),
    )


def corrected_search(
    search: MassSearch,
    corrections: UserCorrections,
    volume: CTVolume,
    anatomy: Anatomy,
    *,
    config: MassConfig,
) -> tuple[MassSearch, tuple[Correction, ...]]:
    """Return the search after outlines and rejections, with the record of both.

    Candidates are rejected first: their ids are those of the search without any correction.
    """
    search, rejected = without_rejected(search, corrections.rejected)
    if not corrections.outlines:
        return search, rejected
    search, given = with_given(search, corrections.outlines, volume, anatomy, config=config)
    return search, (*rejected, *given)
