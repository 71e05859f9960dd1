"""A small patient of known truth: one vertebra, a canal, fat around, a mass beside it; anatomy made by hand.

World coordinates are LPS mm with (0, 0, 0) in the middle of the vertebral body; the patient's left is +x, the back
+y, the head +z. Every structure is a function of world coordinates, so that truth has no grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.types import Anatomy, Organ, Vertebra
from paraspinal.masses.types import Mass
from paraspinal.quality.types import ScanQuality
from paraspinal.volume import Acquisition, CTVolume, Geometry, LabelMap, Region

Inside = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
FWHM_PER_SD = 2.3548
T10 = 34


def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Inside:
    """Return an ellipsoid by centre and radii (x, y, z)."""

    def inside(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return sum(((v - c) / r) ** 2 for v, c, r in zip((x, y, z), centre, radii, strict=True)) <= 1.0

    return inside


def ball(centre: tuple[float, float, float], diameter: float) -> Inside:
    return ellipsoid(centre, (diameter / 2,) * 3)


def vertebral_cylinder(radius: float = 17.0, half_height: float = 13.0) -> Inside:
    return lambda x, y, z: (np.hypot(x, y) <= radius) & (np.abs(z) <= half_height)


def cuboid(centre: tuple[float, float, float], half: tuple[float, float, float]) -> Inside:
    def inside(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        xs, ys, zs = (np.abs(v - c) <= h for v, c, h in zip((x, y, z), centre, half, strict=True))
        return xs & ys & zs

    return inside


def grid(extent_mm: tuple[float, float, float], spacing: tuple[float, float, float]) -> Geometry:
    """Return a grid [z, y, x] centred on the world's origin."""
    n = [max(1, round(e / s)) for e, s in zip(extent_mm, spacing, strict=True)]
    oz, oy, ox = (-(k - 1) / 2 * s for k, s in zip(n, spacing, strict=True))
    return Geometry((n[0], n[1], n[2]), spacing, (ox, oy, oz))


def drawn(shape: Inside, geometry: Geometry) -> np.ndarray:
    """Return the mask of a structure on a grid."""
    ox, oy, oz = geometry.origin_lps_mm
    z, y, x = (
        o + np.arange(n) * s
        for o, n, s in zip((oz, oy, ox), geometry.shape, geometry.spacing_mm, strict=True)
    )
    return np.broadcast_to(shape(x[None, None], y[None, :, None], z[:, None, None]), geometry.shape).copy()


def correlated_noise(geometry: Geometry, sd: float, fwhm_mm: float, seed: int) -> np.ndarray:
    """Return noise of voxel SD `sd` that is correlated in the plane as the scan's blur makes it."""
    white = np.random.default_rng(seed).standard_normal(geometry.shape).astype(np.float32)
    sigma = fwhm_mm / FWHM_PER_SD
    made = ndimage.gaussian_filter(
        white, (0.0, sigma / geometry.spacing_mm[1], sigma / geometry.spacing_mm[2]), mode="wrap"
    )
    return made * np.float32(sd / made.std())


@dataclass(frozen=True)
class Scene:
    """What to draw, in order (later structures cover earlier ones), and how it is scanned."""

    paint: tuple[tuple[Inside, float], ...]
    mass: Inside | None = None
    structures: Mapping[str, Inside] = field(default_factory=dict)
    vertebra: Inside | None = None
    extent_mm: tuple[float, float, float] = (60.0, 90.0, 110.0)
    spacing: tuple[float, float, float] = (1.0, 0.8, 0.8)
    background: float = -100.0
    fwhm_mm: float = 1.2
    noise: float = 0.0
    seed: int = 0
    kvp: float | None = 120.0
    slice_mm: float | None = None

    @property
    def geometry(self) -> Geometry:
        return grid(self.extent_mm, self.spacing)

    def volume(self) -> CTVolume:
        """Scan the scene: drawn at 2 × 2 × 2 sub-voxels, blurred in the plane, averaged over the slice, noisy."""
        geometry = self.geometry
        fine = geometry.resampled(tuple(2 * n for n in geometry.shape))
        hu = np.full(fine.shape, self.background, dtype=np.float32)
        for shape, value in self.paint:
            hu[drawn(shape, fine)] = value
        sigma = self.fwhm_mm / FWHM_PER_SD
        hu = ndimage.gaussian_filter(hu, (0, sigma / fine.spacing_mm[1], sigma / fine.spacing_mm[2]))
        z, y, x = geometry.shape
        hu = hu.reshape(z, 2, y, 2, x, 2).mean(axis=(1, 3, 5))
        hu = hu + correlated_noise(geometry, self.noise, self.fwhm_mm, self.seed) if self.noise else hu
        return CTVolume(
            np.rint(hu).astype(np.int16),
            geometry,
            Acquisition(kvp=self.kvp, slice_thickness_mm=self.slice_mm),
        )

    def candidate(self) -> Mass:
        """Return the mass with its true outline on the native grid."""
        assert self.mass is not None
        return mass_of(drawn(self.mass, self.geometry), self.geometry)

    def anatomy(self, volume: CTVolume, *, organs: Mapping[str, Organ] | None = None) -> Anatomy:
        """Return the true anatomy on a 2 mm grid."""
        working = grid(self.extent_mm, (2.0, 2.0, 2.0))
        masks = {name: drawn(shape, working) for name, shape in self.structures.items()}
        labels = np.zeros(working.shape, np.uint16)
        vertebrae: tuple[Vertebra, ...] = ()
        if self.vertebra is not None:
            body = drawn(self.vertebra, working)
            labels[body] = T10
            masks["vertebrae"] = body | masks.get("vertebrae", False)
            masks.setdefault("bone", masks["vertebrae"])
            vertebrae = (
                Vertebra(
                    label="T10",
                    label_probabilities={"T10": 1.0},
                    centroid_lps_mm=(0.0, 0.0, 0.0),
                    top_mm=13.0,
                    bottom_mm=-13.0,
                    s_mm=0.0,
                    number=T10,
                    confidence=0.9,
                ),
            )
        index = volume.geometry.to_index(working.to_lps(np.argwhere(np.ones(working.shape, bool))))
        hu = ndimage.map_coordinates(volume.hu.astype(np.float32), index.T, order=1, mode="nearest")
        z = working.origin_lps_mm[2] + np.arange(working.shape[0])[::-1] * 2.0
        centreline = np.stack([np.zeros_like(z), np.full_like(z, 26.0), z], axis=1)
        return Anatomy(
            geometry=working,
            hu=hu.reshape(working.shape).astype(np.float32),
            masks=masks,
            labels=LabelMap(labels, working, {T10: "vertebrae_T10"}),
            centreline_lps_mm=centreline,
            vertebrae=vertebrae,
            organs=organs or {},
            spine=_coordinates(working),
            spine_length_mm=self.extent_mm[0],
        )


def _coordinates(working: Geometry) -> SpineCoordinates:
    """Spine coordinates of a straight canal at x = 0, y = 26 mm."""
    x, y, z = np.moveaxis(working.to_lps(np.moveaxis(np.indices(working.shape), 0, -1)), -1, 0)
    box = tuple(slice(0, n) for n in working.shape)
    return SpineCoordinates(box, *(np.asarray(f, np.float32) for f in (z, 26.0 - y, x)))


def mass_of(mask: np.ndarray, geometry: Geometry, *, number: int = 1, pair: int | None = None) -> Mass:
    """Return a candidate with this mask."""
    region = Region.of(mask)
    x, y, z = geometry.to_lps(region.centroid_index())
    key = region.start[0] + int(np.argmax(region.mask.sum(axis=(1, 2))))
    side = "left" if x > 0 else "right"
    return Mass(
        number, "present", side, region, ("T10", "T10"), {"T10": 1.0}, (x, y, z), key, 0.9, pair_id=pair
    )


def quality_of(scene: Scene, **changes: object) -> ScanQuality:
    """Return the scan quality that the scene truly has."""
    values: dict[str, object] = {
        "noise_sd_hu": scene.noise or 0.5,
        "edge_fwhm_mm": scene.fwhm_mm,
        "contrast_phase": "unenhanced",
        "contrast_evidence": "phantom without contrast medium.",
        "kvp": scene.kvp,
        "calibration_sd_hu": 4.0,
        "metal_ml": 0.0,
        **changes,
    }
    return ScanQuality(**values)
