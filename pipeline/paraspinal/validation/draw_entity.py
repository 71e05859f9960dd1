"""Synthetic patients of every entity, with findings drawn from a model's own frequencies.

What a body cannot show (gas, nodes, several kinds of bone loss in one mass) is not told of it, or is told as it is
drawn: the truth is that of the body, not that of the draw.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from paraspinal.differential.draw import DrawnCase, draw_case
from paraspinal.differential.model import DifferentialModel
from paraspinal.phantom import BoneSpec, Foci, MassSpec, OrganSpec, PatientSpec, PhantomSpec
from paraspinal.phantom.levels import LEVELS
from paraspinal.phantom.spec import BoneEffect, MassSide
from paraspinal.result import ENTITIES, Entity

_BANDS = {"upper": ("T5", "T6"), "lower_thoracic": ("T8", "T9", "T10"), "lumbar": ("L1",)}
_SCANS = {"upper": ("T3", "T9"), "lower_thoracic": ("T7", "L2"), "lumbar": ("T8", "L3")}
_FURTHER = {"T5": "T9", "T6": "T10", "T8": "T12", "T9": "T12", "T10": "L1", "L1": "T9"}
"""Where a second mass of the same side lies: a smaller one, so that the first speaks for the patient."""
_SECOND_MM = 28.0
_LEVEL_MM = 22.0
_LONG_AXIS_MM = {"small": (26.0, 29.5), "middle": (36.0, 80.0), "large": (104.0, 120.0)}
"""No mass is smaller than what the search says it can find: how many are found at all is for other suites to tell."""
_WIDEST_MM = 56.0
_EFFECTS: dict[str, BoneEffect] = {
    "disc_involvement": "discitis",
    "bone_destruction": "lytic",
    "foraminal_widening": "foramen",
    "intraspinal_extension": "canal",
    "pressure_scalloping": "scalloping",
    "marrow_expansion_breakthrough": "breakthrough",
    "rib_erosion": "rib",
}
"""Findings that a mass shows at bone, the rarer and plainer first: one mass shows one of them."""
_UNTOLD = {
    "discitis": ("bone_destruction",),
    "foramen": ("pressure_scalloping",),
    "lytic": ("foraminal_widening", "intraspinal_extension", "rib_erosion"),
}
"""What an effect may show beside its own finding, so that neither yes nor no is true of it."""
_UNENHANCED = ("liver_iron", "blood_pool_low", "diffuse_osteosclerosis", "diffuse_hyperattenuation")
_CONTRAST = ("rim_enhancement",)
_CONTENTS = ("calcification", "fat", "low_density_foci", "cystic_or_fluid")
_COMPANY = ("spleen", "hepatomegaly", "splenic_lesion", "pleural_effusion")
_SKELETON = ("trabecular_coarsening", "cortical_thinning", "rib_expansion")
_SHAPE = ("bilateral", "multiple", "level", "size", "margin")


@dataclass(frozen=True, slots=True)
class EntityPatient:
    """A body, and the categories that are true of it, by the model's variables."""

    truth: DrawnCase
    spec: PhantomSpec


def draw_entity_patient(model: DifferentialModel, entity: Entity, seed: int) -> EntityPatient:
    """Draw a patient of an entity from the model, and a body that shows it."""
    rng = np.random.default_rng([seed, 23])
    drawn = draw_case(model, rng, entity)
    has = dict(drawn.categories)
    contrast = bool(rng.uniform() < 0.5)
    masses, told = _masses(has, rng, contrast=contrast)
    truth = {name: has[name] for name in (*_SHAPE, *_SKELETON)} | told
    if has["level"] != "upper":
        truth |= {name: has[name] for name in _COMPANY}
    if has["spleen"] != "normal" and has["spleen"] != "enlarged":
        truth.pop("splenic_lesion", None)
    if not contrast:
        truth |= {name: has[name] for name in ("liver_iron", "blood_pool_low", "diffuse_osteosclerosis")}
        if has["level"] == "upper":
            truth.pop("liver_iron")
    if truth.get("trabecular_coarsening") == "present":
        truth.pop("diffuse_osteosclerosis", None)  # the struts decide what the vertebrae look like
    truth["multiple"] = "present" if len(masses) > 1 else "absent"
    spec = PhantomSpec(
        shape=(90, 256, 256),
        spacing_mm=(2.5, 1.45, 1.45),
        levels=_SCANS[has["level"]],
        seed=seed,
        noise_hu=round(float(rng.uniform(8.0, 16.0)), 1),
        phase="portal" if contrast else "unenhanced",
        bone=_bone(truth),
        organs=_organs(truth, rng),
        patient=_patient(truth),
        masses=masses,
        name=entity,
    )
    return EntityPatient(replace(drawn, categories=truth), spec)


def _there(has: dict[str, str], names: Iterable[str]) -> list[str]:
    return [name for name in names if has.get(name) == "present"]


def _masses(
    has: dict[str, str], rng: np.random.Generator, *, contrast: bool
) -> tuple[tuple[MassSpec, ...], dict[str, str]]:
    """Return the masses and what is true of their inside and of the bone beside them."""
    sides: tuple[MassSide, MassSide] = ("left", "right") if rng.uniform() < 0.5 else ("right", "left")
    level = str(rng.choice(_BANDS[has["level"]]))
    two_sided = has["bilateral"] == "present"
    wanted = _there(has, _EFFECTS)
    shown = wanted[: 2 if two_sided else 1]
    truth = {name: "present" if name in shown else "absent" for name in _EFFECTS}
    if "foraminal_widening" in shown:
        truth["intraspinal_extension"] = "present"
    for name in shown:
        for other in _UNTOLD.get(_EFFECTS[name], ()):
            truth.pop(other, None)
    inside = {name: has[name] for name in _CONTENTS}
    if inside["cystic_or_fluid"] == "present":
        inside["low_density_foci"] = "absent"  # nothing stands out of water
    for name in _CONTRAST if contrast else ("diffuse_hyperattenuation",):
        inside[name] = has[name]
    if inside.get("diffuse_hyperattenuation") == "present":
        inside["cystic_or_fluid"] = "absent"
    one = _one(has, inside, rng)
    effects: list[BoneEffect] = [*(_EFFECTS[name] for name in shown), "none", "none"]
    masses = [_at_bone(replace(one, side=sides[0], level=level), effects[0])]
    if two_sided:
        masses.append(_at_bone(replace(one, side=sides[1], level=level), effects[1]))
    elif has["multiple"] == "present":
        masses += _second(one, sides[0], level)
    return tuple(masses), truth | inside


def _second(one: MassSpec, side: MassSide, level: str) -> list[MassSpec]:
    """Return a smaller mass of the same kind further along the side, none where the first reaches so far."""
    where, r = _FURTHER[level], _SECOND_MM / 2
    apart = _LEVEL_MM * abs(LEVELS.index(where) - LEVELS.index(level))
    if one.semi_axes_mm[2] + r + 10.0 > apart:
        return []
    return [
        replace(
            one,
            side=side,
            level=where,
            semi_axes_mm=(r, r, r),
            low_density=None,
            fat=None,
            calcification=None,
        )
    ]


def _one(has: dict[str, str], inside: dict[str, str], rng: np.random.Generator) -> MassSpec:
    long_axis = float(rng.uniform(*_LONG_AXIS_MM[has["size"]]))
    slim = 1.0 if has["size"] == "small" else 0.8
    across = min(slim * long_axis, _WIDEST_MM) * float(rng.uniform(0.88, 1.0))
    fluid = inside["cystic_or_fluid"] == "present"
    dense = inside.get("diffuse_hyperattenuation") == "present"
    hu = float(rng.uniform(4, 14) if fluid else rng.uniform(74, 86) if dense else rng.uniform(34, 52))
    focus = round(min(10.0, 0.28 * across), 1)
    return MassSpec(
        side="left",
        level="T9",
        semi_axes_mm=(round(across / 2, 1), round(0.45 * across, 1), round(long_axis / 2, 1)),
        shape="lobulated" if rng.uniform() < 0.4 else "ellipsoid",
        hu=round(hu, 1),
        enhancement_hu=0.0 if fluid else round(float(rng.uniform(15, 40)), 1),
        edge_width_mm=round(float(rng.uniform(5, 8)), 1) if has["margin"] == "ill" else 0.0,
        overlap_mm=4.0,
        low_density=Foci(4, focus, -36.0) if inside["low_density_foci"] == "present" else None,
        fat=Foci(3, round(0.36 * across, 1), 0.0) if inside["fat"] == "present" else None,
        calcification=Foci(3, 4.0, 500.0) if inside["calcification"] == "present" else None,
        rim_hu=80.0 if inside.get("rim_enhancement") == "present" else None,
    )


def _at_bone(mass: MassSpec, effect: BoneEffect) -> MassSpec:
    deep = {"lytic": 10.0, "scalloping": 9.0, "breakthrough": 5.0}
    return replace(mass, bone=effect, overlap_mm=deep.get(effect, 4.0), canal_mm2=110.0)


def _bone(truth: dict[str, str]) -> BoneSpec:
    coarse = truth["trabecular_coarsening"] == "present"
    dense = truth.get("diffuse_osteosclerosis") == "present"
    bone = BoneSpec(strut_spacing_mm=3.4, cortex_mm=0.55) if coarse else BoneSpec()
    return replace(
        bone,
        trabecular_hu=460.0 if dense and not coarse else bone.trabecular_hu,
        rib_cortex_mm=0.55 if truth["cortical_thinning"] == "present" else bone.rib_cortex_mm,
    )


def _organs(truth: dict[str, str], rng: np.random.Generator) -> OrganSpec:
    scale = {"normal": float(rng.uniform(0.8, 1.3)), "enlarged": 3.2, "small": 0.2}
    fluid = float(rng.uniform(25.0, 40.0)) if truth.get("pleural_effusion") == "present" else 0.0
    lesion = Foci(1, 24.0, -30.0) if truth.get("splenic_lesion") == "present" else None
    return OrganSpec(
        spleen_scale=round(scale.get(truth.get("spleen", "normal"), 1.0), 2),
        spleen_lesion=lesion,
        liver_scale=1.7 if truth.get("hepatomegaly") == "present" else 1.0,
        liver_hu=92.0 if truth.get("liver_iron") == "present" else 58.0,
        blood_hu=31.0 if truth.get("blood_pool_low") == "present" else 44.0,
        effusion_right_mm=round(fluid, 1),
    )


def _patient(truth: dict[str, str]) -> PatientSpec:
    return PatientSpec(
        rib_scale=1.9 if truth["rib_expansion"] == "present" else 1.0,
        missing=("spleen",) if truth.get("spleen") == "absent" else (),
    )


def entity_of(number: int) -> Entity:
    """Return the entity of the patient of a number: they take turns."""
    return ENTITIES[number % len(ENTITIES)]
