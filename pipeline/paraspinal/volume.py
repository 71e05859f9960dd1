"""The value objects that carry voxels: `Geometry`, `CTVolume`, `LabelMap`, `Region`.

Axis order is always [z, y, x]. A volume is stored *canonically*: index z grows towards the head, y towards
the back, x towards the patient's left (the directions of the DICOM patient coordinate system, LPS), whatever
the order of rows, columns and slices in the files was. World coordinates are (x, y, z) in LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

HUArray = npt.NDArray[np.int16]
BoolArray = npt.NDArray[np.bool_]
LabelArray = npt.NDArray[np.uint16]
FloatArray = npt.NDArray[np.floating]

Index3 = tuple[int, int, int]
Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a [z, y, x] grid lies in the patient.

    Parameters
    ----------
    shape : tuple of int
        Voxels along (z, y, x).
    spacing_mm : tuple of float
        Distance of voxel centres along (z, y, x), all > 0.
    origin_lps_mm : tuple of float
        Centre of voxel (0, 0, 0) as (x, y, z) in LPS.
    axes_lps : ndarray, shape (3, 3)
        Column k is the unit vector in LPS of the k-th array axis (z, y, x).
    """

    shape: Index3
    spacing_mm: Spacing
    origin_lps_mm: tuple[float, float, float]
    axes_lps: npt.NDArray[np.float64] = field(
        default_factory=lambda: np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    )

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def extent_mm(self) -> Spacing:
        """Edge lengths of the grid along (z, y, x), voxel borders included."""
        sz, sy, sx = (n * s for n, s in zip(self.shape, self.spacing_mm, strict=True))
        return (sz, sy, sx)

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """The 4×4 matrix that maps an index (z, y, x, 1) to LPS (x, y, z, 1)."""
        m = np.eye(4)
        m[:3, :3] = self.axes_lps * np.asarray(self.spacing_mm)
        m[:3, 3] = self.origin_lps_mm
        return m

    def to_lps(self, index_zyx: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map indices (…, 3) in (z, y, x) order to LPS points (…, 3) in (x, y, z) order."""
        index = np.asarray(index_zyx, dtype=np.float64)
        m = self.matrix
        return np.asarray(index @ m[:3, :3].T + m[:3, 3])

    def to_index(self, lps_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map LPS points (…, 3) to fractional indices (…, 3) in (z, y, x) order."""
        inverse = np.linalg.inv(self.matrix)
        return np.asarray(np.asarray(lps_mm, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3])

    def crop(self, start: Index3, shape: Index3) -> Geometry:
        """Return the geometry of a box inside (or around) this grid that begins at voxel `start`."""
        x, y, z = self.to_lps(start)
        return Geometry(shape, self.spacing_mm, (float(x), float(y), float(z)), self.axes_lps)

    def resampled(self, shape: Index3) -> Geometry:
        """Return the grid of `shape` voxels that covers exactly the same box."""
        old, new = np.asarray(self.shape, float), np.asarray(shape, float)
        sz, sy, sx = (float(v) for v in np.asarray(self.spacing_mm) * old / new)
        x, y, z = self.to_lps((old / new - 1.0) / 2.0)
        return Geometry(shape, (sz, sy, sx), (float(x), float(y), float(z)), self.axes_lps)

    def same_grid(self, other: Geometry, *, tolerance_mm: float = 1e-3) -> bool:
        """Tell whether two grids agree in shape and place."""
        if self.shape != other.shape:
            return False
        corners = np.array([(0, 0, 0), self.shape])
        return bool(np.allclose(self.to_lps(corners), other.to_lps(corners), atol=tolerance_mm))


@dataclass(frozen=True, slots=True)
class SliceRef:
    """The SOP instance behind one canonical slice (absent for NIfTI input; empty where a slice was interpolated)."""

    sop_instance_uid: str
    instance_number: int | None
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What the headers say about how the series was made; None where they do not say."""

    modality: str | None = None
    manufacturer: str | None = None
    kvp: float | None = None
    kernel: str | None = None
    exposure_mas: float | None = None
    slice_thickness_mm: float | None = None
    reconstruction: str | None = None
    contrast_agent: str | None = None
    series_description: str | None = None
    image_type: tuple[str, ...] = ()
    patient_age_years: float | None = None
    patient_sex: str | None = None
    patient_height_m: float | None = None
    patient_weight_kg: float | None = None


@dataclass(frozen=True, slots=True)
class SourceAxes:
    """How the canonical array was made from the source array: ``transpose(order)``, then flips.

    ``order[k]`` is the source axis that became canonical axis k; ``flipped[k]`` tells whether canonical axis k
    runs against it.
    """

    order: Index3 = (0, 1, 2)
    flipped: tuple[bool, bool, bool] = (False, False, False)


@dataclass(frozen=True, slots=True)
class CTVolume:
    """A CT series as Hounsfield units, int16 [z, y, x] in canonical order, with its place in the patient.

    ``padding`` marks voxels outside the reconstructed field (None when there are none); their HU are -1024.
    ``slices[z]`` names the SOP instance of slice z; empty for input that is not DICOM. ``interpolated`` counts the
    canonical slices that no image of the series shows: the loader filled a gap there, and what is measured on them
    must say so.
    """

    hu: HUArray
    geometry: Geometry
    acquisition: Acquisition = field(default_factory=Acquisition)
    slices: tuple[SliceRef, ...] = ()
    padding: BoolArray | None = None
    interpolated: tuple[int, ...] = ()
    source_axes: SourceAxes = field(default_factory=SourceAxes)

    @property
    def effective_slice_mm(self) -> float:
        """Thickness over which a voxel averages along z: the slice thickness, at least the slice spacing.

        Overlapping slices are thicker than their distance; a gap between thin ones hides what lies in it.
        """
        return max(self.geometry.spacing_mm[0], self.acquisition.slice_thickness_mm or 0.0)

    def to_source(self, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return a canonical [z, y, x] array in the axis order and direction of the source file."""
        flips = tuple(slice(None, None, -1) if f else slice(None) for f in self.source_axes.flipped)
        inverse = np.argsort(self.source_axes.order)
        return array[flips].transpose(tuple(int(i) for i in inverse))

    def source_geometry(self) -> Geometry:
        """Return the geometry of the array that `to_source` gives."""
        g, axes = self.geometry, self.source_axes
        first = tuple(n - 1 if f else 0 for n, f in zip(g.shape, axes.flipped, strict=True))
        signs = np.where(axes.flipped, -1.0, 1.0)
        inverse = np.argsort(axes.order)
        x, y, z = g.to_lps(first)
        n = [g.shape[i] for i in inverse]
        s = [g.spacing_mm[i] for i in inverse]
        return Geometry(
            (n[0], n[1], n[2]),
            (s[0], s[1], s[2]),
            (float(x), float(y), float(z)),
            (g.axes_lps * signs)[:, inverse],
        )


@dataclass(frozen=True, slots=True)
class Region:
    """A set of voxels of a larger grid, kept as a box: voxel (0, 0, 0) of `mask` is voxel `start` of the grid."""

    start: Index3
    mask: BoolArray

    @classmethod
    def of(cls, full: BoolArray) -> Region:
        """Return the tight region of a whole-grid mask.

        Raises
        ------
        ValueError
            If the mask is empty.
        """
        bounds = []
        for axis in range(3):
            line = full.any(axis=tuple(a for a in range(3) if a != axis))
            hit = np.flatnonzero(line)
            if hit.size == 0:
                raise ValueError("an empty mask has no region")
            bounds.append((int(hit[0]), int(hit[-1]) + 1))
        (z0, z1), (y0, y1), (x0, x1) = bounds
        return cls((z0, y0, x0), np.ascontiguousarray(full[z0:z1, y0:y1, x0:x1]))

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """The slices of the larger grid that this region's box covers."""
        z, y, x = (slice(s, s + n) for s, n in zip(self.start, self.mask.shape, strict=True))
        return (z, y, x)

    @property
    def voxels(self) -> int:
        """Number of voxels in the region."""
        return int(np.count_nonzero(self.mask))

    def padded(self, margin: Index3, shape: Index3) -> Region:
        """Return the same voxels in a box grown by `margin` voxels, kept inside a grid of `shape`."""
        low = [max(0, s - m) for s, m in zip(self.start, margin, strict=True)]
        high = [
            min(n, s + k + m) for s, k, m, n in zip(self.start, self.mask.shape, margin, shape, strict=True)
        ]
        out = np.zeros([h - lo for h, lo in zip(high, low, strict=True)], dtype=bool)
        inner = tuple(
            slice(s - lo, s - lo + k) for s, lo, k in zip(self.start, low, self.mask.shape, strict=True)
        )
        out[inner] = self.mask
        return Region((low[0], low[1], low[2]), out)

    def on(self, box: tuple[slice, slice, slice]) -> BoolArray:
        """Return the region as a mask over a box of the larger grid."""
        out = np.zeros([part.stop - part.start for part in box], dtype=bool)
        here, there = [], []
        for own, other in zip(self.box, box, strict=True):
            low = max(own.start, other.start)
            high = max(low, min(own.stop, other.stop))
            here.append(slice(low - own.start, high - own.start))
            there.append(slice(low - other.start, high - other.start))
        out[tuple(there)] = self.mask[tuple(here)]
        return out

    def full(self, shape: Index3) -> BoolArray:
        """Return the region as a mask over the whole grid."""
        out = np.zeros(shape, dtype=bool)
        out[self.box] = self.mask
        return out

    def centroid_index(self) -> tuple[float, float, float]:
        """Centre of mass as a fractional index (z, y, x) of the larger grid."""
        z, y, x = (float(c.mean()) + s for c, s in zip(np.nonzero(self.mask), self.start, strict=True))
        return (z, y, x)


@dataclass(frozen=True, slots=True)
class LabelMap:
    """Exclusive labels, uint16 [z, y, x], with the name of every number that may occur."""

    data: LabelArray
    geometry: Geometry
    names: Mapping[int, str]

    def mask(self, name: str) -> BoolArray:
        """Return the voxels that carry `name`; all False when the name is unknown here."""
        numbers = [number for number, label in self.names.items() if label == name]
        return np.isin(self.data, numbers)
