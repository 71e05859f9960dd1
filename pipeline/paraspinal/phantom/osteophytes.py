"""Bony beaks at the rims of vertebral bodies, some of which nearly bridge the disc."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from paraspinal.phantom import sdf
from paraspinal.phantom.levels import LEVELS
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spine import VertebraPlan

_FIRST_LEVEL = LEVELS.index("T6")
_ROOT_MM = 4.5


@dataclass(frozen=True, slots=True)
class Beak:
    """One beak: at the upper (+1) or lower (-1) rim, its direction (0 front, positive left), width and length."""

    end: int
    angle: float
    width: float
    length_mm: float


def plan_beaks(rng: np.random.Generator, share: float) -> Mapping[str, tuple[Beak, ...]]:
    """Draw the beaks of every vertebra from T6 down; the aorta keeps the left front of the chest free."""
    out = {}
    for level in LEVELS[_FIRST_LEVEL:-1]:
        beaks = []
        for end in (1, -1):
            if rng.random() < share:
                angle = rng.uniform(-1.7, 0.3) if level[0] == "T" else rng.uniform(-1.8, 1.8)
                beaks.append(
                    Beak(end, float(angle), float(rng.uniform(0.3, 0.8)), float(rng.uniform(2.5, 10)))
                )
        out[level] = tuple(beaks)
    return out


def beak_distance(u: Field, v: Field, w: Field, plan: VertebraPlan, beaks: tuple[Beak, ...]) -> Field | None:
    """Return the distance to a vertebra's beaks in its own axes (left, back, up)."""
    out: Field | None = None
    s, half = plan.size, plan.size.height / 2
    wall = sdf.ellipse(u, v, s.width / 2, s.depth / 2)
    angle = np.arctan2(u, -v)
    for beak in beaks:
        toward = np.exp(-(((angle - beak.angle) / beak.width) ** 2))
        height = beak.end * w - half
        bump = beak.length_mm * toward * np.exp(-((np.minimum(height, 0.0) / _ROOT_MM) ** 2))
        # It grows outwards and past the end plate, and tapers.
        side = np.maximum(wall - bump + 0.5 * np.maximum(height, 0.0), height - 0.35 * bump)
        root = np.maximum(side, -height - 2 * _ROOT_MM)
        part = np.asarray(root, np.float32)
        out = part if out is None else np.minimum(out, part)
    return out
