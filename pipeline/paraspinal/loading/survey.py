"""All series of an input, told from headers alone, with what speaks for and against each."""

from __future__ import annotations

from dataclasses import dataclass

from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading.catalogue import Catalogue
from paraspinal.loading.codes import refuse
from paraspinal.loading.opening import Source
from paraspinal.loading.scan import Scan, scan_files
from paraspinal.loading.sources import SourceFile, shown
from paraspinal.loading.stacks import group_stacks
from paraspinal.loading.suitability import Candidate, candidates_of

_UNREADABLE_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Survey:
    """The series of a DICOM source, best first, and the scan of its files."""

    scan: Scan
    candidates: tuple[Candidate, ...]


def survey(source: Source, *, config: LoadingConfig, catalogue: Catalogue | None = None) -> Survey:
    """Read the headers of a DICOM source and sort its images into series; no pixel is read but of doubles.

    Raises
    ------
    LoadError
        If the source holds no DICOM image that can be read.
    """
    if source.only is not None:
        _check_readable(source.only, config)
    scan = scan_files(source.files, config=config, catalogue=catalogue)
    if not scan.entries:
        raise _nothing_found(source.label, scan)
    return Survey(scan, candidates_of(group_stacks(scan.entries, config=config), config=config))


def holding(candidates: tuple[Candidate, ...], file: SourceFile) -> tuple[Candidate, ...]:
    """Return the candidates that hold an image of `file`."""
    return tuple(c for c in candidates if any(_same(entry.file, file) for entry in c.stack.entries))


def unreadable_lines(scan: Scan) -> list[str]:
    """Return one line per file that could not be read, the first ones only."""
    return [f"file {name}: {reason}" for name, reason in scan.unreadable[:_UNREADABLE_SHOWN]]


def _same(one: SourceFile, other: SourceFile) -> bool:
    return one.name == other.name and one.folder == other.folder


def _check_readable(file: SourceFile, config: LoadingConfig) -> None:
    """Refuse a file that was named and cannot be read; its neighbours are no answer."""
    one = scan_files([file], config=config)
    if not one.entries:
        reason = one.unreadable[0][1] if one.unreadable else "it holds no image"
        label = shown(file.name)
        raise refuse("unreadable_file", f"{label} cannot be read: {reason}.", file=label)


def _nothing_found(label: str, scan: Scan) -> LoadError:
    """Return the refusal of an input without a single readable DICOM object."""
    if scan.unreadable:
        name, reason = scan.unreadable[0]
        return refuse(
            "unreadable_file",
            f"None of {len(scan.unreadable)} DICOM files of {label} can be read ({name}: {reason}).",
            files=[f"{n}: {r}" for n, r in scan.unreadable[:_UNREADABLE_SHOWN]],
        )
    hint = " It holds zip archives: give one of them by name." if "zip" in scan.other else ""
    return refuse(
        "not_an_image_series",
        f"{label} holds {len(scan.other)} files and none of them is a DICOM image.{hint}",
        files=len(scan.other),
    )
