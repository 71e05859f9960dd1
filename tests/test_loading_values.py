"""Stored values become Hounsfield units, or the series is refused."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_factory import stored_body, write_series
from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading import LoadedSeries, load_series


def codes(loaded: LoadedSeries) -> dict[str, dict[str, float]]:
    return {c.code: c.numbers for c in loaded.loading.codes}


def refusal_code(folder: Path) -> str:
    with pytest.raises(LoadError) as refusal:
        load_series(folder)
    return refusal.value.code


def test_a_plain_series_has_no_padding_and_no_codes(tmp_path: Path) -> None:
    stored = stored_body()
    write_series(tmp_path, stored)
    loaded = load_series(tmp_path)
    np.testing.assert_array_equal(loaded.volume.hu, stored - 1024)
    assert loaded.volume.hu.dtype == np.int16
    assert loaded.volume.padding is None
    assert loaded.loading.verdict == "ok"
    assert set(codes(loaded)) == {"non_square_pixels"}


def test_unwritten_padding_is_marked_and_reads_air(tmp_path: Path) -> None:
    stored = stored_body()
    stored[:, :, 0] = -2000  # -3024 HU
    write_series(tmp_path, stored)
    loaded = load_series(tmp_path)
    padding = loaded.volume.padding
    assert padding is not None
    expected = np.zeros(stored.shape, bool)
    expected[:, :, 0] = True
    np.testing.assert_array_equal(padding, expected)
    assert (loaded.volume.hu[expected] == -1024).all()
    np.testing.assert_array_equal(loaded.volume.hu[~expected], (stored - 1024)[~expected])
    assert codes(loaded)["padding"]["voxels"] == expected.sum()


def test_padding_follows_flipped_rows(tmp_path: Path) -> None:
    stored = stored_body()
    stored[2, 0, 1] = -2000

    def flip(_: int, ds: Dataset) -> None:
        ds.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]

    write_series(tmp_path, stored, edit=flip)
    volume = load_series(tmp_path).volume
    assert volume.padding is not None
    assert (volume.hu[volume.padding] == -1024).all()
    assert np.argwhere(volume.to_source(volume.padding)).shape == (1, 3)
    assert volume.padding[2, -1, 1]


def test_a_stated_padding_value_below_every_tissue_is_padding(tmp_path: Path) -> None:
    stored = stored_body()
    stored[:, 3, 3] = -300  # -1324 HU

    def state(_: int, ds: Dataset) -> None:
        ds.add_new("PixelPaddingValue", "US", (1 << 16) - 300)  # unsigned beside signed pixels

    write_series(tmp_path, stored, edit=state)
    padding = load_series(tmp_path).volume.padding
    assert padding is not None
    assert padding.sum() == len(stored)


def test_a_stated_padding_value_that_is_a_tissue_value_is_not_taken(tmp_path: Path) -> None:
    def state(_: int, ds: Dataset) -> None:
        ds.PixelPaddingValue = 1050  # 26 HU

    write_series(tmp_path, stored_body(), edit=state)
    loaded = load_series(tmp_path)
    assert loaded.volume.padding is None
    assert codes(loaded)["padding_value_ignored"]["stated_hu"] == 26


def test_rescale_is_applied_slice_by_slice_and_rounded(tmp_path: Path) -> None:
    stored = stored_body()

    def vary(index: int, ds: Dataset) -> None:
        ds.RescaleSlope = "0.5" if index % 2 else "1"

    write_series(tmp_path, stored, edit=vary)
    loaded = load_series(tmp_path)
    np.testing.assert_array_equal(loaded.volume.hu[0], stored[0] - 1024)
    np.testing.assert_array_equal(loaded.volume.hu[1], np.rint(stored[1] * 0.5 - 1024))
    assert "varying_rescale" in codes(loaded)


def test_values_beyond_16_bits_are_cut_and_counted(tmp_path: Path) -> None:
    stored = stored_body()
    stored[3, 6, 6] = 32767

    def stretch(_: int, ds: Dataset) -> None:
        ds.RescaleSlope = "1.5"

    write_series(tmp_path, stored, edit=stretch)
    loaded = load_series(tmp_path)
    assert loaded.volume.hu.max() == 32767
    assert codes(loaded)["clipped_to_int16"] == {"voxels": 1}
    assert next(c for c in loaded.loading.codes if c.code == "clipped_to_int16").slices == (3,)


def drop_rescale(_: int, ds: Dataset) -> None:
    del ds.RescaleSlope, ds.RescaleIntercept


def test_missing_rescale_is_accepted_where_air_reads_as_air(tmp_path: Path) -> None:
    write_series(tmp_path, stored_body() - np.int16(1024), edit=drop_rescale)
    loaded = load_series(tmp_path)
    assert loaded.volume.hu.min() == -1000
    assert "rescale_missing" in codes(loaded)


def test_missing_rescale_is_refused_where_values_cannot_be_hounsfield(tmp_path: Path) -> None:
    write_series(tmp_path, stored_body(), edit=drop_rescale)
    assert refusal_code(tmp_path) == "not_hounsfield"


def test_rescale_on_some_slices_only_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, stored_body(), edit=lambda i, ds: drop_rescale(i, ds) if i == 4 else None)
    assert refusal_code(tmp_path) == "mixed_rescale"


def set_value(keyword: str, value: object):  # type: ignore[no-untyped-def]
    return lambda _, ds: setattr(ds, keyword, value)


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("RescaleType", "Z_EFF", "not_hounsfield"),
        ("ImageType", ["DERIVED", "PRIMARY", "AXIAL", "IODINE"], "not_hounsfield"),
        ("ImageType", ["DERIVED", "SECONDARY", "MIP"], "projection_image"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"], "localizer"),
        ("PhotometricInterpretation", "MONOCHROME1", "monochrome1"),
        ("PhotometricInterpretation", "RGB", "not_grey"),
        ("BitsStored", 17, "bit_depth"),
        ("BitsAllocated", 12, "bit_depth"),
        ("Modality", "MR", "not_ct"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4", "not_ct"),
        ("NumberOfFrames", 3, "enhanced_multiframe"),
    ],
)
def test_what_is_not_a_ct_slice_is_refused_by_name(
    tmp_path: Path, keyword: str, value: object, code: str
) -> None:
    write_series(tmp_path, stored_body(), edit=set_value(keyword, value))
    assert refusal_code(tmp_path) == code


def test_derived_secondary_alone_is_no_reason_to_refuse(tmp_path: Path) -> None:
    write_series(tmp_path, stored_body(), edit=set_value("ImageType", ["DERIVED", "SECONDARY", "AXIAL"]))
    assert load_series(tmp_path).volume.hu.shape[0] == 8


def test_unstated_signedness_is_never_guessed(tmp_path: Path) -> None:
    def drop(_: int, ds: Dataset) -> None:
        del ds.PixelRepresentation

    write_series(tmp_path, stored_body(), edit=drop)
    assert refusal_code(tmp_path) == "unreadable_file"


@pytest.mark.parametrize(("keep", "code"), [(0, "no_pixel_data"), (100, "truncated_pixel_data")])
def test_an_image_with_cut_pixel_data_is_left_out_by_name(tmp_path: Path, keep: int, code: str) -> None:
    def cut(index: int, ds: Dataset) -> None:
        if index == 5 and keep:
            ds.PixelData = ds.PixelData[:keep]
        elif index == 5:
            del ds.PixelData

    write_series(tmp_path, stored_body(), edit=cut)
    if code == "no_pixel_data":  # an image without pixels is a stack of its own; a hole remains
        assert load_series(tmp_path).volume.interpolated == (5,)
        return
    loaded = load_series(tmp_path)
    assert loaded.volume.interpolated == (5,)
    damage = next(c for c in loaded.loading.codes if c.code == "damaged_slices")
    assert "slice0005" in damage.text
    with pytest.raises(LoadError, match="slice0005") as refusal:
        load_series(tmp_path, config=LoadingConfig(policy="strict"))
    assert refusal.value.code == code


def test_acquisition_is_filled_from_the_headers(tmp_path: Path) -> None:
    def describe(index: int, ds: Dataset) -> None:
        ds.Exposure = str(100 + index)
        ds.PatientAge = "018M"
        ds.PatientSex = "F"
        ds.KVP = "0"
        ds.ConvolutionKernel = ["Br40f", "3"]
        ds.Manufacturer = "A\tB" + "x" * 61

    write_series(tmp_path, stored_body(), edit=describe)
    loaded = load_series(tmp_path)
    found = loaded.volume.acquisition
    assert found.exposure_mas == 103.5
    assert found.patient_age_years == 1.5
    assert found.patient_sex == "F"
    assert found.kvp is None
    assert found.kernel == "Br40f\\3"
    assert found.manufacturer == "AB" + "x" * 61
    assert "kvp_unknown" in codes(loaded)
