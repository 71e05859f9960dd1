"""Writes a phantom: ``dicom/*.dcm``, ``truth.json``, ``labels.nii.gz`` with ``labels.json``, ``masses.nii.gz``."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from paraspinal.dicomio.nifti import write_nifti
from paraspinal.dicomio.write import Syntax, write_ct_series
from paraspinal.errors import OutputError
from paraspinal.phantom.build import Phantom
from paraspinal.phantom.defects import (
    Defect,
    apply_defects,
    describe_series,
    save_series,
)

_NAMES = ("dicom", "labels.json", "labels.nii.gz", "masses.nii.gz", "truth.json")


def check_phantom_folder(folder: Path, *, force: bool = False) -> None:
    """Refuse a destination that is a file, or that holds a phantom already while `force` is False.

    Raises
    ------
    OutputError
        Before anything is computed or written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            f"{folder} is a file, not a folder.",
            code="output_is_a_file",
            remedy="Name a folder that may be made or written.",
        )
    if not force and any((folder / name).exists() for name in _NAMES):
        raise OutputError(
            f"{folder} holds a phantom already.",
            code="phantom_exists",
            remedy="Name another folder, or replace it with --force (in Python: force=True).",
        )


def write_phantom(
    phantom: Phantom,
    folder: Path | str,
    *,
    syntax: Syntax = "jpeg-ls",
    force: bool = False,
    defects: Sequence[Defect | str] = (),
) -> Path:
    """Write a phantom into `folder` and return it; ``truth.json`` is moved into place last.

    With `defects` the series is spoilt and uncompressed (``syntax`` is a defect then, too); label maps and masses
    stay those of the phantom itself, and ``truth.json`` says which defects there are and where every image truly
    lies.

    Raises
    ------
    OutputError
        As `check_phantom_folder`, or if the folder cannot be written; it is then as it was.
    """
    out = Path(folder)
    check_phantom_folder(out, force=force)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
            staged = Path(temporary)
            _write_parts(phantom, staged, syntax, defects)
            out.mkdir(exist_ok=True)
            for name in _NAMES:
                replace_path(staged / name, out / name)
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written: {error.strerror or error}.",
            code="output_not_writable",
            remedy="Name a folder on a disk with room that you may write to.",
        ) from error
    return out


def _write_parts(phantom: Phantom, folder: Path, syntax: Syntax, defects: Sequence[Defect | str]) -> None:
    spec = json.dumps(phantom.truth["spec"], sort_keys=True)
    name = str(phantom.truth["spec"]["name"])
    uid_seed = hashlib.sha256(spec.encode()).hexdigest()
    patient, description = f"PHANTOM^{name.upper()}", f"Phantom {name}"
    truth = phantom.truth
    if defects:
        spoilt = apply_defects(phantom.volume, defects, uid_seed=" ".join([uid_seed, *map(str, defects)]))
        save_series(spoilt, folder / "dicom", patient_name=patient, series_description=description)
        truth = {**truth, "spoilt_series": describe_series(spoilt)}
    else:
        write_ct_series(
            phantom.volume,
            folder / "dicom",
            uid_seed=uid_seed,
            transfer_syntax=syntax,
            patient_name=patient,
            series_description=description,
        )
    write_nifti(folder / "labels.nii.gz", phantom.labels.data, phantom.labels.geometry)
    write_nifti(folder / "masses.nii.gz", phantom.masses.data, phantom.masses.geometry)
    names = {str(number): text for number, text in phantom.labels.names.items()}
    (folder / "labels.json").write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def replace_path(source: Path, target: Path) -> None:
    """Move a file or folder to where another one may lie."""
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)
