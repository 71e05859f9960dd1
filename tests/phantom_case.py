"""Phantoms that several test modules look at; each is made once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from made_once import made_once
from paraspinal.phantom import MassSpec, Phantom, PhantomSpec, make_phantom, preset
from paraspinal.phantom.presets import fast


@made_once
def fast_preset(name: str, *, noise_hu: float | None = None) -> Phantom:
    """Return a preset on the coarse grid."""
    spec = fast(preset(name))
    return make_phantom(spec if noise_hu is None else replace(spec, noise_hu=noise_hu))


def around(level: str, **changes: object) -> PhantomSpec:
    """Return a small noise-free phantom centred on one vertebra: 24 × 130 × 130 at 2.5 × 2.4 mm."""
    spec = PhantomSpec(shape=(24, 130, 130), spacing_mm=(2.5, 2.4, 2.4), levels=(level, level), noise_hu=0.0)
    return replace(spec, **changes)


@made_once
def one_mass(mass: MassSpec) -> Phantom:
    """Return a small phantom around one mass."""
    return make_phantom(around(mass.level, masses=(mass,)))


def number(phantom: Phantom, name: str) -> int:
    """Return the label of a structure."""
    return {text: value for value, text in phantom.labels.names.items()}[name]


def voxels(phantom: Phantom, name: str) -> np.ndarray:
    """Return the mask of a structure."""
    return phantom.labels.data == number(phantom, name)


def centre_lps(phantom: Phantom, mask: np.ndarray) -> np.ndarray:
    """Return the centre of mass of a mask."""
    return phantom.volume.geometry.to_lps(np.array([c.mean() for c in np.nonzero(mask)]))
