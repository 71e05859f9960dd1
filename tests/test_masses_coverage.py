"""A scan that cannot show a mass must not be called free of one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from anatomy_case import anatomy, phantom, search
from paraspinal.anatomy import Vertebra, segment_anatomy
from paraspinal.config import MassConfig
from paraspinal.masses import MassSearch, find_masses
from paraspinal.masses.heights import diaphragm_s, psoas_top_s
from paraspinal.masses.place import level_probabilities, without
from paraspinal.phantom import make_phantom
from paraspinal.phantom.presets import single_mass
from paraspinal.result import Coverage
from paraspinal.volume import CTVolume, Region
from scan_defects import cropped, narrow, padded_right_of, with_effusion, with_noise, with_rods

GAP = 0.6  # OutcomeConfig.min_assessed_fraction: below, a compartment rules out `no_mass`
SIDES = [("left",), ("right",), ("left", "right")]


def searched(volume: CTVolume) -> MassSearch:
    return find_masses(volume, segment_anatomy(volume))


def healthy() -> CTVolume:
    return phantom("healthy").volume


def worst(found: MassSearch, side: str) -> Coverage:
    return min((c for c in found.coverage if c.side == side), key=lambda c: c.assessed_fraction)


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("hu", [5.0, 35.0])
def test_fluid_beside_the_spine_is_a_gap_or_a_candidate(sides: tuple[str, ...], hu: float) -> None:
    wet = with_effusion(healthy(), anatomy("healthy"), sides, hu=hu, share=0.6)
    found = searched(wet)
    for side in sides:
        assert worst(found, side).assessed_fraction < GAP or any(m.side == side for m in found.masses)


def test_free_effusion_is_explained_and_no_mass() -> None:
    wet = with_effusion(healthy(), anatomy("healthy"), ("right",), hu=12.0, share=0.35)
    found = searched(wet)
    assert [m for m in found.masses if m.state == "present"] == []
    assert sum(item.volume_ml for item in found.explained_away if item.reason == "effusion") > 50.0


def test_fluid_does_not_lift_the_diaphragm() -> None:
    dry, level = anatomy("healthy"), {v.label: v.s_mm for v in anatomy("healthy").vertebrae}
    wet = segment_anatomy(with_effusion(healthy(), dry, ("left", "right"), hu=5.0, share=0.6))
    assert diaphragm_s(dry) <= level["T12"]
    assert diaphragm_s(wet) <= level["T12"] + 3.0


def test_without_lung_the_names_tell_where_the_chest_is() -> None:
    whole = anatomy("healthy")
    airless = replace(whole, masks={k: m for k, m in whole.masks.items() if k != "lungs"})

    def only(*labels: str) -> float:
        return diaphragm_s(replace(airless, vertebrae=tuple(v for v in whole.vertebrae if v.label in labels)))

    assert only("T8", "T9") == -np.inf
    assert only("L1", "L2") == np.inf


def test_a_narrow_field_of_view_is_a_gap_and_says_so() -> None:
    found = searched(narrow(healthy(), anatomy("healthy"), half_width_mm=25.0))
    assert found.coverage
    for row in found.coverage:
        assert row.assessed_fraction < GAP
        assert any(reason.endswith("outside the scan") for reason in row.reasons)


def test_padding_is_outside_the_scan_as_a_crop_is() -> None:
    found = searched(padded_right_of(healthy(), anatomy("healthy"), distance_mm=30.0))
    assert all(c.assessed_fraction < GAP for c in found.coverage if c.side == "right")
    assert all(c.assessed_fraction > GAP for c in found.coverage if c.side == "left")


@pytest.mark.parametrize("spoiled", ["metal", "noise"])
def test_metal_and_heavy_noise_are_gaps(spoiled: str) -> None:
    volume = (
        with_rods(healthy(), anatomy("healthy")) if spoiled == "metal" else with_noise(healthy(), sd=160.0)
    )
    found = searched(volume)
    assert all(worst(found, side).assessed_fraction < GAP for side in ("left", "right"))
    assert any(spoiled in reason for c in found.coverage for reason in c.reasons)


def test_interpolated_slices_are_not_assessed() -> None:
    z = range(30, 60)
    found = find_masses(replace(healthy(), interpolated=tuple(z)), anatomy("healthy"))
    reasons = [reason for c in found.coverage for reason in c.reasons]
    assert any("interpolated_slices" in reason for reason in reasons)


@pytest.mark.integration
def test_the_smallest_detectable_mass_grows_with_slices_noise_and_psoas() -> None:
    def at(found: MassSearch, level: str) -> float:
        return next(
            c.min_detectable_mm or 0.0 for c in found.coverage if c.level == level and c.side == "left"
        )

    volume = healthy()
    thick = replace(volume, acquisition=replace(volume.acquisition, slice_thickness_mm=7.5))
    plain = search("healthy")
    assert (
        at(plain, "L2")
        >= at(plain, "T9") + 2 * (MassConfig().lumbar_min_radius_mm - MassConfig().min_radius_mm) - 0.5
    )
    assert at(find_masses(thick, anatomy("healthy")), "T9") >= at(plain, "T9") + 4.5
    assert at(searched(with_noise(volume, sd=60.0)), "T9") > at(plain, "T9") + 2.0


@cache
def loin() -> tuple[CTVolume, MassSearch]:
    spec = single_mass(side="left", level="L1", diameter_mm=30.0)
    made = make_phantom(replace(spec, masses=(), levels=("T12", "L4"), name="loin"))
    found = segment_anatomy(made.volume)
    bounds = {v.label: (v.bottom_mm, v.top_mm) for v in found.vertebrae}
    z = [
        round(float(made.volume.geometry.to_index((0.0, 0.0, h))[0]))
        for h in (bounds["L4"][0], bounds["L2"][1])
    ]
    volume = cropped(made.volume, z=slice(max(0, min(z)), max(z)))
    return volume, searched(volume)


@pytest.mark.integration
def test_psoas_is_no_mass_where_l1_is_not_in_view() -> None:
    _, found = loin()
    assert {c.level[0] for c in found.coverage} == {"L"}
    assert [m for m in found.masses if m.state == "present"] == []


def test_psoas_begins_at_the_highest_lumbar_vertebra_seen() -> None:
    whole = anatomy("healthy")
    low = replace(whole, vertebrae=tuple(v for v in whole.vertebrae if v.label == "L2"))
    assert psoas_top_s(low) == pytest.approx(low.vertebrae[0].s_mm + 15.0, abs=6.0)
    high = replace(whole, vertebrae=tuple(v for v in whole.vertebrae if v.label[0] == "T"))
    t12 = next(v.s_mm for v in whole.vertebrae if v.label == "T12")
    assert psoas_top_s(high) == t12  # its first fibres come from T12, also where the scan ends there
    higher = replace(whole, vertebrae=tuple(v for v in high.vertebrae if v.label != "T12"))
    assert psoas_top_s(higher) == -np.inf


def test_masses_do_not_share_voxels() -> None:
    first = Region((0, 0, 0), np.ones((4, 4, 4), bool))
    second = without([first], Region((2, 2, 2), np.ones((6, 6, 6), bool)))
    assert second is not None
    assert not (first.full((9, 9, 9)) & second.full((9, 9, 9))).any()
    assert second.voxels == 6**3 - 2**3
    assert without([first], Region((1, 1, 1), np.ones((2, 2, 2), bool))) is None


def test_level_probabilities_add_up_over_what_a_mass_spans() -> None:
    def vertebra(named: dict[str, float]) -> Vertebra:
        return Vertebra("T9", named, (0.0, 0.0, 0.0), 0.0, 0.0, 0.0, 0, 0.5)

    both = level_probabilities([vertebra({"T8": 0.6, "T9": 0.4}), vertebra({"T9": 0.6, "T10": 0.4})])
    assert both == pytest.approx({"T9": 1.0, "T8": 0.6, "T10": 0.4})


def test_what_rests_on_a_guessed_level_says_so() -> None:
    volume = narrow(phantom("emh").volume, anatomy("emh"), half_width_mm=60.0)
    found = searched(volume)
    assert found.masses
    assert all("level_uncertain" in m.flags for m in found.masses)
    assert all(c.level_confidence is not None and c.level_confidence < 0.9 for c in found.coverage)
