"""The differential as the report shows it: bars per entity, then what speaks for and against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paraspinal.report.numbers import entity_name, measure_name, number_text, percent, words
from paraspinal.result import Differential, Evidence

# Bars of evidence are drawn up to this log-likelihood ratio (odds times 20), longer ones at full length.
_FULL_BAR = 3.0


@dataclass(frozen=True, slots=True)
class EntityBar:
    """One entity: probability and interval as text and as percent of the bar's length."""

    name: str
    probability: str
    interval: str
    length: float
    low: float | None
    high: float | None
    prior: str
    log_lr: str
    leads: bool


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """What one finding adds: log-likelihood ratio as text, its bar, and the same for the leading mimic."""

    finding: str
    sentence: str
    weight: str
    odds: str
    length: float
    leader_weight: str


@dataclass(frozen=True, slots=True)
class DifferentialView:
    """A differential ready to print."""

    bars: tuple[EntityBar, ...]
    supporting: tuple[EvidenceRow, ...]
    opposing: tuple[EvidenceRow, ...]
    neutral: tuple[EvidenceRow, ...]
    leader: str | None
    abstained: str | None
    subtypes: tuple[tuple[str, str], ...]
    flags: tuple[str, ...]
    missing: str | None

    @property
    def groups(self) -> tuple[tuple[str, str, tuple[EvidenceRow, ...]], ...]:
        """The evidence as (heading, style, rows), empty groups left out."""
        groups = (
            ("Evidence for extramedullary hematopoiesis", "for", self.supporting),
            ("Evidence against it", "against", self.opposing),
            ("Findings that do not move it", "neutral", self.neutral),
        )
        return tuple(g for g in groups if g[2])


def differential_view(d: Differential) -> DifferentialView:
    """Return a differential with entities and evidence sorted by weight."""
    ranked = sorted((d.posterior or {}).items(), key=lambda item: -item[1])
    leader = ranked[0][0] if ranked and not d.abstained.value else None
    mimic = leader if leader not in (None, "emh") else None
    rows = sorted(d.evidence, key=lambda e: -abs(e.contribution))
    return DifferentialView(
        bars=tuple(_bar(name, p, d, leads=name == leader) for name, p in ranked),
        supporting=_rows((e for e in rows if e.contribution > 0), mimic),
        opposing=_rows((e for e in rows if e.contribution < 0), mimic),
        neutral=_rows((e for e in rows if e.contribution == 0), mimic),
        leader=None if mimic is None else entity_name(mimic),
        abstained=(d.abstained.reason or "no reason was stated") if d.abstained.value else None,
        subtypes=tuple(
            (words(k), percent(p)) for k, p in sorted(d.subtypes.items(), key=lambda i: -i[1]) if p >= 0.01
        ),
        flags=tuple(words(flag) for flag in d.flags),
        missing=measure_name(d.most_informative_missing) if d.most_informative_missing else None,
    )


def _bar(name: str, p: float, d: Differential, *, leads: bool) -> EntityBar:
    interval = (d.interval or {}).get(name)
    low, high = interval if interval is not None else (None, None)
    prior = (d.prior or {}).get(name)
    log_lr = (d.log_likelihood_ratio or {}).get(name)
    return EntityBar(
        name=entity_name(name),
        probability=percent(p),
        interval="" if low is None or high is None else f"{percent(low)} to {percent(high)}",
        length=100 * p,
        low=None if low is None else 100 * low,
        high=None if high is None else 100 * high,
        prior="" if prior is None else percent(prior),
        log_lr="" if log_lr is None else _signed(log_lr),
        leads=leads,
    )


def _rows(items: Iterable[Evidence], mimic: str | None) -> tuple[EvidenceRow, ...]:
    return tuple(_row(e, mimic) for e in items)


def _row(e: Evidence, mimic: str | None) -> EvidenceRow:
    other = e.contributions.get(mimic) if mimic else None
    return EvidenceRow(
        finding=measure_name(e.finding),
        sentence=e.sentence,
        weight=_signed(e.contribution),
        odds=_odds_factor(e.contribution),
        length=100 * min(1.0, abs(e.contribution) / _FULL_BAR),
        leader_weight="" if other is None else _signed(other),
    )


def _signed(value: float) -> str:
    text = number_text(value, decimals=2)
    return f"+{text}" if value > 0 else text


def _odds_factor(log_ratio: float) -> str:
    """Return ``× 3.2`` or ``÷ 3.2``: what a finding does to the odds."""
    factor = 2.718281828459045 ** min(abs(log_ratio), 7.0)
    more = "> " if abs(log_ratio) > 7.0 else ""
    return f"{more}{'×' if log_ratio >= 0 else '÷'} {number_text(factor, decimals=1 if factor < 100 else 0)}"
