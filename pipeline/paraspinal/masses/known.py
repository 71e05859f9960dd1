"""Known structures that reach into the compartment: what was taken out of the search before it began."""

from __future__ import annotations

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.masses.compartments import Compartments
from paraspinal.result import ExplainedAway
from paraspinal.volume import BoolArray

_STRUCTURES = {
    "aorta": ("aorta", "descending or abdominal aorta"),
    "crura": ("crus", "crura of the diaphragm"),
    "kidney_left": ("kidney", "left kidney"),
    "kidney_right": ("kidney", "right kidney"),
    "liver": ("liver", "liver"),
    "spleen": ("spleen", "spleen"),
    "osteophytes": ("osteophyte", "osteophytes of the vertebral bodies"),
}
"""Mask to reason and description; psoas, effusion and heart are regions of the search and are judged there."""

_LEAST_ML = 0.5  # less is a rim that partial volume makes
_CONFIDENCE = 0.8  # of structures whose own confidence is not stated (engineering default)


def known_structures(
    anatomy: Anatomy, places: Compartments, found: BoolArray, *, config: MassConfig
) -> tuple[ExplainedAway, ...]:
    """Return the segmented structures of which at least 0.5 mL lies in the compartment, largest part first.

    Parameters
    ----------
    found : ndarray of bool, [z, y, x]
        What the search parted into regions, in the box of the spine coordinates: that is recorded by region.

    Returns
    -------
    tuple of ExplainedAway
        ``volume`` and ``centroid_lps_mm`` are those of the part inside the compartment.
    """
    box = anatomy.spine.box
    # The search space ends beside bone, where osteophytes lie.
    beside = places.to_column_mm < config.near_column_mm
    rows = []
    for name, (reason, structure) in _STRUCTURES.items():
        if name not in anatomy.masks:
            continue
        mask = anatomy.masks[name][box]
        here = mask & beside if name == "osteophytes" else mask & places.zone & ~found
        volume_ml = float(here.sum()) * anatomy.geometry.voxel_ml
        if volume_ml < _LEAST_ML:
            continue
        middle = here.nonzero()
        index = [float(k.mean()) + part.start for k, part in zip(middle, box, strict=True)]
        x, y, z = (float(v) for v in anatomy.geometry.to_lps(index))
        organ = anatomy.organs.get(name)
        rows.append(
            ExplainedAway(
                reason=reason,
                structure=f"{structure}, segmented",
                volume_ml=round(volume_ml, 1),
                centroid_lps_mm=(x, y, z),
                confidence=_CONFIDENCE if organ is None else organ.confidence,
            )
        )
    return tuple(sorted(rows, key=lambda row: -row.volume_ml))
