"""Calcified spleens, effusions that are blood, and what the findings make of them."""

from __future__ import annotations

import pytest

from measure_scene import Inside, Scene, ball, cuboid, ellipsoid, quality_of
from paraspinal.anatomy.types import Organ, Vertebra
from paraspinal.config import MeasureConfig
from paraspinal.differential.derive_patient import patient_findings
from paraspinal.measure import measure_patient
from paraspinal.measure.effusion import measure_effusion
from paraspinal.result import Finding, Measurement, Measurements

CONFIG = MeasureConfig()
SPLEEN = ellipsoid((60.0, 0.0, 0.0), (20.0, 28.0, 34.0))
AORTA = ellipsoid((0.0, 0.0, 0.0), (10.0, 10.0, 1e4))
BODY = ellipsoid((0.0, 0.0, 0.0), (125.0, 95.0, 1e4))
FLUID = cuboid((0.0, 20.0, 0.0), (30.0, 18.0, 40.0))


def _spleen(
    *paint: tuple[Inside, float], outlined: bool = True, state: Organ | None = None, **quality: object
) -> Measurements:
    structures = {"aorta": AORTA, "body": BODY} | ({"spleen": SPLEEN} if outlined else {})
    scene = Scene(
        paint=((BODY, -100.0), (AORTA, 40.0), *paint),
        structures=structures,
        extent_mm=(110.0, 200.0, 260.0),
        spacing=(2.5, 2.0, 2.0),
        noise=15.0,
    )
    volume = scene.volume()
    anatomy = scene.anatomy(volume, organs={"spleen": state or Organ("present", 0.9)})
    l1 = Vertebra("L1", {"L1": 1.0}, (0.0, 20.0, -20.0), -6.0, -34.0, 0.0, 31, 0.9)
    anatomy = type(anatomy)(**{f: getattr(anatomy, f) for f in anatomy.__slots__} | {"vertebrae": (l1,)})
    return measure_patient(volume, anatomy, quality_of(scene, **quality), config=CONFIG)


def _finding(m: Measurements, name: str) -> Finding:
    return {f.name: f for f in patient_findings(m, {})}[name]


def test_a_calcified_spleen_shows_its_share_and_a_plain_one_none() -> None:
    half = lambda x, y, z: SPLEEN(x, y, z) & (z > 0.0)  # noqa: E731
    dense, plain = _spleen((SPLEEN, 50.0), (half, 230.0)), _spleen((SPLEEN, 50.0))
    assert dense["splenic_calcification_fraction"].value == pytest.approx(0.5, abs=0.06)
    assert _finding(dense, "spleen_small_or_calcified").state == "present"
    assert plain["splenic_calcification_fraction"].status == "below_detection_limit"
    assert _finding(plain, "spleen_small_or_calcified").state == "absent"


def test_a_dense_remnant_in_the_bed_is_a_small_spleen_and_no_absent_one() -> None:
    remnant = ball((75.0, 5.0, 20.0), 20.0)
    state = Organ("indeterminate", 0.3, reason="tissue at its place is not like it")
    m = _spleen((remnant, 220.0), outlined=False, state=state)
    assert m["splenic_calcification_fraction"].value > 0.7
    assert m["spleen_volume_ml"].value == pytest.approx(4.19, rel=0.35)
    assert _finding(m, "spleen_small_or_calcified").state == "present"
    assert _finding(m, "spleen_absent").state == "absent"


def test_an_empty_bed_shows_no_remnant_and_dense_bowel_makes_none() -> None:
    state = Organ("absent", 0.7, reason="nothing at its place")
    empty = _spleen(outlined=False, state=state)
    assert empty["splenic_calcification_fraction"].status == "not_assessed"
    assert _finding(empty, "spleen_absent").state == "present"
    bowel = _spleen(
        (ball((75.0, 5.0, 20.0), 20.0), 220.0),
        (ball((-40.0, -20.0, 10.0), 32.0), 250.0),
        outlined=False,
        state=state,
    )
    assert "bowel" in (bowel["splenic_calcification_fraction"].reason or "")


def test_calcium_is_not_told_from_bright_blood() -> None:
    m = _spleen((SPLEEN, 110.0), (AORTA, 330.0), contrast_phase="aortic")
    assert m["splenic_calcification_fraction"].status == "not_assessed"


def _effusion(hu: float, *more: tuple[Inside, float], seed: int = 0, **quality: object) -> Measurements:
    scene = Scene(
        paint=((FLUID, hu), *more),
        structures={"effusion_left": FLUID},
        extent_mm=(110.0, 90.0, 90.0),
        spacing=(2.0, 1.0, 1.0),
        background=-850.0,
        noise=20.0,
        seed=seed,
    )
    volume = scene.volume()
    return measure_effusion(volume, scene.anatomy(volume), quality_of(scene, **quality), "left", CONFIG)


@pytest.mark.parametrize(("hu", "low", "high"), [(5.0, 0.0, 0.05), (27.0, 0.2, 0.8), (50.0, 0.95, 1.0)])
def test_the_score_grades_fluid_from_water_to_blood(hu: float, low: float, high: float) -> None:
    m = _effusion(hu)
    assert m["effusion_left_hu"].value == pytest.approx(hu, abs=3.0)
    assert low <= m["effusion_left_blood_score"].value <= high
    assert m["effusion_left_layering_hu"].status == "below_detection_limit"


def test_settled_cells_make_blood_of_a_fluid_whose_mean_is_open() -> None:
    settled = lambda x, y, z: FLUID(x, y, z) & (y > 22.0)  # noqa: E731
    m = _effusion(22.0, (settled, 55.0))
    assert m["effusion_left_layering_hu"].value == pytest.approx(33.0, abs=5.0)
    assert m["effusion_left_blood_score"].value > 0.9


def test_no_layer_is_seen_in_even_fluid() -> None:
    read = [_effusion(12.0, seed=seed)["effusion_left_layering_hu"].status for seed in range(5)]
    assert read == ["below_detection_limit"] * 5


def test_contrast_medium_leaves_the_kind_of_fluid_open() -> None:
    assert _effusion(50.0, contrast_phase="portal")["effusion_left_blood_score"].status == "not_assessed"


def test_iron_of_the_heart_is_judged_against_an_uncertain_limit() -> None:
    def state(hu: float) -> str:
        m = {"myocardium_hu": Measurement.measured(hu, "[hnsf'U]", type_a=1.0, type_b=4.0)}
        quality = quality_of(Scene(paint=()))
        return {f.name: f for f in patient_findings(m, {}, quality=quality)}["myocardial_iron"].state

    assert [state(hu) for hu in (46.0, 58.0, 75.0)] == ["absent", "indeterminate", "present"]
