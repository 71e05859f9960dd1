"""Masses put into a scan: their size, density, border and noise are what was asked for; the rest stays."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from anatomy_case import anatomy, phantom
from paraspinal.cli.main import run
from paraspinal.dicomio.nifti import write_nifti
from paraspinal.errors import OutputError, UsageError
from paraspinal.loading import load_series
from paraspinal.phantom import Foci, Hybrid, MassSpec, insert_masses, parse_mass, write_hybrid
from paraspinal.phantom.hybrid.cortex import cortex_hu_mm, inside_bone_mm
from paraspinal.phantom.hybrid.site import find_site
from paraspinal.quality import ScanQuality, assess_quality
from paraspinal.volume import BoolArray

# Well off the bone, so that the whole ellipsoid lies in lung.
FREE = MassSpec(
    side="left", level="T9", semi_axes_mm=(14.0, 12.0, 20.0), hu=45.0, offset_mm=(14.0, -4.0, 0.0)
)
BESIDE = MassSpec(side="right", level="T9", semi_axes_mm=(15.0, 14.0, 20.0), hu=45.0)


@cache
def _quality() -> ScanQuality:
    return assess_quality(phantom("healthy").volume)


def _insert(*specs: MassSpec, seed: int = 1) -> Hybrid:
    return insert_masses(phantom("healthy").volume, anatomy("healthy"), _quality(), specs, seed=seed)


def _ellipsoid_ml(spec: MassSpec) -> float:
    return 4 / 3 * np.pi * float(np.prod(spec.semi_axes_mm)) / 1000.0


def test_marrow_that_breaks_through_takes_the_cortex_beside_the_mass_only() -> None:
    kept, broken = (_insert(replace(BESIDE, bone=bone, overlap_mm=4.0)) for bone in ("none", "breakthrough"))
    assert np.array_equal(kept.masses.data, broken.masses.data)
    lost = kept.volume.hu.astype(float) - broken.volume.hu
    beside = ndimage.distance_transform_edt(kept.masses.data != 1, sampling=kept.volume.geometry.spacing_mm)
    assert np.count_nonzero(lost > 100.0) > 100
    assert lost.min() >= -1.0
    assert beside[lost > 10.0].max() <= 5.0
    assert broken.truth["masses"][0]["bone_depth_mm"] == 0.0


def test_a_free_mass_has_its_volume_density_and_noise() -> None:
    made = _insert(FREE)
    known = made.truth["masses"][0]
    assert known["volume_ml"] == pytest.approx(_ellipsoid_ml(FREE), rel=0.03)
    core = ndimage.binary_erosion(made.masses.data == 1, iterations=2)
    inside = made.volume.hu[core].astype(float)
    assert inside.mean() == pytest.approx(45.0, abs=3.0)
    assert inside.std() == pytest.approx(_quality().noise_sd_hu, rel=0.35)
    assert known["centre_level"] == "T9"


def _next_to_each_other(hu: npt.NDArray[np.int16], mask: BoolArray) -> float:
    """Correlation of neighbours along x, slow changes taken out."""
    flat = hu - ndimage.gaussian_filter(np.where(mask, hu, hu[mask].mean()).astype(float), (0, 5, 5))
    pair = mask[:, :, 1:] & mask[:, :, :-1]
    return float(np.corrcoef(flat[:, :, 1:][pair], flat[:, :, :-1][pair])[0, 1])


def test_noise_is_correlated_as_the_scans_own_is() -> None:
    made = _insert(replace(FREE, semi_axes_mm=(18.0, 18.0, 24.0)))
    core = ndimage.binary_erosion(made.masses.data == 1, iterations=2)
    liver = ndimage.binary_erosion(phantom("healthy").labels.mask("liver"), iterations=6)
    own = _next_to_each_other(phantom("healthy").volume.hu, liver)
    assert _next_to_each_other(made.volume.hu, core) == pytest.approx(own, abs=0.12)
    assert own > 0.15  # white noise would not do


@pytest.mark.parametrize("edge", [0.0, 6.0])
def test_the_floor_of_a_hollow_has_as_much_cortex_as_the_wall_beside_it(edge: float) -> None:
    spec = replace(BESIDE, overlap_mm=8.0, bone="scalloping", edge_width_mm=edge)
    eaten, pressed = _insert(replace(spec, bone="lytic", edge_width_mm=0.0)), _insert(spec)
    volume = pressed.volume
    site = find_site(phantom("healthy").volume, anatomy("healthy"), spec)
    own = cortex_hu_mm(
        phantom("healthy").volume.hu[site.box].astype(np.float32), site, spec, volume.geometry.spacing_mm
    )
    added = (volume.hu.astype(float) - eaten.volume.hu)[site.box]
    taken = (eaten.masses.data == 1)[site.box] & (inside_bone_mm(site, volume.geometry.spacing_mm) > 0.5)
    beside = ndimage.distance_transform_edt(~taken, sampling=volume.geometry.spacing_mm)
    deep = (beside < 4.0) & (inside_bone_mm(site, volume.geometry.spacing_mm) > 2.5)
    floor_mm2 = (
        np.count_nonzero(deep & (beside > 0.0) & (beside < 2.0)) * volume.geometry.voxel_ml * 1e3 / 2.0
    )
    laid = float(added[deep & ~taken].sum() + added[deep & taken].clip(0.0).sum())
    assert laid * volume.geometry.voxel_ml * 1e3 / floor_mm2 == pytest.approx(own, rel=0.4)


def test_a_mass_takes_the_place_of_bone_and_may_leave_a_cortex() -> None:
    deep = replace(BESIDE, overlap_mm=8.0)
    kept, eaten, pressed = (_insert(replace(deep, bone=bone)) for bone in ("none", "lytic", "scalloping"))
    taken = (eaten.masses.data == 1) & ~(kept.masses.data == 1)
    inside = ndimage.binary_erosion(taken)
    assert inside.sum() * kept.volume.geometry.voxel_ml > 0.1
    assert kept.volume.hu[inside].mean() > 130.0
    assert eaten.volume.hu[inside].mean() == pytest.approx(45.0, abs=8.0)
    depths = [made.truth["masses"][0]["bone_depth_mm"] for made in (kept, eaten, pressed)]
    assert depths[0] == 0.0
    assert depths[1] == depths[2]
    assert (
        3.0 < depths[1] < 8.0
    )  # no more than the ellipsoid was sunk in, and it is blunt where it meets the body
    floor = (
        ndimage.binary_dilation(taken, iterations=1) & ~(eaten.masses.data == 1) & ~(kept.masses.data == 1)
    )
    assert pressed.volume.hu[floor].mean() > eaten.volume.hu[floor].mean() + 80.0


def test_what_is_far_and_what_is_bone_stays() -> None:
    volume = phantom("healthy").volume
    made = _insert(BESIDE)
    mass = made.masses.data == 1
    far = ~ndimage.binary_dilation(mass, iterations=35)
    assert np.array_equal(made.volume.hu[far], volume.hu[far])
    dense = volume.hu > 500
    assert np.abs(made.volume.hu[dense].astype(float) - volume.hu[dense]).mean() < 2.0
    assert (mass & dense).sum() < 0.005 * mass.sum()
    assert not (mass & phantom("healthy").labels.mask("canal")).any()


def test_the_border_is_as_blurred_as_the_scan() -> None:
    sharp, dull = (
        insert_masses(
            phantom("healthy").volume, anatomy("healthy"), replace(_quality(), edge_fwhm_mm=f), [FREE], seed=1
        )
        for f in (1.0, 4.0)
    )

    def partial(made: Hybrid) -> float:
        hu = made.volume.hu.astype(float)
        near = ndimage.binary_dilation(made.masses.data == 1, iterations=3)
        return float(((hu > -700) & (hu < -100) & near).sum())

    assert partial(dull) > 1.5 * partial(sharp)


@pytest.mark.parametrize("shape", ["ellipsoid", "lobulated", "fusiform", "dumbbell"])
def test_every_shape_is_made_on_its_side(shape: str) -> None:
    made = _insert(replace(BESIDE, shape=shape, semi_axes_mm=(14.0, 14.0, 26.0)))
    known = made.truth["masses"][0]
    assert known["side"] == "right"
    assert (
        0.25 * 4 / 3 * np.pi * 14 * 14 * 26 / 1000
        < known["volume_ml"]
        < 1.2 * 4 / 3 * np.pi * 14 * 14 * 26 / 1000
    )
    assert known["centroid_lps_mm"][0] < anatomy("healthy").centreline_lps_mm[:, 0].mean()


def test_contents_change_density() -> None:
    plain = _insert(FREE)
    with_foci = _insert(
        replace(
            FREE,
            low_density=Foci(1, 10.0, -60.0),
            calcification=Foci(2, 4.0, 600.0),
        )
    )
    core = ndimage.binary_erosion(plain.masses.data == 1, iterations=2)
    difference = with_foci.volume.hu[core].astype(float) - plain.volume.hu[core]
    assert (difference > 250).sum() > 5
    assert (difference < -35).sum() * plain.volume.geometry.voxel_ml > 0.2
    assert with_foci.truth["masses"][0]["foci"]["calcification"]["count"] == 2


def test_the_same_seed_gives_the_same_voxels() -> None:
    a, b, c = _insert(BESIDE, seed=3), _insert(BESIDE, seed=3), _insert(BESIDE, seed=4)
    assert np.array_equal(a.volume.hu, b.volume.hu)
    assert not np.array_equal(a.volume.hu, c.volume.hu)


def test_two_masses_keep_their_numbers() -> None:
    made = _insert(BESIDE, replace(BESIDE, side="left"))
    assert [m["side"] for m in made.truth["masses"]] == ["right", "left"]
    assert set(np.unique(made.masses.data)) == {0, 1, 2}


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (replace(BESIDE, level="S1"), "hybrid_level_outside"),
        (replace(BESIDE, bone="foramen"), "hybrid_bone_effect"),
        (replace(BESIDE, offset_mm=(-22.0, -12.0, 0.0), semi_axes_mm=(3.0, 3.0, 3.0)), "hybrid_no_room"),
    ],
)
def test_what_cannot_be_is_refused(spec: MassSpec, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        _insert(spec)
    assert caught.value.code == code


def test_masses_are_read_from_text_and_file(tmp_path: Path) -> None:
    spec = parse_mass(
        "side=left, level=t9, size=30x26x40, hu=35, shape=lobulated, low=3x8x-25, fat=2x10, rim=70"
    )
    assert spec.semi_axes_mm == (15.0, 13.0, 20.0)
    assert spec.low_density == Foci(3, 8.0, -25.0)
    assert spec.fat == Foci(2, 10.0, 0.0)
    assert (spec.rim_hu, spec.level, spec.shape) == (70.0, "T9", "lobulated")
    path = tmp_path / "m.json"
    fat = {"count": 1, "diameter_mm": 5, "hu_delta": 0}
    path.write_text(json.dumps({"side": "right", "level": "T7", "semi_axes_mm": [9, 8, 7], "fat": fat}))
    assert parse_mass(str(path)).fat == Foci(1, 5, 0)
    for text in (
        "",
        "side=left",
        "side=left,level=T9,size=a",
        "side=left,level=T9,size=3x4",
        "no",
        "colour=red",
    ):
        with pytest.raises(UsageError) as caught:
            parse_mass(text)
        assert caught.value.code == "mass_spec_invalid"
    with pytest.raises(UsageError):
        parse_mass("side=left,level=T9,size=30,shape=cube")


def test_a_hybrid_is_written_and_read_again(tmp_path: Path) -> None:
    made = _insert(BESIDE)
    out = write_hybrid(made, tmp_path / "h")
    loaded = load_series(out / "dicom")
    assert np.array_equal(loaded.volume.hu, made.volume.hu)
    assert json.loads((out / "truth.json").read_text())["masses"][0]["side"] == "right"
    with pytest.raises(OutputError):
        write_hybrid(made, tmp_path / "h")


def test_the_command_inserts_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    volume = phantom("healthy").volume
    write_nifti(tmp_path / "scan.nii.gz", volume.hu, volume.geometry)
    line = ["phantom", "insert", str(tmp_path / "scan.nii.gz"), "--mass", "side=left,level=T9,size=30", "-o"]
    assert run([*line, str(tmp_path / "h")]) == 0
    assert "left T9" in capsys.readouterr().out
    assert run([*line, str(tmp_path / "h")]) == 2
    assert "phantom_exists" in capsys.readouterr().err


def test_a_mass_runs_through_the_foramen_into_the_canal_and_leaves_bone() -> None:
    plain, made = (_insert(replace(BESIDE, bone=bone, canal_mm2=90.0)) for bone in ("none", "canal"))
    assert made.truth["masses"][0]["canal_extension_mm2"] == pytest.approx(90.0, rel=0.15)
    assert plain.truth["masses"][0]["canal_extension_mm2"] < 40.0
    more = (made.masses.data == 1) & ~(plain.masses.data == 1)
    canal = phantom("healthy").labels.mask("canal")
    assert (more & canal).any()
    dense = phantom("healthy").volume.hu > 500
    assert np.abs(made.volume.hu[dense].astype(float) - plain.volume.hu[dense]).mean() < 2.0
    core = ndimage.binary_erosion(more)
    assert made.volume.hu[core].mean() == pytest.approx(BESIDE.hu, abs=8.0)


def test_infection_takes_the_place_of_a_disc_and_of_both_end_plates() -> None:
    made = _insert(replace(BESIDE, bone="discitis", dissolved_mm=3.0))
    mass = made.masses.data == 1
    disc = phantom("healthy").labels.mask("intervertebral_disc")
    bone = phantom("healthy").volume.hu > 150
    inner = ndimage.binary_erosion(mass, np.ones((1, 5, 5), bool))
    assert (mass & disc).sum() * made.volume.geometry.voxel_ml > 1.0
    assert (inner & bone).sum() * made.volume.geometry.voxel_ml > 0.5
    assert np.median(made.volume.hu[inner & bone]) == pytest.approx(BESIDE.hu, abs=15.0)
