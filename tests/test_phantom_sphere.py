"""The sphere phantom: its volume is exact in every plane, so that any error is the reader's."""

from __future__ import annotations

import numpy as np
import pytest

from paraspinal.errors import UsageError
from paraspinal.phantom.plane import planes_of
from paraspinal.phantom.sphere import SpherePhantom, sphere_phantom, sphere_volume

BODY = (60.0, 55.0)


def weighed(volume, phantom):
    """Return the volume in mL by partial volume, the border of the body left out."""
    inner = volume.hu[:, 22:-22, 22:-22].astype(float)
    share = (inner - phantom.background_hu) / (phantom.sphere_hu - phantom.background_hu)
    return share.sum() * volume.geometry.voxel_ml


@pytest.mark.parametrize("background", [-100.0, -850.0])
@pytest.mark.parametrize(
    ("radius", "centre"), [(10.0, (0.0, 0.0, 0.0)), (10.0, (0.4, -0.3, 0.9)), (30.0, (1.1, 2.0, -0.7))]
)
def test_partial_volume_adds_up_to_the_sphere(radius, centre, background):
    phantom = SpherePhantom((radius,), (centre,), background_hu=background, body_mm=BODY)
    volume = sphere_volume(phantom, shape=(28, 130, 130), spacing_mm=(2.5, 0.9, 0.9))
    assert weighed(volume, phantom) == pytest.approx(phantom.volume_ml(), rel=5e-4)


def test_tissues_are_what_they_are_told_to_be():
    phantom = SpherePhantom((12.0,), ((0.0, 0.0, 0.0),), sphere_hu=55.0, background_hu=-90.0, body_mm=BODY)
    hu = sphere_volume(phantom, shape=(3, 130, 130), spacing_mm=(2.5, 1.0, 1.0)).hu
    assert (hu[1, 65, 65], hu[1, 65, 65 + 30], hu[1, 2, 2]) == (55, -90, -1000)


def test_the_edge_is_as_wide_as_the_scanner_makes_it():
    phantom = SpherePhantom((25.0,), ((0.0, 0.0, 0.0),), body_mm=BODY, fwhm_mm=2.0)
    volume = sphere_volume(phantom, shape=(1, 260, 260), spacing_mm=(0.5, 0.4, 0.4))
    line = (volume.hu[0, 130, 130:].astype(float) + 100) / 140
    spread = -np.gradient(line, 0.4)
    x = np.arange(len(line)) * 0.4
    near = (x > 18) & (x < 32)
    mean = (x * spread)[near].sum() / spread[near].sum()
    sigma = np.sqrt(((x - mean) ** 2 * spread)[near].sum() / spread[near].sum())
    assert 2.3548 * sigma == pytest.approx(2.0, rel=0.05)


def test_noise_has_its_sd_and_repeats():
    phantom = sphere_phantom(10.0, noise_hu=12.0)
    plane = planes_of(sphere_volume(shape=(2, 100, 100), spacing_mm=(2.5, 1.0, 1.0)))[0]
    first, again, other = phantom(plane), phantom(plane), phantom(plane.moved((0.0, 0.0, 2.5)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (first[5:30, 30:70]).std() == pytest.approx(12.0, rel=0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpherePhantom((), ()),
        lambda: SpherePhantom((10.0, 5.0), ((0.0, 0.0, 0.0),)),
        lambda: SpherePhantom((-1.0,), ((0.0, 0.0, 0.0),)),
        lambda: SpherePhantom((5.0,), ((0.0, 0.0, 0.0),), supersampling=2),
        lambda: sphere_volume(spacing_mm=(0.0, 1.0, 1.0)),
    ],
)
def test_what_cannot_be_is_refused(make):
    with pytest.raises(UsageError):
        make()
