"""The suites: which cases there are, by name and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from paraspinal.errors import UsageError
from paraspinal.phantom import MassSpec, PhantomSpec, Wish, random_spec
from paraspinal.phantom.levels import LEVELS
from paraspinal.phantom.spine import plan_spine
from paraspinal.validation.draw import draw_masses
from paraspinal.validation.draw_entity import entity_of
from paraspinal.validation.draw_patient import draw_patient
from paraspinal.validation.draw_trabeculae import draw_trabeculae

Kind = Literal["phantom", "hybrid", "bone", "bilateral", "patient", "differential", "trabeculae", "untouched"]

_LEVELS = LEVELS[LEVELS.index("T3") : LEVELS.index("L2") + 1]
_ROOM_MM = 25.0
_SLICE_MM = (1.0, 1.25, 1.5, 2.0, 2.5)  # targets hold to 2.5 mm


@dataclass(frozen=True, slots=True)
class Suite:
    """A family of cases: what it holds, how many unless asked otherwise, and whether it needs real series."""

    text: str
    count: int
    real: bool


SUITES: Mapping[str, Suite] = {
    "phantom": Suite("random synthetic bodies with one or two masses of 10 to 90 mm (column P)", 150, False),
    "hybrid": Suite("known masses of 15 to 80 mm in real series (column H)", 60, True),
    "bone": Suite("masses in thin-sliced real series that leave bone alone or hollow it out", 60, True),
    "bilateral": Suite(
        "masses on both sides of four vertebrae that leave bone alone, in thin-sliced real series", 20, True
    ),
    "patient": Suite(
        "random synthetic bodies with random signs of marrow, spleen, liver and fluid", 60, False
    ),
    "differential": Suite(
        "synthetic patients of every entity, drawn from the model, from DICOM to differential", 70, False
    ),
    "trabeculae": Suite(
        "vertebrae with healthy, osteoporotic and coarse trabeculae and with haemangiomas", 216, False
    ),
    "untouched": Suite("the real series as they are: what is found there is no mass of ours", 0, True),
}


_REAL_KINDS: Mapping[str, Kind] = {"hybrid": "hybrid", "bone": "bone", "bilateral": "bilateral"}


@dataclass(frozen=True, slots=True)
class Case:
    """One case: a body to make, or a series and the seed of what is put into it."""

    name: str
    kind: Kind
    seed: int
    spec: PhantomSpec | None = None
    series: Path | None = None
    diameter_mm: tuple[float, float] = (15.0, 80.0)


def suite_cases(
    name: str, *, count: int | None = None, seed: int = 0, series: Sequence[Path] = ()
) -> tuple[Case, ...]:
    """Return the cases of a suite.

    Parameters
    ----------
    count : int, optional
        How many; the suite's own number without it.
    seed : int
        Another seed gives other cases.
    series : sequence of Path
        The real series, for suites that need some.

    Raises
    ------
    UsageError
        ``suite_unknown``; ``suite_needs_series``.
    """
    if name not in SUITES:
        raise UsageError(
            f"There is no suite {name!r}.", code="suite_unknown", remedy=f"Use one of {', '.join(SUITES)}."
        )
    suite = SUITES[name]
    if suite.real and not series:
        raise UsageError(
            f"The suite {name} needs real CT series.",
            code="suite_needs_series",
            remedy="Give a folder that holds them: --data DIR, or set PARASPINAL_DATA.",
        )
    number = suite.count if count is None else count
    if name == "phantom":
        return tuple(_body(k, seed) for k in range(number))
    if name == "patient":
        seeds = range(1000 * seed, 1000 * seed + number)
        return tuple(Case(f"patient {k}", "patient", k, spec=draw_patient(k)) for k in seeds)
    if name == "differential":
        return tuple(Case(f"{entity_of(k)} {k}", "differential", 1000 * seed + k) for k in range(number))
    if name == "trabeculae":
        drawn = ((k, *draw_trabeculae(k, seed)) for k in range(number))
        return tuple(Case(f"{kind} {k}", "trabeculae", 1000 * seed + k, spec=spec) for k, kind, spec in drawn)
    if name == "untouched":
        return tuple(Case(f"untouched {path.name}", "untouched", seed, series=path) for path in series)
    return tuple(
        Case(
            f"{name} {k} {series[k % len(series)].name}",
            _REAL_KINDS[name],
            1000 * seed + k,
            series=series[k % len(series)],
        )
        for k in sorted(range(number), key=lambda k: (k % len(series), k))
    )


def _body(k: int, seed: int) -> Case:
    number = 1000 * seed + k
    rng = np.random.default_rng([number, 7])
    wish = Wish(
        region=("chest", "chest_abdomen", "chest", "abdomen_pelvis")[k % 4],
        matrix=320,
        slice_mm=float(rng.choice(_SLICE_MM)),
        effusion=bool(rng.uniform() < 0.25),
    )
    spec = random_spec(number, wish)
    return Case(f"phantom {k}", "phantom", number, spec=replace(spec, masses=_masses_in(spec, rng)))


def _masses_in(spec: PhantomSpec, rng: np.random.Generator) -> tuple[MassSpec, ...]:
    """Draw masses beside vertebrae that the scan shows with room to spare."""
    spine = plan_spine(
        np.random.default_rng((spec.seed, 1)), size_factor=spec.size_factor or 1.0, patient=spec.patient
    )
    half = 0.5 * spec.shape[0] * spec.spacing_mm[0] - _ROOM_MM
    middle = spec.scanner.shift_mm[2]
    shown = [level for level in _LEVELS if abs(float(spine.vertebra(level).centre[2]) - middle) < half]
    return draw_masses(rng, shown, diameter_mm=(10.0, 90.0)) if shown else ()
