"""Read the headers of all files of an input; one bad file is put on record and never stops the rest."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.headers import DEFLATED, HeaderError, ImageHeader, plain_bytes, read_headers
from paraspinal.dicomio.sniff import HEAD_BYTES, FileKind, file_kind
from paraspinal.dicomio.walker import walk_header
from paraspinal.loading.catalogue import Catalogue, Known, Stamp, stamp_of
from paraspinal.loading.codes import note
from paraspinal.loading.sources import DiskFile, SourceFile, shown
from paraspinal.result import LoadCode

_MIB = 1 << 20
# Nearly every header ends within the first; long private elements need the second.
_SHORT_HEADER, _LONG_HEADER = 64 << 10, 1 * _MIB


@dataclass(frozen=True, slots=True)
class Entry:
    """One image: the file that holds it, and its header."""

    file: SourceFile
    header: ImageHeader


class Unread(NamedTuple):
    """Why a file could not be read; ``passing`` if that is no matter of its bytes, and may be over another time."""

    reason: str
    passing: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """All images of an input, and what was passed over.

    ``unreadable`` holds (file name for people, reason); ``other`` the kinds of files that are no DICOM; ``passing``
    tells that one of the unreadable may be read another time.
    """

    entries: tuple[Entry, ...]
    unreadable: tuple[tuple[str, str], ...]
    other: tuple[FileKind, ...]
    warnings: int
    passing: bool = False

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


def scan_files(
    files: Sequence[SourceFile], *, config: LoadingConfig, catalogue: Catalogue | None = None
) -> Scan:
    """Read the headers of `files`, in their order; what `catalogue` knows of unchanged files is taken from it.

    Warnings of the parser are counted, not shown: their text may quote a person's data.

    Raises
    ------
    UsageError
        If the catalogue is damaged or locked.
    """
    entries: list[Entry] = []
    unreadable: list[tuple[str, str]] = []
    other: list[FileKind] = []
    warned, passing = 0, False
    for file, found in zip(files, look_at_files(files, config=config, catalogue=catalogue), strict=True):
        if isinstance(found, Unread):
            unreadable.append((shown(file.name), found.reason))
            passing |= found.passing
            continue
        warned += found.warnings
        if found.kind == "dicom":
            entries.extend(Entry(file, header) for header in found.headers)
        else:
            other.append(found.kind)
    return Scan(tuple(entries), tuple(unreadable), tuple(other), warned, passing)


def look_at_files(
    files: Sequence[SourceFile], *, config: LoadingConfig, catalogue: Catalogue | None = None
) -> list[Known | Unread]:
    """Return what each file is, or why it cannot be read: that is not remembered, as limits and disks may change.

    Raises
    ------
    UsageError
        If the catalogue is damaged or locked.
    """
    if catalogue is None:
        return [_look_at(file, config) for file in files]
    limit = int(config.max_file_mib * _MIB)
    stamps = [stamp_of(file) if file.size <= limit else None for file in files]
    known = catalogue.find([stamp for stamp in stamps if stamp is not None])
    fresh: list[tuple[Stamp, Known]] = []
    outcomes: list[Known | Unread] = []
    for file, stamp in zip(files, stamps, strict=True):
        found = (None if stamp is None else known.get(stamp.path)) or _look_at(file, config)
        outcomes.append(found)
        if stamp is not None and stamp.path not in known and isinstance(found, Known):
            fresh.append((stamp, found))
    if fresh:
        catalogue.add(fresh)
    return outcomes


def _look_at(file: SourceFile, config: LoadingConfig) -> Known | Unread:
    try:
        head = file.head(_SHORT_HEADER)
        kind = file_kind(head[:HEAD_BYTES])
        headers, warned = _read_headers(file, head, config=config) if kind == "dicom" else ((), 0)
    except Exception as error:
        # One file is isolated here and put on record: pydicom raises AttributeError, ValueError,
        # NotImplementedError, RuntimeError, OSError, TypeError, RecursionError and more on malformed input.
        return Unread(reason_of(error), is_passing(error))
    return Known(kind, headers, warned)


def _read_headers(
    file: SourceFile, head: bytes, *, config: LoadingConfig
) -> tuple[tuple[ImageHeader, ...], int]:
    """Return the headers of a file that begins with `head`, and the number of warnings of the parser."""
    limit = int(config.max_file_mib * _MIB)
    if file.size > limit:
        raise HeaderError(f"it is larger than {config.max_file_mib:g} MiB (loading.max_file_mib)")
    header = walk_header(head)
    if header is None and _SHORT_HEADER <= len(head) < file.size:
        header = walk_header(file.head(_LONG_HEADER))
    if header is not None:
        return (header,), 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if isinstance(file, DiskFile) and DEFLATED.encode() not in head:
            with file.path.open("rb") as stream:
                return read_headers(stream), len(caught)
        stored = file.read()
        plain = plain_bytes(stored, limit=limit)
        headers = read_headers(plain)
        return (headers if plain is stored else tuple(_inflated(h) for h in headers)), len(caught)


def _inflated(header: ImageHeader) -> ImageHeader:
    """Mark the pixels of a deflated file: their offset counts in the inflated one."""
    if header.pixels is None:
        return header
    return replace(header, pixels=replace(header.pixels, inflated=True))


def is_passing(error: BaseException | None) -> bool:
    """Tell whether an error came from a disk or for want of memory, not from the bytes of a file.

    What is damaged within an archive is an `OSError`, too, but one of no system call.
    """
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)


def reason_of(error: Exception) -> str:
    """Return why a file could not be read, in words that quote nothing of its content."""
    if isinstance(error, HeaderError):
        return str(error)
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    return f"its header is malformed ({type(error).__name__})"
