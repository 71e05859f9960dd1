"""Names of ribs where another segmenter names ribs or the vertebrae that bear them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.given.grid import OnGrid
from paraspinal.anatomy.given.names import KNOWN_NAMES, TOTAL_NAMES
from paraspinal.anatomy.types import Rib

_MIN_SHARE = 0.3
"""Share of the smaller of two ribs that must overlap: given ribs often lack the part beside the spine."""
RIB_NUMBERS = {name: number for number, name in TOTAL_NAMES.items() if name.startswith("rib_")}


def renamed_ribs(
    ribs: Iterable[Rib],
    labels: npt.NDArray[np.uint16],
    here: OnGrid,
    bearers: Mapping[str, str],
    *,
    confidence: float,
) -> tuple[tuple[Rib, ...], dict[int, int]]:
    """Give the built-in ribs the names that the given masks say.

    A rib that overlaps a given one takes its name; any other one goes with the vertebra that bears it.

    Parameters
    ----------
    ribs : iterable of Rib
        What the built-in segmenter found.
    labels : ndarray of uint16, [z, y, x]
        Its label map on the working grid.
    here : OnGrid
        The given structures on the same grid.
    bearers : mapping
        Old name of a vertebra to its new one.
    confidence : float
        In a name that was given.

    Returns
    -------
    ribs : tuple of Rib
    numbers : dict
        Old number in the label map to the new one.
    """
    shares = _shares(labels, here.kept(RIB_NUMBERS.__contains__))
    out, numbers, used = [], {}, set(shares)
    for rib in ribs:
        name = _overlapping(rib, shares)
        sure = confidence
        if name is None:
            name = _by_bearer(rib, bearers, used)
            sure = min(confidence, rib.confidence) if bearers.get(rib.bearer) == rib.bearer else confidence
        if name is None or name == rib.label:
            out.append(rib)
            continue
        number = RIB_NUMBERS[name]
        numbers[rib.number] = number
        out.append(
            replace(rib, label=name, bearer=f"T{name.rpartition('_')[2]}", number=number, confidence=sure)
        )
    return tuple(out), numbers


def _shares(labels: npt.NDArray[np.uint16], given: OnGrid) -> dict[str, dict[int, float]]:
    """Return for each given rib the share of the smaller one that it has in common with each number of the map."""
    sizes = np.bincount(labels.ravel())
    out = {}
    for name, region in given.regions.items():
        common = np.bincount(labels[region.box][region.mask])
        present = (int(n) for n in np.flatnonzero(common))
        out[name] = {n: float(common[n]) / min(int(sizes[n]), region.voxels) for n in present}
    return out


def _overlapping(rib: Rib, shares: Mapping[str, Mapping[int, float]]) -> str | None:
    own = {name: found.get(rib.number, 0.0) for name, found in shares.items() if f"_{rib.side}_" in name}
    best = max(own, key=lambda n: own[n], default=None)
    return best if best is not None and own[best] >= _MIN_SHARE else None


def _by_bearer(rib: Rib, bearers: Mapping[str, str], used: Iterable[str]) -> str | None:
    """Name a rib after the new name of its vertebra; None where that bears none, or the name is given elsewhere."""
    level = bearers.get(rib.bearer, "")
    name = f"rib_{rib.side}_{level[1:]}"
    return name if level.startswith("T") and name in KNOWN_NAMES and name not in used else None
