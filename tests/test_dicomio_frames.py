"""Frames: what was coded comes back exactly, and malformed ones end in a typed error."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.pixels import get_encoder
from pydicom.uid import UID

from dicom_factory import ct_dataset
from paraspinal.dicomio.codestream import codestream_size
from paraspinal.dicomio.frames import FrameError, OddBits, decode_frame, split_frames
from paraspinal.dicomio.headers import DEFLATED, HeaderError, ImageHeader, plain_bytes, read_headers

LIMIT = 1 << 20


def picture(dtype: type = np.int16) -> np.ndarray:
    generator = np.random.default_rng(3)
    low = -1000 if np.dtype(dtype).kind == "i" else 0
    return generator.integers(low, 3000, (16, 24)).astype(dtype)


def file_of(stored: np.ndarray, *, syntax: str = "1.2.840.10008.1.2.1", coded: bytes | None = None) -> bytes:
    ds = ct_dataset(stored, (0.0, 0.0, 0.0))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    if coded is not None:
        ds.PixelData = encapsulate([coded])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    elif syntax == "1.2.840.10008.1.2.2":
        ds.PixelData = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    out = DicomBytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def decoded(blob: bytes) -> np.ndarray:
    blob = plain_bytes(blob, limit=LIMIT)
    (header,) = read_headers(blob)
    assert header.pixels is not None
    return decode_frame(split_frames(blob, header.pixels)[0], header.pixels)[0]


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", DEFLATED, "1.2.840.10008.1.2.2"]
)
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_native_frames(syntax: str, dtype: type) -> None:
    np.testing.assert_array_equal(decoded(file_of(picture(dtype), syntax=syntax)), picture(dtype))


CODECS = {
    "1.2.840.10008.1.2.4.70": lambda a: imagecodecs.ljpeg_encode(a, bitspersample=16),
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode,
    "1.2.840.10008.1.2.4.90": lambda a: imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k"),
    "1.2.840.10008.1.2.4.201": imagecodecs.htj2k_encode,
}


@pytest.mark.parametrize("syntax", CODECS)
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_compressed_frames(syntax: str, dtype: type) -> None:
    stored = picture(dtype)
    coded = CODECS[syntax](stored.view(np.uint16))
    np.testing.assert_array_equal(decoded(file_of(stored, syntax=syntax, coded=coded)), stored)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_rle_frames(dtype: type) -> None:
    stored = picture(dtype)
    stored[4:9] = 17  # runs
    rle = UID("1.2.840.10008.1.2.5")
    coded = get_encoder(rle).encode(
        stored.tobytes(),
        rows=16,
        columns=24,
        samples_per_pixel=1,
        bits_allocated=16,
        bits_stored=16,
        pixel_representation=int(stored.dtype.kind == "i"),
        photometric_interpretation="MONOCHROME2",
        number_of_frames=1,
    )
    np.testing.assert_array_equal(decoded(file_of(stored, syntax=rle, coded=coded)), stored)


def header_of(blob: bytes, **changes: object) -> ImageHeader:
    (header,) = read_headers(blob)
    assert header.pixels is not None
    return replace(header, pixels=replace(header.pixels, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"rows": 17}, "truncated_pixel_data"),
        ({"rows": 8}, "pixel_data_mismatch"),
        ({"frames": 5}, "truncated_pixel_data"),
        ({"samples": 3}, "not_grey"),
        ({"photometric": ""}, "not_grey"),
        ({"bits_allocated": 48}, "bit_depth"),
        ({"high_bit": 20}, "bit_depth"),
        ({"bits_stored": 14}, "bit_depth"),
        ({"bits_stored": 0, "high_bit": -1}, "bit_depth"),
        ({"transfer_syntax": "1.2.3.4"}, "undecodable"),
    ],
)
def test_headers_that_do_not_fit_the_pixels(changes: dict[str, object], code: str) -> None:
    blob = file_of(picture())
    form = header_of(blob, **changes).pixels
    assert form is not None
    with pytest.raises(FrameError) as error:
        decode_frame(split_frames(blob, form)[0], form)
    assert error.value.code == code


def test_overlays_in_unused_bits_are_cleared_and_told() -> None:
    stored = picture(np.uint16) & 0xFFF
    blob = file_of(stored | 0x4000)
    form = header_of(blob, bits_stored=12, high_bit=11).pixels
    assert form is not None
    array, odd = decode_frame(split_frames(blob, form)[0], form)
    np.testing.assert_array_equal(array, stored)
    assert odd == OddBits(cleared=stored.size)


@pytest.mark.parametrize("extended", [False, True])
def test_the_sign_of_12_bit_values(extended: bool) -> None:
    stored = picture() // 2  # -500 … 1500 fits 12 signed bits
    blob = file_of(stored if extended else stored & np.int16(0xFFF))
    form = header_of(blob, bits_stored=12, high_bit=11).pixels
    assert form is not None
    array, odd = decode_frame(split_frames(blob, form)[0], form)
    np.testing.assert_array_equal(array, stored)
    assert odd == OddBits()


@pytest.mark.parametrize("syntax", CODECS)
def test_a_frame_larger_than_its_header_says_is_never_decoded(syntax: str) -> None:
    bomb = CODECS[syntax](np.zeros((512, 512), np.uint16))
    assert codestream_size(bomb)[:3] == (512, 512, 1)  # type: ignore[index]
    with pytest.raises(FrameError) as error:
        decoded(file_of(picture(), syntax=syntax, coded=bomb))
    assert error.value.code == "pixel_data_mismatch"


@pytest.mark.parametrize("syntax", [*CODECS, "1.2.840.10008.1.2.5"])
def test_damaged_frames_end_in_a_typed_error(syntax: str) -> None:
    generator = np.random.default_rng(5)
    good = CODECS.get(syntax, lambda _: struct.pack("<16I", 2, 64, 80, *[0] * 13) + bytes(64))(
        picture(np.uint16)
    )
    for _ in range(40):
        damaged = bytearray(good)
        for at in generator.integers(0, len(damaged), 6):
            damaged[at] = generator.integers(0, 256)
        blob = file_of(
            picture(np.uint16), syntax=syntax, coded=bytes(damaged[: generator.integers(4, len(good))])
        )
        try:
            array = decoded(blob)
        except FrameError:
            continue
        assert array.shape == (16, 24)


def test_a_deflate_bomb_is_refused() -> None:
    meta_end = plain = file_of(picture(), syntax=DEFLATED)
    meta_end = 144 + struct.unpack("<I", plain[140:144])[0]
    packer = zlib.compressobj(wbits=-15)
    bomb = plain[:meta_end] + packer.compress(bytes(8 * LIMIT)) + packer.flush()
    with pytest.raises(HeaderError, match="inflates beyond"):
        plain_bytes(bomb, limit=LIMIT)
    with pytest.raises(HeaderError, match=r"cut off|damaged"):
        plain_bytes(plain[:-40], limit=LIMIT)


@pytest.mark.realdata
def test_all_lossless_forms_of_one_slice_agree(real_data: Path) -> None:
    folder = real_data / "loader" / "transfer-syntaxes"
    reference = decoded((folder / "CTImage.dcm").read_bytes())
    worst = {}
    for path in folder.glob("CTImage.dcm_*"):
        blob = path.read_bytes()
        (header,) = read_headers(plain_bytes(blob, limit=1 << 24))
        array = decode_frame(
            split_frames(plain_bytes(blob, limit=1 << 24), header.pixels)[0],  # type: ignore[arg-type]
            header.pixels,  # type: ignore[arg-type]
        )[0]
        hu = array * (header.rescale.slope or 1) + (header.rescale.intercept or 0)
        worst[path.name.split("Syntax_")[-1]] = float(np.abs(hu - (reference - 1024.0)).max())
    assert len(worst) == 15
    lossless = [
        d
        for name, d in worst.items()
        if name.split(".dcm")[0].endswith(("1.2", ".1", ".2", "99", "57", "70", "80", "90", "2.5"))
    ]
    assert len(lossless) == 9
    assert max(lossless) == 0
    assert worst["1.2.840.10008.1.2.4.81.dcm"] <= 1
    assert worst["1.2.840.10008.1.2.4.91.dcm"] <= 5


def twelve_bits(values: np.ndarray) -> np.ndarray:
    return np.asarray(values & 0xFFF, dtype=np.uint16)


NARROW = {
    "1.2.840.10008.1.2.4.70": lambda a: imagecodecs.ljpeg_encode(a, bitspersample=12),
    "1.2.840.10008.1.2.4.90": lambda a: imagecodecs.jpeg2k_encode(
        a, level=0, codecformat="j2k", bitspersample=12
    ),
}


@pytest.mark.parametrize("syntax", NARROW)
def test_a_stream_narrower_than_bits_stored_carries_the_sign_in_its_own_highest_bit(syntax: str) -> None:
    stored = picture() // 2  # fits 12 bits with sign; the header says 16
    blob = file_of(stored, syntax=syntax, coded=NARROW[syntax](twelve_bits(stored)))
    form = header_of(blob).pixels
    assert form is not None
    assert form.bits_stored == 16
    array, odd = decode_frame(split_frames(blob, form)[0], form)
    np.testing.assert_array_equal(array, stored)
    assert odd == OddBits(narrow=int((stored < 0).sum()))


def test_an_8_bit_stream_under_a_12_bit_header_does_not_wrap() -> None:
    stored = picture() // 32  # -32 … 93
    syntax = "1.2.840.10008.1.2.4.80"
    blob = file_of(stored, syntax=syntax, coded=imagecodecs.jpegls_encode(stored.astype(np.uint8)))
    form = header_of(blob, bits_stored=12, high_bit=11).pixels
    assert form is not None
    array, odd = decode_frame(split_frames(blob, form)[0], form)
    np.testing.assert_array_equal(array, stored)
    assert odd.narrow == (stored < 0).sum()


def test_a_stream_with_a_sign_under_a_header_without_one_is_refused() -> None:
    stored = picture()
    coded = imagecodecs.jpeg2k_encode(stored, level=0, codecformat="j2k")
    blob = file_of(stored, syntax="1.2.840.10008.1.2.4.90", coded=coded)
    size = codestream_size(coded)
    assert size is not None
    assert (size.depth, size.signed) == (16, True)
    np.testing.assert_array_equal(decoded(blob), stored)
    form = header_of(blob, signed=False).pixels
    assert form is not None
    with pytest.raises(FrameError) as error:
        decode_frame(split_frames(blob, form)[0], form)
    assert error.value.code == "bit_depth"


@pytest.mark.parametrize("beyond", [3071, -3024])
def test_a_value_wider_than_bits_stored_is_metal_or_padding_and_not_its_lower_bits(beyond: int) -> None:
    stored = picture() // 2
    stored[3, 4] = beyond  # the lowest 12 bits would read -1025 and 1072
    blob = file_of(stored)
    form = header_of(blob, bits_stored=12, high_bit=11).pixels
    assert form is not None
    array, odd = decode_frame(split_frames(blob, form)[0], form)
    np.testing.assert_array_equal(array, stored)
    assert odd == OddBits(beyond=1)


def test_an_overlay_beside_extended_signs_is_cleared_and_counted() -> None:
    stored = picture() // 2
    marked = stored.copy()
    marked[5, 5:9] = np.abs(marked[5, 5:9]) | 0x4000
    stored[5, 5:9] = np.abs(stored[5, 5:9])
    form = header_of(file_of(marked), bits_stored=12, high_bit=11).pixels
    assert form is not None
    array, odd = decode_frame(split_frames(file_of(marked), form)[0], form)
    np.testing.assert_array_equal(array, stored)
    assert odd == OddBits(cleared=4)


def test_the_deflated_syntax_counts_only_as_the_transfer_syntax() -> None:
    """Available Transfer Syntax UID (0008,3002) may name it in the first bytes of any file."""
    ds = ct_dataset(picture(), (0.0, 0.0, 0.0))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.add_new(0x00083002, "UI", DEFLATED)
    out = DicomBytesIO()
    ds.save_as(out, enforce_file_format=True)
    blob = out.getvalue()
    assert plain_bytes(blob, limit=LIMIT) is blob
    np.testing.assert_array_equal(decoded(blob), picture())
