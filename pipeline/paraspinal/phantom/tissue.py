"""Attenuation of tissues by contrast phase and tube voltage.

The unenhanced values are the usual teaching bands (fat -50 to -100, blood 45-65, liver 45-65, spleen 35-55, muscle
about 50 [HU-tables]); the enhanced ones are typical of routine protocols and are no reference.
"""

from __future__ import annotations

from dataclasses import dataclass

from paraspinal.phantom.patient import PatientSpec
from paraspinal.phantom.spec import PhantomSpec

FAT_HU = -102.0
SKIN_HU = 15.0
MUSCLE_HU = 54.0
LUNG_HU = -862.0
WALL_HU = 42.0
DISC_HU = 82.0
LIGAMENT_HU = 45.0
EPIDURAL_FAT_HU = -82.0
LEAN_EPIDURAL_HU = 30.0
CSF_HU = 14.0
CORD_HU = 38.0
GAS_HU = -980.0

# Added to the unenhanced value per phase: aorta, right heart, liver, spleen, kidney, muscle.
_GAIN: dict[str, tuple[float, float, float, float, float, float]] = {
    "unenhanced": (0, 0, 0, 0, 0, 0),
    "pulmonary_arterial": (110, 300, 4, 25, 40, 2),
    "aortic": (270, 170, 12, 75, 120, 5),
    "portal": (115, 110, 52, 70, 150, 10),
    "delayed": (65, 65, 35, 40, 130, 12),
    "indeterminate": (40, 40, 15, 20, 60, 5),
}
# How much brighter calcium and iodine are than at 120 kVp (engineering figures, monotone in the mean photon energy).
_HIGH_Z_GAIN = {70: 1.75, 80: 1.5, 90: 1.33, 100: 1.2, 110: 1.09, 120: 1.0, 130: 0.94, 140: 0.89}


@dataclass(frozen=True, slots=True)
class Tissues:
    """Attenuations of one phantom in HU; ``high_z`` scales what calcium and iodine add."""

    high_z: float
    blood: float
    right_blood: float
    liver: float
    spleen: float
    kidney: float
    muscle: float
    enhanced: bool
    mottled: float = 0.0
    medulla: float = 32.0


# In the arterial phase the renal cortex fills before the medulla, and the spleen is mottled (engineering figures).
_CORTEX_FIRST = {"aortic": (22.0, -75.0), "pulmonary_arterial": (12.0, -35.0)}


def tissues(spec: PhantomSpec) -> Tissues:
    """Return the attenuations of a spec."""
    gain = _HIGH_Z_GAIN[spec.kvp]
    aorta, right, liver, spleen, kidney, muscle = (gain * g for g in _GAIN[spec.phase])
    o = spec.organs
    # The presets keep their even organs.
    first = _CORTEX_FIRST if spec.patient != PatientSpec() else {}
    mottled, behind = first.get(spec.phase, (0.0, 0.0))
    return Tissues(
        gain,
        o.blood_hu + aorta,
        o.blood_hu + right,
        o.liver_hu + liver,
        o.spleen_hu + spleen,
        32.0 + kidney,
        MUSCLE_HU + muscle,
        spec.phase != "unenhanced",
        mottled,
        32.0 + kidney + behind,
    )
