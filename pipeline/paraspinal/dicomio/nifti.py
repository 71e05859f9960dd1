"""NIfTI-1 and NIfTI-2 single files as arrays [z, y, x] with a `Geometry`."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from paraspinal.dicomio.rawgrid import (
    FARTHEST_MM,
    GZIP,
    HEADER_LIMIT,
    GridError,
    GridHeader,
    affine,
    checked_shape,
    stored_voxels,
)
from paraspinal.dicomio.sniff import is_nifti, unzipped_head
from paraspinal.volume import Geometry, HUArray

# Data types that are one number per voxel.
_DATA_TYPES = {
    2: "u1",
    256: "i1",
    4: "i2",
    512: "u2",
    8: "i4",
    768: "u4",
    1024: "i8",
    1280: "u8",
    16: "f4",
    64: "f8",
}
# Form and place of each field, by size of the header: NIfTI-1 and NIfTI-2.
_LAYOUT = {
    348: {
        "dimensions": ("8h", 40),
        "type": ("h", 70),
        "pixdim": ("8f", 76),
        "offset": ("f", 108),
        "scale": ("2f", 112),
        "units": ("B", 123),
        "forms": ("2h", 252),
        "quaternion": ("6f", 256),
        "rows": ("12f", 280),
    },
    540: {
        "dimensions": ("8q", 16),
        "type": ("h", 12),
        "pixdim": ("8d", 104),
        "offset": ("q", 168),
        "scale": ("2d", 176),
        "units": ("i", 500),
        "forms": ("2i", 344),
        "quaternion": ("6d", 352),
        "rows": ("12d", 400),
    },
}
_SINGLE_FILE = (b"n+1", b"n+2")
_MAGIC_AT = {348: 344, 540: 4}
_SPACE_UNITS = 0x07
_MILLIMETRES = (0, 2)  # not stated, and millimetres
_FORMS_AGREE_MM = 0.5
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_INT16 = np.iinfo(np.int16)


class NiftiError(GridError):
    """A NIfTI file that cannot be taken; ``code`` is the stable code of the reason."""


@dataclass(frozen=True, slots=True)
class _Fields:
    """The numbers of a header, in the order in which they are there."""

    dimensions: tuple[int, ...]
    type: int
    pixdim: npt.NDArray[np.float64]
    offset: float
    slope: float
    intercept: float
    units: int
    qform_code: int
    sform_code: int
    quaternion: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float64]


def parse_nifti(head: bytes) -> GridHeader:
    """Read and check the header, before any memory is taken for voxels.

    Parameters
    ----------
    head : bytes
        The file's first bytes, compressed or not: `HEADER_LIMIT` of them are enough.

    Raises
    ------
    NiftiError
        If the file is no single-file NIfTI, not 3-D, or says nothing, or two things, about its orientation.
    """
    packed = head.startswith(GZIP)
    plain = unzipped_head(head) if packed else head
    order, size = _form(plain)
    fields = _fields(plain, order, size)
    if fields.type not in _DATA_TYPES:
        raise NiftiError("its voxels are not single numbers", "not_hounsfield")
    if not size <= fields.offset < 2**31:
        raise NiftiError("its header does not say where its voxels begin", "unreadable_file")
    if fields.units & _SPACE_UNITS not in _MILLIMETRES:
        raise NiftiError("its size is not in millimetres", "invalid_geometry")
    shape = _shape(fields.dimensions)
    scaled = fields.slope != 0.0 and np.isfinite([fields.slope, fields.intercept]).all()
    return GridHeader(
        shape=shape,
        dtype=np.dtype(order + _DATA_TYPES[fields.type]),
        offset=int(fields.offset),
        lps=_RAS_TO_LPS @ _ras(fields, shape),
        packing="file" if packed else "none",
        slope=fields.slope if scaled else 1.0,
        intercept=fields.intercept if scaled else 0.0,
    )


def read_nifti_values(path: Path) -> tuple[npt.NDArray[Any], Geometry]:
    """Return the voxels [z, y, x] in file order, scaled as the file says, and their grid.

    Raises
    ------
    GridError
        If the file cannot be taken.
    """
    blob = path.read_bytes()
    header = parse_nifti(blob[:HEADER_LIMIT])
    stored = stored_voxels(header, blob)
    values = stored.astype(header.dtype.newbyteorder("="))
    if (header.slope, header.intercept) != (1.0, 0.0):
        values = values * np.float64(header.slope) + header.intercept
    return values, header.geometry()


def read_nifti(path: Path | str) -> tuple[HUArray, Geometry]:
    """Return the voxels as int16 [z, y, x] in file order (rounded, limited to 16 bits), and the grid.

    ``geometry.axes_lps`` is whatever the file says; nothing is re-ordered.

    Raises
    ------
    GridError
        If the file cannot be taken.
    """
    values, geometry = read_nifti_values(Path(path))
    if values.dtype == np.int16:
        return values.astype(np.int16, copy=False), geometry
    whole = np.nan_to_num(np.rint(np.asarray(values, dtype=np.float64)), nan=0.0)
    return np.clip(whole, _INT16.min, _INT16.max).astype(np.int16), geometry


def write_nifti(path: Path, array: npt.NDArray[np.generic], geometry: Geometry) -> None:
    """Write an array [z, y, x] with its place; compressed when the name ends in ``.gz``.

    Parameters
    ----------
    path : Path
        Ends in ``.nii`` or ``.nii.gz``.
    array : ndarray
        bool (written as uint8), uint8, uint16, int16 or float32.
    geometry : Geometry
        Any orthonormal frame, right- or left-handed: NIfTI's quaternion form carries the handedness.

    Raises
    ------
    ValueError
        If array and geometry do not have the same shape.
    """
    import SimpleITK as sitk  # noqa: N813

    if array.shape != geometry.shape:
        raise ValueError(f"array {array.shape} and geometry {geometry.shape} differ in shape")
    values = array.astype(np.uint8) if array.dtype == np.bool_ else array
    image: Any = sitk.GetImageFromArray(np.ascontiguousarray(values))
    image.SetSpacing([float(s) for s in reversed(geometry.spacing_mm)])
    image.SetOrigin([float(v) for v in geometry.origin_lps_mm])
    image.SetDirection([float(v) for v in geometry.axes_lps[:, ::-1].ravel()])
    sitk.WriteImage(image, str(path), useCompression=path.name.endswith(".gz"))


def _form(head: bytes) -> tuple[str, int]:
    """Return byte order and size of a header."""
    if not head:
        raise NiftiError("it is a damaged gzip file", "unreadable_file")
    if is_nifti(head):
        for order in "<>":
            size = struct.unpack(order + "i", head[:4])[0]
            if size in _LAYOUT and head[_MAGIC_AT[size] : _MAGIC_AT[size] + 3] in _SINGLE_FILE:
                return order, size
    raise NiftiError("it is no single-file NIfTI image", "unsupported_format")


def _fields(head: bytes, order: str, size: int) -> _Fields:
    found = {name: struct.unpack_from(order + form, head, at) for name, (form, at) in _LAYOUT[size].items()}
    return _Fields(
        dimensions=found["dimensions"],
        type=found["type"][0],
        pixdim=np.array(found["pixdim"], dtype=np.float64),
        offset=found["offset"][0],
        slope=found["scale"][0],
        intercept=found["scale"][1],
        units=found["units"][0],
        qform_code=found["forms"][0],
        sform_code=found["forms"][1],
        quaternion=np.array(found["quaternion"], dtype=np.float64),
        rows=np.array(found["rows"], dtype=np.float64).reshape(3, 4),
    )


def _shape(dimensions: tuple[int, ...]) -> tuple[int, int, int]:
    count, *sizes = dimensions
    used = sizes[: max(0, min(count, 7))]
    if len(used) < 3 or min(used) < 1:
        raise NiftiError("its header states no three-dimensional grid", "not_an_image_series")
    if any(n > 1 for n in used[3:]):
        raise NiftiError(f"it holds {len(used)} dimensions", "four_dimensional")
    return checked_shape(used[:3])


def _ras(fields: _Fields, shape: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """Return the index → RAS matrix; all that the header says about it must agree.

    Two forms that disagree are how left and right get exchanged between programs; programs also differ in whether
    they take the voxel size from the sform or from pixdim.
    """
    forms = []
    if fields.sform_code > 0:
        forms.append(np.vstack([fields.rows, [0.0, 0.0, 0.0, 1.0]]))
    if fields.qform_code > 0:
        with np.errstate(over="ignore", invalid="ignore"):
            forms.append(_quaternion_matrix(fields.quaternion, fields.pixdim))
    if not forms:
        raise NiftiError("it does not say how it lies in the patient", "orientation_unknown")
    if not all((np.abs(form) <= FARTHEST_MM).all() for form in forms):
        raise NiftiError("its orientation is not made of numbers", "invalid_geometry")
    sizes = np.array(shape, dtype=np.float64)
    corners = np.array([[*(c * sizes), 1.0] for c in (np.zeros(3), np.ones(3), *np.eye(3))])
    if np.abs(corners @ (forms[0] - forms[-1]).T).max() > _FORMS_AGREE_MM:
        raise NiftiError("it states two different orientations (qform and sform)", "orientation_conflict")
    stated = np.clip(fields.pixdim[1:4], 0.0, FARTHEST_MM)
    differ = np.abs(np.linalg.norm(forms[0][:3, :3], axis=0) - stated) * sizes
    if differ[stated > 0.0].max(initial=0.0) > _FORMS_AGREE_MM:
        raise NiftiError("it states two different voxel sizes (pixdim and sform)", "orientation_conflict")
    return forms[0]


def _quaternion_matrix(
    quaternion: npt.NDArray[np.float64], pixdim: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the matrix of the quaternion form (NIfTI-1 header, METHOD 2)."""
    b, c, d = quaternion[:3]
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handed = -1.0 if pixdim[0] < 0 else 1.0
    return affine(rotation * (pixdim[1:4] * [1.0, 1.0, handed]), quaternion[3:])
