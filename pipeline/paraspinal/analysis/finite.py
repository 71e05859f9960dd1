"""No NaN and no infinity reaches a result: the run ends with an error that names the stage and the key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import ValidationError

from paraspinal.errors import AnalysisError
from paraspinal.result import NOT_FINITE, Measurements


def check_finite(stage: str, scopes: Mapping[str, Measurements]) -> None:
    """Raise for the first measurement that ended in NaN or infinity.

    Raises
    ------
    AnalysisError
        With the code ``not_finite``, the stage, the scope (`patient`, `mass 1`, `T9`) and the key.
    """
    for scope, measurements in scopes.items():
        for key, m in measurements.items():
            if m.status == "failed" and m.reason == NOT_FINITE:
                raise _not_finite(stage, f"{key} of {scope}")


@contextmanager
def finite_stage(stage: str) -> Iterator[None]:
    """Turn a number that a published model refuses as not finite into an error that names stage and field.

    Raises
    ------
    AnalysisError
        With the code ``not_finite``.
    """
    try:
        yield
    except ValidationError as error:
        for fault in error.errors():
            if fault["type"] == "finite_number":
                where = ".".join(str(part) for part in fault["loc"])
                raise _not_finite(stage, f"{error.title}.{where}") from error
        raise


def _not_finite(stage: str, key: str) -> AnalysisError:
    return AnalysisError(
        f"The stage {stage!r} computed no finite number for {key}.",
        code="not_finite",
        remedy="Nothing was written. Please report it with the acquisition's spacing, matrix and tube voltage.",
    )
