"""A dozen synthetic patients read as they did before, and as they truly are."""

from __future__ import annotations

import json

import pytest

from mass_cases import CASES, EXPECTED, run_case

STORED = json.loads(EXPECTED.read_text(encoding="utf-8"))
WITHIN = {"volume_ml": 0.03, "craniocaudal_mm": 0.05, "macroscopic_fat_ml": 0.1, "gas_ml": 0.1}
"""Relative change that another version of a numerical library may make; HU may move by 1, counts not at all."""
A_LEVEL_OFF = ("emh", "schwannoma", "metastasis", "fluid")
"""Two of these reach a vertebra that the scan cuts too short to be listed, the third ends in bone it destroys, and
the fourth is cut off by the scan within the disc below its vertebra."""


def test_every_case_is_stored() -> None:
    assert set(STORED) == set(CASES)
    assert len(CASES) == 12


@pytest.mark.parametrize("name", CASES)
def test_a_case_reads_as_it_did_and_as_it_is(name: str) -> None:
    found, before = run_case(CASES[name]), STORED[name]
    assert found["outcome"] == before["outcome"]
    assert [(m["state"], m["side"], m["levels"]) for m in found["masses"]] == [
        (m["state"], m["side"], m["levels"]) for m in before["masses"]
    ]
    for mass, stored in zip(found["masses"], before["masses"], strict=True):
        for key, (status, value) in stored["measured"].items():
            assert mass["measured"][key][0] == status, key
            if value is not None:
                near = pytest.approx(
                    value, rel=WITHIN.get(key, 0.0), abs=1.0 if key.endswith("_hu") else 1e-9
                )
                assert mass["measured"][key][1] == near, key
    sides = {t["side"] for t in found["truth"]}
    assert sides <= {m["side"] for m in found["masses"]}
    for mass in (m for m in found["masses"] if m["state"] == "present"):
        assert mass["side"] in sides
        known = next(t for t in found["truth"] if t["side"] == mass["side"])
        assert mass["measured"]["volume_ml"][1] == pytest.approx(known["volume_ml"], rel=0.3)
        assert (mass["levels"] == known["levels"]) == (name not in A_LEVEL_OFF)
