"""Random bodies with random signs of the diseases that EMH keeps company with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from paraspinal.phantom import Foci, PhantomSpec, Wish, random_spec
from paraspinal.phantom.spec import EndPlates
from paraspinal.phantom.trabeculae import TrabecularSpec
from paraspinal.validation.draw_company import draw_company

_SLICES_MM = (1.0, 1.25, 1.5, 2.0, 2.5)
_LESION_HU = -30.0


def draw_patient(seed: int) -> PhantomSpec:
    """Return a chest and upper abdomen with signs drawn one by one, each of them independent of the others."""
    rng = np.random.default_rng([seed, 17])
    wish = Wish(
        region="chest_abdomen",
        phase="unenhanced" if rng.uniform() < 0.7 else "portal",
        matrix=320,
        slice_mm=float(rng.choice(_SLICES_MM)),
        noise_hu=float(rng.uniform(8.0, 25.0)),
        effusion=bool(rng.uniform() < 0.4),
        spleen=("absent", "small", "normal", "large", "huge")[int(rng.integers(5))],
        cut_field=False,
    )
    spec = replace(random_spec(seed, wish), kvp=120)
    spec = _plates(_ribs(_bone(_spleen(spec, rng), rng), seed), seed)
    return draw_company(spec, np.random.default_rng([seed, 23]))


def _spleen(spec: PhantomSpec, rng: np.random.Generator) -> PhantomSpec:
    """Half of the enlarged spleens hold lesions of 10 to 30 mm."""
    draw, diameter = rng.uniform(), float(rng.uniform(10.0, 30.0))
    if draw > 0.5 or spec.organs.spleen_scale < 1.5:
        return spec
    lesion = Foci(count=int(rng.integers(1, 3)), diameter_mm=round(diameter, 1), hu_delta=_LESION_HU)
    return replace(spec, organs=replace(spec.organs, spleen_lesion=lesion))


def _plates(spec: PhantomSpec, seed: int) -> PhantomSpec:
    """Half of the bodies have end plates that are sunk in their middle, hollow, or hold nodes."""
    rng = np.random.default_rng([seed, 29])
    kinds: tuple[EndPlates, ...] = ("normal", "normal", "normal", "h_shaped", "biconcave", "schmorl")
    kind, depth = kinds[int(rng.integers(len(kinds)))], round(float(rng.uniform(3.0, 6.0)), 1)
    return replace(spec, bone=replace(spec.bone, endplates=kind, endplate_mm=depth))


def _ribs(spec: PhantomSpec, seed: int) -> PhantomSpec:
    """A third of the bodies has ribs with a thin wall, a third of these, and some others, ballooned ones."""
    rng = np.random.default_rng([seed, 18])
    thin, wide = rng.uniform() < 1.0 / 3.0, rng.uniform() < 0.2
    wall = float(rng.uniform(0.45, 0.7) if thin else rng.uniform(0.95, 1.9))
    scale = float(rng.uniform(1.6, 2.0)) if wide else 1.0
    return replace(
        spec,
        bone=replace(spec.bone, rib_cortex_mm=round(wall, 2)),
        patient=replace(spec.patient, rib_scale=round(scale, 2)),
    )


def _bone(spec: PhantomSpec, rng: np.random.Generator) -> PhantomSpec:
    """A third of the bodies has coarse trabeculae, half of these as a foam, half as columns."""
    draw, spacing = rng.uniform(), float(rng.uniform(2.0, 4.0))
    if draw > 1.0 / 3.0:
        return spec
    if draw < 1.0 / 6.0:
        mean = float(np.clip(spec.bone.trabecular_hu, 110.0, 210.0))
        foam = TrabecularSpec(round(spacing, 2), mean, 45.0, missing_across=0.3, seed=spec.seed)
        return replace(spec, bone=replace(spec.bone, trabecular_hu=mean, trabeculae=foam))
    return replace(spec, bone=replace(spec.bone, strut_spacing_mm=round(spacing, 2)))
