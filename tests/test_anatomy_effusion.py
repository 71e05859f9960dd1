"""Pleural effusion: volume, side, and what must not be taken for it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from anatomy_case import anatomy, phantom
from paraspinal.anatomy import Anatomy, segment_anatomy
from paraspinal.loading import load_series
from paraspinal.phantom import MassSpec, Phantom, make_phantom, preset
from phantom_case import voxels
from scan_defects import cropped

SIDES = ("left", "right")


@cache
def with_fluid(side: str, depth_mm: float, hu: float, phase: str) -> tuple[Phantom, Anatomy]:
    spec = preset("healthy")
    organs = replace(spec.organs, **{f"effusion_{side}_mm": depth_mm}, effusion_hu=hu)
    made = make_phantom(replace(spec, organs=organs, phase=phase))
    return made, segment_anatomy(made.volume)


def ml(found: Anatomy, side: str) -> float:
    return float(found.mask(f"effusion_{side}").sum()) * found.geometry.voxel_ml


@pytest.mark.parametrize(
    ("side", "depth_mm", "hu", "phase"),
    [("right", 40.0, 5.0, "unenhanced"), ("left", 60.0, 20.0, "portal"), ("left", 30.0, 12.0, "unenhanced")],
)
def test_volume_is_measured_on_its_side_and_nothing_on_the_other(
    side: str, depth_mm: float, hu: float, phase: str
) -> None:
    made, found = with_fluid(side, depth_mm, hu, phase)
    truth = float(voxels(made, f"effusion_{side}").sum()) * made.labels.geometry.voxel_ml
    assert truth > 50.0
    assert ml(found, side) == pytest.approx(truth, rel=0.10)
    other = "left" if side == "right" else "right"
    assert found.organs[f"effusion_{side}"].presence == "present"
    assert found.organs[f"effusion_{other}"].presence == "absent"


@pytest.mark.parametrize(
    "name",
    [
        *("healthy", "emh", "single-mass", "schwannoma"),
        *(pytest.param(name, marks=pytest.mark.integration) for name in ("abscess", "metastasis")),
    ],
)
def test_masses_and_organs_are_no_effusion(name: str) -> None:
    for side in SIDES:
        assert anatomy(name).organs[f"effusion_{side}"].presence == "absent"
        assert f"effusion_{side}" not in anatomy(name).masks


def test_a_mass_of_water_s_density_beside_the_spine_is_no_effusion() -> None:
    """A cyst or abscess of 60 mm: only gravity and its place tell it from fluid."""
    mass = MassSpec("right", "T9", (30.0, 28.0, 34.0), hu=12.0, enhancement_hu=0.0)
    found = segment_anatomy(make_phantom(replace(preset("healthy"), masses=(mass,))).volume)
    assert found.organs["effusion_right"].presence != "present"
    assert ml(found, "right") == 0.0


def test_without_lung_in_view_nothing_is_said_about_fluid() -> None:
    found = segment_anatomy(cropped(phantom("healthy").volume, z=slice(0, 24)))
    assert all(found.organs[f"effusion_{side}"].presence == "not_in_view" for side in SIDES)


@pytest.mark.realdata
def test_the_chest_with_an_effusion(real_data: Path) -> None:
    found = segment_anatomy(load_series(real_data / "ct/lidc-0314.zip").volume)
    assert ml(found, "right") > 300.0
    assert ml(found, "left") == 0.0
    assert found.organs["effusion_left"].presence == "absent"


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name", ["ct/cmb-crc-chest.zip", "ct/crlm-1006.zip", "ct/totalseg-slab", "ct/medimages-flipped.zip"]
)
def test_dry_chests(real_data: Path, name: str) -> None:
    found = segment_anatomy(load_series(real_data / name).volume)
    assert max(ml(found, side) for side in SIDES) < 20.0


def test_a_pleural_space_full_of_blood_is_never_said_to_hold_no_fluid() -> None:
    _, found = with_fluid("left", 50.0, 58.0, "unenhanced")
    organ = found.organs["effusion_left"]
    assert organ.presence == "indeterminate"
    assert "blood" in (organ.reason or "")
    assert found.organs["effusion_right"].presence == "absent"
