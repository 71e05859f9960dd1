from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from anatomy_case import anatomy, dice, phantom, search
from paraspinal.anatomy import segment_anatomy
from paraspinal.masses import MassSearch, find_masses
from paraspinal.phantom import Phantom, PhantomSpec, make_phantom
from paraspinal.phantom.presets import single_mass
from paraspinal.volume import CTVolume


def test_both_masses_of_the_article_are_found() -> None:
    found = [mass for mass in search("emh").masses if mass.state == "present"]
    made = phantom("emh")
    assert sorted(mass.side for mass in found) == ["left", "right"]
    assert found[0].pair_id == found[1].pair_id == 1
    for mass in found:
        number = next(k + 1 for k, t in enumerate(made.truth["masses"]) if t["side"] == mass.side)
        truth = made.masses.data == number
        assert dice(mass.region.full(truth.shape), truth) > 0.9
        assert set(mass.levels) <= {"T8", "T9", "T10"}


def test_nothing_is_found_in_the_healthy_control() -> None:
    assert search("healthy").masses == ()
    assert all(item.assessed_fraction > 0.6 for item in search("healthy").coverage)
    assert {item.side for item in search("healthy").coverage} == {"left", "right"}


def test_what_lies_beside_the_spine_is_explained() -> None:
    reasons = {item.reason for item in search("healthy").explained_away}
    assert {"psoas"} <= reasons
    assert all(item.volume_ml > 0 for item in search("healthy").explained_away)


@cache
def one(side: str, level: str) -> tuple[Phantom, MassSearch]:
    spec: PhantomSpec = single_mass(side="left" if side == "left" else "right", level=level, diameter_mm=30.0)
    if level in ("T5", "T6"):
        spec = replace(spec, levels=("T3", "T9"))
    made = make_phantom(spec)
    return made, find_masses(made.volume, segment_anatomy(made.volume))


# A mass at T11 or T12 on the right is sunk into a liver of like density in this phantom: see docs/limits.md.
@pytest.mark.parametrize(
    ("side", "level"),
    [
        ("right", "T9"),
        ("left", "T12"),
        pytest.param("left", "T5", marks=pytest.mark.integration),
        pytest.param("right", "L1", marks=pytest.mark.integration),
    ],
)
def test_a_30_mm_mass_is_found_on_either_side(side: str, level: str) -> None:
    made, found = one(side, level)
    present = [mass for mass in found.masses if mass.state == "present"]
    assert [mass.side for mass in present] == [side]
    truth = made.masses.data == 1
    assert dice(present[0].region.full(truth.shape), truth) > 0.8
    centre = made.volume.geometry.to_lps(np.argwhere(truth).mean(axis=0))
    assert np.linalg.norm(centre - present[0].centroid_lps_mm) < 3.0


def test_a_mirrored_patient_has_a_mirrored_mass() -> None:
    made, found = one("right", "T9")
    volume = made.volume
    mirrored = CTVolume(np.ascontiguousarray(volume.hu[:, :, ::-1]), volume.geometry)
    again = find_masses(mirrored, segment_anatomy(mirrored))
    # The mirrored liver lies on the wrong side, so only the mass itself is compared.
    present = [mass for mass in again.masses if mass.side == "left" and mass.state == "present"]
    assert len(present) == 1
    original = next(mass for mass in found.masses if mass.state == "present")
    assert present[0].region.voxels == pytest.approx(original.region.voxels, rel=0.1)


def test_an_isodense_mass_sunk_into_the_liver_is_not_called_absent() -> None:
    _, found = one("right", "T11")
    seen = any(mass.side == "right" for mass in found.masses)
    covered = {c.level: c.assessed_fraction for c in found.coverage if c.side == "right"}
    assert seen or covered["T11"] < 0.9


def test_regions_stay_inside_the_volume() -> None:
    shape = phantom("emh").volume.geometry.shape
    for mass in search("emh").masses:
        assert all(
            a + n <= s for a, n, s in zip(mass.region.start, mass.region.mask.shape, shape, strict=True)
        )
        assert mass.region.start[0] <= mass.key_slice < mass.region.start[0] + mass.region.mask.shape[0]
    assert anatomy("emh").mask("no such structure").sum() == 0
