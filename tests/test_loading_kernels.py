"""A kernel's name is known as soft or sharp, or as neither."""

from __future__ import annotations

import pytest

from paraspinal.loading.kernels import sharpness_of


@pytest.mark.parametrize(
    "name", ["B30f", "Br38f\\3", "I30f", "D45f", "STANDARD", "FC13", "FC13-H", "B", "c", "B_SOFT_B"]
)
def test_soft(name: str) -> None:
    assert sharpness_of(name) == "soft"


@pytest.mark.parametrize(
    "name", ["B70f", "B50s", "Bl57", "U90u", "LUNG", "BONEPLUS", "FC51", "FC86", "YB", "L", "Body Sharp"]
)
def test_sharp(name: str) -> None:
    assert sharpness_of(name) == "sharp"


@pytest.mark.parametrize(
    "name", [None, "", "B46f", "FC99", "FC04", "D", "UA", "SOFT BONE", "XYZ", "²²", "B²²"]
)
def test_neither(name: str | None) -> None:
    assert sharpness_of(name) is None
