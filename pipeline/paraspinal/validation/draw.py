"""Random masses: sizes, shapes, densities and contents as the literature's paraspinal masses have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from paraspinal.phantom import Foci, MassSpec
from paraspinal.phantom.spec import MassShape, MassSide

_SHAPES: tuple[MassShape, ...] = ("ellipsoid", "lobulated", "fusiform", "dumbbell")
_SIDES: tuple[MassSide, ...] = ("left", "right")
_PAIRED = 0.3


def draw_masses(
    rng: np.random.Generator,
    levels: Sequence[str],
    *,
    diameter_mm: tuple[float, float],
) -> tuple[MassSpec, ...]:
    """Draw one mass, or a pair on both sides of one vertebra.

    Parameters
    ----------
    levels : sequence of str
        Vertebrae beside which it may lie.
    diameter_mm : tuple of float
        Least and greatest diameter; the logarithm is drawn evenly, so that small ones are as frequent as large ones.
    """
    first = _one(rng, str(rng.choice(list(levels))), _SIDES[int(rng.integers(2))], diameter_mm)
    if rng.uniform() > _PAIRED:
        return (first,)
    other = _one(rng, first.level, "left" if first.side == "right" else "right", diameter_mm)
    return (first, replace(other, hu=first.hu + float(rng.normal(0, 4)), enhancement_hu=first.enhancement_hu))


def _one(
    rng: np.random.Generator,
    level: str,
    side: MassSide,
    diameter_mm: tuple[float, float],
) -> MassSpec:
    across = float(np.exp(rng.uniform(*np.log(diameter_mm))))
    front = across * rng.uniform(0.8, 1.0)
    tall = min(across * rng.uniform(1.0, 1.7), 1.15 * diameter_mm[1])
    fluid = rng.uniform() < 0.12
    hu = float(rng.uniform(5, 20)) if fluid else float(rng.uniform(28, 62))
    room = 0.5 * across
    low = Foci(int(rng.integers(1, 4)), float(min(10.0, 0.35 * across)), float(rng.uniform(-35, -20)))
    return MassSpec(
        side=side,
        level=level,
        semi_axes_mm=(round(across / 2, 2), round(front / 2, 2), round(tall / 2, 2)),
        shape=_SHAPES[int(rng.integers(len(_SHAPES)))],
        hu=round(hu, 1),
        enhancement_hu=0.0 if fluid else round(float(rng.uniform(5, 45)), 1),
        edge_width_mm=0.0 if rng.uniform() < 0.75 else round(float(rng.uniform(4, 8)), 1),
        overlap_mm=round(float(rng.uniform(2, 6)), 1),
        low_density=low if rng.uniform() < 0.2 and across > 25 else None,
        fat=Foci(int(rng.integers(1, 3)), round(0.4 * room, 1), 0.0)
        if rng.uniform() < 0.1 and across > 30
        else None,
        calcification=Foci(int(rng.integers(1, 5)), float(rng.uniform(2, 4)), float(rng.uniform(300, 800)))
        if rng.uniform() < 0.15 and across > 20
        else None,
    )
