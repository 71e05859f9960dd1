"""What a phantom is made from: `PhantomSpec`, `MassSpec` and their parts, all frozen and JSON-able."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from paraspinal.errors import UsageError
from paraspinal.phantom.levels import LEVELS
from paraspinal.phantom.patient import PatientSpec, ScannerSpec
from paraspinal.phantom.trabeculae import TrabecularSpec
from paraspinal.result import ContrastPhase
from paraspinal.volume import Index3, Spacing

MassShape = Literal["ellipsoid", "lobulated", "fusiform", "dumbbell"]
BoneEffect = Literal["none", "lytic", "scalloping", "breakthrough", "foramen", "canal", "discitis", "rib"]
EndPlates = Literal["normal", "h_shaped", "biconcave", "schmorl"]
MassSide = Literal["left", "right"]
Organ = Literal["heart", "bowel", "table", "scapulae", "vessels"]

TUBE_VOLTAGES_KV = (70, 80, 90, 100, 110, 120, 130, 140)


def _usage(message: str, remedy: str) -> UsageError:
    return UsageError(message, code="phantom_spec_invalid", remedy=remedy)


BREAKTHROUGH_MM = 4.0
"""Where marrow has broken through it has taken the cortex that lies so near to the mass (engineering default)."""


@dataclass(frozen=True, slots=True)
class Foci:
    """Small spheres inside a mass or an organ: low-density foci, fat lobules, calcified specks.

    ``hu_delta`` is added to the surrounding tissue. Centres are drawn so that the spheres lie inside and apart.
    """

    count: int
    diameter_mm: float
    hu_delta: float


@dataclass(frozen=True, slots=True)
class MassSpec:
    """A mass in the paravertebral gutter.

    Parameters
    ----------
    side : {"left", "right"}
    level : str
        Vertebra whose body centre is at the height of the mass centre.
    semi_axes_mm : tuple of float
        Half diameters (x, y, z) in millimetres.
    shape : {"ellipsoid", "lobulated", "fusiform", "dumbbell"}
        The last two in real scans only (`paraspinal.phantom.hybrid`): a spindle with pointed poles; two heads with a
        waist between them, one above the other.
    hu : float
        Unenhanced attenuation at 120 kVp.
    enhancement_hu : float
        Added in every phase but the unenhanced one.
    edge_width_mm : float
        Width of the transition from mass to surroundings before the scanner blurs it: 0 is sharp, 8 is ill-defined.
    overlap_mm : float
        How deep the ellipsoid reaches into the side of the vertebra; the bone displaces that part.
    offset_mm : tuple of float
        Shift of the centre (lateral away from the midline, towards the back, towards the head).
    low_density, fat, calcification : Foci or None
    rim_hu : float or None
        Attenuation of the outer 3 mm (an abscess wall); None is no rim.
    bone : {"none", "lytic", "scalloping", "breakthrough", "foramen", "canal", "discitis", "rib"}
        What the mass does to bone: nothing; removes bone and cortex; presses a hollow that keeps its cortex; lies
        against a bone that keeps its form where marrow has broken through the cortex; widens the neural foramen and
        the canal as a dumbbell; runs through that foramen into the canal and leaves bone as it is; dissolves the disc
        below its vertebra with both end plates; eats away the ribs that it faces.
    canal_mm2 : float
        With ``bone="canal"``: greatest axial area of the mass inside canal and foramen that is aimed at.
    dissolved_mm, disc_share : float
        With ``bone="discitis"``: bone that is gone above and below the disc, and how much of the body's half width
        and depth is concerned.
    rib_bite_mm : float
        With ``bone="rib"``: how far beyond its own border the mass takes the place of ribs.
    """

    side: MassSide
    level: str
    semi_axes_mm: tuple[float, float, float]
    shape: MassShape = "ellipsoid"
    hu: float = 45.0
    enhancement_hu: float = 25.0
    edge_width_mm: float = 0.0
    overlap_mm: float = 5.0
    offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    low_density: Foci | None = None
    fat: Foci | None = None
    calcification: Foci | None = None
    rim_hu: float | None = None
    bone: BoneEffect = "none"
    canal_mm2: float = 70.0
    dissolved_mm: float = 4.0
    disc_share: float = 0.84
    rib_bite_mm: float = 4.0

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise _usage(f"There is no vertebra {self.level!r}.", f"Use one of {', '.join(LEVELS)}.")
        if self.side not in ("left", "right"):
            raise _usage(f"A mass cannot lie on side {self.side!r}.", "Use left or right.")
        if self.shape not in get_args(MassShape):
            raise _usage(
                f"A mass has no shape {self.shape!r}.", f"Use one of {', '.join(get_args(MassShape))}."
            )
        if min(self.semi_axes_mm) <= 0:
            raise _usage("A mass needs positive semi-axes.", "Give lengths in millimetres above 0.")


@dataclass(frozen=True, slots=True)
class BoneSpec:
    """How the vertebral trabeculae look.

    ``trabecular_hu`` is the mean of the interior at 120 kVp. ``strut_spacing_mm`` 0 is normal bone, whose
    trabeculae lie below the scanner's resolution; 2–4 mm is a coarse network with a vertical accent whose struts
    are resolved. ``strut_hu`` is the attenuation of a strut, ``marrow_hu`` of what lies between coarse struts.
    With ``trabeculae`` the bodies hold a real structure in place of both, the same model from fine to coarse, and
    ``trabecular_hu`` is that of the other bones. ``haemangiomas`` names the vertebrae whose body is one.
    ``endplates`` gives both end plates of every vertebra their form, sunk by ``endplate_mm``: ``h_shaped`` in the
    middle third with a step (sickle cell disease), ``biconcave`` as a whole (osteoporosis), ``schmorl`` by one node
    beside the middle in every third plate. ``rib_cortex_mm`` is the thickness of the ribs' wall (mean of the pleural
    maxima 1.4 [HOLC19]).
    """

    trabecular_hu: float = 170.0
    texture_sd_hu: float = 45.0
    cortex_mm: float = 0.7
    cortex_hu: float = 1000.0
    strut_spacing_mm: float = 0.0
    strut_width_mm: float = 1.1
    strut_hu: float = 500.0
    marrow_hu: float = 75.0
    trabeculae: TrabecularSpec | None = None
    haemangiomas: tuple[str, ...] = ()
    endplates: EndPlates = "normal"
    endplate_mm: float = 4.0
    rib_cortex_mm: float = 1.3


@dataclass(frozen=True, slots=True)
class OrganSpec:
    """Sizes and attenuations of the organs; HU hold for the unenhanced phase at 120 kVp.

    ``spleen_scale`` 1 is about 180 mL; ``spleen_calcium`` is the share of it that is calcified (0-1).
    ``liver_scale`` lengthens the right lobe. ``blood_hu`` fills heart and vessels, ``aorta_wall_hu`` and
    ``aorta_wall_mm`` are the wall around it, ``myocardium_hu`` the heart's. ``effusion_layer_hu`` is what settled in
    the dependent 65 % of an effusion's depth (cells and clot of a haemothorax); None is an even fluid. ``left_out``
    names structures that are not drawn (the tests of a single structure are faster without the others).
    """

    spleen_scale: float = 1.0
    spleen_hu: float = 48.0
    spleen_lesion: Foci | None = None
    spleen_calcium: float = 0.0
    liver_scale: float = 1.0
    liver_hu: float = 58.0
    blood_hu: float = 42.0
    aorta_wall_hu: float = 46.0
    aorta_wall_mm: float = 1.3
    myocardium_hu: float = 48.0
    effusion_left_mm: float = 0.0
    effusion_right_mm: float = 0.0
    effusion_hu: float = 10.0
    effusion_layer_hu: float | None = None
    left_out: tuple[Organ, ...] = ()


@dataclass(frozen=True, slots=True)
class PhantomSpec:
    """All that determines a phantom: the same spec gives the same voxels.

    Parameters
    ----------
    shape : tuple of int
        Voxels along (z, y, x).
    spacing_mm : tuple of float
        Distance of voxel centres along (z, y, x).
    levels : tuple of str
        Top and bottom vertebra; the scan is centred between them. How much is really seen follows from the shape.
    seed : int
        Varies habitus, spine, vessels and texture.
    noise_hu : float
        Voxel SD in soft tissue beside the spine; 0 is a noise-free scan.
    fwhm_mm : float
        In-plane full width at half maximum of the scanner's response.
    slice_thickness_mm : float or None
        Width of the slice profile; None is the slice distance.
    kvp : int
        Tube voltage; bone and contrast medium brighten as it falls.
    phase : ContrastPhase
    fat_mm : float
        Mean thickness of the subcutaneous fat.
    beam_hardening : float
        Strength of cupping and of dark bands beside bone; 0 is none, 1 is mild.
    size_factor : float or None
        Size of the skeleton against the adult mean; None draws it from the seed.
    bone : BoneSpec
    organs : OrganSpec
    masses : tuple of MassSpec
    name : str
        Goes into the truth and the DICOM header.
    patient : PatientSpec
    scanner : ScannerSpec
    """

    shape: Index3 = (90, 320, 320)
    spacing_mm: Spacing = (2.5, 1.15, 1.15)
    levels: tuple[str, str] = ("T7", "L2")
    seed: int = 0
    noise_hu: float = 15.0
    fwhm_mm: float = 1.2
    slice_thickness_mm: float | None = None
    kvp: int = 120
    phase: ContrastPhase = "unenhanced"
    fat_mm: float = 14.0
    beam_hardening: float = 1.0
    size_factor: float | None = None
    bone: BoneSpec = field(default_factory=BoneSpec)
    organs: OrganSpec = field(default_factory=OrganSpec)
    masses: tuple[MassSpec, ...] = ()
    name: str = "custom"
    patient: PatientSpec = field(default_factory=PatientSpec)
    scanner: ScannerSpec = field(default_factory=ScannerSpec)

    def __post_init__(self) -> None:
        if any(level not in LEVELS for level in self.levels):
            raise _usage(f"There is no level range {self.levels}.", f"Use two of {', '.join(LEVELS)}.")
        if min(self.shape) < 4 or min(self.spacing_mm) <= 0:
            raise _usage(
                f"A phantom of {self.shape} voxels at {self.spacing_mm} mm cannot be made.",
                "Use at least 4 voxels along each axis and spacings above 0.",
            )
        if self.kvp not in TUBE_VOLTAGES_KV:
            raise _usage(
                f"There is no tube voltage of {self.kvp} kV here.", f"Use one of {TUBE_VOLTAGES_KV}."
            )
        if min(self.noise_hu, self.fwhm_mm, self.fat_mm, self.beam_hardening) < 0:
            raise _usage("Noise, FWHM, fat and beam hardening cannot be negative.", "Use 0 or more.")

    def to_json(self) -> dict[str, Any]:
        """Return the spec as plain JSON values; a plain patient and a plain scanner are left out."""
        out = asdict(self)
        for name, plain in (("patient", PatientSpec()), ("scanner", ScannerSpec())):
            if getattr(self, name) == plain:
                del out[name]
        return out
