"""Phantoms on disk: complete, readable, never half replaced; the sample data are what they say."""

from __future__ import annotations

import json
import subprocess
import sys

import imagecodecs
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.encaps import generate_frames
from scipy import ndimage

from paraspinal.cli.main import run
from paraspinal.errors import OutputError
from paraspinal.phantom import MassSpec, make_phantom, preset, write_phantom
from phantom_case import around, fast_preset

NAMES = {"dicom", "truth.json", "labels.nii.gz", "labels.json", "masses.nii.gz"}


def read_series(folder):
    """Return HU [z, y, x] with z towards the head, and the headers in that order."""
    headers = sorted(
        (pydicom.dcmread(path) for path in folder.glob("*.dcm")),
        key=lambda d: float(d.ImagePositionPatient[2]),
    )
    slices = []
    for ds in headers:
        if ds.file_meta.TransferSyntaxUID.is_encapsulated:
            frame = imagecodecs.jpegls_decode(next(generate_frames(ds.PixelData, number_of_frames=1)))
        else:
            frame = ds.pixel_array
        slices.append(frame.astype(np.int32) * int(ds.RescaleSlope) + int(ds.RescaleIntercept))
    return np.stack(slices), headers


@pytest.fixture(scope="module")
def small():
    return make_phantom(around("T9", noise_hu=10.0, masses=(MassSpec("left", "T9", (14.0, 13.0, 14.0)),)))


@pytest.mark.parametrize("syntax", ["explicit", "jpeg-ls"])
def test_written_phantom_reads_back_bit_for_bit(small, tmp_path, syntax):
    out = write_phantom(small, tmp_path / "phantom", syntax=syntax)
    assert {p.name for p in out.iterdir()} == NAMES
    hu, headers = read_series(out / "dicom")
    assert np.array_equal(hu, small.volume.hu)
    assert headers[0].PatientName.family_name == "PHANTOM"
    for name, truth in (("labels", small.labels), ("masses", small.masses)):
        image = sitk.ReadImage(str(out / f"{name}.nii.gz"))
        assert np.array_equal(sitk.GetArrayFromImage(image), truth.data)
        assert np.allclose(image.GetOrigin(), truth.geometry.origin_lps_mm, atol=1e-2)
    assert json.loads((out / "truth.json").read_text()) == json.loads(json.dumps(small.truth))


def test_existing_phantom_is_left_alone_unless_forced(small, tmp_path):
    out = write_phantom(small, tmp_path / "p")
    before = (out / "truth.json").stat().st_mtime_ns
    with pytest.raises(OutputError) as error:
        write_phantom(small, out)
    assert error.value.code == "phantom_exists"
    assert (out / "truth.json").stat().st_mtime_ns == before
    stale = out / "dicom" / "9999.dcm"
    stale.write_bytes(b"")
    (out / "notes.txt").write_text("mine")
    write_phantom(small, out, force=True)
    assert not stale.exists()
    assert (out / "notes.txt").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


def test_a_file_in_the_way_is_refused(small, tmp_path):
    target = tmp_path / "file"
    target.write_text("x")
    with pytest.raises(OutputError):
        write_phantom(small, target)
    assert target.read_text() == "x"


def test_command_makes_a_series_and_its_truth(tmp_path, capsys):
    out = tmp_path / "p"
    line = f"phantom single-mass -o {out} --shape 12x96x96 --spacing 4,3.2,3.2 --levels T6-T6 --noise 8"
    assert (
        run([*line.split(), "--side", "left", "--level", "T6", "--diameter", "24", "--syntax", "explicit"])
        == 0
    )
    assert "synthetic" in capsys.readouterr().out
    truth = json.loads((out / "truth.json").read_text())
    assert truth["masses"][0]["side"] == "left"
    assert truth["spec"]["masses"][0]["semi_axes_mm"] == [12.0, 12.0, 12.0]
    assert read_series(out / "dicom")[0].shape == (12, 96, 96)


@pytest.mark.parametrize(
    "arguments",
    [
        ["phantom", "emh", "--side", "left"],
        ["phantom", "healthy", "--shape", "90x320"],
        ["phantom", "healthy", "--levels", "T7"],
        ["phantom", "single-mass", "--level", "T19"],
        ["phantom", "nobody"],
    ],
)
def test_wrong_options_exit_with_2_and_leave_no_folder(arguments, tmp_path, capsys):
    out = tmp_path / "p"
    assert run([*arguments, "-o", str(out)]) == 2
    assert capsys.readouterr().err.strip()
    assert not out.exists()


def test_importing_the_command_does_not_import_numpy():
    code = "import sys, paraspinal.cli.phantom; sys.exit('numpy' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["emh", "healthy"])
def test_sample_series_decodes_and_matches_its_truth(repository, name):
    folder = repository / "sample_data" / name
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 8 * 2**20
    truth = json.loads((folder / "truth.json").read_text())
    assert truth["spec"] == json.loads(json.dumps(preset(name).to_json())), (
        "remake it: see sample_data/README.md"
    )
    hu, headers = read_series(folder / "dicom")
    assert hu.shape == (90, 320, 320)
    assert {h.file_meta.TransferSyntaxUID.name for h in headers} == {"JPEG-LS Lossless Image Compression"}
    masses = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "masses.nii.gz")))
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "labels.nii.gz")))
    assert len(truth["masses"]) == {"emh": 2, "healthy": 0}[name] == masses.max()
    spleen = truth["organs"]["spleen"]["volume_ml"]
    assert spleen >= 600 if name == "emh" else spleen < 314  # upper limit of the normal [PRASS]
    for mass in truth["masses"]:
        core = ndimage.binary_erosion(masses == mass["id"], iterations=2)
        assert abs(np.median(hu[core]) - mass["hu"]) < 8
    canal = ndimage.binary_erosion(labels == 200, np.ones((1, 3, 3)), iterations=2)
    assert 0 < hu[canal].mean() < 40
    assert {"T8", "T9", "T10", "T11", "T12", "L1"} <= {
        v["label"] for v in truth["vertebrae"] if not v["truncated"]
    }


def test_the_code_still_makes_the_sample_series(repository):
    """Another processor may round a voxel differently, no more."""
    hu, _ = read_series(repository / "sample_data" / "healthy" / "dicom")
    made = make_phantom(preset("healthy")).volume.hu
    assert (np.abs(hu - made) <= 1).mean() > 0.999


def test_fast_phantom_is_small():
    assert fast_preset("emh").volume.hu.shape == (60, 256, 256)
