"""Sources whose files have numbers for names, so that no file name can reach a result, a log or a page.

Nor can a digest of their UID: it has no key, and whoever knows the UID could recompute it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from paraspinal.dicomio.sniff import HEAD_BYTES
from paraspinal.loading.opening import OpenedSource, Source
from paraspinal.loading.sources import ClosedPlace, DiskFile, SourceFile, ZipMember


@dataclass(frozen=True, slots=True)
class _NumberedFile(DiskFile):
    number: int = 0
    faults: list[OSError] = field(default_factory=list, repr=False, compare=False)
    nameless: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The number."""
        return f"file {self.number}"

    def head(self, limit: int = HEAD_BYTES) -> bytes:
        """Return the first bytes."""
        with _noted(self.faults):
            return DiskFile.head(self, limit)

    def read(self) -> bytes:
        """Return all bytes."""
        with _noted(self.faults):
            return DiskFile.read(self)


@dataclass(frozen=True, slots=True)
class _NumberedMember(ZipMember):
    number: int = 0
    faults: list[OSError] = field(default_factory=list, repr=False, compare=False)
    nameless: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The number."""
        return f"file {self.number}"

    def head(self, limit: int = HEAD_BYTES) -> bytes:
        """Return the first bytes."""
        with _noted(self.faults):
            return ZipMember.head(self, limit)

    def read(self) -> bytes:
        """Return all bytes."""
        with _noted(self.faults):
            return ZipMember.read(self)


@contextmanager
def _noted(faults: list[OSError]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        faults.append(error)
        raise


def nameless(source: Source, faults: list[OSError]) -> OpenedSource:
    """Return the same source with files that go by their number (from 1), and a label that names nothing.

    What goes wrong with the reading of a file is put into `faults`, whoever hides it afterwards.
    """
    files = tuple(_numbered(file, number, faults) for number, file in enumerate(source.files, 1))
    only = None if source.only is None else _numbered(source.only, 1, faults)
    notes = tuple(n.model_copy(update={"text": n.code.replace("_", " ")}) for n in source.notes)
    return OpenedSource("the input", source.kind, files, notes, only)


def _numbered(file: SourceFile, number: int, faults: list[OSError]) -> SourceFile:
    if isinstance(file, DiskFile):
        return _NumberedFile(file.path, file.size, number, faults)
    if isinstance(file, ZipMember):
        return _NumberedMember(file.archive, file.info, file.lock, number, faults)
    if isinstance(file, ClosedPlace):
        return replace(file, path=Path(f"file {number}"))
    return file
