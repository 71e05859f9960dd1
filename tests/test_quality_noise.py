"""Noise and edge response against known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from paraspinal.quality import edge_fwhm_mm, noise_sd
from paraspinal.volume import CTVolume, Geometry

PIXEL = 0.8


def _noise(shape: tuple[int, int, int], sd: float, fwhm_mm: float, seed: int) -> np.ndarray:
    white = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    sigma = fwhm_mm / 2.3548 / PIXEL
    made = ndimage.gaussian_filter(white, (0, sigma, sigma)) if fwhm_mm else white
    return made * (sd / made.std())


def _abdomen(*, sd: float, fwhm_mm: float, seed: int = 0, slices: int = 8) -> CTVolume:
    """Return a body with organs, fat, bone, lung and vessels, with noise of `sd` on every voxel."""
    yy, xx = (np.mgrid[:256, :256] - 128) * PIXEL
    hu = np.full((256, 256), -1000.0)
    hu[(xx / 95) ** 2 + (yy / 75) ** 2 < 1] = -100.0
    hu[(xx / 80) ** 2 + (yy / 60) ** 2 < 1] = 45.0
    hu[((xx - 40) / 30) ** 2 + (yy / 40) ** 2 < 1] = 60.0
    hu[((xx + 45) / 28) ** 2 + ((yy - 5) / 35) ** 2 < 1] = -850.0
    hu[xx**2 + (yy - 40) ** 2 < 15**2] = 220.0
    for k in range(12):
        hu[(xx - 8 * k + 44) ** 2 + (yy + 45) ** 2 < 4] = 150.0
    hu = ndimage.gaussian_filter(hu, 0.6 / PIXEL)
    stack = np.repeat(hu[None], slices, axis=0) + _noise((slices, 256, 256), sd, fwhm_mm, seed)
    geometry = Geometry(stack.shape, (1.5, PIXEL, PIXEL), (0.0, 0.0, 0.0))
    return CTVolume(np.rint(stack).astype(np.int16), geometry)


@pytest.mark.parametrize("sd", [8.0, 15.0, 25.0, 40.0])
@pytest.mark.parametrize("fwhm_mm", [0.0, 1.2, 2.0])
def test_noise_is_that_of_single_voxels_whatever_its_correlation(sd: float, fwhm_mm: float) -> None:
    assert noise_sd(_abdomen(sd=sd, fwhm_mm=fwhm_mm)) == pytest.approx(sd, rel=0.10)


def test_noise_does_not_depend_on_the_direction_of_the_axes() -> None:
    volume = _abdomen(sd=20.0, fwhm_mm=1.2)
    mirrored = CTVolume(np.ascontiguousarray(volume.hu[:, ::-1, ::-1]), volume.geometry)
    assert noise_sd(mirrored) == pytest.approx(noise_sd(volume), rel=0.03)


def test_no_noise_figure_without_soft_tissue() -> None:
    hu = np.full((5, 128, 128), -1000, np.int16)
    assert noise_sd(CTVolume(hu, Geometry(hu.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))) is None


def _blurred_body(*, fwhm_mm: float, pixel: float, skin_mm: float, noise: float, seed: int = 1) -> CTVolume:
    """Return a body whose edge is an analytic, Gaussian-blurred ellipse, skin before fat."""
    fine = 4
    n = 200
    axis = (np.arange(n * fine) + 0.5) * pixel / fine
    yy, xx = np.meshgrid(axis - axis.mean(), axis - axis.mean(), indexing="ij")
    radius = np.hypot(xx, yy)
    edge = 0.42 * n * pixel
    hu = np.where(radius < edge, 20.0, -1000.0)
    hu[radius < edge - skin_mm] = -100.0
    hu = ndimage.gaussian_filter(hu, fwhm_mm / 2.3548 * fine / pixel)
    hu = hu[fine // 2 :: fine, fine // 2 :: fine]
    rng = np.random.default_rng(seed)
    stack = np.stack([hu + noise * rng.standard_normal(hu.shape) for _ in range(5)])
    return CTVolume(
        np.rint(stack).astype(np.int16), Geometry(stack.shape, (2.0, pixel, pixel), (0.0, 0.0, 0.0))
    )


@pytest.mark.parametrize("fwhm_mm", [1.1, 1.4, 2.0, 2.6])
@pytest.mark.parametrize("skin_mm", [2.0, 50.0])
def test_edge_response_is_that_of_the_blur(fwhm_mm: float, skin_mm: float) -> None:
    volume = _blurred_body(fwhm_mm=fwhm_mm, pixel=0.75, skin_mm=skin_mm, noise=15.0)
    assert edge_fwhm_mm(volume) == pytest.approx(fwhm_mm, rel=0.12)


def test_no_edge_response_without_edges() -> None:
    hu = np.full((5, 128, 128), 40, np.int16)
    assert edge_fwhm_mm(CTVolume(hu, Geometry(hu.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))) is None


@pytest.mark.parametrize("pixel", [3.2, 4.0, 6.0])
def test_noise_of_pixels_too_large_for_two_patch_sizes_is_not_assessed(pixel: float) -> None:
    hu = (40.0 + _noise((8, 128, 128), 15.0, 0.0, 1)).astype(np.int16)
    volume = CTVolume(hu, Geometry(hu.shape, (5.0, pixel, pixel), (0.0, 0.0, 0.0)))
    assert noise_sd(volume) is None
