"""Reliability: how often things happen that were said to be as probable."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import binomtest

from paraspinal.differential.compiled import Array, Indices
from paraspinal.result import ENTITIES

BORDERS = (0.0, 0.05, 0.15, 0.35, 0.65, 0.85, 1.0)
"""Borders of the bins: narrow where most probabilities lie."""
_SIDE, _GAP, _LEFT, _TOP = 150, 34, 136, 60
_INK, _GRID, _LINE, _DOT = (20, 20, 20), (215, 215, 215), (130, 130, 130), (0, 90, 170)


def reliability_picture(predictions: Mapping[str, tuple[Array, Indices]]) -> Image.Image:
    """Return one panel per entity (and one for all together) in a row per kind of evidence.

    `predictions` holds (p[n, e], truth[n]) per kind. A dot is a bin of predictions: its mean against the share that
    came true, with the 95 % interval (Wilson) and the number of predictions.
    """
    titles = ("all entities", *(name.replace("_", " ") for name in ENTITIES))
    size = (_LEFT + len(titles) * (_SIDE + _GAP), _TOP + len(predictions) * (_SIDE + _GAP + 26) + 24)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.text(
        (12, 8), "Reliability: share that came true (up) against predicted probability", _INK, _font(16)
    )
    for row, (evidence, (p, truth)) in enumerate(predictions.items()):
        top = _TOP + row * (_SIDE + _GAP + 26)
        draw.text((12, top + _SIDE / 2 - 8), evidence, _INK, _font(13))
        happened = np.eye(len(ENTITIES))[truth]
        for k, title in enumerate(titles):
            left = _LEFT + k * (_SIDE + _GAP)
            draw.text((left, top - 18), title, _INK, _font(12))
            pairs = (p.ravel(), happened.ravel()) if k == 0 else (p[:, k - 1], happened[:, k - 1])
            _panel(draw, (left, top), reliability(*pairs))
    return image


def reliability(p: Array, happened: Array) -> list[tuple[float, int, int]]:
    """Return (mean prediction, times it came true, predictions) of every bin that holds some."""
    place = np.clip(np.searchsorted(BORDERS, p, side="right") - 1, 0, len(BORDERS) - 2)
    return [
        (float(p[place == k].mean()), int(happened[place == k].sum()), int((place == k).sum()))
        for k in range(len(BORDERS) - 1)
        if (place == k).any()
    ]


def _panel(draw: ImageDraw.ImageDraw, corner: tuple[int, int], bins: list[tuple[float, int, int]]) -> None:
    left, top = corner

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * _SIDE, top + (1.0 - y) * _SIDE

    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        draw.line([at(tick, 0.0), at(tick, 1.0)], _GRID)
        draw.line([at(0.0, tick), at(1.0, tick)], _GRID)
    for tick in (0.0, 0.5, 1.0):
        x, y = at(tick, 0.0)
        draw.text((x - 8, y + 3), f"{tick:g}", _INK, _font(10))
        x, y = at(0.0, tick)
        draw.text((x - 20, y - 6), f"{tick:g}", _INK, _font(10))
    draw.line([at(0.0, 0.0), at(1.0, 1.0)], _LINE)
    for mean, hits, count in bins:
        interval = binomtest(hits, count).proportion_ci(method="wilson")
        draw.line([at(mean, interval.low), at(mean, interval.high)], _DOT)
        x, y = at(mean, hits / count)
        draw.ellipse([x - 3, y - 3, x + 3, y + 3], fill=_DOT)
        draw.text((x + 5, y - 12 if y > top + 12 else y + 3), str(count), _INK, _font(10))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
