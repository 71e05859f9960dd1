"""Edge width and definition of a mass's border."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from measure_scene import Scene, ball, ellipsoid, quality_of
from paraspinal.config import MeasureConfig
from paraspinal.measure import measure_mass
from paraspinal.measure.margin import WIDTH_PER_SD, fit_edges
from paraspinal.result import Measurements

CONFIG = MeasureConfig()
RADIUS = 16.0
MASS = ball((0.0, 0.0, 0.0), 2 * RADIUS)


def _measure(*, true_sd_mm: float, noise: float = 15.0, dz: float = 1.0, **changes: object) -> Measurements:
    """Measure a mass in fat whose true border is a Gaussian step of `true_sd_mm`, drawn as thin shells."""
    depths = np.linspace(-2.5, 2.5, 41) * true_sd_mm if true_sd_mm else np.zeros(1)
    shells = tuple(
        (ball((0.0, 0.0, 0.0), 2 * (RADIUS - d)), -100.0 + 145.0 * 0.5 * (1 + erf(d / true_sd_mm / 2**0.5)))
        if true_sd_mm
        else (MASS, 45.0)
        for d in depths
    )
    quality = changes.pop("quality", {})
    paint = (*changes.pop("before", ()), *shells, *changes.pop("after", ()))
    scene = Scene(
        paint=paint,
        mass=MASS,
        extent_mm=(56.0, 64.0, 64.0),
        spacing=(dz, 0.75, 0.75),
        noise=noise,
        **changes,
    )
    volume = scene.volume()
    return measure_mass(
        volume, scene.anatomy(volume), quality_of(scene, **quality), scene.candidate(), config=CONFIG
    )


def test_the_fit_returns_the_step_that_was_made() -> None:
    t = np.arange(-5.0, 5.01, 0.4)
    for sd, shift in ((0.5, 0.3), (1.2, -0.8), (2.5, 1.0)):
        profile = 45.0 - 145.0 * 0.5 * (1 + erf((t - shift) / (2**0.5 * sd)))
        fit = fit_edges(profile[None], t)
        assert fit.sd_mm[0] == pytest.approx(sd, abs=0.15)
        assert fit.outside_hu[0] == pytest.approx(-100.0, abs=6.0)
        assert fit.contrast_hu[0] == pytest.approx(145.0, abs=8.0)


@pytest.mark.parametrize("noise", [5.0, 25.0])
def test_a_sharp_mass_is_as_wide_as_the_scan_and_well_defined(noise: float) -> None:
    m = _measure(true_sd_mm=0.0, noise=noise)
    assert m["edge_width_mm"].value == pytest.approx(1.09 * 1.2, abs=0.5)
    assert m["well_defined_fraction"].value > 0.9


@pytest.mark.parametrize("sd", [1.5, 2.5])
def test_a_blurred_mass_has_its_width_and_is_ill_defined(sd: float) -> None:
    m = _measure(true_sd_mm=sd)
    assert m["edge_width_mm"].value == pytest.approx(WIDTH_PER_SD * np.hypot(sd, 1.2 / 2.3548), rel=0.2)
    assert m["well_defined_fraction"].value < 0.1


def test_thick_slices_do_not_make_a_sharp_mass_ill_defined() -> None:
    assert _measure(true_sd_mm=0.0, dz=5.0)["well_defined_fraction"].value > 0.8


def test_a_border_to_lung_is_not_counted() -> None:
    m = _measure(true_sd_mm=0.0, background=-850.0)
    assert m["edge_width_mm"].status == "not_assessed"
    assert "lung" in m["edge_width_mm"].reason


def test_an_isodense_border_is_not_assessed() -> None:
    m = _measure(true_sd_mm=0.0, background=50.0)
    assert m["well_defined_fraction"].status == "not_assessed"
    assert "isodense" in m["well_defined_fraction"].reason


def test_half_in_lung_reads_the_other_half() -> None:
    lung = ellipsoid((40.0, 0.0, 0.0), (40.0, 300.0, 300.0))
    m = _measure(true_sd_mm=0.0, before=((lung, -850.0),))
    assert m["well_defined_fraction"].value > 0.85


def test_without_an_edge_response_the_width_stands_alone() -> None:
    m = _measure(true_sd_mm=0.0, quality={"edge_fwhm_mm": None})
    assert m["edge_width_mm"].status == "measured"
    assert m["well_defined_fraction"].status == "not_assessed"
