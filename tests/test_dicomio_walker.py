"""The header walker: whenever it answers, its answer is pydicom's, on real files and on damaged ones."""

import io
import logging
import struct
import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from dicom_factory import ct_dataset
from paraspinal.dicomio.acquisition import read_acquisition
from paraspinal.dicomio.headers import ImageHeader, header_of, plain_bytes, read_headers
from paraspinal.dicomio.walker import walk_header
from paraspinal.dicomio.walker_values import ACQUISITION_NAMES, WANTED

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
LIMIT = 1 << 28
SHORT = 64 << 10


def blob_of(ds: Dataset) -> bytes:
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def rich_dataset(syntax: str = EXPLICIT) -> Dataset:
    """Return a slice with nested sequences of both kinds, private elements and every kind of value."""
    ds = ct_dataset(np.zeros((2, 2), np.int16), (1.5, -2.25, 1e2))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.SpecificCharacterSet = "ISO_IR 100"
    inner, item = Dataset(), Dataset()
    inner.CodeValue = "X"
    item.ReferencedSOPInstanceUID = "1.2.4"
    item.PurposeOfReferenceCodeSequence = Sequence([inner])
    item["PurposeOfReferenceCodeSequence"].is_undefined_length = True
    item.is_undefined_length_sequence_item = True  # type: ignore[attr-defined]
    ds.ReferencedImageSequence = Sequence([item, inner])
    ds["ReferencedImageSequence"].is_undefined_length = True
    ds.SourceImageSequence = Sequence([inner])
    ds.add_new("PixelPaddingValue", "SS", -2000)
    ds.PatientAge, ds.PatientSex, ds.PatientWeight = "045Y", "F", "71.5"
    ds.AcquisitionDate, ds.AcquisitionTime, ds.InstanceNumber = "20000101", "101112.5", 4
    ds.SeriesDescription, ds.RescaleType = "CHEST  WITH", "HU"
    ds.private_block(0x0029, "MAKER", create=True).add_new(1, "LO", "abc")
    return ds


GOOD = {syntax: blob_of(rich_dataset(syntax)) for syntax in (IMPLICIT, EXPLICIT)}


def by_pydicom(blob: bytes) -> tuple[ImageHeader, ...] | Exception | int:
    """Return pydicom's headers, what it raised, or how often it warned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            headers = read_headers(plain_bytes(blob, limit=LIMIT))
        except Exception as error:
            # Whatever pydicom raises is right here: the walker has to leave such a file to it.
            return error
    return len(caught) or headers


def assert_equal_or_silent(blob: bytes, name: str = "") -> bool:
    answer = walk_header(blob)
    if answer is not None:
        assert by_pydicom(blob) == (answer,), name
    return answer is not None


@pytest.mark.parametrize("syntax", GOOD)
def test_a_plain_file_is_answered_and_equal(syntax: str) -> None:
    assert assert_equal_or_silent(GOOD[syntax])
    header = walk_header(GOOD[syntax])
    assert header is not None
    assert header.plane.position == (1.5, -2.25, 100.0)
    assert header.padding == (-2000,)
    assert header.acquisition.patient_age_years == 45
    assert header.pixels is not None
    assert GOOD[syntax][header.pixels.offset :][: header.pixels.length] == bytes(8)


@pytest.mark.parametrize("syntax", GOOD)
def test_every_cut_before_the_pixels_is_left_to_pydicom_and_none_after_matters(syntax: str) -> None:
    blob = GOOD[syntax]
    header = walk_header(blob)
    assert header is not None
    assert header.pixels is not None
    for end in range(0, header.pixels.offset, 7):
        assert walk_header(blob[:end]) is None
    assert walk_header(blob[: header.pixels.offset]) == header


class Spy(dict[str, Any]):
    """Attributes that remember what was asked of them."""

    def __init__(self, **values: object) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None, /) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __contains__(self, key: object, /) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


def test_all_that_a_header_needs_is_wanted() -> None:
    spy = Spy(Rows=2, Columns=2, PixelRepresentation=1)
    header_of(spy, EXPLICIT, (1000, 8))
    known = {keyword for keyword in spy.asked if tag_for_keyword(keyword) is not None}
    assert known <= {wanted.keyword for wanted in WANTED.values()}
    assert len(spy.asked) > 40


def test_all_that_an_acquisition_needs_is_remembered_by() -> None:
    spy = Spy()
    read_acquisition(spy)
    assert spy.asked == set(ACQUISITION_NAMES)


def change(**values: object) -> bytes:
    ds = rich_dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return blob_of(ds)


UNUSUAL = ["frames", "yen", "multibyte", "umlaut", "sign", "escape", "uid", "comma"]
UNUSUAL += ["vr", "unknown-vr", "double", "magic", "big-endian"]


@pytest.mark.parametrize(
    "blob",
    [
        change(NumberOfFrames=2),
        change(SpecificCharacterSet="ISO_IR 13"),
        change(SpecificCharacterSet=["", "ISO 2022 IR 87"]),
        change(SeriesDescription="Wirbelsäule"),
        change(PixelRepresentation=None),
        GOOD[EXPLICIT].replace(b"CHEST  WITH", b"CHEST\x1b\x1bWITH"),
        GOOD[EXPLICIT].replace(b"1.2.3\0", b"1.2.x\0"),
        GOOD[EXPLICIT].replace(b"0.8\\0.7", b"0.8\\0,7"),
        GOOD[EXPLICIT].replace(b"\x28\0\x10\0US", b"\x28\0\x10\0SS"),
        GOOD[EXPLICIT].replace(b"\x28\0\x10\0US", b"\x28\0\x10\0ZZ"),
        GOOD[EXPLICIT].replace(b"\x28\0\x11\0US", b"\x28\0\x10\0US"),
        GOOD[EXPLICIT][:128] + b"DICX" + GOOD[EXPLICIT][132:],
        GOOD[EXPLICIT].replace(EXPLICIT.encode(), b"1.2.840.10008.1.2.2"),
    ],
    ids=UNUSUAL,
)
def test_the_unusual_is_left_to_pydicom(blob: bytes) -> None:
    assert walk_header(blob) is None


def nested(depth: int) -> bytes:
    """Return a good file with a private sequence nested `depth` times, all of undefined length."""
    opening = struct.pack("<HH2sHI", 0x0009, 0x1010, b"SQ", 0, 0xFFFFFFFF)
    opening += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    blob = GOOD[EXPLICIT]
    at = blob.index(struct.pack("<HH2s", 0x0010, 0x0040, b"CS"))  # Patient's Sex
    return blob[:at] + opening * depth + closing * depth + blob[at:]


def test_nesting_is_bounded() -> None:
    assert assert_equal_or_silent(nested(4))
    begin = time.process_time()
    assert walk_header(nested(20_000)) is None
    assert time.process_time() - begin < 1.0


SNIPPETS = (
    *(struct.pack("<HH", 0xFFFE, element) for element in (0xE000, 0xE00D, 0xE0DD)),
    *(b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x05\0", b"\x08\0", b"\xe0\x7f\x10\0", b"\x02\0", b"\n", b"\x80"),
    *(b"SQ", b"UN", b"OB", b"US", b"SS", b"SL", b"LO", b"AT", b"\\", b" ", b"\0", b"-", b"e", b"_", b"\x1b"),
)
Mutation = tuple[str, float, bytes]
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["overwrite", "insert", "delete", "repeat", "cut"]),
        st.floats(0, 1, exclude_max=True),
        st.one_of(st.sampled_from(SNIPPETS), st.binary(min_size=1, max_size=3)),
    ),
    min_size=1,
    max_size=4,
)


def mutated(blob: bytes, mutations: list[Mutation]) -> bytes:
    for kind, where, data in mutations:
        at = 128 + int(where * max(len(blob) - 128, 1))
        if kind == "overwrite":
            blob = blob[:at] + data + blob[at + len(data) :]
        elif kind == "insert":
            blob = blob[:at] + data + blob[at:]
        elif kind == "delete":
            blob = blob[:at] + blob[at + len(data) :]
        elif kind == "repeat":
            blob = blob[:at] + blob[at - 10 * len(data) : at] + blob[at:]
        elif data[0] < 8:
            blob = blob[:at]
    return blob


@settings(max_examples=4000, deadline=None, suppress_health_check=list(HealthCheck))
@given(syntax=st.sampled_from(sorted(GOOD)), mutations=MUTATIONS)
@example(syntax=EXPLICIT, mutations=[("overwrite", 0.53, b"SQ")])
def test_no_mutation_makes_it_differ_from_pydicom(syntax: str, mutations: list[Mutation]) -> None:
    logging.disable(logging.CRITICAL)
    try:
        assert_equal_or_silent(mutated(GOOD[syntax], mutations))
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # Each once told the two readers apart.
        (struct.pack("<HHI", 0xFFFE, 0xE00D, 0), struct.pack("<HH2sH", 0xFFFE, 0xE00D, b"SQ", 0)),
        (b"\x08\0\x05\0CS", b"\x08\0\x05\0SS"),
        (b"UI\x16\x001.2.840.10008.1.2", b"UI\x16\x001.2\\840.10008.1.2"),
        (b"\x28\0\x20\x01SS", b"\x28\0\x20\x01SL"),
        (b"CHEST  WITH", b"CHEST \\WITH "),
        (b"LO", b"LT"),
    ],
)
def test_what_once_differed(old: bytes, new: bytes) -> None:
    assert_equal_or_silent(GOOD[EXPLICIT].replace(old, new, 1))


def real_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    yield f"{path.name} {info.filename}", archive.read(info)
        elif path.is_file() and path.suffix != ".gz":
            yield path.name, path.read_bytes()


@pytest.mark.realdata
@pytest.mark.parametrize("folder", ["loader", "fuzz", "ct"])
def test_equal_to_pydicom_on_every_real_file(real_data: Path, folder: str) -> None:
    logging.disable(logging.CRITICAL)
    answered = total = 0
    for name, blob in real_files(real_data / folder):
        total += 1
        answered += assert_equal_or_silent(blob, name)
        assert walk_header(blob[:SHORT]) in (None, walk_header(blob)), name
    logging.disable(logging.NOTSET)
    # Most files of a clinical archive are plain; a walker that answers to few of them is of no use.
    assert answered >= {"loader": 0.3, "fuzz": 0.35, "ct": 0.99}[folder] * total
