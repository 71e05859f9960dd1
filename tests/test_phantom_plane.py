"""Planes of a volume are imaged as what a scanner would have made of them."""

from __future__ import annotations

import numpy as np

from defect_case import SHAPE, SPACING, volume
from paraspinal.phantom.plane import VolumeImager, planes_of
from paraspinal.volume import CTVolume, Geometry


def test_a_plane_of_the_volume_is_its_own_slice():
    imager = VolumeImager(volume())
    for k in (0, 7, SHAPE[0] - 1):
        assert np.array_equal(imager(planes_of(volume())[k]), volume().hu[k])


def test_a_plane_between_two_slices_is_their_mean():
    between = planes_of(volume())[9].moved((0.0, 0.0, 0.25 * SPACING[0]))
    expected = 0.75 * volume().hu[9] + 0.25 * volume().hu[10]
    assert np.allclose(VolumeImager(volume())(between), expected, atol=1e-3)


def test_a_linear_volume_stays_linear_in_any_plane():
    g = Geometry((24, 30, 30), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    z, y, x = np.indices(g.shape)
    linear = CTVolume((100 + 4 * z + 3 * y - 2 * x).astype(np.int16), g)
    plane = planes_of(linear)[12].turned(np.array([[1, 0, 0], [0, 0.96, -0.28], [0, 0.28, 0.96]]))
    index = g.to_index(plane.points())
    inner = (slice(6, -6), slice(6, -6))
    expected = 100 + index @ np.array([4.0, 3.0, -2.0])
    assert np.allclose(VolumeImager(linear)(plane)[inner], expected[inner], atol=0.5)


def test_a_turned_plane_keeps_its_centre_and_its_right_angles():
    plane = planes_of(volume())[3]
    turned = plane.turned(np.array([[0.8, 0.0, 0.6], [0.0, 1.0, 0.0], [-0.6, 0.0, 0.8]]))
    assert np.allclose(turned.centre, plane.centre)
    assert np.allclose(turned.normal, (0.6, 0.0, 0.8))
    assert np.allclose(turned.points()[2, 5], turned.at(2, 5))
