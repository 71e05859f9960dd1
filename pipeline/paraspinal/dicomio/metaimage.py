"""MetaImage headers (.mha with its voxels, .mhd with them in one file beside it).

The first three numbers of TransformMatrix are the direction of the first (fastest) index, in LPS; the letters of
AnatomicalOrientation are the sides that the axes come *from* ("RAI" is the identity), as ITK writes both.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from paraspinal.dicomio.rawgrid import GridError, GridHeader, affine, checked_shape, floats, integers

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_SYNONYMS = {
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
    "Rotation": "TransformMatrix",
    "Orientation": "TransformMatrix",
    "Origin": "Offset",
    "Position": "Offset",
}
_LINE = re.compile(r"\s*([A-Za-z]\w*)\s*=\s*(.*?)\s*\Z")
_LAST_KEY = "ElementDataFile"
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
# The LPS direction of an axis that comes from this side.
_FROM = {"R": (0, 1.0), "L": (0, -1.0), "A": (1, 1.0), "P": (1, -1.0), "I": (2, 1.0), "S": (2, -1.0)}
_UNKNOWN = "???"
# Letters name the nearest side: they contradict a direction that points to the other one.
_CONTRADICTS = -1e-6


def parse_metaimage(head: bytes) -> GridHeader:
    """Read and check the header that a file begins with.

    Parameters
    ----------
    head : bytes
        The file's first bytes: all of its header.

    Raises
    ------
    GridError
        If it is not one 3-D grid of numbers with a stated place in the patient.
    """
    fields, end = _fields(head)
    _check_kind(fields)
    data_file = fields[_LAST_KEY]
    local = data_file.upper() == "LOCAL"
    if not local and (data_file.split()[:1] == ["LIST"] or "%" in data_file):
        raise GridError("its voxels are spread over several files", "unsupported_format")
    return GridHeader(
        shape=_shape(fields),
        dtype=_dtype(fields),
        offset=_offset(fields, end if local else 0),
        lps=_matrix(fields),
        packing="voxels" if _truth(fields, "CompressedData", default=False) else "none",
        data_file=None if local else data_file,
    )


def _fields(head: bytes) -> tuple[dict[str, str], int]:
    """Return the fields by name, and the first byte behind the last of them."""
    fields: dict[str, str] = {}
    at = 0
    for line in head.splitlines(keepends=True):
        at += len(line)
        match = _LINE.match(line.decode("utf-8", errors="replace"))
        if match is None:
            raise GridError("its header is malformed", "unreadable_file")
        name = _SYNONYMS.get(match[1], match[1])
        if name in fields:
            raise GridError(f"its header states {name[:30]} twice", "unreadable_file")
        fields[name] = match[2]
        if name == _LAST_KEY:
            return fields, at
    raise GridError("its header has no end", "unreadable_file")


def _check_kind(fields: dict[str, str]) -> None:
    if fields.get("ObjectType", "Image") != "Image":
        raise GridError("it is no image", "not_an_image_series")
    if not _truth(fields, "BinaryData", default=True):
        raise GridError("its voxels are written as text", "undecodable")
    if fields.get("ElementNumberOfChannels", "1") != "1":
        raise GridError("its voxels are not single numbers", "not_hounsfield")
    slope = floats(fields.get("ElementToIntensityFunctionSlope", "1"), 1)
    offset = floats(fields.get("ElementToIntensityFunctionOffset", "0"), 1)
    if (slope, offset) != ([1.0], [0.0]):
        raise GridError("it states a conversion of its values that few readers apply", "not_hounsfield")
    if fields.get("DistanceUnits", "mm").lower() not in ("mm", "?", ""):
        raise GridError("its size is not in millimetres", "invalid_geometry")


def _truth(fields: dict[str, str], name: str, *, default: bool | None) -> bool:
    known = _TRUTH.get(fields.get(name, "").lower(), default if name not in fields else None)
    if known is None:
        raise GridError(f"its header does not state {name}", "unreadable_file")
    return known


def _shape(fields: dict[str, str]) -> tuple[int, int, int]:
    sizes = integers(fields.get("DimSize", ""))
    if integers(fields.get("NDims", "")) != [len(sizes)]:
        raise GridError("its NDims and DimSize differ", "unreadable_file")
    if len(sizes) > 3:
        raise GridError(f"it holds {len(sizes)} dimensions", "four_dimensional")
    return checked_shape(sizes)


def _dtype(fields: dict[str, str]) -> np.dtype[np.generic]:
    # MET_LONG has 4 or 8 bytes, depending on the machine that wrote it: it is not in the table.
    code = _TYPES.get(fields.get("ElementType", ""))
    if code is None:
        raise GridError("its voxels are not single numbers of a known size", "not_hounsfield")
    if code.endswith("1"):
        return np.dtype(code)
    return np.dtype((">" if _truth(fields, "BinaryDataByteOrderMSB", default=None) else "<") + code)


def _offset(fields: dict[str, str], end: int) -> int | None:
    size = integers(fields.get("HeaderSize", "0"))
    if len(size) != 1 or size[0] < -1:
        raise GridError("its header does not say where its voxels begin", "unreadable_file")
    if size[0] == -1 and not _truth(fields, "CompressedData", default=False):
        return None
    return max(size[0], 0) or end


def _matrix(fields: dict[str, str]) -> npt.NDArray[np.float64]:
    letters = fields.get("AnatomicalOrientation", _UNKNOWN).upper()
    stated = None if letters == _UNKNOWN else _from_letters(letters)
    if "TransformMatrix" in fields:
        columns = np.array(floats(fields["TransformMatrix"], 9)).reshape(3, 3).T
        if stated is not None and (stated * columns).sum(axis=0).min() < _CONTRADICTS:
            raise GridError(
                "it states two different orientations (TransformMatrix and AnatomicalOrientation)",
                "orientation_conflict",
            )
    elif stated is not None:
        columns = stated
    else:
        raise GridError("it does not say how it lies in the patient", "orientation_unknown")
    if "ElementSpacing" not in fields or "Offset" not in fields:
        raise GridError("it does not say where it lies in the patient", "missing_geometry")
    spacing = np.array(floats(fields["ElementSpacing"], 3))
    if spacing.min() <= 0.0 or np.abs(np.linalg.norm(columns, axis=0) - 1.0).max() > 1e-3:
        raise GridError("its axes or its voxels have no proper length", "invalid_geometry")
    return affine(columns * spacing, floats(fields["Offset"], 3))


def _from_letters(letters: str) -> npt.NDArray[np.float64]:
    """Return the directions, as columns, of axes that come from the sides named."""
    columns = np.zeros((3, 3))
    if len(letters) == 3 and set(letters) <= _FROM.keys():
        for axis, letter in enumerate(letters):
            row, sign = _FROM[letter]
            columns[row, axis] = sign
    if np.linalg.matrix_rank(columns) < 3:
        raise GridError("it does not say how it lies in the patient", "orientation_unknown")
    return columns
