"""Noise with the texture of the scan's own soft tissue: tiles of residuals, joined without a seam."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy
from paraspinal.volume import CTVolume

Field = npt.NDArray[np.float32]

_TILE = (4, 16, 16)
_EVEN_TISSUE = ("liver", "spleen", "autochthon_left", "autochthon_right", "psoas_left", "psoas_right")
_SMOOTH_VOXELS = 5.0  # structure varies over more, noise over less
_MOST, _LEAST = 200, 4
_HU = (-20.0, 220.0)


def resampled_noise(
    volume: CTVolume, anatomy: Anatomy, shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[Field, float]:
    """Return a field of noise of `shape` with the scan's texture, and its SD (HU).

    Tiles of what remains of even soft tissue after smoothing are laid with half overlap, at random, and weighted so
    that their variance is kept. Without enough even tissue the noise is white and as strong as what there is.
    """
    tiles = _tiles(volume, anatomy, rng)
    if len(tiles) < _LEAST:
        sd = float(np.std(tiles)) if len(tiles) else 12.0
        return (sd * rng.standard_normal(shape)).astype(np.float32), sd
    out, weight = (
        np.zeros([n + 2 * t for n, t in zip(shape, _TILE, strict=True)], np.float32) for _ in range(2)
    )
    window = _window()
    steps = [max(1, t // 2) for t in _TILE]
    for z in range(0, out.shape[0] - _TILE[0] + 1, steps[0]):
        for y in range(0, out.shape[1] - _TILE[1] + 1, steps[1]):
            for x in range(0, out.shape[2] - _TILE[2] + 1, steps[2]):
                tile = tiles[rng.integers(len(tiles))]
                tile = tile[:, :: rng.choice((1, -1)), :: rng.choice((1, -1))]
                part = np.s_[z : z + _TILE[0], y : y + _TILE[1], x : x + _TILE[2]]
                out[part] += window * tile
                weight[part] += window**2
    noise = out / np.sqrt(np.maximum(weight, 1e-6))
    inner = tuple(slice(t, t + n) for t, n in zip(_TILE, shape, strict=True))
    return np.asarray(noise[inner], np.float32), float(np.std(tiles))


def _window() -> Field:
    axes = [np.sin(np.pi * (np.arange(n) + 0.5) / n) + 0.05 for n in _TILE]
    return np.asarray(axes[0][:, None, None] * axes[1][:, None] * axes[2], np.float32)


def _tiles(volume: CTVolume, anatomy: Anatomy, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return residuals of boxes that lie wholly in even soft tissue, [n, z, y, x]."""
    depth = min(_TILE[0], volume.geometry.shape[0])
    tissue = np.zeros(anatomy.geometry.shape, bool)
    for name in _EVEN_TISSUE:
        if name in anatomy.masks:
            tissue |= ndimage.binary_erosion(anatomy.masks[name])
    ratio = np.array(volume.geometry.shape) / np.array(anatomy.geometry.shape)
    found = np.argwhere(tissue)
    rng.shuffle(found)
    tiles: list[Field] = []
    half = np.array(_TILE) // 2
    for point in found[: 40 * _MOST]:
        if len(tiles) == _MOST:
            break
        start = np.floor((point + 0.5) * ratio).astype(int) - half
        if (start < 0).any() or (start + _TILE > volume.geometry.shape).any():
            continue
        corners = np.array([start, start + np.array(_TILE) - 1])
        coarse = np.clip((corners / ratio).astype(int), 0, np.array(tissue.shape) - 1)
        (z0, y0, x0), (z1, y1, x1) = coarse
        if not tissue[z0 : z1 + 1, y0 : y1 + 1, x0 : x1 + 1].all():
            continue
        z, y, x = start
        wide = volume.hu[z : z + depth, max(0, y - 8) : y + 24, max(0, x - 8) : x + 24].astype(np.float32)
        residual = wide - ndimage.gaussian_filter(wide, (0.0, _SMOOTH_VOXELS, _SMOOTH_VOXELS))
        core = residual[:, min(8, y) : min(8, y) + _TILE[1], min(8, x) : min(8, x) + _TILE[2]]
        if core.shape == _TILE and _HU[0] < float(wide.mean()) < _HU[1]:
            tiles.append(core - core.mean())
    return _typical(np.array(tiles, np.float32))


def _typical(tiles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Leave out the third with the greatest SD: vessels and edges."""
    if len(tiles) < _LEAST:
        return tiles
    sd = tiles.std(axis=(1, 2, 3))
    return np.asarray(tiles[sd <= np.quantile(sd, 2 / 3)], np.float32)
