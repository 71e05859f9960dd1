"""What an unexpected error may be called: its type and place. Its text may quote a person's data."""

from __future__ import annotations


def fault_of(error: BaseException) -> str:
    """Return the type of an error, and where in our own code it came up."""
    trace = error.__traceback__
    place = "the task"
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith("paraspinal"):
            place = f"{module} line {trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} in {place}"
