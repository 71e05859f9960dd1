"""The ribs of which width or cortex was measured, ready to print."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paraspinal.report.numbers import NO_VALUE, percent, value_text
from paraspinal.result import RibResult


@dataclass(frozen=True, slots=True)
class RibRow:
    """One rib as text: name, confidence, width and cortex in millimetres, and what is said of the latter."""

    name: str
    confidence: str
    width: str
    cortex: str
    note: str


def rib_rows(ribs: Iterable[RibResult]) -> list[RibRow]:
    """Return a row per rib of which anything was measured, in the result's order."""
    out = []
    for rib in ribs:
        width, cortex = (rib.measurements.get(key) for key in ("width_mm", "cortex_mm"))
        if all(
            m is None or (m.value is None and m.status != "below_detection_limit") for m in (width, cortex)
        ):
            continue
        texts = [NO_VALUE if m is None else value_text(m) for m in (width, cortex)]
        note = "" if cortex is None else cortex.reason or ""
        name = rib.label.replace("_", " ").capitalize()
        out.append(RibRow(name, percent(rib.confidence), texts[0], texts[1], note))
    return out
