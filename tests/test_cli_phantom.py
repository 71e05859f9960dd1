"""``paraspinal phantom``: defects by name, help that shows all of it, and refusals before any work is done."""

from __future__ import annotations

import json
import re

import pydicom
import pytest

from paraspinal.cli.main import run
from paraspinal.phantom.defects import defect_names

TINY = ["--shape", "8x64x64", "--spacing", "4,5,5", "--levels", "T9-T9"]


def test_help_names_every_defect_and_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert run(["phantom", "--help"]) == 0
    shown = re.sub(r"[│\s]+", " ", capsys.readouterr().out)
    named = set(re.findall(r"[a-z0-9][a-z0-9-]*", shown))
    assert set(defect_names()) <= named
    for default in ("right if not given", "T9 if not given", "30 if not given"):
        assert default in shown


def test_defects_are_made_and_told(tmp_path, capsys):
    out = tmp_path / "p"
    line = ["phantom", "healthy", "-o", str(out), *TINY, "--defect", "missing:2", "--defect", "bits:12"]
    assert run(line) == 0
    said = capsys.readouterr().out
    assert "missing:2" in said
    assert "bits:12" in said
    files = sorted((out / "dicom").iterdir())
    assert len(files) == 6
    assert pydicom.dcmread(files[0]).BitsStored == 12
    truth = json.loads((out / "truth.json").read_text())
    assert len(truth["spoilt_series"]["images"]) == 6


def test_syntax_goes_with_defects(tmp_path):
    out = tmp_path / "p"
    line = ["phantom", "healthy", "-o", str(out), *TINY, "--defect", "no-kvp", "--syntax", "jpeg-ls", "-q"]
    assert run(line) == 0
    ds = pydicom.dcmread(out / "dicom" / "0001.dcm")
    assert ds.file_meta.TransferSyntaxUID.name.startswith("JPEG-LS")
    assert ds.KVP is None


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["healthy", "--defect", "wobble"], "defect_unknown"),
        (["healthy", "--defect", "tilt:200"], "defect_invalid"),
        (["healthy", "--defect", "tilt:5", "--defect", "oblique:5"], "defects_contradict"),
        (["healthy", "--defect", "unknown-syntax", "--syntax", "jpeg-ls"], "defects_contradict"),
        (["healthy", "--defect", "missing:500", *TINY], "defect_needs_slices"),
        (["emh", "--levels", "L2-T7"], "phantom_option_invalid"),
        (["emh", "--shape", "4000x4000x4000"], "phantom_option_invalid"),
        (["emh", "--shape", "1e300x5x5"], "phantom_option_invalid"),
        (["emh", "--shape", "90.5x320x320"], "phantom_option_invalid"),
        (["emh", "--spacing", "nan,1,1"], "phantom_option_invalid"),
        (["emh", "--spacing", "2.5,1e9,1"], "phantom_option_invalid"),
        (["emh", "--noise", "nan"], "phantom_option_invalid"),
        (["emh", "--noise", "1e6"], "phantom_option_invalid"),
        (["single-mass", "--diameter", "9000"], "phantom_option_invalid"),
        (["single-mass", "--diameter", "0"], "phantom_option_invalid"),
        (["single-mass", "--diameter", "inf"], "phantom_option_invalid"),
        (["single-mass", "--level", "L5", *TINY], "phantom_mass_outside"),
        (["emh", "--side", "left"], "phantom_option_not_used"),
    ],
)
def test_what_cannot_be_made_is_refused_with_its_code(arguments, code, tmp_path, capsys):
    out = tmp_path / "p"
    assert run(["phantom", *arguments, "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert f"[{code}]" in error
    assert len(error.strip().splitlines()) == 1
    assert not out.exists()


def test_an_empty_destination_is_refused(capsys):
    assert run(["phantom", "healthy", "-o", ""]) == 2
    assert "[path_empty]" in capsys.readouterr().err


def test_a_mass_that_the_scan_cuts_is_told(tmp_path, capsys):
    line = ["phantom", "single-mass", "--diameter", "60", "-o", str(tmp_path / "p"), *TINY, "-q"]
    assert run(line) == 0
    captured = capsys.readouterr()
    assert "[phantom_mass_cut]" in captured.err
    assert captured.out == ""
