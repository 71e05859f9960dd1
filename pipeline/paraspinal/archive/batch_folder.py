"""The output folder of a batch, as it is given to what reads it."""

from __future__ import annotations

from pathlib import Path

from paraspinal.archive.layout import Layout
from paraspinal.errors import UsageError


def batch_folder(out: str | Path) -> Layout:
    """Return the layout of a batch's output folder.

    Raises
    ------
    UsageError
        ``no_ledger`` if the folder is none of a batch.
    """
    layout = Layout(Path(out))
    if not layout.ledger.is_file():
        raise UsageError(
            f"{layout.root} holds no ledger.",
            code="no_ledger",
            remedy="Name the output folder of paraspinal batch.",
        )
    return layout
