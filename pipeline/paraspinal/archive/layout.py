"""Where everything of a batch lies in its output folder."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
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

    def running(self) -> str | None:
        """Return the name of the run that owns the folder; None where the folder is not (or not yet) a batch's."""
        try:
            return (self.root / _RUN).read_text(encoding="ascii")
        except OSError:
            return None

    def case(self, case: str) -> Path:
        """Return the folder of a case; 256 folders share the cases, so that none grows without bound."""
        return self.root / "cases" / case[:2] / case


_RUN = ".run"
_TAKEN = frozenset({errno.EWOULDBLOCK, errno.EAGAIN})


@contextmanager
def prepared(root: Path) -> Iterator[tuple[Layout, str]]:
    """Make the output folder, name the run that owns it, and keep other batches out of it as long as it goes on.

    Raises
    ------
    OutputError
        ``output_is_a_file``, ``output_not_writable``; ``batch_running`` if another batch works there,
        ``output_without_locks`` where that cannot be told.
    """
    layout = Layout(root.absolute())
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
        raise _not_writable(root, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _locked(root, error) from error
        run = secrets.token_hex(8)
        try:
            replace_text(layout.root / _RUN, run)
        except OSError as error:
            raise _not_writable(root, error) from error
        yield layout, run
    finally:
        os.close(descriptor)


def _not_writable(root: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{root} cannot be written: {error.strerror or error}.",
        code="output_not_writable",
        remedy="Name a folder on a disk with space and write permission.",
    )


def _locked(root: Path, error: OSError) -> OutputError:
    if error.errno in _TAKEN:
        return OutputError(
            f"Another batch is working in {root}.",
            code="batch_running",
            remedy="Wait until it has ended, or name another output folder.",
        )
    return OutputError(
        f"{root} lies on a file system without locks: {error.strerror or error}.",
        code="output_without_locks",
        remedy="Name a folder on a disk that offers them: without, two batches could write the same cases.",
    )


def replace_text(path: Path, text: str) -> None:
    """Put a small file in place in one step."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        staged.write_text(text, encoding="utf-8")
        os.replace(staged, path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise
