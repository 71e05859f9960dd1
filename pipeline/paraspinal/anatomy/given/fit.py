"""Do masks of another segmenter belong to this scan? Place, sides, order of vertebrae, and density tell."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.given.grid import OnGrid, region_on
from paraspinal.anatomy.given.names import RIB_PREFIXES, VERTEBRA_PREFIX
from paraspinal.anatomy.given.types import StructureMask, StructureSet
from paraspinal.anatomy.spine.levels import LABELS
from paraspinal.config import AnatomyConfig
from paraspinal.errors import UsageError
from paraspinal.volume import FloatArray, Geometry

_BONE_HU = 50.0
"""Median of a whole vertebra, cortex included, on the working grid: osteoporotic ones lie above, soft tissue mostly
below."""
_LUNG_HU = -300.0
"""Median of a lung or lobe; one that is airless as a whole is no reason to refuse the others."""
_SOFT_HU = (-60.0, 700.0)
"""Median of an organ, from severe fatty liver to arterial contrast."""
_AIRY = ("lung_left", "lung_right", "lungs", "lung_", "trachea", "airway")
_SOFT = frozenset(
    {
        "liver",
        "spleen",
        "kidney_left",
        "kidney_right",
        "aorta",
        "heart",
        "autochthon_left",
        "autochthon_right",
    }
)


def on_working_grid(given: StructureSet, grid: Geometry, *, min_ml: float) -> OnGrid:
    """Return every given structure of which at least `min_ml` lies in the scan, on the working grid.

    Raises
    ------
    UsageError
        ``masks_elsewhere`` if none does.
    """
    found = {}
    for name, mask in given.structures.items():
        here = region_on(mask, grid)
        if here is not None and here.voxels * grid.voxel_ml >= min(min_ml, 0.5 * mask.volume_ml):
            found[name] = here
    if not found:
        raise UsageError(
            "The masks do not lie where the CT lies: none of them overlaps the scan.",
            code="masks_elsewhere",
            remedy="Give masks of this series; their header must carry its place in the patient.",
        )
    return OnGrid(grid.shape, found)


def check_sides(given: StructureSet) -> None:
    """Refuse masks whose left and right are exchanged against the CT's own directions.

    Raises
    ------
    UsageError
        ``masks_mirrored``.
    """
    wrong = []
    for name, mask in given.structures.items():
        other = given.structures.get(name.replace("_left", "_right")) if "_left" in name else None
        if other is not None and mask.centroid_lps_mm()[0] < other.centroid_lps_mm()[0]:
            wrong.append(name.replace("_left", ""))
    if wrong:
        raise UsageError(
            f"Left and right of the masks are exchanged ({', '.join(sorted(wrong)[:4])}).",
            code="masks_mirrored",
            remedy="Mend the orientation in the header of the masks, or their names.",
        )


def check_order(given: StructureSet) -> None:
    """Refuse vertebrae that do not stand above each other in the order of their names.

    Raises
    ------
    UsageError
        ``masks_out_of_order``.
    """
    heights = [
        (LABELS.index(level), float(mask.centroid_lps_mm()[2]))
        for name, mask in given.structures.items()
        if (level := name.removeprefix(VERTEBRA_PREFIX)) in LABELS
    ]
    z = [height for _, height in sorted(heights)]
    if any(b <= a for a, b in pairwise(z)):
        raise UsageError(
            "The given vertebrae do not stand above each other in the order of their names.",
            code="masks_out_of_order",
            remedy="Check the numbers or the names file, and the orientation in the header of the masks.",
        )


def misfits(here: OnGrid, hu: FloatArray) -> tuple[dict[str, float], int]:
    """Return the structures whose median HU cannot be theirs, and how many could be checked."""
    wrong, checked = {}, 0
    for name, region in here.regions.items():
        limits = _limits(name)
        if limits is None:
            continue
        checked += 1
        median = float(np.median(hu[region.box][region.mask]))
        if not limits[0] <= median <= limits[1]:
            wrong[name] = median
    return wrong, checked


def _limits(name: str) -> tuple[float, float] | None:
    if name.startswith(VERTEBRA_PREFIX):
        return (_BONE_HU, np.inf)
    if name.startswith(RIB_PREFIXES):
        return None  # thinner than the working grid resolves
    if name.startswith(_AIRY):
        return (-np.inf, _LUNG_HU)
    return _SOFT_HU if name in _SOFT else None


def check_density(
    here: OnGrid, hu: FloatArray, *, numbers_assumed: bool, config: AnatomyConfig
) -> dict[str, float]:
    """Return the structures whose density contradicts their name: they are left out.

    Raises
    ------
    UsageError
        ``masks_do_not_fit`` if that is `given_misfit_share` of those that can be checked, or more.
    """
    wrong, checked = misfits(here, hu)
    if checked and len(wrong) >= config.given_misfit_share * checked:
        listed = ", ".join(f"{name} {value:.0f} HU" for name, value in list(wrong.items())[:4])
        cause = "Their numbers were taken for TotalSegmentator's. " if numbers_assumed else ""
        raise UsageError(
            f"The masks do not fit this CT: {len(wrong)} of {len(here)} do not have the density of what they name"
            f" ({listed}). {cause}".strip(),
            code="masks_do_not_fit",
            remedy="Give masks of this series, with a names file if their numbers are not TotalSegmentator's.",
        )
    return wrong


def outside_share(mask: StructureMask, volume: Geometry) -> float:
    """Return the share of a structure's voxels whose middle lies outside the scan."""
    box = mask.geometry
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.asarray(box.shape) - 1)
    if _inside(box.to_lps(corners), volume).all():
        return 0.0
    inside = 0
    for z, plane in enumerate(mask.region.mask):
        y, x = np.nonzero(plane)
        at = box.to_lps(np.column_stack([np.full(len(y), z), y, x]))
        inside += int(np.count_nonzero(_inside(at, volume)))
    return 1.0 - inside / max(1, mask.region.voxels)


def _inside(at: npt.NDArray[np.float64], volume: Geometry) -> npt.NDArray[np.bool_]:
    index = volume.to_index(at)
    return np.asarray(((index >= -0.5) & (index <= np.asarray(volume.shape) - 0.5)).all(axis=-1))
