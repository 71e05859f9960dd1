"""One-volume files of every kind, written byte by byte or by SimpleITK: never by the code that reads them."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813

from paraspinal.volume import Geometry

SHAPE = (6, 5, 4)
SPACING = (2.5, 0.8, 0.7)
ORIGIN = (4.0, 5.0, -6.0)

# The 48 ways in which z, y and x of an array can lie along the patient's axes: columns are the array's axes in LPS.
FRAMES = [
    np.eye(3)[list(order)] * np.array(signs)
    for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3))
]


def frame_name(number: int) -> str:
    """Return the sides that z, y and x of a frame run to."""
    return "".join(("LR", "PA", "SI")[int(np.abs(c).argmax())][int(c.sum() < 0)] for c in FRAMES[number].T)


def grid(frame: npt.NDArray[np.float64] | None = None) -> Geometry:
    """Return a small grid of three different sizes and spacings."""
    axes = np.array([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]) if frame is None else frame
    return Geometry(SHAPE, SPACING, ORIGIN, axes)


def hu_at(lps: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    """Return HU that tell every point of `lps` (…, 3) from its neighbours and its mirror images."""
    x, y, z = np.moveaxis(np.asarray(lps), -1, 0)
    return np.rint(-400 + 23 * x + 11 * y + 7 * z).astype(np.int16)


def body(geometry: Geometry) -> npt.NDArray[np.int16]:
    """Return the voxels of a grid in that field."""
    return hu_at(geometry.to_lps(np.moveaxis(np.indices(geometry.shape), 0, -1)))


def image(array: npt.NDArray[np.generic], geometry: Geometry) -> sitk.Image:
    """Return an array [z, y, x] as a SimpleITK image."""
    made = sitk.GetImageFromArray(np.ascontiguousarray(array))
    made.SetSpacing([float(s) for s in reversed(geometry.spacing_mm)])
    made.SetOrigin([float(v) for v in geometry.origin_lps_mm])
    made.SetDirection([float(v) for v in geometry.axes_lps[:, ::-1].ravel()])
    return made


def write_itk(path: Path, geometry: Geometry | None = None, *, packed: bool = False) -> Path:
    """Write the field on a grid with SimpleITK in the form that the suffix names."""
    place = geometry or grid()
    sitk.WriteImage(image(body(place), place), str(path), packed)
    return path


def write_nrrd(
    path: Path,
    *,
    fields: dict[str, str | None] | None = None,
    array: npt.NDArray[np.generic] | None = None,
    pack: Callable[[bytes], bytes] = bytes,
    extra: str = "",
) -> Path:
    """Write an attached NRRD of the field on the identity grid; a field of None is left out."""
    voxels = body(identity()) if array is None else array
    header: dict[str, str | None] = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "4 5 6",
        "space directions": "(0.7,0,0) (0,0.8,0) (0,0,2.5)",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(4,5,-6)",
    }
    header |= fields or {}
    lines = [f"{name}: {value}" for name, value in header.items() if value is not None]
    text = "NRRD0005\n# a comment\n" + "\n".join(lines) + "\nkey:=a: value\n" + extra + "\n"
    path.write_bytes(text.encode() + (b"" if header.get("data file") else pack(voxels.tobytes())))
    return path


def write_meta(
    path: Path,
    *,
    fields: dict[str, str | None] | None = None,
    array: npt.NDArray[np.generic] | None = None,
    pack: Callable[[bytes], bytes] = bytes,
) -> Path:
    """Write a MetaImage of the field on the identity grid; a field of None is left out."""
    voxels = body(identity()) if array is None else array
    header: dict[str, str | None] = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "4 5 -6",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": "0.7 0.8 2.5",
        "DimSize": "4 5 6",
        "ElementType": "MET_SHORT",
    }
    header |= fields or {}
    data = header.pop("ElementDataFile", "LOCAL")
    lines = [f"{name} = {value}" for name, value in header.items() if value is not None]
    text = "\n".join([*lines, f"ElementDataFile = {data}"]) + "\n"
    path.write_bytes(text.encode() + (pack(voxels.tobytes()) if data == "LOCAL" else b""))
    return path


def identity() -> Geometry:
    """Return the grid whose axes are z, y, x of the patient."""
    return Geometry(SHAPE, SPACING, ORIGIN)


def write_nifti2(path: Path, *, order: str = "<") -> Path:
    """Write the field on the identity grid as NIfTI-2, by hand from the published layout."""
    place = identity()
    rows = np.diag([-1.0, -1.0, 1.0, 1.0]) @ place.matrix
    header = bytearray(544)
    struct.pack_into(order + "i", header, 0, 540)
    header[4:12] = b"n+2\0\r\n\x1a\n"
    struct.pack_into(order + "2h8q", header, 12, 4, 16, 3, 4, 5, 6, 1, 1, 1, 1)
    struct.pack_into(order + "8d", header, 104, 1.0, 0.7, 0.8, 2.5, 0.0, 0.0, 0.0, 0.0)
    struct.pack_into(order + "q2d", header, 168, 544, 1.0, 0.0)
    struct.pack_into(order + "2i", header, 344, 0, 1)
    struct.pack_into(order + "12d", header, 400, *rows[:3][:, [2, 1, 0, 3]].ravel())
    struct.pack_into(order + "i", header, 500, 2)
    path.write_bytes(bytes(header) + body(place).astype(np.dtype(order + "i2")).tobytes())
    return path


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zlib": zlib.compress}
