"""Differentials of a patient's masses: pairs are judged together, unlike masses are not mixed."""

from __future__ import annotations

from collections.abc import Sequence

from paraspinal.differential.explain import differential_of
from paraspinal.differential.model import DifferentialModel
from paraspinal.differential.override import STATED
from paraspinal.masses.types import Mass
from paraspinal.result import Differential, Finding, likeliest

UNLIKE_MASSES = "unlike_masses"

JudgedMass = tuple[Mass, Sequence[Finding], float]
"""A mass, its findings, and its volume in mL."""


def mass_differentials(
    masses: Sequence[JudgedMass],
    patient: Sequence[Finding],
    model: DifferentialModel,
    *,
    prior: str = "uniform",
) -> dict[int, Differential]:
    """Return the differential of every mass, by its id.

    Masses of one ``pair_id`` are one thing: a sign seen in either is a sign of both, and both get one differential.
    Each keeps its own flags.
    """
    out: dict[int, Differential] = {}
    for unit in _units(masses):
        ids = tuple(sorted(mass.id for mass, _, _ in unit))
        own = joined_findings([(mass.id, findings, volume) for mass, findings, volume in unit])
        found = differential_of((*own, *patient), model, prior=prior)
        for mass, _, _ in unit:
            out[mass.id] = found.model_copy(update={"flags": mass.flags, "masses": ids})
    return out


def patient_differential(
    masses: Sequence[JudgedMass],
    patient: Sequence[Finding],
    model: DifferentialModel,
    *,
    prior: str = "uniform",
) -> Differential:
    """Return the differential of the leading mass, or of the leading pair taken together.

    Unlike masses are not mixed: the mass or pair of the largest volume speaks for the patient, and the flag
    ``unlike_masses`` is raised when another one leads to another entity. Flags of all masses are handed on.
    Masses in state indeterminate speak only as the partner of a present one. ``masses`` names those that spoke.
    """
    flags = tuple(dict.fromkeys(flag for mass, _, _ in masses for flag in mass.flags))
    units = [unit for unit in _units(masses) if any(mass.state == "present" for mass, _, _ in unit)]
    if not units:
        return differential_of(patient, model, prior=prior, flags=flags, has_mass=False)
    ranked = sorted(units, key=lambda unit: (-sum(v for _, _, v in unit), unit[0][0].id))
    judged = mass_differentials(masses, patient, model, prior=prior)
    each = [judged[unit[0][0].id] for unit in ranked]
    if len({likeliest(d.posterior or {}) for d in each}) > 1:
        flags = (*flags, UNLIKE_MASSES)
    return each[0].model_copy(update={"flags": flags})


def _units(masses: Sequence[JudgedMass]) -> list[list[JudgedMass]]:
    """Return the masses as singles and pairs."""
    units: dict[tuple[str, int], list[JudgedMass]] = {}
    for judged in masses:
        mass = judged[0]
        key = ("single", mass.id) if mass.pair_id is None else ("pair", mass.pair_id)
        units.setdefault(key, []).append(judged)
    return list(units.values())


def joined_findings(unit: Sequence[tuple[int, Sequence[Finding], float]]) -> list[Finding]:
    """Return one finding per name of a pair or single mass, given as (id, findings, volume) each.

    It is what the user stated, the likelier boolean of a pair, or the larger mass's.
    """
    joined: dict[str, Finding] = {}
    for _, findings, _ in sorted(unit, key=lambda judged: (-judged[2], judged[0])):
        for finding in findings:
            kept = joined.get(finding.name)
            if kept is not None and kept.reason == STATED:
                continue
            stated = finding.reason == STATED
            if kept is None or stated or kept.state == "not_assessed" or _likelier(finding, kept):
                joined[finding.name] = finding
    return list(joined.values())


def _likelier(finding: Finding, kept: Finding) -> bool:
    if finding.kind != "boolean" or finding.state == "not_assessed":
        return False
    return _probability(finding) > _probability(kept)


def _probability(finding: Finding) -> float:
    if finding.probability is not None:
        return finding.probability
    return {"present": 1.0, "absent": 0.0}.get(finding.state, 0.5)
