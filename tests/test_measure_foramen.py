"""Foramina: their width, what is wider than its neighbours, and what fills them without widening them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.spatial import cKDTree

from anatomy_case import anatomy, phantom, search
from paraspinal.config import load_config
from paraspinal.differential.derive_mass import mass_findings
from paraspinal.measure.foramen import Foramen, read_foramina
from paraspinal.measure.foramen_widening import Foramina, clean_foramina, measure_foramina
from paraspinal.measure.view import mass_view
from paraspinal.quality import assess_quality
from paraspinal.result import Measurements
from paraspinal.volume import CTVolume

CONFIG = load_config("default").measure
AT = ("T10", "left")


@cache
def _foramina(name: str) -> tuple[Foramen, ...]:
    return read_foramina(phantom(name).volume, anatomy(name))


def _by_place(foramina: tuple[Foramen, ...]) -> dict[tuple[str, str], Foramen]:
    return {(f.label, f.side): f for f in foramina}


def _carved(volume: CTVolume, foramen: Foramen, radius_mm: float, hu: int = 45) -> CTVolume:
    """Replace bone around a foramen's tunnel; what is not bone stays."""
    tunnel = foramen.tunnel_lps_mm
    along = (tunnel[-1] - tunnel[0]) / np.linalg.norm(tunnel[-1] - tunnel[0])
    ends = np.vstack([tunnel[0] - 4 * along, tunnel, tunnel[-1] + 4 * along])
    at = np.linspace(0, len(ends) - 1, 80)
    fine = np.column_stack([np.interp(at, np.arange(len(ends)), ends[:, k]) for k in range(3)])
    low = np.floor(volume.geometry.to_index(fine).min(axis=0)).astype(int) - 15
    high = np.ceil(volume.geometry.to_index(fine).max(axis=0)).astype(int) + 16
    box = tuple(slice(max(0, a), b) for a, b in zip(low, high, strict=True))
    index = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), -1)
    hu_in = volume.hu.copy()
    part = hu_in[box]
    index = index[: part.shape[0], : part.shape[1], : part.shape[2]]
    distance = cKDTree(fine).query(volume.geometry.to_lps(index.reshape(-1, 3)))[0].reshape(part.shape)
    part[(distance <= radius_mm) & (part > hu)] = hu
    return replace(volume, hu=hu_in)


def test_both_sides_of_a_healthy_spine_are_as_wide() -> None:
    found = _by_place(_foramina("healthy"))
    levels = {label for label, _ in found}
    assert len(levels) >= 4
    for label in levels:
        left, right = (found[label, side].width_mm for side in ("left", "right"))
        assert left == pytest.approx(right, abs=1.0)
        assert 4.0 <= left <= 13.0
    known = clean_foramina(_foramina("healthy"), (), phantom("healthy").volume.geometry)
    assert np.abs(known.nulls_mm).max() < 1.5


def test_a_foramen_that_is_widened_reads_wider_by_as_much() -> None:
    volume = phantom("healthy").volume
    before = _by_place(_foramina("healthy"))
    read = []
    for wider in (2.0, 5.0):
        carved = _carved(volume, before[AT], (before[AT].width_mm + wider) / 2.0)
        after = _by_place(read_foramina(carved, anatomy("healthy")))
        read.append(after[AT].width_mm)
        others = [after[k].width_mm - before[k].width_mm for k in before if k[0] not in ("T9", "T10", "T11")]
        assert np.abs(others).max() < 0.3
    # The carved edge is sharp, that of the phantom blurred, so that two carved ones are compared.
    assert read[1] - read[0] == pytest.approx(3.0, abs=0.8)
    assert read[0] > before[AT].width_mm


def test_soft_tissue_and_contrast_in_a_foramen_do_not_change_its_width() -> None:
    volume = phantom("healthy").volume
    before = _by_place(_foramina("healthy"))
    filled = volume.hu.copy()
    near = volume.geometry.to_index(before[AT].tunnel_lps_mm)
    low, high = np.floor(near.min(axis=0) - 2).astype(int), np.ceil(near.max(axis=0) + 3).astype(int)
    part = filled[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    part[part < 120] = 120
    after = _by_place(read_foramina(replace(volume, hu=filled), anatomy("healthy")))
    assert after[AT].width_mm == pytest.approx(before[AT].width_mm, abs=0.6)


@cache
def _measured(name: str) -> Measurements:
    volume, (mass, *_) = phantom(name).volume, search(name).masses
    known = clean_foramina(_foramina(name), search(name).masses, volume.geometry)
    view = mass_view(volume, anatomy(name), mass, context_mm=CONFIG.context_mm)
    return measure_foramina(known, mass, view, volume.geometry, assess_quality(volume), CONFIG)


def test_the_dumb_bell_widens_its_foramen() -> None:
    found = _measured("schwannoma")
    assert found["foramen_widening_mm"].status == "measured"
    assert found["foramen_widening_mm"].region == "below T8, right"
    assert found["foramen_widening_mm"].value == pytest.approx(3.0, abs=1.0)
    (mass, *_) = search("schwannoma").masses
    told = {f.name: f.state for f in mass_findings(mass, found)}
    assert told["foraminal_widening"] == "present"


def test_a_foramen_is_judged_by_clean_ones_only() -> None:
    wide = replace(_foramina("healthy")[0], width_mm=14.0)
    label = wide.label
    each = (wide, *_foramina("healthy")[1:])
    mirror = next(k for k, f in enumerate(each) if f.label == label and f.side != wide.side)
    known = Foramina(each, frozenset(range(1, len(each))), np.zeros(0))
    both = Foramina(each, frozenset(range(1, len(each))) - {mirror}, np.zeros(0))
    assert known.excess_mm(0) == pytest.approx(both.excess_mm(0), abs=1.0)
    assert known.excess_mm(0) > 3.0
    assert Foramina(each, frozenset({1}), np.zeros(0)).excess_mm(0) is None


def test_foramina_are_not_judged_in_thick_slices() -> None:
    name = "schwannoma"
    volume, (mass, *_) = phantom(name).volume, search(name).masses
    known = clean_foramina(_foramina(name), search(name).masses, volume.geometry)
    view = replace(mass_view(volume, anatomy(name), mass, context_mm=CONFIG.context_mm), slice_mm=5.0)
    found = measure_foramina(known, mass, view, volume.geometry, assess_quality(volume), CONFIG)
    assert {m.status for m in found.values()} == {"not_assessed"}
