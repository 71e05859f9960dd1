"""Interspaces: end plates that are gone, against thin, thick and dark discs and Schmorl nodes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from anatomy_case import anatomy, phantom
from paraspinal.config import load_config
from paraspinal.differential.derive_mass import mass_findings
from paraspinal.measure.endplate import read_end_plates
from paraspinal.measure.endplate_loss import Interspaces
from paraspinal.measure.interspace import Interspace, read_interspaces
from paraspinal.measure.wall import read_walls
from paraspinal.phantom import MassSpec, PhantomSpec, make_phantom

SHAPE = (4, 24)
ALONG = np.arange(-14.0, 14.01, 0.5)
CORE, PLATE = 190.0, 450.0


def _space(
    number: int,
    *,
    disc_mm: float = 4.0,
    gone_mm: np.ndarray | float = 0.0,
    core: float = CORE,
    noise: float = 9.0,
    tilt_mm: float = 0.0,
) -> Interspace:
    """A disc of 80 HU between two end plates of 1.5 mm; `gone_mm` of bone above and below is soft, too."""
    rng = np.random.default_rng(number)
    gone = np.broadcast_to(np.asarray(gone_mm, float), SHAPE)
    middle = tilt_mm * np.cos(np.linspace(0, 2 * np.pi, SHAPE[1], endpoint=False))[None, :] * np.ones(SHAPE)
    off = np.abs(ALONG - middle[..., None]) - (disc_mm / 2 + gone)[..., None]
    plate = np.where(gone > 0, core, PLATE)[..., None]
    hu = np.where(off < 0, np.where(gone[..., None] > 0, 50.0, 80.0), np.where(off < 1.5, plate, core))
    blurred = np.apply_along_axis(
        lambda a: np.convolve(a, np.array([1, 2, 3, 2, 1]) / 9, mode="same"), -1, hu
    )
    blurred[..., :2], blurred[..., -2:] = core, core
    blurred = blurred + noise * rng.normal(size=blurred.shape)
    return Interspace(
        f"T{number}", f"T{number + 1}", blurred.astype(np.float32), (core, core), np.zeros((1, 3))
    )


def _spaces(at: Interspace | None = None, **changes: float) -> Interspaces:
    each = [_space(n, **changes) for n in range(5, 11)]
    if at is not None:
        each[3] = at
    return Interspaces(tuple(each), frozenset(range(6)) - {3}, np.zeros(0))


@pytest.mark.parametrize("disc_mm", [2.0, 4.0, 8.0])
@pytest.mark.parametrize("core", [130.0, 250.0])
@pytest.mark.parametrize("tilt_mm", [0.0, 2.5])
def test_healthy_discs_of_any_height_lose_no_end_plate(disc_mm: float, core: float, tilt_mm: float) -> None:
    known = _spaces(disc_mm=disc_mm, core=core, tilt_mm=tilt_mm)
    assert max(known.loss(k) or 0.0 for k in range(6)) <= 0.15
    assert known.loss(3) is not None


def test_the_thickness_of_the_soft_tissue_is_read() -> None:
    thin, usual, thick = (float(np.median(_space(8, disc_mm=d).soft_mm(50.0))) for d in (4.0, 8.0, 11.0))
    # The end plates' blur covers the same part of every disc.
    assert usual - thin == pytest.approx(4.0, abs=0.6)
    assert thick - usual == pytest.approx(3.0, abs=0.6)
    assert 0.0 < thin < 4.0


def test_end_plates_that_are_gone_are_missed_over_their_area() -> None:
    everywhere = _spaces(_space(8, gone_mm=3.0))
    assert everywhere.loss(3) > 0.9
    front = np.where(np.abs(np.linspace(-180, 180, 24, endpoint=False)) > 90, 3.0, 0.0) * np.ones(SHAPE)
    assert _spaces(_space(8, gone_mm=front)).loss(3) == pytest.approx(0.5, abs=0.12)


def test_a_schmorl_node_is_little_of_an_end_plate() -> None:
    node = np.zeros(SHAPE)
    node[:2] = 2.5
    assert _spaces(_space(8, gone_mm=node)).loss(3) < 0.25


def test_a_narrow_disc_beside_normal_ones_is_no_loss() -> None:
    assert _spaces(_space(8, disc_mm=1.0), disc_mm=6.0).loss(3) == 0.0


def test_bodies_as_dark_as_soft_tissue_are_not_judged() -> None:
    assert _spaces(core=100.0).loss(3) is None


def test_one_destroyed_neighbour_does_not_hide_another() -> None:
    each = list(_spaces(_space(8, gone_mm=3.0)).each)
    each[2] = _space(7, gone_mm=3.0)
    assert Interspaces(tuple(each), frozenset(), np.zeros(0)).loss(3) > 0.9


def test_healthy_interspaces_of_a_body_keep_their_end_plates() -> None:
    volume = phantom("healthy").volume
    each = read_interspaces(volume, anatomy("healthy"), read_walls(volume, anatomy("healthy")))
    known = Interspaces(each, frozenset(range(len(each))), np.zeros(0))
    assert len(each) >= 3
    assert all((known.loss(k) or 0.0) <= 0.1 for k in range(len(each)))


def test_no_vertebra_of_a_healthy_body_is_depressed() -> None:
    volume = phantom("healthy").volume
    plates = read_end_plates(volume, anatomy("healthy"), read_walls(volume, anatomy("healthy")))
    read = [plate for body in plates.values() for plate in body.read]
    assert len(read) >= 4
    assert max(plate.step_mm for plate in read) < 1.2
    assert max(plate.depression_mm for plate in read) < 2.0


@cache
def _states(bone: str) -> tuple[str, str]:
    """Status and state of what is read beside a mass at T10 with that effect on bone."""
    from paraspinal.analysis.clock import StageClock
    from paraspinal.analysis.stages import measure_all, survey

    mass = MassSpec("left", "T10", (17.0, 15.0, 26.0), hu=40.0, bone=bone)
    spec = PhantomSpec(name="disc", seed=4, shape=(90, 224, 224), spacing_mm=(2.0, 1.5, 1.5), masses=(mass,))
    config = load_config("default")
    scan = survey(make_phantom(spec).volume, config, StageClock(None))
    measured = measure_all(scan, config)
    (found,) = (m for m in scan.search.masses if m.side == "left" and m.state == "present")
    own = measured.masses[found.id]["endplate_loss_fraction"]
    told = {f.name: f.state for f in mass_findings(found, measured.masses[found.id])}
    return own.region or own.reason or "", told["disc_involvement"]


@pytest.mark.integration
def test_infection_of_a_disc_is_found_and_a_mass_beside_a_disc_is_none() -> None:
    where, state = _states("discitis")
    assert (where, state) == ("T10/T11", "present")
    assert _states("none")[1] == "absent"
