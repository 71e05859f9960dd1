"""Puts a known trabecular structure into vertebral bodies of a real CT, with the scan's own blur and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy
from paraspinal.errors import UsageError
from paraspinal.phantom.hybrid.noise import resampled_noise
from paraspinal.phantom.trabeculae import TrabecularSpec, trabecular_tile
from paraspinal.quality.types import ScanQuality
from paraspinal.volume import BoolArray, CTVolume, Geometry

_INSIDE_MM = 2.0  # the real cortex and what lies beside it stay
_MARGIN_MM = 4.0
_DEFAULT_FWHM_MM = 1.4
_FWHM_PER_SD = 2.3548
_FINE_MM = 0.35  # step of the fine grid, on which the structure is blurred

Field = npt.NDArray[np.float32]


def insert_trabeculae(
    volume: CTVolume,
    anatomy: Anatomy,
    quality: ScanQuality,
    levels: Sequence[str],
    structure: TrabecularSpec,
    *,
    seed: int = 0,
) -> CTVolume:
    """Return the scan with the inside of the bodies of `levels` replaced, from 2 mm inside their outline on.

    The structure is blurred by the edge response in the plane and averaged over a slice; its noise is laid together
    from residuals of the scan's own even tissue.

    Raises
    ------
    UsageError
        ``hybrid_level_outside`` where the scan does not show such a vertebra.
    """
    rng = np.random.default_rng((seed, 31))
    hu = volume.hu.astype(np.float32)
    for level in levels:
        vertebra = next((v for v in anatomy.vertebrae if v.label == level), None)
        if vertebra is None:
            raise UsageError(
                f"The scan does not show {level}.",
                code="hybrid_level_outside",
                remedy="Choose one of its vertebrae.",
            )
        box, share = _inside(volume, anatomy, vertebra.number)
        shape = (share.shape[0], share.shape[1], share.shape[2])
        noise, _ = resampled_noise(volume, anatomy, shape, rng)
        tile = replace(structure, seed=structure.seed + int(rng.integers(1000)))
        made = _as_scanned(tile, volume.geometry.crop(_start(box), shape), quality, volume.effective_slice_mm)
        hu[box] += share * (made + noise - hu[box])
    return replace(volume, hu=np.clip(np.rint(hu), -1024, 3071).astype(np.int16))


def _start(box: tuple[slice, slice, slice]) -> tuple[int, int, int]:
    z, y, x = (int(s.start) for s in box)
    return (z, y, x)


def _inside(volume: CTVolume, anatomy: Anatomy, number: int) -> tuple[tuple[slice, slice, slice], Field]:
    """Return a native box around a body and the share of each voxel that lies deep enough inside."""
    grid, native = anatomy.geometry, volume.geometry
    body = _body_alone(anatomy, number)
    depth = ndimage.distance_transform_edt(body, sampling=grid.spacing_mm)
    places = np.argwhere(body)
    corners = np.array([places.min(axis=0), places.max(axis=0) + 1]) - 0.5
    ends = np.sort(native.to_index(grid.to_lps(corners)), axis=0)
    margin = _MARGIN_MM / np.asarray(native.spacing_mm)
    low = np.clip(np.floor(ends[0] - margin), 0, native.shape).astype(int)
    high = np.clip(np.ceil(ends[1] + margin), 0, native.shape).astype(int)
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    index = np.stack(
        np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1
    )
    where = np.moveaxis(grid.to_index(native.to_lps(index)), -1, 0)
    sampled = ndimage.map_coordinates(depth.astype(np.float32), where, order=1)
    # the transform counts to the nearest voxel outside, half a working voxel beyond the border
    beyond = sampled - 0.5 * grid.spacing_mm[1] - _INSIDE_MM
    return box, np.asarray(np.clip(0.5 + beyond, 0.0, 1.0), np.float32)


def _body_alone(anatomy: Anatomy, number: int) -> BoolArray:
    """Return a vertebra without its arch: what lies in front of the canal, holes filled."""
    body = np.asarray(anatomy.labels.data == number)
    _, y, z = anatomy.centreline_lps_mm.T
    order = np.argsort(z)
    g = anatomy.geometry
    heights = g.to_lps(np.column_stack([np.arange(g.shape[0]), np.zeros((g.shape[0], 2))]))[:, 2]
    wall = np.interp(heights, z[order], y[order]) - 9.0
    rows = g.to_lps(
        np.column_stack([np.zeros((g.shape[1], 1)), np.arange(g.shape[1]), np.zeros(g.shape[1])])
    )[:, 1]
    body &= (rows[None, :] < wall[:, None])[:, :, None]
    return np.stack([ndimage.binary_fill_holes(ndimage.binary_closing(s, iterations=2)) for s in body])


def _as_scanned(structure: TrabecularSpec, grid: Geometry, quality: ScanQuality, slice_mm: float) -> Field:
    """Return the structure on the voxels of a box: blurred in the plane, averaged over each slice."""
    dz, dy, dx = grid.spacing_mm
    parts = [max(1, int(np.ceil(s / _FINE_MM))) for s in (dz, dy, dx)]
    fine = grid.resampled(tuple(n * k for n, k in zip(grid.shape, parts, strict=True)))  # type: ignore[arg-type]
    step = fine.spacing_mm
    tile = trabecular_tile(structure).averaged(step)
    z, y, x = (np.arange(n, dtype=np.float32) * np.float32(s) for n, s in zip(fine.shape, step, strict=True))
    made = tile.at(x[None, None, :], y[None, :, None], z[:, None, None])
    sigma = (quality.edge_fwhm_mm or _DEFAULT_FWHM_MM) / _FWHM_PER_SD
    made = ndimage.gaussian_filter(made, (0.0, sigma / step[1], sigma / step[2]), mode="nearest")
    made = ndimage.uniform_filter1d(made, max(1, round(slice_mm / step[0])), axis=0, mode="nearest")
    blocks = made.reshape([v for n, k in zip(grid.shape, parts, strict=True) for v in (n, k)])
    middle = [k // 2 for k in parts]
    return np.asarray(blocks[:, middle[0], :, middle[1], :, middle[2]], np.float32)
