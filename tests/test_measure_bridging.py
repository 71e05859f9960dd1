"""Tissue that crosses the midline is measured; masses that end beside it are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from measure_scene import Inside, Scene, ball, cuboid, drawn, mass_of, vertebral_cylinder
from paraspinal.measure.bridging import measure_bridging
from paraspinal.measure.view import mass_view
from paraspinal.result import Measurement

LEFT, RIGHT = ball((30.0, -10.0, 0.0), 24.0), ball((-30.0, -10.0, 0.0), 24.0)


def band(thickness: float) -> Inside:
    """Tissue in front of the vertebral body from side to side."""
    return cuboid((0.0, -24.0, 0.0), (30.0, thickness / 2, 6.0))


def union(*parts: Inside) -> Inside:
    return lambda x, y, z: np.logical_or.reduce([part(x, y, z) for part in parts])


def read(mass: Inside, spacing: tuple[float, float, float] = (1.0, 0.8, 0.8)) -> Measurement:
    body = vertebral_cylinder()
    scene = Scene(paint=((body, 200.0), (mass, 45.0)), mass=mass, vertebra=body, spacing=spacing)
    volume = scene.volume()
    anatomy, candidate = scene.anatomy(volume), scene.candidate()
    return measure_bridging(
        volume, anatomy, mass_view(volume, anatomy, candidate, context_mm=8.0), candidate, []
    )


@pytest.mark.parametrize("thickness", [6.0, 10.0])
def test_a_band_in_front_of_the_body_has_its_thickness(thickness: float) -> None:
    found = read(union(LEFT, RIGHT, band(thickness)))
    assert found.status == "measured"
    assert found.value == pytest.approx(thickness, abs=0.9)


def test_a_mass_of_one_side_bridges_nothing() -> None:
    found = read(LEFT)
    assert found.status == "below_detection_limit"
    assert found.value is None


def test_what_reaches_the_midline_and_ends_there_bridges_nothing() -> None:
    one_sided = union(LEFT, cuboid((14.0, -24.0, 0.0), (14.0, 5.0, 6.0)))
    assert read(one_sided).status == "below_detection_limit"


def read_pair(*halves: Inside) -> Measurement:
    body = vertebral_cylinder()
    scene = Scene(paint=((body, 200.0), (union(*halves), 45.0)), mass=union(*halves), vertebra=body)
    volume = scene.volume()
    anatomy = scene.anatomy(volume)
    masses = [
        mass_of(drawn(half, scene.geometry), scene.geometry, number=k + 1, pair=1)
        for k, half in enumerate(halves)
    ]
    view = mass_view(volume, anatomy, masses[0], context_mm=8.0)
    return measure_bridging(volume, anatomy, view, masses[0], masses[1:])


def test_a_pair_is_taken_together() -> None:
    found = read_pair(
        union(LEFT, cuboid((15.0, -24.0, 0.0), (15.0, 4.0, 6.0))),
        union(RIGHT, cuboid((-15.0, -24.0, 0.0), (15.0, 4.0, 6.0))),
    )
    assert found.value == pytest.approx(8.0, abs=0.9)


@pytest.mark.parametrize("pixel", [0.6, 0.75, 0.9, 0.977])
def test_the_thickness_does_not_depend_on_the_pixels(pixel: float) -> None:
    found = read(union(LEFT, RIGHT, band(10.0)), spacing=(1.0, pixel, pixel))
    assert found.value == pytest.approx(10.0, abs=pixel)


@pytest.mark.parametrize("gap", [2.0, 4.0, 10.0])
def test_a_pair_that_nearly_meets_bridges_nothing(gap: float) -> None:
    right = cuboid((-15.0 - gap, -24.0, 0.0), (15.0, 4.0, 6.0))
    halves = union(LEFT, cuboid((15.0, -24.0, 0.0), (15.0, 4.0, 6.0))), union(RIGHT, right)
    assert read_pair(*halves).status == "below_detection_limit"


def test_what_lies_beyond_the_traced_spine_is_not_denied() -> None:
    body = vertebral_cylinder()
    scene = Scene(paint=((body, 200.0), (LEFT, 45.0)), mass=LEFT, vertebra=body)
    volume = scene.volume()
    anatomy = scene.anatomy(volume)
    box = (slice(14, 30), *anatomy.spine.box[1:])
    spine = replace(
        anatomy.spine, box=box, **{f: getattr(anatomy.spine, f)[box] for f in ("s", "anterior", "left")}
    )
    anatomy = replace(anatomy, spine=spine)
    candidate = scene.candidate()
    found = measure_bridging(
        volume, anatomy, mass_view(volume, anatomy, candidate, context_mm=8.0), candidate, []
    )
    assert found.status == "not_assessed"
    assert "beyond" in (found.reason or "")
