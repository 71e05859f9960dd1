"""The outcome of an analysis, and the sentences that say what could not be assessed.

`no_mass` is a claim about every compartment that the scan shows. A compartment that lies in the scan but could
not be read (effusion, collapse, metal) therefore rules it out; one that the scan's own end cuts off narrows the
claim to the levels that are named, and so does one in which only a large mass would have been seen (within psoas).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from paraspinal.analysis.table import measurement_scopes
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import Config, OutcomeConfig
from paraspinal.masses.types import MassSearch
from paraspinal.result import AnalysisResult, Coverage, Loading, Outcome

OUTSIDE_SCAN = "outside the scan"
"""How the search for masses ends the reason for what the scan cuts off."""

_SHARE = re.compile(r"^\d+ ?% (of the level )?")


def orientation_doubt(loading: Loading) -> str | None:
    """Return why no side, level or organ of this volume may be named; None if nothing contradicts its orientation."""
    against = [code.text for code in loading.codes if code.code.startswith("orientation_")]
    if not against:
        return None
    return (
        f"The anatomy contradicts the stated orientation: {' '.join(against)} If the orientation is known to be right"
        " (situs inversus), set outcome.trust_orientation."
    )


def uncertain_levels(found: Anatomy | None, config: Config) -> frozenset[str]:
    """Return the names of vertebrae that are too doubtful to rest a claim on."""
    vertebrae = () if found is None else found.vertebrae
    return frozenset(v.label for v in vertebrae if v.confidence < config.outcome.min_level_confidence)


def decide_outcome(
    *,
    spine_mm: float,
    search: MassSearch,
    config: Config,
    failure: str | None = None,
    rejected: int = 0,
    uncertain_levels: Collection[str] = (),
) -> tuple[Outcome, str]:
    """Return the outcome with one sentence of reason.

    Parameters
    ----------
    spine_mm : float
        Craniocaudal length of the traced canal.
    search : MassSearch
        What the search for masses found and covered.
    failure : str, optional
        One sentence that says why there is no anatomy at all.
    rejected : int
        How many candidates the user took away.
    uncertain_levels : collection of str
        Levels whose name is doubtful; a statement about one of them says so.
    """
    if failure is not None:
        return "not_assessable", failure
    if round(spine_mm, 1) < config.anatomy.min_spine_mm:  # the end slices of a 40 mm slab add up to 40 mm
        return (
            "not_assessable",
            f"Only {spine_mm:.0f} mm of spine could be traced; {config.anatomy.min_spine_mm:.0f} mm are needed.",
        )
    states = [mass.state for mass in search.masses]
    if "present" in states:
        return "mass", _count_sentence(states)
    if states:
        return "inconclusive", f"{_masses(len(states))} could neither be confirmed nor explained."
    outcome, reason = _no_mass_or_gap(search.coverage, config.outcome, uncertain_levels)
    taken = "1 candidate was" if rejected == 1 else f"{rejected} candidates were"
    return outcome, f"{reason} {taken} rejected by the user." if rejected else reason


def _count_sentence(states: Sequence[str]) -> str:
    present = states.count("present")
    rest = len(states) - present
    tail = f"; {rest} more indeterminate" if rest else ""
    return f"{_masses(present)} beside the spine that no known structure explains{tail}."


def _masses(count: int) -> str:
    return "One mass" if count == 1 else f"{count} masses"


def _levels(count: int) -> str:
    return "1 level" if count == 1 else f"{count} levels"


def _no_mass_or_gap(
    coverage: Sequence[Coverage], config: OutcomeConfig, uncertain: Collection[str]
) -> tuple[Outcome, str]:
    assessed = [c for c in coverage if c.assessed_fraction >= config.min_assessed_fraction]
    gaps = [c for c in coverage if c not in assessed and not cut_by_scan(c)]
    fine = [c for c in assessed if _detectable_mm(c) <= config.max_undetected_mm]
    coarse = [c for c in assessed if c not in fine]
    both = _on_both_sides(fine)
    missed = _could_be_missed(coarse, coverage)
    if gaps:
        return "inconclusive", (
            f"No mass was seen, but {len(gaps)} of {len(coverage)} compartments could hide one: "
            f"{'; '.join(describe_gaps(gaps))}."
        )
    if len(both) < config.min_assessed_levels:
        return "inconclusive", (
            f"No mass was seen, but only {_levels(len(both))} could be assessed on both sides for masses of "
            f"{config.max_undetected_mm:.0f} mm; {config.min_assessed_levels} are needed.{missed}"
        )
    doubt = ", names uncertain" if set(both) & set(uncertain) else ""
    least = max(_detectable_mm(c) for c in fine if c.level in both)
    size = f" of {least:.0f} mm or more" if least else ""
    return "no_mass", (
        f"No mass{size} beside the spine at {_stretches(both, coverage)} "
        f"({_levels(len(both))} assessed on both sides{doubt}); other levels are outside this statement.{missed}"
    )


def _on_both_sides(coverage: Sequence[Coverage]) -> list[str]:
    right = {c.level for c in coverage if c.side == "right"}
    return [c.level for c in coverage if c.side == "left" and c.level in right]


def _detectable_mm(coverage: Coverage) -> float:
    return coverage.min_detectable_mm or 0.0


def _could_be_missed(coarse: Sequence[Coverage], coverage: Sequence[Coverage]) -> str:
    """Say how large a mass could have been missed where muscle, noise or thick slices hide it."""
    if not coarse:
        return ""
    levels = list(dict.fromkeys(c.level for c in coarse))
    low, high = (f(round(_detectable_mm(c)) for c in coarse) for f in (min, max))
    size = f"{low}" if low == high else f"{low} to {high}"
    where = _stretches(levels, coverage)
    return f" At {where} a mass below {size} mm could have been missed (psoas, noise or thick slices)."


def cut_by_scan(coverage: Coverage) -> bool:
    """Tell whether nothing but the end of the scan kept a compartment from being assessed."""
    return bool(coverage.reasons) and all(reason.endswith(OUTSIDE_SCAN) for reason in coverage.reasons)


def span(levels: Sequence[str]) -> str:
    """Return ``T7 to L2`` (or ``T7``) for levels listed from the head down."""
    return levels[0] if len(levels) == 1 else f"{levels[0]} to {levels[-1]}"


def _stretches(levels: Sequence[str], coverage: Sequence[Coverage]) -> str:
    """Return ``T7 to T10, L1`` for levels of which some between are missing."""
    order = list(dict.fromkeys(c.level for c in coverage))
    groups: list[list[str]] = []
    for level in levels:
        if groups and order.index(level) == order.index(groups[-1][-1]) + 1:
            groups[-1].append(level)
        else:
            groups.append([level])
    return ", ".join(map(span, groups))


def describe_gaps(coverage: Iterable[Coverage]) -> list[str]:
    """Return one phrase per side and kind of reason: ``right T8, T9 (filled by effusion; 12–40 % assessed)``."""
    groups: dict[tuple[str, str], list[Coverage]] = {}
    for item in coverage:
        why = ", ".join(_SHARE.sub("", reason) for reason in item.reasons) or "reason not stated"
        groups.setdefault((item.side, why), []).append(item)
    return [_gap_phrase(side, why, items) for (side, why), items in groups.items()]


def _gap_phrase(side: str, why: str, items: Sequence[Coverage]) -> str:
    low, high = (round(100 * f([i.assessed_fraction for i in items])) for f in (min, max))
    share = f"{low} %" if low == high else f"{low}–{high} %"
    return f"{side} {', '.join(i.level for i in items)} ({why}; {share} assessed)"


def not_assessed_sentences(
    result: AnalysisResult, *, config: Config, notes: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return what could not be assessed: coverage, levels, organs, measurements; then the stages' own notes."""
    full = config.outcome.full_fraction
    gaps = describe_gaps(c for c in result.coverage if c.assessed_fraction < full)
    sentences = []
    if result.outcome == "not_assessable":
        sentences.append(f"Nothing beside the spine was assessed: {result.outcome_reason}")
    sentences += [f"Not fully covered: {gap}." for gap in gaps]
    sentences += _uncertain_levels(result, config.outcome)
    sentences += _organs(result)
    sentences += _measurements(result)
    sentences += _findings(result)
    return tuple(dict.fromkeys([*sentences, *notes]))


def _uncertain_levels(result: AnalysisResult, config: OutcomeConfig) -> list[str]:
    vertebrae = result.anatomy.vertebrae if result.anatomy else ()
    doubtful = [v for v in vertebrae if v.confidence < config.min_level_confidence]
    if not doubtful:
        return []
    least = min(v.confidence for v in doubtful)
    named = ", ".join(v.label for v in doubtful)
    return [f"Levels uncertain: {named} (lowest confidence {100 * least:.0f} %)."]


def _organs(result: AnalysisResult) -> list[str]:
    organs = result.anatomy.organs if result.anatomy else {}
    sentences = []
    for presence in ("not_in_view", "indeterminate"):
        names = [
            name.replace("_", " ") + (f" ({organ.reason})" if organ.reason else "")
            for name, organ in organs.items()
            if organ.presence == presence
        ]
        if names:
            sentences.append(f"Organs {presence.replace('_', ' ')}: {', '.join(names)}.")
    return sentences


def _measurements(result: AnalysisResult) -> list[str]:
    """Group the missing measurements by reason, then by name, so that one reason is said once."""
    missing: dict[str, dict[str, list[str]]] = {}
    for scope, measurements in measurement_scopes(result):
        for name, m in measurements.items():
            if m.status in ("not_assessed", "not_in_view", "failed"):
                missing.setdefault(m.reason or m.status, {}).setdefault(name, []).append(scope)
    return [
        f"Not measured ({reason.rstrip('.')}): {'; '.join(_by_scopes(names))}."
        for reason, names in missing.items()
    ]


def _findings(result: AnalysisResult) -> list[str]:
    """Name the findings that nothing measured speaks on; a measurement that is missing was told already."""
    missing: dict[str, dict[str, list[str]]] = {}
    scopes = [("patient", result.findings), *((f"mass {m.id}", m.findings) for m in result.masses)]
    for scope, findings in scopes:
        for f in findings:
            if f.state == "not_assessed" and not f.measurements:
                missing.setdefault(f.reason or "no reason", {}).setdefault(f.name, []).append(scope)
    return [
        f"Not judged ({reason.rstrip('.')}): {'; '.join(_by_scopes(names))}."
        for reason, names in missing.items()
    ]


def _by_scopes(names: dict[str, list[str]]) -> list[str]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, scopes in names.items():
        groups.setdefault(tuple(scopes), []).append(name)
    return [f"{', '.join(keys)} [{', '.join(scopes)}]" for scopes, keys in groups.items()]
