"""Which series of an archive are analysed: readable rules, one series a study, and the reason for every other one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from paraspinal.archive.store import SeriesEntry

_SHARP_WORDS = ("LUNG", "BONE", "EDGE", "SHARP", "ULTRA", "DETAIL")
_SHARP_FROM = 60  # Siemens' B, Br, Bl, I … and number
_RUNNER_UP = "less_suited"


class Rules(BaseModel):
    """What a series must be; a rule that is left out holds for all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: str = Field(
        "CT", pattern=r"^[A-Z]{2,10}$", description="DICOM modality; volume files state none and pass"
    )
    region: tuple[Literal["chest", "abdomen", "spine", "neck", "head", "limb"], ...] = Field(
        (), description="chest, abdomen, spine, neck, head, limb; a series that states none passes"
    )
    max_thickness_mm: float | None = Field(None, gt=0, description="greatest slice thickness or distance")
    min_slices: int = Field(3, ge=1, description="fewest slices")
    kernel: Literal["any", "soft", "sharp"] = Field("any", description="kernel, where the header names one")
    contrast: Literal["any", "yes", "no"] = Field(
        "any", description="yes: a contrast agent is stated; no: none is stated"
    )
    since: str | None = Field(
        None, pattern=r"^\d{8}$", description="acquired on this day (YYYYMMDD) or later"
    )
    until: str | None = Field(None, pattern=r"^\d{8}$", description="acquired on this day or earlier")
    per_study: bool = Field(True, description="take the best series of a study only")

    @field_validator("since", "until")
    @classmethod
    def _is_a_day(cls, value: str | None) -> str | None:
        if value is not None:
            datetime.strptime(value, "%Y%m%d")
        return value


class Choice(NamedTuple):
    """What the rules make of one series: taken, or a code and a reason why not."""

    entry: SeriesEntry
    taken: bool
    code: str = ""
    reason: str = ""


def choose(entries: Iterable[SeriesEntry], rules: Rules) -> Iterator[Choice]:
    """Yield a choice for every series; `entries` come study by study, the best of a study first.

    A series whose headers refuse it is not taken; its code is that of the refusal.
    """
    for _, group in groupby(entries, key=lambda entry: entry.study):
        best: SeriesEntry | None = None
        for entry in group:
            if entry.refusal is not None:
                yield Choice(entry, False, entry.refusal, str(entry.row.get("why", "")))
                continue
            broken = _broken(entry.row, rules)
            if broken:
                yield Choice(entry, False, *broken)
            elif best is not None and rules.per_study:
                yield Choice(entry, False, _RUNNER_UP, _compared(entry, best))
            else:
                best = entry
                yield Choice(entry, True)


def _compared(entry: SeriesEntry, best: SeriesEntry) -> str:
    return f"score {entry.score or 0:.1f} against {best.score or 0:.1f} of series {best.id} of the same study"


def _broken(row: Mapping[str, Any], rules: Rules) -> tuple[str, str] | None:
    """Return code and reason of the first rule that a series breaks."""
    checks = (_modality, _region, _thickness, _slices, _kernel, _contrast, _date)
    return next((broken for check in checks if (broken := check(row, rules)) is not None), None)


def _modality(row: Mapping[str, Any], rules: Rules) -> tuple[str, str] | None:
    own = row["modality"]
    return None if own in (rules.modality, "not stated") else ("rule_modality", f"modality {own}")


def _region(row: Mapping[str, Any], rules: Rules) -> tuple[str, str] | None:
    own = row.get("region")
    if not rules.region or own is None or own in rules.region:
        return None
    return "rule_region", f"region {own}"


def _thickness(row: Mapping[str, Any], rules: Rules) -> tuple[str, str] | None:
    spacing = row.get("spacing_mm")
    thick = max(float(row.get("thickness_mm") or 0.0), float(spacing[0]) if spacing else 0.0)
    if rules.max_thickness_mm is None or thick <= rules.max_thickness_mm + 1e-6:
        return None
    return "rule_thickness", f"slices of {thick:g} mm"


def _slices(row: Mapping[str, Any], rules: Rules) -> tuple[str, str] | None:
    own = int(row["slices"])
    return None if own >= rules.min_slices else ("rule_slices", f"{own} slices")


def _kernel(row: Mapping[str, Any], rules: Rules) -> tuple[str, str] | None:
    own = row.get("kernel")
    if rules.kernel == "any" or not own:
        return None
    return None if is_sharp(own) is (rules.kernel == "sharp") else ("rule_kernel", f"kernel {own}")


def is_sharp(kernel: str) -> bool:
    """Tell whether a kernel's name is that of a sharp one."""
    name = kernel.upper().split("\\")[0]
    digits = "".join(c for c in name if c.isdigit())[:2]
    numbered = name[:1] in ("B", "I", "Q", "H") and len(digits) == 2 and int(digits) >= _SHARP_FROM
    return numbered or any(word in name for word in _SHARP_WORDS)


def _contrast(row: Mapping[str, Any], rules: Rules) -> tuple[str, str] | None:
    stated = bool(row.get("contrast"))
    if rules.contrast == "any" or stated is (rules.contrast == "yes"):
        return None
    return "rule_contrast", "a contrast agent is stated" if stated else "no contrast agent is stated"


def _date(row: Mapping[str, Any], rules: Rules) -> tuple[str, str] | None:
    own = row.get("date")
    if rules.since is None and rules.until is None:
        return None
    if own is None:
        return "rule_date", "no date is stated"
    inside = (rules.since is None or own >= rules.since) and (rules.until is None or own <= rules.until)
    return None if inside else ("rule_date", "acquired outside the dates")
