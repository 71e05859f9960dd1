"""Organs compete for soft tissue: a random walk on a graph of small even regions.

Tissue is cut into small regions by a watershed on the HU gradient. A walker that leaves a region crosses each
face with a chance that falls with the step in HU there (Grady, IEEE TPAMI 2006, doi:10.1109/TPAMI.2006.233); a
region belongs to the seed that walkers reach first. Narrow contacts have few faces, so that organs of one
density part at their neck. How well a region's HU fits an organ's is a weak seed of its own (Grady, CVPR 2005,
doi:10.1109/CVPR.2005.239).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu
from skimage.segmentation import watershed

from paraspinal.volume import BoolArray

Float32Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Regions:
    """Small even regions of tissue: ``labels`` [z, y, x] (0 outside), and the conductance between them."""

    labels: npt.NDArray[np.int32]
    sizes: npt.NDArray[np.float64]
    mean_hu: npt.NDArray[np.float64]
    conductance: sparse.csr_matrix


def guided(values: Float32Volume, tissue: BoolArray, *, radius: int, noise_hu: float) -> Float32Volume:
    """Smooth `values` inside `tissue` and keep its steps (He, Sun & Tang 2013, doi:10.1109/TPAMI.2012.213).

    Parameters
    ----------
    noise_hu : float
        Steps well above this survive, what varies less is averaged.
    """
    size = 2 * radius + 1
    weight = tissue.astype(np.float32)

    def mean(array: npt.NDArray[np.floating]) -> Float32Volume:
        return np.asarray(ndimage.uniform_filter(array * weight, size) / share, np.float32)

    share = np.maximum(ndimage.uniform_filter(weight, size), 1e-3)
    centre = mean(values)
    variance = np.maximum(mean(values * values) - centre * centre, 0.0)
    slope = variance / (variance + noise_hu**2)
    offset = centre * (1.0 - slope)
    smooth = mean(slope) * values + mean(offset)
    return np.asarray(np.where(tissue, smooth, values), np.float32)


def cut_into_regions(smooth: Float32Volume, tissue: BoolArray, *, step_hu: float) -> Regions:
    """Cut `tissue` into regions without steps and measure how freely each joins its neighbours.

    Parameters
    ----------
    step_hu : float
        A step this high lets 37 % of the walkers through.
    """
    steep = np.sqrt(sum(g**2 for g in np.gradient(smooth))).astype(np.float32)
    steep[~tissue] = 0.0
    lowest = (steep <= ndimage.minimum_filter(np.where(tissue, steep, np.inf), 3)) & tissue
    markers, _ = ndimage.label(lowest)
    labels = np.asarray(watershed(steep, markers, mask=tissue), np.int32)
    count = int(labels.max()) + 1
    sizes = np.bincount(labels.ravel(), minlength=count).astype(np.float64)
    means = np.bincount(labels.ravel(), smooth.ravel(), minlength=count) / np.maximum(sizes, 1)
    rows, columns, weights = [], [], []
    for axis in range(3):
        first, second = _neighbours(labels, axis)
        a, b = labels[first], labels[second]
        faces = (a > 0) & (b > 0) & (a != b)
        step = np.abs(smooth[first][faces] - smooth[second][faces])
        step = np.maximum(step, np.maximum(steep[first][faces], steep[second][faces]))
        rows.append(a[faces])
        columns.append(b[faces])
        weights.append(np.exp(-((step / step_hu) ** 2)) + 1e-3)
    row, column = np.concatenate(rows), np.concatenate(columns)
    joined = sparse.coo_matrix((np.concatenate(weights), (row, column)), shape=(count, count)).tocsr()
    return Regions(labels, sizes, means, (joined + joined.T).tocsr())


def _neighbours(labels: npt.NDArray[np.int32], axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    first = tuple(slice(0, -1) if k == axis else slice(None) for k in range(labels.ndim))
    second = tuple(slice(1, None) if k == axis else slice(None) for k in range(labels.ndim))
    return first, second


def compete(
    regions: Regions,
    seeds: list[npt.NDArray[np.float64]],
    priors: list[npt.NDArray[np.float64]],
) -> npt.NDArray[np.float32]:
    """Return the chance [k, region] that a walker from each region reaches seed `k` first.

    Parameters
    ----------
    seeds : list of ndarray, (n,)
        Share of each region that is seed of `k` (0-1).
    priors : list of ndarray, (n,)
        How well each region fits `k`, in units of conductance per voxel.
    """
    pull = np.stack([p * regions.sizes for p in priors])
    pull += np.stack([s * regions.sizes for s in seeds])
    total = pull.sum(axis=0)
    degree = np.asarray(regions.conductance.sum(axis=1)).ravel()
    diagonal = degree + total + 1e-6
    system = (sparse.diags(diagonal) - regions.conductance).tocsc()
    solver = splu(system, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return np.asarray(solver.solve(pull.T).T, np.float32)


def share_of(mask: BoolArray, regions: Regions) -> npt.NDArray[np.float64]:
    """Share of each region's voxels that lie in `mask`."""
    inside = np.bincount(regions.labels[mask], minlength=len(regions.sizes)).astype(np.float64)
    return np.asarray(inside / np.maximum(regions.sizes, 1.0))
