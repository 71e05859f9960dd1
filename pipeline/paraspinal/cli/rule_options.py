"""The options that choose series, shared by the verbs that take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from paraspinal.errors import UsageError

if TYPE_CHECKING:
    from paraspinal.archive.rules import Rules

Modality = Annotated[str, typer.Option(help="DICOM modality; volume files state none and pass.")]
Region = Annotated[
    list[str] | None,
    typer.Option(
        help="chest, abdomen, spine, neck, head or limb; repeat for more, of which one is enough."
        " A series that states none passes."
    ),
]
MaxThickness = Annotated[
    float | None, typer.Option("--max-thickness", metavar="MM", help="Greatest slice thickness or distance.")
]
MinSlices = Annotated[int, typer.Option("--min-slices", min=1, help="Fewest slices.")]
Kernel = Annotated[
    str, typer.Option(help="soft, sharp or any; a series whose kernel is not known to be either passes.")
]
Contrast = Annotated[str, typer.Option(help="yes (a contrast agent is stated), no, or any.")]
Since = Annotated[str | None, typer.Option(metavar="YYYYMMDD", help="Acquired on this day or later.")]
Until = Annotated[str | None, typer.Option(metavar="YYYYMMDD", help="Acquired on this day or earlier.")]
EverySeries = Annotated[
    bool, typer.Option("--every-series", help="Take every series that fits, not the best of each study.")
]


def rules_from(**given: Any) -> Rules:
    """Return the rules that the options state.

    Raises
    ------
    UsageError
        ``rule_invalid`` if one of them cannot be meant.
    """
    from pydantic import ValidationError

    from paraspinal.archive.rules import Rules

    try:
        return Rules(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "a rule"
        raise UsageError(
            f"The rule {name.replace('_', '-')} cannot be followed: {first['msg']}.",
            code="rule_invalid",
            remedy="See: paraspinal select --help",
        ) from error
