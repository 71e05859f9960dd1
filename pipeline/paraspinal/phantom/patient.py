"""How one patient and one scan differ from the plain body: `PatientSpec` and `ScannerSpec`, frozen and JSON-able.

The defaults of both are the body and the scanner of the presets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paraspinal.errors import UsageError

Transition = Literal["none", "sacralised_L5", "lumbarised_S1"]
Arms = Literal["none", "up", "down"]
Kernel = Literal["soft", "sharp"]
Table = Literal["curved", "flat", "thin"]
PairedSide = Literal["left", "right"]
Missing = Literal["spleen", "kidney_left", "kidney_right"]
Metal = Literal["none", "screws", "clip"]

RIB_PAIRS = (11, 12, 13)
MAX_SCOLIOSIS_DEG = 45.0
KYPHOSIS_DEG = (10.0, 75.0)


@dataclass(frozen=True, slots=True)
class PatientSpec:
    """One body.

    Parameters
    ----------
    scoliosis_deg : float
        Cobb angle of the main curve; positive is convex to the left.
    scoliosis_apex_mm : float
        Height of the apex above the T12/L1 disc.
    kyphosis_deg : float or None
        Angle between the upper end plate of T4 and the lower of T12; None keeps the plain course.
    breadth, depth : float
        Size of the trunk's cavity against the plain body, across and front to back.
    rib_pairs : int
        11 (T12 bears none), 12 or 13 (L1 bears short ribs).
    twelfth_rib : float
        Length of rib 12 against the mean.
    rib_scale : float
        Thickness and height of ribs 1 to 12 against the mean; marrow that expands doubles it.
    epidural_fat : float
        Share of fat in what surrounds dural sac and roots, 0–1; in lean young people there is hardly any.
    cervical_ribs : tuple of str
        Sides on which C7 bears a rib.
    transition : {"none", "sacralised_L5", "lumbarised_S1"}
        Fused last lumbar vertebra, or a first sacral one that is free. Vertebrae keep the names that counting from
        the head gives them.
    arms : {"none", "up", "down"}
    osteophytes : float
        0 is none; 1 is beaks at most end plates below T6, some of them bridges.
    aorta_scale, aorta_bend_mm : float
        Calibre against the mean, and how far the descending aorta wanders sideways.
    vessel_calcium, cartilage_calcium : float
        Share of aortic wall and costal cartilage that is calcified, 0–1.
    irregular_mm : float
        Amplitude by which organ borders wander from their smooth shapes.
    warp_mm : float
        Amplitude of a smooth in-plane deformation of the whole body.
    breathing_mm : float
        Amplitude by which the diaphragm moves between slices.
    consolidation_left, consolidation_right : float
        Share of the lung's height, from below, that is airless in its dependent part.
    breasts_mm : float
        Height of the breasts above the chest wall; 0 is none.
    oral_contrast_hu : float
        Attenuation of stomach and bowel content; 0 is plain content.
    missing : tuple of str
        Organs taken out.
    metal : {"none", "screws", "clip"}
        Pedicle screws in T11–L1 with rods, or a surgical clip in the upper abdomen.
    table : {"curved", "flat", "thin"}
    """

    scoliosis_deg: float = 0.0
    scoliosis_apex_mm: float = 60.0
    kyphosis_deg: float | None = None
    breadth: float = 1.0
    depth: float = 1.0
    rib_pairs: int = 12
    twelfth_rib: float = 1.0
    rib_scale: float = 1.0
    epidural_fat: float = 1.0
    cervical_ribs: tuple[PairedSide, ...] = ()
    transition: Transition = "none"
    arms: Arms = "none"
    osteophytes: float = 0.0
    aorta_scale: float = 1.0
    aorta_bend_mm: float = 0.0
    vessel_calcium: float = 0.0
    cartilage_calcium: float = 0.0
    irregular_mm: float = 0.0
    warp_mm: float = 0.0
    breathing_mm: float = 0.0
    consolidation_left: float = 0.0
    consolidation_right: float = 0.0
    breasts_mm: float = 0.0
    oral_contrast_hu: float = 0.0
    missing: tuple[Missing, ...] = ()
    metal: Metal = "none"
    table: Table = "curved"

    def __post_init__(self) -> None:
        if self.rib_pairs not in RIB_PAIRS:
            raise _wrong(
                f"There are no bodies with {self.rib_pairs} rib pairs here.", f"Use one of {RIB_PAIRS}."
            )
        if abs(self.scoliosis_deg) > MAX_SCOLIOSIS_DEG:
            raise _wrong(
                f"A scoliosis of {self.scoliosis_deg:g}° cannot be made.",
                f"Use at most {MAX_SCOLIOSIS_DEG:g}° to either side.",
            )
        low, high = KYPHOSIS_DEG
        if self.kyphosis_deg is not None and not low <= self.kyphosis_deg <= high:
            raise _wrong(
                f"A kyphosis of {self.kyphosis_deg:g}° cannot be made.", f"Use {low:g} to {high:g}°."
            )


@dataclass(frozen=True, slots=True)
class ScannerSpec:
    """One scan beyond grid, dose and voltage.

    Parameters
    ----------
    kernel : {"soft", "sharp"}
        A sharp kernel overshoots at edges, and its noise is finer grained.
    starvation : float
        Strength of horizontal streaks where little radiation comes through (shoulders, arms, obesity); 0 is none.
    round_field : bool
        Voxels outside the circle that the square grid holds are padding.
    shift_mm : tuple of float
        Shift of the scan's centre (x, y, z) from the body's.
    """

    kernel: Kernel = "soft"
    starvation: float = 0.0
    round_field: bool = False
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)


def _wrong(message: str, remedy: str) -> UsageError:
    return UsageError(message, code="phantom_spec_invalid", remedy=remedy)
