"""Contrast phase, calibration and metal."""

from __future__ import annotations

import numpy as np
import pytest

from paraspinal.config import QualityConfig, load_config
from paraspinal.quality import assess_quality, metal_ml
from paraspinal.quality.phase import contrast_phase
from paraspinal.volume import Acquisition, CTVolume, Geometry


@pytest.mark.parametrize(
    ("aorta", "agent", "description", "phase", "enhanced"),
    [
        (42.0, None, None, "unenhanced", False),
        (42.0, "ULTRAVIST", None, "indeterminate", None),
        (None, None, "CHEST WITHOUT", "indeterminate", None),
        (85.0, None, None, "indeterminate", None),
        (150.0, "ULTRAVIST", None, "indeterminate", True),
        (150.0, "ULTRAVIST", "ABD PORTAL VENOUS", "portal", True),
        (150.0, None, "ARTERIAL AND PORTAL", "indeterminate", True),
        (350.0, None, None, "aortic", True),
        (42.0, None, "PORTAL", "unenhanced", False),
        (180.0, None, "CT PULMONARY NODULE FOLLOW-UP", "indeterminate", True),
        (180.0, None, "THORACIC AORTA", "indeterminate", True),
        (150.0, None, "LATE SHIFT CHEST", "indeterminate", True),
        (150.0, None, "ARTERIAL", "indeterminate", True),
        (350.0, None, "PORTAL VENOUS", "indeterminate", True),
        (300.0, None, "DELAYED", "indeterminate", True),
        (120.0, None, "DELAYED", "delayed", True),
        (310.0, None, "ARTERIAL", "aortic", True),
    ],
)
def test_phase_is_named_only_on_clear_evidence(
    aorta: float | None, agent: str | None, description: str | None, phase: str, enhanced: bool | None
) -> None:
    header = Acquisition(contrast_agent=agent, series_description=description)
    found = contrast_phase(header, aortic_lumen_hu=aorta, config=QualityConfig())
    assert found[:2] == (phase, enhanced)
    assert found[2].endswith(".")


def _block(hu: np.ndarray, *, kvp: float | None = 120.0) -> CTVolume:
    return CTVolume(hu, Geometry(hu.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), Acquisition(kvp=kvp))


def test_unknown_tube_voltage_widens_the_calibration() -> None:
    hu = np.zeros((3, 64, 64), np.int16)
    assert assess_quality(_block(hu), aortic_lumen_hu=None).calibration_sd_hu == 4.0
    for kvp in (None, 0.0, 80.0, 100.0, 140.0):
        found = assess_quality(_block(hu, kvp=kvp), aortic_lumen_hu=None)
        assert found.calibration_sd_hu == 10.0
        assert not found.at_reference_kvp
    assert assess_quality(_block(hu, kvp=0.0), aortic_lumen_hu=None).kvp is None


def test_the_low_dose_profile_widens_every_density() -> None:
    config = load_config("low-dose")
    hu = np.zeros((3, 64, 64), np.int16)
    found = assess_quality(_block(hu), aortic_lumen_hu=None, config=config.quality)
    assert found.calibration_sd_hu == 6.0


def test_metal_is_counted_in_connected_pieces_only() -> None:
    hu = np.zeros((10, 64, 64), np.int16)
    hu[2:7, 10:15, 10:15] = 3000
    hu[8, 50, 50] = 3000
    assert metal_ml(_block(hu)) == pytest.approx(0.125)
    assert metal_ml(_block(np.zeros((3, 8, 8), np.int16))) == 0.0
