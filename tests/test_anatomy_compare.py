"""Comparison of segmentations: known overlaps, distances and names, on any pair of grids."""

import numpy as np
import pytest

from mask_files import ball
from paraspinal.anatomy.compare import compare_labels, compare_structures, dice, surface_distance_95
from paraspinal.anatomy.given.types import StructureSet, structure
from paraspinal.volume import Geometry, LabelMap

GRID = Geometry((40, 50, 60), (2.0, 1.5, 1.0), (-30.0, -40.0, 100.0))
CENTRE = GRID.to_lps((20, 25, 30))
NAMES = {1: "liver", 32: "vertebrae_T12", 33: "vertebrae_T11", 34: "vertebrae_T10"}


def label_map(number: int, centre: np.ndarray, radius: float, grid: Geometry = GRID) -> LabelMap:
    return LabelMap((ball(grid, centre, radius) * number).astype(np.uint16), grid, NAMES)


def test_two_shifted_balls_have_the_dice_of_geometry() -> None:
    radius, shift = 16.0, 6.0
    found = compare_labels(
        label_map(1, CENTRE, radius), label_map(1, CENTRE + np.array([shift, 0.0, 0.0]), radius)
    ).named("liver")
    assert found is not None
    # Two balls that share a lens: volume of the lens over that of a ball.
    lens = np.pi * (4 * radius + shift) * (2 * radius - shift) ** 2 / 12.0
    assert found.dice == pytest.approx(lens / (4.0 / 3.0 * np.pi * radius**3), abs=0.01)
    assert found.difference_ml == pytest.approx(0.0, abs=0.2)
    # 95 % of the surface's points are no farther than about the shift from the other surface.
    assert found.surface_95_mm == pytest.approx(shift * 0.95, abs=1.5)


def test_concentric_balls_are_apart_by_the_difference_of_their_radii() -> None:
    found = compare_labels(label_map(1, CENTRE, 12.0), label_map(1, CENTRE, 17.0)).named("liver")
    assert found is not None
    assert found.surface_95_mm == pytest.approx(5.0, abs=1.1)
    assert found.dice == pytest.approx(2 * 12.0**3 / (12.0**3 + 17.0**3), abs=0.01)


def test_a_map_agrees_with_itself_on_a_flipped_permuted_and_a_rotated_grid() -> None:
    plain = label_map(1, CENTRE, 15.0)
    turned = Geometry(
        (60, 50, 40),
        (1.0, 1.5, 2.0),
        tuple(float(v) for v in GRID.to_lps((0, 0, 59))),
        GRID.axes_lps[:, ::-1] * [-1.0, 1.0, 1.0],
    )
    angle = np.radians(25.0)
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]]
    )
    oblique = Geometry((60, 60, 60), (1.2, 1.2, 1.2), (0.0, 0.0, 0.0), rotation @ GRID.axes_lps)
    x, y, z = (float(v) for v in CENTRE - (oblique.to_lps((30, 30, 30))))
    oblique = Geometry(oblique.shape, oblique.spacing_mm, (x, y, z), oblique.axes_lps)
    for other, least in ((turned, 1.0), (oblique, 0.96)):
        found = compare_labels(plain, label_map(1, CENTRE, 15.0, other)).named("liver")
        assert found is not None
        assert found.dice is not None
        assert found.dice >= least
        assert found.difference_ml == pytest.approx(0.0, abs=0.3)


def test_only_what_both_looked_at_is_compared() -> None:
    whole = label_map(1, CENTRE, 15.0)
    part = LabelMap(whole.data[:20], GRID.crop((0, 0, 0), (20, 50, 60)), NAMES)
    found = compare_labels(whole, part).named("liver")
    assert found is not None
    assert found.dice == 1.0
    assert found.surface_95_mm == 0.0
    assert "superior" in found.cut
    assert found.difference_ml is not None
    assert found.difference_ml < -5.0  # the volumes are those of the sources


def test_the_end_of_an_unbounded_source_is_no_end_of_what_was_looked_at() -> None:
    whole = ball(GRID, CENTRE, 15.0)
    low = whole.copy()
    low[20:] = False
    a = StructureSet({"liver": structure("liver", whole, GRID)}, "labels")  # type: ignore[dict-item]
    half = structure("liver", low[:20], GRID.crop((0, 0, 0), (20, 50, 60)))
    b = StructureSet({"liver": half}, "seg", bounded=False)  # type: ignore[dict-item]
    found = compare_structures(a, b).named("liver")
    assert found is not None
    assert found.dice == pytest.approx(dice(whole, low), abs=1e-3)


def test_what_is_only_in_one_has_volumes_and_a_reason_but_no_dice() -> None:
    both = LabelMap((ball(GRID, CENTRE, 9.0) * 32).astype(np.uint16), GRID, NAMES)
    found = compare_labels(label_map(1, CENTRE, 15.0), both)
    liver, vertebra = found.named("liver"), found.named("vertebrae_T12")
    assert liver is not None
    assert vertebra is not None
    assert (liver.dice, liver.b_ml, liver.reason) == (None, None, "only in A")
    assert (vertebra.dice, vertebra.a_ml, vertebra.reason) == (None, None, "only in B")


def test_no_common_place_is_a_reason_and_no_zero() -> None:
    far = Geometry(GRID.shape, GRID.spacing_mm, (900.0, 900.0, 900.0))
    found = compare_labels(
        label_map(1, CENTRE, 15.0), label_map(1, far.to_lps((20, 25, 30)), 15.0, far)
    ).named("liver")
    assert found is not None
    assert found.dice is None
    assert found.surface_95_mm is None
    assert found.reason


def spine(names: list[str]) -> LabelMap:
    data = np.zeros(GRID.shape, np.uint16)
    for k, name in enumerate(names):
        data[4 + 10 * k : 12 + 10 * k, 20:30, 20:40] = next(n for n, own in NAMES.items() if own == name)
    return LabelMap(data, GRID, NAMES)


def test_an_error_of_counting_is_told_from_one_of_outline() -> None:
    found = compare_labels(
        spine(["vertebrae_T12", "vertebrae_T11"]), spine(["vertebrae_T11", "vertebrae_T10"])
    )
    assert [(p.a, p.b, p.dice, p.offset) for p in found.levels.pairs] == [
        ("vertebrae_T11", "vertebrae_T10", 1.0, -1),
        ("vertebrae_T12", "vertebrae_T11", 1.0, -1),
    ]
    same = compare_labels(spine(["vertebrae_T12", "vertebrae_T11"]), spine(["vertebrae_T12"]))
    assert [p.same for p in same.levels.pairs] == [True]
    assert same.levels.only_a == ("vertebrae_T11",)


def test_the_end_of_a_scan_is_no_surface() -> None:
    mask = np.zeros((10, 10, 10), bool)
    mask[:5] = True
    moved = np.zeros((10, 10, 10), bool)
    moved[:7] = True
    # The only surfaces are the two planes; the array's ends, where the masks are cut, are none.
    assert surface_distance_95(mask, moved, (2.0, 1.0, 1.0)) == pytest.approx(4.0)
    assert surface_distance_95(mask, np.ones_like(mask), (2.0, 1.0, 1.0)) is None
