"""Ribs: their width beside the spine, and ballooned ones."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from paraspinal.anatomy import Anatomy, segment_anatomy
from paraspinal.config import load_config
from paraspinal.differential.derive_patient import patient_findings
from paraspinal.measure.rib import measure_rib_width, rib_widths
from paraspinal.phantom import PhantomSpec, make_phantom
from paraspinal.phantom.patient import PatientSpec
from paraspinal.quality import assess_quality
from paraspinal.result import Measurement
from paraspinal.volume import CTVolume

CONFIG = load_config("default").measure
DRAWN_MM = 2.0 * 3.3 * np.sqrt(1.75)  # the circle of a rib's elliptic section


@cache
def _chest(scale: float) -> tuple[CTVolume, Anatomy]:
    spec = PhantomSpec(
        name="ribs",
        seed=7,
        shape=(84, 230, 300),
        spacing_mm=(2.4, 1.25, 1.25),
        patient=PatientSpec(rib_scale=scale),
    )
    volume = make_phantom(spec).volume
    return volume, segment_anatomy(volume)


@pytest.mark.parametrize("scale", [1.0, 1.8])
def test_ribs_are_as_wide_as_drawn(scale: float) -> None:
    widths = [r.width_mm for r in rib_widths(*_chest(scale))]
    assert len(widths) >= 5
    assert np.median(widths) == pytest.approx(scale * DRAWN_MM, abs=0.6)
    assert np.std(widths) < 0.06 * np.median(widths)


def test_ballooned_ribs_are_told_and_healthy_ones_are_none() -> None:
    volume, anatomy = _chest(1.0)
    m = measure_rib_width(volume, anatomy, assess_quality(volume), CONFIG)
    assert m.status == "measured"
    assert m.value - 1.96 * m.uncertainty.combined <= DRAWN_MM <= m.value + 1.96 * m.uncertainty.combined
    told = {f.name: f.state for f in patient_findings({"rib_width_mm": m}, {})}
    assert told["rib_expansion"] == "absent"
    wide = Measurement.measured(1.8 * DRAWN_MM, "mm", type_a=0.2)
    told = {f.name: f.state for f in patient_findings({"rib_width_mm": wide}, {})}
    assert told["rib_expansion"] == "present"


def test_too_few_ribs_are_not_assessed() -> None:
    volume, anatomy = _chest(1.0)
    m = measure_rib_width(volume, replace(anatomy, ribs=anatomy.ribs[:3]), assess_quality(volume), CONFIG)
    assert m.status == "not_assessed"
    assert "ribs" in m.reason
