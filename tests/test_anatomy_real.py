"""Canal, levels and organs on real series."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from paraspinal.anatomy import Anatomy, segment_anatomy
from paraspinal.dicomio.nifti import read_nifti
from paraspinal.loading import load_series
from paraspinal.masses import find_masses
from paraspinal.volume import CTVolume

pytestmark = pytest.mark.realdata

# Cranial first; counted on pictures (ribs, sacrum). The slab shows too little to be named.
LEVELS = {
    "ct/lidc-0314.zip": ["C7", "T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12"],
    "ct/cmb-crc-chest.zip": ["T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10"],
    "ct/crlm-1006.zip": ["T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4"],
    "ct/medimages-flipped.zip": ["T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1"],
    "nifti/totalseg-lumbar-3mm.nii.gz": ["T12", "L1", "L2", "L3", "L4", "L5", "S1"],
}
SLAB, LUMBAR = "ct/totalseg-slab", "nifti/totalseg-lumbar-3mm.nii.gz"


@cache
def segmented(path: Path) -> tuple[CTVolume, Anatomy]:
    volume = load_series(path).volume
    return volume, segment_anatomy(volume)


def labels_on(anatomy: Anatomy, path: Path) -> np.ndarray:
    """Return a given label map on the working grid (nearest voxel, through both geometries)."""
    data, geometry = read_nifti(path)
    points = anatomy.geometry.to_lps(np.argwhere(np.ones(anatomy.geometry.shape)))
    index = np.rint(geometry.to_index(points)).astype(int)
    inside = ((index >= 0) & (index < np.asarray(data.shape))).all(axis=1)
    out = np.zeros(len(points), data.dtype)
    out[inside] = data[tuple(index[inside].T)]
    return out.reshape(anatomy.geometry.shape)


@pytest.mark.parametrize("name", LEVELS)
def test_levels_are_right(real_data: Path, name: str) -> None:
    _, found = segmented(real_data / name)
    assert [v.label for v in found.vertebrae] == LEVELS[name]


def test_a_slab_without_an_anchor_stays_uncertain(real_data: Path) -> None:
    _, found = segmented(real_data / SLAB)
    for vertebra in found.vertebrae:
        assert vertebra.confidence < 0.5
        assert {"T11", "T12"} <= set(vertebra.label_probabilities)
        assert found.labels.names[vertebra.number].startswith("vertebra_of_uncertain_level")


def test_every_centreline_point_of_the_slab_lies_in_the_cord(real_data: Path) -> None:
    _, found = segmented(real_data / SLAB)
    data, geometry = read_nifti(real_data / "labels/totalseg-slab.nii.gz")
    index = np.rint(geometry.to_index(found.centreline_lps_mm)).astype(int)
    assert (data[tuple(index.T)] == 79).all()
    assert len(index) == found.geometry.shape[0]


@pytest.mark.parametrize(
    ("name", "labels", "organ", "number", "floor"),
    [
        (SLAB, "labels/totalseg-slab.nii.gz", "liver", 5, 0.85),
        (SLAB, "labels/totalseg-slab.nii.gz", "spleen", 1, 0.8),
        (SLAB, "labels/totalseg-slab.nii.gz", "aorta", 52, 0.78),
        (LUMBAR, "labels/totalseg-lumbar-3mm.nii.gz", "liver", 5, 0.85),
        (LUMBAR, "labels/totalseg-lumbar-3mm.nii.gz", "spleen", 1, 0.78),
        (LUMBAR, "labels/totalseg-lumbar-3mm.nii.gz", "aorta", 52, 0.65),
    ],
)
def test_organs_agree_with_given_labels(
    real_data: Path, name: str, labels: str, organ: str, number: int, floor: float
) -> None:
    _, found = segmented(real_data / name)
    truth = labels_on(found, real_data / labels) == number
    mask = found.mask(organ)
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > floor


def test_lumbar_vertebrae_agree_with_given_labels(real_data: Path) -> None:
    _, found = segmented(real_data / LUMBAR)
    truth = labels_on(found, real_data / "labels/totalseg-lumbar-3mm.nii.gz")
    for number in (32, 31, 30, 29, 28, 27):
        mask = found.labels.data == number
        assert 2 * (mask & (truth == number)).sum() / (mask.sum() + (truth == number).sum()) > 0.65


@pytest.mark.parametrize("name", [*LEVELS, SLAB])
def test_no_mass_is_present_where_pictures_show_none(real_data: Path, name: str) -> None:
    volume, found = segmented(real_data / name)
    assert [mass for mass in find_masses(volume, found).masses if mass.state == "present"] == []
