"""Binary morphology with radii in millimetres, and components, on [z, y, x] masks."""

from __future__ import annotations

from typing import Literal

import cc3d
import cv2
import edt
import fill_voids
import numpy as np
import numpy.typing as npt

from paraspinal.volume import BoolArray, Spacing


def distance_inside(mask: BoolArray, spacing_mm: Spacing) -> npt.NDArray[np.float32]:
    """Distance (mm) of every voxel of `mask` to the nearest voxel outside; 0 outside. The border counts as inside."""
    return np.asarray(edt.edt(mask, anisotropy=spacing_mm, black_border=False, parallel=2), np.float32)


_FEW_VOXELS = 5.0  # up to this radius discs per slice are faster than a distance transform


def dilate(mask: BoolArray, radius_mm: float, spacing_mm: Spacing) -> BoolArray:
    """Grow a mask by a ball of `radius_mm`."""
    if radius_mm <= _FEW_VOXELS * min(spacing_mm):
        return _dilate_by_discs(mask, radius_mm, spacing_mm)
    return np.asarray(distance_inside(~mask, spacing_mm) <= radius_mm) if mask.any() else mask.copy()


def erode(mask: BoolArray, radius_mm: float, spacing_mm: Spacing) -> BoolArray:
    """Shrink a mask by a ball of `radius_mm`; the volume's border does not erode."""
    return ~dilate(~mask, radius_mm, spacing_mm)


def _dilate_by_discs(mask: BoolArray, radius_mm: float, spacing_mm: Spacing) -> BoolArray:
    """Exact ball dilation as the union of 2-D dilations with the ball's cross-sections, shifted along z."""
    sz, sy, sx = spacing_mm
    out = np.zeros(mask.shape, np.uint8)
    filled = np.flatnonzero(mask.any(axis=(1, 2)))
    planes = {int(z): mask[z].astype(np.uint8) for z in filled}
    for step in range(int(radius_mm / sz + 1e-9) + 1):
        left = radius_mm**2 - (step * sz) ** 2 + 1e-6
        ny, nx = int(np.sqrt(left) / sy), int(np.sqrt(left) / sx)
        y, x = np.mgrid[-ny : ny + 1, -nx : nx + 1]
        kernel = ((y * sy) ** 2 + (x * sx) ** 2 <= left).astype(np.uint8)
        for z, plane in planes.items():
            grown = cv2.dilate(plane, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
            for target in {z - step, z + step}:
                if 0 <= target < mask.shape[0]:
                    out[target] |= grown
    return out > 0


def opened(mask: BoolArray, radius_mm: float, spacing_mm: Spacing) -> BoolArray:
    """Remove what a ball of `radius_mm` cannot enter."""
    return mask & dilate(erode(mask, radius_mm, spacing_mm), radius_mm, spacing_mm)


def closed(mask: BoolArray, radius_mm: float, spacing_mm: Spacing) -> BoolArray:
    """Fill gaps narrower than twice `radius_mm`."""
    return mask | erode(dilate(mask, radius_mm, spacing_mm), radius_mm, spacing_mm)


def closed_along_z(mask: BoolArray, reach: int) -> BoolArray:
    """Fill gaps of at most twice `reach` slices in every column; the ends of the mask are carried on."""
    flat = np.pad(mask, ((reach, reach), (0, 0), (0, 0)), mode="edge").reshape(len(mask) + 2 * reach, -1)
    kernel = np.ones((2 * reach + 1, 1), np.uint8)
    filled = cv2.morphologyEx(flat.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    return np.asarray(filled[reach : reach + len(mask)].reshape(mask.shape) > 0)


def ellipse(radius_y: int, radius_x: int) -> npt.NDArray[np.uint8]:
    """Return a filled 2-D ellipse as an OpenCV structuring element."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_x + 1, 2 * radius_y + 1)).astype(np.uint8)


def per_slice(mask: BoolArray, operation: int, kernel: npt.NDArray[np.uint8]) -> BoolArray:
    """Apply a 2-D OpenCV morphology operation to every axial slice."""
    out = np.empty(mask.shape, bool)
    for z, plane in enumerate(mask):
        out[z] = cv2.morphologyEx(plane.astype(np.uint8), operation, kernel) > 0
    return out


def fill_slices(mask: BoolArray) -> BoolArray:
    """Fill the holes of every axial slice."""
    return np.stack([fill_voids.fill(plane) for plane in mask]) if mask.any() else mask.copy()


def components(
    mask: BoolArray, *, connectivity: Literal[6, 18, 26] = 6
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.int64]]:
    """Label components; return labels and the voxel count per label (index 0: background)."""
    labels = np.asarray(cc3d.connected_components(mask, connectivity=connectivity))
    return labels, np.bincount(labels.ravel())


def largest(mask: BoolArray) -> BoolArray:
    """Return the largest 6-connected component; all False for an empty mask."""
    labels, counts = components(mask)
    if counts.size < 2:
        return np.zeros_like(mask)
    return np.asarray(labels == 1 + int(np.argmax(counts[1:])))


def keep_larger(mask: BoolArray, voxels: float) -> BoolArray:
    """Return the components of at least `voxels` voxels."""
    labels, counts = components(mask)
    keep = counts >= voxels
    keep[0] = False
    return np.asarray(keep[labels])
