"""The small picture of a case that lists show: the cut through the largest mass, or the scan's middle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from paraspinal.analysis import Analysis

_SIZE = 160
_WINDOW_HU = (-160.0, 240.0)
_MASS_COLOUR = np.array([255, 176, 0], np.float32)
_MASS_WEIGHT = 0.45


def write_thumbnail(path: Path, analysis: Analysis) -> None:
    """Write the axial cut of the largest mass with the mass tinted; patient's right on the left, front up."""
    volume = analysis.volume
    masses = sorted(analysis.search.masses, key=lambda m: (m.state != "present", -m.region.voxels))
    z = volume.geometry.shape[0] // 2
    if masses:
        region = masses[0].region
        z = int(region.start[0] + np.argmax(region.mask.sum(axis=(1, 2))))
    low, high = _WINDOW_HU
    grey = np.clip((volume.hu[z].astype(np.float32) - low) / (high - low), 0.0, 1.0) * 255.0
    rgb = np.repeat(grey[..., None], 3, axis=2)
    for mass in masses:
        start, shape = mass.region.start, mass.region.mask.shape
        if start[0] <= z < start[0] + shape[0]:
            part = rgb[start[1] : start[1] + shape[1], start[2] : start[2] + shape[2]]
            inside = mass.region.mask[z - start[0]]
            part[inside] = (1.0 - _MASS_WEIGHT) * part[inside] + _MASS_WEIGHT * _MASS_COLOUR
    _, dy, dx = volume.geometry.spacing_mm
    height, width = rgb.shape[0] * dy, rgb.shape[1] * dx
    scale = _SIZE / max(height, width)
    image = Image.fromarray(rgb.astype(np.uint8))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image.resize(size, Image.Resampling.BILINEAR).quantize(64).save(path, optimize=True)
