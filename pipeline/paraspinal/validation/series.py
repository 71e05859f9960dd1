"""Real series under a folder."""

from __future__ import annotations

from pathlib import Path

from paraspinal.dicomio.sniff import HEAD_BYTES, file_kind
from paraspinal.errors import UsageError

_WHERE = ("ct", "nifti")
_SUFFIXES = (".zip", ".nii", ".nii.gz", ".nrrd", ".mha")


def find_series(folder: Path) -> tuple[Path, ...]:
    """Return what may be CT series in the folders ``ct`` and ``nifti`` of a folder, or, without those, in itself.

    Raises
    ------
    UsageError
        ``validation_no_series`` where nothing is found.
    """
    found = []
    places = [folder / name for name in _WHERE if (folder / name).is_dir()]
    for place in places or [folder]:
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.name.startswith("."):
                continue
            if path.name.endswith(_SUFFIXES) or (path.is_dir() and _holds_dicom(path)):
                found.append(path)
    if not found:
        raise UsageError(
            f"{folder} holds no CT series.",
            code="validation_no_series",
            remedy="Name a folder that holds series as folders, zips or NIfTI files.",
        )
    return tuple(found)


def _holds_dicom(folder: Path) -> bool:
    """Tell whether a folder holds DICOM files, by their first bytes: names say nothing."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                if file_kind(file.read(HEAD_BYTES)) == "dicom":
                    return True
    return False
