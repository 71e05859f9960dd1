"""`load_series`: from a path to one CT volume, or to a refusal that says why."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.headers import plain_bytes, short_digest
from paraspinal.dicomio.sniff import HEAD_BYTES, file_kind
from paraspinal.errors import LoadError
from paraspinal.loading.choose import Choice, choose_series
from paraspinal.loading.codes import note, refuse
from paraspinal.loading.decode import decode_stack
from paraspinal.loading.nifti_input import load_nifti
from paraspinal.loading.report import acquisition_of, check_values, series_notes
from paraspinal.loading.scan import Entry, Scan, scan_files
from paraspinal.loading.sources import DiskFile, SourceFile, folder_files, shown, zip_files
from paraspinal.loading.stacks import Stack, group_stacks
from paraspinal.loading.types import LoadedSeries
from paraspinal.result import LoadCode, Loading
from paraspinal.volume import CTVolume, SliceRef

Progress = Callable[[str], None]

_UNREADABLE_SHOWN = 20


def load_series(
    path: Path | str,
    *,
    series: str | None = None,
    config: LoadingConfig = LoadingConfig(),  # noqa: B008  (frozen)
    progress: Progress | None = None,
) -> LoadedSeries:
    """Load one CT series.

    Parameters
    ----------
    path : Path or str
        A folder (searched through), one DICOM file (the rest of its series is found beside it), a zip, or a NIfTI
        file. What a file is, is told from its content.
    series : str, optional
        Series Instance UID, series number, or first digits of the UID's digest; without it the best axial chest
        or abdomen CT is taken, and ``loading.chosen_because`` says why.
    config : LoadingConfig
        Limits.
    progress : callable, optional
        Called with a sentence when a step begins.

    Returns
    -------
    LoadedSeries
        The volume in Hounsfield units, canonical order, with the verdict.

    Raises
    ------
    LoadError
        If the input is refused; ``code`` is one of docs/loading.md.
    UsageError
        If `series` names no series of the input, or several.
    """
    tell = progress if progress is not None else _silent
    source = Path(path)
    if source.is_dir():
        return _load_files(folder_files(source, config=config), source, series, config, tell)
    if not source.is_file():
        raise refuse("not_found", f"There is no file or folder {shown(source.name)}.")
    kind = _kind_of(source)
    if kind == "nifti":
        tell("reading NIfTI")
        return load_nifti(source, config=config)
    if kind == "zip":
        return _load_files(zip_files(source, config=config), source, series, config, tell)
    if kind == "dicom":
        return _load_beside(source, series, config, tell)
    raise refuse("unsupported_format", f"{shown(source.name)} is neither DICOM, nor a zip, nor NIfTI.")


def _silent(step: str) -> None:
    """Tell nobody."""


def _kind_of(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return file_kind(stream.read(HEAD_BYTES))
    except OSError as error:
        raise refuse("unreadable_file", f"{shown(path.name)} cannot be read ({error.strerror}).") from error


def _load_files(
    files: Sequence[SourceFile], source: Path, series: str | None, config: LoadingConfig, tell: Progress
) -> LoadedSeries:
    label = shown(source.name)
    if not files:
        raise refuse("empty_input", f"{label} holds no files.")
    tell(f"reading {len(files)} headers")
    scan = scan_files(files, config=config)
    if not scan.entries:
        raise _nothing_found(label, scan)
    stacks = group_stacks(scan.entries, config=config)
    return _load_choice(
        choose_series(stacks, wanted=series, uid_of=partial(series_uid, config=config), config=config),
        scan,
        config,
        tell,
    )


def _load_beside(path: Path, series: str | None, config: LoadingConfig, tell: Progress) -> LoadedSeries:
    """Load the series of one file from the files beside it."""
    one = scan_files([DiskFile(path, path.stat().st_size)], config=config)
    if not one.entries:
        reason = one.unreadable[0][1] if one.unreadable else "it is a DICOMDIR; give its folder"
        label = shown(path.name)
        raise refuse("unreadable_file", f"{label} cannot be read: {reason}.", file=label)
    files = folder_files(path.parent, config=config, recursive=False)
    tell(f"reading {len(files)} headers")
    scan = scan_files(files, config=config)
    stacks = group_stacks(scan.entries, config=config)
    if series is None:
        stacks = tuple(stack for stack in stacks if any(_is_file(entry, path) for entry in stack.entries))
    return _load_choice(
        choose_series(stacks, wanted=series, uid_of=partial(series_uid, config=config), config=config),
        scan,
        config,
        tell,
    )


def _is_file(entry: Entry, path: Path) -> bool:
    return isinstance(entry.file, DiskFile) and entry.file.path.name == path.name


def _nothing_found(label: str, scan: Scan) -> LoadError:
    """Return the refusal of an input without a single readable DICOM object."""
    if scan.unreadable:
        name, reason = scan.unreadable[0]
        return refuse(
            "unreadable_file",
            f"None of {len(scan.unreadable)} DICOM files of {label} can be read ({name}: {reason}).",
            files=[f"{n}: {r}" for n, r in scan.unreadable[:_UNREADABLE_SHOWN]],
        )
    hint = ""
    for kind, words in (("zip", "zip archives"), ("nifti", "NIfTI files")):
        if kind in scan.other:
            hint = f" It holds {words}: give one of them by name."
    return refuse(
        "not_an_image_series",
        f"{label} holds {len(scan.other)} files and none of them is a DICOM image.{hint}",
        files=len(scan.other),
    )


def _load_choice(choice: Choice, scan: Scan, config: LoadingConfig, tell: Progress) -> LoadedSeries:
    candidate = choice.candidate
    layout, canonical = candidate.layout, candidate.canonical
    if layout is None or canonical is None:
        raise AssertionError("a candidate without defect has a layout")
    tell(f"decoding {len(layout.entries)} slices")
    decoded = decode_stack(layout.entries, canonical, config=config)
    check_values(layout.entries, decoded)
    uid = series_uid(candidate.stack, config=config)
    unreadable = [f"file {name}: {reason}" for name, reason in scan.unreadable[:_UNREADABLE_SHOWN]]
    return LoadedSeries(
        volume=CTVolume(
            hu=decoded.hu,
            geometry=canonical.geometry,
            acquisition=acquisition_of(layout.entries),
            slices=_slice_refs(
                layout.entries, axial=canonical.axes.order[0] == 0, flipped=canonical.axes.flipped[0]
            ),
            padding=decoded.padding,
            source_axes=canonical.axes,
        ),
        loading=Loading(
            verdict="ok",
            codes=(*scan.notes(), *_sibling_notes(choice), *series_notes(candidate, decoded)),
            chosen_because=choice.because,
            left_out=(*choice.left_out, *unreadable),
        ),
        uid=uid,
        uid_digest=short_digest(uid, 16),
        input_digest=decoded.input_digest,
        source="dicom",
    )


def _sibling_notes(choice: Choice) -> list[LoadCode]:
    return [note("images_left_out", images=choice.siblings)] if choice.siblings else []


def _slice_refs(entries: Sequence[Entry], *, axial: bool, flipped: bool) -> tuple[SliceRef, ...]:
    """Name the object behind every canonical slice; none where canonical slices are not the file's images."""
    if not axial:
        return ()
    refs = [SliceRef(e.header.sop_instance_uid, e.header.instance_number, e.header.frame) for e in entries]
    return tuple(reversed(refs) if flipped else refs)


def series_uid(stack: Stack, *, config: LoadingConfig) -> str:
    """Return the Series Instance UID of a stack, or a key derived from geometry and coded pixels without one.

    The derived key does not depend on names, order or any text in the files.
    """
    if stack.uid:
        return stack.uid
    parts = []
    for entry in stack.entries:
        form, plane = entry.header.pixels, entry.header.plane
        limit = int(config.max_file_mib) << 20
        pixels = b"" if form is None else plain_bytes(entry.file.read(), limit=limit)[form.offset :]
        place = f"{plane.orientation}{plane.position}{plane.spacing}{entry.header.frame}"
        parts.append(hashlib.sha256(place.encode() + pixels).hexdigest())
    return "derived-" + hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()[:16]
