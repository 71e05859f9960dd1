"""Writes one volume as a NIfTI file: all of it under its name, or nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from paraspinal.dicomio.nifti import read_nifti, write_nifti
from paraspinal.dicomio.rawgrid import GridError
from paraspinal.errors import OutputError
from paraspinal.volume import CTVolume

# NIfTI-1 keeps places in single precision.
_PLACE_MM = 0.01
_ELSEWHERE = "Name a file in a folder that exists and may be written."


def check_file(path: Path, *, force: bool) -> None:
    """Refuse a file that cannot be written, or is there already, before any work is done.

    Raises
    ------
    OutputError
        If `path` is a folder, lies in none or in one that may not be written, or exists and `force` is False.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder.", code="output_is_a_folder", remedy="Name a file in it.")
    if path.exists() and not force:
        raise OutputError(
            f"{path} is there already.",
            code="output_exists",
            remedy="Name another file, or replace it with --force.",
        )
    with _beside(path):
        pass  # making and removing a file is the only sure test


def save_volume(volume: CTVolume, path: Path, *, force: bool) -> None:
    """Write HU (int16, canonical order) and read them back before the file gets its name.

    What was written is compared because NIfTI writers do not tell of every short write.

    Raises
    ------
    OutputError
        As `check_file`, or if the disk fails on the way; nothing is then left behind, and an older file stays.
    """
    check_file(path, force=force)
    with _beside(path) as temporary:
        try:
            write_nifti(temporary, volume.hu, volume.geometry)
            hu, geometry = read_nifti(temporary)
        except (RuntimeError, GridError) as error:  # ITK raises RuntimeError
            raise _failed(path, "the disk did not take it") from error
        placed = geometry.same_grid(volume.geometry, tolerance_mm=_PLACE_MM)
        if not placed or not np.array_equal(hu, volume.hu):
            raise _failed(path, "what was read back is not what was written")
        _sync(temporary)
        os.replace(temporary, path)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file on the disk of `path`, with its endings; it is gone afterwards."""
    ending = ".nii.gz" if path.name.endswith(".gz") else ".nii"
    try:
        with tempfile.TemporaryDirectory(prefix=".paraspinal.", dir=path.absolute().parent) as folder:
            temporary = Path(folder, f"volume{ending}")
            yield temporary
    except OSError as error:
        raise _failed(path, error.strerror or "the disk did not take it") from error


def _failed(path: Path, why: str) -> OutputError:
    return OutputError(f"{path} cannot be written: {why}.", code="output_not_writable", remedy=_ELSEWHERE)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
