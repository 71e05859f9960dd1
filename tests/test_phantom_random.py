"""Random patients: the same for a seed, as various as people are, and with a truth that agrees with the voxels."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from paraspinal.cli.main import run
from paraspinal.errors import UsageError
from paraspinal.phantom import (
    PatientSpec,
    Phantom,
    PhantomSpec,
    ScannerSpec,
    Wish,
    anatomy_suite,
    make_phantom,
    random_spec,
    structure_masks,
)
from paraspinal.phantom.deform import make_warp
from paraspinal.phantom.labels import NUMBER, rib_number, vertebra_number
from paraspinal.phantom.spine import plan_spine
from phantom_case import centre_lps, voxels

SMALL = Wish(matrix=96, slice_mm=5.0)


def body(
    patient: PatientSpec, *, top: float, bottom: float, scanner: ScannerSpec | None = None
) -> PhantomSpec:
    """Return a noise-free patient from `top` to `bottom` (mm above T12/L1) on a coarse grid."""
    slices = round((top - bottom) / 4.0)
    view = replace(scanner or ScannerSpec(), shift_mm=(0.0, 0.0, (top + bottom) / 2))
    return PhantomSpec(
        shape=(slices, 140, 140),
        spacing_mm=(4.0, 3.0, 3.0),
        levels=("T12", "L1"),
        noise_hu=0.0,
        size_factor=1.0,
        patient=patient,
        scanner=view,
    )


@cache
def made(seed: int, region: str) -> Phantom:
    return make_phantom(random_spec(seed, replace(SMALL, region=region)))


@pytest.fixture(scope="module")
def trunk():
    """A bent, warped patient from the neck to the hips with most variants."""
    patient = PatientSpec(
        scoliosis_deg=20.0,
        kyphosis_deg=45.0,
        rib_pairs=13,
        cervical_ribs=("left",),
        transition="lumbarised_S1",
        arms="down",
        osteophytes=1.0,
        warp_mm=4.0,
        irregular_mm=2.5,
        metal="clip",
    )
    return make_phantom(body(patient, top=330, bottom=-290))


# --- specs ----------------------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_patient_and_another_is_not():
    assert random_spec(5) == random_spec(5)
    assert random_spec(5) != random_spec(6)
    assert json.loads(json.dumps(random_spec(5).to_json()))["patient"]["arms"] in ("up", "down")


def test_a_wish_changes_what_it_names():
    plain, wished = random_spec(5), random_spec(5, Wish(scoliosis_deg=21.0, noise_hu=33.0))
    assert (wished.patient.scoliosis_deg, wished.noise_hu) == (21.0, 33.0)
    assert replace(wished, noise_hu=plain.noise_hu, patient=plain.patient) == plain
    assert replace(wished.patient, scoliosis_deg=plain.patient.scoliosis_deg) == plain.patient


def test_patients_spread_over_what_a_reader_meets():
    specs = [random_spec(seed) for seed in range(300)]
    noise = [s.noise_hu for s in specs]
    assert 8 <= min(noise) < 11
    assert 34 < max(noise) <= 40
    assert {s.spacing_mm[0] for s in specs} >= {0.7, 1.0, 2.0, 5.0}
    assert max(abs(s.patient.scoliosis_deg) for s in specs) <= 25
    assert all(20 <= (s.patient.kyphosis_deg or 0) <= 60 for s in specs)
    assert {s.patient.rib_pairs for s in specs} == {11, 12, 13}
    assert {s.patient.transition for s in specs} == {"none", "sacralised_L5", "lumbarised_S1"}
    assert any("spleen" in s.patient.missing for s in specs)
    # 12.3 % sacralised, 4.0 % lumbarised in the source; 300 draws scatter by 1.9 and 1.1 %.
    share = np.mean([s.patient.transition == "sacralised_L5" for s in specs])
    assert share == pytest.approx(0.123, abs=0.06)


def test_lumbar_ribs_go_with_lumbarisation_not_with_sacralisation():
    specs = [random_spec(k, Wish(transition="lumbarised_S1")) for k in range(60)]
    assert np.mean([s.patient.rib_pairs == 13 for s in specs]) > 0.6
    assert all(random_spec(k, Wish(transition="sacralised_L5")).patient.rib_pairs < 13 for k in range(60))


def test_a_suite_is_dealt_out_evenly():
    suite = anatomy_suite(20, seed=2, matrix=96)
    assert suite == anatomy_suite(20, seed=2, matrix=96)
    assert len({s.phase for s in suite}) == 5
    assert {s.patient.transition for s in suite} == {"none", "sacralised_L5", "lumbarised_S1"}
    assert {s.patient.rib_pairs for s in suite} == {11, 12, 13}
    assert sum(abs(s.patient.scoliosis_deg) >= 10 for s in suite) >= 5
    assert all(s.shape[1:] == (96, 96) for s in suite)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PatientSpec(rib_pairs=10),
        lambda: PatientSpec(scoliosis_deg=80.0),
        lambda: PatientSpec(kyphosis_deg=5.0),
        lambda: random_spec(1, Wish(matrix=8)),
    ],
)
def test_what_cannot_be_made_is_refused(make):
    with pytest.raises(UsageError) as error:
        make()
    assert error.value.code == "phantom_spec_invalid"


# --- the spine ------------------------------------------------------------------------------------------------------


def tilt(vertebra, axis):
    """Return the lean of a vertebra in degrees, towards axis 0 (left) or 1 (back)."""
    up = vertebra.axes[2]
    return np.rad2deg(np.arctan2(up[axis], up[2]))


@pytest.mark.parametrize("cobb", [-25.0, 10.0, 25.0])
def test_the_curve_has_the_cobb_angle_that_was_asked_for(cobb):
    spines = [
        plan_spine(np.random.default_rng(3), size_factor=1.0, patient=PatientSpec(scoliosis_deg=angle))
        for angle in (cobb, 0.0)
    ]
    # Less the slight sway that every spine has.
    lean = np.array([tilt(a, 0) - tilt(b, 0) for a, b in zip(spines[0].free, spines[1].free, strict=True)])
    assert np.ptp(lean) == pytest.approx(abs(cobb), abs=0.12 * abs(cobb))
    apex = spines[0].vertebra("T10").centre[0] - spines[1].vertebra("T10").centre[0]
    assert np.sign(apex - (spines[0].vertebra("T1").centre[0])) == np.sign(cobb)


@pytest.mark.parametrize("kyphosis", [20.0, 40.0, 60.0])
def test_the_chest_is_as_kyphotic_as_asked_for(kyphosis):
    spine = plan_spine(np.random.default_rng(3), size_factor=1.0, patient=PatientSpec(kyphosis_deg=kyphosis))
    angle = tilt(spine.vertebra("T12"), 1) - tilt(spine.vertebra("T4"), 1)
    assert angle == pytest.approx(kyphosis, rel=0.15)


def test_canal_and_vertebrae_lie_where_the_truth_says_in_a_bent_and_warped_body(trunk):
    g, labels = trunk.labels.geometry, trunk.labels.data
    line = np.array(trunk.truth["canal"]["centreline_lps_mm"])
    index = np.rint(g.to_index(line)).astype(int)
    assert (labels[tuple(index.T)] == NUMBER["canal"]).mean() > 0.98
    seen = [v for v in trunk.truth["vertebrae"] if not v["truncated"]]
    assert [v["label"] for v in seen][-3:] == ["L4", "L5", "S1"]
    for v in seen:
        z, y, x = np.rint(g.to_index(v["centroid_lps_mm"])).astype(int)
        assert labels[z, y, x] == v["number"] == vertebra_number(v["label"])


def test_a_warp_moves_points_as_it_moves_voxels():
    z, y, x = np.arange(6.0) * 4, np.arange(60.0) * 3 - 90, np.arange(60.0) * 3 - 90
    warp = make_warp(np.random.default_rng(1), 5.0)
    point = np.array([[20.0, -14.0, 8.0]])
    hu = np.zeros((6, 60, 60), np.float32)
    hu += np.exp(-((x[None, None, :] - 20) ** 2 + (y[None, :, None] + 14) ** 2) / 80).astype(np.float32)
    warp.apply(z, y, x, hu)
    weight = hu[2]
    seen = np.array([(weight.sum(0) * x).sum(), (weight.sum(1) * y).sum()]) / weight.sum()
    assert np.abs(seen - point[0, :2]).max() > 0.5
    assert warp.to_image(point)[0, :2] == pytest.approx(seen, abs=0.7)


# --- variants -------------------------------------------------------------------------------------------------------


def test_thirteenth_and_cervical_ribs_have_labels_of_their_own_beside_their_vertebra(trunk):
    for name, level in (("rib_left_lumbar", "L1"), ("rib_right_lumbar", "L1"), ("rib_left_cervical", "C7")):
        centre = centre_lps(trunk, voxels(trunk, name))
        v = next(v for v in trunk.truth["vertebrae"] if v["label"] == level)
        assert abs(centre[2] - v["centroid_lps_mm"][2]) < 30, name
        assert (centre[0] > v["centroid_lps_mm"][0]) == ("left" in name)
    assert not voxels(trunk, "rib_right_cervical").any()
    assert trunk.truth["variants"] == {
        "rib_pairs": 13,
        "cervical_ribs": ["left"],
        "transition": "lumbarised_S1",
    }


def test_eleven_pairs_leave_the_twelfth_vertebra_bare():
    phantom = make_phantom(body(PatientSpec(rib_pairs=11), top=60, bottom=-40))
    assert (phantom.labels.data == rib_number(11, "left")).any()
    assert not (phantom.labels.data == rib_number(12, "left")).any()
    assert (phantom.labels.data == vertebra_number("T12")).any()


def gap_below(phantom, level):
    levels = {v["label"]: v for v in phantom.truth["vertebrae"]}
    names = list(levels)
    return levels[level]["bottom_mm"] - levels[names[names.index(level) + 1]]["top_mm"]


def test_transitional_vertebrae_differ_where_they_should():
    plain, fused = (
        make_phantom(body(PatientSpec(transition=kind, arms="up"), top=-120, bottom=-260))
        for kind in ("none", "sacralised_L5")
    )
    assert gap_below(fused, "L5") < gap_below(plain, "L5") - 3
    wide = [np.ptp(np.nonzero(p.labels.data == vertebra_number("L5"))[2]) for p in (fused, plain)]
    assert wide[0] >= wide[1]
    touching = []
    for p in (fused, plain):
        low = p.labels.data == vertebra_number("L5")
        sacrum = (p.labels.data == NUMBER["sacrum"]) | (p.labels.data == vertebra_number("S1"))
        touching.append((low[1:] & sacrum[:-1]).sum())
    assert touching[0] > touching[1] + 5


# --- structures -----------------------------------------------------------------------------------------------------


def test_masks_are_given_by_the_names_of_the_anatomy(trunk):
    masks = structure_masks(trunk)
    for name in (
        "body",
        "arms",
        "bone",
        "column",
        "canal",
        "lungs",
        "thoracic_cavity",
        "crura",
        "osteophytes",
    ):
        assert masks[name].any(), name
    assert not (masks["arms"] & masks["body"]).any()
    assert (masks["lungs"] <= masks["thoracic_cavity"]).mean() > 0.999
    assert masks["body"][masks["liver"]].mean() > 0.999
    ml = trunk.labels.geometry.voxel_ml
    assert 200 < masks["psoas_left"].sum() * ml + masks["psoas_right"].sum() * ml < 1500


@pytest.mark.parametrize(
    ("missing", "kept"), [("spleen", "kidney_left"), ("kidney_left", "spleen"), ("kidney_right", "liver")]
)
def test_missing_organs_are_missing(missing, kept):
    masks = structure_masks(make_phantom(body(PatientSpec(missing=(missing,)), top=90, bottom=-90)))
    assert missing not in masks
    assert masks[kept].any()


@pytest.mark.parametrize("region", ["chest", "abdomen_pelvis", "slab"])
def test_random_patients_are_whole_bodies(region):
    phantom = made(11, region)
    labels, g = phantom.labels, phantom.labels.geometry
    assert set(np.unique(labels.data)) <= {0, *labels.names}
    masks = structure_masks(phantom)
    assert masks["body"].mean() > 0.1
    assert ("lungs" in masks) or region != "chest"
    assert ("psoas_left" in masks) or region != "abdomen_pelvis"
    assert {"hip_left", "sacrum"} <= set(phantom.truth["organs"]) or region != "abdomen_pelvis"
    canal = voxels(phantom, "canal")
    assert canal.any(axis=(1, 2)).mean() > 0.9
    assert phantom.volume.hu.shape == g.shape
    again = make_phantom(random_spec(11, replace(SMALL, region=region)))
    assert np.array_equal(again.volume.hu, phantom.volume.hu)
    assert np.array_equal(again.labels.data, labels.data)


def test_airless_lung_and_fluid_are_labelled_apart():
    patient = PatientSpec(consolidation_left=0.4)
    spec = body(patient, top=160, bottom=20)
    spec = replace(spec, organs=replace(spec.organs, effusion_right_mm=40.0))
    phantom = make_phantom(spec)
    solid, fluid = voxels(phantom, "consolidation_left"), voxels(phantom, "effusion_right")
    assert centre_lps(phantom, solid)[0] > 0 > centre_lps(phantom, fluid)[0]
    assert np.median(phantom.volume.hu[solid]) > 20
    assert np.median(phantom.volume.hu[voxels(phantom, "lung_right")]) < -700
    assert not (structure_masks(phantom)["lungs"] & solid).any()


# --- the scan -------------------------------------------------------------------------------------------------------


def test_a_round_field_is_padded_and_says_what_it_cuts():
    spec = body(PatientSpec(), top=140, bottom=100, scanner=ScannerSpec(round_field=True))
    phantom = make_phantom(replace(spec, spacing_mm=(4.0, 1.6, 1.6)))
    padding = phantom.volume.padding
    assert padding is not None
    assert padding.mean() == pytest.approx(1 - np.pi / 4, abs=0.02)
    assert (phantom.volume.hu[padding] == -1024).all()
    assert not phantom.labels.data[padding].any()
    assert {"left", "right"} <= set(phantom.truth["organs"]["muscle"]["truncated"])
    assert "left" not in phantom.truth["organs"]["canal"]["truncated"]


def test_metal_is_dense_and_throws_streaks():
    plain, screws = (
        make_phantom(body(PatientSpec(metal=kind), top=20, bottom=-12)) for kind in ("none", "screws")
    )
    assert screws.volume.hu.max() == 3071
    assert (screws.labels.data == NUMBER["metal"]).any()
    liver = voxels(plain, "liver") & voxels(screws, "liver")
    streaks = screws.volume.hu.astype(float) - plain.volume.hu
    assert streaks[liver].std() > 10
    below = make_phantom(body(PatientSpec(metal="screws"), top=-80, bottom=-112))
    assert not (below.labels.data == NUMBER["metal"]).any()


def test_starved_rays_leave_streaks_along_rows_of_the_shoulders():
    quiet = body(PatientSpec(arms="down"), top=255, bottom=235)
    noisy = [
        make_phantom(replace(quiet, noise_hu=20.0, scanner=replace(quiet.scanner, starvation=strength)))
        for strength in (0.0, 1.0)
    ]
    streaks = noisy[1].volume.hu.astype(float) - noisy[0].volume.hu
    muscle = voxels(noisy[0], "muscle")
    assert streaks[muscle].std() > 8
    along = np.corrcoef(streaks[:, :, 1:][muscle[:, :, 1:]], streaks[:, :, :-1][muscle[:, :, 1:]])[0, 1]
    across = np.corrcoef(streaks[:, 1:][muscle[:, 1:]], streaks[:, :-1][muscle[:, 1:]])[0, 1]
    assert along > 0.8
    assert across < along - 0.25


def test_a_sharp_kernel_has_finer_noise():
    def correlation(kernel):
        spec = body(PatientSpec(), top=40, bottom=8, scanner=ScannerSpec(kernel=kernel))
        spec = replace(spec, spacing_mm=(4.0, 1.0, 1.0), fwhm_mm=1.2, beam_hardening=0.0)
        clean, noisy = make_phantom(spec), make_phantom(replace(spec, noise_hu=20.0))
        noise = (noisy.volume.hu - clean.volume.hu).astype(float)[:, 40:100, 40:100]
        return np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]

    assert correlation("sharp") < correlation("soft") - 0.1


# --- the command line -----------------------------------------------------------------------------------------------


def test_the_command_makes_a_random_patient(tmp_path, capsys):
    out = tmp_path / "p"
    line = ["phantom", "random", "--seed", "4", "-o", str(out), "--shape", "10x64x64", "--spacing", "5,6,6"]
    assert run(line) == 0
    truth = json.loads((out / "truth.json").read_text())
    assert truth["spec"]["patient"] == json.loads(json.dumps(random_spec(4).to_json()))["patient"]
    assert "random" in capsys.readouterr().out
