"""The gates: what a scan must offer, the same in code and docs."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pytest

from measure_scene import Scene, ball, quality_of, vertebral_cylinder
from paraspinal.config import MeasureConfig
from paraspinal.measure import measure_mass, measure_patient, measure_vertebrae
from paraspinal.measure.gates import GATES, limits_table, why_not
from paraspinal.quality.types import ScanQuality

DOCS = Path(__file__).parents[1] / "docs" / "limits.md"
GOOD = ScanQuality(
    noise_sd_hu=12.0,
    edge_fwhm_mm=1.3,
    contrast_phase="unenhanced",
    contrast_evidence="aorta 45 HU",
    kvp=120.0,
    calibration_sd_hu=4.0,
    metal_ml=0.0,
)


def _why(key: str, quality: ScanQuality = GOOD, slice_mm: float = 1.0) -> str | None:
    return why_not(key, quality, MeasureConfig(), slice_mm=slice_mm)


def test_the_page_shows_the_table_that_the_code_applies():
    assert limits_table(MeasureConfig()) in DOCS.read_text(encoding="utf-8")


def test_a_good_unenhanced_scan_carries_all_but_what_needs_contrast():
    refused = {key for keys in GATES for key in keys.split(", ") if _why(key)}
    assert refused == {"post_contrast_attenuation_hu", "rim_contrast_hu"}


def test_slices_resolution_and_tube_voltage_close_gates_at_their_limit():
    assert _why("coarsening_index", slice_mm=3.0) is None
    assert "3 mm" in (_why("coarsening_index", slice_mm=3.1) or "")
    assert "2.5 mm" in (_why("bone_interface_without_cortex_fraction", slice_mm=3.0) or "")
    assert "2.2 mm" in (_why("coarsening_index", replace(GOOD, edge_fwhm_mm=2.4)) or "")
    assert _why("well_defined_fraction", replace(GOOD, edge_fwhm_mm=None))
    assert _why("fluid_compatible_score", replace(GOOD, noise_sd_hu=None))
    assert "120 kVp" in (_why("diffuse_hyperattenuation_fraction", replace(GOOD, kvp=80.0)) or "")


@pytest.mark.parametrize("phase", ["portal", "indeterminate"])
def test_unenhanced_only_means_known_to_be_unenhanced(phase):
    scan = replace(GOOD, contrast_phase=phase, contrast_evidence="aorta 110 HU")
    assert _why("diffuse_hyperattenuation_fraction", scan)
    assert (_why("rim_contrast_hu", scan) is None) == (phase == "portal")


def test_a_measure_without_a_gate_is_an_error_not_a_pass():
    with pytest.raises(KeyError):
        _why("no_such_measure")


def test_every_gate_names_keys_of_the_measurements_page():
    page = (DOCS.parent / "measurements.md").read_text(encoding="utf-8")
    for keys in GATES:
        for key in keys.split(", "):
            stem = key.split("*")[0].rstrip("_.")
            assert stem in page, key


def test_every_measure_that_a_result_can_hold_has_a_gate():
    body, mass = vertebral_cylinder(), ball((30.0, 0.0, 0.0), 24.0)
    scene = Scene(paint=((body, 200.0), (mass, 45.0)), mass=mass, vertebra=body)
    volume = scene.volume()
    anatomy, quality, config = scene.anatomy(volume), quality_of(scene), MeasureConfig()
    found = measure_mass(volume, anatomy, quality, scene.candidate(), config=config)
    found |= measure_patient(volume, anatomy, quality, config=config)
    for own in measure_vertebrae(volume, anatomy, quality, config=config).values():
        found |= own
    patterns = [key for keys in GATES for key in keys.split(", ")]
    never = {key for key, m in found.items() if m.reason and "this version" in m.reason}
    assert [k for k in found if k not in never and not any(fnmatch(k, p) for p in patterns)] == []
