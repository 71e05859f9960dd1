"""Rib instances: tracking, numbering by order, names and sides."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from paraspinal.anatomy import Anatomy, segment_anatomy
from paraspinal.anatomy.ribs.tracks import bone_graph, follow_ribs
from paraspinal.anatomy.spine.set_levels import parse_set_level, set_levels_from
from paraspinal.anatomy.types import RIB_NUMBERS
from paraspinal.config import AnatomyConfig
from paraspinal.dicomio.nifti import read_nifti
from paraspinal.errors import UsageError
from paraspinal.loading import load_series
from paraspinal.phantom import Phantom, make_phantom, preset
from paraspinal.volume import BoolArray, CTVolume, Geometry

GRID = Geometry((30, 40, 60), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), np.eye(3))
CONFIG = AnatomyConfig()


def followed(bone: BoolArray, *seeds: tuple[slice, slice, slice]) -> list[BoolArray]:
    """Masks of the ribs that grow from the seeds to the left."""
    graph = bone_graph(bone, GRID)
    nodes = []
    for seed in seeds:
        mask = np.zeros(bone.shape, bool)
        mask[seed] = True
        nodes.append(np.flatnonzero((bone & mask)[tuple(graph.voxels.T)]))
    paths, _ = follow_ribs(graph, nodes, [1] * len(nodes), GRID, config=CONFIG)
    out = []
    for path in paths:
        mask = np.zeros(bone.shape, bool)
        if path is not None:
            mask[tuple(path.voxels.T)] = True
        out.append(mask)
    return out


def rod(mask: BoolArray, z: int, x: tuple[int, int] = (2, 50)) -> None:
    mask[z : z + 5, 20:24, x[0] : x[1]] = True


def test_ribs_that_touch_are_parted_at_the_contact() -> None:
    bone = np.zeros(GRID.shape, bool)
    rod(bone, 5)
    rod(bone, 16)
    bone[8:18, 20:24, 30:34] = True  # a bridge half way along both
    lower, upper = followed(
        bone, (slice(5, 10), slice(None), slice(2, 6)), (slice(16, 21), slice(None), slice(2, 6))
    )
    assert lower[5:9, :, 36:].any()
    assert upper[18:21, :, 36:].any()
    assert not lower[16:].any()
    assert not upper[:10].any()


def test_what_is_too_thick_is_no_longer_the_rib() -> None:
    bone = np.zeros(GRID.shape, bool)
    rod(bone, 12)
    bone[2:28, 5:38, 48:60] = True  # a plate: sternum or scapula
    (rib,) = followed(bone, (slice(None), slice(None), slice(2, 6)))
    assert rib[12:17, :, 40].any()
    assert not rib[:, :, 53:].any()


def test_a_rib_does_not_climb() -> None:
    bone = np.zeros(GRID.shape, bool)
    rod(bone, 2, (2, 40))
    bone[2:30, 20:24, 36:40] = True  # bone that goes up from its end
    (rib,) = followed(bone, (slice(None), slice(None), slice(2, 6)))
    assert not rib[20:].any()


def test_a_seed_on_its_own_block_is_no_rib() -> None:
    bone = np.zeros(GRID.shape, bool)
    bone[2:28, 2:38, 2:40] = True
    (rib,) = followed(bone, (slice(None), slice(None), slice(2, 6)))
    assert not rib.any()


# --- phantom ---------------------------------------------------------------------------------------------------


@cache
def phantom() -> Phantom:
    return make_phantom(preset("healthy", seed=5))


@cache
def found() -> Anatomy:
    return segment_anatomy(phantom().volume)


def truth_on(anatomy: Anatomy) -> np.ndarray:
    """The phantom's label map on the working grid (nearest voxel)."""
    labels = phantom().labels
    points = anatomy.geometry.to_lps(np.argwhere(np.ones(anatomy.geometry.shape, bool)))
    index = np.rint(labels.geometry.to_index(points)).astype(int)
    index = np.clip(index, 0, np.asarray(labels.data.shape) - 1)
    return np.asarray(labels.data[tuple(index.T)]).reshape(anatomy.geometry.shape)


def test_every_rib_of_a_phantom_has_its_number_and_side() -> None:
    truth, ours = truth_on(found()), found().labels.data
    dice = []
    for number in RIB_NUMBERS:
        here = truth == number
        if here.sum() * found().geometry.voxel_ml < 1.0:
            continue
        most = int(np.bincount(ours[here & (ours > 0)]).argmax())
        assert most == number
        mask = ours == number
        dice.append(2 * (mask & here).sum() / (mask.sum() + here.sum()))
    assert len(dice) >= 12
    assert min(dice) > 0.6  # working voxels of 2 mm on rods of 7 to 10 mm
    assert np.median(dice) > 0.75


def test_heads_lie_on_their_side_of_the_spine() -> None:
    ribs = [rib for rib in found().ribs if rib.head_lps_mm is not None]
    assert len(ribs) >= 12
    for rib in ribs:
        bearer = next(v for v in found().vertebrae if v.label == rib.bearer)
        assert rib.head_lps_mm is not None
        x, _, z = rib.head_lps_mm
        aside = x - bearer.centroid_lps_mm[0]
        assert 8 < (aside if rib.side == "left" else -aside) < 28  # half the body's width and the joint
        assert bearer.bottom_mm - 5 < z < bearer.top_mm + 8


def test_ribs_change_sides_and_nothing_else_in_a_mirror() -> None:
    volume = phantom().volume
    mirrored = CTVolume(hu=np.ascontiguousarray(volume.hu[:, :, ::-1]), geometry=volume.geometry)
    other = segment_anatomy(mirrored)
    swap = {"left": "right", "right": "left"}
    assert {(r.side, r.bearer) for r in found().ribs} == {(swap[r.side], r.bearer) for r in other.ribs}
    # LabelMap numbers of the left are 12 lower than those of the right.
    left, right = (found().labels.data == 92 + 6), (other.labels.data == 104 + 6)[:, :, ::-1]
    assert 2 * (left & right).sum() / (left.sum() + right.sum()) > 0.95


def test_ribs_without_their_heads_are_counted_on_from_those_behind() -> None:
    volume = phantom().volume
    g = volume.geometry
    top = g.shape[0] // 2  # cut away the upper half: its ribs enter from above
    part = CTVolume(
        hu=volume.hu[:top], geometry=Geometry((top, *g.shape[1:]), g.spacing_mm, g.origin_lps_mm, g.axes_lps)
    )
    vertebra = next(v for v in found().vertebrae if v.label == "T12")
    cut = segment_anatomy(part, set_levels={"T12": vertebra.centroid_lps_mm[2]})
    entering = [rib for rib in cut.ribs if rib.head_lps_mm is None and "superior" in rib.truncated]
    assert len(entering) >= 2
    truth = truth_on(found())[: cut.geometry.shape[0]]
    for rib in entering:
        here = cut.labels.data == rib.number
        if here.shape != truth.shape or rib.number not in RIB_NUMBERS:
            continue
        own = truth[here & np.isin(truth, list(RIB_NUMBERS))]
        assert int(np.bincount(own).argmax()) == rib.number


# --- levels that a user sets -----------------------------------------------------------------------------------


def test_a_set_level_is_read() -> None:
    assert parse_set_level("t9 = -412.5") == ("T9", -412.5)


@pytest.mark.parametrize("text", ["T9", "T13=1", "=4", "T9=", "T9=inf", "T9=nan"])
def test_a_set_level_that_names_nothing_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_set_level(text)
    assert caught.value.code == "set_level_invalid"


def test_a_vertebra_at_two_heights_is_a_contradiction() -> None:
    with pytest.raises(UsageError) as caught:
        set_levels_from(("T9=1", "T9=2"))
    assert caught.value.code == "set_levels_contradict"


def test_a_users_level_fixes_the_naming_and_is_on_record() -> None:
    known = next(v for v in found().vertebrae if v.label == "T9")
    moved = segment_anatomy(phantom().volume, set_levels={"T8": known.centroid_lps_mm[2]})
    there = min(moved.vertebrae, key=lambda v: abs(v.s_mm - known.s_mm))
    assert (there.label, there.confidence) == ("T8", 1.0)
    assert "set by the user" in there.evidence
    assert "T8 was set by the user." in moved.notes
    assert {v.confidence for v in moved.vertebrae} == {1.0}


def test_levels_that_contradict_or_lie_outside_are_wrong_usage() -> None:
    z = {v.label: v.centroid_lps_mm[2] for v in found().vertebrae}
    for levels, code in (
        ({"T9": z["T9"], "T7": z["T8"]}, "set_levels_contradict"),
        ({"T9": z["T9"], "T8": z["T9"] + 1}, "set_levels_contradict"),
        ({"T9": 9999.0}, "set_level_outside"),
    ):
        with pytest.raises(UsageError) as caught:
            segment_anatomy(phantom().volume, set_levels=levels)
        assert caught.value.code == code


# --- real series -----------------------------------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("series", "labels", "floor"),
    [
        ("ct/totalseg-slab", "labels/totalseg-slab.nii.gz", 0.7),
        ("nifti/totalseg-lumbar-3mm.nii.gz", "labels/totalseg-lumbar-3mm.nii.gz", 0.75),
    ],
)
def test_ribs_agree_with_given_labels(real_data: Path, series: str, labels: str, floor: float) -> None:
    anatomy = segment_anatomy(load_series(real_data / series).volume)
    data, geometry = read_nifti(real_data / labels)
    points = geometry.to_lps(np.argwhere(np.ones(data.shape, bool)))
    index = np.rint(anatomy.geometry.to_index(points)).astype(int)
    inside = ((index >= 0) & (index < np.asarray(anatomy.geometry.shape))).all(axis=1)
    ours = np.zeros(len(points), int)
    ours[inside] = anatomy.labels.data[tuple(index[inside].T)]
    centre = anatomy.centreline_lps_mm[::-1]
    far = np.abs(points[:, 0] - np.interp(points[:, 2], centre[:, 2], centre[:, 0])) > 47.0
    given, ours = np.where(far, data.ravel(), 0), np.where(far, ours, 0)
    rib = np.isin(given, list(RIB_NUMBERS))
    bears = {r.number: (r.side, int(r.bearer[1:])) for r in anatomy.ribs if r.bearer.startswith("T")}
    mine = np.isin(ours, list(bears))
    assert 2 * (rib & mine).sum() / (rib.sum() + mine.sum()) > floor
    for number, name in RIB_NUMBERS.items():
        here = given == number
        met = ours[here & mine]
        if here.sum() * geometry.voxel_ml >= 2.0 and met.size > 0.3 * here.sum():
            _, side, rank = name.split("_")
            assert bears[int(np.bincount(met).argmax())] == (side, int(rank))
