"""A number that rests on slices the loader filled in says so; one that does not is left alone."""

from dataclasses import replace

import pytest

from measure_scene import Scene, ball, quality_of, vertebral_cylinder
from paraspinal.config import MeasureConfig
from paraspinal.measure import mark_patient, measure_mass, measure_vertebrae
from paraspinal.result import Measurement

CENTRE = (0.0, 0.0, 0.0)
SCENE = Scene(
    mass=ball((22.0, 0.0, 0.0), 24.0),
    paint=((ball((22.0, 0.0, 0.0), 24.0), 40.0), (vertebral_cylinder(), 180.0)),
    vertebra=vertebral_cylinder(),
    noise=8.0,
)
CONFIG = MeasureConfig()


def statuses(interpolated: tuple[int, ...]) -> tuple[set[str], set[str]]:
    """Return the statuses of all values of the mass and of the vertebra."""
    volume = replace(SCENE.volume(), interpolated=interpolated)
    anatomy = SCENE.anatomy(volume)
    mass = measure_mass(volume, anatomy, quality_of(SCENE), SCENE.candidate(), config=CONFIG)
    (bone,) = measure_vertebrae(volume, anatomy, quality_of(SCENE), config=CONFIG).values()
    return tuple({m.status for m in found.values() if m.value is not None} for found in (mass, bone))  # type: ignore[return-value]


def test_a_scan_without_gaps_has_no_interpolated_number() -> None:
    mass, bone = statuses(())
    assert "measured" in mass & bone
    assert "interpolated" not in mass | bone


def test_a_gap_through_mass_and_vertebra_marks_both() -> None:
    mass, bone = statuses((30,))
    assert "interpolated" in mass & bone
    assert "measured" not in mass | bone


def test_a_gap_elsewhere_marks_neither() -> None:
    mass, bone = statuses((1,))
    assert "interpolated" not in mass | bone


@pytest.mark.parametrize("slice_", [30, 2])
def test_an_organ_is_marked_where_a_gap_crosses_it(slice_: int) -> None:
    scene = replace(SCENE, structures={"spleen": ball(CENTRE, 20.0)})
    volume = replace(scene.volume(), interpolated=(slice_,))
    spleen = Measurement(value=50.0, unit="[hnsf'U]", status="measured")
    found = mark_patient({"spleen_hu": spleen, "noise_sd_hu": spleen}, volume, scene.anatomy(volume))
    assert found["spleen_hu"].status == ("interpolated" if slice_ == 30 else "measured")
    assert found["noise_sd_hu"].status == "interpolated"  # read all over the scan
    assert found["spleen_hu"].value == 50.0


def test_what_was_not_found_on_a_gap_is_not_denied() -> None:
    volume = replace(SCENE.volume(), interpolated=(30,))
    found = measure_mass(volume, SCENE.anatomy(volume), quality_of(SCENE), SCENE.candidate(), config=CONFIG)
    assert "below_detection_limit" not in {m.status for m in found.values()}
    assert found["gas_ml"].status == "not_assessed"
    assert "interpolated" in (found["gas_ml"].reason or "")
