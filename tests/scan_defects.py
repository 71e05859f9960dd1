"""What spoils a scan, put into a phantom: fluid, a narrow field, padding, metal, noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from paraspinal.anatomy import Anatomy
from paraspinal.anatomy.native import to_native
from paraspinal.volume import BoolArray, CTVolume


def cropped(
    volume: CTVolume, *, z: slice = slice(None), y: slice = slice(None), x: slice = slice(None)
) -> CTVolume:
    """Return the box of a volume that the three slices cut out."""
    hu = np.ascontiguousarray(volume.hu[z, y, x])
    first = [s.indices(n)[0] for s, n in zip((z, y, x), volume.hu.shape, strict=True)]
    geometry = volume.geometry.crop((first[0], first[1], first[2]), hu.shape)
    return CTVolume(hu, geometry, volume.acquisition)


def canal_column(volume: CTVolume, anatomy: Anatomy) -> tuple[int, int]:
    """Mean (y, x) index of the spinal canal."""
    centre = volume.geometry.to_index(anatomy.centreline_lps_mm).mean(axis=0)
    return round(float(centre[1])), round(float(centre[2]))


def narrow(volume: CTVolume, anatomy: Anatomy, *, half_width_mm: float) -> CTVolume:
    """Return the scan as a narrow field of view around the spine shows it."""
    y, x = canal_column(volume, anatomy)
    _, dy, dx = volume.geometry.spacing_mm
    k = round(half_width_mm / dx)
    return cropped(volume, y=slice(y - round(90 / dy), y + round(70 / dy)), x=slice(x - k, x + k))


def padded_right_of(volume: CTVolume, anatomy: Anatomy, *, distance_mm: float) -> CTVolume:
    """Return the scan with padding farther than `distance_mm` to the patient's right of the canal."""
    x = canal_column(volume, anatomy)[1] - round(distance_mm / volume.geometry.spacing_mm[2])
    padding = np.zeros(volume.hu.shape, bool)
    padding[:, :, :x] = True
    return replace(volume, hu=np.where(padding, -1024, volume.hu).astype(np.int16), padding=padding)


def with_effusion(
    volume: CTVolume, anatomy: Anatomy, sides: tuple[str, ...], *, hu: float, share: float
) -> CTVolume:
    """Fill the lower `share` of the lungs of `sides` with fluid of `hu`."""
    mask = np.any([_native(volume, anatomy, f"lung_{side}") for side in sides], axis=0)
    low, high = (f(np.flatnonzero(mask.any(axis=(1, 2)))) for f in (np.min, np.max))
    mask[int(low + share * (high - low)) :] = False
    mask &= volume.hu < 0
    noise = np.random.default_rng(7).normal(0.0, 15.0, volume.hu.shape)
    return replace(volume, hu=np.where(mask, hu + noise, volume.hu).astype(np.int16))


def with_rods(volume: CTVolume, anatomy: Anatomy) -> CTVolume:
    """Put a metal rod behind each row of pedicles, without any streaks."""
    y, x = canal_column(volume, anatomy)
    _, dy, dx = volume.geometry.spacing_mm
    yy, xx = np.mgrid[: volume.hu.shape[1], : volume.hu.shape[2]]
    hu = volume.hu.copy()
    for side in (-1, 1):
        hu[:, np.hypot((yy - y) * dy - 20.0, (xx - x) * dx - side * 20.0) < 4.0] = 3071
    return replace(volume, hu=hu)


def with_noise(volume: CTVolume, *, sd: float) -> CTVolume:
    """Add white noise."""
    noise = np.random.default_rng(3).normal(0.0, sd, volume.hu.shape)
    return replace(volume, hu=np.clip(volume.hu + noise, -1024, 3071).astype(np.int16))


def _native(volume: CTVolume, anatomy: Anatomy, name: str) -> BoolArray:
    return to_native(anatomy.mask(name).astype(np.uint16), anatomy.geometry, volume.geometry) > 0
