"""Writes a spoilt series: one file an image or one multi-frame file, and files that are damaged on purpose."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
)

from paraspinal.dicomio.encode import SYNTAX_UIDS, save_dataset, set_pixel_data
from paraspinal.dicomio.enhanced_write import enhanced_dataset
from paraspinal.dicomio.write import decimal, place_dataset, series_dataset
from paraspinal.errors import UsageError
from paraspinal.phantom.defect_images import Image, Series
from paraspinal.phantom.defect_kinds import Defect
from paraspinal.phantom.defect_storing import StoredForm, describe_form
from paraspinal.volume import Acquisition

# A valid UID (2.25 + a UUID) that no registry holds.
UNKNOWN_SYNTAX = UID("2.25.183271092843512900129834750192834751")
_MODALITY_CLASS = {
    "MR": MRImageStorage,
    "PT": PositronEmissionTomographyImageStorage,
    "CR": ComputedRadiographyImageStorage,
    "SC": SecondaryCaptureImageStorage,
}
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID")
_MALFORMED = "malformed.dcm"


@dataclass(frozen=True, slots=True)
class Writing:
    """How the files of a series are written, besides their images."""

    acquisition: Acquisition
    form: StoredForm
    patient_name: str
    series_description: str
    defects: Mapping[str, Defect]


def write_images(series: Series, folder: Path, how: Writing) -> tuple[Path, ...]:
    """Write all files of a series and return them in the order of their names."""
    for image in series.images:
        how.form.check(image.values)
    folder.mkdir(parents=True, exist_ok=True)
    syntax = UNKNOWN_SYNTAX if how.form.unknown_syntax else SYNTAX_UIDS[how.form.syntax]
    paths = []
    for number, members in enumerate(_files(series, how), start=1):
        datasets = [_dataset(series, series.images[k], k, how) for k in members]
        ds = datasets[0]
        # A localizer in the folder stays what it is.
        if _multi_frame(how) and "LOCALIZER" not in ds.ImageType:
            ds = enhanced_dataset(
                datasets,
                uid=UID(series.uid(f"multi-frame {number}")),
                legacy="legacy-enhanced" in how.defects,
            )
        stored = [how.form.stored(series.images[k].values) for k in members]
        set_pixel_data(ds, stored, how.form.syntax)
        paths.append(folder / f"{number:04d}.dcm")
        save_dataset(ds, paths[-1], syntax)
    _cut_off(paths, how.defects.get("truncated-pixels"))
    if "malformed" in how.defects:
        paths.append(folder / _MALFORMED)
        paths[-1].write_bytes(malformed(paths[0].read_bytes()))
    return tuple(paths)


def malformed(good: bytes) -> bytes:
    """Return the first half of a file's header, ended by an element that claims to be longer than any file."""
    header = io.BytesIO(good)
    pydicom.dcmread(header, stop_before_pixels=True, force=True)
    return good[: header.tell() // 2] + b"\x28\x00\x10\x00UN\x00\x00\xf0\xff\xff\x7f"


def _multi_frame(how: Writing) -> bool:
    return not {"enhanced", "legacy-enhanced"}.isdisjoint(how.defects)


def _files(series: Series, how: Writing) -> list[list[int]]:
    """Return the images of every file: one each, or all of one series in one."""
    if not _multi_frame(how):
        return [[k] for k in range(len(series.images))]
    groups: dict[Any, list[int]] = {}
    for k, image in enumerate(series.images):
        groups.setdefault((image.tags.get("SeriesInstanceUID"), image.values.shape), []).append(k)
    return list(groups.values())


def _dataset(series: Series, image: Image, index: int, how: Writing) -> Dataset:
    ds = series_dataset(
        how.acquisition,
        thickness_mm=image.plane.thickness_mm,
        uid_seed=series.uid_seed,
        patient_name=how.patient_name,
        series_description=how.series_description,
    )
    plane = image.plane
    place_dataset(ds, row=plane.row_lps, column=plane.column_lps, spacing_mm=plane.spacing_mm)
    ds.ImagePositionPatient = [decimal(c) for c in plane.corner_lps_mm]
    ds.Rows, ds.Columns = plane.shape
    ds.SOPInstanceUID = series.uid(image.name)
    ds.InstanceNumber = image.number or index + 1
    for keyword, value in {**series.tags, **image.tags}.items():
        setattr(ds, keyword, value)
    describe_form(ds, how.form)
    if "monochrome1" in how.defects:
        ds.PhotometricInterpretation = "MONOCHROME1"
    if "modality" in how.defects:
        ds.Modality = {"SC": "OT"}.get(how.defects["modality"].word(), how.defects["modality"].word())
        ds.SOPClassUID = _MODALITY_CLASS[how.defects["modality"].word()]
    if "empty-uids" in how.defects:
        for keyword in _UIDS:
            setattr(ds, keyword, "")
    return ds


def _cut_off(paths: list[Path], defect: Defect | None) -> None:
    """Cut the middle files off in the middle of their pixel data."""
    if defect is None:
        return
    count = defect.count()
    if count > len(paths):
        raise UsageError(
            f"There are no {count} files to cut off.",
            code="defect_needs_slices",
            remedy=f"The series has {len(paths)}.",
        )
    first = (len(paths) - count) // 2
    for path in paths[first : first + count]:
        blob = path.read_bytes()
        header = io.BytesIO(blob)
        pydicom.dcmread(header, stop_before_pixels=True, force=True)
        path.write_bytes(blob[: (header.tell() + len(blob)) // 2])
