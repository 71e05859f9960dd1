"""Every defect, read back with pydicom alone: the files have it, and nothing else is wrong with them."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from defect_case import CENTRE, SHAPE, SPACING, SPHERE, Read, hounsfield, spoil, volume
from paraspinal.errors import UsageError
from paraspinal.phantom import make_phantom, write_phantom
from paraspinal.phantom.defect_images import IMAGE_STEPS
from paraspinal.phantom.defect_kinds import KINDS
from paraspinal.phantom.defect_planes import PLANE_STEPS
from paraspinal.phantom.defect_text import check_together, usage_of
from paraspinal.phantom.defect_values import VALUE_STEPS
from paraspinal.phantom.defects import (
    apply_defects,
    defect_names,
    describe_series,
    parse_defect,
)
from phantom_case import around

NEEDS_A_VALUE = {"tilt": ":15", "syntax": ":rle"}
TRUE_ML = SPHERE.volume_ml()


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return Read.of(spoil(tmp_path_factory.mktemp("clean")))


# --- text --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tilt:-15", "tilt:-15"),
        (" Missing:3 ", "missing:3:-1"),
        ("missing:2:5", "missing:2:5"),
        ("spacing:2.5/5/2.5", "spacing:2.5/5/2.5"),
        ("spacing:2.5,5", "spacing:2.5/5"),
        ("padding", "padding:tag"),
        ("overlap", "overlap"),
    ],
)
def test_a_defect_is_its_text(text, shown):
    assert str(parse_defect(text)) == shown
    assert parse_defect(shown) == parse_defect(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("wobble", "defect_unknown"),
        ("", "defect_unknown"),
        ("tilt", "defect_invalid"),
        ("tilt:0", "defect_invalid"),
        ("tilt:90", "defect_invalid"),
        ("tilt:nan", "defect_invalid"),
        ("tilt:steep", "defect_invalid"),
        ("missing:0", "defect_invalid"),
        ("missing:1.5", "defect_invalid"),
        ("missing:1:2:3", "defect_invalid"),
        ("spacing:2.5", "defect_invalid"),
        ("syntax:zip", "defect_invalid"),
        ("overlap:2", "defect_invalid"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(text, code):
    with pytest.raises(UsageError) as error:
        parse_defect(text)
    assert error.value.code == code
    if code == "defect_unknown":
        assert all(usage_of(name) in error.value.remedy for name in defect_names())
    else:
        assert usage_of(text.split(":")[0]) in error.value.remedy


@pytest.mark.parametrize(
    "pair",
    [
        ("tilt:5", "oblique:5"),
        ("tilt:5", "tilt:9"),
        ("no-rescale", "odd-rescale"),
        ("enhanced", "legacy-enhanced"),
        ("bits:8", "lossy:jpeg"),
        ("two-phases", "four-d:3"),
        ("padding", "clipped"),
    ],
)
def test_contradictions_are_refused(pair):
    with pytest.raises(UsageError) as error:
        check_together([parse_defect(text) for text in pair])
    assert error.value.code == "defects_contradict"


def test_gaps_may_be_several_and_are_counted_on_the_whole_series(tmp_path, clean):
    paths = spoil(tmp_path, "missing:1:4", "missing:2:10")
    left = np.delete(np.sort(clean.along()), [4, 10, 11])
    assert np.allclose(np.sort(Read.of(paths).along()), left)


@pytest.mark.parametrize("defects", [["missing:19"], ["missing:1:19"], ["few:21"], ["duplicate:30"]])
def test_more_than_there_is_cannot_be_spoilt(defects, tmp_path):
    with pytest.raises(UsageError) as error:
        spoil(tmp_path / "s", *defects)
    assert error.value.code == "defect_needs_slices"
    assert not (tmp_path / "s").exists()


def test_the_documentation_lists_every_defect(repository):
    page = (repository / "docs" / "phantoms.md").read_text(encoding="utf-8")
    listed = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in listed if name.split(":")[0].split("[")[0] in KINDS] == [
        usage_of(name) for name in KINDS
    ]


# --- place: the sphere stays where it is, as large as it is ---------------------------------------------------------

PLACES = [
    *("coronal", "sagittal", "overlap", "oblique:20", "oblique:-7", "tilt:15", "tilt:-18.5", "non-square"),
    *("cut-field-of-view", "flipped-rows", "flipped-columns", "spacing:2.5/5/2.5", "spacing:1,3"),
    *("shuffled", "reversed"),
]


# A thin slice cannot be made from thicker ones.
@pytest.mark.parametrize(
    ("defect", "exact"), [(d, e) for d in PLACES for e in (True, False) if e or d != "spacing:1,3"]
)
def test_the_headers_tell_where_the_sphere_is(defect, exact, tmp_path):
    ml, centre = Read.of(spoil(tmp_path, defect, exact=exact)).sphere()
    assert ml == pytest.approx(TRUE_ML, rel=0.005 if exact else 0.02)
    # What lies where within a thick slab cannot be told.
    coarse = 0.15 if defect.startswith("spacing") else 0.05
    assert np.allclose(centre, CENTRE, atol=coarse if exact else 0.15)


def test_without_defects_everything_is_exact(clean):
    ml, centre = clean.sphere()
    assert ml == pytest.approx(TRUE_ML, rel=5e-4)
    assert np.allclose(centre, CENTRE, atol=0.01)
    assert [d.InstanceNumber for d in clean.datasets] == list(range(1, SHAPE[0] + 1))
    assert np.allclose(np.diff(clean.along()), -SPACING[0])


@pytest.mark.parametrize("degrees", [15.0, -18.5])
def test_tilt_leans_the_slices_and_moves_the_table(degrees, tmp_path, clean):
    read = Read.of(spoil(tmp_path, f"tilt:{degrees}"))
    row, column = read.orientation()
    assert np.allclose(row, (1, 0, 0))
    assert np.rad2deg(np.arctan2(column[2], column[1])) == pytest.approx(degrees, abs=1e-3)
    steps = np.diff(read.positions(), axis=0)
    assert np.allclose(steps, [[0.0, 0.0, -SPACING[0]]])
    assert len(read.datasets) == len(clean.datasets)


def test_each_slice_of_mixed_spacing_is_as_thick_as_its_place(tmp_path):
    read = Read.of(spoil(tmp_path, "spacing:2.5/5/2.5"))
    order = np.argsort(read.along())
    along = read.along()[order]
    thick = np.array([float(read.datasets[k].SliceThickness) for k in order])
    assert set(thick) == {2.5, 5.0}
    # Slabs touch: half of one slice and half of the next fill the way between their centres.
    assert np.allclose(np.diff(along), (thick[1:] + thick[:-1]) / 2)


def test_jitter_moves_slices_and_images_them_there(tmp_path, clean):
    read = Read.of(spoil(tmp_path, "jitter:0.6"))
    off = np.abs(read.along() - clean.along())
    assert 0.3 < off.max() <= 0.6
    for ds in read.datasets:
        z = float(ds.ImagePositionPatient[2])
        area = ((hounsfield(ds) + 100) / 140)[8:-8, 8:-8].sum() * 1.5**2
        if abs(z - CENTRE[2]) < 6:  # the mean over a slab of 2.5 mm of π (r² − z²)
            h = z - CENTRE[2]
            assert area == pytest.approx(np.pi * (81.0 - h * h - 2.5**2 / 12), rel=0.01)


# --- the set of images ----------------------------------------------------------------------------------------------


def test_missing_and_few(tmp_path, clean):
    for defect, expected in (("missing:3", np.r_[0:8, 11:20]), ("few:4", np.r_[8:12])):
        read = Read.of(spoil(tmp_path / defect.replace(":", ""), defect))
        assert np.allclose(np.sort(read.along()), np.sort(clean.along())[expected])


def test_copies_have_pixels_and_place_but_a_name_of_their_own(tmp_path):
    read = Read.of(spoil(tmp_path, "duplicate:2"))
    places = [tuple(d.ImagePositionPatient) for d in read.datasets]
    again = [i for i in range(1, len(places)) if places[i] == places[i - 1]]
    assert len(places) == SHAPE[0] + 2
    assert len(again) == 2
    for i in again:
        one, other = read.datasets[i - 1], read.datasets[i]
        assert one.PixelData == other.PixelData
        assert one.SOPInstanceUID != other.SOPInstanceUID


def test_another_image_at_a_place_differs(tmp_path):
    read = Read.of(spoil(tmp_path, "duplicate-other"))
    places = [tuple(d.ImagePositionPatient) for d in read.datasets]
    (index,) = (i for i in range(1, len(places)) if places[i] == places[i - 1])
    assert read.datasets[index].PixelData != read.datasets[index - 1].PixelData


@pytest.mark.parametrize(("defect", "times"), [("two-phases", 2), ("four-d:3", 3)])
def test_times_repeat_every_place_with_other_pixels(defect, times, tmp_path, clean):
    read = Read.of(spoil(tmp_path, defect))
    assert len(read.datasets) == times * SHAPE[0]
    for k in range(times):
        part = read.datasets[k * SHAPE[0] : (k + 1) * SHAPE[0]]
        assert {d.AcquisitionNumber for d in part} == {k + 1}
        assert len({d.AcquisitionTime for d in part}) == 1
        assert np.allclose([d.ImagePositionPatient for d in part], clean.positions())
        assert all(("TemporalPositionIdentifier" in d) == (defect == "four-d:3") for d in part)
    pixels = [d.PixelData for d in read.datasets]
    assert len(set(pixels[: SHAPE[0]]) & set(pixels[SHAPE[0] :])) == 0


def test_one_position(tmp_path):
    read = Read.of(spoil(tmp_path, "one-position"))
    assert len({tuple(d.ImagePositionPatient) for d in read.datasets}) == 1
    assert len({d.SOPInstanceUID for d in read.datasets}) == len(read.datasets) == SHAPE[0]


def test_order_of_names_numbers_and_places(tmp_path, clean):
    backwards = Read.of(spoil(tmp_path / "r", "reversed"))
    assert np.allclose(backwards.along(), clean.along()[::-1])
    assert [d.InstanceNumber for d in backwards.datasets] == list(range(1, SHAPE[0] + 1))
    mixed = Read.of(spoil(tmp_path / "s", "shuffled"))
    assert sorted(d.InstanceNumber for d in mixed.datasets) == list(range(1, SHAPE[0] + 1))
    assert np.allclose(np.sort(mixed.along()), np.sort(clean.along()))
    assert not (np.diff(mixed.along()) < 0).all()
    by_number = sorted(mixed.datasets, key=lambda d: d.InstanceNumber)
    assert not (np.diff([float(d.ImagePositionPatient[2]) for d in by_number]) < 0).all()


def test_positions_may_be_empty(tmp_path):
    read = Read.of(spoil(tmp_path, "empty-position:3"))
    assert sum(d.ImagePositionPatient is None for d in read.datasets) == 3
    assert all("ImagePositionPatient" in d for d in read.datasets)


def test_foreign_images_in_the_folder(tmp_path, clean):
    uid = clean.datasets[0].SeriesInstanceUID
    scans = Read.of(spoil(tmp_path / "t", "two-scans"))
    assert len({d.SeriesInstanceUID for d in scans.datasets}) == 2
    assert len(scans.datasets) == 2 * SHAPE[0]
    scout = [d for d in Read.of(spoil(tmp_path / "l", "localizer")).datasets if d.SeriesInstanceUID != uid]
    assert [list(d.ImageType) for d in scout] == [["ORIGINAL", "PRIMARY", "LOCALIZER"]]
    reformats = Read.of(spoil(tmp_path / "m", "mixed-orientation")).datasets
    assert {d.SeriesInstanceUID for d in reformats} == {uid}
    assert len({tuple(d.ImageOrientationPatient) for d in reformats}) == 2
    for ds in (d for d in reformats if list(d.ImageOrientationPatient) != [1, 0, 0, 0, 1, 0]):
        y = float(ds.ImagePositionPatient[1])  # a coronal image shows the sphere's section at its own place
        area = np.clip((hounsfield(ds) + 100) / 140, 0, 1)[2:-2, 8:-8].sum() * 1.5 * 2.5
        assert area == pytest.approx(np.pi * max(81 - (y - CENTRE[1]) ** 2, 0), abs=12)


# --- all of them ----------------------------------------------------------------------------------------------------


def test_every_step_belongs_to_a_defect():
    steps = [*PLANE_STEPS, *IMAGE_STEPS, *VALUE_STEPS]
    assert len(set(steps)) == len(steps)
    assert set(steps) <= set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_every_defect_is_valid_dicom_repeatable_and_there(name, tmp_path, clean):
    defect = name + NEEDS_A_VALUE.get(name, "")
    first, again = (spoil(tmp_path / n, defect) for n in "ab")
    written = [path.read_bytes() for path in first]
    assert written == [path.read_bytes() for path in again]
    # Nothing here is dense enough to be clipped; that has a test of its own.
    assert (written == clean.files) == (name == "clipped")
    uids = []
    for path in first:
        if path.name == "malformed.dcm":
            continue
        ds = pydicom.dcmread(path)
        for element in ds.iterall():
            _ = element.value
        uids.append(ds.SOPInstanceUID)
    if name != "empty-uids":
        assert all(UID(uid).is_valid for uid in uids)
        assert len(set(uids)) == len(uids)


def test_several_defects_combine(tmp_path):
    defects = ("tilt:12", "missing:2", "duplicate:1", "shuffled", "odd-rescale", "flipped-rows", "no-kvp")
    read = Read.of(spoil(tmp_path, *defects))
    assert len(read.datasets) == SHAPE[0] - 2 + 1
    assert read.orientation()[1][1] == pytest.approx(-np.cos(np.deg2rad(12)), abs=1e-5)
    assert {float(d.RescaleSlope) for d in read.datasets} == {0.5}
    assert {d.KVP for d in read.datasets} == {None}


def test_the_description_says_where_every_image_lies(tmp_path):
    spoilt = apply_defects(volume(), ["tilt:15", "empty-position"], uid_seed="test")
    told = json.loads(json.dumps(describe_series(spoilt)))
    assert [d["defect"] for d in told["defects"]] == ["tilt:15", "empty-position:1"]
    for image, ds in zip(told["images"], Read.of(spoil(tmp_path, "tilt:15")).datasets, strict=True):
        assert np.allclose(image["position_lps_mm"], ds.ImagePositionPatient, atol=1e-5)


def test_a_phantom_is_written_with_defects(tmp_path):
    made = make_phantom(around("T9"))
    out = write_phantom(made, tmp_path / "p", defects=["missing:2", "syntax:jpeg-ls"])
    assert len(list((out / "dicom").iterdir())) == made.volume.hu.shape[0] - 2
    truth = json.loads((out / "truth.json").read_text())
    assert [d["defect"] for d in truth["spoilt_series"]["defects"]] == ["missing:2:-1", "syntax:jpeg-ls"]
    assert len(truth["spoilt_series"]["images"]) == made.volume.hu.shape[0] - 2
    assert truth["vertebrae"] == made.truth["vertebrae"]
    ds = pydicom.dcmread(out / "dicom" / "0001.dcm")
    assert np.array_equal(hounsfield(ds), made.volume.hu[-1])
