"""NRRD headers (format definition at teem.sourceforge.net/nrrd/format.html): attached, or detached with one file."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from paraspinal.dicomio.rawgrid import GridError, GridHeader, Packing, affine, checked_shape, floats, integers

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_TYPE_OF = {name: code for code, names in _TYPES.items() for name in names}
_ORDERS = {"little": "<", "big": ">"}
# Factors that turn each space into LPS.
_SPACES = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "lps": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "ras": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "las": (1.0, -1.0, 1.0),
}
_PACKINGS: dict[str, Packing] = {"raw": "none", "gzip": "voxels", "gz": "voxels"}
_VECTOR = re.compile(r"\(([^()]*)\)")
_SPELLINGS = {"datafile": "data file", "byteskip": "byte skip", "lineskip": "line skip"}


def parse_nrrd(head: bytes) -> GridHeader:
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
    dtype = _dtype(fields)
    shape = _shape(fields)
    encoding = fields.get("encoding", "").lower()
    if encoding not in _PACKINGS:
        raise GridError(f"its encoding is not supported ({encoding[:20] or 'none stated'})", "undecodable")
    data_file = fields.get("data file")
    if data_file is None and end is None:
        raise GridError("its header has no end", "unreadable_file")
    skip = _skip(fields)
    start = (end or 0) if data_file is None else 0
    if skip and _PACKINGS[encoding] != "none":
        raise GridError("bytes are to be skipped within its packed voxels", "undecodable")
    return GridHeader(
        shape=shape,
        dtype=dtype,
        offset=None if skip < 0 else start + skip,
        lps=_matrix(fields),
        packing=_PACKINGS[encoding],
        data_file=data_file,
    )


def _fields(head: bytes) -> tuple[dict[str, str], int | None]:
    """Return the fields by name, and where the header ends: at an empty line, or not in this file (detached)."""
    lines = head.splitlines(keepends=True)
    fields: dict[str, str] = {}
    at = len(lines[0]) if lines else 0
    for line in lines[1:]:
        at += len(line)
        text = line.decode("ascii", errors="replace").rstrip("\r\n")
        if not text:
            return fields, at
        name, separator, value = text.partition(": ")
        if text.startswith("#") or ":=" in text.split(": ")[0] or not separator:
            continue
        name = " ".join(name.lower().split())
        name = _SPELLINGS.get(name, name)
        if name in fields:
            raise GridError(f"its header states {name[:20]!r} twice", "unreadable_file")
        fields[name] = value.strip()
    return fields, None


def _dtype(fields: dict[str, str]) -> np.dtype[np.generic]:
    code = _TYPE_OF.get(" ".join(fields.get("type", "").lower().split()))
    if code is None:
        raise GridError("its voxels are not single numbers", "not_hounsfield")
    order = _ORDERS.get(fields.get("endian", "").lower(), "|" if code.endswith("1") else "")
    if not order:
        raise GridError("it does not state the order of its bytes", "unreadable_file")
    return np.dtype(order + code)


def _shape(fields: dict[str, str]) -> tuple[int, int, int]:
    sizes = integers(fields.get("sizes", ""))
    if integers(fields.get("dimension", "")) != [len(sizes)]:
        raise GridError("its dimension and its sizes differ", "unreadable_file")
    if len(sizes) > 3:
        raise GridError(f"it holds {len(sizes)} dimensions", "four_dimensional")
    return checked_shape(sizes)


def _skip(fields: dict[str, str]) -> int:
    """Return how many bytes to skip before the voxels; -1 when they are the last ones of the file."""
    skip = integers(fields.get("byte skip", "0"))
    if integers(fields.get("line skip", "0")) != [0] or len(skip) != 1 or skip[0] < -1:
        raise GridError("its header does not say where its voxels begin", "unreadable_file")
    return skip[0]


def _matrix(fields: dict[str, str]) -> npt.NDArray[np.float64]:
    factors = _SPACES.get(fields.get("space", "").lower())
    if factors is None or "space directions" not in fields:
        raise GridError("it does not say how it lies in the patient", "orientation_unknown")
    units = re.findall(r'"([^"]*)"', fields.get("space units", ""))
    if any(unit.strip().lower() not in ("mm", "millimeter", "millimetre") for unit in units):
        raise GridError("its size is not in millimetres", "invalid_geometry")
    if "space origin" not in fields:
        raise GridError("it does not say where it lies in the patient", "missing_geometry")
    columns = np.transpose(_vectors(fields["space directions"], 3))
    origin = _vectors(fields["space origin"], 1)[0]
    return affine(np.asarray(factors)[:, None] * columns, np.asarray(factors) * origin)


def _vectors(text: str, count: int) -> list[list[float]]:
    found = _VECTOR.findall(text)
    if len(found) != count or _VECTOR.sub("", text).strip():
        raise GridError("its orientation is not made of numbers", "invalid_geometry")
    return [floats(vector.replace(",", " "), 3) for vector in found]
