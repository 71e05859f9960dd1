"""Slice profile, field of view, breathing, reconstruction and the noise map, against known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from paraspinal.config import QualityConfig
from paraspinal.quality import breathing_score, field_cut, noise_map, slice_fwhm_mm
from paraspinal.quality.reconstruction import reconstruction_method
from paraspinal.quality.scan import slice_profile
from paraspinal.volume import Acquisition, CTVolume, Geometry

PIXEL = 0.8
SIZE = 200


def cone(
    *, lean: float, distance: float, profile_mm: float, noise: float = 10.0, slices: int = 30
) -> CTVolume:
    """Return a body whose radius grows by `lean` mm per mm of height, through a Gaussian slice profile."""
    fine = 4
    z = (np.arange(slices * fine) + 0.5) * distance / fine
    yy, xx = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * PIXEL
    radius = np.hypot(yy, xx)
    edge = 45.0 + lean * (z - z.mean())
    sharp = np.clip((edge[:, None, None] - radius) / PIXEL + 0.5, 0, 1).astype(np.float32)
    weights = profile_mm / 2.3548 * fine / distance
    blurred = ndimage.gaussian_filter(sharp, (weights, 0.5 / PIXEL, 0.5 / PIXEL))[fine // 2 :: fine]
    rng = np.random.default_rng(0)
    hu = -1000.0 + 1040.0 * blurred + noise * rng.standard_normal(blurred.shape)
    geometry = Geometry(hu.shape, (distance, PIXEL, PIXEL), (0.0, 0.0, 0.0))
    return CTVolume(np.rint(hu).astype(np.int16), geometry)


@pytest.mark.parametrize(("distance", "profile_mm"), [(1.0, 2.0), (2.0, 3.0), (2.5, 2.5), (5.0, 5.0)])
def test_slice_profile_is_that_of_the_blur_along_z(distance: float, profile_mm: float) -> None:
    volume = cone(lean=1.0 if distance < 5 else 0.8, distance=distance, profile_mm=profile_mm, slices=24)
    steep = cone(lean=0.02, distance=distance, profile_mm=profile_mm, slices=24)
    both = CTVolume(
        np.concatenate([volume.hu, steep.hu]),
        Geometry((48, SIZE, SIZE), volume.geometry.spacing_mm, (0.0, 0.0, 0.0)),
    )
    assert slice_fwhm_mm(both) == pytest.approx(profile_mm, rel=0.15)


def test_without_leaning_surfaces_the_header_stands_in_then_the_distance() -> None:
    volume = cone(lean=0.0, distance=2.0, profile_mm=2.0, slices=12)
    assert slice_fwhm_mm(volume) is None
    assert slice_profile(volume, config=QualityConfig()) == (2.0, "distance")
    thick = CTVolume(volume.hu, volume.geometry, Acquisition(slice_thickness_mm=3.0))
    assert slice_profile(thick, config=QualityConfig()) == (3.0, "header")


def body(*, shift_mm: float = 0.0, slices: int = 10) -> np.ndarray:
    """Return an elliptic body of 70 × 50 mm half axes with a thin table behind it."""
    yy, xx = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * PIXEL
    plane = np.full((SIZE, SIZE), -1000, np.int16)
    plane[((xx - shift_mm) / 70) ** 2 + (yy / 50) ** 2 < 1] = 40
    plane[(yy > 60) & (yy < 64)] = 300
    return np.repeat(plane[None], slices, axis=0)


def as_volume(hu: np.ndarray, *, distance: float = 5.0, padding: np.ndarray | None = None) -> CTVolume:
    geometry = Geometry(hu.shape, (distance, PIXEL, PIXEL), (0.0, 0.0, -20.0))
    return CTVolume(hu.astype(np.int16), geometry, padding=padding)


def test_a_body_inside_the_field_is_not_cut_even_where_its_table_is() -> None:
    found = field_cut(as_volume(body()))
    assert found is not None
    assert found.mean_share == 0.0
    assert found.ranges_mm == ()


def test_the_share_of_a_cut_outline_is_its_length_on_the_border() -> None:
    hu = np.concatenate([body(slices=6), body(shift_mm=40.0, slices=4)])
    found = field_cut(as_volume(hu))
    assert found is not None
    # The border, 40 mm beside the ellipse's middle, cuts a chord; the outline left is about 3/4 of the whole one.
    chord = 2 * 50 * np.sqrt(1 - (40 / 70) ** 2)
    assert found.share[-1] == pytest.approx(chord / (chord + 0.75 * 380), rel=0.25)
    assert found.share[0] == 0.0
    ((low, high),) = found.ranges_mm
    assert (low, high) == pytest.approx((7.5, 27.5))


def test_padding_around_a_round_field_counts_as_its_border() -> None:
    yy, xx = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * PIXEL
    outside = np.repeat((np.hypot(yy, xx) > 55.0)[None], 10, axis=0)
    hu = np.where(outside, -1024, body())
    found = field_cut(as_volume(hu, padding=outside))
    assert found is not None
    assert 0.2 < found.mean_share < 0.7


def test_no_body_no_field_cut() -> None:
    assert field_cut(as_volume(np.full((5, SIZE, SIZE), -1000))) is None


def chest(*, jump_mm: float, seed: int = 0) -> CTVolume:
    """Return a body whose lung grows evenly from its lower end, the diaphragm jumping by up to `jump_mm`."""
    rng = np.random.default_rng(seed)
    hu = body(slices=50)
    yy, xx = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * PIXEL
    for z in range(50):
        height = 2.5 * z + jump_mm * rng.uniform(-1, 1)
        size = np.sqrt(np.clip((height - 30.0) / 60.0, 1e-9, 1))  # the section grows in proportion to height
        hu[z][(xx / 62) ** 2 + (yy / 42) ** 2 < size**2] = -850
    return as_volume(hu, distance=2.5)


def test_a_still_diaphragm_scores_little_and_a_jumping_one_much() -> None:
    still, moved = breathing_score(chest(jump_mm=0.0)), breathing_score(chest(jump_mm=5.0))
    assert still is not None
    assert moved is not None
    assert still < 0.35
    assert moved > 0.8


def test_no_breathing_without_a_lung_base() -> None:
    assert breathing_score(as_volume(body())) is None


@pytest.mark.parametrize(
    ("maker", "kernel", "description", "stated", "method"),
    [
        ("SIEMENS", "Br38f\\3", None, None, "iterative"),
        ("SIEMENS", "I30f\\3", None, None, "iterative"),
        ("SIEMENS", "B30f", None, None, "FBP"),
        ("Siemens Healthineers", "Br40d", None, None, "FBP"),
        ("GE MEDICAL SYSTEMS", "STANDARD", "CHEST ASIR-V 40%", None, "iterative"),
        ("GE MEDICAL SYSTEMS", "STANDARD", "TrueFidelity-H", None, "deep"),
        ("GE MEDICAL SYSTEMS", "LUNG", "lung", None, None),
        ("Canon Medical Systems", "AiCE Body Sharp", None, None, "deep"),
        ("TOSHIBA", "FC08", "AIDR 3D", None, "iterative"),
        ("Philips", "B", "iDose (3)", None, "iterative"),
        ("Philips", "D", "FIRST VISIT", None, None),
        (None, None, None, "iterative", "iterative"),
        (None, None, None, None, None),
    ],
)
def test_reconstruction_by_the_makers_names(
    maker: str | None, kernel: str | None, description: str | None, stated: str | None, method: str | None
) -> None:
    header = Acquisition(
        manufacturer=maker, kernel=kernel, series_description=description, reconstruction=stated
    )
    found, why = reconstruction_method(header)
    assert found == method
    assert why.endswith(".")


def test_the_noise_map_tells_a_loud_side_from_a_quiet_one() -> None:
    rng = np.random.default_rng(2)
    hu = np.full((6, SIZE, SIZE), 50.0)
    sd = np.where(np.arange(SIZE) < SIZE // 2, 10.0, 30.0)
    found = noise_map(as_volume(hu + sd * rng.standard_normal(hu.shape)))
    assert found is not None
    at = [found.at((x * PIXEL, 80.0, 0.0)) for x in (40, 160)]
    assert at == pytest.approx([10.0, 30.0], rel=0.15)
    assert found.at((-500.0, 80.0, 0.0)) is None
    assert noise_map(as_volume(np.full((6, SIZE, SIZE), -1000))) is None
