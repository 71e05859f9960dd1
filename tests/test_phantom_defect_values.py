"""Defects of values, storage and files, read back with pydicom alone: what is named changes, and nothing else."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from defect_case import SHAPE, Read, hounsfield, spoil
from paraspinal.errors import UsageError
from paraspinal.phantom.defects import write_defective_series
from paraspinal.volume import CTVolume, Geometry


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return Read.of(spoil(tmp_path_factory.mktemp("clean")))


# --- headers and values: this changes, and nothing else ------------------------------------------------------

# Attributes that differ from those of the series without defects.
CHANGED = {
    "clipped": set(),
    "padding:tag": {"PixelPaddingValue"},
    "padding:no-tag": set(),
    "no-kvp": {"KVP"},
    "virtual-energy:70": {"ImageType", "SeriesDescription"},
    "mip": {"ImageType", "SeriesDescription"},
    "cone-beam": {"ImageType", "SeriesDescription", "ManufacturerModelName"},
    "iodine-map": {"ImageType", "SeriesDescription", "RescaleType", "RescaleSlope"},
    "perfusion-map": {"ImageType", "SeriesDescription", "RescaleType"},
    "modality:MR": {"Modality", "SOPClassUID"},
    "modality:PT": {"Modality", "SOPClassUID"},
    "no-rescale": {"RescaleSlope", "RescaleIntercept", "RescaleType"},
    "odd-rescale": {"RescaleSlope", "RescaleIntercept", "PixelRepresentation"},
    "negative-slope": {"RescaleSlope"},
    "modality-lut": {
        *("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence"),
        *("PixelRepresentation", "BitsStored", "HighBit"),
    },
    "unsigned": {"RescaleIntercept", "PixelRepresentation"},
    "bits:12": {"RescaleIntercept", "PixelRepresentation", "BitsStored", "HighBit"},
    "bits:8": {
        *("RescaleSlope", "RescaleIntercept", "PixelRepresentation"),
        *("BitsAllocated", "BitsStored", "HighBit"),
    },
    "monochrome1": {"PhotometricInterpretation"},
    "empty-uids": {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"},
    "syntax:implicit": set(),
    "syntax:big-endian": set(),
    "syntax:deflated": set(),
    "syntax:rle": set(),
    "syntax:jpeg-lossless": {"RescaleIntercept", "PixelRepresentation"},
    "syntax:jpeg-ls": {"RescaleIntercept", "PixelRepresentation"},
    "syntax:jpeg2000": {"RescaleIntercept", "PixelRepresentation"},
    "syntax:htj2k": {"RescaleIntercept", "PixelRepresentation"},
    "lossy:jpeg-ls": {
        *("RescaleIntercept", "PixelRepresentation"),
        *("LossyImageCompression", "LossyImageCompressionMethod"),
    },
    "lossy:jpeg": {
        *("RescaleSlope", "RescaleIntercept", "PixelRepresentation"),
        *("BitsAllocated", "BitsStored", "HighBit"),
        *("LossyImageCompression", "LossyImageCompressionMethod"),
    },
}
# The values of these are not those of the series without defects, by more than the number in HU.
ALTERED = {
    *("clipped", "padding:tag", "padding:no-tag", "mip", "cone-beam", "iodine-map", "perfusion-map"),
}
ROUNDED = {"bits:8": 8.0, "lossy:jpeg": 120.0, "lossy:jpeg-ls": 5.0}


@pytest.mark.parametrize("defect", CHANGED)
def test_only_what_is_named_changes(defect, tmp_path, clean):
    read = Read.of(spoil(tmp_path, defect))
    assert len(read.datasets) == len(clean.datasets)
    for ds, good in zip(read.datasets, clean.datasets, strict=True):
        keywords = {e.keyword for e in (*ds, *good)} - {"PixelData"}
        assert {k for k in keywords if ds.get(k) != good.get(k)} == CHANGED[defect]
        if defect not in ALTERED:
            assert np.abs(hounsfield(ds) - hounsfield(good)).max() <= ROUNDED.get(defect, 0.0)


def test_altered_values_are_what_they_are_called(tmp_path, clean):
    hu = np.stack([hounsfield(d) for d in clean.datasets])

    def values(defect):
        read = Read.of(spoil(tmp_path / defect.replace(":", ""), defect))
        return np.stack([hounsfield(d) for d in read.datasets]), read.datasets[0]

    padded, ds = values("padding:tag")
    assert ds.PixelPaddingValue == -3024
    assert set(np.unique(padded[padded != hu])) == {-3024.0}
    assert (padded[:, 0, 0] == -3024).all()
    assert padded[:, SHAPE[1] // 2, 1].min() > -3024
    assert np.array_equal(values("clipped")[0], np.clip(hu, -1024, 1023))
    mip, _ = values("mip")
    assert np.array_equal(mip[5], hu[3:8].max(axis=0))
    iodine, _ = values("iodine-map")
    assert 0 <= iodine.min() <= iodine.max() < 50
    assert np.median(values("cone-beam")[0][10, 20:24, 24:28]) == pytest.approx(0.85 * 40 - 50, abs=1)


def test_clipping_reaches_dense_bone(tmp_path):
    hu = np.full((4, 8, 8), 50, np.int16)
    hu[:, 2:4, 2:4] = 1800
    dense = CTVolume(hu, Geometry((4, 8, 8), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    read = Read.of(list(write_defective_series(dense, tmp_path, ["clipped"], uid_seed="x")))
    assert max(hounsfield(d).max() for d in read.datasets) == 1023


def test_what_a_form_cannot_hold_is_refused(tmp_path):
    hu = np.full((4, 8, 8), 3500, np.int16)
    dense = CTVolume(hu, Geometry((4, 8, 8), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    with pytest.raises(UsageError) as error:
        write_defective_series(dense, tmp_path, ["bits:12"], uid_seed="x")
    assert error.value.code == "hu_not_storable"
    with pytest.raises(UsageError) as error:
        write_defective_series(dense, tmp_path, ["negative-slope", "syntax:jpeg-ls"], uid_seed="x")
    assert error.value.code == "defects_contradict"
    assert not list(tmp_path.iterdir())


def test_padding_goes_through_a_compressed_syntax(tmp_path):
    read = Read.of(spoil(tmp_path, "padding", "syntax:jpeg-ls"))
    ds = read.datasets[0]
    assert hounsfield(ds)[0, 0] == -3024
    assert ds.PixelPaddingValue * ds.RescaleSlope + ds.RescaleIntercept == -3024


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("defect", "name"),
    [
        ("syntax:implicit", "Implicit VR Little Endian"),
        ("syntax:big-endian", "Explicit VR Big Endian"),
        ("syntax:deflated", "Deflated Explicit VR Little Endian"),
        ("syntax:rle", "RLE Lossless"),
        ("syntax:jpeg-lossless", "JPEG Lossless"),
        ("syntax:jpeg-ls", "JPEG-LS Lossless"),
        ("syntax:jpeg2000", "JPEG 2000 Image Compression (Lossless Only)"),
        ("syntax:htj2k", "High-Throughput JPEG 2000"),
        ("lossy:jpeg", "JPEG Baseline"),
        ("lossy:jpeg-ls", "JPEG-LS Lossy (Near-Lossless)"),
    ],
)
def test_transfer_syntax_is_the_one_that_is_named(defect, name, tmp_path):
    (path, *_) = spoil(tmp_path, defect, "few:3")
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.name.startswith(name)


def test_a_syntax_that_nobody_knows(tmp_path, clean):
    read = Read.of(spoil(tmp_path, "unknown-syntax"))
    uid = read.datasets[0].file_meta.TransferSyntaxUID
    assert uid.is_valid
    assert not uid.is_transfer_syntax
    assert read.datasets[0].PixelData == clean.datasets[0].PixelData


def test_cut_off_files_claim_pixels_that_are_not_there(tmp_path):
    paths = spoil(tmp_path, "truncated-pixels:2")
    need = SHAPE[1] * SHAPE[2] * 2
    short = [path for path in paths if len(path.read_bytes().split(b"\xe0\x7f\x10\x00OW\0\0")[1]) - 4 < need]
    assert len(short) == 2
    assert len(short[0].read_bytes().split(b"\xe0\x7f\x10\x00OW\0\0")[1]) - 4 == pytest.approx(
        need / 2, abs=8
    )
    assert pydicom.dcmread(short[0], stop_before_pixels=True).Rows == SHAPE[1]
    with pytest.raises((ValueError, EOFError, InvalidDicomError)):
        _ = pydicom.dcmread(short[0]).pixel_array


def test_the_malformed_file_is_no_image_and_the_others_are_good(tmp_path, clean):
    *good, bad = spoil(tmp_path, "malformed")
    assert len(good) == SHAPE[0]
    assert [d.PixelData for d in Read.of(good).datasets] == [d.PixelData for d in clean.datasets]
    ds = pydicom.dcmread(bad, force=True)
    assert "PixelData" not in ds
    assert not {"Rows", "Columns"} <= set(ds.dir())


@pytest.mark.parametrize("defect", ["enhanced", "legacy-enhanced"])
@pytest.mark.parametrize("syntax", ["", "syntax:jpeg-ls"])
def test_multi_frame_objects_hold_all_slices(defect, syntax, tmp_path, clean):
    (path,) = spoil(tmp_path, *filter(None, (defect, syntax)))
    ds = pydicom.dcmread(path)
    assert (
        ds.SOPClassUID.name
        == {
            "enhanced": "Enhanced CT Image Storage",
            "legacy-enhanced": "Legacy Converted Enhanced CT Image Storage",
        }[defect]
    )
    assert ds.file_meta.MediaStorageSOPClassUID == ds.SOPClassUID
    assert ds.NumberOfFrames == len(ds.PerFrameFunctionalGroupsSequence) == SHAPE[0]
    # Type 1 of the multi-frame, dimension and enhanced CT modules (PS3.3 A.38), and what must not stand at the top.
    for keyword in (
        *("ImageType", "AcquisitionDateTime", "ContentDate", "ContentTime", "InstanceNumber"),
        *(
            "PixelPresentation",
            "VolumetricProperties",
            "VolumeBasedCalculationTechnique",
            "BurnedInAnnotation",
        ),
        *("DimensionOrganizationSequence", "DimensionIndexSequence", "PresentationLUTShape"),
        *("LossyImageCompression", "ContentQualification", "FrameOfReferenceUID", "Manufacturer"),
        *(
            "ManufacturerModelName",
            "DeviceSerialNumber",
            "SoftwareVersions",
            "SharedFunctionalGroupsSequence",
        ),
    ):
        assert ds[keyword].value not in (None, ""), keyword
    assert len(ds.ImageType) == 4
    for keyword in ("ImagePositionPatient", "RescaleSlope", "PixelSpacing", "ImageOrientationPatient"):
        assert keyword not in ds
    (shared,) = ds.SharedFunctionalGroupsSequence
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [1.5, 1.5]
    assert list(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    for macro in ("CTImageFrameTypeSequence", "PixelValueTransformationSequence", "FrameAnatomySequence"):
        assert len(shared[macro].value) == 1
    for frame, good in zip(ds.PerFrameFunctionalGroupsSequence, clean.datasets, strict=True):
        assert frame.PlanePositionSequence[0].ImagePositionPatient == good.ImagePositionPatient
    ranks = [
        tuple(f.FrameContentSequence[0].DimensionIndexValues) for f in ds.PerFrameFunctionalGroupsSequence
    ]
    assert ranks == [(1, k) for k in range(SHAPE[0], 0, -1)]
    if not syntax:
        hu = ds.pixel_array + float(shared.PixelValueTransformationSequence[0].RescaleIntercept)
        assert np.array_equal(hu, np.stack([hounsfield(d) for d in clean.datasets]))
    if defect == "legacy-enhanced":
        sources = [
            f.ConversionSourceAttributesSequence[0].ReferencedSOPInstanceUID
            for f in ds.PerFrameFunctionalGroupsSequence
        ]
        assert sources == [d.SOPInstanceUID for d in clean.datasets]


def test_other_series_beside_a_multi_frame_object(tmp_path):
    read = Read.of(spoil(tmp_path, "enhanced", "two-scans", "localizer"))
    frames = sorted(int(d.get("NumberOfFrames", 1)) for d in read.datasets)
    assert frames == [1, SHAPE[0], SHAPE[0]]
    assert len({d.SeriesInstanceUID for d in read.datasets}) == 3
    for ds in read.datasets:
        assert len(ds.PixelData) == int(ds.get("NumberOfFrames", 1)) * ds.Rows * ds.Columns * 2
