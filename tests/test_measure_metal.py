"""Metal takes its vertebrae out of every measure of bone, and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anatomy_case import anatomy, phantom
from paraspinal.config import MeasureConfig
from paraspinal.measure import measure_vertebrae
from paraspinal.measure.bones import survey_bones
from paraspinal.measure.metal import REASON, metal_levels
from paraspinal.quality import assess_quality
from paraspinal.volume import CTVolume

LEVEL = "T10"


def _with_screw(hu: int, ml: float) -> CTVolume:
    """The healthy body with a rod of that density and size through the body of T10."""
    volume = phantom("healthy").volume
    vertebra = next(v for v in anatomy("healthy").vertebrae if v.label == LEVEL)
    z, y, x = np.rint(volume.geometry.to_index(np.array([vertebra.centroid_lps_mm]))[0]).astype(int)
    count = max(1, round(ml / volume.geometry.voxel_ml))
    changed = volume.hu.copy()
    changed[z, y, x - count // 2 : x - count // 2 + count] = hu
    return replace(volume, hu=changed)


def test_vertebrae_with_metal_are_left_out_of_all_measures() -> None:
    volume = _with_screw(3000, 0.2)
    quality = assess_quality(volume)
    assert metal_levels(volume, anatomy("healthy"), quality) == {LEVEL}
    bones = survey_bones(volume, anatomy("healthy"), quality, ())
    assert LEVEL not in {wall.label for wall in bones.walls.walls}
    assert LEVEL not in {foramen.label for foramen in bones.foramina.each}
    read = measure_vertebrae(volume, anatomy("healthy"), quality, config=MeasureConfig(), walls=bones.walls)
    assert all((m.status, m.reason) == ("not_assessed", REASON) for m in read[LEVEL].values())
    others = [m["trabecular_hu"] for label, m in read.items() if label not in (LEVEL, "T7")]
    assert [m.status for m in others].count("measured") >= 3


def test_dense_bone_and_specks_are_no_metal() -> None:
    for hu, ml in ((2000, 0.5), (3000, 0.01)):
        volume = _with_screw(hu, ml)
        assert metal_levels(volume, anatomy("healthy"), assess_quality(volume)) == frozenset()
