"""What a header may cost is bounded: bombs of elements, of nesting and of length end in a typed error."""

import io
import struct
import time
import tracemalloc

import numpy as np
import pytest
from pydicom.uid import UID

from dicom_factory import ct_dataset
from paraspinal.dicomio import bounded, headers
from paraspinal.dicomio.bounded import MAX_READS, BoundedStream
from paraspinal.dicomio.headers import HeaderError, read_headers
from paraspinal.dicomio.walker import walk_header


def start_of_file(syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    ds = ct_dataset(np.zeros((2, 2), np.int16), (0.0, 0.0, 0.0))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()[: stream.getvalue().index(b"\xe0\x7f\x10\0")]


def tiny_elements(count: int) -> bytes:
    """Return private elements of two bytes each, in order."""
    tags = np.arange(count, dtype=np.uint32)
    table = np.zeros(count, dtype=[("group", "<u2"), ("element", "<u2"), ("vr", "S2"), ("length", "<u2")])
    table["group"], table["element"], table["vr"] = 0x0029 + 2 * (tags >> 16), tags & 0xFFFF, b"LO"
    return table.tobytes()


def test_a_file_of_nothing_but_tiny_elements_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MAX_READS", 10_000)
    blob = start_of_file() + tiny_elements(2_500_000)
    assert len(blob) > 20_000_000
    begin = time.process_time()
    with pytest.raises(HeaderError, match="reads"):
        read_headers(blob)
    assert time.process_time() - begin < 5


def test_many_elements_are_no_offence() -> None:
    (header,) = read_headers(start_of_file() + tiny_elements(20_000))
    assert header.modality == "CT"


def test_sequences_nested_without_end_end() -> None:
    opening = struct.pack("<HH2sHIHHI", 0x0029, 0x1010, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    blob = start_of_file() + opening * 50_000
    begin = time.process_time()
    assert walk_header(blob) is None
    with pytest.raises((HeaderError, RecursionError, OSError)):
        read_headers(blob)
    assert time.process_time() - begin < 5


def test_lengths_beyond_the_file_cost_nothing() -> None:
    blob = start_of_file() + struct.pack("<HH2sHI", 0x0029, 0x1010, b"OB", 0, 0xFFFFFFF0) + bytes(100)
    assert walk_header(blob) is None
    tracemalloc.start()
    read_headers(blob)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_headers_of_frames_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "MAX_GROUPS_BYTES", 8 << 20)
    per_frame = tiny_elements(1_100_000)
    sequence = struct.pack("<HH2sHI", 0x5200, 0x9230, b"SQ", 0, len(per_frame) + 8)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(per_frame))
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 8) + bytes(8)
    with pytest.raises(HeaderError, match="frames"):
        read_headers(start_of_file() + sequence + item + per_frame + pixels)


def test_a_parser_cannot_ask_for_all_the_rest() -> None:
    with pytest.raises(HeaderError, match="deflated"):
        BoundedStream(io.BytesIO(bytes(10))).read()


def test_reads_are_counted_over_the_whole_file() -> None:
    stream = BoundedStream(io.BytesIO(bytes(10)))
    for _ in range(MAX_READS):
        stream.read(1)
    with pytest.raises(HeaderError, match="reads"):
        stream.read(1)
