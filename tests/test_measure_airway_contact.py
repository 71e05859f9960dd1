"""How near a mass comes to the trachea, and how much of its lumen is lost beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from measure_scene import Inside, Scene, ball, quality_of, vertebral_cylinder
from paraspinal.anatomy.chest.airway import find_airway
from paraspinal.config import MeasureConfig
from paraspinal.measure.airway_contact import DISTANCE, NARROWING, measure_airway, read_lumen, read_trachea
from paraspinal.measure.size import mesh_of
from paraspinal.measure.view import mass_view
from paraspinal.result import Measurements

AHEAD_MM, RADIUS_MM, WALL_MM = 32.0, 9.0, 1.5
NEAR = ball((22.0, -34.0, 0.0), 20.0)


def tube(radius_of_z: Inside, *, tilt: float = 0.0, wall: float = 0.0) -> Inside:
    """A tube in front of the spine that leans to the front by `tilt` mm per mm."""
    return lambda x, y, z: np.hypot(x, y + AHEAD_MM + tilt * z) <= radius_of_z(x, y, z) + wall


def even(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.full_like(z, RADIUS_MM)


def waist(share: float, half_mm: float = 8.0) -> Inside:
    """A radius that leaves `share` of the lumen in the middle."""
    narrow = RADIUS_MM * np.sqrt(share)
    return lambda x, y, z: np.where(np.abs(z) < half_mm, narrow, RADIUS_MM)


def scene_of(
    radius: Inside = even, *, mass: Inside = NEAR, tilt: float = 0.0, noise: float = 20.0, dz: float = 1.25
) -> Scene:
    body, lumen = vertebral_cylinder(), tube(radius, tilt=tilt)
    return Scene(
        paint=((body, 200.0), (mass, 45.0), (tube(radius, tilt=tilt, wall=WALL_MM), 40.0), (lumen, -1000.0)),
        mass=mass,
        structures={"airway": lumen},
        vertebra=body,
        extent_mm=(100.0, 130.0, 90.0),
        spacing=(dz, 0.8, 0.8),
        noise=noise,
    )


def read(scene: Scene, **changes: object) -> Measurements:
    volume = scene.volume()
    anatomy, mass = scene.anatomy(volume), scene.candidate()
    if "airway" in changes:
        anatomy = replace(anatomy, masks={**anatomy.masks, "airway": changes["airway"]})
    view = mass_view(volume, anatomy, mass, context_mm=12.0)
    mesh = mesh_of(view.mask, view.spacing_mm)
    return measure_airway(volume, anatomy, view, mesh, quality_of(scene), MeasureConfig())


@pytest.mark.parametrize("gap", [2.0, 6.0, 15.0])
def test_the_distance_runs_from_the_mass_to_the_lumen(gap: float) -> None:
    mass = ball((RADIUS_MM + gap + 10.0, -AHEAD_MM, 0.0), 20.0)
    found = read(scene_of(mass=mass))[DISTANCE]
    assert found.status == "measured"
    assert found.value == pytest.approx(gap, abs=0.8)


@pytest.mark.parametrize(("share", "tilt"), [(0.3, 0.0), (0.5, 0.0), (0.5, 0.5)])
def test_a_narrowed_trachea_has_lost_what_its_lumen_lost(share: float, tilt: float) -> None:
    found = read(scene_of(waist(share), tilt=tilt))[NARROWING]
    assert found.status == "measured"
    assert found.value == pytest.approx(1.0 - share, abs=0.07)
    assert found.uncertainty is not None


@pytest.mark.parametrize("height", [0.0, 8.0])
def test_a_lumen_that_is_pressed_aside_is_read_where_it_is_narrowest(height: float) -> None:
    whole, rest = tube(even), 0.75 * np.pi * RADIUS_MM**2

    def pressed(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return whole(x, y, z) & ((np.abs(z) > 6.0) | (x < -RADIUS_MM * 0.4))

    scene = scene_of(mass=ball((16.0, -AHEAD_MM, height), 18.0))
    scene = replace(
        scene,
        paint=(*scene.paint[:3], (pressed, -1000.0)),
        structures={"airway": pressed},
    )
    found = read(scene)[NARROWING]
    assert found.status == "measured"
    assert found.value is not None
    assert found.value * np.pi * RADIUS_MM**2 == pytest.approx(rest, rel=0.12)


@pytest.mark.parametrize("tilt", [0.0, 0.5])
@pytest.mark.parametrize("noise", [20.0, 60.0])
def test_an_even_trachea_is_not_narrowed(noise: float, tilt: float) -> None:
    found = read(scene_of(tilt=tilt, noise=noise))[NARROWING]
    assert found.status == "below_detection_limit"
    assert found.detection_limit == pytest.approx(0.35, abs=0.1)


def test_a_trachea_that_widens_steadily_is_not_narrowed() -> None:
    def cone(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return RADIUS_MM * np.sqrt(1.0 + z / 80.0)

    assert read(scene_of(cone))[NARROWING].status == "below_detection_limit"


def test_a_trachea_that_waves_raises_its_own_limit() -> None:
    def waves(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return RADIUS_MM * np.sqrt(1.0 - 0.45 * (np.cos(2.0 * np.pi * z / 24.0) > 0.5))

    found = read(scene_of(waves))[NARROWING]
    assert found.status == "below_detection_limit"
    assert found.detection_limit is not None
    assert found.detection_limit > 0.4


def test_a_far_mass_narrows_nothing_that_could_be_told() -> None:
    found = read(scene_of(mass=ball((33.0, -20.0, 0.0), 10.0)))
    assert found[DISTANCE].value is not None
    assert found[NARROWING].status == "not_assessed"
    assert "within 10 mm" in (found[NARROWING].reason or "")


def test_thick_slices_tell_the_distance_only() -> None:
    found = read(scene_of(dz=5.0))
    assert found[DISTANCE].status == "measured"
    assert found[NARROWING].status == "not_assessed"


def test_without_an_airway_neither_is_told() -> None:
    nothing = np.zeros(scene_of().anatomy(scene_of().volume()).geometry.shape, bool)
    assert {m.status for m in read(scene_of(), airway=nothing).values()} == {"not_assessed"}


def test_where_following_ended_beside_the_mass_neither_is_told() -> None:
    scene = scene_of()
    airway = scene.anatomy(scene.volume()).mask("airway").copy()
    airway[: len(airway) // 2 + 2] = False
    found = read(scene, airway=airway)
    assert found[DISTANCE].status == "not_assessed"
    assert "followed no farther" in (found[DISTANCE].reason or "")
    assert found[NARROWING].status == "not_assessed"


def test_the_trachea_that_the_search_follows_has_its_true_lumen() -> None:
    scene = scene_of(waist(0.5), tilt=0.3)
    volume = scene.volume()
    anatomy = scene.anatomy(volume)
    body = np.ones(anatomy.geometry.shape, bool)
    followed = find_airway(anatomy.hu, body, anatomy.spine, anatomy.geometry).mask
    lumen = read_lumen(volume, replace(anatomy, masks={"airway": followed}))
    areas = read_trachea(lumen, volume.geometry.spacing_mm).areas_mm2[1]
    assert areas.max() == pytest.approx(np.pi * RADIUS_MM**2 / np.hypot(1.0, 0.3), rel=0.08)
    assert areas.min() == pytest.approx(0.5 * np.pi * RADIUS_MM**2 / np.hypot(1.0, 0.3), rel=0.08)
