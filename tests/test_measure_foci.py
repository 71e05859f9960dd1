"""Low-density foci: how many are seen, how many are invented."""

from __future__ import annotations

import numpy as np
import pytest

from measure_scene import Scene, ball, correlated_noise, ellipsoid, quality_of
from paraspinal.config import MeasureConfig
from paraspinal.measure import measure_mass
from paraspinal.measure.foci import find_foci
from paraspinal.result import Measurements

CONFIG = MeasureConfig()
MASS = ellipsoid((0.0, 0.0, 0.0), (21.0, 18.0, 22.0))
EXTENT = (70.0, 66.0, 66.0)


def _measured(scene: Scene) -> Measurements:
    volume = scene.volume()
    return measure_mass(volume, scene.anatomy(volume), quality_of(scene), scene.candidate(), config=CONFIG)


def _mass(*paint: tuple[object, float], noise: float, seed: int = 0, dz: float = 1.5) -> Scene:
    return Scene(
        paint=((MASS, 45.0), *paint),
        mass=MASS,
        extent_mm=EXTENT,
        spacing=(dz, 0.8, 0.8),
        noise=noise,
        seed=seed,
    )


def _foci_in_noise(noise: float, fwhm_mm: float, dz: float, seed: int) -> int:
    scene = Scene(paint=(), mass=MASS, extent_mm=EXTENT, spacing=(dz, 0.8, 0.8))
    hu = 45.0 + correlated_noise(scene.geometry, noise, fwhm_mm, seed)
    interior = np.zeros(scene.geometry.shape, bool)
    interior[scene.candidate().region.box] = scene.candidate().region.mask
    found = find_foci(
        hu.astype(np.float32),
        interior,
        scene.geometry.spacing_mm,
        smoothing_mm=CONFIG.foci_smoothing_mm,
        min_diameter_mm=CONFIG.foci_min_mm,
        min_contrast_hu=CONFIG.foci_min_contrast_hu,
        false_rate=CONFIG.foci_false_rate,
        noise_fwhm_mm=fwhm_mm,
    )
    assert found is not None
    return found.count


@pytest.mark.parametrize("noise", [15.0, 40.0])
def test_uniform_noisy_masses_hold_no_foci(noise: float) -> None:
    cases = [(fwhm, dz, seed) for fwhm, dz in ((1.2, 1.0), (1.6, 2.5)) for seed in range(20)]
    false = sum(_foci_in_noise(noise, fwhm, dz, seed) for fwhm, dz, seed in cases)
    assert false <= 0.1 * len(cases)


@pytest.mark.integration
def test_eight_millimetre_foci_20_hu_below_are_seen_at_noise_15() -> None:
    seen = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y, z = rng.uniform(-8.0, 8.0, 3)
        scene = _mass((ball((x, y, z), 8.0), 25.0), noise=15.0, seed=seed)
        seen += _measured(scene)["low_density_foci_count"].value == 1.0
    assert seen >= 18


def test_focus_volume_and_mean_of_a_large_focus() -> None:
    measured = _measured(_mass((ball((2.0, -1.0, 3.0), 16.0), 5.0), noise=10.0))
    truth = np.pi / 6 * 16.0**3 / 1000.0
    assert measured["low_density_foci_count"].value == 1.0
    assert measured["low_density_foci_ml"].value == pytest.approx(truth, rel=0.25)
    assert measured["low_density_foci_mean_hu"].value == pytest.approx(5.0, abs=8.0)


def test_two_foci_are_two() -> None:
    foci = [(ball((-9.0, 0.0, 0.0), 10.0), 15.0), (ball((9.0, 2.0, 6.0), 9.0), 15.0)]
    assert _measured(_mass(*foci, noise=12.0))["low_density_foci_count"].value == 2.0


def test_fat_around_the_mass_is_no_focus() -> None:
    m = _measured(_mass(noise=10.0))
    assert m["low_density_foci_count"].status == "below_detection_limit"
    assert m["low_density_foci_ml"].detection_limit == pytest.approx(np.pi / 6 * 5.0**3 / 1000)


def test_noise_that_would_hide_foci_denies_none() -> None:
    m = _measured(_mass(noise=120.0, seed=3))
    assert m["low_density_foci_count"].status == "not_assessed"
    assert "noise hides" in m["low_density_foci_count"].reason


def test_a_mass_too_small_to_compare_in_is_not_assessed() -> None:
    small = ball((0.0, 0.0, 0.0), 12.0)
    scene = Scene(paint=((small, 45.0),), mass=small, extent_mm=(40.0, 40.0, 40.0), noise=10.0)
    volume = scene.volume()
    measured = measure_mass(
        volume, scene.anatomy(volume), quality_of(scene), scene.candidate(), config=CONFIG
    )
    assert measured["low_density_foci_count"].status == "not_assessed"
    assert measured["low_density_foci_count"].value is None
