"""The label map on the CT's own grid: working labels spread out, borders of bones read from native voxels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import expand_labels

from paraspinal.anatomy.given.apply import paint_given
from paraspinal.anatomy.labels import DISC_NUMBERS, STRUCTURE_NUMBERS
from paraspinal.anatomy.spine.levels import UNCERTAIN_NUMBERS, VERTEBRA_NUMBERS
from paraspinal.anatomy.types import RIB_NUMBERS, UNCERTAIN_RIB_NUMBERS, Anatomy
from paraspinal.config import AnatomyConfig
from paraspinal.volume import CTVolume, Geometry, Region

Labels = npt.NDArray[np.uint16]

_YIELDING = (
    *(
        "prevertebral",
        "diaphragm",
        "crura",
        "psoas_left",
        "psoas_right",
        "autochthon_left",
        "autochthon_right",
    ),
)
"""Structures into which the border of a bone may move; vessels and organs keep what they have."""
_SOFTENED_VOXELS = 1.0  # a border is certain to about two standard deviations of this blur


def native_labels(anatomy: Anatomy, volume: CTVolume, *, config: AnatomyConfig | None = None) -> Labels:
    """Return the label map on the native grid, [z, y, x] in canonical order.

    Every voxel takes the label of its working voxel; within about one working voxel of the border of a vertebra
    or rib, native HU decide.
    """
    config = config or AnatomyConfig()
    native = to_native(anatomy.labels.data, anatomy.geometry, volume.geometry)
    _refine_bones(native, anatomy, volume, config=config)
    return paint_given(native, anatomy.given, volume.geometry)


def to_native(data: Labels, grid: Geometry, native: Geometry) -> Labels:
    """Spread a working-grid array over the native grid of the same box (nearest voxel)."""
    _, ny, nx = native.shape
    z = _nearest_slice(native.shape[0], grid.shape[0])
    out = np.empty(native.shape, data.dtype)
    for k in np.unique(z):
        out[z == k] = cv2.resize(data[k], (nx, ny), interpolation=cv2.INTER_NEAREST_EXACT)
    return out


def _nearest_slice(native: int, working: int) -> npt.NDArray[np.int64]:
    nearest: npt.NDArray[np.int64] = ((np.arange(native) + 0.5) * working / native).astype(np.int64)
    return np.minimum(nearest, working - 1)


def _refine_bones(
    native: Labels, anatomy: Anatomy, volume: CTVolume, *, config: AnatomyConfig, threads: int = 2
) -> None:
    """Move the borders of vertebrae and ribs to where native HU rise to bone, in place."""
    data = anatomy.labels.data
    bones = (*VERTEBRA_NUMBERS.values(), *UNCERTAIN_NUMBERS, *RIB_NUMBERS, *UNCERTAIN_RIB_NUMBERS)
    is_bone = np.isin(data, bones)
    if not is_bone.any():
        return
    region = Region.of(is_bone).padded((2, 2, 2), _shape(data))
    part, bone = data[region.box], is_bone[region.box]
    inner = [STRUCTURE_NUMBERS["disc"], STRUCTURE_NUMBERS["canal"], *DISC_NUMBERS]
    soft = [*inner, *(STRUCTURE_NUMBERS[name] for name in _YIELDING)]
    share = ndimage.gaussian_filter(bone.astype(np.float32), _SOFTENED_VOXELS, truncate=2.0)
    nearest = expand_labels(np.where(bone, part, 0), 2)
    nearest[~bone & (part > 0) & ~np.isin(part, soft)] = 0
    around = expand_labels(np.where(np.isin(part, inner), part, 0), 2)
    around = np.where(bone, around, part)
    start, stop = _native_box(region.box, anatomy.geometry, volume.geometry)
    ratio = [w / n for w, n in zip(anatomy.geometry.shape, volume.geometry.shape, strict=True)]
    where = [
        (np.arange(a, b) + 0.5) * r - 0.5 - s.start
        for a, b, r, s in zip(start, stop, ratio, region.box, strict=True)
    ]
    map_y, map_x = np.meshgrid(where[1].astype(np.float32), where[2].astype(np.float32), indexing="ij")
    blur = [config.native_blur_mm / s for s in volume.geometry.spacing_mm[1:]]

    outer = config.native_border_share[0]
    inside = np.full(int(max(bones)) + 1, config.native_border_share[1], np.float32)
    inside[[*RIB_NUMBERS, *UNCERTAIN_RIB_NUMBERS]] = config.native_rib_share

    def refine(k: int) -> None:
        z = float(np.clip(where[0][k], 0, len(part) - 1))
        low, near = int(z), round(z)
        high = min(low + 1, len(part) - 1)
        mixed = (1 - (z - low)) * share[low] + (z - low) * share[high]
        covered = cv2.remap(mixed, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        plane = native[start[0] + k, start[1] : stop[1], start[2] : stop[2]]
        own, other = (
            cv2.remap(field[near], map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            for field in (nearest, around)
        )
        raw = volume.hu[start[0] + k, start[1] : stop[1], start[2] : stop[2]].astype(np.float32)
        hu = cv2.GaussianBlur(raw, (0, 0), sigmaX=max(blur[1], 0.1), sigmaY=max(blur[0], 0.1))
        bone_here = (own > 0) & ((covered > inside[own]) | ((covered > outer) & (hu > config.native_bone_hu)))
        plane[bone_here] = own[bone_here]
        lost = ~bone_here & np.isin(plane, bones)
        plane[lost] = other[lost]

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(refine, range(len(where[0]))))


def _native_box(
    box: tuple[slice, slice, slice], grid: Geometry, native: Geometry
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return first and last + 1 native index of a working box."""
    ratio = [n / w for w, n in zip(grid.shape, native.shape, strict=True)]
    start = tuple(int(s.start * r) for s, r in zip(box, ratio, strict=True))
    stop = tuple(min(n, int(np.ceil(s.stop * r))) for s, r, n in zip(box, ratio, native.shape, strict=True))
    return start, stop


def _shape(data: Labels) -> tuple[int, int, int]:
    z, y, x = data.shape
    return (z, y, x)
