"""Limits from few clean readings hold for the next ones, and for the greatest of several."""

from __future__ import annotations

import numpy as np
import pytest

from paraspinal.measure.null_limit import null_limit


@pytest.mark.parametrize("sites", [1, 5])
@pytest.mark.parametrize("n", [6, 12, 30])
def test_the_greatest_of_further_clean_places_rarely_exceeds_the_limit(n: int, sites: int) -> None:
    rng = np.random.default_rng(4)
    trials = 4000
    drawn = rng.normal(3.0, 0.7, (trials, n + sites))
    over = sum(row[n:].max() > null_limit(row[:n], sites=sites) for row in drawn)
    bare = sum(row[n:].max() > np.percentile(row[:n], 95.0) for row in drawn)
    assert over / trials <= 0.07
    assert over / trials >= 0.02  # no limit that nothing reaches
    assert bare / trials > 0.07


def test_skewed_readings_keep_their_percentile_and_more_sites_raise_the_limit() -> None:
    mostly_zero = np.r_[np.zeros(90), np.full(10, 5.0)]
    assert null_limit(mostly_zero) == pytest.approx(5.0)
    few = np.array([0.4, 1.5, 0.8, 1.2, 0.9, 1.0])
    assert null_limit(few) > few.max()
    assert null_limit(few, sites=3) > null_limit(few)


def test_one_reading_is_no_limit() -> None:
    with pytest.raises(ValueError, match="two readings"):
        null_limit(np.array([1.0]))
