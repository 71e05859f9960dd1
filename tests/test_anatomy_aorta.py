"""The aorta from its root to where it divides."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from anatomy_case import anatomy, dice, phantom
from paraspinal.anatomy import Anatomy, segment_anatomy
from paraspinal.dicomio.nifti import read_nifti
from paraspinal.loading import load_series
from paraspinal.phantom import Phantom, make_phantom
from paraspinal.phantom.random_body import Wish, random_spec
from phantom_case import voxels


def labels_on(found: Anatomy, data: np.ndarray, geometry: object) -> np.ndarray:
    points = found.geometry.to_lps(np.argwhere(np.ones(found.geometry.shape)))
    index = np.rint(geometry.to_index(points)).astype(int)
    inside = ((index >= 0) & (index < np.asarray(data.shape))).all(axis=1)
    out = np.zeros(len(points), data.dtype)
    out[inside] = data[tuple(index[inside].T)]
    return out.reshape(found.geometry.shape)


@cache
def chest(phase: str) -> tuple[Phantom, Anatomy]:
    """A chest from above the arch, 3 mm slices."""
    wish = Wish(
        region="chest", phase=phase, arms="up", effusion=False, metal="none", slice_mm=3.0, matrix=200,
        noise_hu=15.0, cut_field=False, kernel="soft",
    )  # fmt: skip
    made = make_phantom(replace(random_spec(11, wish), fwhm_mm=1.6))
    return made, segment_anatomy(made.volume)


@pytest.mark.parametrize("phase", ["aortic", pytest.param("portal", marks=pytest.mark.integration)])
def test_the_arch_and_the_ascending_aorta_are_included(phase: str) -> None:
    made, found = chest(phase)
    truth = labels_on(found, voxels(made, "aorta"), made.labels.geometry)
    assert dice(found.mask("aorta"), truth) > 0.8


@pytest.mark.parametrize("name", ["healthy", pytest.param("effusion", marks=pytest.mark.integration)])
def test_a_heart_at_the_top_of_the_scan_is_not_aorta(name: str) -> None:
    """Without trachea and arch in view a chamber is as round and even as an ascending aorta."""
    heart = labels_on(anatomy(name), voxels(phantom(name), "heart"), phantom(name).labels.geometry)
    assert heart.any()
    assert (anatomy(name).mask("aorta") & heart).sum() < 0.02 * heart.sum()


@pytest.mark.parametrize("name", ["emh", "single-mass", "abscess", "metastasis"])
def test_a_mass_beside_the_spine_is_not_aorta(name: str) -> None:
    found = anatomy(name)
    mass = labels_on(found, phantom(name).masses.data, phantom(name).masses.geometry) > 0
    assert mass.any()
    assert (found.mask("aorta") & mass).sum() < 0.02 * mass.sum()


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("scan", "labels", "least"),
    [
        ("ct/totalseg-slab", "labels/totalseg-slab.nii.gz", 0.88),
        ("nifti/totalseg-lumbar-3mm.nii.gz", "labels/totalseg-lumbar-3mm.nii.gz", 0.80),
    ],
)
def test_dice_to_given_labels(real_data: Path, scan: str, labels: str, least: float) -> None:
    found = segment_anatomy(load_series(real_data / scan).volume)
    data, geometry = read_nifti(real_data / labels)
    assert dice(found.mask("aorta"), labels_on(found, data, geometry) == 52) > least
