"""Sources whose files have numbers for names, so that no file name can reach a result, a log or a page.

Nor can a digest of their UID: it has no key, and whoever knows the UID could recompute it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from paraspinal.loading.opening import OpenedSource, Source
from paraspinal.loading.sources import ClosedPlace, DiskFile, SourceFile, ZipMember


@dataclass(frozen=True, slots=True)
class _NumberedFile(DiskFile):
    number: int = 0
    nameless: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The number."""
        return f"file {self.number}"


@dataclass(frozen=True, slots=True)
class _NumberedMember(ZipMember):
    number: int = 0
    nameless: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The number."""
        return f"file {self.number}"


def nameless(source: Source) -> OpenedSource:
    """Return the same source with files that go by their number (from 1), and a label that names nothing."""
    files = tuple(_numbered(file, number) for number, file in enumerate(source.files, 1))
    only = None if source.only is None else _numbered(source.only, 1)
    notes = tuple(n.model_copy(update={"text": n.code.replace("_", " ")}) for n in source.notes)
    return OpenedSource("the input", source.kind, files, notes, only)


def _numbered(file: SourceFile, number: int) -> SourceFile:
    if isinstance(file, DiskFile):
        return _NumberedFile(file.path, file.size, number)
    if isinstance(file, ZipMember):
        return _NumberedMember(file.archive, file.info, file.lock, number)
    if isinstance(file, ClosedPlace):
        return replace(file, path=Path(f"file {number}"))
    return file
