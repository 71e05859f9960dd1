"""Thick slices that tile keep their content when thinner ones are made of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from paraspinal.loading.histopolation import histopolate, tiling_edges


def test_every_thick_slice_keeps_its_content() -> None:
    rng = np.random.default_rng(4)
    hu = rng.integers(-900, 900, (7, 9, 5)).astype(np.int16)
    edges = np.array([0.0, 2.5, 5.0, 10.0, 15.0, 20.0, 22.5, 25.0])
    middles = np.arange(1.25, 25.0, 2.5)
    with ThreadPoolExecutor(2) as pool:
        thin = histopolate(hu, edges, middles, 2.5, pool)
    assert thin.shape == (10, 9, 5)
    for index, (low, high) in enumerate(pairwise(edges)):
        inside = (middles > low) & (middles < high)
        np.testing.assert_allclose(thin[inside].mean(axis=0), hu[index], atol=0.51)


def test_nothing_falls_below_the_darkest_neighbour_and_even_tissue_stays_even() -> None:
    hu = np.full((6, 2, 2), 40, np.int16)
    hu[3:] = -1024
    edges = 5.0 * np.arange(7)
    with ThreadPoolExecutor(1) as pool:
        thin = histopolate(hu, edges, np.arange(0.5, 30.0), 1.0, pool)
    assert thin.min() == -1024
    np.testing.assert_array_equal(thin[:10], 40)


@pytest.mark.parametrize(
    ("along", "thickness", "edges"),
    [
        ([0.0, 2.5, 6.25, 11.25], [2.5, 2.5, 5.0, 5.0], [-1.25, 1.25, 3.75, 8.75, 13.75]),
        ([0.0, 2.5, 5.0], [5.0, 5.0, 5.0], None),  # overlapping
        ([0.0, 7.5, 15.0], [5.0, 5.0, 5.0], None),  # gaps between
        ([0.0, 2.5, 5.0], [2.5, np.nan, 2.5], None),
    ],
)
def test_slices_tile_where_their_thickness_is_their_distance(
    along: list[float], thickness: list[float], edges: list[float] | None
) -> None:
    found = tiling_edges(np.array(along), thickness, share=0.1)
    if edges is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, edges)
