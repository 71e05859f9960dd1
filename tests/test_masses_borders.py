"""The native border: what is dense at a mass's rim belongs to it only when it is its own."""

from __future__ import annotations

import numpy as np

from measure_scene import Inside, Scene, ball, cuboid, drawn
from paraspinal.config import MassConfig
from paraspinal.masses.borders import native_region

MASS = ball((0.0, 0.0, 0.0), 34.0)


def _outlined(dense: Inside, *, walled: Inside | None = None) -> tuple[np.ndarray, Scene]:
    """Outline a mass in lung to which something dense is painted; `walled` is what it may not enter."""
    scene = Scene(paint=((MASS, 45.0), (dense, 600.0)), mass=MASS, background=-850.0, noise=10.0)
    volume = scene.volume()
    anatomy = scene.anatomy(volume)
    coarse = drawn(MASS, anatomy.geometry) & ~drawn(dense, anatomy.geometry)
    blocked = np.zeros_like(coarse) if walled is None else drawn(walled, anatomy.geometry)
    region = native_region(coarse, blocked & ~coarse, volume, anatomy, config=MassConfig())
    assert region is not None
    return region.full(volume.geometry.shape), scene


def _shell(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """A calcified cap of 2.5 mm on the left side."""
    r = np.sqrt(x**2 + y**2 + z**2)
    return (r <= 17.0) & (r > 14.5) & (x > 9.0)


def test_a_calcified_rim_stays_in_its_mass() -> None:
    found, scene = _outlined(_shell)
    cap = drawn(_shell, scene.geometry)
    assert (found & cap).sum() > 0.9 * cap.sum()
    whole = drawn(MASS, scene.geometry)
    assert 2 * (found & whole).sum() / (found.sum() + whole.sum()) > 0.95


def test_bone_that_goes_on_beyond_the_mass_is_not_taken_in() -> None:
    rib = cuboid((17.0, 0.0, 0.0), (3.0, 40.0, 4.0))
    found, scene = _outlined(rib)
    bone = drawn(rib, scene.geometry)
    assert (found & bone).sum() < 0.05 * bone.sum()


def test_a_dense_piece_of_what_is_blocked_is_not_taken_in() -> None:
    found, scene = _outlined(_shell, walled=cuboid((24.0, 0.0, 0.0), (9.0, 14.0, 14.0)))
    cap = drawn(_shell, scene.geometry)
    assert (found & cap).sum() < 0.5 * cap.sum()
