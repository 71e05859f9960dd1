"""Coarse trabeculae: noise beside the body, blur, focal change, and bone drawn by a foam."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from measure_scene import Scene, correlated_noise, quality_of, vertebral_cylinder
from paraspinal.anatomy import Anatomy, segment_anatomy
from paraspinal.config import MeasureConfig
from paraspinal.differential import patient_findings
from paraspinal.loading import load_series
from paraspinal.measure import measure_vertebrae
from paraspinal.measure.band_noise import band_pass, noise_beside
from paraspinal.phantom.hybrid.marrow import insert_trabeculae
from paraspinal.phantom.trabeculae import HAEMANGIOMA, TrabecularSpec, trabecular_tile, voxel_tile
from paraspinal.quality import assess_quality
from paraspinal.quality.resolution import edge_response
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurements
from paraspinal.validation.draw_trabeculae import draw_trabeculae
from paraspinal.validation.trabeculae import area_under_curve, scanner_quality, trabecular_table
from paraspinal.volume import CTVolume

CONFIG = MeasureConfig()
OUTER, INNER = vertebral_cylinder(17.0, 13.0), vertebral_cylinder(16.0, 12.3)
BAND = CONFIG.coarsening_band_mm
FINE = TrabecularSpec(0.85, 180.0, 20.0)
THIN = TrabecularSpec(1.2, 80.0, -30.0, stretch=1.8, plates=0.05, missing=0.1, missing_across=0.6)


def coarse(spacing_mm: float) -> TrabecularSpec:
    return TrabecularSpec(spacing_mm, 150.0, 45.0, stretch=1.6, plates=0.25, missing_across=0.3)


@lru_cache(maxsize=16)
def _scan(
    structure: TrabecularSpec, dz: float = 1.0, noise: float = 15.0, seed: int = 0
) -> tuple[Scene, CTVolume]:
    """Return a vertebra in soft tissue whose interior holds the structure, scanned with 1.2 mm FWHM."""
    scene = Scene(
        paint=((OUTER, 900.0), (INNER, 0.0)),
        vertebra=OUTER,
        extent_mm=(36.0, 84.0, 84.0),
        spacing=(dz, 0.7, 0.7),
        background=45.0,
        seed=seed,
    )
    plain = scene.volume()
    z, y, x = np.moveaxis(plain.geometry.to_lps(np.moveaxis(np.indices(plain.hu.shape), 0, -1)), -1, 0)[::-1]
    tile = voxel_tile(replace(structure, seed=seed), (0.25, 0.7, 0.7))
    sheets = [tile.at(*(a.astype(np.float32) for a in (x, y, z + d))) for d in (np.arange(4) - 1.5) * dz / 4]
    sigma = scene.fwhm_mm / 2.3548 / 0.7
    inside = ndimage.gaussian_filter(np.mean(sheets, axis=0), (0.0, sigma, sigma))
    share = np.clip((15.5 - np.hypot(x, y)) / 0.7, 0.0, 1.0) * (np.abs(z) < 12.0)
    hu = plain.hu + share * (inside - plain.hu) + correlated_noise(plain.geometry, noise, 1.2, seed + 50)
    return scene, replace(plain, hu=np.rint(hu).astype(np.int16))


def _read(structure: TrabecularSpec, **scan: float) -> Measurements:
    scene, volume = _scan(structure, **scan)
    quality = quality_of(scene, noise_sd_hu=scan.get("noise", 15.0))
    return measure_vertebrae(volume, scene.anatomy(volume), quality, config=CONFIG)["T10"]


def _index(structure: TrabecularSpec, **scan: float) -> float:
    m = _read(structure, **scan)["coarsening_index"]
    assert m.status in {"measured", "below_detection_limit"}, m.reason
    return m.value or 0.0


# ---- the drawn bone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", [FINE, THIN, coarse(3.0), HAEMANGIOMA])
def test_the_foam_has_the_stated_density(structure: TrabecularSpec) -> None:
    assert trabecular_tile(structure).hu.mean() == pytest.approx(structure.mean_hu, abs=1.0)


def test_struts_are_as_far_apart_as_stated() -> None:
    """Without plates and gaps the columns that a plane cuts have the density of the stated spacing."""
    structure = TrabecularSpec(3.0, 120.0, 40.0, stretch=6.0, plates=0.0, missing=0.0, missing_across=1.0)
    tile = trabecular_tile(structure)
    struts = [ndimage.label(section > 900.0)[1] for section in tile.hu[::9]]
    area = tile.hu[0].size * tile.step_mm[1] * tile.step_mm[2]
    assert (area / np.mean(struts)) ** 0.5 == pytest.approx(3.0, rel=0.3)


# ---- noise and blur ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [10.0, 30.0])
def test_noise_is_read_beside_the_body_where_vessels_run_upwards(noise: float) -> None:
    _, volume = _scan(coarse(3.0), noise=noise)
    columns = np.hypot((np.arange(120) % 20 - 10)[:, None], (np.arange(120) % 20 - 10)[None]) < 3
    hu = volume.hu.copy()
    hu[:, :30, :] += (40 * columns[:30]).astype(np.int16)  # the same in every slice
    box = (slice(8, 28), slice(35, 85), slice(35, 85))
    true = correlated_noise(volume.geometry, noise, 1.2, 3)
    expected = np.mean(
        [band_pass(t.astype(np.float32), BAND, volume.geometry.spacing_mm).var() for t in true]
    )
    read = noise_beside(replace(volume, hu=hu), box, BAND)
    assert read == pytest.approx(expected, rel=0.35)


def test_added_noise_leaves_the_index() -> None:
    scene, volume = _scan(coarse(2.0))
    more = volume.hu + np.rint(correlated_noise(volume.geometry, 15.0, 1.2, 9)).astype(np.int16)
    plain, noisy = (
        measure_vertebrae(v, scene.anatomy(volume), quality_of(scene), config=CONFIG)["T10"][
            "coarsening_index"
        ]
        for v in (volume, replace(volume, hu=more))
    )
    assert noisy.value == pytest.approx(plain.value, rel=0.1)
    assert noisy.detection_limit > plain.detection_limit


def test_thick_slices_leave_the_index() -> None:
    thin, thick = (_index(coarse(3.0), dz=dz) for dz in (1.0, 2.0))
    assert thick == pytest.approx(thin, rel=0.25)


def test_a_kernel_that_overshoots_transfers_more_than_its_edge_is_wide() -> None:
    """True transfer of the phantom's sharp kernel: a Gaussian of the stated width and an unsharp mask."""
    _, spec = draw_trabeculae(0, 5)
    for kernel, gain in (("soft", 1.0), ("sharp", 1.0 + 0.7 * (1.0 - np.exp(-2 * (np.pi * 1.1 / 3.0) ** 2)))):
        read = scanner_quality(replace(spec, fwhm_mm=1.3, scanner=replace(spec.scanner, kernel=kernel)))
        true = gain * np.exp(-2 * (np.pi * 1.3 / 2.3548 / 3.0) ** 2)
        assert read.structure_transfer == pytest.approx(true, rel=0.08)


def test_no_edges_give_no_transfer() -> None:
    _, volume = _scan(FINE)
    assert edge_response(volume).transfer is None


# ---- what is coarse ------------------------------------------------------------------------------------------------


def test_dose_response_over_strut_spacing() -> None:
    index = [_index(coarse(s)) for s in (1.5, 2.0, 3.0, 4.0)]
    assert index == sorted(index)
    assert index[-1] > 2.0 * index[0]


def _state(*bodies: Measurements) -> tuple[str, str | None]:
    found = patient_findings({}, {f"T{8 + k}": m for k, m in enumerate(bodies)})
    finding = next(f for f in found if f.name == "trabecular_coarsening")
    return finding.state, finding.reason


def test_healthy_and_osteoporotic_bone_are_not_coarse() -> None:
    for structure in (FINE, THIN):
        assert _state(*[_read(structure)] * 3)[0] == "absent"
    assert _state(*[_read(coarse(3.0))] * 3)[0] == "present"


def test_one_haemangioma_is_focal() -> None:
    normal, focal = _read(FINE), _read(HAEMANGIOMA)
    assert focal["coarsening_index"].value > 1.5
    assert focal["vertical_persistence"].value > normal["vertical_persistence"].value + 0.2
    state, reason = _state(normal, focal, normal)
    assert state == "absent"
    assert "T9" in reason
    assert _state(normal, focal)[0] != "present"


def test_a_small_region_is_not_judged() -> None:
    scene, volume = _scan(FINE)
    strict = CONFIG.model_copy(update={"coarsening_min_ml": 50.0})
    m = measure_vertebrae(volume, scene.anatomy(volume), quality_of(scene), config=strict)["T10"]
    assert m["coarsening_index"].status == "not_assessed"
    assert m["trabecular_hu"].status == "measured"


# ---- the suite -----------------------------------------------------------------------------------------------------


def test_the_area_under_the_curve_counts_ties_half() -> None:
    assert area_under_curve([1.0, 2.0], [0.0, 1.0]) == pytest.approx(3.5 / 4)
    assert area_under_curve([], [1.0]) is None


def _row(kind: str, state: str, index: float, **more: object) -> dict[str, object]:
    row = {"kind": kind, "state": state, "index": {"T9": index}, "spacing_mm": 3.0, "noise_hu": 12.0}
    return {"trabeculae": row | {"kernel": "soft", "slice_mm": 1.0, "haemangiomas": []} | more}


def test_the_table_counts_doubt_as_neither_found_nor_false() -> None:
    rows = [_row("coarse", "present", 1.4), _row("coarse", "indeterminate", 0.85)]
    rows += [_row("healthy", "absent", 0.3), _row("osteoporosis", "not_assessed", 0.0)]
    text = trabecular_table(rows)
    assert "| all | 1/2 = 50%" in text
    assert "| osteoporosis | 0 of 1 | – | 0 | – |" in text
    assert "all spacings 1.000 (n = 2 and 1)" in text


def test_cases_are_the_same_for_the_same_seed() -> None:
    assert draw_trabeculae(7, 3) == draw_trabeculae(7, 3)
    assert draw_trabeculae(7, 3) != draw_trabeculae(7, 4)


# ---- real scans ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _chest(folder: Path) -> tuple[CTVolume, Anatomy, ScanQuality]:
    volume = load_series(folder / "ct" / "lidc-0314.zip").volume
    return volume, segment_anatomy(volume), assess_quality(volume)


@pytest.mark.realdata
def test_a_real_chest_is_not_coarse_and_noise_leaves_it(real_data: Path) -> None:
    volume, anatomy, quality = _chest(real_data)
    plain = measure_vertebrae(volume, anatomy, quality, config=CONFIG)
    assert _state(*plain.values())[0] == "absent"
    rng = np.random.default_rng(4)
    hu = np.rint(volume.hu + 10.0 * rng.standard_normal(volume.hu.shape, dtype=np.float32)).astype(np.int16)
    noisy = measure_vertebrae(replace(volume, hu=hu), anatomy, quality, config=CONFIG)
    read = {k: m["coarsening_index"].value for k, m in plain.items() if m["coarsening_index"].value}
    assert len(read) >= 6
    for level, value in read.items():
        assert noisy[level]["coarsening_index"].value == pytest.approx(value, rel=0.1)


@pytest.mark.realdata
def test_coarse_bone_put_into_a_real_chest_is_found_where_it_is(real_data: Path) -> None:
    volume, anatomy, quality = _chest(real_data)
    levels = ("T6", "T8", "T10", "T12")
    made = insert_trabeculae(volume, anatomy, quality, levels, coarse(3.0), seed=1)
    read = measure_vertebrae(made, anatomy, quality, config=CONFIG)
    index = {k: m["coarsening_index"].value for k, m in read.items() if m["coarsening_index"].value}
    assert min(index[level] for level in levels) > 1.1
    assert max(value for level, value in index.items() if level not in levels) < 0.95
    osteoporotic = insert_trabeculae(volume, anatomy, quality, levels, THIN, seed=1)
    read = measure_vertebrae(osteoporotic, anatomy, quality, config=CONFIG)
    assert max(read[level]["coarsening_index"].value or 0.0 for level in levels) < 0.85
