"""Coded cases: findings written down by a reader, in the vignette form or in the form of a result."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from paraspinal.differential.levels import BANDS, LEVELS, level_finding, span_probabilities
from paraspinal.differential.names import LEVEL_FIELDS, FindingKind, check_name
from paraspinal.errors import UsageError
from paraspinal.result import Finding

DEGREES = ("none", "mild", "marked")
_WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "none": ("enhancement", ("none",)),
    "absent": ("enhancement", ("none",)),
    "no": ("enhancement", ("none",)),
    "minimal": ("enhancement", ("mild",)),
    "mild": ("enhancement", ("mild",)),
    "moderate": ("enhancement", ("mild",)),
    "marked": ("enhancement", ("marked",)),
    "strong": ("enhancement", ("marked",)),
    "avid": ("enhancement", ("marked",)),
    "intense": ("enhancement", ("marked",)),
    "present": ("enhancement", ("mild", "marked")),
    "homogeneous": ("enhancement_pattern", ("homogeneous",)),
    "uniform": ("enhancement_pattern", ("homogeneous",)),
    "heterogeneous": ("enhancement_pattern", ("heterogeneous",)),
    "inhomogeneous": ("enhancement_pattern", ("heterogeneous",)),
    "rim": ("rim_enhancement", ()),
    "peripheral": ("rim_enhancement", ()),
}
"""Words for enhancement: which finding they make, and which of its categories they leave open."""
LARGEST = 1e6
"""No size, age or HU is as large; it also keeps NaN and infinity out."""
FLUID_HU = (-10.0, 20.0)
"""Mean HU of simple fluid (HU-tables: water 0; plexiform neurofibroma at 15-20 HU shares it [KSTR516])."""
FLUID_FALLOFF_HU = 15.0
"""The fluid score falls to 1/e this far outside the band: cysts of 28-46 HU exist [KSTR706, SEMI]."""
FLUID_BOUNDS = (0.05, 0.95)
"""A mean HU alone never decides."""
_CATEGORIES = {
    "margin": {"well": "well", "well-defined": "well", "sharp": "well", "ill": "ill", "ill-defined": "ill"},
    "level": {band: band for band in BANDS},
    "enhancement_pattern": {p: p for p in ("homogeneous", "heterogeneous")},
    "sex": {"m": "male", "male": "male", "f": "female", "female": "female"},
}


def findings_from_case(case: Mapping[str, object]) -> tuple[Finding, ...]:
    """Return the typed findings of one coded case.

    ``case["findings"]`` is a table {name: true, false, null, number or text} (null: not mentioned, which is no
    evidence and never "no"), or a list of findings in the form of a result. ``age`` (years) and ``sex`` beside it
    are read too.

    Raises
    ------
    UsageError
        If the case is a whole ``result.json``.
        If a name is unknown (the remedy names the closest one) or a value does not suit its finding.
    """
    if "schema_version" in case and "masses" in case:
        # Its findings at the top level are the patient's alone; without the mass they give other odds.
        raise UsageError(
            "This is a whole result, not a case.",
            code="result_not_case",
            remedy="Its differential stands in it already; to judge again, give an object with the findings of one "
            "mass and those of the patient.",
        )
    coded = case.get("findings", {})
    if isinstance(coded, Mapping):
        found = _from_table(coded)
    elif isinstance(coded, Sequence) and not isinstance(coded, str | bytes):
        found = [_from_record(record) for record in coded]
    else:
        raise _bad("findings", coded, "a table of names and values, or a list of findings")
    for field, name in (("age", "age_years"), ("sex", "sex")):
        if case.get(field) is not None:
            found.extend(_one(name, case[field]))
    return tuple(found)


def _from_table(coded: Mapping[str, object]) -> list[Finding]:
    found: list[Finding] = []
    levels = [coded[name] for name in LEVEL_FIELDS if coded.get(name) is not None]
    if levels:
        found.append(_level(levels))
    for name, value in coded.items():
        if name in LEVEL_FIELDS:
            continue
        check_name(name)
        if value is not None:
            found.extend(_one(name, value))
    return found


def _level(levels: Sequence[object]) -> Finding:
    for level in levels:
        if level not in LEVELS:
            raise _bad("level", level, "C1 to C7, T1 to T12, L1 to L5, or S1 to S5")
    return level_finding(span_probabilities(str(levels[0]), str(levels[-1])))


def _from_record(record: object) -> Finding:
    if not isinstance(record, Mapping):
        raise _bad("findings", record, "records with name, kind and state")
    name = record.get("name")
    kind = check_name(str(name))
    try:
        finding = Finding.model_validate(dict(record))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"Finding {name!r} is not valid: {where}: {first['msg']}.",
            code="finding_invalid",
            remedy="docs/findings.md shows both forms.",
        ) from error
    if {finding.kind, kind} & {"boolean", "numeric"} and finding.kind != kind:
        raise _bad(str(name), finding.kind, f"kind {kind}")
    if kind == "categorical":
        _check_categories(finding)
    return finding


def _check_categories(finding: Finding) -> None:
    known = (
        DEGREES if finding.name == "enhancement" else tuple(dict.fromkeys(_CATEGORIES[finding.name].values()))
    )
    told = [*(finding.probabilities or ()), *(() if finding.value is None else (finding.value,))]
    for category in told:
        if category not in known:
            raise _bad(finding.name, category, f"one of {', '.join(known)}")


def _one(name: str, value: object) -> list[Finding]:
    kind: FindingKind = check_name(name)
    if kind == "boolean":
        if not isinstance(value, bool):
            raise _bad(name, value, "true, false or null")
        return [Finding(name=name, kind="boolean", state="present" if value else "absent")]
    if kind == "numeric":
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
            raise _bad(name, value, "a finite number or null")
        stated = Finding(name=name, kind="numeric", state="present", value=float(value))
        return [stated, _fluid(float(value))] if name.startswith("hu_") else [stated]
    if name == "enhancement":
        return _enhancement(value)
    category = _CATEGORIES[name].get(str(value).strip().lower())
    if category is None:
        raise _bad(name, value, f"one of {', '.join(_CATEGORIES[name])}")
    return [Finding(name=name, kind="categorical", state="present", value=category)]


def _fluid(mean_hu: float) -> Finding:
    """Return how far a stated mean HU agrees with fluid, graded as the measured score is."""
    outside = max(FLUID_HU[0] - mean_hu, mean_hu - FLUID_HU[1], 0.0)
    low, high = FLUID_BOUNDS
    p = min(max(math.exp(-outside / FLUID_FALLOFF_HU), low), high)
    return Finding(name="fluid_compatible", kind="boolean", state="indeterminate", probability=p)


def _enhancement(value: object) -> list[Finding]:
    """Read ``minimal, homogeneous`` or ``heterogeneous (MRI)``: degree and pattern are two findings."""
    if isinstance(value, bool):
        value = "present" if value else "none"
    words = str(value).split("(")[0].replace(",", " ").lower().split()
    open_categories: dict[str, tuple[str, ...]] = {}
    for word in words:
        if word not in _WORDS:
            near = difflib.get_close_matches(word, _WORDS, n=1)
            raise _bad("enhancement", value, f"words such as {', '.join(near or ('none', 'mild', 'marked'))}")
        name, categories = _WORDS[word]
        open_categories[name] = categories
    if "enhancement_pattern" in open_categories:  # what has a pattern does enhance
        open_categories.setdefault("enhancement", ("mild", "marked"))
    return [_enhancement_finding(name, categories) for name, categories in open_categories.items()]


def _enhancement_finding(name: str, categories: tuple[str, ...]) -> Finding:
    if name == "rim_enhancement":
        return Finding(name=name, kind="boolean", state="present")
    share = {category: 1.0 / len(categories) for category in categories}
    value = categories[0] if len(categories) == 1 else None
    return Finding(name=name, kind="categorical", state="present", value=value, probabilities=share)


def _bad(name: str, value: object, wanted: str) -> UsageError:
    return UsageError(
        f"{name} cannot be {value!r}.",
        code="finding_value",
        remedy=f"It takes {wanted}; see docs/findings.md.",
    )
