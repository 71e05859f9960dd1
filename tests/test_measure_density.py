"""Attenuation, calcification, fat, gas, rim and fluid against painted truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from measure_scene import Scene, ball, correlated_noise, cuboid, ellipsoid, quality_of
from paraspinal.config import MeasureConfig
from paraspinal.measure import measure_mass
from paraspinal.measure.fat import fat_mixture
from paraspinal.result import Measurements

CONFIG = MeasureConfig()
MASS = ball((0.0, 0.0, 0.0), 32.0)


def _measure(*paint: tuple[object, float], hu: float = 45.0, **changes: object) -> Measurements:
    quality = changes.pop("quality", {})
    structures = changes.pop("structures", {})
    scene = Scene(
        paint=((MASS, hu), *paint),
        mass=MASS,
        structures=structures,
        extent_mm=(50.0, 54.0, 54.0),
        **{"noise": 15.0, **changes},
    )
    volume = scene.volume()
    return measure_mass(
        volume, scene.anatomy(volume), quality_of(scene, **quality), scene.candidate(), config=CONFIG
    )


@pytest.mark.parametrize("noise", [0.0, 15.0, 40.0])
def test_attenuation_is_read_in_the_core(noise: float) -> None:
    m = _measure(noise=noise)
    assert m["attenuation_mean_hu"].value == pytest.approx(45.0, abs=2.0)
    assert m["attenuation_median_hu"].value == pytest.approx(45.0, abs=2.0)
    assert m["attenuation_sd_hu"].value == pytest.approx(noise, abs=1.5)
    assert m["attenuation_p95_hu"].value == pytest.approx(45.0 + 1.645 * noise, abs=3.0)
    assert m["attenuation_mean_hu"].uncertainty.type_b == 4.0


def test_thick_slices_do_not_let_fat_into_the_core() -> None:
    m = _measure(noise=0.0, spacing=(5.0, 0.8, 0.8))
    assert m["attenuation_mean_hu"].value == pytest.approx(45.0, abs=2.0)


def test_no_attenuation_is_read_from_a_mass_without_a_core() -> None:
    speck = ball((0.0, 0.0, 0.0), 5.0)
    scene = Scene(paint=((speck, 45.0),), mass=speck, extent_mm=(30.0, 34.0, 34.0))
    volume = scene.volume()
    m = measure_mass(volume, scene.anatomy(volume), quality_of(scene), scene.candidate(), config=CONFIG)
    assert m["attenuation_mean_hu"].status == "not_assessed"
    assert m["fat_fraction"].value is None
    assert m["volume_ml"].value is not None


def test_contrast_gives_a_post_contrast_attenuation_and_never_an_enhancement() -> None:
    plain = _measure()
    assert plain["post_contrast_attenuation_hu"].status == "not_assessed"
    portal = _measure(hu=90.0, quality={"contrast_phase": "portal"})
    assert portal["post_contrast_attenuation_hu"].value == portal["attenuation_mean_hu"].value
    unknown = _measure(quality={"contrast_phase": "indeterminate"})
    assert unknown["post_contrast_attenuation_hu"].status == "not_assessed"
    assert unknown["diffuse_hyperattenuation_fraction"].status == "not_assessed"


@pytest.mark.integration
def test_specks_of_2_mm_are_found_in_thin_slices() -> None:
    found = 0
    for seed in range(20):
        place = np.random.default_rng(seed).uniform(-8.0, 8.0, 3)
        speck = ball((place[0], place[1], place[2]), 2.0)
        m = _measure((speck, 600.0), spacing=(1.5, 0.7, 0.7), seed=seed)
        found += m["discrete_high_density_count"].value == 1.0
        assert m["discrete_high_density_ml"].detection_limit <= np.pi / 6 * 2.0**3 / 1000
    assert found >= 19


def test_uncalcified_masses_hold_no_discrete_high_density() -> None:
    for seed in range(15):
        m = _measure(noise=(10.0, 20.0, 30.0, 45.0, 60.0)[seed % 5], seed=seed)
        for key in ("count", "ml", "fraction"):
            assert m[f"discrete_high_density_{key}"].status == "below_detection_limit"
            assert m[f"discrete_high_density_{key}"].detection_limit > 0.0


def test_where_no_calcification_could_be_seen_none_is_denied() -> None:
    m = _measure(noise=90.0, spacing=(5.0, 0.8, 0.8), hu=130.0)
    assert m["discrete_high_density_ml"].status == "not_assessed"
    assert "hide" in m["discrete_high_density_ml"].reason
    assert m["discrete_high_density_count"].value is None


@pytest.mark.parametrize("seed", range(4))
def test_streaks_through_part_of_a_mass_are_no_calcification(seed: int) -> None:
    """Streaks of 60 HU in the upper third of a mass in a scan of noise 20; a true speck in the rest is kept."""
    speck = ball((0.0, 0.0, -6.0), 3.0)
    scene = Scene(
        paint=((MASS, 40.0), (speck, 700.0)), mass=MASS, extent_mm=(50.0, 54.0, 54.0), noise=20.0, seed=seed
    )
    volume = scene.volume()
    upper = np.zeros(volume.hu.shape)
    rows = correlated_noise(scene.geometry, 75.0, 2.4, seed + 100)[:, :, :1]
    upper[30:] = (
        np.broadcast_to(rows, volume.hu.shape)[30:]
        + correlated_noise(scene.geometry, 60.0, 1.2, seed + 200)[30:]
    )
    streaked = replace(volume, hu=np.rint(volume.hu + upper).astype(np.int16))
    assert ((streaked.hu[30:] > 180) & scene.candidate().region.full(volume.hu.shape)[30:]).any()
    m = measure_mass(streaked, scene.anatomy(volume), quality_of(scene), scene.candidate(), config=CONFIG)
    assert m["discrete_high_density_count"].value == 1.0


def test_the_detection_limit_grows_with_slice_and_noise() -> None:
    limits = [
        _measure(spacing=(dz, 0.8, 0.8), noise=noise)["discrete_high_density_ml"].detection_limit
        for dz, noise in ((1.0, 10.0), (2.5, 10.0), (5.0, 10.0), (5.0, 60.0))
    ]
    assert limits == sorted(limits)
    assert limits[-1] > 3 * limits[0]


def test_bone_that_the_outline_overlaps_is_no_calcification() -> None:
    rib = cuboid((19.0, 0.0, 0.0), (6.0, 4.0, 20.0))
    m = _measure((rib, 500.0), structures={"bone": rib})
    assert m["discrete_high_density_ml"].status == "below_detection_limit"


def test_calcification_that_the_anatomy_called_bone_is_still_found() -> None:
    lump = ball((3.0, 0.0, 0.0), 8.0)
    m = _measure((lump, 400.0), structures={"bone": lump})
    assert m["discrete_high_density_ml"].value == pytest.approx(np.pi / 6 * 8.0**3 / 1000, rel=0.25)


def test_with_contrast_a_vessel_is_no_calcification() -> None:
    vessel = cuboid((0.0, 0.0, 0.0), (2.0, 2.0, 12.0))
    aorta = ellipsoid((-21.0, 18.0, 0.0), (7.0, 7.0, 100.0))
    m = _measure(
        (vessel, 260.0),
        (aorta, 270.0),
        structures={"aorta": aorta},
        quality={"contrast_phase": "aortic"},
    )
    assert m["discrete_high_density_count"].status == "below_detection_limit"


def test_diffuse_density_is_a_share_of_the_unenhanced_core() -> None:
    assert _measure(hu=45.0)["diffuse_hyperattenuation_fraction"].value < 0.02
    assert _measure(hu=100.0)["diffuse_hyperattenuation_fraction"].value > 0.95


@pytest.mark.parametrize("kvp", [None, 80.0, 100.0, 140.0])
def test_diffuse_density_is_not_judged_at_another_tube_voltage(kvp: float | None) -> None:
    m = _measure(hu=100.0, kvp=kvp)["diffuse_hyperattenuation_fraction"]
    assert m.status == "not_assessed"
    assert "120 kVp" in m.reason


def test_macroscopic_fat_is_a_volume_and_a_fraction() -> None:
    lump = ball((4.0, 0.0, 2.0), 16.0)
    m = _measure((lump, -95.0))
    truth = np.pi / 6 * 16.0**3 / 1000
    assert m["macroscopic_fat_ml"].value == pytest.approx(truth, rel=0.2)
    core = 4 / 3 * np.pi * 14.0**3 / 1000
    assert m["fat_fraction"].value == pytest.approx(truth / core, abs=0.03)


@pytest.mark.parametrize("noise", [10.0, 25.0, 40.0])
def test_fat_around_a_mass_is_not_counted_as_its_own(noise: float) -> None:
    m = _measure(noise=noise)
    assert m["macroscopic_fat_ml"].status == "below_detection_limit"
    assert m["macroscopic_fat_ml"].detection_limit == pytest.approx(0.03, abs=0.002)
    assert m["fat_fraction"].value < 0.02


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 0.8])
def test_the_mixture_finds_the_share_of_fat_voxels(share: float) -> None:
    rng = np.random.default_rng(3)
    fat = rng.random(30_000) < share
    values = np.where(fat, -100.0, 45.0) + 20.0 * rng.standard_normal(fat.size)
    found, _ = fat_mixture(values.astype(np.float32), 20.0, CONFIG.fat_pure_hu)
    assert found == pytest.approx(share, abs=0.03)


def test_gas_inside_is_measured_and_lung_beside_is_not() -> None:
    bubble = ball((0.0, 3.0, 0.0), 8.0)
    inside = _measure((bubble, -900.0))
    assert inside["gas_ml"].value == pytest.approx(np.pi / 6 * 8.0**3 / 1000, rel=0.25)
    assert _measure(background=-850.0)["gas_ml"].status == "below_detection_limit"


def test_a_rim_is_read_with_contrast_only() -> None:
    core = ball((0.0, 0.0, 0.0), 22.0)
    m = _measure((core, 50.0), hu=110.0, quality={"contrast_phase": "portal"})
    assert m["rim_contrast_hu"].value == pytest.approx(60.0, abs=8.0)
    even = _measure(hu=80.0, quality={"contrast_phase": "portal"})["rim_contrast_hu"]
    assert abs(even.value) < 3 * even.uncertainty.combined
    assert _measure((core, 50.0), hu=110.0)["rim_contrast_hu"].status == "not_assessed"


def test_fluid_is_graded_by_density_and_homogeneity() -> None:
    scores = [_measure(hu=hu)["fluid_compatible_score"].value for hu in (10.0, 28.0, 45.0)]
    assert scores[0] > 0.8
    assert scores[0] > scores[1] > scores[2]
    mottled = _measure(*((ball((x, y, 0.0), 7.0), 45.0) for x in (-8, 0, 8) for y in (-8, 0, 8)), hu=10.0)
    assert mottled["fluid_compatible_score"].value < 0.5


def test_every_key_of_the_contract_is_there() -> None:
    keys = """volume_ml mesh_volume_ml long_axis_mm short_axis_mm craniocaudal_mm max_diameter_mm sphericity
    attenuation_mean_hu attenuation_median_hu attenuation_sd_hu attenuation_p5_hu attenuation_p95_hu
    post_contrast_attenuation_hu discrete_high_density_ml discrete_high_density_count
    discrete_high_density_fraction diffuse_hyperattenuation_fraction macroscopic_fat_ml fat_fraction
    low_density_foci_count low_density_foci_ml low_density_foci_mean_hu fluid_compatible_score gas_ml
    rim_contrast_hu edge_width_mm well_defined_fraction lobulation midline_bridging_mm canal_extension_mm2
    foramen_width_mm foramen_widening_mm bone_interface_mm2 bone_interface_without_cortex_fraction
    breakthrough_fraction endplate_loss_fraction lytic_depth_mm
    scalloping_depth_mm bone_defect_area_mm2 bone_defect_cortex_kept_probability attenuation_sd_without_noise_hu
    sclerotic_rim_hu rib_erosion_depth_mm airway_distance_mm airway_narrowing_fraction"""
    found = _measure()
    texture = {key for key in found if key.startswith("ibsi.")}
    assert set(found) - texture == set(keys.split())
    assert len(texture) == 75
    assert all(key.count(".") == 2 for key in texture)


@pytest.mark.parametrize("diameter", [8.0, 10.0, 14.0])
def test_gas_is_no_fat(diameter: float) -> None:
    m = _measure((ball((3.0, 0.0, 0.0), diameter), -950.0))
    assert m["gas_ml"].value == pytest.approx(np.pi / 6 * diameter**3 / 1000, rel=0.35)
    assert m["macroscopic_fat_ml"].status == "below_detection_limit"
    assert m["fat_fraction"].value < 0.01


@pytest.mark.parametrize("noise", [8.0, 20.0])
def test_noise_alone_is_no_structure(noise: float) -> None:
    found = _measure(noise=noise)["attenuation_sd_without_noise_hu"]
    assert found.status == "below_detection_limit"
    assert found.detection_limit < noise


def test_structure_is_told_from_noise() -> None:
    dark = [(ball((x, y, z), 8.0), 5.0) for x in (-6.0, 6.0) for y in (-6.0, 6.0) for z in (-6.0, 6.0)]
    bare, noisy = (_measure(*dark, noise=n)["attenuation_sd_without_noise_hu"] for n in (0.5, 12.0))
    assert noisy.status == "measured"
    assert noisy.value == pytest.approx(bare.value, rel=0.15)
