"""Trabecular density and structure, and cortex where a mass touches bone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from measure_scene import Inside, Scene, ball, ellipsoid, quality_of, vertebral_cylinder
from paraspinal.config import MeasureConfig
from paraspinal.differential import patient_findings
from paraspinal.measure import measure_mass, measure_vertebrae
from paraspinal.result import Measurement, Measurements

CONFIG = MeasureConfig()
OUTER, INNER = vertebral_cylinder(17.0, 13.0), vertebral_cylinder(16.0, 12.3)
SHELL_HU, MARROW_HU = 900.0, 160.0
EXTENT = (36.0, 60.0, 60.0)


def columns(spacing: float, width: float = 1.0) -> Inside:
    """Return vertical struts on a square lattice, inside the marrow."""

    def inside(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        off = [np.abs((v + spacing / 2) % spacing - spacing / 2) for v in (x, y)]
        return INNER(x, y, z) & (np.hypot(off[0], off[1]) <= width / 2)

    return inside


def _vertebra(*paint: tuple[object, float], **changes: object) -> Scene:
    base = {"extent_mm": EXTENT, "spacing": (1.0, 0.6, 0.6), "background": 45.0, "noise": 15.0}
    return Scene(paint=((OUTER, SHELL_HU), (INNER, MARROW_HU), *paint), vertebra=OUTER, **{**base, **changes})


def _measured(scene: Scene, **quality: object) -> Measurements:
    volume = scene.volume()
    found = measure_vertebrae(volume, scene.anatomy(volume), quality_of(scene, **quality), config=CONFIG)
    assert list(found) == ["T10"]
    return found["T10"]


def _index(scene: Scene) -> float:
    """Return the index, or its detection limit's floor of 0 where nothing was seen."""
    m = _measured(scene)["coarsening_index"]
    assert m.status in {"measured", "below_detection_limit"}
    return m.value or 0.0


# ---- density ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dz", [1.0, 2.5])
@pytest.mark.parametrize("noise", [0.0, 30.0])
def test_trabecular_density_is_free_of_cortex(dz: float, noise: float) -> None:
    m = _measured(_vertebra(spacing=(dz, 0.6, 0.6), noise=noise))["trabecular_hu"]
    assert m.value == pytest.approx(MARROW_HU, abs=3.0)
    assert m.reason is None


def test_contrast_is_noted_with_the_density() -> None:
    m = _measured(_vertebra(), contrast_phase="portal")["trabecular_hu"]
    assert m.status == "measured"
    assert "contrast" in m.reason


# ---- coarsening ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [8.0, 15.0, 22.0, 30.0])
def test_a_uniform_noisy_vertebra_has_no_structure(noise: float) -> None:
    for seed in range(4):
        assert _index(_vertebra(noise=noise, seed=seed)) <= 0.15


def test_streaks_are_no_structure() -> None:
    scene = _vertebra(noise=10.0)
    volume = scene.volume()
    rng = np.random.default_rng(2)
    rows = rng.normal(0.0, 35.0, volume.hu.shape[:2])[:, :, None]  # new horizontal streaks in every slice
    streaked = replace(volume, hu=(volume.hu + rows).astype(np.int16))
    found = measure_vertebrae(streaked, scene.anatomy(volume), quality_of(scene), config=CONFIG)
    assert (found["T10"]["coarsening_index"].value or 0.0) <= 0.15


def test_the_index_rises_with_strut_spacing() -> None:
    index = [_index(_vertebra((columns(s, width=0.45 * s), 400.0))) for s in (1.5, 2.0, 3.0, 4.0)]
    assert index == sorted(index)
    assert index[-1] > 1.5 * max(index[0], 0.1)


def test_the_index_rises_with_strut_contrast() -> None:
    index = [_index(_vertebra((columns(3.0, width=1.2), MARROW_HU + c))) for c in (0.0, 100.0, 200.0, 400.0)]
    assert index == sorted(index)
    assert index[0] == 0.0
    assert index[-1] > 2 * 0.15  # twice what noise alone may show


def test_the_index_depends_little_on_the_scans_blur() -> None:
    index = [
        _index(_vertebra((columns(3.0, width=1.2), 460.0), fwhm_mm=f, noise=8.0)) for f in (1.0, 1.3, 1.6)
    ]
    # the correction is that of structure of all spacings; that of one spacing blurs a little more
    assert max(index) < 1.4 * min(index)


@pytest.mark.parametrize(
    ("scene", "quality", "word"),
    [
        (_vertebra(spacing=(4.0, 0.6, 0.6)), {}, "thicker"),
        (_vertebra(), {"edge_fwhm_mm": None}, "edge response"),
        (_vertebra(), {"edge_fwhm_mm": 3.0}, "broader"),
    ],
)
def test_structure_is_not_judged_where_the_scan_cannot_show_it(
    scene: Scene, quality: dict[str, object], word: str
) -> None:
    m = _measured(scene, **quality)["coarsening_index"]
    assert m.status == "not_assessed"
    assert word in m.reason


def test_thick_overlapping_slices_are_thick() -> None:
    scene = _vertebra(spacing=(2.0, 0.6, 0.6))
    volume = scene.volume()
    thick = replace(volume, acquisition=replace(volume.acquisition, slice_thickness_mm=5.0))
    m = measure_vertebrae(thick, scene.anatomy(volume), quality_of(scene), config=CONFIG)["T10"]
    assert m["coarsening_index"].status == "not_assessed"


@pytest.mark.parametrize("seed", [901, 902, 903])
@pytest.mark.parametrize(("noise", "fwhm_mm", "dz"), [(10.0, 1.0, 1.0), (20.0, 1.3, 1.5), (30.0, 1.6, 2.0)])
def test_the_frozen_limit_parts_coarse_from_fine_bone_that_it_was_not_set_on(
    seed: int, noise: float, fwhm_mm: float, dz: float
) -> None:
    """Struts of 1.6 mm and 700 HU, 4 mm apart, against fine struts of 0.2 mm, 1 mm apart; two vertebrae each."""
    states = []
    for struts, hu in ((columns(4.0, width=1.6), 700.0), (columns(1.0, width=0.2), 510.0)):
        scene = _vertebra((struts, hu), noise=noise, seed=seed, fwhm_mm=fwhm_mm, spacing=(dz, 0.6, 0.6))
        own = _measured(scene)
        found = {f.name: f.state for f in patient_findings({}, {"T9": own, "T10": own})}
        states.append(found["trabecular_coarsening"])
    assert states == ["present", "absent"]


def test_no_structure_is_below_a_limit_that_noise_raises() -> None:
    quiet, noisy = (_measured(_vertebra(noise=n, seed=5))["coarsening_index"] for n in (8.0, 40.0))
    assert quiet.status == noisy.status == "below_detection_limit"
    assert 0.0 < quiet.detection_limit < noisy.detection_limit


# ---- contact ---------------------------------------------------------------------------------------------------


MASS = ellipsoid((27.0, 0.0, 0.0), (12.0, 12.0, 12.0))


def _contact(*after: tuple[object, float], mass: Inside = MASS, **changes: object) -> Measurements:
    settings = {"extent_mm": (40.0, 60.0, 90.0), "spacing": (1.25, 0.7, 0.7), "noise": 15.0, **changes}
    scene = Scene(
        paint=((mass, 45.0), (OUTER, SHELL_HU), (INNER, MARROW_HU), *after),
        mass=lambda x, y, z: mass(x, y, z) & ~OUTER(x, y, z),
        vertebra=OUTER,
        background=20.0,
        **settings,
    )
    volume = scene.volume()
    return measure_mass(volume, scene.anatomy(volume), quality_of(scene), scene.candidate(), config=CONFIG)


def test_bone_interface_is_the_touching_area() -> None:
    touching = _contact()["bone_interface_mm2"]
    assert 80.0 < touching.value < 700.0
    away = _contact(mass=ellipsoid((34.0, 0.0, 0.0), (9.0, 12.0, 12.0)))
    assert away["bone_interface_mm2"].value == 0.0


def test_contact_is_not_denied_beyond_the_traced_spine() -> None:
    def contact(top: float, mass: Inside) -> Measurement:
        scene = Scene(
            paint=((mass, 45.0), (OUTER, SHELL_HU)), mass=mass, vertebra=OUTER, extent_mm=(60.0, 60.0, 90.0)
        )
        volume, anatomy = scene.volume(), scene.anatomy(scene.volume())
        line = anatomy.centreline_lps_mm
        short = replace(anatomy, centreline_lps_mm=line[line[:, 2] <= top])
        measured = measure_mass(volume, short, quality_of(scene), scene.candidate(), config=CONFIG)
        return measured["bone_interface_mm2"]

    away, touching = (
        ellipsoid((34.0, 0.0, 8.0), (9.0, 12.0, 16.0)),
        ellipsoid((27.0, 0.0, 8.0), (12.0, 12.0, 16.0)),
    )
    assert contact(30.0, away).value == 0.0
    assert contact(14.0, away).status == "not_assessed"
    assert "beyond the spine" in contact(14.0, away).reason
    assert contact(14.0, touching).status == "lower_bound"


@pytest.mark.parametrize("changes", [{"spacing": (3.0, 0.7, 0.7)}, {"slice_mm": 5.0}])
def test_cortex_is_not_judged_in_thick_slices_even_if_they_overlap(changes: dict[str, object]) -> None:
    measured = _contact(**changes)
    for key in ("bone_interface_without_cortex_fraction", "breakthrough_fraction"):
        assert measured[key].status == "not_assessed"
        assert "thicker" in measured[key].reason


def test_a_vertebra_that_was_hardly_found_is_not_assessed() -> None:
    scene = replace(_vertebra(), vertebra=ball((0.0, 0.0, 0.0), 8.0))
    m = _measured(scene)
    assert {m["trabecular_hu"].status, m["coarsening_index"].status} == {"not_assessed"}
