"""Hollows of vertebral bodies: depth, kind, and what is no hollow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from anatomy_case import anatomy
from anatomy_case import phantom as synthetic
from paraspinal.analysis.clock import StageClock
from paraspinal.analysis.stages import measure_all, survey
from paraspinal.config import load_config
from paraspinal.measure.erosion import Judged, clean_walls, judge_erosion
from paraspinal.measure.wall import (
    ANGLES,
    HEIGHTS,
    RADII_MM,
    BodyWall,
    Grid,
    border_within,
    peaks_at,
    read_walls,
)
from paraspinal.measure.wall_border import change_points
from paraspinal.measure.wall_reference import WIDENED_FAR, reference_of
from paraspinal.phantom import MassSpec, PhantomSpec, make_phantom
from paraspinal.report.bone_picture import render_facing_wall
from paraspinal.volume import BoolArray

CORE, CORTEX, SOFT, MASS = 200.0, 600.0, 40.0, 45.0
SHAPE = (len(HEIGHTS), len(ANGLES))
DEGREES = np.rad2deg(ANGLES)
Hollow = Callable[[str], Grid]


def _nothing(_label: str) -> Grid:
    return np.zeros(SHAPE, np.float32)


def _bowl(label: str, depth_mm: float, *, at: str = "T8", side: float = 80.0) -> Grid:
    """A round hollow of 9 mm half width on one side of one body."""
    if label != at:
        return _nothing(label)
    away = np.hypot((DEGREES - side)[None, :] / 57.3 * 14.0, HEIGHTS[:, None] * 20.0)
    return (depth_mm * np.clip(1.0 - (away / 9.0) ** 2, 0.0, None)).astype(np.float32)


def _spine(
    hollow: Hollow = _nothing,
    *,
    cortex_in_hollow: bool = True,
    bare: BoolArray | None = None,
    core: float = CORE,
    noise: float = 15.0,
    seed: int = 1,
) -> list[BodyWall]:
    """Nine bodies that widen downwards, a little oblique and uneven, each with cortex, noise and the scan's blur.

    `bare` are rays of T8 whose cortex is gone while the bone keeps its form.
    """
    rng = np.random.default_rng(seed)
    walls = []
    for k, label in enumerate(f"T{n}" for n in range(4, 13)):
        intact = (13.0 + 0.4 * k) * (1.0 + 0.12 * np.cos(2 * ANGLES))[None, :] + 0.5 * (
            HEIGHTS[:, None] / 0.36
        ) ** 2
        intact = (
            intact
            + 0.6 * np.sin(ANGLES + k)[None, :]
            + 0.25 * ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.5)
        )
        hole = hollow(label)
        radius = intact - hole
        off = RADII_MM[None, None, :] - radius[..., None]
        thick = np.where((hole > 0.5) & (not cortex_in_hollow), 0.0, 0.8)[..., None]
        if bare is not None and label == "T8":
            thick = np.where(bare[..., None], 0.0, thick)
        hu = np.where(off <= -thick, core, np.where(off <= 0.0, CORTEX, SOFT))
        hu = ndimage.gaussian_filter1d(hu.astype(np.float32), 1.0, axis=-1)
        hu += (
            ndimage.gaussian_filter(rng.normal(size=hu.shape), (0.6, 0.6, 0.8)).astype(np.float32)
            * 4.0
            * noise
            / 3.0
        )
        feet = np.array([0.0, 0.0, -22.0 * k]) + np.outer(HEIGHTS * 20.0, [0.0, 0.0, 1.0])
        directions = np.column_stack([np.sin(ANGLES), -np.cos(ANGLES), np.zeros(len(ANGLES))])
        blank = np.full(SHAPE, 16.0, np.float32)
        wall = BodyWall(label, hu.astype(np.float32), feet, directions, core, blank, blank)
        found = border_within(wall, np.full(SHAPE, 24.0, np.float32), outside_hu=50.0)
        walls.append(replace(wall, radius_mm=found, peak_hu=peaks_at(wall, found)))
    return walls


def _facing(labels: tuple[str, ...], *sides: float) -> Mapping[str, BoolArray]:
    rays = np.zeros(SHAPE, bool)
    for side in sides:
        rays |= np.abs(DEGREES - side)[None, :] < 35.0
    return dict.fromkeys(labels, rays)


def _judge(walls: list[BodyWall], facing: Mapping[str, BoolArray], mass_hu: float = MASS) -> Judged:
    judged = judge_erosion(clean_walls(walls, facing), facing, mass_hu=mass_hu)
    assert judged is not None
    return judged


@pytest.mark.parametrize("depth", [3.0, 4.5, 6.0])
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_hollow_has_its_depth_and_kind(depth: float, kept: bool, seed: int) -> None:
    walls = _spine(lambda label: _bowl(label, depth), cortex_in_hollow=kept, seed=seed)
    judged = _judge(walls, _facing(("T8",), 80.0))
    (defect,) = judged.defects
    assert defect.label == "T8"
    assert defect.depth_mm == pytest.approx(depth, abs=1.0)
    assert defect.cortex_kept is kept
    assert judged.limit_mm < 3.0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("noise", [5.0, 25.0, 45.0])
def test_a_mass_beside_intact_bone_has_no_deep_hollow(seed: int, noise: float) -> None:
    judged = _judge(_spine(noise=noise, seed=seed), _facing(("T7", "T8", "T9"), 80.0))
    assert set(judged.judged) == {"T7", "T8", "T9"}
    assert all(d.depth_mm < 3.0 for d in judged.defects)


@pytest.mark.parametrize("noise", [5.0, 30.0])
def test_a_wall_reads_the_same_beside_lung_fat_and_a_mass(noise: float) -> None:
    rng = np.random.default_rng(3)
    border = 16.0
    off = RADII_MM - border
    limit = np.full(SHAPE, border + 3.0, np.float32)
    read = []
    for outside in (-800.0, -90.0, 60.0):
        hu = np.where(off <= -0.8, CORE, np.where(off <= 0.0, 900.0, outside))
        hu = ndimage.gaussian_filter1d(np.broadcast_to(hu, (*SHAPE, RADII_MM.size)).astype(np.float32), 1.1)
        hu = hu + noise * rng.standard_normal(hu.shape).astype(np.float32)
        found = change_points(hu, limit, core_hu=CORE, core_sd_hu=25.0, outside_hu=60.0)
        read.append(float(np.median(found)))
    assert read == pytest.approx([border] * 3, abs=0.5)
    assert max(read) - min(read) < 0.25


def test_dark_marrow_behind_a_cortex_is_no_hollow_and_a_rim_left_over_one_does_not_hide_it() -> None:
    radius = 16.0
    hu = np.where(radius >= RADII_MM, CORE, SOFT).astype(np.float32)
    dark = np.where((RADII_MM > 9.0) & (RADII_MM < 14.0), 115.0, hu)
    dark = np.where((RADII_MM >= 14.0) & (radius >= RADII_MM), CORTEX, dark)
    hollow = np.where((RADII_MM > 10.0) & (RADII_MM < 15.5), SOFT, hu)
    rays = np.broadcast_to(np.stack([dark, hollow])[:, None], (2, 9, RADII_MM.size)).astype(np.float32)
    limit = np.full((2, 9), radius + 1.0, np.float32)
    found = change_points(rays, limit, core_hu=CORE, core_sd_hu=40.0, outside_hu=SOFT)
    assert found[0] == pytest.approx(radius, abs=0.6)
    assert found[1] == pytest.approx(10.0, abs=0.6)


def test_bone_too_uneven_to_be_told_from_the_mass_is_not_read() -> None:
    rays = np.full((9, 45, RADII_MM.size), 150.0, np.float32)
    limit = np.full((9, 45), 16.0, np.float32)
    assert np.isnan(change_points(rays, limit, core_hu=150.0, core_sd_hu=60.0, outside_hu=90.0)).all()
    assert np.isfinite(change_points(rays, limit, core_hu=150.0, core_sd_hu=30.0, outside_hu=90.0)).all()


@pytest.mark.parametrize("noise", [15.0, 40.0])
def test_the_kind_of_a_hollow_is_a_probability(noise: float) -> None:
    kept, gone = (
        [
            d.kept_probability
            for seed in range(4)
            for d in _judge(
                _spine(lambda label: _bowl(label, 7.0), cortex_in_hollow=cortex, noise=noise, seed=seed),
                _facing(("T8",), 80.0),
            ).defects
        ]
        for cortex in (True, False)
    )
    assert len(kept) == len(gone) == 4
    assert min(kept) > 0.7
    assert max(gone) < 0.3


def _osteophytes(label: str) -> Grid:
    """Spurs of 4 mm at the rims of every other body, on one side or both."""
    number = int(label[1:])
    rim = np.abs(HEIGHTS) > 0.25
    sides = np.abs(np.abs(DEGREES) - 75.0) < 20.0 if number % 3 else np.abs(DEGREES - 75.0) < 20.0
    return (-4.0 * (rim[:, None] & sides[None, :]) * (number % 2)).astype(np.float32)


def _channel(label: str) -> Grid:
    """A vessel's pore, 3 mm wide and 8 mm deep, in the middle of every body's side."""
    del label
    there = (np.abs(HEIGHTS) < 0.05)[:, None] & (np.abs(np.abs(DEGREES) - 78.0) < 4.0)[None, :]
    return (8.0 * there).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [10.0, 35.0])
@pytest.mark.parametrize("form", [_osteophytes, _channel])
def test_osteophytes_and_the_pores_of_vessels_are_no_deep_hollows(
    form: Hollow, noise: float, seed: int
) -> None:
    judged = _judge(_spine(form, noise=noise, seed=seed), _facing(("T6", "T7", "T8", "T9"), 80.0, -80.0))
    assert judged.judged
    assert all(d.depth_mm < 3.0 for d in judged.defects)


def test_few_clean_sides_make_the_limit_wider() -> None:
    walls = _spine()
    known = clean_walls(walls, {})
    few = replace(known, nulls_mm=np.array([0.4, 1.5, 0.8, 1.2, 0.9, 1.0]))
    assert few.limit_mm > 1.5
    many = replace(known, nulls_mm=np.tile(few.nulls_mm, 20))
    assert many.limit_mm == pytest.approx(1.5, abs=0.1)


def test_references_that_are_all_far_away_are_less_sure() -> None:
    walls = _spine()
    levels = ("T6", "T7", "T8", "T9", "T10")
    facing = _facing(levels, 80.0, -80.0)
    reference = reference_of(walls[4], walls, clean_walls(walls, facing).clean, hidden=facing["T8"])
    assert reference.widening[facing["T8"]] == pytest.approx(WIDENED_FAR)


def _bare_share(walls: list[BodyWall], facing: Mapping[str, BoolArray]) -> float:
    lost, told = _judge(walls, facing).lost_outside_hollows()
    assert told > 50
    return lost / told


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("core", [200.0, 320.0])
def test_cortex_that_is_gone_is_missed_where_the_bone_keeps_its_form(seed: int, core: float) -> None:
    facing = _facing(("T8",), 80.0)
    intact, bare = (_spine(core=core, seed=seed, bare=rays) for rays in (None, facing["T8"]))
    assert _bare_share(intact, facing) < 0.25
    assert _bare_share(bare, facing) >= 0.8
    assert not _judge(bare, facing).defects
    half = facing["T8"] & (HEIGHTS[:, None] < 0.0)
    share = np.count_nonzero(half) / np.count_nonzero(facing["T8"])
    assert _bare_share(_spine(core=core, seed=seed, bare=half), facing) == pytest.approx(share, abs=0.2)


def test_a_mass_on_both_sides_does_not_hide_lost_cortex() -> None:
    facing = _facing(("T7", "T8", "T9"), 80.0, -80.0)
    only = {"T8": facing["T8"]}
    assert _bare_share(_spine(bare=facing["T8"]), only) >= 0.8


def test_the_floor_of_a_hollow_is_no_breakthrough() -> None:
    walls = _spine(lambda label: _bowl(label, 6.0), cortex_in_hollow=False)
    judged = _judge(walls, _facing(("T8",), 80.0, 20.0))
    lost, told = judged.lost_outside_hollows()
    assert told > 30
    assert lost / told < 0.5 * judged.shells["T8"].share


def test_a_cortex_hardly_denser_than_the_bone_within_is_not_judged() -> None:
    judged = _judge(_spine(core=560.0), _facing(("T8",), 80.0))
    assert not judged.shells


def test_masses_on_both_sides_of_four_levels_leave_references_enough() -> None:
    levels = ("T7", "T8", "T9", "T10")
    walls = _spine(lambda label: _bowl(label, 5.0, at="T8"))
    judged = _judge(walls, _facing(levels, 80.0, -80.0))
    assert [d.label for d in judged.defects if d.depth_mm >= 3.0] == ["T8"]
    intact = _judge(_spine(), _facing(levels, 80.0, -80.0))
    assert all(d.depth_mm < 3.0 for d in intact.defects)


def test_bone_as_dense_as_the_mass_is_not_judged() -> None:
    walls = _spine(lambda label: _bowl(label, 5.0), core=110.0)
    judged = _judge(walls, _facing(("T8",), 80.0), mass_hu=100.0)
    assert not judged.judged
    assert "denser" in judged.skipped["T8"]


def test_without_clean_vertebrae_nothing_is_judged() -> None:
    walls = _spine()[:3]
    facing = _facing(("T4", "T5", "T6"), 80.0, -80.0)
    assert judge_erosion(clean_walls(walls, facing), facing, mass_hu=MASS) is None


def test_a_hollow_that_bone_stands_behind_is_no_bone() -> None:
    walls = _spine(lambda label: _bowl(label, 6.0, side=100.0), cortex_in_hollow=False)
    behind = [
        replace(w, profiles=np.where(RADII_MM > 18.0, CORTEX, w.profiles).astype(np.float32)) for w in walls
    ]
    facing = _facing(("T8",), 100.0)
    assert _judge(behind, facing).defects[0].depth_mm == pytest.approx(6.0, abs=1.5)


@pytest.mark.integration
def test_a_synthetic_patient_reads_as_drawn() -> None:
    masses = (
        MassSpec("left", "T9", (17.0, 16.0, 18.0), hu=42.0, overlap_mm=9.0, bone="lytic"),
        MassSpec("right", "T12", (17.0, 16.0, 18.0), hu=42.0, overlap_mm=9.0, bone="scalloping"),
    )
    spec = PhantomSpec(name="bone", seed=21, shape=(100, 256, 256), spacing_mm=(2.0, 1.4, 1.4), masses=masses)
    scan = survey(make_phantom(spec).volume, load_config("default"), StageClock(None))
    measured = measure_all(scan, load_config("default"))
    by_side = {m.side: measured.masses[m.id] for m in scan.search.masses}
    for side, key, other in (
        ("left", "lytic_depth_mm", "scalloping_depth_mm"),
        ("right", "scalloping_depth_mm", "lytic_depth_mm"),
    ):
        own = by_side[side]
        assert own[key].status == "measured"
        assert own[key].value > 3.0
        assert own[other].status == "below_detection_limit"
        assert own["bone_defect_area_mm2"].value > 40.0
    for mass in scan.search.masses:
        image, view, _ = render_facing_wall(scan.volume, measured.bones.walls, mass)
        assert view.wall.label == ("T9" if mass.side == "left" else "T12")
        red, _, blue = np.moveaxis(np.asarray(image, float), -1, 0)
        tinted = np.count_nonzero((red > blue + 60) & (red < 200))
        assert (
            0.2 < tinted * (80.0 / 400.0) ** 2 / (10.0 * 5.0) < 8.0
        )  # hollows are about 10 mm wide, 5 mm deep
    peaks = [m["cortical_peak_hu"].value for m in measured.vertebrae.values()]
    assert sum(p is not None for p in peaks) >= 4


def test_healthy_vertebrae_do_not_read_hollow() -> None:
    walls = read_walls(synthetic("healthy").volume, anatomy("healthy"))
    known = clean_walls(walls, {})
    assert len(walls) >= 4
    assert known.limit_mm < 3.0
    for wall in walls:  # rib heads lie against the wall from outside: no wall reaches so far
        assert np.nanmax(wall.radius_mm / np.nanmedian(wall.radius_mm, axis=1, keepdims=True)) < 1.6
