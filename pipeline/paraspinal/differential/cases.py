"""Coded cases: findings written down by a reader, in the vignette form or in the form of a result."""

from __future__ import annotations

import difflib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from paraspinal.differential.levels import BANDS, LEVELS, level_finding, span_probabilities
from paraspinal.differential.names import CONTEXT_FIELDS, LEVEL_FIELDS, FindingKind, check_name
from paraspinal.errors import UsageError
from paraspinal.result import ENTITIES, Finding

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
POSSIBLE = {
    "age_years": (0.0, 130.0),
    "size_mm": (0.1, 1000.0),
    "fdg_suv_max": (0.0, 200.0),
    **dict.fromkeys(("hu_unenhanced", "hu_enhanced", "hu_phase_unstated"), (-1024.0, 3071.0)),
}
"""What a number can be: years that people live, millimetres that fit into a trunk, the 12 bits of CT numbers."""
SUM_TOLERANCE = 0.02
"""Probabilities written with two digits add up to 1 as closely."""
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
    "fdg_uptake": {degree: degree for degree in ("low", "moderate", "high")},
    "growth": {course: course for course in ("shrinking", "stable", "slow", "fast")},
    "biopsy": {result: result for result in (*ENTITIES, "inconclusive")},
    "sex": {"m": "male", "male": "male", "f": "female", "female": "female"},
}


def findings_from_case(case: Mapping[str, object]) -> tuple[Finding, ...]:
    """Return the typed findings of one coded case.

    ``case["findings"]`` is a table {name: true, false, null, number or text} (null: not mentioned, which is no
    evidence and never "no"), or a list of findings in the form of a result. ``age`` (years) and ``sex`` beside it
    are read too, and so is a table ``context`` (see `context_findings`).

    Raises
    ------
    UsageError
        If the case is a whole ``result.json``; if a name is unknown (the remedy names the closest one); if a value
        does not suit its finding, is impossible, or is told twice.
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
        stated, found = [str(name) for name in coded], _from_table(coded)
    elif isinstance(coded, Sequence) and not isinstance(coded, str | bytes):
        found = [_from_record(record) for record in coded]
        stated = [finding.name for finding in found]
    else:
        raise _bad("findings", coded, "a table of names and values, or a list of findings")
    for field, name in (("age", "age_years"), ("sex", "sex")):
        if case.get(field) is not None:
            stated.append(name)
            found.extend(_one(name, case[field], field=field))
    if case.get("context") is not None:
        added = context_findings(case["context"])
        stated.extend(finding.name for finding in added)
        found.extend(added)
    _check_told_once(stated)
    return tuple(found)


def context_findings(context: object) -> tuple[Finding, ...]:
    """Return the findings of a table of clinical context; null is not known.

    Raises
    ------
    UsageError
        ``context_form`` if it is no table; ``context_unknown`` if a field does not exist (the remedy names the
        closest ones); ``finding_value`` if a value does not suit its field.
    """
    if not isinstance(context, Mapping):
        raise UsageError(
            "The clinical context is no table of names and values.",
            code="context_form",
            remedy='Write {"age": 44, "known_anemia": true}; docs/findings.md lists the fields.',
        )
    found: list[Finding] = []
    for field, value in context.items():
        if field not in CONTEXT_FIELDS:
            close = difflib.get_close_matches(str(field), CONTEXT_FIELDS, n=2, cutoff=0.4)
            hint = f"Did you mean {' or '.join(close)}? " if close else ""
            raise UsageError(
                f"There is no clinical context {str(field)!r}.",
                code="context_unknown",
                remedy=f"{hint}The fields are {', '.join(CONTEXT_FIELDS)}.",
            )
        if value is not None:
            found.extend(_one(CONTEXT_FIELDS[field], value, field=str(field)))
    return tuple(found)


def _check_told_once(names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise UsageError(
                f"{name} is told {count} times.",
                code="finding_repeated",
                remedy="Tell every finding once; age and sex either beside the findings or among them.",
            )


def _from_table(coded: Mapping[str, object]) -> list[Finding]:
    found: list[Finding] = []
    levels = {name: coded[name] for name in ("level_min", "level_max") if coded.get(name) is not None}
    if levels:
        found.append(_level(levels))
    for name, value in coded.items():
        if name in LEVEL_FIELDS:
            continue
        check_name(name)
        if value is not None:
            found.extend(_one(name, value))
    return found


def _level(levels: Mapping[str, object]) -> Finding:
    for field, level in levels.items():
        if level not in LEVELS:
            raise _bad(field, level, "C1 to C7, T1 to T12, L1 to L5, or S1 to S5")
    stated = [str(level) for level in levels.values()]
    top, bottom = stated[0], stated[-1]
    if LEVELS.index(top) > LEVELS.index(bottom):
        raise _bad("level_min", top, f"the upper of both levels, and level_max is {bottom}")
    return level_finding(span_probabilities(top, bottom))


def _from_record(record: object) -> Finding:
    if not isinstance(record, Mapping):
        raise _bad("findings", record, "records with name, kind and state")
    name = record.get("name")
    if not isinstance(name, str):
        raise _bad("name of a finding", name, "a name")
    kind = check_name(name)
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
    elif kind == "numeric" and finding.state == "present":
        _possible(finding.name, finding.name, finding.value)
    _check_probabilities(finding)
    return finding


def _check_probabilities(finding: Finding) -> None:
    """Refuse a probability that contradicts the state, and shares that do not make up a whole."""
    p, state = finding.probability, finding.state
    if p is not None and ((state == "present" and p < 0.5) or (state == "absent" and p > 0.5)):
        raise _bad(
            f"probability of {finding.name}", p, f"the probability of present, and the state is {state}"
        )
    shares = finding.probabilities
    if shares and abs(sum(shares.values()) - 1.0) > SUM_TOLERANCE:
        raise _bad(f"probabilities of {finding.name}", dict(shares), "shares that add up to 1")


def _check_categories(finding: Finding) -> None:
    known = (
        DEGREES if finding.name == "enhancement" else tuple(dict.fromkeys(_CATEGORIES[finding.name].values()))
    )
    told = [*(finding.probabilities or ()), *(() if finding.value is None else (finding.value,))]
    for category in told:
        if category not in known:
            raise _bad(finding.name, category, f"one of {', '.join(known)}")


def _one(name: str, value: object, *, field: str | None = None) -> list[Finding]:
    """Return what one stated value makes; `field` is its name in the case where that differs."""
    kind: FindingKind = check_name(name)
    if kind == "boolean":
        if not isinstance(value, bool):
            raise _bad(name, value, "true, false or null")
        return [Finding(name=name, kind="boolean", state="present" if value else "absent")]
    if kind == "numeric":
        number = _possible(name, field or name, value)
        stated = Finding(name=name, kind="numeric", state="present", value=number)
        return [stated, _fluid(number)] if name.startswith("hu_") else [stated]
    if name == "enhancement":
        return _enhancement(value)
    category = _CATEGORIES[name].get(str(value).strip().lower())
    if category is None:
        raise _bad(field or name, value, f"one of {', '.join(_CATEGORIES[name])}")
    return [Finding(name=name, kind="categorical", state="present", value=category)]


def _possible(name: str, field: str, value: object) -> float:
    """Return a number that the finding can have."""
    low, high = POSSIBLE[name]
    # Written so that NaN fails, too.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _bad(field, value, f"a number from {low:g} to {high:g}, or null")
    return float(value)


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
        f"{name} cannot be {json.dumps(value, default=str)}.",
        code="finding_value",
        remedy=f"It takes {wanted}; see docs/findings.md.",
    )
