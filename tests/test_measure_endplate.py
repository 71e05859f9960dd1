"""End plates: steps in their middle, smooth hollows, nodes, tilted discs; heights of bodies."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from paraspinal.config import load_config
from paraspinal.differential.derive_patient import patient_findings
from paraspinal.measure.endplate import RINGS, BodyPlates, Plate, measure_end_plates, read_end_plates
from paraspinal.measure.interspace import AROUND, Gap
from paraspinal.phantom.end_plates import plate_truth
from paraspinal.phantom.spec import BoneSpec
from paraspinal.phantom.spine import plan_spine
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement
from paraspinal.volume import CTVolume, Geometry

CONFIG = load_config("default")
QUALITY = ScanQuality(
    noise_sd_hu=20.0,
    edge_fwhm_mm=1.2,
    contrast_phase="unenhanced",
    contrast_evidence="phantom",
    kvp=120.0,
    calibration_sd_hu=4.0,
    metal_ml=0.0,
)
RADIUS, HEIGHT, DISC, CORE = 15.0, 22.0, 5.0, 160.0


class _Wall:
    """What the end plates ask of a wall."""

    def __init__(self, label: str) -> None:
        self.label, self.core_hu = label, CORE


def _column(
    hollow: object, *, noise: float = 20.0, tilt: float = 0.0, slice_mm: float = 1.25, bodies: int = 5
) -> dict[str, BodyPlates]:
    """Read bodies stacked along z; `hollow(r, turn, body, upper)` is how deep (mm) a plate lies under its rim."""
    n = int((bodies * (HEIGHT + DISC) + 30) / slice_mm)
    geometry = Geometry((n * 4, 44, 44), (slice_mm / 4, 1.0, 1.0), (-21.5, -21.5, -15.0))
    z, y, x = np.meshgrid(
        -15.0 + np.arange(n * 4) * slice_mm / 4,
        -21.5 + np.arange(44.0),
        -21.5 + np.arange(44.0),
        indexing="ij",
    )
    r, turn = np.hypot(x, y) / RADIUS, np.arctan2(x, -y)
    level = z - tilt * y
    hu = np.full(z.shape, 85.0)
    for k in range(bodies):
        low = k * (HEIGHT + DISC)
        inside = np.minimum(
            level - low - hollow(r, turn, k, False), low + HEIGHT - hollow(r, turn, k, True) - level
        )
        hu = np.where((inside > 0) & (r < 1), np.where(inside < 1.0, 700.0, CORE), hu)
    profile = ndimage.gaussian_filter1d(hu, 4 / 2.3548, axis=0)  # as wide as a slice
    thick = 0.5 * (profile[1::4] + profile[2::4])
    rng = np.random.default_rng(1)
    volume = CTVolume(
        np.rint(thick + noise * rng.normal(size=thick.shape)).astype(np.int16),
        Geometry((n, 44, 44), (slice_mm, 1.0, 1.0), (-21.5, -21.5, -15.0 + 1.5 * slice_mm / 4)),
    )
    assert geometry.extent_mm[0] == pytest.approx(volume.geometry.extent_mm[0])
    return _plates(volume, bodies)


def _plates(volume: CTVolume, bodies: int) -> dict[str, BodyPlates]:
    gaps = [
        Gap(
            _Wall(f"T{12 - k}"),
            _Wall(f"T{13 - k}"),
            np.array([0.0, 0.0, k * (HEIGHT + DISC) - DISC / 2 + 2.0]),  # outlines err
            np.array([0.0, 0.0, 1.0]),
            np.array([0.0, -1.0, 0.0]),
            np.array([1.0, 0.0, 0.0]),
            np.full(len(AROUND), RADIUS),
        )
        for k in range(bodies - 1, 0, -1)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("paraspinal.measure.endplate.find_gaps", lambda *_: gaps)
        walls = [_Wall(f"T{12 - k}") for k in range(bodies - 1, -1, -1)]
        return read_end_plates(volume, None, walls)


def _flat(r: np.ndarray, *_: object) -> np.ndarray:
    return 0.8 * (1 - np.minimum(r, 1) ** 2)


def _stepped(r: np.ndarray, *_: object) -> np.ndarray:
    return _flat(r) + 4.0 * (r < 0.36)


def _smooth(r: np.ndarray, *_: object) -> np.ndarray:
    return 5.0 * (1 - np.minimum(r, 1) ** 2)


def _node(r: np.ndarray, turn: np.ndarray, body: int, upper: bool) -> np.ndarray:
    off = np.hypot(RADIUS * r * np.cos(turn) - 5.0, RADIUS * r * np.sin(turn))
    return _flat(r) + 5.0 * (off < 4.5) * upper * (body % 2)


def _measured(plates: dict[str, BodyPlates], label: str = "T10") -> dict[str, Measurement]:
    return measure_end_plates(plates, label, QUALITY, CONFIG.measure, slice_mm=1.25)


def _finding(plates: dict[str, BodyPlates]) -> str:
    found = patient_findings({}, {label: _measured(plates, label) for label in plates})
    return next(f.state for f in found if f.name == "endplate_central_depression")


@pytest.mark.parametrize(("tilt", "slice_mm"), [(0.0, 1.25), (0.15, 1.25), (0.15, 2.5)])
def test_a_step_in_the_middle_of_both_plates_is_read(tilt: float, slice_mm: float) -> None:
    plates = _column(_stepped, tilt=tilt, slice_mm=slice_mm)
    found = _measured(plates)
    assert found["endplate_step_mm"].value == pytest.approx(4.4, abs=1.0)
    assert found["endplate_depression_mm"].value == pytest.approx(4.4, abs=0.8)
    assert _finding(plates) == "present"


def test_thick_slices_that_lie_along_the_plates_leave_a_step_in_doubt_at_most() -> None:
    assert _finding(_column(_stepped, slice_mm=2.5)) != "absent"


@pytest.mark.parametrize("form", [_flat, _smooth, _node])
def test_healthy_plates_smooth_hollows_and_nodes_are_no_steps(form: object) -> None:
    plates = _column(form)
    assert _measured(plates)["endplate_step_mm"].status == "below_detection_limit"
    assert _finding(plates) == "absent"


def test_depth_is_that_under_the_rim() -> None:
    flat, smooth, node = (
        _measured(_column(form))["endplate_depression_mm"] for form in (_flat, _smooth, _node)
    )
    assert flat.value is None or flat.value < 1.0
    # At 0.75 of the radius a hollow of 5 mm has 2.2 mm: the rest is depth under the rim.
    assert smooth.value == pytest.approx(2.8, abs=0.6)
    assert node.value is None or node.value < 1.0  # T10 is an even body of this column
    assert _measured(_column(_node), "T11")["endplate_depression_mm"].value == pytest.approx(5.0, abs=2.0)


def test_the_height_is_the_least_of_three_over_what_is_expected() -> None:
    def wedge(r: np.ndarray, turn: np.ndarray, body: int, upper: bool) -> np.ndarray:
        return _flat(r) + (body == 2) * upper * 3.0 * (1.0 + r * np.cos(turn) / 0.75)

    plain, wedged = _measured(_column(_flat)), _measured(_column(wedge))
    assert plain["height_ratio"].value == pytest.approx((HEIGHT - 1.55) / (HEIGHT - 0.7), abs=0.04)
    assert wedged["height_ratio"].value == pytest.approx((HEIGHT - 0.7 - 5.6) / (HEIGHT - 0.7), abs=0.08)
    assert wedged["height_ratio"].region == "anterior"


def test_a_body_lower_than_its_neighbours_is_told_by_them() -> None:
    def crushed(r: np.ndarray, turn: np.ndarray, body: int, upper: bool) -> np.ndarray:
        return _flat(r) + (body == 2) * 4.0

    assert _measured(_column(crushed))["height_ratio"].value < 0.7


def test_one_plate_tells_neither_height_nor_step() -> None:
    plates = _column(_flat)
    assert plates["T12"].bottom is None
    found = _measured(plates, "T12")
    assert {found[k].status for k in ("endplate_step_mm", "height_ratio")} == {"not_assessed"}
    thick = measure_end_plates(plates, "T10", QUALITY, CONFIG.measure, slice_mm=5.0)
    assert {m.status for m in thick.values()} == {"not_assessed"}


@cache
def _truth(kind: str) -> dict[str, dict[str, float]]:
    spine = plan_spine(np.random.default_rng(0), size_factor=1.0)
    return plate_truth(spine.free, BoneSpec(endplates=kind, endplate_mm=4.0))


def test_the_truth_of_drawn_plates_follows_their_form() -> None:
    assert _truth("normal")["T9"]["endplate_depression_mm"] == pytest.approx(0.62, abs=0.05)
    assert _truth("h_shaped")["T9"]["endplate_depression_mm"] == pytest.approx(4.62, abs=0.1)
    assert _truth("biconcave")["T9"]["endplate_depression_mm"] == pytest.approx(2.27, abs=0.1)
    assert _truth("h_shaped")["T9"]["height_ratio"] < _truth("normal")["T9"]["height_ratio"] - 0.2
    nodes = [v["endplate_depression_mm"] > 2.0 for v in _truth("schmorl").values()]
    assert 0.3 < np.mean(nodes) < 0.9


def test_a_plate_whose_middle_was_not_met_is_not_judged() -> None:
    """A crater deeper than any plate leaves its places unread: that is no plate without depression."""
    depth = np.zeros((len(RINGS), len(AROUND)), np.float32)
    depth[0] = np.nan
    places = np.zeros((len(RINGS), len(AROUND), 3))
    crater = Plate(places, depth, np.array([0.0, 0.0, 1.0]), 0.3)
    even = Plate(places, np.zeros_like(depth), np.array([0.0, 0.0, 1.0]), 0.3)
    assert BodyPlates(crater, even).read == (even,)
    assert BodyPlates(even, crater).read == (even,)
    assert np.isfinite(crater.step_mm)
