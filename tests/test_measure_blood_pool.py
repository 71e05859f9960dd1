"""The blood pool of unenhanced scans: the aorta's wall against its lumen, and the myocardium against blood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from measure_scene import Inside, Scene, ellipsoid, quality_of
from paraspinal.anatomy.types import Organ
from paraspinal.config import MeasureConfig
from paraspinal.measure.aortic_wall import measure_wall_contrast
from paraspinal.measure.myocardium import measure_myocardium
from paraspinal.result import Measurement

CONFIG = MeasureConfig()
AORTA = ellipsoid((0.0, 0.0, 0.0), (12.0, 11.0, 1e4))
LUMEN = ellipsoid((0.0, 0.0, 0.0), (10.5, 9.5, 1e4))
HEART = ellipsoid((0.0, -5.0, 0.0), (42.0, 38.0, 40.0))
CHAMBER = ellipsoid((4.0, -5.0, 0.0), (26.0, 23.0, 28.0))
VESSEL = ellipsoid((0.0, 48.0, 0.0), (9.0, 9.0, 1e4))


def _wall(
    *,
    lumen: float,
    wall: float,
    outside: float = -100.0,
    more: tuple[tuple[Inside, float], ...] = (),
    sharpen: float = 0.0,
    seed: int = 1,
    **quality: object,
) -> Measurement:
    scene = Scene(
        paint=((AORTA, wall), (LUMEN, lumen), *more),
        structures={"aorta": AORTA},
        extent_mm=(100.0, 56.0, 56.0),
        spacing=(2.0, 0.8, 0.8),
        background=outside,
        fwhm_mm=1.3,
        noise=18.0,
        seed=seed,
    )
    volume = scene.volume()
    if sharpen:
        hu = volume.hu.astype(np.float32)
        hu += sharpen * (hu - ndimage.gaussian_filter(hu, (0.0, 1.4, 1.4)))
        volume = replace(volume, hu=np.rint(hu).astype(np.int16))
    return measure_wall_contrast(volume, scene.anatomy(volume), quality_of(scene, **quality), CONFIG)


@pytest.mark.parametrize(("lumen", "wall"), [(26.0, 47.0), (33.0, 47.0)])
def test_the_wall_of_an_anaemic_aorta_is_denser_than_its_lumen(lumen: float, wall: float) -> None:
    m = _wall(lumen=lumen, wall=wall)
    assert m.status == "measured"
    assert m.value == pytest.approx(wall - lumen, abs=5.0)
    assert abs(m.value - (wall - lumen)) < 1.96 * m.uncertainty.combined


@pytest.mark.parametrize("sharpen", [0.0, 0.5])
def test_no_wall_is_read_where_blood_is_as_dense_even_by_a_sharp_kernel(sharpen: float) -> None:
    m = _wall(lumen=46.0, wall=46.0, sharpen=sharpen)
    assert m.status == "below_detection_limit"
    assert 5.0 < m.detection_limit < 25.0


def test_a_calcified_stretch_does_not_count_as_wall() -> None:
    plaque = lambda x, y, z: AORTA(x, y, z) & ~LUMEN(x, y, z) & (x > 4.0) & (np.abs(z) < 30.0)  # noqa: E731
    m = _wall(lumen=40.0, wall=46.0, more=((plaque, 700.0),))
    assert m.value is None or m.value < 15.0


def test_where_no_fat_surrounds_the_aorta_its_wall_is_not_judged() -> None:
    assert _wall(lumen=28.0, wall=47.0, outside=-850.0).status == "not_assessed"
    assert _wall(lumen=28.0, wall=47.0, contrast_phase="portal").status == "not_assessed"
    assert "edge response" in (_wall(lumen=28.0, wall=47.0, edge_fwhm_mm=2.4).reason or "")


def _heart(wall: float, blood: float, *, lean: float = 0.0, seed: int = 0, **quality: object) -> Measurement:
    scene = Scene(
        paint=((HEART, wall), (CHAMBER, blood), (VESSEL, blood)),
        structures={"heart": HEART, "aorta": VESSEL},
        extent_mm=(90.0, 130.0, 110.0),
        spacing=(2.0, 1.0, 1.0),
        background=-850.0,
        noise=22.0,
        seed=seed,
    )
    volume = scene.volume()
    if lean:  # shading of the scanner, from one side of the heart to the other
        ramp = np.linspace(-lean, lean, volume.hu.shape[2])
        volume = replace(volume, hu=np.rint(volume.hu + ramp).astype(np.int16))
    anatomy = scene.anatomy(volume, organs={"heart": Organ("present", 0.8)})
    return measure_myocardium(volume, anatomy, quality_of(scene, **quality), CONFIG)


@pytest.mark.parametrize(("wall", "blood"), [(48.0, 28.0), (52.0, 40.0), (70.0, 44.0)])
def test_a_myocardium_denser_than_blood_is_read_within_3_hu(wall: float, blood: float) -> None:
    m = _heart(wall, blood)
    assert m.status == "measured"
    assert m.value == pytest.approx(wall, abs=3.0)


@pytest.mark.parametrize("lean", [0.0, 4.0])
def test_a_heart_as_dense_as_its_blood_shows_no_wall(lean: float) -> None:
    for seed in range(3):
        m = _heart(44.0, 44.0, lean=lean, seed=seed)
        assert m.status == "below_detection_limit"
        assert m.detection_limit > 44.0


def test_myocardium_is_read_on_unenhanced_scans_with_a_heart_in_view() -> None:
    m = _heart(48.0, 28.0, contrast_phase="portal")
    assert m.status == "not_assessed"
    assert "unenhanced" in (m.reason or "")
