"""Masks of another segmenter in place of the built-in one's structures: forms, names, fit, and what stays."""

import json
import os
import sys
import types
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from anatomy_case import anatomy, phantom
from mask_files import ROOT, coded, segment, write_rtstruct, write_seg
from paraspinal.anatomy import Anatomy, native_labels
from paraspinal.anatomy.given.apply import apply_structures
from paraspinal.anatomy.given.canal import guided_canal
from paraspinal.anatomy.given.grid import covers, nearest
from paraspinal.anatomy.given.names import SCT_NAMES, TOTAL_NAMES, name_of_codes, name_of_label
from paraspinal.anatomy.given.read import read_structures
from paraspinal.anatomy.given.segmenters import Segmenter, check_segmenter, parse_segmenter
from paraspinal.anatomy.given.tables import names_inside, read_names
from paraspinal.anatomy.given.totalsegmentator import run_totalsegmentator
from paraspinal.anatomy.given.types import StructureSet, structure, structure_set
from paraspinal.anatomy.labels import LABEL_NAMES
from paraspinal.dicomio.nifti import read_nifti, write_nifti
from paraspinal.errors import AnalysisError, UsageError
from paraspinal.volume import Geometry, LabelMap

NAME = "healthy"
USED = frozenset(
    n
    for n, name in TOTAL_NAMES.items()
    if name.startswith(("vertebrae_T", "vertebrae_L", "rib_"))
    or name in ("liver", "spleen", "aorta", "spinal_cord")
)


@cache
def truth() -> LabelMap:
    """The phantom's truth, with the numbers that TotalSegmentator shares."""
    labels = phantom(NAME).labels
    data = np.where(np.isin(labels.data, list(USED)), labels.data, 0).astype(np.uint16)
    return LabelMap(data, labels.geometry, TOTAL_NAMES)


@cache
def given() -> StructureSet:
    return structure_set(truth())


def applied(structures: StructureSet | None = None, **options: object) -> Anatomy:
    return apply_structures(anatomy(NAME), structures or given(), phantom(NAME).volume, **options)  # type: ignore[arg-type]


def dice(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    return 2.0 * np.count_nonzero(a & b) / max(1, np.count_nonzero(a) + np.count_nonzero(b))


def test_the_label_map_shows_the_given_structures_voxel_by_voxel() -> None:
    native = native_labels(applied(), phantom(NAME).volume)
    for number in np.unique(truth().data[truth().data > 0]):
        name, own = TOTAL_NAMES[int(number)], truth().data == number
        if name in ("vertebrae_T6", "spinal_cord"):
            continue  # less of it than is used lies in the scan; no place of its own in our label map
        assert (native[own] == number).mean() > 0.99, name
        if not name.startswith("rib_"):  # ours goes on to the spine
            assert dice(native == number, own) > 0.99, name


def test_every_structure_says_where_it_comes_from() -> None:
    sources = applied().sources
    assert {sources[n] for n in ("liver", "spleen", "aorta", "vertebrae")} == {"masks"}
    assert sources["ribs"] == "masks and classical"
    assert {sources[n] for n in ("body", "bone", "lung_left", "thoracic_cavity", "canal")} == {"classical"}


def test_what_the_masks_lack_stays_the_built_in_segmenters() -> None:
    found, without = anatomy(NAME), applied()
    for name in ("lung_left", "lung_right", "body", "canal", "thoracic_cavity"):
        assert np.array_equal(found.mask(name), without.mask(name))
    assert without.organs["lung_left"] == found.organs["lung_left"]


def test_vertebrae_take_names_and_places_of_the_masks() -> None:
    found = applied()
    names = [v.label for v in found.vertebrae]
    assert names == [v.label for v in anatomy(NAME).vertebrae]
    for vertebra in found.vertebrae[1:-1]:
        own = next(v for v in anatomy(NAME).vertebrae if v.label == vertebra.label)
        assert np.allclose(vertebra.centroid_lps_mm, own.centroid_lps_mm, atol=6.0)
        assert vertebra.top_mm > vertebra.centroid_lps_mm[2] > vertebra.bottom_mm
        assert abs(vertebra.s_mm - own.s_mm) < 5.0


def renamed(steps: int, levels: tuple[str, ...]) -> StructureSet:
    """Vertebrae of the truth, of `levels` alone, called by the names `steps` further down."""
    order = [n for n in TOTAL_NAMES.values() if n.startswith("vertebrae_")]
    out = {}
    for level in levels:
        one = given().structures[f"vertebrae_{level}"]
        name = order[order.index(one.name) - steps]
        out[name] = structure(name, one.region.full(one.grid.shape), one.grid)
    return StructureSet(out, "labels")  # type: ignore[arg-type]


def test_a_name_that_the_built_in_naming_contradicts_is_kept_with_less_confidence() -> None:
    found = applied(renamed(1, ("T9", "T10")))
    disputed = {
        v.label: v for v in found.vertebrae if v.label in ("T10", "T11") and "named by" in v.evidence[0]
    }
    assert set(disputed) == {"T10", "T11"}
    assert all(v.confidence == 0.5 and "the built-in naming says" in v.evidence[1] for v in disputed.values())
    assert disputed["T10"].label_probabilities == {"T10": 0.5, "T9": 0.5}


def test_vertebrae_and_ribs_beyond_the_masks_are_counted_on_from_them() -> None:
    plain, found = anatomy(NAME), applied(renamed(1, ("T9", "T10")))
    assert len(found.vertebrae) == len(plain.vertebrae)
    order = [n.removeprefix("vertebrae_") for n in TOTAL_NAMES.values() if n.startswith("vertebrae_")]
    for old, new in zip(plain.vertebrae, found.vertebrae, strict=True):
        assert order.index(new.label) == order.index(old.label) - 1
        assert (found.labels.data == new.number).any()
    moved = {r.label for r in found.ribs if "uncertain" not in r.label}
    for rib in plain.ribs:
        if rib.bearer in ("T8", "T9") and "uncertain" not in rib.label:
            assert f"rib_{rib.side}_{int(rib.bearer[1:]) + 1}" in moved


def test_levels_that_the_user_set_are_not_overruled() -> None:
    found = applied(renamed(1, ("T9", "T10")), levels_fixed=True)
    assert [v.label for v in found.vertebrae] == [v.label for v in anatomy(NAME).vertebrae]


def test_an_empty_mask_is_not_given_rather_than_absent(tmp_path: Path) -> None:
    for name in ("liver", "spleen"):
        mask = truth().mask(name) if name == "liver" else np.zeros(truth().data.shape, bool)
        write_nifti(tmp_path / f"{name}.nii.gz", mask, truth().geometry)
    read = read_structures(tmp_path)
    assert (set(read.structures), read.empty) == ({"liver"}, ("spleen",))
    found = applied(read)
    assert found.organs["spleen"] == anatomy(NAME).organs["spleen"]
    assert found.sources["spleen"] == "classical"


def test_a_mask_on_its_own_grid_is_cut_where_that_grid_ends() -> None:
    mask = truth().mask("liver")
    z = np.flatnonzero(mask.any(axis=(1, 2)))
    stop = int((z[0] + z[-1]) // 2)
    grid = truth().geometry
    part = structure("liver", mask[:stop], grid.crop((0, 0, 0), (stop, *grid.shape[1:])))
    found = applied(StructureSet({"liver": part}, "nifti"))  # type: ignore[dict-item]
    assert "superior" in found.organs["liver"].truncated
    assert "superior" not in applied().organs["liver"].truncated


def test_masks_of_any_grid_land_in_the_same_place() -> None:
    mask, grid = truth().mask("liver"), truth().geometry
    flipped = Geometry(
        grid.shape,
        grid.spacing_mm,
        tuple(float(v) for v in grid.to_lps((grid.shape[0] - 1, grid.shape[1] - 1, 0))),  # type: ignore[arg-type]
        grid.axes_lps * [-1.0, -1.0, 1.0],
    )
    other = structure("liver", mask[::-1, ::-1], flipped)
    same = structure("liver", mask, grid)
    assert other is not None
    assert same is not None
    assert np.array_equal(covers(other, anatomy(NAME).geometry), covers(same, anatomy(NAME).geometry))
    coarse = grid.resampled((grid.shape[0], grid.shape[1] // 2, grid.shape[2] // 2))
    rough = structure("liver", nearest(same, coarse), coarse)
    assert rough is not None
    assert dice(covers(rough, grid), mask) > 0.97


def mirrored() -> StructureSet:
    """Masks in a file whose header lies about left and right."""
    flipped = LabelMap(truth().data[:, :, ::-1].copy(), truth().geometry, TOTAL_NAMES)
    return structure_set(flipped)


def upside_down() -> StructureSet:
    return structure_set(LabelMap(truth().data[::-1].copy(), truth().geometry, TOTAL_NAMES))


def elsewhere() -> StructureSet:
    grid = truth().geometry
    x, y, z = grid.origin_lps_mm
    far = Geometry(grid.shape, grid.spacing_mm, (x + 2000.0, y, z), grid.axes_lps)
    return structure_set(LabelMap(truth().data, far, TOTAL_NAMES))


def moved(left: float = 0.0, back: float = 0.0, up: float = 0.0) -> StructureSet:
    grid = truth().geometry
    x, y, z = grid.origin_lps_mm
    beside = Geometry(grid.shape, grid.spacing_mm, (x + left, y + back, z + up), grid.axes_lps)
    return structure_set(LabelMap(truth().data, beside, TOTAL_NAMES))


def wrong_numbers() -> StructureSet:
    """Lungs under the numbers of solid organs."""
    labels = phantom(NAME).labels
    data = np.zeros(labels.data.shape, np.uint16)
    data[labels.mask("lung_left")] = 1
    data[labels.mask("lung_right")] = 5
    return structure_set(LabelMap(data, labels.geometry, TOTAL_NAMES))


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (mirrored, "masks_mirrored"),
        (upside_down, "masks_out_of_order"),
        (elsewhere, "masks_elsewhere"),
        (wrong_numbers, "masks_do_not_fit"),
    ],
)
def test_masks_that_cannot_be_of_this_scan_are_refused(make, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        applied(make())
    assert caught.value.code == code
    assert caught.value.remedy


@pytest.mark.parametrize("axis", ["left", "back", "up"])
@pytest.mark.parametrize("way", [-1.0, 1.0])
def test_masks_a_centimetre_away_are_refused(axis: str, way: float) -> None:
    with pytest.raises(UsageError) as caught:
        applied(moved(**{axis: way * 11.0}))
    assert caught.value.code == "masks_shifted"


def test_masks_in_place_and_a_voxel_beside_it_are_taken() -> None:
    for found in (applied(), applied(moved(left=1.5))):
        assert not any("mm away" in note for note in found.notes)


def test_one_structure_of_the_wrong_density_is_left_out_and_named() -> None:
    labels = phantom(NAME).labels
    data = np.where(labels.data == labels_number("liver"), 0, truth().data).astype(np.uint16)
    data[labels.mask("lung_right")] = labels_number("liver")
    found = applied(structure_set(LabelMap(data, labels.geometry, TOTAL_NAMES)))
    assert found.sources["liver"] == "classical"
    assert any("given liver was left out" in note for note in found.notes)


def labels_number(name: str) -> int:
    return next(n for n, own in TOTAL_NAMES.items() if own == name)


def test_an_effusion_without_a_side_is_parted_at_the_spine() -> None:
    labels = phantom(NAME).labels
    mask = labels.mask("spleen") | labels.mask("liver")
    item = structure("pleural_effusion", mask, labels.geometry)
    found = applied(StructureSet({"pleural_effusion": item}, "labels"))  # type: ignore[dict-item]
    grid = found.geometry
    left = grid.to_lps(np.argwhere(found.mask("effusion_left")))[:, 0].mean()
    right = grid.to_lps(np.argwhere(found.mask("effusion_right")))[:, 0].mean()
    middle = found.centreline_lps_mm[:, 0].mean()
    assert left > middle > right


def test_single_lobes_do_not_pass_for_a_lung() -> None:
    lung = phantom(NAME).labels.mask("lung_left")
    z = np.flatnonzero(lung.any(axis=(1, 2)))
    lobe = lung.copy()
    lobe[int(z[0] + len(z) // 4) :] = False
    item = structure("lung_lower_lobe_left", lobe, truth().geometry)
    found = applied(StructureSet({"lung_lower_lobe_left": item}, "folder"))  # type: ignore[dict-item]
    assert found.sources["lung_left"] == "classical"
    assert any("less than the whole lung_left" in note for note in found.notes)


def test_a_cord_guides_the_canal_only_where_the_built_in_trace_is_missing_or_far_off() -> None:
    grid = anatomy(NAME).geometry
    canal = structure("canal", phantom(NAME).labels.mask("canal"), truth().geometry)
    cord = StructureSet({"canal": canal}, "labels")  # type: ignore[dict-item]
    own, used = guided_canal(None, cord, grid, min_mm=40.0)
    assert used
    assert own is not None
    index = grid.to_index(anatomy(NAME).centreline_lps_mm)
    z = np.rint(index[:, 0]).astype(int)
    kept = (z >= own.first) & (z <= own.last)
    assert np.abs(own.at(z[kept]) - index[kept, 1:]).max() * grid.spacing_mm[1] < 4.0
    assert guided_canal(own, cord, grid, min_mm=40.0) == (own, False)
    far = type(own)(own.first, own.points_yx + 10.0, own.score)
    assert guided_canal(far, cord, grid, min_mm=40.0)[1]
    assert guided_canal(far, StructureSet({}, "labels"), grid, min_mm=40.0) == (far, False)


# Forms


def test_a_label_map_without_names_is_read_by_totalsegmentators_numbers(tmp_path: Path) -> None:
    write_nifti(tmp_path / "seg.nii.gz", truth().data, truth().geometry)
    read = read_structures(tmp_path / "seg.nii.gz")
    assert read.numbers_assumed
    assert {"liver", "vertebrae_T9", "rib_left_7"} <= set(read.structures)
    assert any("taken for TotalSegmentator's" in note for note in applied(read).notes)


NAMES = {3: "Leber links", 7: "liver", 12: "Th9", 13: "Left Kidney", 0: "background"}
TABLES = {
    "numbers.json": json.dumps({str(k): v for k, v in NAMES.items()}),
    "names.json": json.dumps({v: k for k, v in NAMES.items()}),
    "nnunet.json": json.dumps({"labels": {v: k for k, v in NAMES.items()}, "numTraining": 3}),
    "objects.json": json.dumps([{"value": k, "name": v} for k, v in NAMES.items()]),
    "plain.csv": "\n".join(f"{k},{v}" for k, v in NAMES.items()),
    "bids.tsv": "name\tindex\n" + "\n".join(f"{v}\t{k}" for k, v in NAMES.items()),
    "snap.txt": "# header\n" + "\n".join(f'{k} 255 0 0 1 1 1 "{v}"' for k, v in NAMES.items()),
}


@pytest.mark.parametrize("name", list(TABLES))
def test_names_files_of_every_form_say_the_same(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(TABLES[name], encoding="utf-8")
    assert read_names(path) == NAMES


def test_a_colour_table_of_3d_slicer_is_read(tmp_path: Path) -> None:
    path = tmp_path / "colours.ctbl"
    path.write_text("# Color table\n0 Background 0 0 0 0\n5 liver 221 130 101 255\n", encoding="utf-8")
    assert read_names(path) == {0: "Background", 5: "liver"}


@pytest.mark.parametrize("text", ["", "{}", '{"Modality": "CT", "KVP": "x"}', "[1, 2]", "[" * 5000])
def test_a_file_that_gives_no_names_is_a_typed_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "names.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_names(path)
    assert caught.value.code == "masks_names"


def small(values: list[int]) -> tuple[npt.NDArray[np.uint16], Geometry]:
    data = np.zeros((4, 6, 8), np.uint16)
    for k, value in enumerate(values):
        data[1:3, 1:4, 2 * k : 2 * k + 2] = value
    return data, Geometry((4, 6, 8), (3.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def test_a_names_file_beside_the_label_map_counts(tmp_path: Path) -> None:
    write_nifti(tmp_path / "case.nii.gz", *small([7, 12, 3]))
    (tmp_path / "case.json").write_text(TABLES["numbers.json"], encoding="utf-8")
    read = read_structures(tmp_path / "case.nii.gz")
    assert set(read.structures) == {"liver", "vertebrae_T9"}
    assert read.unknown == ("Leber links",)
    assert not read.numbers_assumed


def test_headers_that_are_no_names_are_passed_over(tmp_path: Path) -> None:
    write_nifti(tmp_path / "case.nii.gz", *small([5]))
    (tmp_path / "case.json").write_text('{"Modality": "CT", "SliceThickness": 2}', encoding="utf-8")
    read = read_structures(tmp_path / "case.nii.gz")
    assert read.numbers_assumed
    assert set(read.structures) == {"liver"}


def test_the_label_table_in_a_nifti_header_counts(tmp_path: Path) -> None:
    path = tmp_path / "case.nii"
    write_nifti(path, *small([7, 12]))
    blob = bytearray(path.read_bytes())
    xml = b'<CaretExtension><LabelTable><Label Key="7" Red="1">liver</Label>'
    xml += b'<Label Key="12"><![CDATA[vertebrae_T9]]></Label></LabelTable></CaretExtension>'
    size = 8 + len(xml) + (-(8 + len(xml))) % 16
    extension = (
        b"\1\0\0\0" + size.to_bytes(4, "little") + (0).to_bytes(4, "little") + xml.ljust(size - 8, b"\0")
    )
    blob[108:112] = np.float32(348 + 4 + size).tobytes()
    path.write_bytes(bytes(blob[:348]) + extension + bytes(blob[352:]))
    assert names_inside(path) == {7: "liver", 12: "vertebrae_T9"}
    assert set(read_structures(path).structures) == {"liver", "vertebrae_T9"}


def test_a_picture_is_no_label_map(tmp_path: Path) -> None:
    volume = phantom(NAME).volume
    slab = volume.geometry.crop((0, 0, 0), (5, *volume.geometry.shape[1:]))  # type: ignore[arg-type]
    write_nifti(tmp_path / "ct.nii.gz", volume.hu[:5], slab)
    with pytest.raises(UsageError) as caught:
        read_structures(tmp_path / "ct.nii.gz")
    assert caught.value.code == "masks_unreadable"


@pytest.mark.parametrize(
    ("write", "code"),
    [
        (lambda p: (p / "a.txt").write_text("hello"), "masks_format"),
        (lambda p: write_nifti(p / "foo.nii.gz", *small([150])), "masks_unknown"),
        (lambda p: (p / "liver.nii.gz").write_bytes(b"\x1f\x8b\x08 broken"), "masks_unreadable"),
    ],
)
def test_what_cannot_be_read_is_a_typed_error(tmp_path: Path, write, code: str) -> None:
    write(tmp_path)
    with pytest.raises(UsageError) as caught:
        read_structures(tmp_path)
    assert caught.value.code == code


def test_segments_are_named_by_codes_before_labels(tmp_path: Path) -> None:
    data, grid = small([1, 2, 3, 4])
    masks = {n: data == n for n in (1, 2, 3, 4)}
    segments = [
        segment(1, "Segment_1", "64033007", "7771000"),
        segment(2, "GREEN", "24915002", "24028007"),
        segment(3, "Th9"),
        segment(4, "a lesion", "4147007"),
    ]
    read = read_structures(write_seg(tmp_path / "s.dcm", grid, masks, segments, series_uid=f"{ROOT}.5"))
    assert set(read.structures) == {"kidney_left", "rib_right_7", "vertebrae_T9"}
    assert read.unknown == ("a lesion",)
    assert read.series_uid == f"{ROOT}.5"
    assert not read.bounded


def test_masks_of_another_series_are_put_on_record() -> None:
    other = StructureSet(given().structures, "seg", bounded=False, series_uid=f"{ROOT}.5")
    assert any("made on another series" in n for n in applied(other, series_uid=f"{ROOT}.6").notes)
    assert not any("made on another series" in n for n in applied(other, series_uid=f"{ROOT}.5").notes)


def test_a_seg_and_an_rtstruct_of_the_liver_replace_it_through_geometry(tmp_path: Path) -> None:
    liver, grid = truth().mask("liver"), truth().geometry
    read = read_structures(write_seg(tmp_path / "s.dcm", grid, {1: liver}, [segment(1, "x", "10200004")]))
    assert dice(applied(read).mask("liver"), applied().mask("liver")) > 0.999
    import cv2

    contours = []
    for z in np.flatnonzero(liver.any(axis=(1, 2))):
        outlines, _ = cv2.findContours(liver[z].astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        for outline in outlines:
            at = grid.to_lps(np.column_stack([np.full(len(outline), z), outline[:, 0, 1], outline[:, 0, 0]]))
            contours.append((float(at[0, 2]), at[:, :2]))
    drawn = read_structures(write_rtstruct(tmp_path / "r.dcm", {"Liver": contours}))
    # The contours run through the middles of the outer voxels: half a voxel less all around.
    assert dice(applied(drawn).mask("liver"), applied().mask("liver")) > 0.96


# Names


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("vertebrae_T9", "vertebrae_T9"),
        ("TH12", "vertebrae_T12"),
        ("L5 vertebra", "vertebrae_L5"),
        ("Left Kidney", "kidney_left"),
        ("Kidney_R", "kidney_right"),
        ("SpinalCord", "spinal_cord"),
        ("Seventh rib left", "rib_left_7"),
        ("LIVER", "liver"),
        ("kidney", None),
        ("liver tumor", None),
        ("VB_T9", None),
        ("left and right lung", None),
        ("T14", None),
        ("", None),
    ],
)
def test_labels_mean_a_structure_only_where_nothing_else_can_be_meant(label: str, name: str | None) -> None:
    assert name_of_label(label) == name


def test_codes_need_a_side_where_the_structure_has_two() -> None:
    assert name_of_codes(["64033007"]) is None
    assert name_of_codes(["64033007", "7771000", "24028007"]) is None
    assert name_of_codes(["64033007", "24028007"]) == "kidney_right"
    assert name_of_codes(["10200004"]) == "liver"


def test_the_codes_mean_what_pydicoms_dictionary_says() -> None:
    from pydicom.sr.codedict import codes

    keywords = {getattr(codes.SCT, keyword).value: keyword for keyword in codes.SCT.dir()}
    known = {code: name for code, name in SCT_NAMES.items() if code in keywords}
    assert len(known) > 40
    for code, name in known.items():
        if name.startswith("vertebrae_"):
            assert keywords[code] == f"{name.removeprefix('vertebrae_')}Vertebra"
            continue
        parts = name.removesuffix("_right").split("_")
        needed = parts if parts[0] == "lung" and len(parts) > 1 else parts[:1]
        assert all(word[:3] in keywords[code].lower() for word in needed), (code, name, keywords[code])


# Segmenters


def test_the_choice_of_segmenter_is_read() -> None:
    assert parse_segmenter("classical") == Segmenter()
    assert parse_segmenter("totalsegmentator:fast") == Segmenter("totalsegmentator", fast=True)
    assert parse_segmenter(f"masks:{Path(__file__)}").path == Path(__file__)
    for text in ("masks:", "masks", "nnunet", "classical:x", ""):
        with pytest.raises(UsageError) as caught:
            parse_segmenter(text)
        assert caught.value.code == "anatomy_choice"
    with pytest.raises(UsageError) as missing:
        parse_segmenter("masks:/nowhere/at/all")
    assert missing.value.code == "not_found"
    with pytest.raises(UsageError):
        parse_segmenter("classical", names=__file__)


def test_a_missing_totalsegmentator_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "totalsegmentator.python_api", None)
    monkeypatch.setitem(sys.modules, "totalsegmentator", types.ModuleType("totalsegmentator"))
    with pytest.raises(UsageError) as caught:
        check_segmenter(Segmenter("totalsegmentator"))
    assert caught.value.code == "totalsegmentator_missing"
    assert "pip install TotalSegmentator" in caught.value.remedy


def fake(monkeypatch: pytest.MonkeyPatch, body) -> dict[str, object]:
    """Put a module with the signature of TotalSegmentator 2 in place; return what it was called with."""
    seen: dict[str, object] = {}

    def totalsegmentator(
        input,  # noqa: A002
        output=None,
        ml=False,
        nr_thr_resamp=1,
        nr_thr_saving=6,
        fast=False,
        nora_tag="None",
        preview=False,
        task="total",
        roi_subset=None,
        statistics=False,
        radiomics=False,
        crop_path=None,
        body_seg=False,
        force_split=False,
        output_type="nifti",
        quiet=False,
        verbose=False,
        test=0,
        skip_saving=False,
        device="gpu",
        license_number=None,
        statistics_exclude_masks_at_border=True,
        no_derived_masks=False,
        v1_order=False,
        fastest=False,
        roi_subset_robust=None,
    ):
        home = Path(os.environ["TOTALSEG_HOME_DIR"])
        seen.update(ml=ml, fast=fast, task=task, device=device, quiet=quiet, folder=Path(input).parent)
        seen["settings"] = json.loads((home / "config.json").read_text(encoding="utf-8"))
        seen["weights"] = os.environ["TOTALSEG_WEIGHTS_PATH"]
        print("If you use this tool please cite")  # noqa: T201
        body(Path(input), Path(output))

    package, module = types.ModuleType("totalsegmentator"), types.ModuleType("totalsegmentator.python_api")
    module.totalsegmentator = totalsegmentator  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "totalsegmentator", package)
    monkeypatch.setitem(sys.modules, "totalsegmentator.python_api", module)
    return seen


def test_totalsegmentator_gets_the_ct_and_its_labels_come_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(image: Path, out: Path) -> None:
        hu, grid = read_nifti(image)
        assert np.array_equal(hu, phantom(NAME).volume.hu)
        write_nifti(out, truth().data, grid)

    monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH", raising=False)
    monkeypatch.setenv("TOTALSEG_HOME_DIR", "/its/home")
    seen = fake(monkeypatch, body)
    found = run_totalsegmentator(phantom(NAME).volume, fast=True, device="cpu")
    assert (seen["ml"], seen["fast"], seen["task"], seen["device"]) == (True, True, "total", "cpu")
    assert found.kind == "totalsegmentator"
    assert not found.numbers_assumed
    assert applied(found).sources["liver"] == "totalsegmentator"
    # Nothing of the run is left, nothing is sent, its weights stay its own, and our standard output stays ours.
    assert not Path(str(seen["folder"])).exists()
    assert seen["settings"]["send_usage_stats"] is False  # type: ignore[index]
    assert seen["weights"] == str(Path("/its/home/nnunet/results"))
    assert os.environ["TOTALSEG_HOME_DIR"] == "/its/home"
    assert "TOTALSEG_WEIGHTS_PATH" not in os.environ
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("failure", [RuntimeError("CUDA out of memory"), SystemExit(1), None])
def test_a_totalsegmentator_that_fails_is_a_typed_error(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException | None
) -> None:
    def body(image: Path, out: Path) -> None:
        if failure is not None:
            raise failure

    fake(monkeypatch, body)
    with pytest.raises(AnalysisError) as caught:
        run_totalsegmentator(phantom(NAME).volume, device="cpu")
    assert caught.value.code == "totalsegmentator_failed"


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("ct", "labels", "levels"),
    [
        ("ct/totalseg-slab", "totalseg-slab", ["T11", "T12"]),
        (
            "nifti/totalseg-lumbar-3mm.nii.gz",
            "totalseg-lumbar-3mm",
            ["T12", "L1", "L2", "L3", "L4", "L5", "S1"],
        ),
    ],
)
def test_labels_of_real_scans_name_their_levels(
    real_data: Path, ct: str, labels: str, levels: list[str]
) -> None:
    from paraspinal.anatomy import segment_anatomy
    from paraspinal.loading import load_series

    volume = load_series(real_data / ct).volume
    masks = read_structures(real_data / "labels" / f"{labels}.nii.gz")
    assert not masks.numbers_assumed  # TotalSegmentator's own table is in the header
    found = apply_structures(segment_anatomy(volume, given=masks), masks, volume)
    assert [v.label for v in found.vertebrae] == levels
    native = native_labels(found, volume)
    box = masks.structures["liver"]
    assert dice(native == labels_number("liver"), nearest(box, volume.geometry)) > 0.999


def test_a_code_of_an_rtstruct_names_its_region(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items

    from mask_files import circle, reread

    path = write_rtstruct(tmp_path / "r.dcm", {"PTV_7": [(0.0, circle((0.0, 0.0), 9.0))]})
    dataset, item = reread(path), Dataset()
    item.ReferencedROINumber = 1
    item.RTROIIdentificationCodeSequence = Items([coded("78961009")])
    dataset.RTROIObservationsSequence = Items([item])
    dataset.save_as(path)
    assert set(read_structures(path).structures) == {"spleen"}


def test_every_name_of_our_own_label_map_is_understood() -> None:
    assert not [name for name in LABEL_NAMES.values() if name_of_label(name) is None]
