"""Random vertebrae in a small field: healthy, osteoporotic, with a haemangioma, and coarse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from paraspinal.phantom import PhantomSpec
from paraspinal.phantom.levels import LEVELS, vertebra_size
from paraspinal.phantom.patient import Kernel, PatientSpec, ScannerSpec
from paraspinal.phantom.spec import BoneSpec, Organ, OrganSpec
from paraspinal.phantom.trabeculae import TrabecularSpec

SPACINGS_MM = (1.5, 2.0, 3.0, 4.0)
"""Strut spacings over which coarse bone is drawn in turn."""
SLICES_MM = (0.6, 1.0, 1.5, 2.0, 2.5, 3.0)
_TURN = (1.5, "healthy", "osteoporosis", 2.0, "haemangioma", "healthy", 3.0, "osteoporosis", "healthy",
         4.0, "haemangioma", "osteoporosis")  # fmt: skip
_FIRST = ("T6", "T7", "T8", "T9", "T10", "T11", "T12", "L1")
_MARGIN_MM = 7.0
_BEHIND_MM = 35.0  # the field's middle lies in the back part of the body, so that the spine is in its middle
_LEFT_OUT: tuple[Organ, ...] = ("heart", "bowel", "table", "scapulae", "vessels")


def draw_trabeculae(number: int, seed: int) -> tuple[str, PhantomSpec]:
    """Return the kind ("healthy", "osteoporosis", "haemangioma", "coarse") and a scan of three of its vertebrae.

    Kinds and spacings come in turn (a third of the cases is coarse), all else is drawn: density, plates, missing
    struts, level, curvature, noise 8 to 30 HU, soft or sharp kernel, slices of 0.6 to 3 mm.
    """
    rng = np.random.default_rng([seed, number, 23])
    wanted = _TURN[number % len(_TURN)]
    kind = wanted if isinstance(wanted, str) else "coarse"
    first = LEVELS.index(str(rng.choice(_FIRST)))
    levels = LEVELS[first : first + 3]
    size = float(np.clip(rng.normal(1.0, 0.05), 0.9, 1.12))
    bone = _bone(rng, kind, wanted if isinstance(wanted, float) else 0.0, 1000 * seed + number)
    if kind == "haemangioma":
        bone = replace(bone, haemangiomas=(levels[int(rng.integers(3))],))
    slice_mm = float(SLICES_MM[(number // len(_TURN) + number) % len(SLICES_MM)])
    height = sum(vertebra_size(v).height + vertebra_size(v).disc for v in levels) * size
    pixel = float(rng.uniform(0.5, 0.85))
    matrix = 4 * round(92.0 / pixel / 4)
    kernel: Kernel = "sharp" if rng.uniform() < 0.4 else "soft"
    return kind, PhantomSpec(
        shape=(int(np.ceil((height + 2 * _MARGIN_MM) / slice_mm)), matrix, matrix),
        spacing_mm=(slice_mm, round(pixel, 3), round(pixel, 3)),
        levels=(levels[0], levels[-1]),
        seed=1000 * seed + number,
        noise_hu=round(float(rng.uniform(8.0, 30.0)), 1),
        fwhm_mm=round(float(rng.uniform(max(0.9, 1.15 * pixel), 1.7)), 2),
        beam_hardening=round(float(rng.uniform(0.3, 1.5)), 2),
        size_factor=round(size, 3),
        bone=bone,
        organs=OrganSpec(left_out=_LEFT_OUT),
        name=kind,
        patient=PatientSpec(scoliosis_deg=round(float(rng.uniform(-12.0, 12.0)), 1), irregular_mm=1.0),
        scanner=ScannerSpec(kernel=kernel, shift_mm=(0.0, _BEHIND_MM, 0.0)),
    )


_RANGES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "healthy": {
        "spacing_mm": (0.7, 1.0),
        "mean_hu": (110.0, 280.0),
        "marrow_hu": (-30.0, 50.0),
        "stretch": (1.2, 1.8),
        "plates": (0.1, 0.4),
        "missing": (0.0, 0.1),
        "missing_across": (0.05, 0.2),
    },
    "osteoporosis": {
        "spacing_mm": (1.0, 1.6),
        "mean_hu": (60.0, 110.0),
        "marrow_hu": (-60.0, 20.0),
        "stretch": (1.5, 2.2),
        "plates": (0.0, 0.1),
        "missing": (0.05, 0.2),
        "missing_across": (0.4, 0.8),
    },
    "coarse": {
        "mean_hu": (100.0, 220.0),
        "marrow_hu": (20.0, 80.0),
        "stretch": (1.3, 2.2),
        "plates": (0.1, 0.4),
        "missing": (0.0, 0.15),
        "missing_across": (0.1, 0.5),
    },
}


def _bone(rng: np.random.Generator, kind: str, spacing_mm: float, seed: int) -> BoneSpec:
    if kind == "haemangioma":
        kind = "healthy" if rng.uniform() < 0.6 else "osteoporosis"
    drawn = {key: round(float(rng.uniform(*ends)), 3) for key, ends in _RANGES[kind].items()}
    if kind == "coarse":
        drawn["spacing_mm"] = spacing_mm
        drawn["mean_hu"] = max(drawn["mean_hu"], drawn["marrow_hu"] + 70.0)
    cortex = round(float(rng.uniform(0.4, 0.8)), 2)
    structure = TrabecularSpec(**drawn, seed=seed)
    return BoneSpec(trabecular_hu=structure.mean_hu, cortex_mm=cortex, trabeculae=structure)
