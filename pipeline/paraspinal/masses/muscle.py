"""Lumps within psoas: tissue inside the muscle whose density is not the muscle's.

A mass in the loin displaces psoas and is outlined by it, not by fat. Its shape does not tell it from a thick psoas,
its density often does: averaged over some millimetres, healthy muscle differs from its own median by little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.morphology import distance_inside, opened
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.masses.average import CLIP_HU, MAD_TO_SD, averaged_within, robust_sd
from paraspinal.masses.compartments import Compartments
from paraspinal.masses.heights import l4_bottom_s, psoas_top_s
from paraspinal.volume import BoolArray, Spacing

Labels = npt.NDArray[np.int32]
_LEAST_MUSCLE_VOXELS = 500
_STRETCH_MM = 20.0  # the muscle is sampled vertebra by vertebra
_LEAST_STRETCH_VOXELS = 50


@dataclass(frozen=True, slots=True)
class Lumps:
    """Lumps within psoas, in the box of the spine coordinates.

    ``labels`` numbers them from 1 ([z, y, x], 0: none). Each touches the column, and reaches to half-way between its
    own density and psoas's. ``step_hu`` is its density less psoas's in HU (index 0 unused), ``muscle_hu`` psoas's.
    """

    labels: Labels
    step_hu: npt.NDArray[np.float64]
    muscle_hu: float


def lumps_in_muscle(anatomy: Anatomy, places: Compartments, soft: BoolArray, *, config: MassConfig) -> Lumps:
    """Return lumps beside the lumbar column that differ from psoas, and by how much.

    Parameters
    ----------
    soft : ndarray of bool, [z, y, x]
        Soft tissue of the search space that is no known structure, in the box of the spine coordinates.

    """
    nothing = Lumps(np.zeros(soft.shape, np.int32), np.zeros(1), np.nan)
    psoas = _psoas(anatomy)
    if psoas is None:
        return nothing
    where, spacing = anatomy.spine, anatomy.geometry.spacing_mm
    inner = ndimage.binary_erosion(opened(soft, config.opening_mm, spacing))
    known = psoas[where.box] & inner
    if int(known.sum()) < _LEAST_MUSCLE_VOXELS:
        return nothing
    mean = averaged_within(anatomy.hu[where.box], inner, spacing, sigma_mm=config.lump_sigma_mm)
    level, usual = _of_muscle(mean[known], where.s[known], where.left[known] > 0.0, config=config)
    # Below L4 the iliac veins lie between psoas and the column, and take up contrast.
    place = (where.s > l4_bottom_s(anatomy)) & (where.s < psoas_top_s(anatomy) + config.psoas_above_mm)
    place &= places.zone & (places.to_column_mm < config.near_column_mm)
    place &= where.anterior < places.front_mm
    hu = np.clip(anatomy.hu[where.box], *CLIP_HU)
    noise = max(1.0, robust_sd(hu[known]))
    labels, steps = nothing.labels, [0.0]
    for sign in (1.0, -1.0):
        step = sign * (mean - level)
        least = max(config.lump_step_hu, config.lump_step_spreads * _half_spread(usual, level, sign))
        odd = opened(inner & place & (step > least), max(spacing), spacing)
        for lump in _compact(odd, places, spacing, config=config):
            if sign < 0.0 and float(hu[lump].std()) > config.lump_uneven * noise:
                continue  # fat between the muscle's bundles is uneven, a mass or fluid is not
            height = float(np.median(step[lump]))
            whole = _grown(lump, soft & place & (step > 0.5 * height) & (labels == 0), spacing, config=config)
            if whole.any():
                steps.append(sign * height)
                labels[whole] = len(steps) - 1
    return Lumps(labels, np.asarray(steps), level)


def _of_muscle(
    values: npt.NDArray[np.float32], s: npt.NDArray[np.float32], left: BoolArray, *, config: MassConfig
) -> tuple[float, npt.NDArray[np.float32]]:
    """Return the muscle's usual density in HU, and the values of those stretches of either side that have it.

    Large masses may make up most of what was taken for psoas beside one vertebra; they are not what is usual.
    """
    stretch = np.floor(s / _STRETCH_MM).astype(int)
    stretch = 2 * (stretch - stretch.min()) + left
    medians = {
        k: float(np.median(values[stretch == k]))
        for k in np.unique(stretch)
        if int((stretch == k).sum()) >= _LEAST_STRETCH_VOXELS
    }
    if not medians:
        return float(np.median(values)), values
    level = float(np.median(list(medians.values())))
    usual = [k for k, median in medians.items() if abs(median - level) < config.lump_step_hu]
    return level, values[np.isin(stretch, usual)]


def _half_spread(values: npt.NDArray[np.float32], level: float, sign: float) -> float:
    """Robust SD of the values on one side of `level`: fat within muscle lowers its density, little raises it."""
    away = sign * (values - level)
    return float(MAD_TO_SD * np.median(away[away > 0.0])) if (away > 0.0).any() else 0.0


def _psoas(anatomy: Anatomy) -> BoolArray | None:
    found = [anatomy.masks[name] for name in ("psoas_left", "psoas_right") if name in anatomy.masks]
    return np.logical_or.reduce(found) if found else None


def _compact(
    odd: BoolArray, places: Compartments, spacing: Spacing, *, config: MassConfig
) -> list[BoolArray]:
    """Connected parts that hold a sphere and touch the column, as a mass beside the spine does.

    Vessels, tendons and fat between the muscle's bundles deviate, too, but are thin or lie away from the bone.
    """
    numbered, _ = ndimage.label(odd)
    inside = distance_inside(odd, spacing)
    out = []
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        member = numbered[box] == number
        if inside[box][member].max() < config.lump_min_radius_mm:
            continue
        if places.to_column_mm[box][member].min() > config.small_gap_mm:
            continue
        lump = np.zeros(odd.shape, bool)
        lump[box] = member
        out.append(lump)
    return out


def _grown(lump: BoolArray, allowed: BoolArray, spacing: Spacing, *, config: MassConfig) -> BoolArray:
    """The lump and what of `allowed` is connected with it within some millimetres."""
    steps = max(1, round(config.lump_grows_mm / max(spacing)))
    return np.asarray(ndimage.binary_dilation(lump, iterations=steps, mask=allowed | lump) & (allowed | lump))
