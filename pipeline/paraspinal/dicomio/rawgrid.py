"""What NIfTI, NRRD and MetaImage have in common: a small header, and voxels as plain bytes, packed or not.

The voxels are read here and not through ITK or pynrrd. ITK needs a path on disk (members of archives have none),
opens whatever file a detached header names, takes the identity for an orientation that is not stated, and fills
NIfTI voxels that were cut off, or are no numbers, with zeros, which would be water; pynrrd unpacks without a limit.
What is left to do is `numpy.frombuffer` and checks.
"""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from paraspinal.volume import Geometry

# First bytes of a file in which every header has to fit.
HEADER_LIMIT = 64 * 1024
GZIP = b"\x1f\x8b"

_MAX_SIZE = 2**31
_SHEAR = 1e-3
# Voxels of a CT are 0.05 to 10 mm long, and a table travels 2 m; what is far beyond was never measured in mm.
_VOXEL_MM = (0.005, 100.0)
FARTHEST_MM = 1e5

Packing = Literal["none", "voxels", "file"]


class GridError(ValueError):
    """A file that cannot be taken; ``code`` is the stable code of the reason."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class GridHeader:
    """A checked header of one three-dimensional grid.

    Parameters
    ----------
    shape : tuple of int
        Voxels along (x, y, z), the first index running fastest in the file.
    dtype : numpy.dtype
        Stored type with its byte order.
    offset : int or None
        First byte of the voxels in the file that holds them; None when they are its last bytes.
    lps : ndarray, shape (4, 4)
        From (x, y, z) index to LPS millimetres.
    packing : {"none", "voxels", "file"}
        What of the file is compressed: nothing, what follows `offset`, or all of it.
    data_file : str or None
        Name of the file that holds the voxels, where that is not the header's own.
    slope, intercept : float
        From stored to real values.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int | None
    lps: npt.NDArray[np.float64]
    packing: Packing = "none"
    data_file: str | None = None
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def nbytes(self) -> int:
        """Bytes of all stored voxels, unpacked."""
        x, y, z = self.shape
        return x * y * z * self.dtype.itemsize

    def geometry(self) -> Geometry:
        """Return the grid [z, y, x] in file order.

        Raises
        ------
        GridError
            If the axes have no possible length or place, or are not at right angles.
        """
        if not np.isfinite(self.lps).all():
            raise GridError("its orientation is not made of numbers", "invalid_geometry")
        if np.abs(self.lps).max() > FARTHEST_MM:
            raise GridError("its place lies beyond every scanner", "invalid_geometry")
        spacing = np.linalg.norm(self.lps[:3, :3], axis=0)
        if spacing.min() < _VOXEL_MM[0] or spacing.max() > _VOXEL_MM[1]:
            raise GridError("its voxels have no possible size in millimetres", "invalid_geometry")
        axes = self.lps[:3, :3] / spacing
        if np.abs(axes.T @ axes - np.eye(3)).max() > _SHEAR:
            raise GridError("its axes are not at right angles", "invalid_geometry")
        # Single precision in most files: 7 digits are all there is.
        sx, sy, sz = (float(np.round(s, 7)) for s in spacing)
        x, y, z = (float(v) for v in self.lps[:3, 3])
        nx, ny, nz = self.shape
        return Geometry((nz, ny, nx), (sz, sy, sx), (x, y, z), np.ascontiguousarray(axes[:, ::-1]) + 0.0)


def checked_shape(sizes: list[int]) -> tuple[int, int, int]:
    """Return three sizes that a grid can have.

    Raises
    ------
    GridError
        If they are no such sizes.
    """
    if len(sizes) != 3 or not all(1 <= n < _MAX_SIZE for n in sizes):
        raise GridError("its header states no three-dimensional grid", "not_an_image_series")
    return sizes[0], sizes[1], sizes[2]


def affine(columns: npt.ArrayLike, origin: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the 4×4 matrix of three columns (the steps along x, y, z of the file) and an origin."""
    matrix = np.eye(4)
    matrix[:3, :3] = columns
    matrix[:3, 3] = origin
    return matrix


def stored_voxels(header: GridHeader, blob: bytes) -> npt.NDArray[Any]:
    """Return the stored voxels [z, y, x] of the file with the bytes `blob`: a read-only view, unscaled.

    Raises
    ------
    GridError
        If there are fewer bytes than the header asks for, or more, or they are damaged.
    """
    start = header.offset or 0
    if header.packing == "file":
        blob = unpacked(blob, limit=start + header.nbytes + 1)
    elif header.packing == "voxels":
        blob, start = unpacked(blob[start:], limit=header.nbytes + 1), 0
    elif header.offset is None:
        start = max(0, len(blob) - header.nbytes)
    found = len(blob) - start
    if found < header.nbytes:
        raise GridError(
            f"its voxels are cut off ({max(found, 0)} of {header.nbytes} bytes)", "truncated_pixel_data"
        )
    if found > header.nbytes:
        raise GridError("more bytes follow than its voxels take", "pixel_data_mismatch")
    return np.frombuffer(blob, header.dtype, offset=start).reshape(header.shape[::-1])


def unpacked(blob: bytes, *, limit: int) -> bytes:
    """Return at most `limit` bytes out of a gzip or zlib stream.

    Raises
    ------
    GridError
        If the stream is cut off or damaged.
    """
    try:
        if blob.startswith(GZIP):
            with gzip.GzipFile(fileobj=io.BytesIO(blob)) as stream:
                return stream.read(limit)
        unpacker = zlib.decompressobj()
        out = unpacker.decompress(blob, limit)
    except EOFError as error:
        raise GridError("its compressed voxels are cut off", "truncated_pixel_data") from error
    except (OSError, zlib.error) as error:
        raise GridError("its compressed voxels are damaged", "unreadable_file") from error
    if len(out) < limit and not unpacker.eof:
        raise GridError("its compressed voxels are cut off", "truncated_pixel_data")
    return out


def floats(text: str, count: int) -> list[float]:
    """Return `count` numbers of a header line.

    Raises
    ------
    GridError
        If there are more or fewer, or one is no number or beyond every place.
    """
    try:
        found = [float(part) for part in text.split()]
    except ValueError:
        found = []
    if len(found) != count or not (np.abs(found) <= FARTHEST_MM).all():
        raise GridError("its orientation is not made of numbers", "invalid_geometry")
    return found


def integers(text: str) -> list[int]:
    """Return the whole numbers of a header line.

    Raises
    ------
    GridError
        If they are no whole numbers.
    """
    try:
        return [int(part) for part in text.split()]
    except ValueError as error:
        raise GridError("its header is malformed", "unreadable_file") from error


def axis_letters(geometry: Geometry) -> str:
    """Return the sides (L/R, P/A, S/I) that the file's first, second and third index run towards."""
    letters = ""
    for column in geometry.axes_lps.T[::-1]:
        k = int(np.abs(column).argmax())
        letters += ("LR", "PA", "SI")[k][int(column[k] < 0)]
    return letters
