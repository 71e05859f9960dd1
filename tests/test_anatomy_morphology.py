from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from paraspinal.anatomy.morphology import closed, dilate, erode, keep_larger, largest, opened

SPACING = (2.5, 1.9, 2.1)


def blobs(seed: int) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(18, 30, 26)), 2.0)
    return noise > np.percentile(noise, 85)


@pytest.mark.parametrize("radius", [2.0, 4.0, 6.5, 9.4, 14.0])
def test_dilation_is_the_ball_of_the_distance_transform(radius: float) -> None:
    mask = blobs(1)
    distance = ndimage.distance_transform_edt(~mask, sampling=SPACING)
    assert (dilate(mask, radius, SPACING) == (distance <= radius)).mean() > 0.9999


@pytest.mark.parametrize("radius", [3.0, 14.0])
def test_erosion_keeps_what_lies_deeper_and_spares_the_border(radius: float) -> None:
    mask = blobs(2)
    mask[:, :, :4] = True
    padded = np.pad(mask, 12, mode="edge")  # the volume's border does not erode
    deep = ndimage.distance_transform_edt(padded, sampling=SPACING)[12:-12, 12:-12, 12:-12] > radius
    assert (erode(mask, radius, SPACING) == deep).mean() > 0.995


def test_opening_removes_the_thin_and_closing_fills_the_narrow() -> None:
    mask = np.zeros((20, 40, 40), bool)
    mask[5:15, 5:20, 5:20] = True
    mask[9, 10, 20:38] = True  # a thread
    kept = opened(mask, 4.0, (2.0, 2.0, 2.0))
    assert not kept[9, 10, 30]
    assert kept[9, 12, 12]
    gap = np.zeros((20, 40, 40), bool)
    gap[5:15, 5:15, 5:15] = gap[5:15, 5:15, 17:27] = True
    assert closed(gap, 4.0, (2.0, 2.0, 2.0))[10, 10, 16]


def test_components_by_size() -> None:
    mask = np.zeros((5, 20, 20), bool)
    mask[1:4, 1:6, 1:6] = True
    mask[2, 15, 15] = True
    assert largest(mask).sum() == 75
    assert keep_larger(mask, 2).sum() == 75
    assert not largest(np.zeros_like(mask)).any()
