"""Organs: volumes, densities, lesions, and what is said when they are not there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from measure_scene import Inside, Scene, ball, ellipsoid, quality_of
from paraspinal.anatomy.types import Organ
from paraspinal.config import MeasureConfig
from paraspinal.differential.derive_patient import patient_findings
from paraspinal.measure import measure_aortic_lumen, measure_patient
from paraspinal.measure.body_surface import body_surface_m2, per_surface
from paraspinal.measure.native import native_samples
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import Acquisition

CONFIG = MeasureConfig()
SPLEEN = ellipsoid((25.0, 0.0, 0.0), (22.0, 30.0, 38.0))
LIVER = ellipsoid((-30.0, 0.0, 2.0), (28.0, 36.0, 32.0))
AORTA = ellipsoid((0.0, 38.0, 0.0), (10.0, 10.0, 1000.0))
KEYS = """spleen_volume_ml spleen_length_mm splenic_lesions_count splenic_lesion_max_mm liver_volume_ml
liver_ml_per_m2 liver_craniocaudal_mm liver_hu effusion_left_ml effusion_right_ml effusion_left_hu effusion_right_hu
effusion_left_layering_hu effusion_right_layering_hu effusion_left_blood_score effusion_right_blood_score
splenic_calcification_fraction
aortic_lumen_hu lumen_wall_contrast_hu myocardium_hu rib_width_mm rib_cortex_mm noise_sd_hu edge_fwhm_mm"""


def _patient(
    *paint: tuple[Inside, float],
    organs: Mapping[str, Organ] | None = None,
    structures: Mapping[str, Inside] | None = None,
    seed: int = 0,
    noise: float = 20.0,
    **quality: object,
) -> Measurements:
    scene = Scene(
        paint=((SPLEEN, 50.0), (LIVER, 60.0), (AORTA, 42.0), *paint),
        structures={"spleen": SPLEEN, "liver": LIVER, "aorta": AORTA} if structures is None else structures,
        extent_mm=(90.0, 100.0, 130.0),
        spacing=(2.0, 1.0, 1.0),
        noise=noise,
        seed=seed,
    )
    volume = scene.volume()
    anatomy = scene.anatomy(volume, organs=organs)
    return measure_patient(volume, anatomy, quality_of(scene, **quality), config=CONFIG)


def test_organs_have_their_volume_length_and_density() -> None:
    m = _patient()
    assert set(m) == set(KEYS.split())
    for key, radii in (("spleen_volume_ml", (22, 30, 38)), ("liver_volume_ml", (28, 36, 32))):
        truth = 4 / 3 * np.pi * np.prod(radii) / 1000
        assert m[key].value == pytest.approx(truth, rel=0.03)
        assert abs(m[key].value - truth) < 1.96 * m[key].uncertainty.type_a
    assert m["spleen_length_mm"].value == pytest.approx(76.0, abs=3.0)
    assert m["liver_craniocaudal_mm"].value == pytest.approx(64.0, abs=3.0)
    assert m["liver_hu"].value == pytest.approx(60.0, abs=2.0)
    assert m["aortic_lumen_hu"].value == pytest.approx(42.0, abs=3.0)
    assert m["noise_sd_hu"].value == 20.0


def test_a_lesion_of_10_mm_30_hu_below_is_found() -> None:
    found = 0
    for seed in range(10):
        z, y = np.random.default_rng(seed).uniform(-12, 12, 2)
        m = _patient((ball((24.0, y, z), 11.0), 20.0), seed=seed)
        found += m["splenic_lesions_count"].value == 1.0
    assert found >= 9


def test_an_even_spleen_has_no_lesions() -> None:
    found = {_patient(seed=seed, noise=30.0)["splenic_lesions_count"].status for seed in range(6)}
    assert found == {"below_detection_limit"}
    assert _patient()["splenic_lesion_max_mm"].status == "below_detection_limit"


def test_stomach_taken_for_spleen_is_no_lesion() -> None:
    stomach = ellipsoid((25.0, -42.0, 0.0), (14.0, 16.0, 18.0))
    both = lambda x, y, z: SPLEEN(x, y, z) | stomach(x, y, z)  # noqa: E731
    m = _patient((stomach, 15.0), structures={"spleen": both})
    assert m["splenic_lesions_count"].status == "below_detection_limit"


@pytest.mark.parametrize(
    ("phase", "liver_hu", "status"),
    [
        ("aortic", 60.0, "not_assessed"),
        ("indeterminate", 60.0, "not_assessed"),
        ("indeterminate", 110.0, "below_detection_limit"),
        ("portal", 110.0, "below_detection_limit"),
    ],
)
def test_splenic_lesions_are_not_sought_in_an_arterial_phase(
    phase: str, liver_hu: float, status: str
) -> None:
    m = _patient((LIVER, liver_hu), contrast_phase=phase)
    assert m["splenic_lesions_count"].status == status


def test_absent_organs_say_why() -> None:
    organs = {
        "spleen": Organ("indeterminate", 0.3, reason="no even tissue at its place"),
        "liver": Organ("not_in_view", 0.9),
        "effusion_left": Organ("absent", 0.9),
    }
    m = _patient(structures={}, organs=organs)
    assert m["spleen_volume_ml"].status == "not_assessed"
    assert "no even tissue" in m["spleen_volume_ml"].reason
    assert m["liver_hu"].status == "not_in_view"
    assert m["effusion_left_ml"].status == "below_detection_limit"
    assert m["effusion_left_ml"].detection_limit == CONFIG.effusion_limit_ml
    assert m["effusion_right_ml"].status == "not_assessed"
    assert all(x.value is None for k, x in m.items() if k not in {"noise_sd_hu", "edge_fwhm_mm"})


def test_a_truncated_organ_is_a_lower_bound() -> None:
    organs = {"spleen": Organ("present", 0.9, truncated=("inferior",))}
    m = _patient(organs=organs)
    assert m["spleen_volume_ml"].status == "lower_bound"
    assert "inferior" in m["spleen_volume_ml"].reason
    assert m["liver_volume_ml"].status == "measured"


def test_an_effusion_has_volume_and_density() -> None:
    fluid = ellipsoid((0.0, -35.0, 0.0), (14.0, 12.0, 40.0))
    m = _patient((fluid, 8.0), structures={"effusion_right": fluid})
    assert m["effusion_right_ml"].value == pytest.approx(4 / 3 * np.pi * 14 * 12 * 40 / 1000, rel=0.05)
    assert m["effusion_right_hu"].value == pytest.approx(8.0, abs=3.0)


def test_the_aorta_can_be_read_before_the_quality_is_known() -> None:
    scene = Scene(
        paint=((AORTA, 180.0),), structures={"aorta": AORTA}, extent_mm=(40.0, 120.0, 60.0), kvp=None
    )
    volume = scene.volume()
    m = measure_aortic_lumen(volume, scene.anatomy(volume), config=CONFIG)
    assert m.value == pytest.approx(180.0, abs=2.0)
    assert m.uncertainty.type_b is None


@pytest.mark.parametrize(("slices", "more"), [(2.0, 1.0), (6.0, 3.0)])
def test_a_native_voxel_is_one_sample_however_fine_the_working_grid(slices: float, more: float) -> None:
    """Three working slices of 2 mm in one of 6 mm are one reading: the noise's share of type A does not shrink."""
    scene = Scene(
        paint=((LIVER, 60.0),),
        structures={"liver": LIVER},
        extent_mm=(90.0, 100.0, 130.0),
        spacing=(slices, 1.0, 1.0),
    )
    volume, anatomy = scene.volume(), scene.anatomy(scene.volume())
    liver = anatomy.mask("liver")
    samples = native_samples(volume, anatomy.geometry, liver)
    assert samples.size == pytest.approx(np.count_nonzero(liver) / more, rel=0.1)


def test_a_cut_spleen_without_lesions_denies_none() -> None:
    m = _patient(organs={"spleen": Organ("present", 0.9, truncated=("inferior",))})
    assert m["splenic_lesions_count"].status == "not_assessed"


def test_a_spleen_that_is_not_there_is_below_its_limit_and_has_no_length() -> None:
    m = _patient(structures={}, organs={"spleen": Organ("absent", 0.9, reason="nothing at its place")})
    assert m["spleen_volume_ml"].status == "below_detection_limit"
    assert {m[key].status for key in ("spleen_length_mm", "splenic_lesions_count")} == {"not_assessed"}


def test_an_effusion_that_could_not_be_judged_says_so() -> None:
    organs = {
        "effusion_left": Organ("not_in_view", 0.9),
        "effusion_right": Organ("indeterminate", 0.3, reason="airless lung"),
    }
    m = _patient(structures={}, organs=organs)
    assert m["effusion_left_ml"].status == m["effusion_left_hu"].status == "not_in_view"
    assert "airless lung" in (m["effusion_right_ml"].reason or "")


def test_the_liver_is_judged_by_body_surface_where_the_header_tells_it() -> None:
    small, large = (
        Acquisition(patient_height_m=height, patient_weight_kg=weight)
        for height, weight in ((1.5, 45.0), (1.9, 110.0))
    )
    assert body_surface_m2(small) == pytest.approx(1.369, abs=0.001)  # √(150 · 45 / 3600)
    assert body_surface_m2(Acquisition(patient_height_m=1.7)) is None
    liver = Measurement.measured(1700.0, "mL", type_a=40.0)
    states = []
    for who in (small, large, Acquisition()):
        m = {"liver_volume_ml": liver, "liver_ml_per_m2": per_surface(liver, who)}
        states.append({f.name: f for f in patient_findings(m, {})}["hepatomegaly"])
    assert [f.state for f in states] == ["present", "absent", "absent"]
    assert [f.measurements for f in states] == [("liver_ml_per_m2",)] * 2 + [("liver_volume_ml",)]


def test_a_liver_that_is_cut_off_is_a_lower_bound_by_surface_too() -> None:
    cut = Measurement.measured(900.0, "mL", type_a=20.0, status="lower_bound", reason="cut off")
    m = per_surface(cut, Acquisition(patient_height_m=1.8, patient_weight_kg=80.0))
    assert (m.status, m.reason) == ("lower_bound", "cut off")
    assert m.value == pytest.approx(450.0, abs=1.0)
    assert per_surface(Measurement.missing("mL", "not found"), Acquisition()).reason == "not found"
