"""A dozen synthetic patients whose masses are found and measured; run as a script it stores what is expected.

A change of a stored figure is a change of what users read: store it again only when the new figure is the better
one, and say so in the changelog.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from paraspinal.analysis.outcome import decide_outcome
from paraspinal.anatomy import segment_anatomy
from paraspinal.config import Config
from paraspinal.masses import find_masses
from paraspinal.measure import measure_mass, read_lumens
from paraspinal.phantom import Foci, MassSpec, OrganSpec, PhantomSpec, make_phantom, preset
from paraspinal.quality import assess_quality

EXPECTED = Path(__file__).parent / "expected" / "masses.json"
KEYS = (
    *(
        "volume_ml",
        "craniocaudal_mm",
        "attenuation_mean_hu",
        "discrete_high_density_count",
        "macroscopic_fat_ml",
    ),
    *("low_density_foci_count", "gas_ml"),
)


def _small(spec: PhantomSpec) -> PhantomSpec:
    """The same patient on a coarse grid and a short scan."""
    return replace(spec, shape=(46, 224, 224), spacing_mm=(3.0, 1.6, 1.6))


def _patient(*masses: MassSpec, seed: int = 11, **changes: Any) -> PhantomSpec:
    return _small(PhantomSpec(name="case", seed=seed, masses=masses, **changes))


def _ball(side: Any, level: str, diameter_mm: float, **changes: Any) -> MassSpec:
    r = diameter_mm / 2
    return MassSpec(side, level, (r, r, r), **{"overlap_mm": 3.0, **changes})


CASES: Mapping[str, PhantomSpec] = {
    "healthy": _small(preset("healthy")),
    "emh": _small(preset("emh")),
    "schwannoma": _small(preset("schwannoma")),
    "abscess": _small(preset("abscess")),
    "metastasis": _small(preset("metastasis")),
    "effusion_without_mass": _small(preset("effusion")),
    "small": _patient(_ball("left", "T9", 24.0)),
    "calcified": _patient(_ball("right", "T9", 36.0, calcification=Foci(4, 4.0, 500.0))),
    "fatty": _patient(_ball("left", "T9", 44.0, fat=Foci(2, 12.0, 0.0))),
    "fluid": _patient(_ball("right", "T9", 34.0, hu=8.0, enhancement_hu=0.0)),
    "thick_and_noisy": replace(
        _patient(_ball("left", "T10", 40.0), noise_hu=25.0),
        shape=(36, 256, 256),
        spacing_mm=(5.0, 1.45, 1.45),
    ),
    "beside_effusion": _patient(_ball("left", "T9", 36.0), organs=OrganSpec(effusion_right_mm=22.0)),
}


def run_case(spec: PhantomSpec) -> dict[str, Any]:
    """Find and measure the masses of one patient; what is compared, with the truth beside it."""
    made, config = make_phantom(spec), Config()
    volume = made.volume
    anatomy = segment_anatomy(volume, config=config.anatomy)
    quality = assess_quality(volume, lumens=read_lumens(volume, anatomy, config=config.measure))
    search = find_masses(volume, anatomy, config=config.masses)
    outcome, _ = decide_outcome(spine_mm=anatomy.spine_length_mm, search=search, config=config)
    rows = []
    for mass in sorted(search.masses, key=lambda m: (m.side, m.centroid_lps_mm[2])):
        measured = measure_mass(volume, anatomy, quality, mass, config=config.measure)
        values = {
            key: [
                measured[key].status,
                None if measured[key].value is None else round(measured[key].value, 2),
            ]
            for key in KEYS
        }
        rows.append({"state": mass.state, "side": mass.side, "levels": list(mass.levels), "measured": values})
    truth = [
        {"side": m["side"], "levels": m["levels"], "volume_ml": round(m["volume_ml"], 2)}
        for m in made.truth["masses"]
        if m["in_view"]
    ]
    return {"outcome": outcome, "masses": rows, "truth": truth}


if __name__ == "__main__":
    found = {name: run_case(spec) for name, spec in CASES.items()}
    EXPECTED.parent.mkdir(exist_ok=True)
    EXPECTED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
