"""What of a mass its blended border reaches, and that fat, foci and densities are read only beyond."""

from __future__ import annotations

import numpy as np
import pytest

from measure_scene import Inside, Scene, ball, quality_of
from paraspinal.config import MeasureConfig
from paraspinal.measure import measure_mass
from paraspinal.measure.border_depth import with_border
from paraspinal.measure.size import mesh_of
from paraspinal.measure.view import MassView, mass_view
from paraspinal.result import Measurements

CONFIG = MeasureConfig()
RADIUS = 17.0
MASS = ball((0.0, 0.0, 0.0), 2 * RADIUS)
LUNG, FAT, OWN = -850.0, -100.0, 45.0


def _scene(*contents: tuple[Inside, float], width_mm: float, outside: float, **changes: object) -> Scene:
    """A mass that gives way to its surroundings over `width_mm`, half of it on either side of its outline."""
    shares = np.linspace(0.0, 1.0, 41)[1:-1] if width_mm else np.ones(1)
    offsets = (0.5 - shares) * width_mm if width_mm else np.zeros(1)
    shells = tuple(
        (ball((0.0, 0.0, 0.0), 2 * (RADIUS + o)), outside + s * (OWN - outside))
        for s, o in zip(shares, offsets, strict=True)
    )
    full = ((ball((0.0, 0.0, 0.0), 2 * (RADIUS - width_mm / 2)), OWN),)
    return Scene(
        paint=(*shells, *full, *contents),
        mass=MASS,
        extent_mm=(60.0, 66.0, 66.0),
        spacing=(1.5, 0.9, 0.9),
        background=outside,
        **changes,
    )


def _measured(scene: Scene) -> Measurements:
    volume = scene.volume()
    return measure_mass(volume, scene.anatomy(volume), quality_of(scene), scene.candidate(), config=CONFIG)


def _view(scene: Scene) -> MassView:
    volume = scene.volume()
    view = mass_view(volume, scene.anatomy(volume), scene.candidate(), context_mm=CONFIG.context_mm)
    return with_border(view, mesh_of(view.mask, view.spacing_mm), CONFIG)


@pytest.mark.parametrize("outside", [LUNG, FAT])
def test_a_sharp_border_leaves_the_core_as_it_is(outside: float) -> None:
    view = _view(_scene(width_mm=0.0, outside=outside, noise=15.0))
    kept = np.count_nonzero(view.clear_of_border(CONFIG.core_depth_mm))
    assert kept > 0.85 * np.count_nonzero(view.deeper_than(CONFIG.core_depth_mm))


def test_a_border_of_seven_millimetres_reaches_half_of_them_and_the_blur() -> None:
    view = _view(_scene(width_mm=7.0, outside=LUNG, noise=10.0))
    assert view.border is not None
    depth = view.depth_mm[view.mask & ~view.border]
    assert 3.5 < np.percentile(depth, 2) < 6.5


@pytest.mark.parametrize(("noise", "fwhm_mm"), [(8.0, 1.0), (15.0, 1.6), (25.0, 1.2)])
def test_a_blended_border_to_lung_is_neither_fat_nor_focus_nor_density(noise: float, fwhm_mm: float) -> None:
    m = _measured(_scene(width_mm=7.0, outside=LUNG, noise=noise, fwhm_mm=fwhm_mm))
    assert m["attenuation_mean_hu"].value == pytest.approx(OWN, abs=6.0)
    assert m["macroscopic_fat_ml"].status == "below_detection_limit"
    assert m["low_density_foci_count"].value is None


@pytest.mark.parametrize("outside", [LUNG, FAT])
def test_a_focus_in_a_blended_mass_is_seen(outside: float) -> None:
    focus = (ball((2.0, -1.0, 1.5), 9.0), OWN - 30.0)
    seen = [
        _measured(_scene(focus, width_mm=6.0, outside=outside, noise=12.0, seed=seed))[
            "low_density_foci_count"
        ].value
        == 1.0
        for seed in range(3)
    ]
    assert all(seen)


def test_fat_in_a_blended_mass_is_measured() -> None:
    m = _measured(_scene((ball((1.0, 2.0, 0.0), 14.0), FAT), width_mm=6.0, outside=LUNG, noise=12.0))
    assert m["macroscopic_fat_ml"].value == pytest.approx(np.pi / 6 * 14.0**3 / 1000.0, rel=0.25)


@pytest.mark.parametrize(("width_mm", "status"), [(0.0, "not_assessed"), (6.0, "measured")])
def test_a_border_to_lung_counts_where_it_is_blurred(width_mm: float, status: str) -> None:
    m = _measured(_scene(width_mm=width_mm, outside=LUNG, noise=15.0))
    assert m["well_defined_fraction"].status == status
    if status == "measured":
        assert m["well_defined_fraction"].value < 0.1
        # the step that fits a straight ramp best is somewhat wider than it
        assert m["edge_width_mm"].value == pytest.approx(np.hypot(0.8 * width_mm, 1.3), rel=0.3)
