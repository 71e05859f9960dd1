"""Where everything of a batch lies in its output folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paraspinal.errors import OutputError


@dataclass(frozen=True, slots=True)
class Layout:
    """The output folder of a batch.

    ``private`` holds the key and the catalogue with paths and UIDs: it stays with its owner. Everything else names
    cases by keyed digests and may be handed on.
    """

    root: Path

    @property
    def private(self) -> Path:
        """Folder that only its owner may enter."""
        return self.root / "private"

    @property
    def key(self) -> Path:
        """The key of the digests, unless the user keeps another one elsewhere."""
        return self.private / "key"

    @property
    def catalogue(self) -> Path:
        """The catalogue of the archive, unless the user gives one."""
        return self.private / "catalogue.sqlite"

    @property
    def ledger(self) -> Path:
        """What became of every case."""
        return self.root / "ledger.sqlite"

    @property
    def cohort(self) -> Path:
        """Tables over all results."""
        return self.root / "cohort"

    @property
    def dashboard(self) -> Path:
        """The page over all results."""
        return self.root / "dashboard.html"

    def case(self, case: str) -> Path:
        """Return the folder of a case; 256 folders share the cases, so that none grows without bound."""
        return self.root / "cases" / case[:2] / case


@contextmanager
def prepared(root: Path) -> Iterator[Layout]:
    """Make the output folder, and keep other batches out of it as long as this one runs.

    Raises
    ------
    OutputError
        ``output_is_a_file``, ``output_not_writable``; ``batch_running`` if another batch works there.
    """
    layout = Layout(root)
    if root.exists() and not root.is_dir():
        raise OutputError(
            f"{root} is a file, not a folder.",
            code="output_is_a_file",
            remedy="Name a folder that may be made or written.",
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        layout.private.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OutputError(
            f"{root} cannot be written: {error.strerror or error}.",
            code="output_not_writable",
            remedy="Name a folder on a disk with space and write permission.",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(
                f"Another batch is working in {root}.",
                code="batch_running",
                remedy="Wait until it has ended, or name another output folder.",
            ) from error
        yield layout
    finally:
        os.close(descriptor)
