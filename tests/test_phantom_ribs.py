"""Ribs of synthetic bodies: a wall as thick as asked for, and ribs that a mass has eaten into."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from paraspinal.phantom import BoneSpec, MassSpec, make_phantom
from paraspinal.phantom.patient_truth import patient_truth
from paraspinal.phantom.spec import PhantomSpec
from phantom_case import around

FINE = PhantomSpec(
    shape=(6, 150, 260), spacing_mm=(2.5, 1.0, 1.0), levels=("T8", "T8"), noise_hu=0.0, beam_hardening=0.0
)


def _ribs_hu(wall_mm: float) -> tuple[float, float]:
    """Return the mean HU of all ribs' voxels, and how many voxels they have."""
    spec = replace(FINE, bone=BoneSpec(rib_cortex_mm=wall_mm, trabecular_hu=150.0))
    made = make_phantom(spec)
    numbers = [n for n, name in made.labels.names.items() if name.startswith("rib_")]
    ribs = np.isin(made.labels.data, numbers)
    return float(made.volume.hu[ribs].mean()), float(ribs.sum())


def test_bone_in_the_wall_grows_with_its_thickness_and_the_rib_keeps_its_size() -> None:
    (thin, few), (middle, _), (thick, many) = (_ribs_hu(wall) for wall in (0.4, 0.8, 1.2))
    assert few == many
    # Half a millimetre of wall is half the bone of a whole one, however fine the pixels: curvature takes a little.
    assert thick - middle == pytest.approx(middle - thin, rel=0.25)
    assert thin < middle < thick


def test_truth_says_what_was_asked_for() -> None:
    thin = replace(
        FINE, bone=BoneSpec(rib_cortex_mm=0.6, cortex_mm=0.5, cortex_hu=1000.0, trabecular_hu=150.0)
    )
    truth = patient_truth(thin, organs={}, levels=("T8",))
    assert truth["measurements"]["rib_cortex_mm"] == 0.6
    assert truth["vertebrae"]["T8"]["cortical_mass_hu_mm"] == pytest.approx(0.5 * 850.0)
    assert truth["findings"]["cortical_thinning"] is True
    normal = patient_truth(FINE, organs={}, levels=("T8",))
    assert normal["findings"]["cortical_thinning"] is False
    assert normal["findings"]["rib_expansion"] is False


def test_a_mass_eats_into_the_ribs_that_it_faces_and_into_no_vertebra() -> None:
    mass = MassSpec("left", "T9", (20.0, 18.0, 20.0), overlap_mm=0.0)
    count = {}
    for effect in ("none", "rib"):
        made = make_phantom(around("T9", masses=(replace(mass, bone=effect),)))
        for kind in ("rib_left", "rib_right", "vertebrae"):
            numbers = [n for n, name in made.labels.names.items() if name.startswith(kind)]
            count[effect, kind] = int(np.isin(made.labels.data, numbers).sum())
    assert count["rib", "rib_left"] < 0.97 * count["none", "rib_left"]
    assert count["rib", "rib_right"] == count["none", "rib_right"]
    assert count["rib", "vertebrae"] == count["none", "vertebrae"]
