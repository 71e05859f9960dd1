"""Canal, discs and column on synthetic signals and on the sample phantoms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from anatomy_case import anatomy, phantom
from paraspinal.anatomy import segment_anatomy
from paraspinal.anatomy.spine.canal import best_path, ring_score
from paraspinal.anatomy.spine.discs import SpineSignals, find_disc_borders
from paraspinal.config import AnatomyConfig
from paraspinal.errors import AnalysisError
from paraspinal.volume import CTVolume, Geometry, Index3

NAMES = ("emh", "healthy")


def test_the_ring_score_is_full_inside_a_ring_and_low_outside() -> None:
    y, x = np.mgrid[:61, :61]
    radius = np.hypot(y - 30, x - 30)
    score = ring_score(((radius > 6) & (radius < 9))[None], radius=9)[0]
    assert score[30, 30] == 1.0
    assert score[30, 52] < 0.5


def test_the_path_begins_and_ends_where_it_pays() -> None:
    gain = np.full((12, 5, 5), -1.0, np.float32)
    for z in range(3, 9):
        gain[z, 2, z - 3 if z < 8 else 4] = 1.0
    found = best_path(gain, reach=1, slope_cost=0.1)
    assert found.first == 3
    assert [tuple(p) for p in found.yx] == [(2, 0), (2, 1), (2, 2), (2, 3), (2, 4), (2, 4)]


@pytest.mark.parametrize("spacing", [19.0, 25.0, 36.0])
def test_disc_borders_follow_a_periodic_spine(spacing: float) -> None:
    s = np.arange(200.0)
    phase = (s - 11.0) / spacing  # discs at 11 mm, 11 mm + spacing, …
    rng = np.random.default_rng(3)
    disc = np.where(np.abs(phase - np.rint(phase)) * spacing < 2.5, 1.5, -0.3) + rng.normal(0, 0.3, 200)
    height = phase - np.floor(phase)
    pedicle = np.where((height > 0.5) & (height < 0.85), 1.2, -0.6) + rng.normal(0, 0.3, 200)
    found = find_disc_borders(SpineSignals(disc, pedicle), config=AnatomyConfig())
    truth = np.arange(11.0, 200.0, spacing)
    inside = found.s_mm[(found.s_mm > 5) & (found.s_mm < 195)]
    assert len(inside) == len(truth[truth < 195])
    assert np.abs(inside - truth[: len(inside)]).max() <= 3.0


@pytest.mark.parametrize("name", NAMES)
def test_the_canal_lies_in_the_true_canal(name: str) -> None:
    truth = cKDTree(np.asarray(phantom(name).truth["canal"]["centreline_lps_mm"]))
    distance, _ = truth.query(anatomy(name).centreline_lps_mm)
    assert distance.mean() < 1.5
    assert distance.max() < 4.0


@pytest.mark.parametrize("name", NAMES)
def test_every_vertebra_has_its_true_name_and_place(name: str) -> None:
    truth = {v["label"]: np.asarray(v["centroid_lps_mm"]) for v in phantom(name).truth["vertebrae"]}
    found = anatomy(name).vertebrae
    assert [v.label for v in found] == ["T7", "T8", "T9", "T10", "T11", "T12", "L1", "L2"]
    whole = [v for v in found if not v.truncated]
    for vertebra in whole:
        nearest = min(truth, key=lambda name: abs(truth[name][2] - vertebra.centroid_lps_mm[2]))
        assert nearest == vertebra.label
        assert np.linalg.norm(truth[vertebra.label] - vertebra.centroid_lps_mm) < 8.0


@pytest.mark.parametrize("name", NAMES)
def test_spine_coordinates_measure_distances(name: str) -> None:
    found = anatomy(name)
    where = found.spine
    spacing = found.geometry.spacing_mm
    z, y, x = (n // 2 for n in where.s.shape)
    # Towards the patient's left and front, the coordinates grow by what the index moves.
    assert where.left[z, y, x + 5] - where.left[z, y, x] == pytest.approx(5 * spacing[2], rel=0.1)
    assert where.anterior[z, y, x] - where.anterior[z, y + 5, x] == pytest.approx(5 * spacing[1], rel=0.1)
    assert where.s[z + 5, y, x] > where.s[z, y, x]


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "hu"),
    [((40, 64, 64), 2.0, -1000), ((40, 64, 64), 2.0, 40), ((3, 16, 16), 1.0, 40), ((2, 8, 8), 0.3, 300)],
)
def test_a_volume_without_a_spine_is_refused_by_code(shape: Index3, spacing_mm: float, hu: int) -> None:
    geometry = Geometry(shape, (spacing_mm, spacing_mm, spacing_mm), (0.0, 0.0, 0.0))
    with pytest.raises(AnalysisError) as caught:
        segment_anatomy(CTVolume(np.full(shape, hu, np.int16), geometry))
    assert caught.value.code == "no_spine"
