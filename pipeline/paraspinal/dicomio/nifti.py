"""NIfTI-1 files as arrays [z, y, x] with a `Geometry`."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from paraspinal.dicomio.sniff import is_nifti
from paraspinal.volume import Geometry, HUArray

_HEADER_BYTES = 352
_GZIP = b"\x1f\x8b"
# NIfTI-1 data types that are one number per voxel.
_DATA_TYPES = {2: "u1", 256: "i1", 4: "i2", 512: "u2", 8: "i4", 768: "u4", 16: "f4", 64: "f8"}
_FORMS_AGREE_MM = 0.5
_SHEAR = 1e-3
_INT16 = np.iinfo(np.int16)


class NiftiError(ValueError):
    """A NIfTI file that cannot be taken; ``code`` is the stable code of the reason."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """A checked NIfTI-1 header.

    ``shape`` counts voxels along (x, y, z); ``dtype`` is the stored type with its byte order; ``offset`` the first
    byte of the voxels; ``slope`` and ``intercept`` turn stored into real values; ``ras`` is the 4×4 matrix from
    (x, y, z) index to RAS millimetres.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    ras: npt.NDArray[np.float64]

    @property
    def nbytes(self) -> int:
        """Bytes of all stored voxels."""
        x, y, z = self.shape
        return x * y * z * self.dtype.itemsize


def read_nifti_header(path: Path) -> NiftiHeader:
    """Read and check the header, before any memory is taken for voxels.

    Raises
    ------
    NiftiError
        If the file is no NIfTI-1 file, not 3-D, or says nothing, or two things, about its orientation.
    """
    head = _read(path, _HEADER_BYTES)
    if not is_nifti(head) or head[344:347] != b"n+1":
        raise NiftiError("it is no single-file NIfTI-1 image", "unsupported_format")
    order = "<" if struct.unpack("<i", head[:4])[0] == 348 else ">"
    code, _bits = struct.unpack(order + "2h", head[70:74])
    if code not in _DATA_TYPES:
        raise NiftiError("its voxels are not single numbers", "not_hounsfield")
    offset, slope, intercept = struct.unpack(order + "3f", head[108:120])
    if not 348 <= offset < 2**31:
        raise NiftiError("its header does not say where its voxels begin", "unreadable_file")
    unscaled = slope == 0.0 or not np.isfinite([slope, intercept]).all()
    return NiftiHeader(
        shape=_shape(struct.unpack(order + "8h", head[40:56])),
        dtype=np.dtype(order + _DATA_TYPES[code]),
        offset=int(offset),
        slope=1.0 if unscaled else slope,
        intercept=0.0 if unscaled else intercept,
        ras=_affine(head, order),
    )


def read_nifti_values(path: Path) -> tuple[npt.NDArray[Any], Geometry]:
    """Return the voxels [z, y, x] in file order, scaled as the file says, and their grid.

    The voxels are not read through ITK: it fills a file that was cut off with zeros, and replaces voxels without
    a number by 0, both without a word.

    Raises
    ------
    NiftiError
        If the file cannot be taken.
    """
    header = read_nifti_header(path)
    blob = _read(path, header.offset + header.nbytes)
    if len(blob) < header.offset + header.nbytes:
        raise NiftiError("its voxels are cut off", "truncated_pixel_data")
    stored = np.frombuffer(
        blob, header.dtype, offset=header.offset, count=header.nbytes // header.dtype.itemsize
    )
    values = stored.reshape(header.shape[::-1]).astype(header.dtype.newbyteorder("="))
    if (header.slope, header.intercept) != (1.0, 0.0):
        values = values * np.float64(header.slope) + header.intercept
    return values, _geometry(header)


def read_nifti(path: Path | str) -> tuple[HUArray, Geometry]:
    """Return the voxels as int16 [z, y, x] in file order (rounded, limited to 16 bits), and the grid.

    ``geometry.axes_lps`` is whatever the file says; nothing is re-ordered.

    Raises
    ------
    NiftiError
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


def _shape(dimensions: tuple[int, ...]) -> tuple[int, int, int]:
    count, *sizes = dimensions
    used = sizes[: max(0, min(count, 7))]
    if len(used) < 3 or min(used) < 1:
        raise NiftiError("its header states no three-dimensional grid", "not_an_image_series")
    if any(n > 1 for n in used[3:]):
        raise NiftiError(f"it holds {len(used)} dimensions", "four_dimensional")
    return used[0], used[1], used[2]


def _affine(head: bytes, order: str) -> npt.NDArray[np.float64]:
    """Return the index → RAS matrix; both forms of it must agree where both are given.

    Two forms that disagree are how left and right get exchanged between programs.
    """
    pixdim = np.array(struct.unpack(order + "8f", head[76:108]), dtype=np.float64)
    qform_code, sform_code = struct.unpack(order + "2h", head[252:256])
    quaternion = np.array(struct.unpack(order + "6f", head[256:280]), dtype=np.float64)
    rows = np.array(struct.unpack(order + "12f", head[280:328]), dtype=np.float64).reshape(3, 4)
    forms = []
    if sform_code > 0:
        forms.append(np.vstack([rows, [0.0, 0.0, 0.0, 1.0]]))
    if qform_code > 0:
        forms.append(_quaternion_matrix(quaternion, pixdim))
    if not forms:
        raise NiftiError("it does not say how it lies in the patient", "orientation_unknown")
    if not all(np.isfinite(form).all() for form in forms):
        raise NiftiError("its orientation is not made of numbers", "invalid_geometry")
    sizes = np.array(struct.unpack(order + "8h", head[40:56])[1:4], dtype=np.float64)
    corners = np.array([[*(c * sizes), 1.0] for c in (np.zeros(3), np.ones(3), *np.eye(3))])
    if np.abs(corners @ (forms[0] - forms[-1]).T).max() > _FORMS_AGREE_MM:
        raise NiftiError("it states two different orientations (qform and sform)", "orientation_conflict")
    return forms[0]


def _quaternion_matrix(
    quaternion: npt.NDArray[np.float64], pixdim: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the matrix of the quaternion form (NIfTI-1 header, METHOD 2)."""
    b, c, d = quaternion[:3]
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    matrix = np.eye(4)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handed = -1.0 if pixdim[0] < 0 else 1.0
    matrix[:3, :3] = rotation * (pixdim[1:4] * [1.0, 1.0, handed])
    matrix[:3, 3] = quaternion[3:]
    return matrix


def _geometry(header: NiftiHeader) -> Geometry:
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ header.ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    if spacing.min() <= 0.0:
        raise NiftiError("its voxels have no size", "invalid_geometry")
    axes = lps[:3, :3] / spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() > _SHEAR:
        raise NiftiError("its axes are not at right angles", "invalid_geometry")
    # Single precision in the file: 7 digits are all there is.
    sx, sy, sz = (float(np.round(s, 7)) for s in spacing)
    x, y, z = (float(v) for v in lps[:3, 3])
    nx, ny, nz = header.shape
    return Geometry((nz, ny, nx), (sz, sy, sx), (x, y, z), np.ascontiguousarray(axes[:, ::-1]) + 0.0)


def _read(path: Path, limit: int) -> bytes:
    """Return the first `limit` bytes of a file, unpacked if it is gzip; never more."""
    with path.open("rb") as stream:
        if stream.read(2) != _GZIP:
            stream.seek(0)
            return stream.read(limit)
    try:
        with gzip.open(path) as unpacked:
            return unpacked.read(limit)
    except (OSError, EOFError, zlib.error) as error:
        raise NiftiError("it is a damaged gzip file", "unreadable_file") from error
