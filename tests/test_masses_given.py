"""Outlines of a user's in every form land where they were drawn, and replace what they share voxels with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anatomy_case import anatomy, phantom, search
from mask_files import ball, circle, segment, write_rtstruct, write_seg
from paraspinal.anatomy.given.types import in_box
from paraspinal.dicomio.nifti import write_nifti
from paraspinal.errors import UsageError
from paraspinal.masses import OUTLINED, GivenMass, MassSearch, read_mass_masks, with_given, without_rejected
from paraspinal.volume import BoolArray, Region

PRESET = "emh"
RADIUS_MM = 12.0
BALL_ML = 4 / 3 * np.pi * RADIUS_MM**3 / 1000


def largest() -> tuple[float, float, float]:
    return search(PRESET).masses[0].centroid_lps_mm


def drawn(*centres: tuple[float, float, float]) -> BoolArray:
    grid = phantom(PRESET).volume.geometry
    return np.logical_or.reduce([ball(grid, centre, RADIUS_MM) for centre in centres])


def given(mask: BoolArray, name: str = "a") -> GivenMass:
    return GivenMass(name, in_box(name, Region.of(mask), phantom(PRESET).volume.geometry))


def applied(*masks: GivenMass) -> MassSearch:
    return with_given(search(PRESET), masks, phantom(PRESET).volume, anatomy(PRESET))[0]


@pytest.mark.parametrize("form", ["nifti", "seg", "rtstruct"])
def test_every_form_gives_the_same_ball(form: str, tmp_path: Path) -> None:
    grid, centre, path = (
        phantom(PRESET).volume.geometry,
        largest(),
        tmp_path / "outline.nii.gz",
    )  # the name tells nothing
    mask = drawn(centre)
    if form == "nifti":
        write_nifti(path, mask.astype(np.uint8), grid)
    elif form == "seg":
        write_seg(path, grid, {1: mask}, [segment(1, "the lump")])
    else:
        planes = [float(grid.to_lps((k, 0, 0))[2]) for k in np.flatnonzero(mask.any(axis=(1, 2)))]
        contours = [
            (z, circle(centre[:2], np.sqrt(RADIUS_MM**2 - (z - centre[2]) ** 2)))
            for z in planes
            if abs(z - centre[2]) < RADIUS_MM - 0.2
        ]
        write_rtstruct(path, {"GTV": contours})
    outlines = read_mass_masks(path)
    assert len(outlines) == 1
    mass = next(m for m in applied(*outlines).masses if OUTLINED in m.flags)
    assert mass.region.voxels * grid.voxel_ml == pytest.approx(BALL_ML, rel=0.08)
    assert np.linalg.norm(np.subtract(mass.centroid_lps_mm, centre)) < 1.0
    assert mass.side == search(PRESET).masses[0].side


def test_an_outline_takes_the_id_of_what_it_replaces_and_leaves_the_rest() -> None:
    before = search(PRESET)
    after = applied(given(drawn(largest())))
    assert {m.id for m in after.masses} == {m.id for m in before.masses}
    assert [m.id for m in after.masses if OUTLINED in m.flags] == [before.masses[0].id]
    others = {m.id: m.region.voxels for m in before.masses[1:]}
    assert {m.id: m.region.voxels for m in after.masses if OUTLINED not in m.flags} == others
    pairs = {m.pair_id for m in after.masses}
    assert pairs == {m.pair_id for m in before.masses}


def test_an_outline_where_nothing_was_found_gets_a_free_number(tmp_path: Path) -> None:
    nothing = replace(search(PRESET), masses=())
    volume = phantom(PRESET).volume
    left, other = (m.centroid_lps_mm for m in search(PRESET).masses[:2])
    right = (other[0], other[1], left[2])
    write_nifti(tmp_path / "two.nii.gz", drawn(left, right).astype(np.uint8), volume.geometry)
    outlines = read_mass_masks(tmp_path / "two.nii.gz")
    assert len(outlines) == 2  # one number, two pieces
    found, records = with_given(nothing, outlines, volume, anatomy(PRESET))
    assert sorted(m.id for m in found.masses) == [1, 2]
    assert {m.side for m in found.masses} == {"left", "right"}
    assert {m.pair_id for m in found.masses} == {1}
    assert [r.before for r in records] == ["nothing", "nothing"]


def test_numbers_of_a_map_are_masses(tmp_path: Path) -> None:
    grid = phantom(PRESET).volume.geometry
    (x, y, z), data = largest(), np.zeros(phantom(PRESET).volume.geometry.shape, np.uint8)
    data[ball(grid, (x, y, z - 6), 5.0)] = 1
    data[ball(grid, (x, y, z + 6), 5.0)] = 4
    write_nifti(tmp_path / "map.nii.gz", data, grid)
    assert [m.name for m in read_mass_masks(tmp_path / "map.nii.gz")] == ["number 1", "number 4"]


def test_outlines_that_cannot_be_are_refused(tmp_path: Path) -> None:
    volume, (x, y, z) = phantom(PRESET).volume, largest()
    far = replace(volume.geometry, origin_lps_mm=tuple(np.add(volume.geometry.origin_lps_mm, 900.0)))
    elsewhere = GivenMass("b", in_box("b", Region.of(drawn((x, y, z))), far))
    lung = volume.hu < -700
    lung &= ball(volume.geometry, (x + np.sign(x) * 60, y - 40, z), 15.0)
    for masks, code in (
        ([elsewhere], "mass_mask_outside"),
        ([given(drawn((x, y, z))), given(drawn((x, y, z + 5)), "c")], "mass_mask_overlap"),
        ([given(lung)], "mass_mask_tissue"),
    ):
        with pytest.raises(UsageError) as refused:
            applied(*masks)
        assert refused.value.code == code
    write_nifti(
        tmp_path / "empty.nii.gz", np.zeros((4, 4, 4), np.uint8), volume.geometry.crop((0, 0, 0), (4, 4, 4))
    )
    with pytest.raises(UsageError, match="outlines nothing"):
        read_mass_masks(tmp_path / "empty.nii.gz")
    (tmp_path / "text").write_text("no image")
    with pytest.raises(UsageError) as refused:
        read_mass_masks(tmp_path / "text")
    assert refused.value.code == "masks_format"


def test_a_rejected_candidate_goes_and_the_others_keep_their_ids() -> None:
    before = search(PRESET)
    first, *rest = before.masses
    after, records = without_rejected(before, [first.id])
    assert [m.id for m in after.masses] == [m.id for m in rest]
    assert records[0].target == f"mass {first.id}"
    assert first.side in records[0].before
    with pytest.raises(UsageError) as refused:
        without_rejected(before, [77])
    assert refused.value.code == "mass_unknown"
    assert str(first.id) in refused.value.remedy


def test_an_outline_beside_a_candidate_leaves_the_rest_of_it_placed_anew() -> None:
    volume, (x, y, z) = phantom(PRESET).volume, largest()
    candidate = replace(search(PRESET).masses[0], region=Region.of(drawn((x, y, z + 10.0))))
    before = replace(search(PRESET), masses=(candidate,))
    after, records = with_given(before, [given(drawn((x, y, z - 10.0)))], volume, anatomy(PRESET))
    rest = next(m for m in after.masses if m.id == candidate.id and OUTLINED not in m.flags)
    assert rest.region.voxels < candidate.region.voxels
    assert rest.centroid_lps_mm[2] == pytest.approx(
        z + 10.0, abs=1.5
    )  # not where the whole candidate was said to lie
    assert any(r.target == f"mass {candidate.id}" and "outside the outlines" in r.after for r in records)


def test_a_stray_voxel_is_no_mass() -> None:
    one = np.zeros(phantom(PRESET).volume.geometry.shape, bool)
    index = np.rint(phantom(PRESET).volume.geometry.to_index(largest())).astype(int)
    one[tuple(index)] = True
    with pytest.raises(UsageError) as refused:
        applied(given(one))
    assert refused.value.code == "mass_mask_empty"
