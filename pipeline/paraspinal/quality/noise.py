"""Noise of single voxels in soft tissue.

The figure is the mode of the distribution of local standard deviations: homogeneous patches agree on the noise,
patches with anatomy in them scatter above it. Correlated noise makes a small patch look quieter than the voxel is
(part of the variance moves into the patch's mean, in proportion to 1 / area); two patch sizes at the same places
tell how much, and the variance is extrapolated to an endless patch.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from paraspinal.config import QualityConfig
from paraspinal.quality.sampling import sampled_slices
from paraspinal.quality.types import NoiseMap
from paraspinal.volume import CTVolume

_CLIP_HU = (-300.0, 500.0)  # keeps float32 sums exact; tissue outside is not soft anyway
_PRESMOOTHING_MM = 3.0  # single noisy voxels must not decide whether a place is soft tissue
_STRIDE = 2  # neighbouring patches overlap almost wholly
_MIN_PER_BLOCK = 12
_LOG_BIN = 0.02
_LOG_KERNEL = 5  # bins: 10 % smoothing of the histogram of log SD
_LOG_WINDOW = 0.35  # patches within this of the mode are taken as homogeneous

_Array = npt.NDArray[np.float32]
_Variances = npt.NDArray[np.float64]


def noise_sd(volume: CTVolume, *, config: QualityConfig | None = None) -> float | None:
    """Return the noise standard deviation of single voxels in soft tissue.

    Parameters
    ----------
    volume : CTVolume
        Native voxels.
    config : QualityConfig, optional
        Soft-tissue range, patch size and the number of patches that are needed.

    Returns
    -------
    float or None
        HU; None when the scan holds too little homogeneous soft tissue.
    """
    config = config or QualityConfig()
    slices = [volume.hu[z] for z in sampled_slices(volume, config.sampled_slices)]
    _, dy, dx = volume.geometry.spacing_mm
    pixel = (dy * dx) ** 0.5
    for patch_mm in (config.noise_patch_mm, 0.67 * config.noise_patch_mm):
        found = [_patches(s, pixel, patch_mm, config.soft_tissue_hu) for s in slices]
        large, corrected = (np.concatenate([getattr(f, k) for f in found]) for k in ("variance", "corrected"))
        if large.size >= config.noise_min_patches:
            return _extrapolated_sd(large, corrected)
    return None


def noise_map(volume: CTVolume, *, config: QualityConfig | None = None) -> NoiseMap | None:
    """Return the noise of single voxels in coarse blocks; None when no block holds homogeneous soft tissue.

    A block's figure is the lower quartile of its patches, because anatomy within a patch only adds to the SD.
    """
    config = config or QualityConfig()
    places = sampled_slices(volume, config.sampled_slices)
    g = volume.geometry
    pixel = (g.spacing_mm[1] * g.spacing_mm[2]) ** 0.5
    shape = (len(places), *(max(1, round(n / config.noise_block_mm)) for n in g.extent_mm[1:]))
    blocks = np.full(shape, np.nan, np.float32)
    for row, z in zip(blocks, places, strict=True):
        _fill_blocks(row, _patches(volume.hu[z], pixel, config.noise_patch_mm, config.soft_tissue_hu), volume)
    if not np.isfinite(blocks).any():
        return None
    return NoiseMap(g, np.asarray(places), blocks)


def _fill_blocks(row: _Array, patches: _Patches, volume: CTVolume) -> None:
    """Write the lower quartile of the patches' SD into each block of one slice that holds enough of them."""
    if patches.y.size == 0:
        return
    height, width = volume.geometry.shape[1:]
    block = (patches.y * row.shape[0] // height) * row.shape[1] + patches.x * row.shape[1] // width
    order = np.argsort(block, kind="stable")
    sd = np.sqrt(np.maximum(patches.corrected, 0.0))[order]
    numbers, starts = np.unique(block[order], return_index=True)
    for number, values in zip(numbers, np.split(sd, starts[1:]), strict=True):
        if values.size >= _MIN_PER_BLOCK:
            row.flat[number] = np.percentile(values, 25)


def _odd(value: float) -> int:
    return max(3, 2 * int(value / 2.0) + 1)


def _box(image: _Array, side: int) -> _Array:
    return np.asarray(cv2.boxFilter(image, cv2.CV_32F, (side, side)), dtype=np.float32)


def _variance(image: _Array, side: int) -> _Array:
    return np.asarray(_box(image * image, side) - _box(image, side) ** 2)


@dataclass(frozen=True, slots=True)
class _Patches:
    """Homogeneous soft-tissue patches of one slice: centre pixels, variance, and that of an endless patch."""

    y: npt.NDArray[np.intp]
    x: npt.NDArray[np.intp]
    variance: _Variances
    corrected: _Variances


def _patches(
    slice_hu: npt.NDArray[np.int16], pixel_mm: float, patch_mm: float, soft_hu: tuple[float, float]
) -> _Patches:
    """Return variances in patches of `patch_mm`, corrected by those of half that at the same places."""
    low, high = soft_hu
    image = np.clip(slice_hu, *_CLIP_HU).astype(np.float32) - np.float32((low + high) / 2.0)
    smooth = _box(image, _odd(_PRESMOOTHING_MM / pixel_mm)) + (low + high) / 2.0
    soft = ((smooth > low) & (smooth < high)).astype(np.float32)
    side = _odd(patch_mm / pixel_mm)
    half = _odd(side / 2.0)
    if half >= side:  # pixels so large that both patches are one: nothing to extrapolate from
        return _Patches(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0), np.zeros(0))
    whole = _box(soft, side)[::_STRIDE, ::_STRIDE] > 0.999
    large = _variance(image, side)[::_STRIDE, ::_STRIDE][whole]
    small = _variance(image, half)[::_STRIDE, ::_STRIDE][whole]
    # the ratio of the areas travels with the pair, so that both patch sizes extrapolate alike
    ratio = (side / half) ** 2
    corrected = large + (large - small) / (ratio - 1.0)
    y, x = np.nonzero(whole)
    return _Patches(y * _STRIDE, x * _STRIDE, large.astype(np.float64), corrected.astype(np.float64))


def _log_mode(variances: _Variances) -> tuple[float, _Variances]:
    """Return the mode of the log of the SD, and the log of every SD."""
    logs = 0.5 * np.log(np.maximum(variances, 1e-2))
    edges = np.arange(logs.min() - 0.2, logs.max() + 0.2 + _LOG_BIN, _LOG_BIN)
    counts, _ = np.histogram(logs, edges)
    axis = np.arange(-3 * _LOG_KERNEL, 3 * _LOG_KERNEL + 1)
    density = np.convolve(counts, np.exp(-0.5 * (axis / _LOG_KERNEL) ** 2), mode="same")
    return float(edges[int(np.argmax(density))] + _LOG_BIN / 2.0), logs


def _extrapolated_sd(large: _Variances, corrected: _Variances) -> float:
    """Return the noise from the patches around the mode of the local SD."""
    mode, logs = _log_mode(large)
    variance = float(corrected[np.abs(logs - mode) < _LOG_WINDOW].mean())
    return float(np.sqrt(max(variance, 0.0)))
