"""Masses lie where the spec says, look as it says, and do to bone what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from paraspinal.phantom import Foci, MassSpec, make_phantom
from paraspinal.phantom.patient import PatientSpec
from paraspinal.phantom.presets import COARSE_BONE
from phantom_case import around, fast_preset, one_mass, voxels

SPHERE_ML = 4 / 3 * np.pi * 1.5**3


def ball(side="right", level="T9", **changes):
    return replace(MassSpec(side, level, (15.0, 15.0, 15.0)), **changes)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("level", ["T5", "T8", "T11", "L1"])
def test_mass_lies_at_its_side_and_level_and_touches_its_vertebra(side, level):
    phantom = one_mass(ball(side, level))
    truth = phantom.truth["masses"][0]
    vertebra = next(v for v in phantom.truth["vertebrae"] if v["label"] == level)
    x = truth["centroid_lps_mm"][0] - vertebra["centroid_lps_mm"][0]
    assert (x > 8) == (side == "left")
    assert abs(x) > 8
    assert abs(truth["centroid_lps_mm"][2] - vertebra["centroid_lps_mm"][2]) < 5
    # Bone, aorta and chest wall displace a part of the sphere, never most of it.
    assert 0.6 * SPHERE_ML < truth["volume_ml"] < 1.02 * SPHERE_ML
    to_bone = ndimage.distance_transform_edt(
        ~voxels(phantom, f"vertebrae_{level}"), sampling=phantom.labels.geometry.spacing_mm
    )
    assert to_bone[phantom.masses.data == 1].min() < 4.0


def test_labels_and_masses_exclude_each_other():
    phantom = fast_preset("emh")
    assert set(np.unique(phantom.masses.data)) == {0, 1, 2}
    assert not phantom.labels.data[phantom.masses.data > 0].any()


def test_article_case_is_bilateral_lower_thoracic_uncalcified_and_well_defined():
    truth = fast_preset("emh").truth["masses"]
    assert [m["side"] for m in truth] == ["right", "left"]
    for mass in truth:
        assert mass["levels"][0] in ("T7", "T8", "T9")
        assert mass["levels"][1] in ("T10", "T11")
        assert mass["volume_ml"] > 35
        assert mass["low_density_foci"] >= 4
        assert mass["calcifications"] == 0
        assert mass["margin"] == "well"
        assert mass["bone"] == "none"
        assert not mass["cut"]


def test_mass_displaces_lung_and_leaves_the_rest_of_the_body_alone():
    mass = ball()
    with_mass, without = one_mass(mass), make_phantom(around("T9"))
    here = with_mass.masses.data == 1
    assert (voxels(without, "lung_right") & here).sum() > 0.5 * here.sum()
    far = ndimage.distance_transform_edt(~here, sampling=with_mass.labels.geometry.spacing_mm) > 8
    assert np.array_equal(with_mass.labels.data[far], without.labels.data[far])
    assert np.abs(with_mass.volume.hu[far].astype(int) - without.volume.hu[far]).max() <= 2


def test_contents_of_a_mass_have_their_attenuation():
    mass = MassSpec(
        "right",
        "T9",
        (24.0, 20.0, 26.0),
        low_density=Foci(2, 12.0, -30.0),
        fat=Foci(1, 10.0, 0.0),
        calcification=Foci(2, 6.0, 600.0),
    )
    phantom = make_phantom(
        replace(around("T9"), spacing_mm=(2.5, 1.2, 1.2), shape=(26, 256, 256), masses=(mass,))
    )
    hu = phantom.volume.hu[phantom.masses.data == 1]
    assert abs(np.median(hu) - mass.hu) < 5
    assert hu.max() > 300
    inner = ndimage.binary_erosion(phantom.masses.data == 1, iterations=2)
    assert phantom.volume.hu[inner].min() < -40
    low = phantom.truth["masses"][0]["low_density_lps_mm"]
    assert len(low) == 2
    for point in low:
        z, y, x = np.rint(phantom.volume.geometry.to_index(point)).astype(int)
        patch = phantom.volume.hu[z, y - 1 : y + 2, x - 1 : x + 2]
        assert patch.mean() == pytest.approx(mass.hu - 30, abs=10)


def test_ill_defined_margin_is_wider_than_a_sharp_one():
    def between(edge_width_mm):
        phantom = one_mass(ball(edge_width_mm=edge_width_mm, offset_mm=(6.0, 0.0, 0.0)))
        shell = ndimage.binary_dilation(phantom.masses.data == 1, iterations=3)
        hu = phantom.volume.hu[shell]
        return ((hu > -650) & (hu < -100)).sum()

    assert between(9.0) > 1.25 * between(0.0)


def test_mass_without_effect_leaves_bone_whole_and_a_lytic_one_removes_it():
    kept, gone = (
        one_mass(MassSpec("left", "T11", (18.0, 16.0, 16.0), overlap_mm=13.0, bone=bone))
        for bone in ("none", "lytic")
    )
    plain = make_phantom(around("T11"))
    volume = [voxels(p, "vertebrae_T11").sum() for p in (plain, kept, gone)]
    assert volume[0] == volume[1]
    assert volume[2] < 0.93 * volume[0]


def test_scalloping_keeps_a_cortex_that_lysis_does_not():
    rim = {}
    for bone in ("scalloping", "lytic"):
        phantom = one_mass(MassSpec("left", "T9", (18.0, 16.0, 16.0), overlap_mm=10.0, bone=bone))
        beside = ndimage.binary_dilation(phantom.masses.data == 1) & voxels(phantom, "vertebrae_T9")
        rim[bone] = phantom.volume.hu[beside].mean()
    assert rim["scalloping"] > rim["lytic"] + 80


def test_dumbbell_reaches_into_the_canal():
    phantom = one_mass(MassSpec("right", "T8", (17.0, 16.0, 19.0), bone="foramen", offset_mm=(4, 0, -9)))
    plain = make_phantom(around("T8"))
    mass = phantom.masses.data == 1
    assert (mass & voxels(plain, "canal")).sum() * phantom.labels.geometry.voxel_ml > 0.05
    assert (mass & voxels(plain, "foramen")).sum() > 0


def trabecular(phantom, level="T9"):
    """Return the block of voxels well inside a vertebral body."""
    g = phantom.volume.geometry
    centre = next(v["centroid_lps_mm"] for v in phantom.truth["vertebrae"] if v["label"] == level)
    z, y, x = np.rint(g.to_index(centre)).astype(int)
    n = np.rint(np.array([6.0, 7.0, 8.0]) / g.spacing_mm).astype(int)
    return phantom.volume.hu[
        z - n[0] : z + n[0] + 1, y - n[1] : y + n[1] + 1, x - n[2] : x + n[2] + 1
    ].astype(float)


def test_coarse_trabeculae_are_resolved_vertical_columns():
    grid = {"shape": (24, 240, 240), "spacing_mm": (1.0, 0.8, 0.8)}
    coarse = trabecular(make_phantom(around("T9", bone=COARSE_BONE, **grid)))
    normal = trabecular(make_phantom(around("T9", **grid)))
    assert abs(coarse.mean() - normal.mean()) < 60
    assert coarse.std() > 2 * normal.std()

    def correlation(block, axis, lag):
        a = np.take(block, range(block.shape[axis] - lag), axis).ravel()
        b = np.take(block, range(lag, block.shape[axis]), axis).ravel()
        return np.corrcoef(a, b)[0, 1]

    # 2 mm along the column a strut goes on; 1.6 mm across it, it has ended.
    assert correlation(coarse, 0, 2) > correlation(coarse, 2, 2) + 0.2


@pytest.mark.parametrize("area", [75.0, 95.0])
def test_a_tongue_runs_into_the_canal_and_leaves_bone_whole(area):
    grid = {"shape": (32, 160, 160), "spacing_mm": (1.5, 0.9, 0.9)}
    masses = (MassSpec("left", "T9", (14.0, 13.0, 16.0), bone="canal", canal_mm2=area),)
    phantom = make_phantom(around("T9", masses=masses, **grid))
    plain = make_phantom(around("T9", **grid))
    assert phantom.truth["masses"][0]["canal_extension_mm2"] == pytest.approx(area, rel=0.35)
    mass = phantom.masses.data == 1
    assert (mass & voxels(plain, "canal")).any()
    assert not (mass & voxels(plain, "vertebrae_T9")).any()


def test_what_surrounds_the_dural_sac_is_fat_unless_the_patient_is_lean():
    middle = {
        share: make_phantom(around("T9", patient=PatientSpec(epidural_fat=share))).volume.hu
        for share in (1.0, 0.0)
    }
    labels = make_phantom(around("T9"))
    foramen = voxels(labels, "foramen")
    assert np.median(middle[1.0][foramen]) < np.median(middle[0.0][foramen]) - 30.0
