"""Smooth random fields in space: they bend a body in its axial planes and make the borders of organs irregular."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from paraspinal.phantom.sdf import Field

Vector = npt.NDArray[np.float64]
_PER_WAVE = 12.0  # coarse samples a wavelength: linear interpolation between them is right to 3 %


@dataclass(frozen=True, slots=True)
class Waves:
    """A sum of sines over space with SD `amplitude_mm`; ``numbers`` (n, 3) are wave numbers along x, y, z in 1/mm."""

    amplitude_mm: float
    numbers: Vector
    phases: Vector

    def at(self, points: npt.ArrayLike) -> Vector:
        """Return the field at points (…, 3) in LPS millimetres."""
        angle = np.asarray(points, float) @ self.numbers.T + self.phases
        return np.asarray(self.amplitude_mm * np.sqrt(2 / len(self.phases)) * np.sin(angle).sum(axis=-1))

    def on(self, z: Vector, y: Vector, x: Vector) -> Field:
        """Return the field over a grid: computed on a coarser one in plane, and interpolated."""
        shortest = 2 * np.pi / float(np.abs(self.numbers[:, :2]).max())
        step = max(1, int(shortest / _PER_WAVE / max(float(x[1] - x[0]) if len(x) > 1 else 1.0, 1e-3)))
        # Coarse samples at both ends, so that resizing by their corners puts them where they are.
        cy = np.linspace(y[0], y[-1], len(y) // step + 2)
        cx = np.linspace(x[0], x[-1], len(x) // step + 2)
        out = np.zeros((len(z), len(cy), len(cx)), np.float32)
        for (kx, ky, kz), phase in zip(self.numbers, self.phases, strict=True):
            in_plane = ky * cy[:, None] + kx * cx[None, :]
            along = kz * z + phase
            # sin(a + b) from its parts, so that no sine is taken per voxel.
            out += (np.cos(along)[:, None, None] * np.sin(in_plane)).astype(np.float32)
            out += (np.sin(along)[:, None, None] * np.cos(in_plane)).astype(np.float32)
        out *= np.float32(self.amplitude_mm * np.sqrt(2 / len(self.phases)))
        return upsampled(out, (len(y), len(x)))


def upsampled(coarse: Field, shape: tuple[int, int]) -> Field:
    """Return every slice interpolated to `shape`; the corners of both grids coincide."""
    ny, nx = coarse.shape[1:]
    if (ny, nx) == shape:
        return coarse
    my = np.linspace(0, ny - 1, shape[0], dtype=np.float32)
    mx = np.linspace(0, nx - 1, shape[1], dtype=np.float32)
    map_x, map_y = np.meshgrid(mx, my)
    out = np.empty((len(coarse), *shape), np.float32)
    for k, image in enumerate(coarse):
        out[k] = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR)
    return out


def make_waves(
    rng: np.random.Generator, amplitude_mm: float, *, wavelength_mm: tuple[float, float], count: int = 8
) -> Waves:
    """Draw waves of random direction and length."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = rng.uniform(*wavelength_mm, count)
    return Waves(amplitude_mm, direction * (2 * np.pi / length)[:, None], rng.uniform(0, 2 * np.pi, count))


@dataclass(frozen=True, slots=True)
class Warp:
    """An in-plane deformation: a voxel at q shows what the undeformed body has at q + (dx, dy)."""

    dx: Waves
    dy: Waves

    def to_image(self, points: npt.ArrayLike) -> Vector:
        """Return where points (n, 3) of the undeformed body are seen."""
        source = np.asarray(points, float).reshape(-1, 3)
        seen = source.copy()
        for _ in range(8):
            seen[:, 0] = source[:, 0] - self.dx.at(seen)
            seen[:, 1] = source[:, 1] - self.dy.at(seen)
        return seen

    def apply(self, z: Vector, y: Vector, x: Vector, hu: Field, *maps: npt.NDArray[np.generic]) -> None:
        """Deform slices in place: `hu` by interpolation, `maps` by the nearest voxel."""
        pixel = float(x[1] - x[0])
        across, back = self.dx.on(z, y, x) / pixel, self.dy.on(z, y, x) / pixel
        columns, rows = np.meshgrid(np.arange(len(x), dtype=np.float32), np.arange(len(y), dtype=np.float32))
        for k in range(len(z)):
            map_x, map_y = columns + across[k], rows + back[k]
            hu[k] = cv2.remap(hu[k], map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for labels in maps:
                labels[k] = cv2.remap(
                    labels[k], map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
                )


def make_warp(rng: np.random.Generator, amplitude_mm: float) -> Warp | None:
    """Draw a deformation with wavelengths of a body's parts; None for an amplitude of 0."""
    if amplitude_mm <= 0:
        return None
    lengths = (140.0, 380.0)
    return Warp(
        make_waves(rng, amplitude_mm, wavelength_mm=lengths),
        make_waves(rng, amplitude_mm, wavelength_mm=lengths),
    )
