"""A phantom to measure a reader with: spheres of known volume in a body-like cylinder, imaged analytically."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from paraspinal.errors import UsageError
from paraspinal.phantom.plane import Plane, Point, Values, Vector, planes_of
from paraspinal.phantom.scanner import FWHM_PER_SIGMA
from paraspinal.volume import Acquisition, CTVolume, Geometry, Index3, Spacing

_AIR_HU = -1000.0


@dataclass(frozen=True, slots=True)
class SpherePhantom:
    """Uniform spheres inside an elliptic cylinder along z, in air; call it with a plane to image it there.

    Every image is an average over its thickness with the partial volume of the spheres (supersampled), blurred in
    its own plane. It is computed anew for each plane, so a tilted or thick slice is as exact as any other.

    Parameters
    ----------
    radii_mm, centres_lps_mm : tuple
        One entry a sphere; they must not touch.
    sphere_hu, background_hu : float
        Soft tissue in fat by default; -850 for the background is lung.
    body_mm : tuple of float
        Half diameters of the cylinder along x and y, about the z axis of the patient.
    fwhm_mm : float
        In-plane response, the sampling by pixels included; 0 is none.
    noise_hu : float
        SD of white noise; the same plane has the same noise.
    supersampling : int
        Samples a pixel and a slice along each axis, at least 5.
    """

    radii_mm: tuple[float, ...]
    centres_lps_mm: tuple[Point, ...]
    sphere_hu: float = 40.0
    background_hu: float = -100.0
    body_mm: tuple[float, float] = (130.0, 90.0)
    fwhm_mm: float = 1.2
    noise_hu: float = 0.0
    supersampling: int = 7
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.radii_mm or len(self.radii_mm) != len(self.centres_lps_mm) or min(self.radii_mm) <= 0:
            raise _invalid("Every sphere needs a centre and a radius above 0.")
        if self.supersampling < 5 or min(self.fwhm_mm, self.noise_hu) < 0 or min(self.body_mm) <= 0:
            raise _invalid("Supersampling below 5, or a negative width, blur or noise, cannot be used.")

    def __call__(self, plane: Plane) -> Values:
        """Return HU of one plane, float32 [rows, columns]."""
        image = self._body(plane)
        for radius, centre in zip(self.radii_mm, self.centres_lps_mm, strict=True):
            image += (self.sphere_hu - self.background_hu) * self._share(plane, radius, centre)
        sigma = [
            float(np.sqrt(max((self.fwhm_mm / FWHM_PER_SIGMA) ** 2 - s**2 / 12, 0.0))) / s
            for s in plane.spacing_mm
        ]
        image = ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=6.0)
        if self.noise_hu > 0:
            place = [round(c * 1000) & 0xFFFFFFFF for c in plane.corner_lps_mm]
            generator = np.random.default_rng((self.seed, *place))
            image += self.noise_hu * generator.standard_normal(plane.shape)
        return np.asarray(image, np.float32)

    def volume_ml(self, index: int = 0) -> float:
        """Return the true volume of a sphere."""
        return float(4 / 3 * np.pi * self.radii_mm[index] ** 3 / 1000)

    def _body(self, plane: Plane) -> Vector:
        """Return the cylinder; its border is spread over about one pixel."""
        points = plane.points()
        a, b = self.body_mm
        level = np.hypot(points[..., 0] / a, points[..., 1] / b)
        gradient = np.hypot(points[..., 0] / a**2, points[..., 1] / b**2) / np.maximum(level, 1e-6)
        depth = (1.0 - level) / np.maximum(gradient, 1e-9)
        inside = np.clip(depth / max(plane.spacing_mm) + 0.5, 0.0, 1.0)
        return np.asarray(_AIR_HU + (self.background_hu - _AIR_HU) * inside)

    def _share(self, plane: Plane, radius: float, centre: Point) -> Vector:
        """Return the share of each pixel's box (its area × the thickness) that the sphere fills."""
        share = np.zeros(plane.shape)
        to_centre = np.subtract(centre, plane.corner_lps_mm)
        height = float(to_centre @ plane.normal)
        if abs(height) >= radius + plane.thickness_mm / 2:
            return share
        n = self.supersampling
        inner = (np.arange(n) + 0.5) / n - 0.5
        along = [to_centre @ plane.column_lps, to_centre @ plane.row_lps]
        boxes, squares = [], []
        for middle, spacing, count in zip(along, plane.spacing_mm, plane.shape, strict=True):
            low = int(np.clip(np.floor((middle - radius) / spacing) - 1, 0, count))
            high = int(np.clip(np.ceil((middle + radius) / spacing) + 2, low, count))
            places = (np.arange(low, high)[:, None] + inner) * spacing - middle
            boxes.append(slice(low, high))
            squares.append(places.ravel() ** 2)
        if not all(s.size for s in squares):
            return share
        distance2 = squares[0][:, None] + squares[1][None, :]
        # The chord of each sample line within the slab is exact; only the pixel's area is sampled.
        reach = np.sqrt(np.maximum(radius**2 - distance2, 0.0))
        low_mm, high_mm = -plane.thickness_mm / 2 - height, plane.thickness_mm / 2 - height
        chord = np.clip(np.minimum(reach, high_mm) - np.maximum(-reach, low_mm), 0.0, None)
        rows, columns = (s.size // n for s in squares)
        share[boxes[0], boxes[1]] = chord.reshape(rows, n, columns, n).mean(axis=(1, 3)) / plane.thickness_mm
        return share


def sphere_phantom(
    radius_mm: float = 20.0,
    centre_mm: Point = (0.0, 0.0, 0.0),
    *,
    background_hu: float = -100.0,
    noise_hu: float = 0.0,
) -> SpherePhantom:
    """Return one sphere of 40 HU; the default background is fat."""
    return SpherePhantom((radius_mm,), (centre_mm,), background_hu=background_hu, noise_hu=noise_hu)


def sphere_volume(
    phantom: SpherePhantom | None = None,
    *,
    spacing_mm: Spacing = (2.5, 0.8, 0.8),
    shape: Index3 = (40, 256, 344),
    thickness_mm: float | None = None,
) -> CTVolume:
    """Scan a sphere phantom: an axial volume centred on (0, 0, 0), HU int16 [z, y, x].

    Raises
    ------
    UsageError
        If the shape or spacing cannot be.
    """
    scanned = phantom or sphere_phantom()
    if min(shape) < 1 or min(spacing_mm) <= 0:
        raise _invalid(f"A volume of {shape} voxels at {spacing_mm} mm cannot be made.")
    z, y, x = (-(n - 1) / 2 * s for n, s in zip(shape, spacing_mm, strict=True))
    acquisition = Acquisition(
        modality="CT", kvp=120.0, kernel="SYNTHETIC", slice_thickness_mm=thickness_mm or spacing_mm[0]
    )
    empty = CTVolume(np.zeros(shape, np.int16), Geometry(shape, spacing_mm, (x, y, z)), acquisition)
    hu = np.stack([np.rint(scanned(plane)) for plane in planes_of(empty)]).astype(np.int16)
    return CTVolume(hu, empty.geometry, acquisition)


def _invalid(message: str) -> UsageError:
    return UsageError(message, code="phantom_spec_invalid", remedy="See the documentation of SpherePhantom.")
