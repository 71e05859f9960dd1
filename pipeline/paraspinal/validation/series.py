"""Real series under a folder."""

from __future__ import annotations

from pathlib import Path

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
            holds = path.is_dir() and any(
                p.is_file() and p.suffix.lower() in ("", ".dcm") for p in path.iterdir()
            )
            if holds or path.name.endswith(_SUFFIXES):
                found.append(path)
    if not found:
        raise UsageError(
            f"{folder} holds no CT series.",
            code="validation_no_series",
            remedy="Name a folder that holds series as folders, zips or NIfTI files.",
        )
    return tuple(found)
