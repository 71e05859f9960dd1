"""Reads defects from text, and refuses those that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from paraspinal.errors import UsageError
from paraspinal.phantom.defect_kinds import KINDS, Defect, Value

# Beyond the groups of `KINDS`: each of the left one would undo or forbid each of the right one.
_CONTRADICTIONS = {
    frozenset(pair)
    for left, right in (
        (
            ("enhanced", "legacy-enhanced"),
            ("empty-position", "empty-uids", "no-rescale", "modality-lut", "monochrome1"),
        ),
        (("two-scans",), ("empty-uids",)),
        (
            ("padding",),
            (
                "clipped",
                "bits",
                "lossy",
                "unsigned",
                "modality-lut",
                "iodine-map",
                "perfusion-map",
                "cone-beam",
            ),
        ),
    )
    for pair in product(left, right)
}


def defect_names() -> tuple[str, ...]:
    """Return the names of all defects."""
    return tuple(KINDS)


def usage_of(name: str) -> str:
    """Return how a defect is written, such as ``missing[:N[:AT]]``."""
    text = ""
    for parameter in reversed(KINDS[name].parameters):
        part = f":{parameter.name}{text}"
        text = part if parameter.default is None else f"[{part}]"
    return name + text


def parse_defect(text: str) -> Defect:
    """Return the defect that ``name[:value[:value]]`` describes.

    Raises
    ------
    UsageError
        If the name is unknown (the message lists the known ones), or a value is missing or absurd.
    """
    name, *given = text.strip().lower().split(":")
    if name not in KINDS:
        raise UsageError(
            f"There is no defect {name!r}.",
            code="defect_unknown",
            remedy=f"Use one of {', '.join(usage_of(known) for known in KINDS)}.",
        )
    parameters = KINDS[name].parameters
    if len(given) > len(parameters):
        raise _invalid(text, name, "there is a value too many")
    values: list[Value] = []
    for index, parameter in enumerate(parameters):
        if index >= len(given):
            if parameter.default is None:
                raise _invalid(text, name, f"{parameter.name} is missing")
            values.append(_as_given(parameter.default))
            continue
        try:
            values.append(parameter.read(given[index]))
        except ValueError as error:
            reason = str(error) if "convert" not in str(error) else f"{given[index]!r} is no number"
            raise _invalid(text, name, reason) from None
    if name in ("tilt", "oblique") and values[0] == 0:
        raise _invalid(text, name, "0 degrees is no defect")
    return Defect(name, tuple(values))


def _as_given(default: Value) -> Value:
    return float(default) if isinstance(default, int) else default


def check_together(defects: Sequence[Defect]) -> None:
    """Refuse defects that contradict each other.

    Raises
    ------
    UsageError
        Naming the two.
    """
    for index, one in enumerate(defects):
        for other in defects[:index]:
            twice = one.name == other.name and not KINDS[one.name].repeatable
            shared = KINDS[one.name].groups & KINDS[other.name].groups
            if twice or (one.name != other.name and shared) or {one.name, other.name} in _CONTRADICTIONS:
                raise UsageError(
                    f"The defects {other} and {one} contradict each other.",
                    code="defects_contradict",
                    remedy="Leave one of them out, or write two series.",
                )


def _invalid(text: str, name: str, reason: str) -> UsageError:
    return UsageError(
        f"The defect {text!r} cannot be: {reason}.",
        code="defect_invalid",
        remedy=f"Write {usage_of(name)}: {KINDS[name].summary}.",
    )
