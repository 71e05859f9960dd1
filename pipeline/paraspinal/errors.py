"""Every error that paraspinal raises on purpose.

::

    ParaspinalError            code, remedy, exit_code
     ├─ UsageError             2  the command line or the API was called wrongly
     │   ├─ ConfigError        2  a configuration or a model file is not valid
     │   └─ OutputError        2  the result cannot be written where it was asked for
     ├─ LoadError              3  the input was refused; codes say why
     └─ AnalysisError          4  a stage failed on an input that had been accepted

Every error carries a stable ``code`` (snake case, for machines) and a ``remedy`` (one sentence, for people).
"""

from __future__ import annotations

from typing import ClassVar


class ParaspinalError(Exception):
    """Base of the tree.

    Parameters
    ----------
    message : str
        What is wrong, in one line.
    code : str
        Stable identifier in snake case.
    remedy : str
        What the user can do about it.
    """

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, *, code: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.remedy = remedy

    def one_line(self) -> str:
        """Return message, remedy and code as the single line that a terminal shows."""
        return f"{self.message} {self.remedy} [{self.code}]"


class UsageError(ParaspinalError):
    """The caller asked for something that cannot be done as asked."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration profile or a model folder is not valid."""


class OutputError(UsageError):
    """The result cannot be written to the place that was named."""


class LoadError(ParaspinalError):
    """The input was refused: not CT, not a volume, or not readable.

    ``details`` holds numbers and file names for ``refusal.json``; values must be JSON-serialisable.
    """

    exit_code = 3

    def __init__(
        self, message: str, *, code: str, remedy: str, details: dict[str, object] | None = None
    ) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.details = dict(details or {})


class AnalysisError(ParaspinalError):
    """A stage of the analysis failed on an accepted input."""

    exit_code = 4
