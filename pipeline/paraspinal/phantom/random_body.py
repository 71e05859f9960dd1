"""Random patients: specs drawn from documented distributions, the same for the same seed.

Where a figure has a source it is named; the others are engineering choices that spread a feature over the range that
a reader of routine CT meets. They are no statistics of a population.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, get_args

import numpy as np

from paraspinal.errors import UsageError
from paraspinal.phantom.patient import (
    Arms,
    Kernel,
    Metal,
    Missing,
    PairedSide,
    PatientSpec,
    ScannerSpec,
    Table,
    Transition,
)
from paraspinal.phantom.spec import BoneSpec, OrganSpec, PhantomSpec
from paraspinal.phantom.spine import plan_spine
from paraspinal.result import ContrastPhase

Region = Literal["chest", "chest_abdomen", "abdomen_pelvis", "slab"]
Name = TypeVar("Name", bound=str)
REGIONS: tuple[Region, ...] = get_args(Region)

# Sacralised 12.3 %, lumbarised 4.0 % (whole-spine CT of 551 people, DOI 10.1007/s00256-025-04952-z).
_TRANSITION_SHARE: dict[Transition, float] = {"none": 0.837, "sacralised_L5": 0.123, "lumbarised_S1": 0.040}
# There short twelfth ribs came with sacralisation only and lumbar ribs with lumbarisation only; elsewhere lumbar ribs
# were seen in 11 of 14 with lumbarisation and in 2 of 206 without (DOI 10.1007/s13244-013-0286-0). No twelfth rib:
# 107 of 1,340 (synapse.koreamed.org/articles/1158507).
_LUMBAR_RIB = {"none": 0.01, "sacralised_L5": 0.0, "lumbarised_S1": 0.79}
_NO_TWELFTH = {"none": 0.06, "sacralised_L5": 0.25, "lumbarised_S1": 0.0}
_CERVICAL_RIB, _CERVICAL_ONE_SIDED = 0.0094, 0.54  # DOI 10.1007/s00276-022-03028-0
# Trabecular attenuation of L1 falls by 2.5 HU a year, from about 226 HU before 30 (DOI 10.1148/radiol.2019181648).
_TRABECULAR_AT_25, _TRABECULAR_PER_YEAR, _TRABECULAR_SD = 226.0, 2.2, 32.0
_SPLEEN_ML = {
    "small": (80.0, 140.0),
    "normal": (140.0, 314.0),
    "large": (314.0, 900.0),
    "huge": (900.0, 2500.0),
}
_SPLEEN_SHARE = {"small": 0.12, "normal": 0.58, "large": 0.2, "huge": 0.1}  # 314 mL: upper limit [PRASS]
# What the trunk leaves of a spleen of scale s: measured on phantoms, 116 mL · s^0.89.
_ML_AT_SCALE_1, _ML_POWER = 116.0, 0.89
_PHASES: dict[ContrastPhase, float] = {
    "unenhanced": 0.35,
    "portal": 0.35,
    "aortic": 0.12,
    "pulmonary_arterial": 0.1,
    "delayed": 0.08,
}
_SLICES_MM = (0.7, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 5.0)
_SLICE_SHARE = (0.06, 0.22, 0.16, 0.08, 0.14, 0.12, 0.1, 0.12)
# Top and bottom of the scan, mm above the T12/L1 disc, each with its spread.
_RANGE_MM: dict[Region, tuple[tuple[float, float], tuple[float, float]]] = {
    "chest": ((295.0, 315.0), (-45.0, 5.0)),
    "chest_abdomen": ((285.0, 310.0), (-190.0, -120.0)),
    "abdomen_pelvis": ((60.0, 120.0), (-290.0, -215.0)),
    "slab": ((-60.0, 260.0), (40.0, 120.0)),  # its top, and how much of the body it shows
}
_MAX_SLICES = 600


@dataclass(frozen=True, slots=True)
class Wish:
    """What a random patient must have; None leaves it to chance."""

    region: Region | None = None
    phase: ContrastPhase | None = None
    arms: Arms | None = None
    transition: Transition | None = None
    rib_pairs: int | None = None
    scoliosis_deg: float | None = None
    kyphosis_deg: float | None = None
    effusion: bool | None = None
    spleen: Literal["absent", "small", "normal", "large", "huge"] | None = None
    metal: Metal | None = None
    slice_mm: float | None = None
    noise_hu: float | None = None
    kernel: Kernel | None = None
    cut_field: bool | None = None
    matrix: int = 512


@dataclass(frozen=True, slots=True)
class _Person:
    """What many draws depend on: age in years, and fatness from 0 (thin) to 1 (obese)."""

    age: float
    fatness: float
    female: bool


def random_spec(seed: int, wish: Wish | None = None) -> PhantomSpec:
    """Draw a patient and a scan.

    Parameters
    ----------
    seed : int
        The same seed and wish give the same spec; a wish changes what it names and as little else as possible.
    wish : Wish, optional

    Raises
    ------
    UsageError
        If the wish cannot be made.
    """
    wish = wish or Wish()
    if not 64 <= wish.matrix <= 1024:
        raise UsageError(
            f"A matrix of {wish.matrix} cannot be made.",
            code="phantom_spec_invalid",
            remedy="Use 64 to 1024 voxels across.",
        )
    # One generator a topic, so that a wish about one leaves the others alone.
    who, shape, organs, image = (np.random.default_rng((seed, 4, k)) for k in range(4))
    person = _Person(float(who.uniform(18, 92)), float(who.beta(2.0, 2.6)), bool(who.random() < 0.5))
    patient = _patient(shape, person, wish)
    size = float(np.clip(who.normal(0.97 if person.female else 1.03, 0.035), 0.88, 1.12))
    spec = PhantomSpec(
        seed=seed,
        name="random",
        size_factor=round(size, 4),
        fat_mm=round(4.0 + 34.0 * person.fatness**1.3, 1),
        patient=patient,
        bone=_bone(who, person),
        organs=_organs(organs, wish),
        phase=wish.phase or _choose(organs, _PHASES),
    )
    if spec.organs.spleen_scale == 0:
        spec = replace(spec, patient=replace(patient, missing=(*patient.missing, "spleen")))
    return _scan(image, spec, person, wish)


def _choose(rng: np.random.Generator, shares: Mapping[Name, float]) -> Name:
    names, weights = list(shares), np.array(list(shares.values()))
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _patient(rng: np.random.Generator, person: _Person, wish: Wish) -> PatientSpec:
    old = np.clip((person.age - 35) / 45, 0.0, 1.0)
    transition = _choose(rng, _TRANSITION_SHARE)
    if wish.transition is not None:
        transition = wish.transition
    draw = rng.random()
    few, many = _NO_TWELFTH[transition], _LUMBAR_RIB[transition]
    pairs = 11 if draw < few else 13 if draw > 1 - many else 12
    bent = float(rng.choice([-1, 1]) * (rng.uniform(0, 8) if rng.random() < 0.6 else rng.uniform(8, 25)))
    kyphosis = float(np.clip(rng.normal(30 + 12 * old, 8), 20, 60))
    arms: Arms = "up" if rng.random() < 0.6 else "down"
    metal: Metal = "none" if rng.random() < 0.9 else "screws" if rng.random() < 0.6 else "clip"
    missing: list[Missing] = []
    if rng.random() < 0.03:
        missing.append("kidney_left" if rng.random() < 0.5 else "kidney_right")
    return PatientSpec(
        scoliosis_deg=round(bent if wish.scoliosis_deg is None else wish.scoliosis_deg, 1),
        scoliosis_apex_mm=round(float(rng.uniform(-60, 150)), 1),
        kyphosis_deg=round(kyphosis if wish.kyphosis_deg is None else wish.kyphosis_deg, 1),
        breadth=round(
            float(rng.normal(0.97 if person.female else 1.03, 0.04) + 0.12 * (person.fatness - 0.4)), 3
        ),
        depth=round(float(rng.normal(1.0, 0.05) + 0.35 * (person.fatness - 0.4)), 3),
        rib_pairs=pairs if wish.rib_pairs is None else wish.rib_pairs,
        twelfth_rib=round(float(rng.uniform(0.5, 1.4)), 2),
        cervical_ribs=_cervical_ribs(rng),
        transition=transition,
        arms=arms if wish.arms is None else wish.arms,
        osteophytes=round(float(np.clip(old * rng.uniform(0, 1.3) - 0.1, 0, 1)), 2),
        aorta_scale=round(float(rng.normal(0.95 + 0.3 * old, 0.08)), 3),
        aorta_bend_mm=round(float(rng.choice([-1, 1]) * rng.uniform(0, 4 + 16 * old)), 1),
        vessel_calcium=round(float(np.clip(old * rng.uniform(-0.3, 1.0), 0, 1)), 2),
        cartilage_calcium=round(float(np.clip(old * rng.uniform(-0.2, 1.0), 0, 1)), 2),
        irregular_mm=round(float(rng.uniform(1.5, 3.5)), 2),
        warp_mm=round(float(rng.uniform(1.5, 4.5)), 2),
        breathing_mm=round(float(rng.uniform(2, 8)), 1) if rng.random() < 0.25 else 0.0,
        consolidation_left=round(float(rng.uniform(0.1, 0.5)), 2) if rng.random() < 0.12 else 0.0,
        consolidation_right=round(float(rng.uniform(0.1, 0.5)), 2) if rng.random() < 0.12 else 0.0,
        breasts_mm=round(float(rng.uniform(10, 45)), 1) if person.female else 0.0,
        oral_contrast_hu=round(float(rng.uniform(120, 320))) if rng.random() < 0.15 else 0.0,
        missing=tuple(missing),
        metal=metal if wish.metal is None else wish.metal,
        table=_choose(rng, dict.fromkeys(get_args(Table), 1.0)),
    )


def _cervical_ribs(rng: np.random.Generator) -> tuple[PairedSide, ...]:
    seen, one_sided, left = rng.random(3)
    if seen >= _CERVICAL_RIB:
        return ()
    if one_sided >= _CERVICAL_ONE_SIDED:
        return ("left", "right")
    return ("left",) if left < 0.5 else ("right",)


def _bone(rng: np.random.Generator, person: _Person) -> BoneSpec:
    mean = _TRABECULAR_AT_25 - _TRABECULAR_PER_YEAR * max(person.age - 25, 0)
    trabecular = float(np.clip(rng.normal(mean, _TRABECULAR_SD), 35, 290))
    return BoneSpec(
        trabecular_hu=round(trabecular),
        texture_sd_hu=round(20 + 0.15 * trabecular),
        cortex_mm=round(float(np.clip(rng.normal(0.75 - 0.003 * max(person.age - 50, 0), 0.1), 0.4, 1.0)), 2),
        cortex_hu=round(float(rng.normal(950, 90))),
    )


def _organs(rng: np.random.Generator, wish: Wish) -> OrganSpec:
    kind = wish.spleen or ("absent" if rng.random() < 0.04 else _choose(rng, _SPLEEN_SHARE))
    ml = 0.0 if kind == "absent" else float(np.exp(rng.uniform(*np.log(_SPLEEN_ML[kind]))))
    draw = rng.random()
    # Fatty and iron-laden livers at the ends of the range.
    liver_hu = (
        rng.uniform(15, 42) if draw < 0.2 else rng.uniform(75, 100) if draw > 0.95 else rng.normal(57, 4)
    )
    fluid = [float(rng.uniform(8, 70)) if rng.random() < 0.22 else 0.0 for _ in range(2)]
    if wish.effusion is not None:
        fluid = [max(fluid[0], 0.0), fluid[1] or float(rng.uniform(12, 70))] if wish.effusion else [0.0, 0.0]
    return OrganSpec(
        spleen_scale=round((ml / _ML_AT_SCALE_1) ** (1 / _ML_POWER), 3),
        spleen_hu=round(float(rng.normal(47, 4)), 1),
        liver_scale=round(
            float(rng.uniform(0.85, 1.25) if rng.random() < 0.8 else rng.uniform(1.25, 1.9)), 2
        ),
        liver_hu=round(float(liver_hu), 1),
        blood_hu=round(float(np.clip(rng.normal(41, 5), 26, 52)), 1),
        effusion_left_mm=round(fluid[0], 1),
        effusion_right_mm=round(fluid[1], 1),
        effusion_hu=round(float(rng.uniform(-2, 28)), 1),
    )


def _scan(rng: np.random.Generator, spec: PhantomSpec, person: _Person, wish: Wish) -> PhantomSpec:
    region = wish.region or REGIONS[int(rng.choice(4, p=[0.35, 0.25, 0.25, 0.15]))]
    size = spec.size_factor or 1.0
    first, second = _RANGE_MM[region]
    top, other = size * float(rng.uniform(*first)), size * float(rng.uniform(*second))
    bottom = top - other if region == "slab" else other
    # Bodies have no vertebra above C6, and a bent spine ends lower.
    spine = plan_spine(np.random.default_rng((spec.seed, 1)), size_factor=size, patient=spec.patient)
    top = min(top, float(spine.vertebra("C6").centre[2]))
    dz = wish.slice_mm or float(rng.choice(_SLICES_MM, p=_SLICE_SHARE))
    dz = max(dz, (top - bottom) / _MAX_SLICES)
    slices = max(4, round((top - bottom) / dz))
    # The field holds the trunk with a margin, or cuts its sides.
    across = 2 * (128 * spec.patient.breadth + 24 + spec.fat_mm) + 30
    cut = rng.random() < 0.2 if wish.cut_field is None else wish.cut_field
    field = across * float(rng.uniform(0.72, 0.9) if cut else rng.uniform(1.02, 1.3))
    pixel = float(np.clip(field / wish.matrix, 0.3, 500.0 / wish.matrix if wish.matrix >= 256 else 4.0))
    starvation = rng.uniform(0.2, 1.0) * (0.4 + 0.6 * (spec.patient.arms == "down")) * (0.5 + person.fatness)
    kernel: Kernel = "sharp" if rng.random() < 0.25 else "soft"
    shift = rng.normal(0, [12, 10], 2)
    noise = float(np.exp(rng.uniform(np.log(8), np.log(40))))
    return replace(
        spec,
        shape=(slices, wish.matrix, wish.matrix),
        spacing_mm=(round(dz, 3), round(pixel, 4), round(pixel, 4)),
        slice_thickness_mm=round(dz * float(rng.choice([1.0, 1.0, 1.25, 1.6])), 3),
        levels=("T12", "L1"),
        noise_hu=round(noise if wish.noise_hu is None else wish.noise_hu, 1),
        fwhm_mm=round(max(float(rng.uniform(0.9, 2.0)), pixel), 2),
        kvp=int(rng.choice([80, 100, 110, 120, 130, 140], p=[0.05, 0.2, 0.08, 0.5, 0.07, 0.1])),
        beam_hardening=round(float(rng.uniform(0.3, 2.0)), 2),
        scanner=ScannerSpec(
            kernel=kernel if wish.kernel is None else wish.kernel,
            starvation=round(float(starvation), 2),
            round_field=bool(rng.random() < 0.35),
            shift_mm=(
                round(float(shift[0]), 1),
                round(float(shift[1]), 1),
                round((top + bottom) / 2, 1),
            ),
        ),
    )


def anatomy_suite(n: int, seed: int = 0, *, matrix: int = 512) -> tuple[PhantomSpec, ...]:
    """Return `n` varied patients; what matters most for anatomy is dealt out evenly instead of drawn.

    Regions, rib pairs, transitions, arms, phases, curves, effusions and metal come round in turns of different
    lengths, each from a random start, so that even a few patients differ in all of them; the rest is left to chance.
    """
    rng = np.random.default_rng((seed, 5))
    phases = list(_PHASES)
    start = rng.integers(0, 60, 8)

    def turn(k: int, topic: int, length: int) -> int:
        return int((k + start[topic]) % length)

    wishes = [
        Wish(
            region=REGIONS[turn(k, 0, 4)],
            phase=phases[turn(k, 1, 5)],
            arms=("up", "down", "up")[turn(k, 2, 3)],
            transition=("none", "sacralised_L5", "none", "none", "none", "lumbarised_S1", "none")[
                turn(k, 3, 7)
            ],
            rib_pairs=None if turn(k, 4, 6) > 1 else (11, 13)[turn(k, 4, 6)],
            scoliosis_deg=None if turn(k, 5, 4) else float(rng.uniform(10, 25) * rng.choice([-1, 1])),
            effusion=None if turn(k, 6, 5) else True,
            metal=None if turn(k, 7, 9) else "screws",
            matrix=matrix,
        )
        for k in range(n)
    ]
    seeds = rng.integers(0, 2**31, n)
    return tuple(random_spec(int(s), wish) for s, wish in zip(seeds, wishes, strict=True))
