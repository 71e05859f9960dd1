"""Which segmenter finds the anatomy: the built-in one, masks made elsewhere, or an installed TotalSegmentator."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paraspinal.anatomy.given.read import FORMS, read_structures
from paraspinal.anatomy.given.totalsegmentator import require_totalsegmentator, run_totalsegmentator
from paraspinal.anatomy.given.types import StructureSet
from paraspinal.errors import UsageError
from paraspinal.volume import CTVolume

SegmenterKind = Literal["classical", "masks", "totalsegmentator"]
CHOICES = "classical, masks:PATH, totalsegmentator or totalsegmentator:fast"


@dataclass(frozen=True, slots=True)
class Segmenter:
    """A choice of segmenter: `path` and `names` belong to ``masks``, `fast` to ``totalsegmentator``."""

    kind: SegmenterKind = "classical"
    path: Path | None = None
    names: Path | None = None
    fast: bool = False


def parse_segmenter(text: str, *, names: str | Path | None = None) -> Segmenter:
    """Return the segmenter that ``--anatomy`` names.

    Raises
    ------
    UsageError
        ``anatomy_choice`` if it names none, ``not_found`` if masks or names are not there.
    """
    kind, _, rest = text.strip().partition(":")
    if kind == "masks" and rest.strip():
        return Segmenter("masks", _there(rest.strip()), _there(names) if names else None)
    if names:
        raise UsageError(
            "Names of labels were given without a label map.",
            code="anatomy_choice",
            remedy="Give the label map, too: --anatomy masks:PATH.",
        )
    if kind == "classical" and not rest:
        return Segmenter()
    if kind == "totalsegmentator" and rest in ("", "fast"):
        return Segmenter("totalsegmentator", fast=rest == "fast")
    raise UsageError(
        f"There is no segmenter {text!r}.",
        code="anatomy_choice",
        remedy=f"Take {CHOICES}; PATH is {FORMS}.",
    )


def _there(path: str | Path) -> Path:
    if not os.path.exists(path):
        raise UsageError(
            f"There is no file or folder {path}, or it may not be read.",
            code="not_found",
            remedy="Check the path.",
        )
    return Path(path)


def check_segmenter(segmenter: Segmenter) -> StructureSet | None:
    """Read masks, or see that TotalSegmentator can be loaded, before any other work is done.

    Raises
    ------
    UsageError
        If the masks cannot be taken or TotalSegmentator is missing.
    """
    if segmenter.kind == "totalsegmentator":
        require_totalsegmentator()
    if segmenter.kind == "masks" and segmenter.path is not None:
        return read_structures(segmenter.path, names=segmenter.names)
    return None


def run_segmenter(
    segmenter: Segmenter,
    volume: CTVolume,
    *,
    masks: StructureSet | None = None,
    progress: Callable[[str], None] | None = None,
) -> StructureSet | None:
    """Return the structures that another segmenter gives for this CT; None for the built-in one.

    `masks` are those that `check_segmenter` read.
    """
    if segmenter.kind == "totalsegmentator":
        if progress is not None:
            progress("TotalSegmentator")
        return run_totalsegmentator(volume, fast=segmenter.fast)
    if segmenter.kind == "masks" and segmenter.path is not None and masks is None:
        return read_structures(segmenter.path, names=segmenter.names)
    return masks
