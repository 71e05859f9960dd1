"""IBSI features of one mass, under ``ibsi.<family>.<feature>``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.config import MeasureConfig
from paraspinal.measure.size import Mesh
from paraspinal.measure.texture import glcm, glrlm, intensity, shape
from paraspinal.measure.texture.glcm import glcm_features
from paraspinal.measure.texture.glrlm import glrlm_features
from paraspinal.measure.uncertainty import BORDER_METHOD, half_range
from paraspinal.measure.view import MassView
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray, Region

Levels = npt.NDArray[np.int64]
_INNER, _BORDER, _OUTER = 0.7, 0.5, 0.3  # shares of a resampled voxel, for borders moved in and out
_TEXTURES: Mapping[str, tuple[tuple[str, ...], Callable[[Levels], dict[str, float] | None]]] = {
    "glcm": (glcm.FEATURES, glcm_features),
    "glrlm": (glrlm.FEATURES, glrlm_features),
}


def measure_ibsi(view: MassView, mesh: Mesh, config: MeasureConfig) -> Measurements:
    """Return shape, intensity, co-occurrence and run length features of the visible part of a mass.

    Shape and intensity are read on native voxels. Textures are read on isotropic voxels of `texture_spacing_mm`
    (trilinear) in bins of `texture_bin_hu` within `texture_range_hu`, in 3-D with all directions merged, so that
    scans of unlike spacing can be compared. Their type A uncertainty is that of a border moved in and out.
    """
    out = _shapes(view, mesh)
    out |= _intensities(view)
    return out | _textures(view, config)


def _shapes(view: MassView, mesh: Mesh) -> Measurements:
    return {
        f"ibsi.shape.{name}": _record(value, shape.UNITS[name], [])
        for name, value in shape.shape_features(view.mask, mesh, view.spacing_mm).items()
    }


def _intensities(view: MassView) -> Measurements:
    half = 0.5 * view.pixel_mm
    parts = [view.mask, view.deeper_than(half), _grown(view.mask)]
    read = [intensity.intensity_features(view.hu[m]) for m in parts if m.any()]
    return {
        f"ibsi.intensity.{name}": _record(read[0][name], unit, [r[name] for r in read])
        for name, unit in intensity.UNITS.items()
    }


def _grown(mask: BoolArray) -> BoolArray:
    """The mask and half of its neighbours in the plane: a border moved out by about half a voxel."""
    share = ndimage.gaussian_filter(mask.astype(np.float32), (0.0, 0.7, 0.7))
    return np.asarray(mask | (share > _OUTER))


def _textures(view: MassView, config: MeasureConfig) -> Measurements:
    hu, share = _resampled(view, config.texture_spacing_mm)
    how = (
        f"{config.texture_spacing_mm:g} mm voxels, bins of {config.texture_bin_hu:g} HU in "
        f"{config.texture_range_hu[0]:g} to {config.texture_range_hu[1]:g} HU; {BORDER_METHOD}"
    )
    levels = [discretised(hu, share >= part, config) for part in (_BORDER, _INNER, _OUTER)]
    enough = np.count_nonzero(levels[0]) >= config.texture_min_voxels
    out: Measurements = {}
    for family, (names, features) in _TEXTURES.items():
        read = [f for f in map(features, levels) if f is not None] if enough else []
        for name in names:
            out[f"ibsi.{family}.{name}"] = (
                _record(read[0][name], "1", [r[name] for r in read], method=how)
                if read
                else Measurement.missing(
                    "1", f"fewer than {config.texture_min_voxels} voxels within the range"
                )
            )
    return out


def _resampled(view: MassView, spacing_mm: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """HU and share of the mass on isotropic voxels around it, grids centred on each other (IBSI 2.4.1)."""
    tight = Region.of(view.mask).padded((1, 1, 1), view.geometry.shape)
    axes = []
    for first, n, h in zip(tight.start, tight.mask.shape, view.spacing_mm, strict=True):
        count = max(1, int(np.ceil(n * h / spacing_mm)))
        middle = first + 0.5 * (n - 1)
        axes.append(middle + (np.arange(count) - 0.5 * (count - 1)) * spacing_mm / h)
    grid = np.meshgrid(*axes, indexing="ij")
    hu = ndimage.map_coordinates(view.hu, grid, order=1, mode="nearest")
    share = ndimage.map_coordinates(view.mask.astype(np.float32), grid, order=1, mode="constant")
    return np.rint(hu).astype(np.float32), np.asarray(share, np.float32)


def discretised(hu: npt.NDArray[np.floating], mask: BoolArray, config: MeasureConfig) -> Levels:
    """Return grey levels from 1 in bins of fixed size; 0 outside the mask and the range."""
    low, high = config.texture_range_hu
    inside = mask & (hu >= low) & (hu <= high)
    levels = np.floor((hu - low) / config.texture_bin_hu).astype(np.int64) + 1
    return np.where(inside, levels, 0)


def _record(value: float, unit: str, moved: Iterable[float], *, method: str = BORDER_METHOD) -> Measurement:
    readings = list(moved)
    if not readings:  # a shape read once has no repeated readings to tell its uncertainty from
        return Measurement.measured(value, unit)
    return Measurement.measured(value, unit, type_a=half_range(readings), method=method)
