"""Sizes against geometry, mirrors, and the IBSI digital phantom."""

from __future__ import annotations

import numpy as np
import pytest

from measure_scene import Scene, ball, drawn, ellipsoid, grid, mass_of, quality_of
from paraspinal.config import MeasureConfig
from paraspinal.measure import measure_mass
from paraspinal.measure.size import in_plane_axes_mm, mesh_of
from paraspinal.result import Measurements
from paraspinal.volume import Acquisition, CTVolume, Geometry

CONFIG = MeasureConfig()


def _measure(scene: Scene) -> Measurements:
    volume = scene.volume()
    return measure_mass(volume, scene.anatomy(volume), quality_of(scene), scene.candidate(), config=CONFIG)


def test_an_ellipsoid_has_its_sizes() -> None:
    shape = ellipsoid((3.0, -2.0, 1.0), (18.0, 12.0, 15.0))
    scene = Scene(paint=((shape, 45.0),), mass=shape, extent_mm=(60.0, 60.0, 70.0))
    m = _measure(scene)
    volume = 4 / 3 * np.pi * 18 * 12 * 15 / 1000
    assert m["volume_ml"].value == pytest.approx(volume, rel=0.01)
    assert m["mesh_volume_ml"].value == pytest.approx(volume, rel=0.01)
    assert m["long_axis_mm"].value == pytest.approx(36.0, abs=0.9)
    assert m["short_axis_mm"].value == pytest.approx(24.0, abs=0.9)
    assert m["craniocaudal_mm"].value == pytest.approx(30.0, abs=1.0)
    assert m["max_diameter_mm"].value == pytest.approx(36.0, abs=1.0)
    assert m["lobulation"].value < 0.06
    assert {m[k].status for k in ("volume_ml", "long_axis_mm", "craniocaudal_mm")} == {"measured"}


def test_axes_follow_the_section_whatever_its_direction() -> None:
    yy, xx = np.mgrid[-40:41, -40:41] * 0.7
    for angle in np.deg2rad([0, 23, 45, 71, 90]):
        u, v = xx * np.cos(angle) + yy * np.sin(angle), yy * np.cos(angle) - xx * np.sin(angle)
        long_axis, short_axis = in_plane_axes_mm((u / 22) ** 2 + (v / 9) ** 2 <= 1, (0.7, 0.7))
        assert long_axis == pytest.approx(44.0, abs=0.8)
        assert short_axis == pytest.approx(18.0, abs=0.8)


def test_the_short_axis_is_a_chord_of_the_section() -> None:
    bent = np.zeros((40, 40), bool)
    bent[5:35, 5:13] = True
    bent[27:35, 5:35] = True
    long_axis, short_axis = in_plane_axes_mm(bent, (1.0, 1.0))
    assert long_axis == pytest.approx(41.0, abs=1.5)
    assert short_axis < long_axis


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_scan_gives_the_same_measurements(axis: int) -> None:
    shape = ellipsoid((4.0, -3.0, 2.0), (15.0, 11.0, 13.0))
    focus = ball((7.0, -3.0, 4.0), 9.0)
    scene = Scene(paint=((shape, 45.0), (focus, 10.0)), mass=shape, extent_mm=(46.0, 50.0, 56.0), noise=8.0)
    volume, anatomy, mask = scene.volume(), scene.anatomy(scene.volume()), drawn(shape, scene.geometry)
    mirrored = CTVolume(np.ascontiguousarray(np.flip(volume.hu, axis)), volume.geometry, volume.acquisition)
    flipped = mass_of(np.ascontiguousarray(np.flip(mask, axis)), volume.geometry)
    quality = quality_of(scene)
    first = measure_mass(volume, anatomy, quality, scene.candidate(), config=CONFIG)
    second = measure_mass(mirrored, anatomy, quality, flipped, config=CONFIG)
    for key, m in first.items():
        if m.value is None:
            assert second[key].status == m.status, key
        else:
            loose = 0.25 if key in {"edge_width_mm", "well_defined_fraction"} else 0.02
            assert second[key].value == pytest.approx(m.value, rel=loose, abs=0.02), key


def test_a_mass_at_the_end_of_the_scan_is_a_lower_bound() -> None:
    shape = ball((0.0, 0.0, 22.0), 30.0)
    m = _measure(Scene(paint=((shape, 45.0),), mass=shape, extent_mm=(50.0, 60.0, 60.0)))
    assert m["volume_ml"].status == "lower_bound"
    assert m["attenuation_mean_hu"].status == "measured"
    assert "visible part" in m["attenuation_mean_hu"].reason
    for key in ("sphericity", "lobulation", "fat_fraction", "discrete_high_density_fraction"):
        assert m[key].status == "not_assessed"
        assert m[key].reason == "cut off by the scan"
    for key in (
        "discrete_high_density_ml",
        "discrete_high_density_count",
        "gas_ml",
        "low_density_foci_count",
    ):
        assert m[key].status == "not_assessed"
        assert "none in the visible part" in m[key].reason


def test_what_the_visible_part_of_a_cut_mass_holds_is_a_lower_bound() -> None:
    shape, speck, lump = (
        ball((0.0, 0.0, 18.0), 36.0),
        ball((6.0, 0.0, 16.0), 5.0),
        ball((-6.0, 0.0, 14.0), 8.0),
    )
    m = _measure(
        Scene(
            paint=((shape, 45.0), (speck, 700.0), (lump, -95.0)),
            mass=shape,
            extent_mm=(50.0, 60.0, 60.0),
            noise=8.0,
        )
    )
    for key in (
        "discrete_high_density_ml",
        "discrete_high_density_count",
        "macroscopic_fat_ml",
        "max_diameter_mm",
    ):
        assert m[key].status == "lower_bound", key
        assert m[key].value > 0.0


def test_a_mass_at_the_padding_is_a_lower_bound() -> None:
    shape = ball((0.0, 0.0, 0.0), 24.0)
    scene = Scene(paint=((shape, 45.0),), mass=shape, extent_mm=(50.0, 50.0, 50.0))
    volume = scene.volume()
    padding = np.zeros(volume.hu.shape, bool)
    padding[:, :, : np.flatnonzero(drawn(shape, volume.geometry).any(axis=(0, 1)))[0]] = True
    cut = CTVolume(volume.hu, volume.geometry, Acquisition(kvp=120.0), padding=padding)
    m = measure_mass(cut, scene.anatomy(volume), quality_of(scene), scene.candidate(), config=CONFIG)
    assert m["volume_ml"].status == "lower_bound"


@pytest.mark.integration
def test_stated_intervals_cover_the_truth() -> None:
    covered = {"volume_ml": 0, "attenuation_mean_hu": 0, "long_axis_mm": 0, "craniocaudal_mm": 0}
    n = 30
    for seed in range(n):
        rng = np.random.default_rng(seed)
        centre, diameter = rng.uniform(-1.5, 1.5, 3), rng.uniform(18.0, 28.0)
        shape = ball((centre[0], centre[1], centre[2]), diameter)
        geometry = grid((36.0, 40.0, 40.0), (1.25, 0.8, 0.8))
        scene = Scene(
            paint=((shape, 45.0),),
            mass=shape,
            extent_mm=(36.0, 40.0, 40.0),
            spacing=geometry.spacing_mm,
            noise=20.0,
            seed=seed,
        )
        m = _measure(scene)
        truth = {
            "volume_ml": np.pi / 6 * diameter**3 / 1000,
            "attenuation_mean_hu": 45.0,
            "long_axis_mm": diameter,
            "craniocaudal_mm": diameter,
        }
        for key, value in truth.items():
            u = m[key].uncertainty
            # calibration is no part of this phantom: type A alone must cover
            assert u is not None
            assert u.type_a is not None
            covered[key] += abs(m[key].value - value) <= u.k * u.type_a
    assert {key: k / n >= 0.9 for key, k in covered.items()} == dict.fromkeys(covered, True), covered


def test_a_mesh_knows_nothing_of_where_the_mask_lies() -> None:
    geometry = Geometry((30, 30, 30), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    mask = np.zeros(geometry.shape, bool)
    mask[5:15, 8:20, 9:22] = True
    moved = np.roll(mask, (6, 4, 3), axis=(0, 1, 2))
    a, b = mesh_of(mask, geometry.spacing_mm), mesh_of(moved, geometry.spacing_mm)
    assert a.volume_mm3 == pytest.approx(b.volume_mm3)
    assert b.vertices_mm.mean(axis=0) - a.vertices_mm.mean(axis=0) == pytest.approx([12.0, 4.0, 3.0])
