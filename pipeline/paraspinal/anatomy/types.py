"""What the anatomy stage hands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.given.types import StructureMask
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.levels import UNCERTAIN_NUMBERS
from paraspinal.result import Presence, Side
from paraspinal.volume import BoolArray, FloatArray, Geometry, LabelMap


@dataclass(frozen=True, slots=True)
class Vertebra:
    """One vertebra along the canal.

    ``s_mm`` is the arc length along the canal at the middle of the vertebra's interval (see `Anatomy.spine`).
    ``top_mm`` and ``bottom_mm`` are the LPS z of the cranial and caudal end plate planes at the body's centre;
    ``number`` is this vertebra's value in the label map (TotalSegmentator: 27 = L5 … 43 = T1).
    """

    label: str
    label_probabilities: Mapping[str, float]
    centroid_lps_mm: tuple[float, float, float]
    top_mm: float
    bottom_mm: float
    s_mm: float
    number: int
    confidence: float
    evidence: tuple[str, ...] = ()
    truncated: tuple[str, ...] = ()

    @property
    def level_uncertain(self) -> bool:
        """Tell whether the name is too doubtful for the label map to carry a vertebra's number."""
        return self.number in UNCERTAIN_NUMBERS


RIB_NUMBERS: dict[int, str] = {
    **{91 + n: f"rib_left_{n}" for n in range(1, 13)},
    **{103 + n: f"rib_right_{n}" for n in range(1, 13)},
}
"""Label-map numbers of ribs (TotalSegmentator's `total` task)."""

UNCERTAIN_RIB_NUMBERS: dict[int, str] = {
    **{240 + k: f"rib_left_of_uncertain_level_{k + 1}" for k in range(12)},
    **{252 + k: f"rib_right_of_uncertain_level_{k + 1}" for k in range(12)},
}
"""Numbers of ribs whose vertebra is uncertain, caudal first."""


@dataclass(frozen=True, slots=True)
class Rib:
    """One rib.

    ``label`` is its name in the label map (``rib_left_7``, or one that says that its level is uncertain), ``bearer``
    the most probable name of the vertebra that bears it, with that ``confidence``, ``number`` its value in the label
    map. ``head_lps_mm`` is the costovertebral joint, None where it lies outside the scan; ``length_mm`` the length
    that was followed from 38 mm beside the midline (or from where the rib enters the scan), a lower bound where
    ``truncated`` names a side.
    """

    label: str
    side: Side
    bearer: str
    number: int
    confidence: float
    head_lps_mm: tuple[float, float, float] | None
    length_mm: float
    truncated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Organ:
    """An organ's presence; ``truncated`` names the sides (superior, inferior, left, …) where the scan cuts it."""

    presence: Presence
    confidence: float
    truncated: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class GivenLabel:
    """A structure of another segmenter, on its own grid, and its number in the label map."""

    number: int
    structure: StructureMask


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Structures on the working grid (coarse, isotropic, axes of the canonical volume).

    ``geometry`` is the working grid; ``hu`` the CT averaged onto it (float32 [z, y, x]); ``masks`` holds what
    was found, overlap allowed, under these names: padding (outside the reconstructed field), body, lungs, lung_left,
    lung_right, gas (air that is no lung), bone, canal, column (bodies and discs), vertebral_bodies,
    disc, ribs, thoracic_cavity (inside of
    the chest wall), aorta, liver, spleen (what was not found is absent). ``labels`` is the exclusive label map of
    the same grid. ``spine`` gives voxels their place along and beside the canal,
    of which ``spine_length_mm`` were traced. ``centreline_lps_mm``
    has shape (n, 3), cranial first, one point per working slice in which the canal was traced. ``sources`` says which
    segmenter each structure comes from, where it is not the built-in one alone; ``given`` are the structures of
    another segmenter that the label map shows.
    """

    geometry: Geometry
    hu: FloatArray
    masks: Mapping[str, BoolArray]
    labels: LabelMap
    centreline_lps_mm: npt.NDArray[np.float64]
    vertebrae: tuple[Vertebra, ...]
    organs: Mapping[str, Organ]
    spine: SpineCoordinates
    spine_length_mm: float
    notes: tuple[str, ...] = field(default=())
    sources: Mapping[str, str] = field(default_factory=dict)
    given: tuple[GivenLabel, ...] = ()
    ribs: tuple[Rib, ...] = ()

    def mask(self, name: str) -> BoolArray:
        """Return a structure's mask on the working grid; all False when it was not found."""
        found = self.masks.get(name)
        return np.zeros(self.geometry.shape, dtype=bool) if found is None else found
