"""What is repaired comes out as it was; what is not certain is refused; neither goes without a word."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom.dataset import Dataset
from scipy.ndimage import gaussian_filter

from dicom_factory import Edit, stored_body, uid_of, write_series
from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading import LoadedSeries, load_series
from paraspinal.loading.interpolation import SourceSlice, edge_levels, interpolate
from paraspinal.volume import CTVolume, Geometry

SPACING = (2.5, 0.8, 0.7)
SHAPE = (40, 110, 120)
FAT, TISSUE = -100, 45
BLUR_MM = 0.5  # SD of a standard kernel's point spread, 1.2 mm full width
STRICT = LoadingConfig(policy="strict")


def sphere(
    radius: float,
    *,
    z_mm: npt.ArrayLike | None = None,
    centre: tuple[float, float, float] = (49.0, 43.0, 41.0),
    thickness: float = 2.5,
    lean: float = 0.0,
    noise: float = 0.0,
) -> npt.NDArray[np.int16]:
    """Return stored values of a sphere in fat, averaged over slices and pixels and blurred like a body kernel.

    With `lean`, slice z shows the plane's rows moved by lean × z, as a tilted gantry leaves them.
    """
    places = 2.5 * np.arange(SHAPE[0]) if z_mm is None else np.asarray(z_mm, dtype=float)
    fine = 4
    y = ((np.arange(SHAPE[1] * fine) + 0.5) / fine - 0.5) * SPACING[1] - centre[1]
    x = ((np.arange(SHAPE[2] * fine) + 0.5) / fine - 0.5) * SPACING[2] - centre[2]
    planes = []
    for place in places:
        share = np.zeros((SHAPE[1], SHAPE[2]))
        for step in (np.arange(8) + 0.5) / 8 - 0.5:
            z = place + step * thickness - centre[0]
            inside = (y[:, None] + lean * place) ** 2 + x[None, :] ** 2 <= radius**2 - z**2
            share += inside.reshape(SHAPE[1], fine, SHAPE[2], fine).mean(axis=(1, 3)) / 8
        planes.append(FAT + (TISSUE - FAT) * gaussian_filter(share, BLUR_MM / np.array(SPACING[1:])))
    hu = np.stack(planes)
    hu[:, 0, :] = -1000  # air at one side: the values are those of a CT
    if noise:
        hu = hu + np.random.default_rng(4).normal(0.0, noise, hu.shape)
    return np.rint(hu + 1024).astype(np.int16)


def along_z(*z_mm: float) -> list[tuple[float, float, float]]:
    return [(-10.0, -20.0, float(z)) for z in z_mm]


def tissue_share(hu: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Return the share of tissue in every voxel; a threshold would lose a share of its own at the poles."""
    share = (hu.astype(np.float64) - FAT) / (TISSUE - FAT)
    share[hu < FAT - 20] = 0.0  # air, padding, and what lies between
    share[np.abs(share) < 0.02] = 0.0
    return share


def volume_error(volume: CTVolume, radius: float) -> float:
    """Return the error of the sphere's volume in per cent."""
    truth = 4.0 / 3.0 * np.pi * radius**3 / 1000.0
    return float(100.0 * (tissue_share(volume.hu).sum() * volume.geometry.voxel_ml - truth) / truth)


def codes(loaded: LoadedSeries) -> dict[str, dict[str, float]]:
    return {c.code: c.numbers for c in loaded.loading.codes}


def repairs(loaded: LoadedSeries) -> set[str]:
    return {c.code for c in loaded.loading.codes if c.kind == "repair"}


def without(*slices: int) -> npt.NDArray[np.intp]:
    return np.array([i for i in range(SHAPE[0]) if i not in slices])


@pytest.mark.parametrize(("radius", "limit"), [(10.0, 1.0), (20.0, 0.5), (30.0, 0.3)])
@pytest.mark.parametrize("offset", [0.0, 0.9, 1.7])
@pytest.mark.parametrize("missing", [(20,), (14, 25), (19, 20)], ids=str)
def test_a_sphere_keeps_its_volume_where_slices_are_missing(
    tmp_path: Path, radius: float, limit: float, offset: float, missing: tuple[int, ...]
) -> None:
    stored = sphere(radius, centre=(49.0 + offset, 43.0, 41.0))
    kept = without(*missing)
    write_series(tmp_path, stored[kept], positions=along_z(*(2.5 * kept)))
    loaded = load_series(tmp_path)
    assert loaded.loading.verdict == "repaired"
    assert repairs(loaded) == {"missing_slices"}
    assert codes(loaded)["missing_slices"]["missing"] == len(missing)
    assert loaded.volume.interpolated == missing
    assert [s.sop_instance_uid == "" for s in loaded.volume.slices] == [i in missing for i in range(SHAPE[0])]
    # Two neighbours lost from a sphere of eight slices cannot be had back to 1 %.
    assert abs(volume_error(loaded.volume, radius)) < (
        2.0 * limit if len(missing) == 2 and radius < 15 else limit
    )
    np.testing.assert_array_equal(loaded.volume.hu[kept], stored[kept] - 1024)


def test_a_body_in_air_does_not_hide_the_sphere_within(tmp_path: Path) -> None:
    """Skin against air is the steepest border of every scan; a soft border inside must be followed all the same."""
    stored = sphere(10.0)
    y, x = np.indices(SHAPE[1:])
    outside = ((y - 54) * 0.8) ** 2 + ((x - 60) * 0.7) ** 2 > 36.0**2
    stored = np.where(outside, 24, stored).astype(np.int16)
    stored = np.stack([gaussian_filter(p.astype(float), 0.6) for p in stored]).round().astype(np.int16)
    made = interpolate(
        [SourceSlice(stored[k] - 1024, 2.5 * k) for k in (18, 19, 21, 22)],
        50.0,
        levels=edge_levels(stored[[19, 21]] - 1024),
    )
    grown = np.count_nonzero(made[35:75, 35:85] >= (FAT + TISSUE) / 2)
    truth = np.pi * (100.0 - 2.5**2 / 12 - 1.0) / (0.8 * 0.7)  # the slice lies 1 mm off the middle
    assert grown == pytest.approx(truth, rel=0.01)


def test_averaging_neighbours_would_fail_that_test() -> None:
    stored = sphere(10.0) - 1024
    stored[20] = (stored[19] + stored[21]) // 2
    assert abs(volume_error(CTVolume(stored, Geometry(SHAPE, SPACING, (0.0, 0.0, 0.0))), 10.0)) > 1.0


def test_interpolation_invents_no_value() -> None:
    noisy = sphere(20.0, noise=20.0)
    slices = [SourceSlice(noisy[k], 2.5 * k) for k in (18, 19, 21, 22)]
    made = interpolate(slices, 50.0, levels=edge_levels(noisy[[19, 21]]))
    assert noisy[[19, 21]].min() <= made.min()
    assert made.max() <= noisy[[19, 21]].max()


@pytest.mark.parametrize(
    ("run", "gap_mm", "allowed"),
    [(2, 2.5, True), (3, 1.0, False), (2, 3.5, False), (1, 6.0, True), (1, 6.5, False)],
)
def test_two_slices_and_six_millimetres_are_the_limit(
    tmp_path: Path, run: int, gap_mm: float, allowed: bool
) -> None:
    kept = [i for i in range(10 + run) if not 5 <= i < 5 + run]
    write_series(tmp_path, stored_body(10), positions=along_z(*(gap_mm * np.array(kept))))
    if allowed:
        assert load_series(tmp_path).volume.interpolated == tuple(range(5, 5 + run))
        return
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert refusal.value.code == "missing_slices"
    assert refusal.value.details["longest_run"] == run


@pytest.mark.parametrize("tilt_deg", [-24.0, -15.0, 7.0, 15.0])
@pytest.mark.parametrize("radius", [10.0, 30.0])
def test_a_tilted_sphere_is_round_again(tmp_path: Path, tilt_deg: float, radius: float) -> None:
    lean = float(np.tan(np.radians(tilt_deg)))
    places = 2.5 * np.arange(SHAPE[0])
    # Slices 2.5 mm apart along their normal, each moved by lean × z within its plane.
    turned = np.radians(tilt_deg)
    column = np.array([0.0, np.cos(turned), np.sin(turned)])
    normal = np.array([0.0, -np.sin(turned), np.cos(turned)])
    middle = lean * 49.0
    stored = sphere(radius, z_mm=places, lean=lean, centre=(49.0, 43.0 + middle, 41.0))

    def tilt(index: int, ds: Dataset) -> None:
        ds.ImageOrientationPatient = [1.0, 0.0, 0.0, *column]

    positions = [np.array([-10.0, 0.0, 0.0]) + z * normal + lean * z * column for z in places]
    write_series(tmp_path, stored, positions=positions, edit=tilt)
    assert {round(float(p[1]), 6) for p in positions} == {0.0}  # the table moves along z alone
    loaded = load_series(tmp_path)
    assert repairs(loaded) == {"gantry_tilt"}
    assert codes(loaded)["gantry_tilt"]["tilt_deg"] == pytest.approx(tilt_deg, abs=1e-3)
    assert abs(volume_error(loaded.volume, radius)) < (0.3 if radius == 30.0 else 1.0)
    share = tissue_share(loaded.volume.hu)
    inside = np.argwhere(share > 0)
    weight = share[tuple(inside.T)]
    points = loaded.volume.geometry.to_lps(inside)
    found = np.average(points, axis=0, weights=weight)
    truth = positions[0] + 49.0 * normal + (43.0 + middle) * column + [41.0, 0.0, 0.0]
    np.testing.assert_allclose(found, truth, atol=0.1)
    spread = np.sqrt(np.average((points - found) ** 2, axis=0, weights=weight))
    np.testing.assert_allclose(spread, radius / np.sqrt(5.0), rtol=0.02)  # a sphere, not an ellipsoid


def test_the_field_of_a_tilted_stack_holds_every_slice(tmp_path: Path) -> None:
    stored = stored_body(10)
    positions = [(0.0, 1.0 * i, 2.5 * i) for i in range(10)]  # leans by 21.8 degrees
    write_series(tmp_path, stored, positions=positions)
    volume = load_series(tmp_path).volume
    assert volume.padding is not None
    seen = ~volume.padding
    assert seen.any(axis=(1, 2)).all()
    # Every slice keeps all its rows but one, which the last fraction of a pixel costs.
    assert (seen.sum(axis=(1, 2)) >= (stored.shape[1] - 1) * stored.shape[2]).all()
    assert (volume.hu[volume.padding] == -1024).all()


def test_parts_with_different_spacing_become_one_volume(tmp_path: Path) -> None:
    """14 slices 4 mm thick and apart, then 14 of 7 mm, as head protocols have it; what is imaged is kept."""
    z = np.concatenate([4.0 * np.arange(14), 52.0 + 5.5 + 7.0 * np.arange(14)])
    thick = np.repeat([4.0, 7.0], 14)
    stored = np.concatenate(
        [
            sphere(30.0, z_mm=[p], thickness=t, centre=(70.0, 43.0, 41.0))
            for p, t in zip(z, thick, strict=True)
        ]
    )

    def state(index: int, ds: Dataset) -> None:
        ds.SliceThickness = str(thick[index])

    write_series(tmp_path, stored, positions=along_z(*z), edit=state)
    loaded = load_series(tmp_path)
    assert repairs(loaded) == {"variable_spacing"}
    assert loaded.volume.geometry.spacing_mm[0] == pytest.approx(4.0)
    assert loaded.volume.interpolated == tuple(range(14, loaded.volume.hu.shape[0]))
    np.testing.assert_array_equal(loaded.volume.hu[:14], stored[:14] - 1024)
    assert abs(volume_error(loaded.volume, 30.0)) < 1.0


def test_a_real_gap_in_spacing_is_refused(tmp_path: Path) -> None:
    z = np.concatenate([2.5 * np.arange(10), 22.5 + 9.6 * np.arange(1, 10)])  # 2.5 mm slices, 9.6 mm apart
    write_series(tmp_path, stored_body(19), positions=along_z(*z))
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert refusal.value.code == "variable_spacing"
    assert refusal.value.details["gap_max_mm"] == pytest.approx(9.6)


def test_the_same_image_twice_is_taken_once(tmp_path: Path) -> None:
    stored = stored_body(9)
    order = [0, 1, 2, 3, 3, 4, 5, 5, 6, 7, 8]
    write_series(tmp_path, stored[order], positions=along_z(*(2.5 * np.array(order))))
    loaded = load_series(tmp_path)
    assert repairs(loaded) == {"duplicate_slices"}
    assert codes(loaded)["duplicate_slices"]["dropped"] == 2
    np.testing.assert_array_equal(loaded.volume.hu, stored - 1024)


def phases(attribute: str, values: tuple[object, object]) -> Edit:
    def edit(index: int, ds: Dataset) -> None:
        setattr(ds, attribute, values[index % 2])

    return edit


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        ("AcquisitionNumber", (1, 2)),
        ("AcquisitionTime", ("101500", "101630")),
        ("ConvolutionKernel", ("B30f", "B70f")),
        ("TemporalPositionIdentifier", (1, 2)),
    ],
)
def test_two_phases_are_two_volumes(tmp_path: Path, attribute: str, values: tuple[object, object]) -> None:
    """Images of two phases, one after the other at each position."""
    stored = stored_body(10)
    both = np.repeat(stored, 2, axis=0)
    both[1::2] += 40
    write_series(
        tmp_path, both, positions=along_z(*np.repeat(2.5 * np.arange(10), 2)), edit=phases(attribute, values)
    )
    loaded = [load_series(tmp_path, series=f"3/{part}") for part in (1, 2)]
    for found, expected in zip(loaded, (stored, stored + 40), strict=True):
        np.testing.assert_array_equal(found.volume.hu, expected - 1024)
        assert repairs(found) == {"repeated_positions"}
        assert codes(found)["images_left_out"]["images"] == 10


@pytest.mark.parametrize("interleaved", [False, True])
def test_phases_that_only_their_numbers_tell_apart(tmp_path: Path, interleaved: bool) -> None:
    stored = stored_body(10)
    both = np.repeat(stored, 2, axis=0) if interleaved else np.concatenate([stored, stored])
    both[(slice(1, None, 2) if interleaved else slice(10, None))] += 40
    z = 2.5 * np.arange(10)
    write_series(tmp_path, both, positions=along_z(*(np.repeat(z, 2) if interleaved else np.tile(z, 2))))
    found = sorted(load_series(tmp_path, series=f"3/{part}").volume.hu[0, 0, 0] for part in (1, 2))
    assert found == [stored[0, 0, 0] - 1024, stored[0, 0, 0] - 1024 + 40]


def test_one_odd_image_at_a_position_is_left_out_on_record(tmp_path: Path) -> None:
    stored = stored_body(9)
    order = [0, 1, 2, 3, 4, 5, 6, 7, 8, 4]
    images = stored[order].copy()
    images[-1] += 200
    write_series(tmp_path, images, positions=along_z(*(2.5 * np.array(order))))
    loaded = load_series(tmp_path)
    assert repairs(loaded) == {"repeated_positions"}
    assert "images_left_out" in codes(loaded)
    np.testing.assert_array_equal(loaded.volume.hu, stored - 1024)


def test_one_odd_image_in_the_middle_does_not_cut_the_series_in_two(tmp_path: Path) -> None:
    stored = stored_body(12)
    order = [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 11]
    images = stored[order].copy()
    images[6] += 200
    write_series(tmp_path, images, positions=along_z(*(2.5 * np.array(order))))
    loaded = load_series(tmp_path)
    np.testing.assert_array_equal(loaded.volume.hu, stored - 1024)
    assert codes(loaded)["images_left_out"]["images"] == 1


def test_two_scans_that_overlap_under_one_uid_are_two_volumes(tmp_path: Path) -> None:
    """Chest and abdomen, scanned one after the other, their slices interleaved where they overlap."""
    z = np.concatenate([2.5 * np.arange(40), 91.2 + 2.5 * np.arange(30)])

    def number(index: int, ds: Dataset) -> None:
        ds.AcquisitionNumber = 1 if index < 40 else 2

    write_series(tmp_path, stored_body(70), positions=along_z(*z), edit=number)
    loaded = load_series(tmp_path)
    assert loaded.volume.hu.shape[0] == 40
    assert loaded.volume.geometry.spacing_mm[0] == 2.5
    assert codes(loaded)["images_left_out"]["images"] == 30


def test_one_scan_in_two_acquisitions_stays_one_volume(tmp_path: Path) -> None:
    def number(index: int, ds: Dataset) -> None:
        ds.AcquisitionNumber = 1 + index // 10
        ds.Exposure = str(80 + 3 * index)
        ds.ContentTime = f"1015{index:02d}"

    write_series(tmp_path, stored_body(30), edit=number)
    loaded = load_series(tmp_path)
    assert loaded.volume.hu.shape[0] == 30
    assert loaded.loading.verdict == "ok"


def test_two_long_scans_in_one_folder_without_any_uid(tmp_path: Path) -> None:
    def blank(number: int) -> Callable[[int, Dataset], None]:
        def edit(index: int, ds: Dataset) -> None:
            ds.SeriesInstanceUID = ""
            ds.SOPInstanceUID = ""
            ds.SeriesNumber = number
            ds.SliceThickness = "2.5"

        return edit

    stored = stored_body(99)
    for number in (1, 2):
        write_series(
            tmp_path,
            stored + 10 * number,
            edit=lambda i, ds, n=number: blank(n)(i, ds),
            prefix=f"s{number}-",
        )
    for number in (1, 2):
        loaded = load_series(tmp_path, series=str(number))
        np.testing.assert_array_equal(loaded.volume.hu, stored + 10 * number - 1024)
        assert "uid_missing" in codes(loaded)


def test_localizers_and_reformats_among_axial_slices_are_left_out(tmp_path: Path) -> None:
    stored = stored_body(30)
    write_series(tmp_path, stored)

    def scout(index: int, ds: Dataset) -> None:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        ds.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0]

    def coronal(index: int, ds: Dataset) -> None:
        ds.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED"]
        ds.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0]

    write_series(tmp_path, stored_body(1), edit=scout, prefix="scout")
    write_series(
        tmp_path,
        stored_body(6),
        edit=coronal,
        prefix="coronal",
        positions=[(0.0, 3.0 * i, 0.0) for i in range(6)],
    )
    loaded = load_series(tmp_path)
    np.testing.assert_array_equal(loaded.volume.hu, stored - 1024)
    assert loaded.loading.verdict == "ok"
    assert any("localizer" in text for text in loaded.loading.left_out)


def test_a_position_that_is_missing_follows_from_the_number(tmp_path: Path) -> None:
    stored = stored_body(9)

    def blank(index: int, ds: Dataset) -> None:
        if index in (3, 8):
            ds.ImagePositionPatient = []

    write_series(tmp_path, stored, edit=blank)
    loaded = load_series(tmp_path)
    assert repairs(loaded) == {"position_inferred"}
    np.testing.assert_array_equal(loaded.volume.hu, stored - 1024)


def test_a_position_is_not_guessed_where_numbers_and_places_disagree(tmp_path: Path) -> None:
    def blank(index: int, ds: Dataset) -> None:
        ds.InstanceNumber = (7 * index) % 10
        if index == 3:
            ds.ImagePositionPatient = []

    write_series(tmp_path, stored_body(9), edit=blank)
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert refusal.value.code == "missing_geometry"


STRICTLY = {
    "gantry_tilt": lambda: [(0.0, 0.5 * i, 2.5 * i) for i in range(8)],
    "missing_slices": lambda: along_z(0, 2.5, 5, 7.5, 12.5, 15, 17.5, 20),
    "variable_spacing": lambda: along_z(0, 2.5, 5, 7.5, 12.5, 17.5, 22.5, 27.5),
}


@pytest.mark.parametrize("code", STRICTLY)
def test_the_strict_policy_repairs_nothing(tmp_path: Path, code: str) -> None:
    write_series(tmp_path, stored_body(8), positions=STRICTLY[code]())
    loaded = load_series(tmp_path)
    assert (repairs(loaded), loaded.loading.policy) == ({code}, "repair")
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path, config=STRICT)
    assert refusal.value.code == code
    assert refusal.value.remedy


def test_a_faultless_series_is_the_same_under_both_policies(tmp_path: Path) -> None:
    write_series(tmp_path, stored_body(8))
    lenient, strict = load_series(tmp_path), load_series(tmp_path, config=STRICT)
    np.testing.assert_array_equal(lenient.volume.hu, strict.volume.hu)
    assert (lenient.loading.verdict, strict.loading.verdict) == ("ok", "ok")
    assert strict.loading.policy == "strict"


def test_monochrome1_with_upright_values_is_a_note_and_with_inverted_ones_a_refusal(tmp_path: Path) -> None:
    def mark(_: int, ds: Dataset) -> None:
        ds.PhotometricInterpretation = "MONOCHROME1"

    stored = sphere(20.0)
    stored[:, 0, :] = 24
    stored[:, -1, :] = 24
    write_series(tmp_path / "upright", stored, edit=mark)
    loaded = load_series(tmp_path / "upright")
    assert "monochrome1" in codes(loaded)
    np.testing.assert_array_equal(loaded.volume.hu, stored - 1024)
    write_series(tmp_path / "inverted", 4095 - stored, edit=mark)
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path / "inverted")
    assert refusal.value.code == "monochrome1"


NOT_CT_VALUES: dict[str, tuple[str, dict[str, object]]] = {
    "iodine": ("not_hounsfield", {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "IODINE"]}),
    "z-effective": ("not_hounsfield", {"RescaleType": "Z_EFF"}),
    "effective Z by name": (
        "not_hounsfield",
        {"ImageType": ["DERIVED", "SECONDARY"], "SeriesDescription": "Z effective"},
    ),
    "perfusion": ("not_hounsfield", {"ImageType": ["DERIVED", "SECONDARY", "PERFUSION"]}),
    "negative slope": ("not_hounsfield", {"RescaleSlope": "-1"}),
    "MIP": ("projection_image", {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]}),
    "MIP by name": (
        "projection_image",
        {"ImageType": ["DERIVED", "SECONDARY"], "SeriesDescription": "MIP cor"},
    ),
    "topogram": ("localizer", {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
    "cone beam": ("cone_beam", {"SeriesDescription": "Daily CBCT pelvis"}),
}


@pytest.mark.parametrize("what", NOT_CT_VALUES)
def test_what_is_no_hounsfield_slice_is_refused_by_name(tmp_path: Path, what: str) -> None:
    code, attributes = NOT_CT_VALUES[what]

    def mark(_: int, ds: Dataset) -> None:
        for name, value in attributes.items():
            setattr(ds, name, value)

    write_series(tmp_path, stored_body(), edit=mark)
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert refusal.value.code == code


def test_derived_and_secondary_alone_is_no_reason_to_refuse(tmp_path: Path) -> None:
    def mark(_: int, ds: Dataset) -> None:
        ds.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        ds.SeriesDescription = "Thorax perfusion protocol"

    write_series(tmp_path, stored_body(), edit=mark)
    assert load_series(tmp_path).loading.verdict == "ok"


def test_a_virtual_energy_is_no_tube_voltage(tmp_path: Path) -> None:
    def mark(_: int, ds: Dataset) -> None:
        ds.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
        ds.SeriesDescription = "Mono+ 70 keV"

    write_series(tmp_path, stored_body(), edit=mark)
    loaded = load_series(tmp_path)
    assert codes(loaded)["virtual_energy"] == {"energy_kev": 70.0}
    assert loaded.volume.acquisition.kvp is None


def test_a_scale_that_ends_is_told_from_a_dense_point(tmp_path: Path) -> None:
    stored = sphere(20.0)
    stored[10:14, 40:60, 30:60] += np.arange(30, dtype=np.int16) * 60  # bone of many densities
    write_series(tmp_path / "whole", stored)
    assert "clipped_hu" not in codes(load_series(tmp_path / "whole"))
    write_series(tmp_path / "cut", np.minimum(stored, 2047))
    assert codes(load_series(tmp_path / "cut"))["clipped_hu"]["ceiling_hu"] == 1023.0


def test_a_body_beyond_the_field_is_noted(tmp_path: Path) -> None:
    stored = np.full((20, 100, 100), 24, dtype=np.int16)
    stored[:, 20:80, 20:80] = 1064
    write_series(tmp_path / "whole", stored)
    assert "truncated_field_of_view" not in codes(load_series(tmp_path / "whole"))
    stored[:, 20:80, :80] = 1064
    write_series(tmp_path / "cut", stored)
    found = codes(load_series(tmp_path / "cut"))["truncated_field_of_view"]
    assert found == {"share_of_slices": 1.0, "sides": 1.0}


def test_uids_of_a_repair_are_those_of_its_images(tmp_path: Path) -> None:
    kept = [0, 1, 2, 4, 5, 6]
    write_series(tmp_path, stored_body(6), positions=along_z(*(2.5 * np.array(kept))))
    slices = load_series(tmp_path).volume.slices
    assert [s.sop_instance_uid for s in slices] == [
        *(uid_of(f"slice {i}") for i in range(3)),
        "",
        *(uid_of(f"slice {i}") for i in range(3, 6)),
    ]


def test_a_slice_that_no_grid_position_meets_is_no_crash(tmp_path: Path) -> None:
    """The last slice lies off the grid of the others: positions that were taken are filled, none is invented."""
    write_series(tmp_path, stored_body(6), positions=along_z(0, 2.5, 5, 7.5, 10, 11.4))
    loaded = load_series(tmp_path)
    assert repairs(loaded) == {"variable_spacing"}
    assert loaded.volume.hu.shape[0] == 5
    np.testing.assert_array_equal(loaded.volume.hu, stored_body(6)[:5] - 1024)
