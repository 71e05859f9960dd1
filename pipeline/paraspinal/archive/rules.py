"""Which series of an archive are analysed: readable rules, one series a study, and the reason for every other one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from paraspinal.archive.modality import MODALITIES, NOT_STATED
from paraspinal.archive.store import SeriesEntry
from paraspinal.loading.inspection import BETWEEN_REGIONS
from paraspinal.loading.kernels import sharpness_of

_RUNNER_UP = "less_suited"


class Rules(BaseModel):
    """What a series must be; a rule that is left out holds for all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: str = Field("CT", description="DICOM modality; volume files state none and pass")
    region: tuple[Literal["chest", "abdomen", "spine", "neck", "head", "limb"], ...] = Field(
        (),
        description="chest, abdomen, spine, neck, head, limb; one is enough; a series that states none passes",
    )
    max_thickness_mm: float | None = Field(None, gt=0, description="greatest slice thickness or distance")
    min_slices: int = Field(3, ge=1, description="fewest slices")
    kernel: Literal["any", "soft", "sharp"] = Field(
        "any", description="kernel, where the header names one that is known"
    )
    contrast: Literal["any", "yes", "no"] = Field(
        "any", description="yes: a contrast agent is stated; no: none is stated"
    )
    since: str | None = Field(
        None, pattern=r"^[0-9]{8}$", description="acquired on this day (YYYYMMDD) or later"
    )
    until: str | None = Field(None, pattern=r"^[0-9]{8}$", description="acquired on this day or earlier")
    per_study: bool = Field(True, description="take the best series of a study only")

    @field_validator("modality")
    @classmethod
    def _is_a_modality(cls, value: str) -> str:
        if value not in MODALITIES:
            raise ValueError("DICOM knows no such modality")
        return value

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


def choose(
    entries: Iterable[SeriesEntry],
    rules: Rules,
    *,
    refused: Callable[[SeriesEntry], bool] = lambda _: False,
) -> Iterator[Choice]:
    """Yield a choice for every series; `entries` come study by study, the best of a study first.

    A series whose headers refuse it is not taken; its code is that of the refusal, its reason what to do about it.
    One that was `refused` by its pixels stays chosen, and the next of its study is chosen beside it.
    """
    for _, group in groupby(entries, key=lambda entry: entry.study):
        best: SeriesEntry | None = None
        for entry in group:
            if entry.refusal is not None:
                yield Choice(entry, False, entry.refusal, str(entry.row.get("remedy", "")))
                continue
            broken = _broken(entry.row, rules)
            if broken:
                yield Choice(entry, False, *broken)
            elif best is not None and rules.per_study:
                yield Choice(entry, False, _RUNNER_UP, _compared(entry, best))
            else:
                best = best if refused(entry) else entry
                yield Choice(entry, True)


def _compared(entry: SeriesEntry, best: SeriesEntry) -> str:
    return f"score {entry.score or 0:.1f} against {best.score or 0:.1f} of series {best.id} of the same study"


def _broken(row: Mapping[str, Any], rules: Rules) -> tuple[str, str] | None:
    """Return code and reason of the first rule that a series breaks."""
    checks = (_modality, _region, _thickness, _slices, _kernel, _contrast, _date)
    return next((broken for check in checks if (broken := check(row, rules)) is not None), None)


def _modality(row: Mapping[str, Any], rules: Rules) -> tuple[str, str] | None:
    own = row["modality"]
    return None if own in (rules.modality, NOT_STATED) else ("rule_modality", f"modality {own}")


def _region(row: Mapping[str, Any], rules: Rules) -> tuple[str, str] | None:
    own = row.get("region")
    if not rules.region or own is None or not set(rules.region).isdisjoint(own.split(BETWEEN_REGIONS)):
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
    if rules.kernel == "any" or sharpness_of(own) in (None, rules.kernel):
        return None
    return "rule_kernel", f"kernel {own}"


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
