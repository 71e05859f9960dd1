"""Lumps of soft tissue in the trunk, and what is known about each: the candidates for organs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from skimage.segmentation import watershed

from paraspinal.anatomy.morphology import dilate, distance_inside
from paraspinal.anatomy.organs.territory import guided
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

Float32Volume = npt.NDArray[np.float32]
Column = npt.NDArray[np.float64]

_LEAN_HU = -30.0  # half way from fat to soft tissue
_LUNG_NEAR_MM = 12.0  # lung's base and diaphragm
_RIM_MM = 8.0  # half of what smoothing spreads of a step, on either side


@dataclass(frozen=True, slots=True)
class Trunk:
    """What is known before organs are looked for, on one grid [z, y, x].

    ``left`` and ``front`` are the distances (mm) of every voxel to the left of and before the canal's middle,
    ``height`` of every slice above the middle of L1 (NaN where the levels are not known). ``tissue`` is what an
    organ may be made of.
    """

    hu: Float32Volume
    inside: BoolArray
    tissue: BoolArray
    lungs: BoolArray
    gas: BoolArray
    left: Float32Volume
    front: Float32Volume
    height: Column
    grid: Geometry


@dataclass(frozen=True, slots=True)
class Lumps:
    """Lumps of tissue: ``labels`` [z, y, x] and, for each label, what is known about it."""

    labels: npt.NDArray[np.int32]
    depth: Float32Volume
    smooth: Float32Volume
    volume_ml: Column
    radius_mm: Column
    hu: Column
    left: Column
    front: Column
    height: Column
    fat: Column
    wall: Column
    gas: Column
    above: Column
    leftness: Column
    z_mm: Column
    lung: Column


def leftness(trunk: Trunk) -> Float32Volume:
    """Distance (mm) to the left of the oblique plane that runs between liver and spleen, [z, y, x].

    It passes 60 mm before the spine in the midline's sagittal plane and goes to the left forwards, along the
    left lobe.
    """
    return np.asarray(trunk.left - 0.8 * (trunk.front - 60.0), np.float32)


def smoothed(trunk: Trunk, *, config: AnatomyConfig) -> Float32Volume:
    """Return HU smoothed inside the tissue, steps kept."""
    return guided(np.clip(trunk.hu, -150, 350), trunk.tissue, radius=1, noise_hu=config.organ_noise_hu)


def even_part(smooth: Float32Volume, tissue: BoolArray, *, config: AnatomyConfig) -> BoolArray:
    """Return the tissue where HU do not change much from voxel to voxel."""
    steep = np.sqrt(sum(g**2 for g in np.gradient(smooth)))
    return np.asarray(tissue & (steep < config.organ_step_hu))


def find_lumps(
    even: BoolArray,
    smooth: Float32Volume,
    trunk: Trunk,
    above: BoolArray,
    *,
    alike_hu: float,
    neck: float,
    config: AnatomyConfig,
) -> Lumps:
    """Cut a mask of tissue at its necks and describe the lumps."""
    sp = trunk.grid.spacing_mm
    depth = distance_inside(even, sp)
    rounded = ndimage.gaussian_filter(depth, 0.7)
    peaks = (rounded == ndimage.maximum_filter(rounded, 5)) & (depth > config.lump_min_mm)
    markers, count = ndimage.label(peaks)
    labels = np.asarray(watershed(-rounded, markers, mask=even), np.int32)
    labels = _merged(labels, depth, smooth, leftness(trunk), alike_hu=alike_hu, neck=neck)
    count = int(labels.max())
    flat = labels.ravel()
    sizes = np.maximum(np.bincount(flat, minlength=count + 1), 1)

    def mean(values: npt.NDArray[np.generic]) -> Column:
        return np.asarray(np.bincount(flat, values.ravel(), minlength=count + 1) / sizes)

    rim = even & (depth <= 1.6 * max(sp))
    rims = np.maximum(np.bincount(labels[rim], minlength=count + 1), 1)

    beyond = _RIM_MM + max(sp)  # the steep zone between a lump and fat is part of neither

    def border(near: BoolArray, reach: float = 1.6 * max(sp)) -> Column:
        touch = rim & dilate(near, reach, sp)
        return np.asarray(np.bincount(labels[touch], minlength=count + 1) / rims)

    index = np.arange(count + 1)
    radius = np.asarray(ndimage.maximum(depth, labels, index), np.float64)
    height = np.broadcast_to(trunk.height[:, None, None], labels.shape)
    fat = (trunk.hu < _LEAN_HU) & (trunk.hu > -200) & trunk.inside
    base = dilate(trunk.lungs, _LUNG_NEAR_MM, sp)
    slices = np.broadcast_to(np.arange(labels.shape[0])[:, None, None] * sp[0], labels.shape)
    return Lumps(
        labels=labels,
        depth=depth,
        smooth=smooth,
        volume_ml=sizes * trunk.grid.voxel_ml,
        radius_mm=radius,
        hu=mean(smooth),
        left=mean(trunk.left),
        front=mean(trunk.front),
        height=mean(height),
        fat=border(fat, beyond),
        wall=border(~trunk.inside),
        gas=border(trunk.gas),
        above=mean(above),
        leftness=mean(leftness(trunk)),
        z_mm=mean(slices),
        lung=border(base),
    )


def _merged(
    labels: npt.NDArray[np.int32],
    depth: Float32Volume,
    smooth: Float32Volume,
    leftness: Float32Volume,
    *,
    alike_hu: float,
    neck: float,
) -> npt.NDArray[np.int32]:
    """Join neighbouring lumps of one density with a wide neck between them: they are one organ."""
    flat = labels.ravel()
    count = int(flat.max())
    sizes = np.maximum(np.bincount(flat, minlength=count + 1), 1)
    hu = np.bincount(flat, smooth.ravel(), minlength=count + 1) / sizes
    place = np.bincount(flat, leftness.ravel(), minlength=count + 1) / sizes
    radius = np.asarray(ndimage.maximum(depth, labels, np.arange(count + 1)), np.float64)
    first, second, necks = _necks(labels, depth)
    wide = necks > neck * np.minimum(radius[first], radius[second])
    alike = np.abs(hu[first] - hu[second]) < alike_hu
    low, high = np.minimum(place[first], place[second]), np.maximum(place[first], place[second])
    ends = (low < 20.0) & (high > 50.0)  # liver and spleen, however wide their contact
    keep = wide & alike & ~ends
    graph = sparse.coo_matrix(
        (np.ones(keep.sum()), (first[keep], second[keep])), shape=(count + 1, count + 1)
    )
    _, group = connected_components(graph, directed=False)
    _, group = np.unique(group, return_inverse=True)
    # Background must stay 0.
    group = np.where(group == group[0], 0, group + (group < group[0]))
    return np.asarray(group.astype(np.int32)[labels])


def neck_to(lumps: Lumps, chosen: BoolArray) -> Column:
    """Greatest depth (mm) on the faces between each lump and those that `chosen` marks; their own for these."""
    first, second, necks = _necks(lumps.labels, lumps.depth)
    own = np.zeros(len(lumps.hu), bool)
    own[np.unique(lumps.labels[chosen])] = True
    own[0] = False
    out = np.where(own, lumps.radius_mm, 0.0)
    for one, other in ((first, second), (second, first)):
        beside = own[other] & ~own[one]
        np.maximum.at(out, one[beside], necks[beside])
    return np.asarray(out, np.float64)


def _necks(
    labels: npt.NDArray[np.int32], depth: Float32Volume
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the pairs of neighbouring lumps and the greatest depth (mm) on the faces between them."""
    count = int(labels.max()) + 1
    keys, values = [], []
    for axis in range(3):
        first, second = (
            tuple(slice(*ends) if k == axis else slice(None) for k in range(3))
            for ends in ((0, -1), (1, None))
        )
        a, b = labels[first], labels[second]
        faces = (a > 0) & (b > 0) & (a != b)
        low, high = np.minimum(a[faces], b[faces]), np.maximum(a[faces], b[faces])
        keys.append(low.astype(np.int64) * count + high)
        values.append(np.minimum(depth[first][faces], depth[second][faces]))
    key, value = np.concatenate(keys), np.concatenate(values)
    pairs, place = np.unique(key, return_inverse=True)
    necks = np.zeros(len(pairs))
    np.maximum.at(necks, place, value)
    return pairs // count, pairs % count, necks
