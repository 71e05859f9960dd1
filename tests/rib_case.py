"""Ribs of known wall: shells of curved flat tubes, drawn finely, scanned with a blur and slice profile of their own.

Each rib is a part of a ring with an elliptic section that leans from slice to slice. The wall lies between two
ellipses, the inner one smaller by the thickness in both axes. Nothing here knows how the wall is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from measure_scene import FWHM_PER_SD
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.types import RIB_NUMBERS, Anatomy, Rib
from paraspinal.quality.types import ScanQuality
from paraspinal.volume import Acquisition, CTVolume, Geometry, LabelMap

LENGTH_MM = 72.0
_RING_MM = 80.0  # radius of the ring of which a rib is a part
_BEGIN = np.deg2rad(-8.0)  # it leaves the head to the side and backwards
_CENTRE_MM = (_RING_MM * np.sin(-_BEGIN), _RING_MM * np.cos(_BEGIN))  # of the ring, against the head
_BOX_MM = (60.0, 58.0, 90.0)  # of one rib (z, y, x)
_TILTS_DEG = (14.0, 20.0, 26.0, 32.0, 23.0, 17.0, 29.0, 35.0)
_LEANS_DEG = (10.0, 25.0, 0.0, 18.0, 30.0, 5.0, 14.0, 22.0)  # of the tall axis against the ring's own


@dataclass(frozen=True)
class RibScene:
    """How ribs are drawn and scanned; ``wall_mm`` one thickness, or one per rib; ``bites`` (rib, s, radius) in mm."""

    wall_mm: float | Sequence[float] = 1.2
    half_mm: tuple[float, float] = (3.4, 5.6)
    cortex_hu: float = 1100.0
    marrow_hu: float = 150.0
    soft_hu: float = 45.0
    lung_mm: float | None = 1.6  # behind the wall begins the lung; None: soft tissue all around
    fwhm_mm: float = 1.2
    overshoot: float = 0.0
    spacing: tuple[float, float, float] = (1.0, 0.78, 0.78)
    slice_mm: float | None = None
    noise: float = 20.0
    pairs: int = 4
    lean_deg: float | None = None  # of ribs that are alike; None: unlike for each rib
    seed: int = 0
    bites: tuple[tuple[int, float, float], ...] = ()

    def wall(self, k: int) -> float:
        return self.wall_mm if isinstance(self.wall_mm, (int, float)) else self.wall_mm[k]

    def tilt(self, k: int) -> float:
        return _TILTS_DEG[k] if self.lean_deg is None else 20.0 + 1.5 * (k % 4)

    def lean(self, k: int) -> float:
        """Return how far the tall axis leans; right ribs, which run the same way here, lean the other way."""
        if self.lean_deg is None:
            return _LEANS_DEG[k]
        return (self.lean_deg + 2.0 * (k % 3)) * (1.0 if k % 2 == 0 else -1.0)

    @property
    def width_mm(self) -> float:
        """Diameter of the circle of a section's area."""
        return 2.0 * float(np.sqrt(self.half_mm[0] * self.half_mm[1]))


def rib_scene(scene: RibScene) -> tuple[CTVolume, Anatomy, ScanQuality]:
    """Return the scan, its anatomy (the ribs with their heads) and its quality."""
    count = 2 * scene.pairs
    drawn = [_rib(scene, k) for k in range(count)]
    hu = np.concatenate([d[0] for d in drawn])
    dz, _, dx = scene.spacing
    geometry = Geometry(hu.shape, scene.spacing, (0.0, 0.0, 0.0))
    rng = np.random.default_rng(scene.seed)
    if scene.noise:
        white = rng.standard_normal(hu.shape).astype(np.float32)
        # A ramp's grain: what the blur leaves, less a wider mean of it.
        sd = scene.fwhm_mm / FWHM_PER_SD / dx
        fine = ndimage.gaussian_filter(white, (0.0, 0.7 * sd, 0.7 * sd), mode="wrap")
        grain = fine - 0.8 * ndimage.gaussian_filter(white, (0.0, 2.5 * sd, 2.5 * sd), mode="wrap")
        hu = hu + grain * np.float32(scene.noise / grain.std())
    thick = scene.slice_mm or dz
    volume = CTVolume(
        np.rint(hu).astype(np.int16), geometry, Acquisition(kvp=120.0, slice_thickness_mm=thick)
    )
    ribs, labels, working = _labelled(scene, drawn, geometry)
    anatomy = Anatomy(
        geometry=working,
        hu=np.zeros(working.shape, np.float32),
        masks={"ribs": labels > 0},
        labels=LabelMap(labels, working, dict(RIB_NUMBERS)),
        centreline_lps_mm=np.zeros((0, 3)),
        vertebrae=(),
        organs={},
        spine=SpineCoordinates(
            tuple(slice(0, n) for n in working.shape),
            *(np.zeros(working.shape, np.float32) for _ in range(3)),
        ),
        spine_length_mm=0.0,
        ribs=ribs,
    )
    quality = ScanQuality(
        noise_sd_hu=scene.noise or 0.5,
        edge_fwhm_mm=scene.fwhm_mm,
        contrast_phase="unenhanced",
        contrast_evidence="phantom without contrast medium.",
        kvp=120.0,
        calibration_sd_hu=4.0,
        metal_ml=0.0,
        slice_fwhm_mm=thick,
    )
    return volume, anatomy, quality


def _rib(scene: RibScene, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return HU of one rib's slab on the native grid, the places of its section's inside (n, 3), and its head."""
    dz, dy, dx = scene.spacing
    n = [round(b / s) for b, s in zip(_BOX_MM, scene.spacing, strict=True)]
    per = (max(2, round(dz / 0.4)), 2, 2)
    axes = [(np.arange(m * p) + 0.5) / p * s - 0.5 * s for m, p, s in zip(n, per, scene.spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    tilt, lean = np.deg2rad(scene.tilt(k)), np.deg2rad(scene.lean(k))
    # The ring's plane falls to the front; its own coordinates are a (across), b (along its fall), h (out of it).
    head = _head(scene, k)
    a, fall = x - head[0], y - head[1]
    b = fall * np.cos(tilt) - (z - head[2]) * np.sin(tilt)
    h = fall * np.sin(tilt) + (z - head[2]) * np.cos(tilt)
    rho = np.hypot(a - _CENTRE_MM[0], b - _CENTRE_MM[1]) - _RING_MM
    along = (np.arctan2(a - _CENTRE_MM[0], -(b - _CENTRE_MM[1])) - _BEGIN) * _RING_MM
    u, v = rho * np.cos(lean) + h * np.sin(lean), h * np.cos(lean) - rho * np.sin(lean)
    ends = np.maximum(-along, along - LENGTH_MM)
    step = dx / per[2]
    wall, (p, q) = scene.wall(k), scene.half_mm
    outer = np.maximum(_ellipse(u, v, p, q), ends)
    inner = np.maximum(_ellipse(u, v, p - wall, q - wall), ends + wall)
    hu = np.full(outer.shape, scene.soft_hu, np.float32)
    if scene.lung_mm is not None:
        hu += _cover(u + p + scene.lung_mm, step) * np.float32(-850.0 - scene.soft_hu)
    hu += _cover(outer, step) * (scene.cortex_hu - hu)
    hu += _cover(inner, step) * (scene.marrow_hu - hu)
    for number, place, radius in scene.bites:
        if number == k:
            ball = np.sqrt((along - place) ** 2 + (u - p) ** 2 + v**2) - radius
            hu += _cover(ball, step) * (scene.soft_hu - hu)
    blurred = _scanned(hu, scene, per, (dz, dy, dx))
    inside = np.argwhere((outer < 0)[:: per[0], ::2, ::2])
    return blurred, inside, head


def _head(scene: RibScene, k: int) -> np.ndarray:
    dz, dy, dx = scene.spacing
    return np.array([8.0 + 0.31 * k * dx, 12.0 + 0.43 * k * dy, _BOX_MM[0] - 18.0 + 0.37 * k * dz])


def rib_point(scene: RibScene, k: int, along_mm: float, u_mm: float = 0.0) -> np.ndarray:
    """Return the LPS point of a rib so far from its head and so far outwards from its middle."""
    tilt, lean = np.deg2rad(scene.tilt(k)), np.deg2rad(scene.lean(k))
    rho, h = u_mm * np.cos(lean), u_mm * np.sin(lean)
    angle = along_mm / _RING_MM + _BEGIN
    a = _CENTRE_MM[0] + (_RING_MM + rho) * np.sin(angle)
    b = _CENTRE_MM[1] - (_RING_MM + rho) * np.cos(angle)
    turned = np.array([a, b * np.cos(tilt) + h * np.sin(tilt), h * np.cos(tilt) - b * np.sin(tilt)])
    slab_mm = k * round(_BOX_MM[0] / scene.spacing[0]) * scene.spacing[0]
    return _head(scene, k) + turned + (0.0, 0.0, slab_mm)


def _ellipse(u: np.ndarray, v: np.ndarray, p: float, q: float) -> np.ndarray:
    first = np.sqrt((u / p) ** 2 + (v / q) ** 2)
    second = np.sqrt((u / p**2) ** 2 + (v / q**2) ** 2)
    return np.asarray(first * (first - 1.0) / np.maximum(second, 1e-6), np.float32)


def _cover(distance: np.ndarray, step: float) -> np.ndarray:
    return np.clip(0.5 - distance / step, 0.0, 1.0).astype(np.float32)


def _scanned(
    hu: np.ndarray, scene: RibScene, per: tuple[int, int, int], spacing: tuple[float, float, float]
) -> np.ndarray:
    """Blur in the plane, average evenly over the slice, and take the middle of every voxel."""
    dz, dy, dx = spacing
    sd = scene.fwhm_mm / FWHM_PER_SD
    out = ndimage.gaussian_filter(hu, (0.0, sd / dy * per[1], sd / dx * per[2]))
    if scene.overshoot:
        wide = 1.1
        out = out + np.float32(scene.overshoot) * (
            out - ndimage.gaussian_filter(out, (0.0, wide / dy * per[1], wide / dx * per[2]))
        )
    thick = max(1, round((scene.slice_mm or dz) / dz * per[0]))
    out = ndimage.uniform_filter1d(out, thick, axis=0, mode="nearest")
    z, y, x = (p // 2 for p in per)
    for axis, p in enumerate(per):
        if p % 2 == 0 and not (axis == 0 and thick % 2 == 0):
            out = 0.5 * (out + np.roll(out, 1, axis))
    return np.asarray(out[z :: per[0], y :: per[1], x :: per[2]])


def _labelled(
    scene: RibScene, drawn: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], native: Geometry
) -> tuple[tuple[Rib, ...], np.ndarray, Geometry]:
    shape = tuple(int(np.ceil(n * s / 2.0)) for n, s in zip(native.shape, native.spacing_mm, strict=True))
    origin = tuple(0.5 * (2.0 - s) for s in reversed(native.spacing_mm))
    working = Geometry(shape, (2.0, 2.0, 2.0), origin)
    labels = np.zeros(shape, np.uint16)
    ribs = []
    for k, (part, inside, head) in enumerate(drawn):
        low = k * part.shape[0]
        side = "left" if k % 2 == 0 else "right"
        level = 5 + k // 2
        number = (91 if side == "left" else 103) + level
        at = np.floor((inside + np.array([low, 0, 0])) * np.asarray(native.spacing_mm) / 2.0).astype(int)
        labels[tuple(np.minimum(at, np.array(shape) - 1).T)] = number
        z0 = low * native.spacing_mm[0]
        ribs.append(
            Rib(
                label=RIB_NUMBERS[number],
                side=side,
                bearer=f"T{level}",
                number=number,
                confidence=0.95,
                head_lps_mm=(float(head[0]), float(head[1]), float(head[2] + z0)),
                length_mm=LENGTH_MM,
                truncated=(),
            )
        )
    return tuple(ribs), labels, working
