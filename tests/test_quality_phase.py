"""The contrast phase from several readings: the order in which contrast medium arrives."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from paraspinal.config import QualityConfig
from paraspinal.quality import LumenReadings
from paraspinal.quality.phase import contrast_phase
from paraspinal.volume import Acquisition

CONFIG = QualityConfig()
# Typical readings at 120 kVp: aorta, right heart, liver, renal cortex, medulla, pelvis.
TYPICAL = {
    "unenhanced": (44, 44, 57, 32, 30, 12),
    "pulmonary_arterial": (140, 420, 58, 60, 40, 25),
    "aortic": (340, 220, 68, 160, 70, 40),
    "portal": (155, 150, 110, 190, 165, 120),
    "delayed": (108, 106, 92, 160, 160, 700),
}


def readings(values: tuple[float, ...], *, heart_in_view: bool = True) -> LumenReadings:
    aorta, right, liver, cortex, medulla, pelvis = values
    return LumenReadings(aorta, right, heart_in_view, liver, cortex, medulla, pelvis)


def judged(seen: LumenReadings, *, kvp: float | None = 120.0, description: str | None = None) -> str:
    header = Acquisition(kvp=kvp, series_description=description)
    return contrast_phase(header, lumens=seen, config=CONFIG)[0]


@pytest.mark.parametrize("phase", TYPICAL)
def test_each_phase_is_told_from_what_contrast_medium_has_reached(phase: str) -> None:
    assert judged(readings(TYPICAL[phase])) == phase


@pytest.mark.parametrize("phase", TYPICAL)
@pytest.mark.parametrize("gain", [1.0, 1.25, 1.6])
def test_a_phase_is_never_another_one_whatever_is_out_of_view_or_bright(phase: str, gain: float) -> None:
    """Every subset of the readings, at every tube voltage of that gain: right or indeterminate, never another."""
    kvp = {1.0: 120.0, 1.25: 100.0, 1.6: 80.0}[gain]
    plain = TYPICAL["unenhanced"]
    values = [p + gain * (v - p) for p, v in zip(plain, TYPICAL[phase], strict=True)]
    for keep in product((True, False), repeat=5):
        shown = [values[0], *(v if k else None for v, k in zip(values[1:], keep, strict=True))]
        found = judged(readings(tuple(shown), heart_in_view=True), kvp=kvp)
        assert found in (phase, "indeterminate"), (shown, found)


def test_readings_scatter_without_ever_naming_another_phase() -> None:
    rng = np.random.default_rng(3)
    for phase, typical in TYPICAL.items():
        for _ in range(40):
            dose = rng.uniform(0.8, 1.25)
            plain = np.array(TYPICAL["unenhanced"])
            values = plain + dose * (np.array(typical) - plain) + rng.normal(0, 4, 6)
            assert judged(readings(tuple(values))) in (phase, "indeterminate")


def test_an_early_bolus_with_an_unread_right_heart_is_not_named() -> None:
    """The aorta of a pulmonary embolism scan may be as bright as in the aortic phase."""
    assert judged(LumenReadings(aorta=340.0, heart_in_view=True)) == "indeterminate"
    assert judged(LumenReadings(aorta=340.0, heart_in_view=False)) == "aortic"
    assert judged(LumenReadings(aorta=340.0, right_heart=600.0, heart_in_view=True)) == "pulmonary_arterial"


def test_a_phase_that_hangs_on_an_unknown_tube_voltage_is_not_named() -> None:
    seen = LumenReadings(aorta=300.0)  # aortic at 120 kVp, portal at 80
    assert judged(seen) == "aortic"
    assert judged(seen, kvp=None) == "indeterminate"
    assert judged(LumenReadings(aorta=420.0), kvp=None) == "aortic"


def test_the_description_agrees_or_makes_the_phase_indeterminate() -> None:
    portal = readings(TYPICAL["portal"])
    assert judged(portal, description="ABDOMEN PORTAL VENOUS") == "portal"
    assert judged(portal, description="ARTERIAL") == "indeterminate"
    unclear = LumenReadings(aorta=150.0)
    assert judged(unclear) == "indeterminate"
    assert judged(unclear, description="PORTAL VENOUS") == "portal"


def test_the_evidence_names_every_reading() -> None:
    text = contrast_phase(Acquisition(kvp=120.0), lumens=readings(TYPICAL["portal"]), config=CONFIG)[2]
    for words in (
        "aortic lumen 155 HU",
        "liver 110 HU",
        "renal pelvis 120 HU",
        "header names no contrast agent",
    ):
        assert words in text
