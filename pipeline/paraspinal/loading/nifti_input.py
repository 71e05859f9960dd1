"""A NIfTI file as a series: the same volume, with fewer facts about how it was made."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.headers import short_digest
from paraspinal.dicomio.nifti import NiftiError, read_nifti_header, read_nifti_values
from paraspinal.loading.canonical import canonical_grid
from paraspinal.loading.codes import note, refuse
from paraspinal.loading.hounsfield import AIR_FLOOR_HU
from paraspinal.loading.sources import shown
from paraspinal.loading.types import LoadedSeries
from paraspinal.result import LoadCode, Loading
from paraspinal.volume import BoolArray, CTVolume, HUArray

# A CT of a body holds fat or air; a label map or a shifted scan (0 … 4095) does not.
_LOW_DENSITY_HU = -30
_INT16 = np.iinfo(np.int16)


def load_nifti(path: Path, *, config: LoadingConfig) -> LoadedSeries:
    """Load a NIfTI file that holds one CT volume in Hounsfield units.

    Raises
    ------
    LoadError
        If it is not 3-D, too large, of unknown orientation, or not in Hounsfield units.
    """
    label = shown(path.name)
    try:
        header = read_nifti_header(path)
        if header.nbytes > config.max_volume_gib * 2**30:
            raise refuse(
                "too_large",
                f"{label} holds {header.nbytes / 2**30:.1f} GiB of voxels (loading.max_volume_gib).",
                bytes=header.nbytes,
            )
        values, source = read_nifti_values(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except NiftiError as error:
        raise refuse(error.code, f"{label} cannot be taken: {error}.", file=label) from error
    except OSError as error:
        raise refuse("unreadable_file", f"{label} cannot be read ({error.strerror}).", file=label) from error
    if min(source.shape) < config.min_slices:
        raise refuse("too_few_slices", f"{label} has {min(source.shape)} slices.", shape=source.shape)
    canonical = canonical_grid(source, max_oblique_deg=config.max_oblique_deg)
    hu, padding, notes = _hounsfield(values, label=label, config=config)
    order = canonical.axes.order
    flips = tuple(slice(None, None, -1) if f else slice(None) for f in canonical.axes.flipped)
    volume = CTVolume(
        hu=np.ascontiguousarray(hu.transpose(order)[flips]),
        geometry=canonical.geometry,
        padding=None if padding is None else np.ascontiguousarray(padding.transpose(order)[flips]),
        source_axes=canonical.axes,
    )
    if canonical.oblique_deg > 0.1:
        notes.append(note("oblique", angle_deg=round(canonical.oblique_deg, 3)))
    notes += [note("kvp_unknown"), note("thickness_unknown")]
    uid = f"derived-{_content_digest(volume)}"
    return LoadedSeries(
        volume=volume,
        loading=Loading(verdict="ok", codes=tuple(notes), chosen_because="the only volume of the file"),
        uid=uid,
        uid_digest=short_digest(uid, 16),
        input_digest=digest,
        source="nifti",
    )


def _hounsfield(
    values: npt.NDArray[Any], *, label: str, config: LoadingConfig
) -> tuple[HUArray, BoolArray | None, list[LoadCode]]:
    """Return int16 HU, the padding mask, and what there is to say about the conversion."""
    notes: list[LoadCode] = []
    padding: BoolArray = np.asarray(values <= config.padding_hu)
    if values.dtype.kind == "f":
        invalid = ~np.isfinite(np.asarray(values, dtype=np.float32))
        if invalid.any():
            notes.append(note("not_a_number", voxels=int(np.count_nonzero(invalid))))
            padding |= invalid
        values = np.where(padding, AIR_FLOOR_HU, values)
        rounded = np.rint(values)
        if not np.array_equal(rounded, values):
            notes.append(note("fractional_values"))
        values = rounded
    inside = values[~padding]
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (0.0, 0.0)
    if low > _LOW_DENSITY_HU:
        raise refuse(
            "not_hounsfield",
            f"No voxel of {label} reads as fat or air (lowest value {low:g}): it is no CT in Hounsfield units.",
            lowest=low,
            highest=high,
        )
    if low < _INT16.min or high > _INT16.max:
        outside = int(np.count_nonzero((inside < _INT16.min) | (inside > _INT16.max)))
        notes.append(note("clipped_to_int16", voxels=outside))
        values = np.clip(values, _INT16.min, _INT16.max)
    hu = values.astype(np.int16)
    if not padding.any():
        return hu, None, notes
    hu[padding] = AIR_FLOOR_HU
    notes.append(note("padding", voxels=int(np.count_nonzero(padding))))
    return hu, padding, notes


def _content_digest(volume: CTVolume) -> str:
    place = np.asarray(volume.geometry.matrix, dtype=np.float32).round(3) + 0.0
    digest = hashlib.sha256(place.tobytes())
    digest.update(volume.hu.data)
    return digest.hexdigest()[:16]
