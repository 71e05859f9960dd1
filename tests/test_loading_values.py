"""Stored values become Hounsfield units, or the series is refused."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

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


def edits(**values: object):  # type: ignore[no-untyped-def]
    def edit(_: int, ds: Dataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return edit


def test_metal_beyond_12_bits_stays_metal_and_is_told(tmp_path: Path) -> None:
    hu = stored_body() - np.int16(1024)
    hu[2, 5, 5] = 3071
    write_series(tmp_path, hu, edit=edits(BitsStored=12, HighBit=11, RescaleIntercept="0"))
    loaded = load_series(tmp_path)
    np.testing.assert_array_equal(loaded.volume.hu, hu)
    assert codes(loaded)["beyond_bits_stored"] == {"images": 1, "voxels": 1}
    assert next(c for c in loaded.loading.codes if c.code == "beyond_bits_stored").slices == (2,)


def narrow(stored: np.ndarray, intercept: str):  # type: ignore[no-untyped-def]
    """Return an edit that codes values in 12 bits of JPEG 2000 under a header that says 16, with sign."""

    def edit(index: int, ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
        ds.RescaleIntercept = intercept
        plane = np.asarray(stored[index] & 0xFFF, dtype=np.uint16)
        coded = imagecodecs.jpeg2k_encode(plane, level=0, codecformat="j2k", bitspersample=12)
        ds.PixelData = encapsulate([coded])
        ds["PixelData"].is_undefined_length = True
        ds["PixelData"].VR = "OB"

    return edit


def test_air_in_a_stream_narrower_than_its_header_is_air(tmp_path: Path) -> None:
    hu = stored_body() - np.int16(1024)
    write_series(tmp_path, hu, edit=narrow(hu, "0"))
    loaded = load_series(tmp_path)
    np.testing.assert_array_equal(loaded.volume.hu, hu)
    assert codes(loaded)["narrow_stream"] == {"images": 8, "voxels": (hu < 0).sum()}


def test_a_narrow_stream_that_may_hold_metal_or_padding_is_refused(tmp_path: Path) -> None:
    stored = stored_body()
    stored[:, 5, 5] = 3000  # 1976 HU, or -2120 HU if the 12th bit is a sign
    write_series(tmp_path, stored, edit=narrow(stored, "-1024"))
    assert refusal_code(tmp_path) == "bit_depth"


def test_a_narrow_stream_without_its_highest_bit_is_plain(tmp_path: Path) -> None:
    stored = stored_body()
    write_series(tmp_path, stored, edit=narrow(stored, "-1024"))
    loaded = load_series(tmp_path)
    np.testing.assert_array_equal(loaded.volume.hu, stored - 1024)
    assert "narrow_stream" not in codes(loaded)


def test_inverted_images_are_found_wherever_they_begin(tmp_path: Path) -> None:
    stored = stored_body()
    stored[1:] = 2048 - stored[1:]

    def invert(index: int, ds: Dataset) -> None:
        ds.PhotometricInterpretation = "MONOCHROME1" if index else "MONOCHROME2"

    write_series(tmp_path, stored, edit=invert)
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert (refusal.value.code, refusal.value.details["images"]) == ("monochrome1", 7)


def test_upright_images_for_inverted_display_among_others_are_counted(tmp_path: Path) -> None:
    stored = stored_body()
    stored[:, -2:] = 24  # air at all corners

    def invert(index: int, ds: Dataset) -> None:
        ds.PhotometricInterpretation = "MONOCHROME1" if index in (3, 4) else "MONOCHROME2"

    write_series(tmp_path, stored, edit=invert)
    loaded = load_series(tmp_path)
    np.testing.assert_array_equal(loaded.volume.hu, stored - 1024)
    assert codes(loaded)["monochrome1"] == {"images": 2}


@pytest.mark.parametrize("slope", [None, "0"])
def test_an_intercept_that_varies_without_a_slope_is_applied_and_told(
    tmp_path: Path, slope: str | None
) -> None:
    stored = stored_body()
    stored[1::2] -= 100

    def vary(index: int, ds: Dataset) -> None:
        ds.RescaleIntercept = "-924" if index % 2 else "-1024"
        ds.RescaleSlope = slope
        if slope is None:
            del ds.RescaleSlope

    write_series(tmp_path, stored, edit=vary)
    loaded = load_series(tmp_path)
    np.testing.assert_array_equal(loaded.volume.hu, stored_body() - 1024)
    assert codes(loaded)["varying_rescale"] == {"conversions": 2}
    (told,) = [c.text for c in loaded.loading.codes if c.code == "rescale_missing"]
    assert "Rescale Intercept was added" in told


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [("0.000001", "-1024"), ("1", "1e300"), ("1", "-1e18"), ("1e300", "0"), ("250", "-1000"), ("-1", "1024")],
)
@pytest.mark.parametrize("which", [None, 4])
def test_a_scale_without_soft_tissue_is_refused(
    tmp_path: Path, slope: str, intercept: str, which: int | None
) -> None:
    def spoil(index: int, ds: Dataset) -> None:
        if which in (None, index):
            ds.RescaleSlope, ds.RescaleIntercept = slope, intercept

    write_series(tmp_path, stored_body(), edit=spoil)
    assert refusal_code(tmp_path) == "not_hounsfield"


@pytest.mark.parametrize(("slope", "intercept"), [("0.5", "-512"), ("1", "-1024.5")])
def test_rounding_to_whole_units_is_told(tmp_path: Path, slope: str, intercept: str) -> None:
    stored = stored_body()
    stored[:, :2] = -1024
    write_series(tmp_path, stored, edit=edits(RescaleSlope=slope, RescaleIntercept=intercept))
    loaded = load_series(tmp_path)
    expected = np.maximum(np.rint(stored * float(slope) + float(intercept)), -1024)
    np.testing.assert_array_equal(loaded.volume.hu, expected)
    assert "fractional_values" in codes(loaded)


def test_a_volume_of_padding_alone_is_no_ct(tmp_path: Path) -> None:
    write_series(tmp_path, np.full((8, 12, 10), -2000, dtype=np.int16))
    assert refusal_code(tmp_path) == "not_hounsfield"
