"""Reads the text of a file of coded cases, in one piece, so that nothing is printed of a file that is no text."""

from __future__ import annotations

import sys
from pathlib import Path

from paraspinal.errors import UsageError

STDIN = "-"


def read_text(file: str) -> str:
    """Return the text of a file, or of stdin for ``-``.

    Raises
    ------
    UsageError
        ``cases_unreadable``.
    """
    try:
        return sys.stdin.read().removeprefix("\ufeff") if file == STDIN else Path(file).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is no text in UTF-8"
        raise UsageError(
            f"{file} cannot be read: {why}.",
            code="cases_unreadable",
            remedy="Give a .json, .jsonl or .csv file in UTF-8, or - for stdin.",
        ) from error
