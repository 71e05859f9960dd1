"""Liver and spleen in the report: outlines lie where the organs lie, values stand beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from paraspinal.anatomy.types import Anatomy, Organ
from paraspinal.report.organ_picture import ORGANS, organ_legend, render_organs
from paraspinal.result import Measurement
from paraspinal.volume import LabelMap
from report_case import GEOMETRY, SHAPE, anatomy_of, volume_of

VOLUME = volume_of(np.zeros(SHAPE))
SPLEEN, LIVER = (
    (slice(20, 40), slice(90, 120), slice(140, 180)),
    (slice(15, 45), slice(60, 125), slice(20, 110)),
)


def _anatomy(**boxes: tuple[slice, slice, slice]) -> Anatomy:
    masks = {}
    for name, box in boxes.items():
        masks[name] = np.zeros(SHAPE, bool)
        masks[name][box] = True
    plain = anatomy_of()
    labels = LabelMap(np.zeros(SHAPE, np.uint16), GEOMETRY, {})
    return replace(plain, geometry=GEOMETRY, masks=masks, labels=labels)


def _pixels(anatomy: Anatomy, name: str, **measured: Measurement) -> np.ndarray:
    image = render_organs(VOLUME, anatomy, measured)
    assert image is not None
    plane = np.asarray(image)[:, :420].astype(int)
    return np.argwhere(np.abs(plane - ORGANS[name]).sum(axis=-1) < 60)


def test_outlines_lie_on_their_sides_and_are_as_large_as_the_organs() -> None:
    anatomy = _anatomy(spleen=SPLEEN, liver=LIVER)
    spleen, liver = _pixels(anatomy, "spleen"), _pixels(anatomy, "liver")
    assert spleen[:, 1].mean() > 210 > liver[:, 1].mean()  # the patient's left is on the right
    mm_per_px = (160.0 + 24.0) / 420  # both organs and the margin
    for found, box in ((spleen, SPLEEN), (liver, LIVER)):
        height, width = np.ptp(found, axis=0) * mm_per_px
        assert height == pytest.approx((box[0].stop - box[0].start) * 4.0, abs=6.0)
        assert width == pytest.approx(box[2].stop - box[2].start, abs=4.0)


def test_a_value_stands_beside_the_picture_and_a_bound_reads_as_one() -> None:
    anatomy = _anatomy(spleen=SPLEEN)
    cut = Measurement.measured(300.0, "mL", type_a=10.0, status="lower_bound", reason="cut off")
    nothing, some = (render_organs(VOLUME, anatomy, m) for m in ({}, {"spleen_volume_ml": cut}))
    assert nothing is not None
    assert some is not None
    differ = np.argwhere((np.asarray(nothing) != np.asarray(some)).any(axis=-1))
    assert differ[:, 1].min() > 420
    assert np.ptp(differ[:, 0]) < 20  # one line


def test_the_caption_says_what_is_cut_and_what_is_not_there() -> None:
    organs = {
        "spleen": Organ("present", 0.9, ("inferior",)),
        "liver": Organ("not_in_view", 0.8, reason="outside"),
    }
    text = organ_legend(replace(_anatomy(spleen=SPLEEN), organs=organs))
    assert "spleen outlined, cut off by the scan (inferior)" in text
    assert "no liver outlined (outside)" in text


def test_without_an_organ_there_is_no_picture() -> None:
    assert render_organs(VOLUME, _anatomy(), {}) is None
