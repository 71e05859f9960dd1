"""Finds a 30 mm mass on either side at every level from T5 to L1 of synthetic bodies, and prints what was found.

    python benchmarks/detection.py              # one body
    python benchmarks/detection.py --seeds 5 17 # several

A hit is a candidate on the right side that overlaps the true mass with IoU ≥ 0.3; its state is printed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from paraspinal.anatomy import segment_anatomy
from paraspinal.masses import Mass, find_masses
from paraspinal.phantom import Phantom, make_phantom
from paraspinal.phantom.presets import single_mass

LEVELS = ("T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12", "L1")


def overlap(mass: Mass, truth: np.ndarray) -> tuple[float, float]:
    """Return IoU and Dice of a mass with the true mask."""
    found = mass.region.full(truth.shape)
    common = float((found & truth).sum())
    return common / float((found | truth).sum()), 2 * common / float(found.sum() + truth.sum())


def one_case(side: str, level: str, seed: int) -> tuple[str, bool]:
    """Make, search and describe one phantom."""
    spec = replace(single_mass(side="left" if side == "left" else "right", level=level), seed=seed)
    if level in LEVELS[:3]:
        spec = replace(spec, levels=("T3", "T9"))
    made: Phantom = make_phantom(spec)
    search = find_masses(made.volume, segment_anatomy(made.volume))
    truth = made.masses.data == 1
    scored = [(overlap(mass, truth), mass) for mass in search.masses]
    hits = [(d, mass) for (iou, d), mass in scored if iou >= 0.3 and mass.side == side]
    extra = len(search.masses) - len(hits)
    if not hits:
        return f"{level:4}{side:6} missed{'':24}others {extra}", False
    d, mass = hits[0]
    levels = "–".join(dict.fromkeys(mass.levels))
    return (
        f"{level:4}{side:6} {mass.state:14} Dice {d:.2f}  {levels:8} others {extra}",
        mass.state == "present",
    )


def main() -> None:
    """Print the table and the share of masses found in state present."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[5])
    seeds = parser.parse_args().seeds
    cases = [(side, level, seed) for seed in seeds for level in LEVELS for side in ("left", "right")]
    found = 0
    for case in cases:
        line, present = one_case(*case)
        found += present
        print(f"seed {case[2]:3}  {line}", flush=True)
    print(f"present: {found} of {len(cases)}")


if __name__ == "__main__":
    main()
