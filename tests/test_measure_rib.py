"""Ribs: their width beside the spine, ballooned ones, and the thickness of their cortex."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from paraspinal.anatomy import Anatomy, segment_anatomy
from paraspinal.config import load_config
from paraspinal.differential.derive_patient import patient_findings
from paraspinal.measure.rib import (
    RibSurvey,
    measure_rib_cortex,
    measure_rib_width,
    measure_ribs,
    rib_widths,
    survey_ribs,
)
from paraspinal.phantom import PhantomSpec, make_phantom
from paraspinal.phantom.patient import PatientSpec
from paraspinal.quality import ScanQuality, assess_quality
from paraspinal.result import Measurement
from paraspinal.volume import CTVolume
from rib_case import RibScene, rib_scene

CONFIG = load_config("default").measure
DRAWN_MM = 2.0 * 3.3 * np.sqrt(1.75)  # the circle of a rib's elliptic section


@cache
def _chest(scale: float) -> tuple[CTVolume, Anatomy]:
    spec = PhantomSpec(
        name="ribs",
        seed=7,
        shape=(84, 230, 300),
        spacing_mm=(2.4, 1.25, 1.25),
        patient=PatientSpec(rib_scale=scale),
    )
    volume = make_phantom(spec).volume
    return volume, segment_anatomy(volume)


def _width(volume: CTVolume, anatomy: Anatomy) -> Measurement:
    quality = assess_quality(volume)
    survey = survey_ribs(volume, anatomy, quality, CONFIG)
    return measure_rib_width(survey, quality, CONFIG, slice_mm=volume.effective_slice_mm)


@pytest.mark.parametrize("scale", [1.0, 1.8])
def test_ribs_are_as_wide_as_drawn(scale: float) -> None:
    widths = [r.width_mm for r in rib_widths(*_chest(scale))]
    assert len(widths) >= 5
    assert np.median(widths) == pytest.approx(scale * DRAWN_MM, abs=0.6)
    assert np.std(widths) < 0.06 * np.median(widths)


def test_ballooned_ribs_are_told_and_healthy_ones_are_none() -> None:
    volume, anatomy = _chest(1.0)
    m = _width(volume, anatomy)
    assert m.status == "measured"
    assert m.value - 1.96 * m.uncertainty.combined <= DRAWN_MM <= m.value + 1.96 * m.uncertainty.combined
    told = {f.name: f.state for f in patient_findings({"rib_width_mm": m}, {})}
    assert told["rib_expansion"] == "absent"
    wide = Measurement.measured(1.8 * DRAWN_MM, "mm", type_a=0.2)
    told = {f.name: f.state for f in patient_findings({"rib_width_mm": wide}, {})}
    assert told["rib_expansion"] == "present"


def test_too_few_ribs_are_not_assessed() -> None:
    volume, anatomy = _chest(1.0)
    m = _width(volume, replace(anatomy, ribs=anatomy.ribs[:3]))
    assert m.status == "not_assessed"
    assert "ribs" in m.reason


# ---- cortex ----------------------------------------------------------------------------------------------------

UNEQUAL_MM = (0.8, 1.0, 1.3, 1.6, 0.9, 1.2)
SCENES = {
    "unequal": RibScene(wall_mm=UNEQUAL_MM, pairs=3),
    "soft": RibScene(wall_mm=0.8, fwhm_mm=1.4, pairs=3, seed=1),
    "dense": RibScene(wall_mm=1.0, cortex_hu=1400.0, fwhm_mm=1.0, pairs=3, seed=2),
    "sharp": RibScene(wall_mm=1.0, overshoot=0.7, pairs=3, seed=3),
    "thin": RibScene(wall_mm=0.25, pairs=3, seed=4),
}


@cache
def _scene(name: str) -> tuple[CTVolume, Anatomy, ScanQuality]:
    return rib_scene(SCENES[name])


@cache
def _survey(name: str) -> RibSurvey:
    return survey_ribs(*_scene(name), CONFIG)


def _cortex(name: str, **changes: object) -> Measurement:
    volume, anatomy, quality = _scene(name)
    changed = replace(quality, **changes) if changes else quality
    survey = survey_ribs(volume, anatomy, changed, CONFIG) if changes else _survey(name)
    return measure_rib_cortex(survey, changed, CONFIG, slice_mm=volume.effective_slice_mm)


def test_every_rib_reads_its_own_cortex_and_width() -> None:
    """The targets of docs/measurements.md: bias 0.15 mm, SD 0.25 mm; width within 0.5 mm."""
    volume, anatomy, quality = _scene("unequal")
    own = measure_ribs(_survey("unequal"), volume, anatomy, quality, config=CONFIG)
    off = [own[r.number]["cortex_mm"].value - t for r, t in zip(anatomy.ribs, UNEQUAL_MM, strict=True)]
    assert abs(np.mean(off)) <= 0.15
    assert np.std(off) <= 0.25
    for rib, truth in zip(anatomy.ribs, UNEQUAL_MM, strict=True):
        thickness, width = own[rib.number]["cortex_mm"], own[rib.number]["width_mm"]
        assert abs(thickness.value - truth) <= 1.96 * thickness.uncertainty.combined
        assert width.value == pytest.approx(SCENES["unequal"].width_mm, abs=0.5)


@pytest.mark.parametrize("name", ["soft", "dense", "sharp"])
def test_the_cortex_is_read_through_blur_density_and_kernel(name: str) -> None:
    m, truth = _cortex(name), SCENES[name].wall_mm
    assert m.value == pytest.approx(truth, abs=0.15)
    assert m.value - 1.96 * m.uncertainty.combined <= truth <= m.value + 1.96 * m.uncertainty.combined


def test_dense_bone_tells_its_own_density() -> None:
    """Fixed at the 1,100 HU of the others, a cortex of 1,400 HU would read a third too thick."""
    assert _survey("dense").cortex_hu == pytest.approx(1400.0, abs=120.0)


def test_a_shell_below_the_blur_is_a_limit_and_no_number() -> None:
    m = _cortex("thin")
    assert (m.status, m.value) == ("below_detection_limit", None)
    assert 0.25 < m.detection_limit < 0.5
    told = {f.name: f.state for f in patient_findings({"rib_cortex_mm": m}, {})}
    assert told["cortical_thinning"] == "present"


def test_without_a_known_blur_nothing_is_fitted() -> None:
    m = _cortex("unequal", edge_fwhm_mm=None)
    assert m.status == "not_assessed"
    assert "edge response" in m.reason
    assert _cortex("unequal", edge_fwhm_mm=2.5).status == "not_assessed"


def test_thin_ribs_are_told_from_normal_ones() -> None:
    for name, state in (("dense", "absent"), ("thin", "present")):
        told = {f.name: f.state for f in patient_findings({"rib_cortex_mm": _cortex(name)}, {})}
        assert told["cortical_thinning"] == state


def test_an_expanded_rib_is_as_wide_as_drawn_where_its_cortex_is_thin() -> None:
    """Half level of a blurred thin cortex lies outside the bone: the fitted border does not."""
    survey = _survey("soft")
    by_half_level = np.median([np.median(r.sections_mm) for r in survey.ribs])
    fitted = np.median([r.width_mm for r in survey.ribs])
    truth = SCENES["soft"].width_mm
    assert abs(fitted - truth) < 0.3 < by_half_level - truth
