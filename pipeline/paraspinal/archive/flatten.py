"""From one line of the ledger and its ``result.json`` to the rows of the cohort's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from paraspinal.archive.ledger import CaseRow
from paraspinal.result import ENTITIES, likeliest

Row = dict[str, Any]
Cells = tuple[Any, ...]
"""One row in the order of the declared columns: there are hundreds a case, and a dict for each takes longer."""
_FACTS = ("modality", "region", "year", "slices", "thickness_mm", "kvp", "kernel", "verdict", "outcome")


UNREADABLE = "result_unreadable"
"""The code of a case that the ledger calls done and whose result is missing, another one, or no result."""


def case_row(line: CaseRow, result: Mapping[str, Any] | None) -> Row:
    """Return the row of `cases`; without a result only what the ledger knows."""
    facts = line.facts
    spacing = facts.get("spacing_mm") or [None, None, None]
    row: Row = {name: facts.get(name) for name in _FACTS}
    row |= {
        "case": line.id,
        "study": line.study,
        "status": line.status,
        "code": line.code or None,
        "attempts": line.attempts,
        "seconds": line.seconds or None,
        "peak_mib": line.peak_mib or None,
        "slice_spacing_mm": spacing[0],
        "pixel_mm": spacing[2],
    }
    if result is None:
        # What the ledger knows of a result that is not there is not to stand in a table as if it were.
        return row | {"outcome": None, "code": UNREADABLE} if line.status == "done" else row
    series, made, judged = result["series"], result["provenance"], result["differential"]
    prior = judged.get("prior")
    return row | _judged(judged) | {
        "outcome": result["outcome"],
        "slices": series["slices"],
        "slice_spacing_mm": series["spacing_mm"][0],
        "pixel_mm": series["spacing_mm"][2],
        "thickness_mm": series["thickness_mm"],
        "kvp": series["kvp"],
        "kernel": series["kernel"],
        "contrast_phase": series["contrast_phase"],
        "verdict": result["loading"]["verdict"],
        "masses": sum(mass["state"] == "present" for mass in result["masses"]),
        "prior": None if prior is None else " ".join(f"{name}={p:g}" for name, p in prior.items()),
        "software_version": made["software_version"],
        "config_digest": made["config_digest"],
        "model": made["model"],
        "input_digest": made["input_digest"],
    }  # fmt: skip


def mass_rows(case: str, result: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the rows of `masses`."""
    for mass in result["masses"]:
        yield {
            "case": case,
            "mass": mass["id"],
            "state": mass["state"],
            "side": mass["side"],
            "pair": mass.get("pair_id"),
            "top_level": mass["levels"][0],
            "bottom_level": mass["levels"][-1],
            "flags": " ".join(mass.get("flags", ())) or None,
            **_judged(mass["differential"]),
        }


def _judged(differential: Mapping[str, Any]) -> Row:
    posterior = differential.get("posterior") or {}
    ratios = differential.get("log_likelihood_ratio") or {}
    abstained = differential["abstained"]["value"]
    return {
        "leading": likeliest(posterior) if posterior and not abstained else None,
        "abstained": abstained if posterior else None,
        "emh_llr": ratios.get("emh"),
        **{f"p_{entity}": posterior.get(entity) for entity in ENTITIES},
    }


def measurement_rows(case: str, result: Mapping[str, Any]) -> Iterator[Cells]:
    """Yield the rows of `measurements`."""
    nothing: Mapping[str, Any] = {}
    for kind, scope, part in _scopes(result):
        for name, m in part.get("measurements", nothing).items():
            stated = m.get("uncertainty") or nothing
            yield (
                *(case, kind, scope, name, m["value"], m["unit"], m["status"], m["reason"]),
                *(stated.get("type_a"), stated.get("type_b"), m["detection_limit"]),
            )


def finding_rows(case: str, result: Mapping[str, Any]) -> Iterator[Cells]:
    """Yield the rows of `findings`."""
    for kind, scope, part in _scopes(result):
        for f in part.get("findings", ()):
            value = f.get("value")
            text = None if value is None else str(value)
            yield case, kind, scope, f["name"], f["state"], text, f.get("probability"), f.get("reason")


def _scopes(result: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield kind, name and content of all that has measurements or findings of its own."""
    yield "patient", "patient", result
    for mass in result["masses"]:
        yield "mass", f"mass {mass['id']}", mass
    anatomy = result.get("anatomy") or {}
    for vertebra in anatomy.get("vertebrae", ()):
        yield "vertebra", vertebra["label"], vertebra
    for rib in anatomy.get("ribs", ()):
        yield "rib", rib["label"], rib
