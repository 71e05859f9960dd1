"""Masses in the canal: their area, against foramina that a mass only lies beside, with and without epidural fat."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from anatomy_case import anatomy, phantom, search
from measure_scene import mass_of
from paraspinal.config import load_config
from paraspinal.differential.derive_mass import mass_findings
from paraspinal.masses.types import Mass
from paraspinal.measure import canal_extension
from paraspinal.measure.canal_extension import clean_levels, measure_canal_extension
from paraspinal.measure.epidural import Level, in_canal, inside, read_levels
from paraspinal.measure.view import mass_view
from paraspinal.phantom import Hybrid, MassSpec, insert_masses
from paraspinal.quality import ScanQuality, assess_quality
from paraspinal.result import Measurement

CONFIG = load_config("default").measure
AT = MassSpec(side="left", level="T9", semi_axes_mm=(13.0, 12.0, 18.0), hu=52.0)


@cache
def _quality() -> ScanQuality:
    return assess_quality(phantom("healthy").volume)


@cache
def _made(spec: MassSpec) -> Hybrid:
    return insert_masses(phantom("healthy").volume, anatomy("healthy"), _quality(), [spec], seed=2)


@cache
def _levels() -> tuple[Level, ...]:
    return read_levels(phantom("healthy").volume, anatomy("healthy"))


def _mass(made: Hybrid) -> Mass:
    return mass_of(made.masses.data == 1, made.volume.geometry)


def _read(made: Hybrid, quality: ScanQuality | None = None) -> Measurement:
    volume, mass = made.volume, _mass(made)
    known = clean_levels(read_levels(volume, anatomy("healthy")), [mass], volume.geometry)
    view = mass_view(volume, anatomy("healthy"), mass, context_mm=CONFIG.context_mm)
    return measure_canal_extension(known, mass, view, volume.geometry, quality or _quality(), CONFIG)


@pytest.mark.parametrize("area", [55.0, 100.0])
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_area_in_canal_and_foramen_is_read(area: float, side: str) -> None:
    made = _made(replace(AT, side=side, bone="canal", canal_mm2=area))
    true = made.truth["masses"][0]["canal_extension_mm2"]
    found = _read(made)
    assert true == pytest.approx(area, rel=0.15)
    assert found.value == pytest.approx(true, rel=0.3)
    assert found.region == f"below T9, {side}"
    told = {f.name: f.state for f in mass_findings(_mass(made), {"canal_extension_mm2": found})}
    assert told["intraspinal_extension"] in ("present", "indeterminate")


@pytest.mark.parametrize("level", ["T8", "T9", "T10"])
def test_a_mass_that_lies_beside_a_foramen_fills_its_mouth_at_most(level: str) -> None:
    made = _made(replace(AT, level=level))
    found, true = _read(made), made.truth["masses"][0]["canal_extension_mm2"]
    assert true < 35.0
    assert found.value is None or found.value == pytest.approx(true, abs=12.0)
    told = {f.name: f.state for f in mass_findings(_mass(made), {"canal_extension_mm2": found})}
    assert told["intraspinal_extension"] != "present"


def test_a_mass_as_dense_as_what_fills_a_foramen_without_fat_is_not_judged() -> None:
    made = _made(AT)
    lean = made.volume.hu.copy()
    lean[(lean > -140) & (lean < 52)] = 52
    assert _read(replace(made, volume=replace(made.volume, hu=lean))).status == "not_assessed"


@pytest.mark.parametrize(("unread", "status"), [("T8", "lower_bound"), ("T9", "not_assessed")])
def test_a_reached_place_that_tells_nothing_is_not_passed_over(
    unread: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _made(replace(AT, bone="canal", canal_mm2=100.0))
    whole = _read(made)
    read_area = canal_extension._area

    def blind(epidural, level, side, *args, away, **options):
        # Only beside the mass: the references stay as they are.
        hidden = away is not None and (level.label, side) == (unread, "left")
        return None if hidden else read_area(epidural, level, side, *args, away=away, **options)

    monkeypatch.setattr(canal_extension, "_area", blind)
    found = _read(made)
    assert (whole.status, whole.region) == ("measured", "below T9, left")
    assert found.status == status
    assert found.value == (whole.value if unread == "T8" else None)
    assert f"below {unread}, left" in (found.reason or "")
    told = {f.name: f.state for f in mass_findings(_mass(made), {"canal_extension_mm2": found})}
    assert told["intraspinal_extension"] != "absent"


def test_slices_that_are_too_thick_are_not_judged() -> None:
    made = _made(AT)
    thick = replace(made.volume.acquisition, slice_thickness_mm=5.0)
    found = _read(replace(made, volume=replace(made.volume, acquisition=thick)))
    assert found.status == "not_assessed"
    assert "2.5 mm" in (found.reason or "")


def test_a_side_beside_a_mass_is_no_reference() -> None:
    mass = _mass(_made(AT))
    known = clean_levels(_levels(), [mass], phantom("healthy").volume.geometry)
    assert "left" not in known.clean["T9"]
    assert "right" in known.clean["T9"]
    assert known.clean["T7"] == {"left", "right"}


def test_the_canal_lies_inside_and_is_as_wide_on_both_sides() -> None:
    for level in _levels():
        whole, own = inside(level.canal), in_canal(level.canal)
        assert (whole | own).sum() == whole.sum()
        assert np.array_equal(whole, whole[:, ::-1])
        assert np.nanmedian(level.hu[:, ~whole]) != np.nanmedian(level.hu[:, own])


def test_the_dumb_bell_of_a_phantom_runs_into_the_canal() -> None:
    volume, (mass, *_) = phantom("schwannoma").volume, search("schwannoma").masses
    known = clean_levels(read_levels(volume, anatomy("schwannoma")), [mass], volume.geometry)
    view = mass_view(volume, anatomy("schwannoma"), mass, context_mm=CONFIG.context_mm)
    found = measure_canal_extension(known, mass, view, volume.geometry, assess_quality(volume), CONFIG)
    true = phantom("schwannoma").truth["masses"][0]["canal_extension_mm2"]
    assert true > 50.0
    assert found.value is not None
    assert found.value > 50.0
    assert found.region == "below T8, right"
