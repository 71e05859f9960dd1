"""Reads what another segmenter left: a label map, a folder of masks, DICOM SEG or RTSTRUCT, or a result of ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.given.names import TOTAL_NAMES, name_of_codes, name_of_label
from paraspinal.anatomy.given.tables import Names, names_beside, names_inside, read_names
from paraspinal.anatomy.given.types import (
    StructureMask,
    StructureSet,
    boxes_of_labels,
    in_box,
    merged,
    structure,
    structures_of_labels,
)
from paraspinal.dicomio.nifti import read_nifti_values
from paraspinal.dicomio.rawgrid import GridError
from paraspinal.dicomio.rtstruct import RtStructError, StructureSetFile, read_rtstruct
from paraspinal.dicomio.seg import SegError, Segmentation, read_seg
from paraspinal.dicomio.sniff import HEAD_BYTES, file_kind
from paraspinal.errors import UsageError
from paraspinal.volume import Geometry

RESULT_LABELS = "labels.nii.gz"
FORMS = (
    "a label map (NIfTI, TotalSegmentator's numbers or with a names file), a folder of masks named as"
    " TotalSegmentator names them, a DICOM SEG or RTSTRUCT, or a result folder"
)
_MAX_FILES = 1000
_BACKGROUND = frozenset({"background", "unlabeled", "unlabelled", "clear label", "exterior"})
_HALF = 0.5


def read_structures(path: Path, *, names: Path | None = None) -> StructureSet:
    """Read the structures of any of the forms above; each keeps the grid of its source.

    Parameters
    ----------
    path : Path
        A file or a folder.
    names : Path, optional
        What the numbers of a label map mean (see `mask_tables.read_names`). Without it the table in the file's
        header counts, then a names file of the same stem beside it, then TotalSegmentator's `total` numbers.

    Raises
    ------
    UsageError
        ``masks_unreadable`` if a file is damaged, ``masks_format`` if nothing there is one of these forms,
        ``masks_names`` if the names file gives none, ``masks_unknown`` if no structure of it is known.
    """
    found = _folder(path, names) if path.is_dir() else _file(path, names)
    if not found.structures:
        labels = ", ".join(found.unknown[:8]) or "none at all"
        raise UsageError(
            f"{path.name} holds no structure that is known here (found: {labels}; empty: {len(found.empty)}).",
            code="masks_unknown",
            remedy="Name them as TotalSegmentator does (liver, vertebrae_T12, rib_left_7), or give a names file.",
        )
    return found


def _file(path: Path, names: Path | None) -> StructureSet:
    with path.open("rb") as stream:
        kind = file_kind(stream.read(HEAD_BYTES))
    if kind == "nifti":
        return _label_map(path, names)
    if kind == "dicom":
        found = _dicom(path)
        if found is not None:
            return found
    raise _not_a_form(path)


def _folder(path: Path, names: Path | None) -> StructureSet:
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))[:_MAX_FILES]
    images = [p for p in files if p.name.endswith((".nii", ".nii.gz"))]
    if (path / "result.json").is_file() and (path / RESULT_LABELS).is_file():
        return _result(path)
    if len(images) == 1 and name_of_label(_stem(images[0])) is None:
        return _label_map(images[0], names)
    if images:
        return _mask_files(images)
    parts = [s for s in (_dicom(p) for p in files if _is_dicom(p)) if s is not None]
    if not parts:
        raise _not_a_form(path)
    return _joined(parts)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        return file_kind(stream.read(HEAD_BYTES)) == "dicom"


def _not_a_form(path: Path) -> UsageError:
    return UsageError(
        f"{path.name} holds no segmentation that can be read.", code="masks_format", remedy=f"Give {FORMS}."
    )


def _unreadable(path: Path, why: object, code: str = "masks_unreadable") -> UsageError:
    return UsageError(
        f"{path.name} cannot be taken: {why}.",
        code=code,
        remedy="Write it again with the program that made it.",
    )


def read_values(path: Path) -> tuple[npt.NDArray[np.generic], Geometry]:
    """Return the voxels [z, y, x] of a NIfTI file and its grid.

    Raises
    ------
    UsageError
        ``masks_unreadable``.
    """
    try:
        return read_nifti_values(path)
    except (GridError, OSError) as error:
        raise _unreadable(path, error) from error


def _label_map(path: Path, names: Path | None) -> StructureSet:
    values, grid = read_values(path)
    data = whole_numbers(values, path)
    given: Names | None = read_names(names) if names else names_inside(path) or names_beside(path)
    return labelled(data, grid, given, kind="nifti")


def whole_numbers(values: npt.NDArray[np.generic], path: Path) -> npt.NDArray[np.uint16]:
    """Return label values as uint16.

    Raises
    ------
    UsageError
        ``masks_unreadable`` if they are no whole numbers from 0 to 65535: then this is a picture, no label map.
    """
    real = np.asarray(values)
    fits = real.dtype.kind in "ui" or bool(np.isfinite(real).all() and (real == np.rint(real)).all())
    if not fits or real.min() < 0 or real.max() > np.iinfo(np.uint16).max:
        raise _unreadable(path, "its voxels are no label numbers (whole, 0 to 65535)")
    return real.astype(np.uint16)


def labelled(data: npt.NDArray[np.uint16], grid: Geometry, given: Names | None, *, kind: str) -> StructureSet:
    """Return the structures of a label array with the names that were given; TotalSegmentator's numbers without."""
    written = TOTAL_NAMES if given is None else given
    known, unknown = {}, []
    for number in boxes_of_labels(data):
        label = written.get(number, f"number {number}")
        name = name_of_label(label) if number in written else None
        if name is not None:
            known[number] = name
        elif label.lower() not in _BACKGROUND:
            unknown.append(label)
    listed = {name for label in written.values() if (name := name_of_label(label))}
    structures, notes = _unique(structures_of_labels(data, grid, known))
    return StructureSet(
        structures,
        kind,
        empty=tuple(sorted(listed - set(structures))) if given is not None else (),
        unknown=tuple(unknown),
        notes=notes,
        numbers_assumed=given is None,
    )


def _unique(found: Iterable[StructureMask]) -> tuple[dict[str, StructureMask], tuple[str, ...]]:
    """Unite masks of one name; those of another grid than the first of that name are left out, on record."""
    out: dict[str, StructureMask] = {}
    notes = []
    for item in found:
        first = out.get(item.name)
        if first is None:
            out[item.name] = item
        elif first.grid.same_grid(item.grid):
            out[item.name] = merged(item.name, [first, item])
            notes.append(f"Several labels mean {item.name}; they were united.")
        else:
            notes.append(f"A second mask of {item.name} lies on another grid and was left out.")
    return out, tuple(dict.fromkeys(notes))


def _mask_files(paths: list[Path]) -> StructureSet:
    found, empty, unknown = [], [], []
    for path in paths:
        name = name_of_label(_stem(path))
        if name is None:
            unknown.append(_stem(path))
            continue
        values, grid = read_values(path)
        one = structure(name, np.asarray(np.asarray(values) >= _HALF), grid)
        if one is None:
            empty.append(name)
        else:
            found.append(one)
    structures, notes = _unique(found)
    return StructureSet(structures, "folder", empty=tuple(empty), unknown=tuple(unknown), notes=notes)


def _result(folder: Path) -> StructureSet:
    """Read the label map of a result folder; its numbers are named by its ``labels.json``."""
    table = folder / "labels.json"
    values, grid = read_values(folder / RESULT_LABELS)
    data = whole_numbers(values, folder / RESULT_LABELS)
    return labelled(data, grid, read_names(table), kind="result")


def _dicom(path: Path) -> StructureSet | None:
    """Return the structures of a DICOM object; None if it is neither SEG nor RTSTRUCT."""
    read = _dicom_object(path)
    if read is None:
        return None
    return of_segmentation(read) if isinstance(read, Segmentation) else of_structure_set(read)


def _dicom_object(path: Path) -> Segmentation | StructureSetFile | None:
    """Read a DICOM SEG or RTSTRUCT; None if it is neither."""
    try:
        return read_seg(path)
    except SegError as error:
        if error.code != "seg_other_object":
            raise _unreadable(path, error, error.code) from error
    try:
        return read_rtstruct(path)
    except RtStructError as error:
        if error.code != "rtstruct_other_object":
            raise _unreadable(path, error, error.code) from error
    return None


def dicom_regions(path: Path) -> list[tuple[str, StructureMask]]:
    """Return every segment of a DICOM SEG or region of an RTSTRUCT that holds voxels, under its own name.

    Raises
    ------
    UsageError
        ``masks_unreadable`` if the object is damaged, ``masks_format`` if it is neither.
    """
    read = _dicom_object(path)
    if read is None:
        raise _not_a_form(path)
    if isinstance(read, Segmentation):
        return [
            (f"{s.number} ({s.label})", in_box(s.label, s.region, read.grid))
            for s in read.segments
            if s.region
        ]
    return [
        (item.name, in_box(item.name, item.region, item.grid))
        for item in read.structures
        if item.region and item.grid
    ]


def of_segmentation(read: Segmentation) -> StructureSet:
    """Name the segments of a DICOM SEG: by their codes, else by their labels."""
    found, empty, unknown = [], [], []
    for segment in read.segments:
        name = name_of_codes(segment.codes) or name_of_label(segment.label)
        if name is None:
            unknown.append(segment.label)
        elif segment.region is None:
            empty.append(name)
        else:
            found.append(in_box(name, segment.region, read.grid))
    structures, notes = _unique(found)
    return StructureSet(
        structures,
        "seg",
        bounded=False,
        frame_of_reference_uid=read.frame_of_reference_uid,
        series_uid=read.series_uid,
        empty=tuple(empty),
        unknown=tuple(unknown),
        notes=notes,
    )


def of_structure_set(read: StructureSetFile) -> StructureSet:
    """Name the regions of an RTSTRUCT: by their codes, else by their names."""
    found, empty, unknown = [], [], []
    for item in read.structures:
        name = name_of_codes(item.codes) or name_of_label(item.name)
        if name is None:
            unknown.append(item.name)
        elif item.region is None or item.grid is None:
            empty.append(name)
        else:
            found.append(in_box(name, item.region, item.grid))
    structures, notes = _unique(found)
    if read.left_out:
        notes = (*notes, f"{read.left_out} contours enclose nothing (points, open lines) and were left out.")
    return StructureSet(
        structures,
        "rtstruct",
        bounded=False,
        frame_of_reference_uid=read.frame_of_reference_uid,
        series_uid=read.series_uid,
        empty=tuple(empty),
        unknown=tuple(unknown),
        notes=notes,
    )


def _joined(parts: list[StructureSet]) -> StructureSet:
    """Unite several DICOM objects; they must not say different things about what they belong to."""
    if len(parts) == 1:
        return parts[0]
    structures, notes = _unique(_all(parts))
    return StructureSet(
        structures,
        parts[0].kind,
        bounded=False,
        frame_of_reference_uid=_only(p.frame_of_reference_uid for p in parts),
        series_uid=_only(p.series_uid for p in parts),
        empty=tuple(n for p in parts for n in p.empty),
        unknown=tuple(n for p in parts for n in p.unknown),
        notes=(*(n for p in parts for n in p.notes), *notes),
    )


def _all(parts: list[StructureSet]) -> Iterator[StructureMask]:
    for part in parts:
        yield from part.structures.values()


def _only(uids: Iterable[str | None]) -> str | None:
    found = {u for u in uids if u}
    return next(iter(found)) if len(found) == 1 else None
