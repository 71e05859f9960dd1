"""Lungs: air of parenchyma's density, without the airway, parted into left and right, vessels filled in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from skimage.segmentation import watershed

from paraspinal.anatomy.chest.airway import Airway, find_airway
from paraspinal.anatomy.grid import halved
from paraspinal.anatomy.morphology import closed, components, dilate, distance_inside
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry


@dataclass(frozen=True, slots=True)
class Airspaces:
    """Air inside the body, told apart; ``carina_z`` is the slice of the tracheal bifurcation where it was found."""

    lungs: BoolArray
    other_gas: BoolArray
    carina_z: float | None
    airway: BoolArray


def segment_lungs(
    hu: npt.NDArray[np.float32],
    body: BoolArray,
    where: SpineCoordinates,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> Airspaces:
    """Return lungs (their vessels included), airway and other gas.

    A component of air is lung when it is large or lies beside the vertebral column behind its front, where bowel
    does not go, and when it is parenchyma: a mixture of air and tissue, so its median stays above that of free gas.
    A small one beside the column, which the upper end of the scan cuts, is the base of a lung when all of its inside
    is parenchyma: gas in bowel is emptier, stool denser.
    """
    air = (hu < config.lung_threshold_hu) & body
    airway = find_airway(hu, body, where, grid)
    open_air = air & ~_wall_to_wall(airway, grid)
    labels, counts = components(open_air)
    beside = (np.abs(where.left) > 20.0) & (np.abs(where.left) < 90.0) & (np.abs(where.anterior) < 30.0)
    near = np.bincount(labels[where.box][beside], minlength=counts.size)
    size, near_ml = counts * grid.voxel_ml, near * grid.voxel_ml
    lungs = np.zeros_like(air)
    cut = np.isin(np.arange(counts.size), labels[-1])
    base = cut & (size >= config.min_lung_base_ml) & (near_ml >= config.min_paraspinal_lung_ml)
    large = (size >= config.sure_lung_ml) | (
        (size >= config.min_lung_ml) & (near_ml >= config.min_paraspinal_lung_ml)
    )
    for label in np.flatnonzero((large | base)[1:]) + 1:
        member = labels == label
        if float(np.median(hu[member])) > config.free_gas_hu and (
            large[label] or _is_parenchyma(hu, member, grid, config=config)
        ):
            lungs |= member
    filled = closed(lungs, config.lung_closing_mm, grid.spacing_mm) & body if lungs.any() else lungs
    filled &= ~airway.mask
    return Airspaces(filled, air & ~filled & ~airway.mask, airway.carina_z, airway.mask)


def _is_parenchyma(
    hu: npt.NDArray[np.float32], member: BoolArray, grid: Geometry, *, config: AnatomyConfig
) -> bool:
    """Tell whether the inside of an airspace, one voxel off its wall, is lung throughout."""
    inside = hu[member & (distance_inside(member, grid.spacing_mm) > 1.5 * max(grid.spacing_mm))]
    if inside.size == 0:
        return False
    low, high = np.percentile(inside, (10.0, 90.0))
    return bool(low > config.free_gas_hu and high < config.lung_base_hu)


def _wall_to_wall(airway: Airway, grid: Geometry) -> BoolArray:
    """The airway with its wall, which keeps it apart from the lung."""
    return dilate(airway.mask, 2.0, grid.spacing_mm) if airway.mask.any() else airway.mask


def split_lungs(
    lungs: BoolArray, midline_x: npt.NDArray[np.float64], grid: Geometry
) -> tuple[BoolArray, BoolArray]:
    """Split lungs into the patient's left and right, given the spine's position per slice (index x).

    A component belongs to the side on which most of it lies, so that a lung that bulges over the midline in front of
    the heart stays in one piece. Lungs that touch are parted where they are thinnest: a watershed of the distance
    to their surface, on the halved grid.
    """
    left_half = np.arange(lungs.shape[2])[None, None, :] > midline_x[:, None, None]
    labels, counts = components(lungs)
    share = np.bincount(labels[left_half & lungs], minlength=counts.size) / np.maximum(counts, 1)
    share[0] = 0.0
    left = (share > 0.5)[labels] & lungs
    for k in np.flatnonzero((share > 0.1) & (share < 0.9) & (counts * grid.voxel_ml > 20.0)):
        if k:
            member = labels == k
            left[member] = _left_part(member, left_half, grid)[member]
    return left, lungs & ~left


def _left_part(member: BoolArray, left_half: BoolArray, grid: Geometry) -> BoolArray:
    """Part of a component that holds both lungs."""
    coarse = halved(grid)
    small = coarse.any(member)
    half = coarse.most(left_half & np.ones_like(member))
    depth = distance_inside(small, coarse.geometry.spacing_mm)
    for radius in (4.0, 8.0, 12.0, 16.0, 24.0):
        labels, counts = components(depth > radius)
        if counts.size < 3:
            continue
        share = np.bincount(labels[half & (labels > 0)], minlength=counts.size) / np.maximum(counts, 1)
        sides = (share < 0.3) & (counts > 0), share > 0.7
        sides[0][0] = sides[1][0] = False
        sizes = [counts[s].sum() for s in sides]
        if min(sizes) > 0.15 * counts[1:].sum():
            markers = np.zeros(small.shape, np.int32)
            markers[sides[0][labels]], markers[sides[1][labels]] = 1, 2
            return coarse.back(watershed(-depth, markers, mask=small) == 2)
    return left_half & member
