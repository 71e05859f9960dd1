"""Structures that somebody else segmented: one box of voxels each, on a grid of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.loading.canonical import canonical_grid, to_canonical
from paraspinal.volume import BoolArray, Geometry, LabelMap, Region

_ANY_ANGLE = 180.0


@dataclass(frozen=True, slots=True)
class StructureMask:
    """One structure: its voxels as a region of `grid`, whose axes are in canonical order (see `volume`)."""

    name: str
    region: Region
    grid: Geometry

    @property
    def geometry(self) -> Geometry:
        """The geometry of the region's box."""
        z, y, x = self.region.mask.shape
        return self.grid.crop(self.region.start, (z, y, x))

    @property
    def volume_ml(self) -> float:
        """Volume in millilitres."""
        return self.region.voxels * self.grid.voxel_ml

    def centroid_lps_mm(self) -> npt.NDArray[np.float64]:
        """Centre of mass, (x, y, z) in LPS."""
        return self.grid.to_lps(self.region.centroid_index())


@dataclass(frozen=True, slots=True)
class StructureSet:
    """Structures of one source.

    Parameters
    ----------
    structures : mapping
        By canonical name (see `mask_names`); empty ones are left out.
    kind : str
        ``nifti``, ``folder``, ``seg``, ``rtstruct``, ``totalsegmentator``, ``result`` or ``labels``.
    bounded : bool
        Whether the grid's ends are the ends of what was looked at. SEG leaves empty frames out and RTSTRUCT has no
        grid, so that theirs are not.
    frame_of_reference_uid, series_uid : str, optional
        What the source says it belongs to; None where it does not say.
    unknown : tuple of str
        Labels that stand for no structure known here; they are not used.
    numbers_assumed : bool
        Whether numbers were read as TotalSegmentator's because nothing said what they mean.
    """

    structures: Mapping[str, StructureMask]
    kind: str
    bounded: bool = True
    frame_of_reference_uid: str | None = None
    series_uid: str | None = None
    empty: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    numbers_assumed: bool = False


def structure(name: str, mask: BoolArray, grid: Geometry) -> StructureMask | None:
    """Return a mask [z, y, x] in any order of axes as a structure; None if it is empty."""
    if not mask.any():
        return None
    return in_box(name, Region.of(mask), grid)


def in_box(name: str, region: Region, grid: Geometry) -> StructureMask:
    """Bring a region of a grid with any order of axes into canonical order."""
    turned = canonical_grid(grid, max_oblique_deg=_ANY_ANGLE)
    axes = turned.axes
    mask = np.ascontiguousarray(to_canonical(region.mask, axes))
    start = []
    for axis, flipped, size in zip(axes.order, axes.flipped, mask.shape, strict=True):
        first = region.start[axis]
        start.append(grid.shape[axis] - first - size if flipped else first)
    return StructureMask(name, Region((start[0], start[1], start[2]), mask), turned.geometry)


def boxes_of_labels(data: npt.NDArray[np.integer]) -> dict[int, tuple[slice, slice, slice]]:
    """Return the box of every number above 0 that occurs in a label array."""
    boxes = enumerate(ndimage.find_objects(data), start=1)
    return {number: box for number, box in boxes if box is not None}


def structures_of_labels(
    data: npt.NDArray[np.integer], grid: Geometry, names: Mapping[int, str]
) -> list[StructureMask]:
    """Cut every named number that occurs in a label array [z, y, x] out as a structure."""
    found = []
    for number, box in boxes_of_labels(data).items():
        if number not in names:
            continue
        z, y, x = (int(s.start) for s in box)
        region = Region((z, y, x), np.asarray(data[box] == number))
        found.append(in_box(names[number], region, grid))
    return found


def merged(name: str, parts: Iterable[StructureMask]) -> StructureMask:
    """Return the union of structures of one grid.

    Raises
    ------
    ValueError
        If there are none, or they lie on different grids.
    """
    members = list(parts)
    if not members or not all(m.grid.same_grid(members[0].grid) for m in members):
        raise ValueError("only structures of one grid can be merged")
    low = np.min([m.region.start for m in members], axis=0)
    high = np.max([np.add(m.region.start, m.region.mask.shape) for m in members], axis=0)
    out = np.zeros(tuple(int(n) for n in high - low), dtype=bool)
    for m in members:
        at = [int(s - lo) for s, lo in zip(m.region.start, low, strict=True)]
        out[tuple(slice(a, a + n) for a, n in zip(at, m.region.mask.shape, strict=True))] |= m.region.mask
    z, y, x = (int(v) for v in low)
    return StructureMask(name, Region((z, y, x), out), members[0].grid)


def structure_set(labels: LabelMap, *, kind: str = "labels") -> StructureSet:
    """Return the structures of a label map."""
    found = structures_of_labels(labels.data, labels.geometry, labels.names)
    return StructureSet({s.name: s for s in found}, kind)
