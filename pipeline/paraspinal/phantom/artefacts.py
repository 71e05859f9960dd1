"""Streaks: around metal, and along rows that little radiation passes."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from scipy import fft

from paraspinal.phantom.sdf import Field

_METAL_FROM_HU = 3200.0
_STREAK_HU, _BAND_HU = 260.0, 420.0
_BAND_MM = (2.0, 26.0)
_CORE_CYCLES = 2.0  # below this many cycles across the image streaks do not grow further
_DARK_MM, _SOFTNESS_MM = (
    330.0,
    80.0,
)  # path of water at which noise along it has doubled, and how fast it grows
_STREAK_PIXELS = (0.6, 28.0)
_MOST, _EVERY = 6.0, 8


def metal_streaks(truth: Field, seed: int, pixel_mm: float) -> Field | None:
    """Return the rays, bright and dark, around metal and the dark band between pieces; None where there is none.

    The rays come from a filter that depends on direction alone, as that of an inconsistent projection does; their
    strength falls with the distance. They are a likeness, no simulation of a beam.
    """
    metal = np.clip((truth - _METAL_FROM_HU) / 4000.0, 0.0, 1.0)
    if not metal.any():
        return None
    shape = (truth.shape[0], truth.shape[1])
    rays = fft.irfft2(fft.rfft2(metal) * _ray_filter(shape, seed), s=shape)
    band = cv2.GaussianBlur(metal, (0, 0), _BAND_MM[1] / pixel_mm, sigmaY=_BAND_MM[0] / pixel_mm)
    out = _STREAK_HU * np.clip(rays, -4, 4) - _BAND_HU * np.clip(8 * band, 0, 1)
    return np.asarray(out * (metal < 0.5), np.float32)


@lru_cache(maxsize=4)
def _ray_filter(shape: tuple[int, int], seed: int) -> Field:
    fy, fx = fft.fftfreq(shape[0])[:, None] * shape[0], fft.rfftfreq(shape[1])[None, :] * shape[1]
    angle = np.arctan2(fy, fx)  # rays run across their direction in frequency
    rng = np.random.default_rng((seed, 78))
    order = np.arange(2, 40, 2)
    a, b = rng.normal(size=(2, len(order))) / np.sqrt(len(order))
    gain = sum(p * np.cos(k * angle) + q * np.sin(k * angle) for k, p, q in zip(order, a, b, strict=True))
    radius = np.sqrt(fy**2 + fx**2)
    fine = np.exp(-((radius / (0.35 * shape[1])) ** 2))
    gain = np.asarray(gain) * fine * shape[1] * 0.12 / np.maximum(radius, _CORE_CYCLES)
    gain[0, 0] = 0.0
    return np.asarray(gain, np.float32)


def starved_noise(
    attenuation: Field, rng: np.random.Generator, *, noise_hu: float, strength: float, pixel_mm: float
) -> Field:
    """Return noise along the rows, louder the more water a ray meets from side to side."""
    path = attenuation.sum(axis=1) * pixel_mm
    loud = np.minimum(np.exp((path - _DARK_MM) / _SOFTNESS_MM), _MOST).astype(np.float32)
    # Drawn on every eighth column: streaks are long.
    ny, nx = attenuation.shape
    white = rng.standard_normal((ny, nx // _EVERY + 2), dtype=np.float32)
    few = cv2.GaussianBlur(white, (0, 0), _STREAK_PIXELS[1] / _EVERY, sigmaY=_STREAK_PIXELS[0])
    along = cv2.resize(few, (nx, ny), interpolation=cv2.INTER_LINEAR)
    along = along * np.float32(strength * noise_hu / max(float(few.std()), 1e-6))
    side = max(3, round(18.0 / pixel_mm))
    inside = cv2.blur(np.minimum(attenuation, 1.0), (side, side))
    return np.asarray(along * loud[:, None] * inside, np.float32)
