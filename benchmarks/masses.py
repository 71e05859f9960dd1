"""Times the search for masses and their measures against one Gaussian filter of the whole volume.

    python benchmarks/masses.py                  # a synthetic chest of 512 × 512 × 600 with a mass on either side
    python benchmarks/masses.py --slices 300 --repeat 5

The best of several runs is printed. The machine's load matters: the ratio to SimpleITK's recursive Gaussian, run in
the same process on the same voxels, says more than seconds. The goal is 1.5 s for two masses in 600 slices.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import SimpleITK

from paraspinal.analysis.clock import StageClock
from paraspinal.analysis.stages import Survey, measure_all, survey
from paraspinal.config import load_config
from paraspinal.masses import find_masses
from paraspinal.phantom import MassSpec, PhantomSpec, make_phantom

Out = TypeVar("Out")


def two_masses(slices: int) -> PhantomSpec:
    """Return a chest and abdomen with a mass of 30 mm on both sides of T9."""
    masses = tuple(MassSpec(side, "T9", (15.0, 14.0, 20.0)) for side in ("left", "right"))
    return PhantomSpec(
        name="benchmark",
        seed=7,
        shape=(slices, 512, 512),
        spacing_mm=(0.75, 0.75, 0.75),
        levels=("T2", "L4"),
        masses=masses,
    )


def best_of(repeat: int, function: Callable[[], Out]) -> tuple[float, Out]:
    """Return the shortest time (s) of several runs, and the last result."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        out = function()
        times.append(time.perf_counter() - begin)
    return min(times), out


def main() -> None:
    """Run and print a line per step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    volume, config = make_phantom(two_masses(chosen.slices)).volume, load_config("default")
    seen = survey(volume, config, StageClock(None))
    assert seen.anatomy is not None
    anatomy = seen.anatomy
    finding, search = best_of(chosen.repeat, lambda: find_masses(volume, anatomy, config=config.masses))
    only = Survey(volume, anatomy, seen.quality, search, seen.spine_mm, None)
    measuring, measured = best_of(chosen.repeat, lambda: measure_all(only, config).masses)
    image = SimpleITK.GetImageFromArray(volume.hu)
    filtering, _ = best_of(chosen.repeat, lambda: SimpleITK.SmoothingRecursiveGaussian(image, 2.0))
    print(f"{volume.hu.shape} voxels, {len(measured)} masses of {len(anatomy.vertebrae)} levels")
    print(
        f"search                {finding:6.2f} s   {finding / filtering:5.2f} × one Gaussian filter of the volume"
    )
    print(f"patient, bone, masses {measuring:6.2f} s   {measuring / filtering:5.2f} ×")
    print(f"Gaussian filter       {filtering:6.2f} s")


if __name__ == "__main__":
    main()
