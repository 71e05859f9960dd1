"""Ribs that a mass has eaten into are told by the patient's own clean ribs; intact and ballooned ones are not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from measure_scene import mass_of
from paraspinal.config import load_config
from paraspinal.differential.derive_mass import mass_findings
from paraspinal.masses.types import Mass
from paraspinal.measure.rib_erosion import RibLosses, measure_rib_erosion, survey_rib_losses
from paraspinal.result import Measurement
from rib_case import RibScene, rib_point, rib_scene

CONFIG = load_config("default")
BITE_MM = 4.0
BITTEN, INTACT = 2, 5
SCENE = RibScene(wall_mm=1.2, pairs=4, lung_mm=None, lean_deg=12.0, bites=((BITTEN, 45.0, BITE_MM),))


@cache
def _read() -> tuple[RibLosses, dict[int, Mass]]:
    volume, anatomy, _ = rib_scene(SCENE)
    masses = {k: _mass(k, 45.0, number) for number, k in enumerate((BITTEN, INTACT), 1)}
    return survey_rib_losses(volume, anatomy, tuple(masses.values())), masses


def _mass(rib: int, along_mm: float, number: int = 1) -> Mass:
    """A ball against the outer wall of a rib."""
    volume, *_ = _scan()
    centre = rib_point(SCENE, rib, along_mm, SCENE.half_mm[0] + 7.0)
    z, y, x = np.indices(volume.geometry.shape, sparse=True)
    dz, dy, dx = volume.geometry.spacing_mm
    away = np.sqrt((x * dx - centre[0]) ** 2 + (y * dy - centre[1]) ** 2 + (z * dz - centre[2]) ** 2)
    return mass_of(away < 8.0, volume.geometry, number=number)


@cache
def _scan():
    return rib_scene(replace(SCENE, noise=0.0, bites=()))


def _depth(mass: Mass, losses: RibLosses, **changes: object) -> Measurement:
    volume, _, quality = _scan()
    thick = float(changes.pop("slice_mm", volume.effective_slice_mm))
    return measure_rib_erosion(losses, mass, volume.geometry, quality, CONFIG.measure, slice_mm=thick)


def test_a_bite_is_found_with_its_depth() -> None:
    losses, masses = _read()
    m = _depth(masses[BITTEN], losses)
    assert m.status == "measured"
    assert m.value == pytest.approx(BITE_MM, abs=1.5)
    assert m.value > m.detection_limit
    assert m.region == "rib 6, left"
    found = {f.name: f.state for f in mass_findings(masses[BITTEN], {"rib_erosion_depth_mm": m})}
    assert found["rib_erosion"] == "present"


def test_an_intact_rib_beside_a_mass_is_not_eroded() -> None:
    losses, masses = _read()
    # These clean ribs vary so much that a loss worth a finding might stay unseen; calmer ones exclude it.
    for nulls, state in ((losses.nulls_mm, "indeterminate"), (0.8 * losses.nulls_mm, "absent")):
        m = _depth(masses[INTACT], replace(losses, nulls_mm=nulls))
        assert m.status == "below_detection_limit"
        found = {f.name: f.state for f in mass_findings(masses[INTACT], {"rib_erosion_depth_mm": m})}
        assert found["rib_erosion"] == state


def test_a_longer_rib_is_expansion_and_a_gap_denies_nothing() -> None:
    losses, masses = _read()
    where = (7, "right")
    wide = replace(losses, losses_mm={**losses.losses_mm, where: losses.losses_mm[where] - 5.0})
    assert _depth(masses[INTACT], wide).status == "below_detection_limit"
    holed = losses.losses_mm[where].copy()
    holed[np.abs(24.0 + 3.0 * np.arange(-1, len(holed) - 1) - 45.0) < 2.0] = np.nan
    gap = _depth(masses[INTACT], replace(losses, losses_mm={**losses.losses_mm, where: holed}))
    assert gap.status == "not_assessed"
    assert "eaten through" in gap.reason


def test_head_and_neck_are_not_denied_and_thick_slices_not_read() -> None:
    losses, masses = _read()
    near_head = _depth(_mass(INTACT, 20.0), losses)
    assert near_head.status == "not_assessed"
    assert "neck" in near_head.reason or "none of ribs" in near_head.reason
    assert _depth(masses[BITTEN], losses, slice_mm=3.0).status == "not_assessed"
