"""Read the headers of all files of an input; one bad file is put on record and never stops the rest."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.headers import HeaderError, ImageHeader, plain_bytes, read_headers
from paraspinal.dicomio.sniff import FileKind, file_kind
from paraspinal.loading.codes import note
from paraspinal.loading.sources import SourceFile, shown
from paraspinal.result import LoadCode

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One image: the file that holds it, and its header."""

    file: SourceFile
    header: ImageHeader


@dataclass(frozen=True, slots=True)
class Scan:
    """All images of an input, and what was passed over.

    ``unreadable`` holds (file name for people, reason); ``other`` the kinds of files that are no DICOM.
    """

    entries: tuple[Entry, ...]
    unreadable: tuple[tuple[str, str], ...]
    other: tuple[FileKind, ...]
    warnings: int

    def notes(self) -> list[LoadCode]:
        """Return the entries of the load report that this scan gives rise to."""
        found = []
        if self.unreadable:
            found.append(note("unreadable_file", files=len(self.unreadable)))
        if self.other:
            found.append(note("other_files", files=len(self.other)))
        if self.warnings:
            found.append(note("dicom_warnings", warnings=self.warnings))
        return found


def scan_files(files: Sequence[SourceFile], *, config: LoadingConfig) -> Scan:
    """Read the headers of `files`.

    Warnings of the parser are counted, not shown: their text may quote a person's data.
    """
    entries: list[Entry] = []
    unreadable: list[tuple[str, str]] = []
    other: list[FileKind] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for file in files:
            try:
                kind = file_kind(file.head())
                if kind == "dicom":
                    entries.extend(read_entries(file, config=config))
                else:
                    other.append(kind)
            except Exception as error:
                # One file is isolated here and put on record: pydicom raises AttributeError, ValueError,
                # NotImplementedError, RuntimeError, OSError, TypeError, RecursionError and more on malformed input.
                unreadable.append((shown(file.name), reason_of(error)))
    return Scan(tuple(entries), tuple(unreadable), tuple(other), len(caught))


def read_entries(file: SourceFile, *, config: LoadingConfig) -> list[Entry]:
    """Read the header of one DICOM file; raises whatever the parser raises."""
    limit = int(config.max_file_mib * _MIB)
    if file.size > limit:
        raise HeaderError(f"it is larger than {config.max_file_mib:g} MiB (loading.max_file_mib)")
    headers = read_headers(plain_bytes(file.read(), limit=limit))
    return [Entry(file, header) for header in headers]


def reason_of(error: Exception) -> str:
    """Return why a file could not be read, in words that quote nothing of its content."""
    if isinstance(error, HeaderError):
        return str(error)
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    return f"its header is malformed ({type(error).__name__})"
