"""What is written in a transfer syntax is read by other decoders than ours, bit for bit."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders import RLELosslessDecoder

from paraspinal.dicomio.encode import NEAR_LOSSLESS_ERROR, UNSIGNED_ONLY, set_pixel_data
from paraspinal.errors import UsageError

DECODERS = {
    "jpeg-lossless": imagecodecs.jpeg_decode,
    "jpeg-ls": imagecodecs.jpegls_decode,
    "jpeg-ls-near": imagecodecs.jpegls_decode,
    "jpeg2000": imagecodecs.jpeg2k_decode,
    "htj2k": imagecodecs.jpeg2k_decode,
    "jpeg": imagecodecs.jpeg_decode,
}


def frames(dtype, count=2):
    """Return frames with flat parts, noise and the extremes of the type."""
    info = np.iinfo(dtype)
    made = np.random.default_rng(1).integers(info.min, info.max, (count, 17, 23), endpoint=True)
    made[:, :6] = info.max
    made[:, 6, :3] = info.min
    return list(made.astype(dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("syntax", ["jpeg-lossless", "jpeg-ls", "jpeg2000", "htj2k", "jpeg-ls-near"])
def test_compressed_frames_come_back(syntax, dtype):
    ds, given = Dataset(), frames(dtype)
    set_pixel_data(ds, given, syntax)
    coded = list(generate_frames(ds.PixelData, number_of_frames=2))
    for frame, one in zip(given, coded, strict=True):
        off = np.abs(DECODERS[syntax](one).astype(int) - frame.astype(int)).max()
        assert off <= (NEAR_LOSSLESS_ERROR if syntax == "jpeg-ls-near" else 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_run_lengths_are_those_of_the_standard(dtype):
    ds, given = Dataset(), frames(dtype)
    ds.Rows, ds.Columns = given[0].shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = given[0].dtype.itemsize * 8
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit, ds.PixelRepresentation, ds.NumberOfFrames = bits - 1, int(dtype == np.int16), 2
    set_pixel_data(ds, given, "rle")
    decoded = RLELosslessDecoder.as_array(ds.PixelData, **_format(ds), decoding_plugin="pydicom")[0]
    assert np.array_equal(decoded, np.stack(given))


def _format(ds):
    names = {
        **{"rows": "Rows", "columns": "Columns", "number_of_frames": "NumberOfFrames"},
        **{"samples_per_pixel": "SamplesPerPixel", "photometric_interpretation": "PhotometricInterpretation"},
        **{"bits_allocated": "BitsAllocated", "bits_stored": "BitsStored"},
        "pixel_representation": "PixelRepresentation",
    }
    return {option: ds[keyword].value for option, keyword in names.items()} | {"pixel_keyword": "PixelData"}


@pytest.mark.parametrize("syntax", sorted(UNSIGNED_ONLY))
def test_signed_values_are_refused_where_the_sign_would_be_lost(syntax):
    with pytest.raises(UsageError) as error:
        set_pixel_data(Dataset(), frames(np.int16), syntax)
    assert error.value.code == "values_not_codable"


def test_jpeg_baseline_holds_8_bits_only():
    ds = Dataset()
    smooth = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8)
    set_pixel_data(ds, [smooth], "jpeg")
    (coded,) = generate_frames(ds.PixelData, number_of_frames=1)
    assert np.abs(imagecodecs.jpeg_decode(coded).astype(int) - smooth).max() <= 3
    with pytest.raises(UsageError):
        set_pixel_data(ds, frames(np.uint16), "jpeg")
