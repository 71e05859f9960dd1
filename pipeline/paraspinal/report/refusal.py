"""``refusal.json``: why an input was refused, for people and for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from paraspinal import __version__
from paraspinal.errors import LoadError
from paraspinal.result import SCHEMA_VERSION, AnalysisResult

VERDICT = "refused"


def refusal_json(error: LoadError, *, superseded: Sequence[str] = ()) -> str:
    """Return the text of ``refusal.json``.

    Parameters
    ----------
    error : LoadError
        Why the input was refused.
    superseded : sequence of str
        Files of an older result in the same folder, by their new names.
    """
    content = _finite(refusal(error, superseded=superseded))
    return json.dumps(content, indent=2, allow_nan=False, default=str) + "\n"


def refusal(error: LoadError, *, superseded: Sequence[str] = ()) -> dict[str, object]:
    """Return what ``refusal.json`` holds; ``codes`` have the form that they have in ``result.json``."""
    details = dict(error.details)
    codes = details.pop("codes", None) or [_own_code(error)]
    return {
        "schema_version": SCHEMA_VERSION,
        "research_use_only": AnalysisResult.model_fields["research_use_only"].default,
        "software_version": __version__,
        "verdict": VERDICT,
        "codes": codes,
        "message": error.message,
        "remedy": error.remedy,
        "details": details,
        "superseded": list(superseded),
    }


def _own_code(error: LoadError) -> dict[str, object]:
    """Return the error as a code of the loader: numbers of its details, and the slices where it names them."""
    numbers = {name: value for name, value in error.details.items() if _is_number(value)}
    slices = error.details.get("slices")
    listed = isinstance(slices, list | tuple) and all(isinstance(z, int) for z in slices)
    return {
        "code": error.code,
        "text": error.message,
        "numbers": numbers,
        "slices": list(slices) if listed and isinstance(slices, list | tuple) else [],
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _finite(value: object) -> object:
    """Return a JSON value with text in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def is_refusal(path: Path) -> bool:
    """Tell whether a file is a ``refusal.json`` of this program."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("verdict") == VERDICT and "codes" in content
