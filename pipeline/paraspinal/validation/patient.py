"""What is measured and found in a whole body against what is true of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from paraspinal.result import Finding, Measurement, Measurements
from paraspinal.validation.wilson import share

Record = dict[str, Any]
_RELATIVE = ("_ml", "_ml_per_m2")


def score_patient(
    truth: Mapping[str, Any],
    patient: Measurements,
    vertebrae: Mapping[str, Measurements],
    findings: Sequence[Finding],
) -> Record:
    """Return every known value beside what was measured, and every known finding beside what was found."""
    values = [_value(key, "patient", true, patient.get(key)) for key, true in truth["measurements"].items()]
    values += [
        _value(key, level, true, vertebrae.get(level, {}).get(key))
        for level, own in truth["vertebrae"].items()
        for key, true in own.items()
    ]
    told = {f.name: f for f in findings}
    return {
        "values": values,
        "findings": [
            {"name": name, "truth": true, "state": told[name].state, "probability": told[name].probability}
            for name, true in truth["findings"].items()
            if name in told
        ],
    }


def _value(key: str, where: str, truth: float, measured: Measurement | None) -> Record:
    out: Record = {"key": key, "where": where, "truth": truth, "status": "missing"}
    if measured is None:
        return out
    spread = None if measured.uncertainty is None else 1.96 * measured.uncertainty.combined
    return out | {"status": measured.status, "value": measured.value, "u95": spread}


def patient_table(records: Sequence[Record]) -> str:
    """Return the tables of measurements and findings of whole bodies, empty where no record holds any."""
    scored = [r["patient"] for r in records if "patient" in r]
    if not scored:
        return ""
    return "\n\n".join([_measurements(scored), _findings(scored)])


def _measurements(scored: Sequence[Record]) -> str:
    lines = [
        "| measurement | known | measured | bias | SD | largest error | truth within the stated 95 % interval |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [row for one in scored for row in one["values"]]
    for key in sorted({row["key"] for row in rows}):
        own = [row for row in rows if row["key"] == key]
        read = [row for row in own if row["status"] == "measured"]
        relative = key.endswith(_RELATIVE)
        error = np.array(list(_errors(read, relative=relative)))
        text = ["–"] * 3
        if error.size >= 2:
            text = [
                f"{error.mean():+.2f}",
                f"{error.std(ddof=1):.2f}",
                f"{error[np.abs(error).argmax()]:+.2f}",
            ]
        stated = [row for row in read if row["u95"] is not None]
        within = sum(abs(row["value"] - row["truth"]) <= row["u95"] for row in stated)
        name = f"{key} (%)" if relative else key
        lines.append(
            f"| {name} | {len(own)} | {len(read)} | {' | '.join(text)} | {share(within, len(stated))} |"
        )
    return "\n".join(lines)


def _errors(rows: Sequence[Record], *, relative: bool) -> Iterator[float]:
    for row in rows:
        if relative and row["truth"] > 0:
            yield 100.0 * (row["value"] / row["truth"] - 1.0)
        elif not relative:
            yield row["value"] - row["truth"]


def _findings(scored: Sequence[Record]) -> str:
    lines = [
        "| finding | assessed | present where it holds | absent where it does not | called where it does not hold |",
        "|---|---|---|---|---|",
    ]
    rows = [row for one in scored for row in one["findings"]]
    for name in sorted({row["name"] for row in rows}):
        own = [row for row in rows if row["name"] == name]
        told = [row for row in own if row["state"] != "not_assessed"]
        true, false = ([row for row in told if row["truth"] is side] for side in (True, False))
        found, denied, called = (
            sum(row["state"] == state for row in side)
            for state, side in (("present", true), ("absent", false), ("present", false))
        )
        lines.append(
            f"| {name} | {len(told)} of {len(own)} | {share(found, len(true))} | {share(denied, len(false))} |"
            f" {share(called, len(false))} |"
        )
    return "\n".join(lines)
