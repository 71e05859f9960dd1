"""One mass or several, one side or both: what the search found, and what its coverage lets one deny."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paraspinal.config import DifferentialConfig
from paraspinal.differential.grading import boolean, not_assessed
from paraspinal.differential.levels import span_of
from paraspinal.masses.types import Mass, MassSearch
from paraspinal.result import Coverage, Finding

_SEEN, _DOUBTFUL, _NOT_SEEN = 0.98, 0.5, 0.1
_OTHER = {"left": "right", "right": "left"}


def bilateral_of_mass(mass: Mass, search: MassSearch, *, config: DifferentialConfig) -> Finding:
    """Return whether a mass has a fellow on the other side.

    It is denied only where the other side was assessed at the levels of this mass, and holds no doubtful candidate.
    """
    name = "bilateral"
    if mass.side == "midline":
        return not_assessed(name, "the mass lies in the midline")
    fellows = [m for m in search.masses if m.id != mass.id and m.side == _OTHER[mass.side]]
    partner = next((m for m in fellows if mass.pair_id is not None and m.pair_id == mass.pair_id), None)
    if partner is not None and "indeterminate" not in (partner.state, mass.state):
        return boolean(name, _SEEN, (), config=config)
    if fellows:
        return boolean(name, _DOUBTFUL, (), config=config, reason=_why_doubtful(fellows, partner))
    gap = _gap(mass, search.coverage, config)
    if gap is not None:
        return not_assessed(name, gap)
    reason = "no partner was found on the other side, which was assessed"
    return boolean(name, _NOT_SEEN, (), config=config, reason=reason)


def _why_doubtful(fellows: Sequence[Mass], partner: Mass | None) -> str:
    if partner is None and any(m.state == "present" for m in fellows):
        return "the mass on the other side lies at other levels"
    return "one of the two sides holds no more than an indeterminate candidate"


def _gap(mass: Mass, coverage: Iterable[Coverage], config: DifferentialConfig) -> str | None:
    """Return why the other side cannot be called free at the levels of a mass; None when it can."""
    wanted = [level for level in span_of(mass.levels) if level[0] in "TL"]
    if not wanted:
        return "the levels of the mass are not known"
    seen = {c.level: c.assessed_fraction for c in coverage if c.side == _OTHER.get(mass.side)}
    hidden = [level for level in wanted if seen.get(level, 0.0) < config.min_covered_fraction]
    if hidden:
        return f"the other side could not be assessed at {', '.join(hidden)}"
    return None


def number_of_masses(search: MassSearch, *, config: DifferentialConfig) -> tuple[Finding, ...]:
    """Return ``bilateral`` and ``multiple`` of the patient; nothing where no mass is present."""
    sure = [mass for mass in search.masses if mass.state == "present"]
    if not sure:
        return ()
    return (
        _likeliest([bilateral_of_mass(mass, search, config=config) for mass in sure]),
        _multiple(sure, search, config),
    )


def _likeliest(each: Sequence[Finding]) -> Finding:
    """Return the likeliest; what was not assessed for one mass is not denied by another."""
    told = [f for f in each if f.probability is not None]
    best = max(told, key=lambda f: f.probability or 0.0, default=each[0])
    unknown = next((f for f in each if f.probability is None), None)
    return unknown if unknown is not None and best.state == "absent" else best


def _multiple(sure: Sequence[Mass], search: MassSearch, config: DifferentialConfig) -> Finding:
    name = "multiple"
    if len(sure) > 1:
        return boolean(name, _SEEN, (), config=config)
    if len(search.masses) > 1:
        reason = "a further candidate is indeterminate"
        return boolean(name, _DOUBTFUL, (), config=config, reason=reason)
    rows = search.coverage
    free = {c for c in rows if c.assessed_fraction >= config.min_covered_fraction}
    both = {c.level for c in free if c.side == "left"} & {c.level for c in free if c.side == "right"}
    if len(both) < config.min_levels_for_count:
        return not_assessed(name, f"only {len(both)} levels were assessed on both sides")
    return boolean(name, _NOT_SEEN, (), config=config, reason=f"{len(both)} levels assessed on both sides")
