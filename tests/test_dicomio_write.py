"""CT series are written as valid, repeatable DICOM that reads back bit for bit."""

from __future__ import annotations

import warnings

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.uid import UID, CTImageStorage

from paraspinal.dicomio.write import SYNTAXES, write_ct_series
from paraspinal.errors import UsageError
from paraspinal.volume import Acquisition, CTVolume, Geometry

# Attributes of type 1 and 2 of the CT Image IOD (DICOM PS3.3 A.3) that apply to an axial slice.
TYPE_1 = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "ImageType",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "RescaleIntercept",
    "RescaleSlope",
]
TYPE_2 = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "SeriesNumber",
    "PatientPosition",
    "PositionReferenceIndicator",
    "Manufacturer",
    "InstanceNumber",
    "SliceThickness",
    "KVP",
    "AcquisitionNumber",
]


@pytest.fixture
def volume():
    hu = np.random.default_rng(4).integers(-1024, 3072, (5, 24, 32)).astype(np.int16)
    hu[0, 0, :2] = (-1024, 3071)
    geometry = Geometry((5, 24, 32), (2.5, 0.7, 0.9), (-11.25, 3.5, -140.125))
    return CTVolume(hu, geometry, Acquisition(kvp=120.0, kernel="SOFT", slice_thickness_mm=3.0))


def decode(ds):
    if not ds.file_meta.TransferSyntaxUID.is_encapsulated:
        return ds.pixel_array
    return imagecodecs.jpegls_decode(next(generate_frames(ds.PixelData, number_of_frames=1)))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_round_trip_is_bit_exact(volume, tmp_path, syntax):
    paths = write_ct_series(volume, tmp_path / "s", uid_seed="a", transfer_syntax=syntax)
    assert len(paths) == 5
    for z, path in enumerate(paths):
        ds = pydicom.dcmread(path)
        hu = decode(ds).astype(np.int32) * int(ds.RescaleSlope) + int(ds.RescaleIntercept)
        assert np.array_equal(hu, volume.hu[z])
        assert np.allclose(ds.ImagePositionPatient, volume.geometry.to_lps((z, 0, 0)))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_files_hold_what_the_ct_image_definition_asks_for(volume, tmp_path, syntax):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (path, *_) = write_ct_series(volume, tmp_path, uid_seed="a", transfer_syntax=syntax)
        ds = pydicom.dcmread(path)
        for element in ds.iterall():
            _ = element.value
    for keyword in TYPE_1:
        assert ds[keyword].value not in (None, ""), keyword
    for keyword in TYPE_2:
        assert keyword in ds, keyword
    assert ds.SOPClassUID == CTImageStorage == ds.file_meta.MediaStorageSOPClassUID
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert ds.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert ds.PixelSpacing == [0.7, 0.9]
    assert (ds.SliceThickness, ds.KVP, ds.ConvolutionKernel) == (3.0, 120.0, "SOFT")
    assert (ds.Modality, ds.QualityControlImage, ds.LossyImageCompression) == ("CT", "YES", "00")


def test_instance_numbers_run_from_head_to_feet(volume, tmp_path):
    headers = [pydicom.dcmread(p) for p in write_ct_series(volume, tmp_path, uid_seed="a")]
    assert [h.InstanceNumber for h in headers] == [5, 4, 3, 2, 1]
    z = [float(h.ImagePositionPatient[2]) for h in headers]
    assert np.allclose(np.diff(z), 2.5)


def test_identifiers_follow_from_the_seed(volume, tmp_path):
    first, again, other = (
        write_ct_series(volume, tmp_path / name, uid_seed=seed)
        for name, seed in (("a", "x"), ("b", "x"), ("c", "y"))
    )
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    headers, others = ([pydicom.dcmread(p) for p in paths] for paths in (first, other))
    uids = {h.SOPInstanceUID for h in headers}
    assert len(uids) == 5
    assert all(UID(u).is_valid for u in uids)
    assert uids.isdisjoint(h.SOPInstanceUID for h in others)
    assert len({h.SeriesInstanceUID for h in headers}) == 1
    assert headers[0].SeriesInstanceUID != others[0].SeriesInstanceUID


def test_tilted_grid_is_written_along_its_own_axes(volume, tmp_path):
    c, s = np.cos(0.2), np.sin(0.2)
    axes = np.array([[0.0, 0.0, 1.0], [-s, c, 0.0], [c, s, 0.0]])
    tilted = CTVolume(
        volume.hu, Geometry(volume.geometry.shape, volume.geometry.spacing_mm, (1.0, 2.0, 3.0), axes)
    )
    paths = write_ct_series(tilted, tmp_path, uid_seed="a")
    first, last = pydicom.dcmread(paths[0]), pydicom.dcmread(paths[-1])
    row, column = np.array(first.ImageOrientationPatient).reshape(2, 3)
    assert np.allclose(row, axes[:, 2])
    assert np.allclose(column, axes[:, 1])
    step = np.array(last.ImagePositionPatient) - np.array(first.ImagePositionPatient)
    assert np.allclose(step, 4 * 2.5 * axes[:, 0])


def test_hu_that_cannot_be_stored_are_refused_not_clipped(volume, tmp_path):
    hu = volume.hu.copy()
    hu[0, 0, 0] = -2000
    with pytest.raises(UsageError) as error:
        write_ct_series(
            CTVolume(hu, volume.geometry), tmp_path / "s", uid_seed="a", transfer_syntax="jpeg-ls"
        )
    assert error.value.code == "hu_not_storable"
    assert not (tmp_path / "s").exists()


def test_unknown_transfer_syntax_names_the_known_ones(volume, tmp_path):
    with pytest.raises(UsageError) as error:
        write_ct_series(volume, tmp_path, uid_seed="a", transfer_syntax="jpeg")
    assert "jpeg-ls" in error.value.remedy
