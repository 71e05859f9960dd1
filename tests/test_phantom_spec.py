"""Specs refuse what cannot be made; presets are complete; the truth is plain JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from paraspinal.errors import UsageError
from paraspinal.phantom import PRESETS, MassSpec, PhantomSpec, preset
from paraspinal.phantom.labels import label_names, rib_number, vertebra_number
from phantom_case import fast_preset


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": ("T7", "T13")},
        {"shape": (2, 64, 64)},
        {"spacing_mm": (0.0, 1.0, 1.0)},
        {"kvp": 60},
        {"noise_hu": -1.0},
    ],
)
def test_a_spec_that_cannot_be_made_is_refused(changes):
    with pytest.raises(UsageError) as error:
        PhantomSpec(**changes)
    assert error.value.code == "phantom_spec_invalid"
    assert error.value.remedy


@pytest.mark.parametrize(
    ("side", "level", "axes"),
    [("front", "T9", (9, 9, 9)), ("left", "T99", (9, 9, 9)), ("left", "T9", (0, 9, 9))],
)
def test_a_mass_that_cannot_be_made_is_refused(side, level, axes):
    with pytest.raises(UsageError):
        MassSpec(side, level, axes)


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(UsageError) as error:
        preset("nothing")
    assert "emh" in error.value.remedy


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_carry_their_name_and_survive_json(name):
    spec = preset(name, seed=3)
    assert (spec.name, spec.seed) == (name, 3)
    assert json.loads(json.dumps(spec.to_json()))["name"] == name


def test_numbers_are_those_of_totalsegmentator():
    names = label_names()
    assert (names[1], names[2], names[3], names[5], names[52]) == (
        "spleen",
        "kidney_right",
        "kidney_left",
        "liver",
        "aorta",
    )
    assert (vertebra_number("L5"), vertebra_number("T12"), vertebra_number("T1")) == (27, 32, 43)
    assert (
        rib_number(1, "left"),
        rib_number(12, "left"),
        rib_number(1, "right"),
        rib_number(12, "right"),
    ) == (
        92,
        103,
        104,
        115,
    )
    assert (names[86], names[87], names[200]) == ("autochthon_left", "autochthon_right", "canal")


def test_truth_is_json_and_agrees_with_the_maps():
    phantom = fast_preset("emh")
    truth = json.loads(json.dumps(phantom.truth, allow_nan=False))
    voxel = phantom.volume.geometry.voxel_ml
    for mass in truth["masses"]:
        assert mass["volume_ml"] == pytest.approx((phantom.masses.data == mass["id"]).sum() * voxel, rel=1e-3)
    for name, organ in truth["organs"].items():
        number = next(k for k, v in phantom.labels.names.items() if v == name)
        assert organ["volume_ml"] == pytest.approx((phantom.labels.data == number).sum() * voxel, rel=1e-3)
    assert set(np.unique(phantom.labels.data)) <= {0, *phantom.labels.names}
    line = np.array(truth["canal"]["centreline_lps_mm"])
    index = np.rint(phantom.volume.geometry.to_index(line)).astype(int)
    assert (phantom.labels.data[tuple(index.T)] == 200).all()
