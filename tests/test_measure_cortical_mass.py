"""Cortical mass per area of vertebral bodies: what a shell thinner than the blur leaves in the profile."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from measure_scene import Scene, quality_of
from paraspinal.config import load_config
from paraspinal.measure.cortical_mass import cortical_masses
from paraspinal.measure.erosion import clean_walls
from paraspinal.measure.wall import ANGLES, HEIGHTS, RADII_MM, BodyWall
from paraspinal.quality.types import ScanQuality
from paraspinal.volume import Acquisition, CTVolume, Geometry

CONFIG = load_config("default").measure
MARROW_HU, SOFT_HU, CORTEX_HU = 150.0, 40.0, 1000.0
FWHM_MM = 1.2


@cache
def _volume() -> CTVolume:
    return CTVolume(
        np.zeros((40, 8, 8), np.int16),
        Geometry((40, 8, 8), (1.0, 0.8, 0.8), (0.0, 0.0, 0.0)),
        Acquisition(kvp=120.0),
    )


def _quality() -> ScanQuality:
    return replace(quality_of(Scene(paint=(), fwhm_mm=FWHM_MM)), slice_fwhm_mm=1.0)


def _wall(label: str, shell_mm: float, seed: int) -> BodyWall:
    """A barrel whose wall was drawn in steps of 0.02 mm, blurred and averaged; noise of averaged rays."""
    rng = np.random.default_rng(seed)
    shape = (len(HEIGHTS), len(ANGLES))
    radius = 16.0 + 1.5 * np.cos(2 * ANGLES)[None] + rng.normal(0.0, 0.1, shape)
    fine = np.arange(0.0, 48.0, 0.02)
    sd = float(np.hypot(FWHM_MM / 2.3548, 0.8 / np.sqrt(6.0)))
    around = np.gradient(radius, float(ANGLES[1] - ANGLES[0]), axis=1) / radius
    slant = np.sqrt(1.0 + around**2)  # a wall that a ray meets obliquely is longer along it
    profiles = np.empty((*shape, len(RADII_MM)), np.float32)
    for at in np.ndindex(shape):
        hu = np.where(fine < radius[at], CORTEX_HU, SOFT_HU)
        hu[fine < radius[at] - shell_mm * slant[at]] = MARROW_HU
        blurred = ndimage.gaussian_filter1d(hu, sd * slant[at] / 0.02)
        profiles[at] = np.interp(RADII_MM, fine, blurred) + rng.normal(0.0, 12.0, len(RADII_MM))
    directions = np.stack([np.sin(ANGLES), -np.cos(ANGLES), np.zeros(len(ANGLES))], axis=1)
    feet = np.stack([np.zeros(len(HEIGHTS)), np.zeros(len(HEIGHTS)), 20.0 * HEIGHTS], axis=1)
    grid = radius.astype(np.float32)
    return BodyWall(label, profiles, feet, directions, MARROW_HU, grid, grid)


@pytest.mark.parametrize("shell_mm", [0.3, 0.5, 0.8])
def test_the_mass_survives_the_blur_that_hides_the_thickness(shell_mm: float) -> None:
    walls = clean_walls([_wall("T8", shell_mm, 1), _wall("T9", shell_mm, 2)], {})
    truth = shell_mm * (CORTEX_HU - MARROW_HU)
    for assumed in (1000.0, 1300.0):  # the product hardly depends on the density that is assumed
        found = cortical_masses(walls, _volume(), _quality(), CONFIG, cortex_hu=assumed)
        for m in found.values():
            assert m.value == pytest.approx(truth, rel=0.12)
            assert abs(m.value - truth) <= 1.96 * m.uncertainty.combined


def test_without_a_known_blur_there_is_no_mass() -> None:
    walls = clean_walls([_wall("T8", 0.5, 1)], {})
    (m,) = cortical_masses(walls, _volume(), replace(_quality(), edge_fwhm_mm=None), CONFIG).values()
    assert m.status == "not_assessed"
    assert cortical_masses(None, _volume(), _quality(), CONFIG) == {}
