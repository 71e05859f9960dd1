"""Body surface, lungs and airway."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.coordinates import SpineCoordinates
from paraspinal.anatomy.morphology import (
    closed,
    components,
    ellipse,
    fill_slices,
    keep_larger,
    largest,
    opened,
    per_slice,
)
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry


def segment_body(hu: npt.NDArray[np.float32], grid: Geometry, *, config: AnatomyConfig) -> BoolArray:
    """Return the patient without the table: the largest thick soft object, holes filled per slice.

    Parameters
    ----------
    hu : ndarray, [z, y, x]
        HU on the working grid.
    """
    pixels = max(1, round(config.table_opening_mm / grid.spacing_mm[1]))
    dense = hu > config.body_threshold_hu
    solid = largest(per_slice(dense, cv2.MORPH_OPEN, ellipse(pixels, pixels)))
    return fill_slices(solid) | _between_front_and_back(solid)


def _between_front_and_back(solid: BoolArray) -> BoolArray:
    """Voxels with body in front and behind in the same column.

    Where the field of view cuts the chest wall, the lung is open to the outside and hole filling alone misses it.
    """
    behind_front = np.logical_or.accumulate(solid, axis=1)
    before_back = np.logical_or.accumulate(solid[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(behind_front & before_back)


@dataclass(frozen=True, slots=True)
class Airspaces:
    """Air inside the body, told apart; ``carina_z`` is the slice of the tracheal bifurcation where it was found."""

    lungs: BoolArray
    other_gas: BoolArray
    carina_z: float | None


def segment_lungs(
    hu: npt.NDArray[np.float32],
    body: BoolArray,
    where: SpineCoordinates,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> Airspaces:
    """Return lungs (airway and vessels included) and other gas.

    A component of air is lung when it is large or lies beside the vertebral column behind its front, where bowel
    does not go, and when it is parenchyma: a mixture of air and tissue, so its median stays above that of free gas.
    """
    air = (hu < config.lung_threshold_hu) & body
    labels, counts = components(air)
    beside = (np.abs(where.left) > 20.0) & (np.abs(where.left) < 90.0) & (np.abs(where.anterior) < 30.0)
    near = np.bincount(labels[where.box][beside], minlength=counts.size)
    size, near_ml = counts * grid.voxel_ml, near * grid.voxel_ml
    lungs = np.zeros_like(air)
    large = (size >= config.sure_lung_ml) | (
        (size >= config.min_lung_ml) & (near_ml >= config.min_paraspinal_lung_ml)
    )
    for label in np.flatnonzero(large[1:]) + 1:
        member = labels == label
        if float(np.median(hu[member])) > config.free_gas_hu:
            lungs |= member
    filled = closed(lungs, config.lung_closing_mm, grid.spacing_mm) & body if lungs.any() else lungs
    return Airspaces(filled, air & ~filled, find_carina(hu, body, where, grid))


def find_carina(
    hu: npt.NDArray[np.float32], body: BoolArray, where: SpineCoordinates, grid: Geometry
) -> float | None:
    """Slice where the tracheal lumen divides: followed caudally from its highest round cross-section."""
    lumen = (hu < -880.0) & body
    middle = np.zeros(hu.shape, bool)
    middle[where.box] = (np.abs(where.left) < 35.0) & (where.anterior > 12.0) & (where.anterior < 90.0)
    pixel = grid.spacing_mm[1] * grid.spacing_mm[2]
    previous: npt.NDArray[np.bool_] | None = None
    travelled, typical = 0, 0.0
    for z in range(hu.shape[0] - 1, -1, -1):
        labels, counts = components((lumen & middle)[z][None])
        if previous is None:
            areas = counts[1:] * pixel
            round_ones = [k + 1 for k, area in enumerate(areas) if 60.0 < area < 450.0]
            if len(round_ones) == 1 and z > 5:
                previous, typical = labels[0] == round_ones[0], float(areas[round_ones[0] - 1])
            continue
        touched = np.unique(labels[0][previous])
        parts = [int(k) for k in touched if k and counts[k] * pixel > 30.0]
        area = float(sum(counts[k] for k in parts) * pixel)
        if len(parts) >= 2 and travelled * grid.spacing_mm[0] > 15.0:
            return float(z)
        if len(parts) != 1 or area > 3.0 * typical:
            previous, travelled = None, 0
            continue
        previous, travelled = labels[0] == parts[0], travelled + 1
        typical = 0.8 * typical + 0.2 * area
    return None


def split_lungs(lungs: BoolArray, midline_x: npt.NDArray[np.float64]) -> tuple[BoolArray, BoolArray]:
    """Split lungs into the patient's left and right at a midline given per slice (index x, NaN: interpolate).

    Components that lie clearly on one side are kept whole, so that a lung that bulges over the midline in front
    of the heart stays in one piece where it is not connected to the other.
    """
    left_half = np.arange(lungs.shape[2])[None, None, :] > midline_x[:, None, None]
    left = np.zeros_like(lungs)
    core = opened(lungs, 2.0, (1.0, 1.0, 1.0))
    labels, counts = components(core)
    share = np.bincount(labels[left_half & core].ravel(), minlength=counts.size) / np.maximum(counts, 1)
    left[share[labels] > 0.9] = True
    mixed = (share > 0.1) & (share <= 0.9)
    mixed[0] = True
    undecided = mixed[labels] & lungs
    left |= undecided & left_half
    left &= lungs
    return left, lungs & ~left


def remove_small(mask: BoolArray, grid: Geometry, *, ml: float) -> BoolArray:
    """Drop components below `ml` millilitres."""
    return keep_larger(mask, ml / grid.voxel_ml)
