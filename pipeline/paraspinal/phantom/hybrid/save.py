"""Writes a hybrid: ``dicom/*.dcm``, ``truth.json``, ``masses.nii.gz``."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from paraspinal.dicomio.nifti import write_nifti
from paraspinal.dicomio.write import write_ct_series
from paraspinal.errors import OutputError
from paraspinal.phantom.hybrid.insert import Hybrid
from paraspinal.phantom.save import check_phantom_folder, replace_path

_NAMES = ("dicom", "masses.nii.gz", "truth.json")


def write_hybrid(hybrid: Hybrid, folder: Path | str, *, force: bool = False) -> Path:
    """Write a hybrid into `folder` and return it; ``truth.json`` is moved into place last.

    The new series has UIDs of its own and says nothing of the patient; pixels are those of the real scan, so the
    files are as private as the scan itself.

    Raises
    ------
    OutputError
        As `check_phantom_folder`, or if the folder cannot be written; it is then as it was.
    """
    out = Path(folder)
    check_phantom_folder(out, force=force)
    acquisition = replace(
        hybrid.volume.acquisition,
        series_description=None,
        patient_age_years=None,
        patient_sex=None,
        patient_height_m=None,
        patient_weight_kg=None,
    )
    volume = replace(hybrid.volume, acquisition=acquisition)
    text = json.dumps(hybrid.truth, indent=1) + "\n"
    digest = hashlib.sha256(text.encode() + volume.hu.tobytes()).hexdigest()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
            staged = Path(temporary)
            write_ct_series(
                volume,
                staged / "dicom",
                uid_seed=digest,
                patient_name="HYBRID^SYNTHETIC",
                series_description="Hybrid phantom",
            )
            write_nifti(staged / "masses.nii.gz", hybrid.masses.data, hybrid.masses.geometry)
            (staged / "truth.json").write_text(text, encoding="utf-8")
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
