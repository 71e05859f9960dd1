"""Real DICOM series with the defects that archives send, so that anybody can test a reader.

A defect is text, ``name[:value[:value]]``, such as ``tilt:15`` or ``missing:3``. Several of them combine; what
contradicts itself is refused. Defects of place change which planes are imaged: a tilted slice is really imaged in the
tilted plane, a thick one really averages over its thickness.

>>> parse_defect("missing:3")
Defect(name='missing', values=(3.0, -1.0))
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paraspinal.errors import UsageError
from paraspinal.phantom.defect_files import Writing, write_images
from paraspinal.phantom.defect_images import AIR_HU, IMAGE_STEPS, Image, Series
from paraspinal.phantom.defect_kinds import KINDS, Defect
from paraspinal.phantom.defect_planes import PLANE_STEPS, Planes, Scene
from paraspinal.phantom.defect_storing import StoredForm, stored_form
from paraspinal.phantom.defect_text import check_together, defect_names, parse_defect, usage_of
from paraspinal.phantom.defect_values import VALUE_STEPS
from paraspinal.phantom.plane import Imager, Plane, VolumeImager, planes_of
from paraspinal.phantom.sphere import SpherePhantom, sphere_phantom, sphere_volume
from paraspinal.volume import Acquisition, CTVolume

__all__ = [
    "KINDS",
    "Defect",
    "SpherePhantom",
    "SpoiltSeries",
    "apply_defects",
    "defect_names",
    "describe_series",
    "parse_defect",
    "save_series",
    "sphere_phantom",
    "sphere_volume",
    "usage_of",
    "write_defective_series",
]


@dataclass(frozen=True, slots=True)
class SpoiltSeries:
    """A series with defects, ready to be written: its images, and how their values are stored."""

    series: Series
    form: StoredForm
    defects: tuple[Defect, ...]
    acquisition: Acquisition


def apply_defects(
    volume: CTVolume, defects: Sequence[Defect | str], *, uid_seed: str, imager: Imager | None = None
) -> SpoiltSeries:
    """Image a volume as a series with defects, without writing it.

    Parameters
    ----------
    volume : CTVolume
        Its grid says where the slices of the series without defects lie.
    defects : sequence of Defect or str
        In any order; they act in the order of place, images, storage.
    uid_seed : str
        All UIDs and all that is drawn at random derive from it.
    imager : callable, optional
        Images a plane; by default the volume itself is resampled. A `SpherePhantom` is exact in every plane.

    Returns
    -------
    SpoiltSeries
        Its images stand in the order of their files, most cranial first unless a defect says otherwise.

    Raises
    ------
    UsageError
        If defects contradict each other or do not fit the volume.
    """
    chosen = _parsed(defects)
    scene = Scene(volume.geometry, int.from_bytes(hashlib.sha256(uid_seed.encode()).digest()[:4]))
    seen: Imager = VolumeImager(volume) if imager is None else imager
    planes: Planes = planes_of(volume)
    # The most cranial gap first, so that the numbers of the others stay what they were.
    ordered = sorted(chosen, key=lambda d: -d.number(1) if d.name == "missing" else 0.0)
    for name, place in PLANE_STEPS.items():
        for defect in (d for d in ordered if d.name == name):
            planes = place(planes, defect, scene)
    images = tuple(
        Image(f"slice {len(planes) - k}", plane, np.rint(seen(plane)).astype(np.float32))
        for k, plane in enumerate(planes)
    )
    series = Series(images[::-1], uid_seed, scene, seen)
    for name, step in (*IMAGE_STEPS.items(), *VALUE_STEPS.items()):
        for defect in (d for d in chosen if d.name == name):
            series = step(series, defect)
    lowest = min((float(image.values.min()) for image in series.images), default=AIR_HU)
    return SpoiltSeries(series, stored_form(chosen, lowest=lowest), chosen, volume.acquisition)


def write_defective_series(
    volume: CTVolume,
    folder: Path,
    defects: Sequence[Defect | str],
    *,
    uid_seed: str,
    imager: Imager | None = None,
) -> tuple[Path, ...]:
    """Write ``folder/0001.dcm`` …: a series with defects; parameters and errors as `apply_defects`.

    Returns
    -------
    tuple of Path
        The files in the order of their names; a multi-frame object is one, a malformed file comes last.
    """
    return save_series(apply_defects(volume, defects, uid_seed=uid_seed, imager=imager), folder)


def save_series(
    spoilt: SpoiltSeries,
    folder: Path,
    *,
    patient_name: str = "PHANTOM^SYNTHETIC",
    series_description: str = "Synthetic CT",
) -> tuple[Path, ...]:
    """Write a spoilt series and return its files in the order of their names."""
    how = Writing(
        spoilt.acquisition,
        spoilt.form,
        patient_name,
        series_description,
        {defect.name: defect for defect in spoilt.defects},
    )
    return write_images(spoilt.series, folder, how)


def describe_series(spoilt: SpoiltSeries) -> dict[str, Any]:
    """Return, as plain JSON, which defects a series has and where every image truly lies."""
    return {
        "defects": [{"defect": str(d), "meaning": KINDS[d.name].summary} for d in spoilt.defects],
        "images": [
            {"name": image.name, "number": image.number or k + 1, **_plane_json(image.plane)}
            for k, image in enumerate(spoilt.series.images)
        ],
    }


def _plane_json(plane: Plane) -> dict[str, Any]:
    return {
        "position_lps_mm": [round(c, 6) for c in plane.corner_lps_mm],
        "row_lps": [round(c, 9) for c in plane.row_lps],
        "column_lps": [round(c, 9) for c in plane.column_lps],
        "spacing_mm": list(plane.spacing_mm),
        "rows_columns": list(plane.shape),
        "thickness_mm": plane.thickness_mm,
    }


def _parsed(defects: Sequence[Defect | str]) -> tuple[Defect, ...]:
    if isinstance(defects, str):
        raise UsageError(
            "The defects are one text, not a list.",
            code="defect_invalid",
            remedy="Give a list, such as ['tilt:15'].",
        )
    chosen = tuple(parse_defect(d) if isinstance(d, str) else d for d in defects)
    check_together(chosen)
    return chosen
