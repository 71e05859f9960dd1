"""The soft structures of the chest, found one after the other: each may lean on those before it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from paraspinal.anatomy.chest.diaphragm import Domes, find_diaphragm
from paraspinal.anatomy.chest.effusion import SIDES, find_effusions, solid_in_gutter
from paraspinal.anatomy.chest.mediastinum import heart_region, prevertebral_region
from paraspinal.anatomy.grid import Float32Volume
from paraspinal.anatomy.spine.canal import CanalTrace
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.types import Organ
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_UNDER_DOME_MM = 8.0


def find_chest(
    hu: Float32Volume,
    seen: Mapping[str, BoolArray],
    carina_z: float | None,
    trace: CanalTrace,
    *,
    where: SpineCoordinates,
    grid: Geometry,
    config: AnatomyConfig,
) -> tuple[dict[str, BoolArray], dict[str, Organ]]:
    """Find what fills the chest besides lungs and aorta: effusions, diaphragm, heart and prevertebral region.

    Parameters
    ----------
    hu : ndarray, [z, y, x]
        HU on the working grid.
    seen : mapping
        The masks found so far: body, bone, column, canal, lungs with sides, airway, thoracic_cavity, aorta if found.
    carina_z : float or None
        Slice of the tracheal bifurcation.

    Returns
    -------
    masks, organs
        Masks of what is present, and the presence of everything looked for.
    """
    known = dict(seen)
    masks: dict[str, BoolArray] = {}
    organs: dict[str, Organ] = {"airway": _airway(seen["airway"], carina_z)}
    for name, found in find_effusions(hu, seen, trace, grid, config=config).items():
        organs[name] = found.organ
        if found.mask is not None:
            masks[name] = found.mask
    if not seen["lungs"].any():
        return masks, organs | {
            name: Organ("not_in_view", 0.8, reason="no lung in the scan")
            for name in ("diaphragm", "heart", "prevertebral")
        }
    fluid = np.zeros(hu.shape, bool)
    for mask in masks.values():
        fluid |= mask
    domes = find_diaphragm(seen["lungs"], fluid, seen["body"] & ~seen["bone"], trace, grid, config=config)
    heart = None
    if domes is None:
        organs["diaphragm"] = Organ("indeterminate", 0.4, reason="too little of the lungs' base is in view")
        organs["heart"] = Organ(
            "indeterminate", 0.3, reason="its lower border, the diaphragm, is not in view"
        )
    else:
        organs |= _doubted(hu, seen, organs, domes, trace, grid, config=config)
        masks["diaphragm"] = domes.mask
        organs["diaphragm"] = Organ(
            "present", 0.8, reason="domes only: its lowest parts lie on the chest wall"
        )
        heart = heart_region(hu, known | masks, domes, carina_z, trace, grid, config=config)
        organs["heart"] = Organ(
            "indeterminate", 0.4, reason="little tissue between the lungs above the diaphragm"
        )
    if heart is not None:
        masks["heart"] = heart
        organs["heart"] = Organ("present", 0.7)
    between = prevertebral_region(hu, known | masks, where, grid, config=config)
    if between is None:
        organs["prevertebral"] = Organ(
            "not_in_view", 0.8, reason="no slice shows lung on both sides of the column"
        )
    else:
        masks["prevertebral"] = between
        organs["prevertebral"] = Organ("present", 0.8)
    return masks, organs


def _doubted(
    hu: Float32Volume,
    seen: Mapping[str, BoolArray],
    organs: Mapping[str, Organ],
    domes: Domes,
    trace: CanalTrace,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> dict[str, Organ]:
    """Return the effusions that were denied although tissue too dense for fluid lies where fluid would."""
    # What lies under a dome that unseen fluid pushed up is thinner than the search's opening.
    lower = domes.height[None] - _UNDER_DOME_MM / grid.spacing_mm[0]
    above = np.asarray(np.arange(hu.shape[0])[:, None, None] > lower)
    out = {}
    for side in SIDES:
        if organs[f"effusion_{side}"].presence != "absent":
            continue
        solid = solid_in_gutter(hu, seen, above, trace, grid, side, config=config)
        if solid >= config.solid_gutter_ml:
            reason = f"{solid:.0f} mL of tissue too dense for fluid: blood, airless lung or a mass"
            out[f"effusion_{side}"] = Organ("indeterminate", 0.4, reason=reason)
    return out


def _airway(mask: BoolArray, carina_z: float | None) -> Organ:
    if not mask.any():
        return Organ("indeterminate", 0.5, reason="no trachea was followed in the scanned part of the body")
    if carina_z is None:
        return Organ("present", 0.7, reason="trachea only; its division was not found")
    return Organ("present", 0.9)
