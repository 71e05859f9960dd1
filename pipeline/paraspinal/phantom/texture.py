"""Tileable random fields: inhomogeneous tissue that does not depend on how the phantom is cut into slabs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from paraspinal.phantom.canvas import Canvas, Window
from paraspinal.phantom.sdf import Field


@dataclass(frozen=True, slots=True)
class Texture:
    """A periodic field with mean 0 and SD 1, shape (z, y, x) in fine voxels."""

    tile: Field

    def on(self, canvas: Canvas, window: Window) -> Field:
        """Return the field over a window of the canvas."""
        index = []
        for axis, part, length in zip(range(3), window, canvas.hu.shape, strict=True):
            start = canvas.first if axis == 0 else 0
            index.append((np.arange(*part.indices(length)) + start) % self.tile.shape[axis])
        z, y, x = index
        # One axis after the other: half the time of gathering all three at once.
        rows = np.take(np.take(self.tile, z, axis=0), y, axis=1)
        return np.asarray(np.take(rows, x, axis=2))


def make_texture(
    rng: np.random.Generator,
    spacing_mm: tuple[float, float, float],
    *,
    sigma_mm: tuple[float, float, float],
    voxels: tuple[int, int, int] = (48, 160, 160),
) -> Texture:
    """Filter white noise with a Gaussian of the given widths (z, y, x) in millimetres."""
    noise = rng.standard_normal(voxels, dtype=np.float32)
    sigma = [s / d for s, d in zip(sigma_mm, spacing_mm, strict=True)]
    smooth = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    smooth -= smooth.mean()
    return Texture(np.asarray(smooth / smooth.std(), dtype=np.float32))
