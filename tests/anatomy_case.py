"""The sample phantoms, segmented once per test run."""

from __future__ import annotations

import numpy as np

from made_once import made_once
from paraspinal.anatomy import Anatomy, segment_anatomy
from paraspinal.masses import MassSearch, find_masses
from paraspinal.phantom import Phantom, make_phantom, preset


@made_once
def phantom(name: str) -> Phantom:
    """Return a preset at the resolution of the sample data."""
    return make_phantom(preset(name))


@made_once
def anatomy(name: str) -> Anatomy:
    """Return the anatomy of a preset."""
    return segment_anatomy(phantom(name).volume)


@made_once
def search(name: str) -> MassSearch:
    """Return the masses of a preset."""
    return find_masses(phantom(name).volume, anatomy(name))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two masks."""
    return 2.0 * float((a & b).sum()) / max(1, int(a.sum() + b.sum()))
