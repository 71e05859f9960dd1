"""The scanner blurs and adds noise as stated, and nothing depends on how the work was cut up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from paraspinal.phantom import build, make_phantom
from paraspinal.phantom.scanner import FWHM_PER_SIGMA, scan, slice_profile, thick_slices
from paraspinal.phantom.spec import PhantomSpec
from phantom_case import around

UNIFORM = PhantomSpec(shape=(8, 160, 160), spacing_mm=(1.0, 0.8, 0.8), beam_hardening=0.0, noise_hu=15.0)
CENTRES = np.full((8, 2), 80.0)


def test_noise_has_its_stated_sd_at_the_spine_and_no_bias():
    water = np.zeros((8, 160, 160), np.float32)
    noise = scan(water, UNIFORM, CENTRES, 0)[:, 60:100, 60:100]
    assert noise.std() == pytest.approx(15.0, rel=0.1)
    assert abs(noise.mean()) < 0.5


def test_noise_is_correlated_in_plane_and_independent_between_slices():
    noise = scan(np.zeros((8, 160, 160), np.float32), UNIFORM, CENTRES, 0)
    within = np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]
    between = np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]
    assert 0.2 < within < 0.9
    assert abs(between) < 0.03


def test_noise_is_louder_in_the_body_than_in_air():
    image = np.full((8, 160, 160), -1000.0, np.float32)
    image[:, 40:120, 30:130] = 40
    noise = scan(image, UNIFORM, CENTRES, 0) - image
    assert noise[:, 70:90, 70:90].std() > 1.5 * noise[:, 2:20, 2:20].std()


@pytest.mark.parametrize("fwhm", [1.0, 1.4])
def test_edge_response_has_the_stated_width(fwhm):
    spec = replace(UNIFORM, noise_hu=0.0, fwhm_mm=fwhm, spacing_mm=(1.0, 0.5, 0.5), shape=(4, 160, 160))
    x = (np.arange(160) - 80) * 0.5
    ramp = np.clip(0.5 + (x - 0.13) / 0.5, 0, 1)  # an edge sampled by pixels of 0.5 mm
    edge = np.broadcast_to(ramp.astype(np.float32) * 1000, (4, 160, 160))
    profile = np.gradient(scan(edge, spec, CENTRES[:4], 0)[0, 80].astype(float))
    centre = (profile * x).sum() / profile.sum()
    sigma = np.sqrt((profile * (x - centre) ** 2).sum() / profile.sum())
    # The central difference adds two pixels' width of its own.
    assert np.sqrt(sigma**2 - 0.5**2 / 2) * FWHM_PER_SIGMA == pytest.approx(fwhm, rel=0.12)


@pytest.mark.parametrize("spacing", [0.6, 1.0, 2.5, 5.0])
def test_slice_profile_keeps_hu_and_has_the_slice_thickness(spacing):
    profile = slice_profile(replace(UNIFORM, spacing_mm=(spacing, 0.8, 0.8)))
    assert profile.weights.sum() == pytest.approx(1.0)
    fine = spacing / profile.per_slice
    assert fine <= 1.4
    flat = np.full((4 * profile.per_slice + 1 + 2 * profile.halo, 2, 2), 50.0, np.float32)
    assert np.allclose(thick_slices(flat, profile, 5), 50.0, atol=1e-3)


def test_the_same_spec_gives_the_same_voxels_and_another_seed_others():
    spec = around("T9", noise_hu=12.0)
    first, again, other = make_phantom(spec), make_phantom(spec), make_phantom(replace(spec, seed=99))
    assert np.array_equal(first.volume.hu, again.volume.hu)
    assert np.array_equal(first.labels.data, again.labels.data)
    assert (first.labels.data != other.labels.data).mean() > 0.02


def test_slabs_leave_no_trace(monkeypatch):
    spec = around("T10", noise_hu=10.0)
    whole = make_phantom(spec)
    monkeypatch.setattr(build, "_SLAB_VOXELS", 130 * 130 * 10)
    pieces = make_phantom(spec)
    assert np.array_equal(whole.labels.data, pieces.labels.data)
    assert np.abs(whole.volume.hu.astype(int) - pieces.volume.hu).max() <= 1


def test_beam_hardening_darkens_muscle_beside_the_spine():
    hard = make_phantom(around("T10", beam_hardening=1.0))
    none = make_phantom(around("T10", beam_hardening=0.0))
    muscle = np.isin(hard.labels.data, [86, 87])
    change = hard.volume.hu[muscle].astype(float) - none.volume.hu[muscle]
    assert -15 < change.mean() < -0.5
    assert change.min() > -80
