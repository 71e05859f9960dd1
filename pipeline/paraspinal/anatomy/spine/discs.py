"""Where one vertebra ends and the next begins, along the straightened spine.

Two periodic signals carry the borders: the pedicles close the canal's side in the upper half of a vertebra and
leave it open (foramen) from its lower half to the disc; the disc is darker than the bodies beside it. The border
sequence with the best sum of both, under a prior on spacing and on its change from level to level, is found by
dynamic programming over (position, spacing).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.spine.straighten import STEP_MM, SpineFrame, sample_planes
from paraspinal.config import AnatomyConfig
from paraspinal.volume import Geometry

Profile = npt.NDArray[np.float64]

_USUAL_MM, _USUAL_SD = 28.0, 0.25
"""Disc-to-disc distance of thoracic and lumbar vertebrae, and its spread as a logarithm (engineering default)."""


@dataclass(frozen=True, slots=True)
class SpineSignals:
    """Signals per millimetre of arc length, caudal first, locally normalised (median 0, spread 1, clipped at ±2)."""

    disc: Profile
    pedicle: Profile


@dataclass(frozen=True, slots=True)
class DiscBorders:
    """Disc centres as arc lengths (mm), caudal first; those outside [0, length] are extrapolated.

    ``strength`` is each border's disc signal plus the pedicle contrast of the vertebra below it.
    """

    s_mm: Profile
    strength: Profile


def spine_signals(hu: npt.NDArray[np.float32], frame: SpineFrame, grid: Geometry) -> SpineSignals:
    """Read the disc and pedicle signals from the working grid."""
    body = sample_planes(hu, frame, grid, anterior_mm=np.arange(11, 28, 2), left_mm=np.arange(-9, 10, 3))
    profile = np.clip(body, -100, 600).mean(axis=(1, 2)).astype(float)
    around = ndimage.uniform_filter1d(profile, 3)
    beside = 0.5 * (np.roll(around, 6) + np.roll(around, -6))
    beside[:6], beside[-6:] = around[:6], around[-6:]
    side = np.clip(
        sample_planes(hu, frame, grid, anterior_mm=[-1, 2, 5, 8], left_mm=np.concatenate([-_SIDE, _SIDE])),
        -100,
        900,
    )
    half = len(_SIDE)
    # A pedicle runs unbroken from the facets to the body; facets and rib heads alone leave a gap at some depth.
    walls = [part.max(axis=2).min(axis=1) for part in (side[:, :, :half], side[:, :, half:])]
    pedicle = 0.5 * (walls[0] + walls[1]).astype(float)
    return SpineSignals(
        _normalised(beside - around, 60.0), _normalised(ndimage.uniform_filter1d(pedicle, 3), 80.0)
    )


_SIDE = np.arange(8, 18, 2)  # mm left or right of the canal's middle: pedicle or foramen


def _normalised(values: Profile, window_mm: float) -> Profile:
    size = max(3, min(len(values), round(window_mm / STEP_MM)))
    centred = values - ndimage.median_filter(values, size, mode="nearest")
    spread = np.sqrt(ndimage.uniform_filter1d(centred**2, size, mode="nearest"))
    return np.asarray(np.clip(centred / np.maximum(spread, 1e-6), -2.0, 2.0))


def find_disc_borders(signals: SpineSignals, *, config: AnatomyConfig) -> DiscBorders:
    """Find the disc centres by dynamic programming.

    State: (upper border s, spacing h). A vertebra between borders s − h and s scores its pedicle contrast (upper
    part against the part next to the lower disc), its upper disc, and minus the cost of h changing from level to
    level; positions reach one spacing beyond both ends so that cut vertebrae are borders too, at score 0.
    """
    low, high = (round(v / STEP_MM) for v in config.disc_spacing_mm)
    spacings = np.arange(low, high + 1)
    margin = high
    disc = np.pad(signals.disc, margin)
    cumulative = np.concatenate([[0.0], np.cumsum(np.pad(signals.pedicle, margin))])
    n = len(disc)
    s = np.arange(n)
    own = np.full((n, len(spacings)), -np.inf)
    for k, h in enumerate(spacings):
        top = s[h:]
        seen = np.minimum(top, n - margin) - np.maximum(top - h, margin)
        share = np.clip(seen / h, 0.0, 1.0)
        own[top, k] = _vertebra_score(cumulative, disc, top, int(h), share, config=config)
    total, back = _accumulate(own, spacings, margin, n - 2 * margin, config=config)
    return _trace_back(total, back, spacings, signals, margin)


def find_borders_along(signals: SpineSignals, frame: SpineFrame, *, config: AnatomyConfig) -> DiscBorders:
    """Find the disc centres with distances taken along the middle of the bodies.

    There wedged vertebrae are of usual height; behind, where the canal lies, L5 may be a third lower than in front.
    """
    path = frame.points + config.column_centre_mm * frame.anterior
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    canal = np.arange(len(path)) * STEP_MM
    steps = np.arange(0.0, along[-1] + 1e-6, STEP_MM)
    at = np.interp(steps, along, canal)
    found = find_disc_borders(
        SpineSignals(np.interp(at, canal, signals.disc), np.interp(at, canal, signals.pedicle)), config=config
    )
    beyond = found.s_mm - np.clip(found.s_mm, 0.0, along[-1])
    return DiscBorders(np.interp(found.s_mm, along, canal) + beyond, found.strength)


def _vertebra_score(
    cumulative: Profile,
    disc: Profile,
    top: npt.NDArray[np.int64],
    h: int,
    share: Profile,
    *,
    config: AnatomyConfig,
) -> Profile:
    """Score vertebrae of height h below the borders `top`.

    Of one that the scan cuts only the `share` in view speaks; for the rest its height has to be a usual one.
    """
    unusual = 0.5 * (np.log(h / _USUAL_MM) / _USUAL_SD) ** 2

    def mean(a: float, b: float) -> Profile:
        lo, hi = top - h + round(a * h), top - h + round(b * h)
        return np.asarray((cumulative[hi] - cumulative[lo]) / max(1, round(b * h) - round(a * h)))

    contrast = mean(0.5, 0.85) - mean(0.05, 0.4)
    sharp = np.maximum(
        np.maximum(disc[np.maximum(top - 1, 0)], disc[top]), disc[np.minimum(top + 1, len(disc) - 1)]
    )
    return np.asarray(
        (contrast + config.disc_weight * sharp - config.disc_period_cost) * (h * share / 25.0)
        - unusual * (1.0 - share)
    )


def _accumulate(
    own: Profile, spacings: npt.NDArray[np.int64], margin: int, length: int, *, config: AnatomyConfig
) -> tuple[Profile, npt.NDArray[np.int64]]:
    n, kinds = own.shape
    ratio = np.log(spacings[:, None] / spacings[None, :])  # [upper, lower]
    change = (ratio - config.disc_trend) ** 2 / (2 * config.disc_trend_sd**2)
    total = np.full((n, kinds), -np.inf)
    back = np.full((n, kinds), -1, np.int64)
    for k, h in enumerate(spacings):
        start = own[:, k].copy()
        begins = (np.arange(n) - h <= margin) & (np.arange(n) > margin)  # lowest vertebra holds the lower end
        total[begins, k] = start[begins]
    for top in range(margin + 1, n):
        for k, h in enumerate(spacings):
            lower = top - h
            if lower <= margin or lower >= margin + length:
                continue
            candidate = total[lower] - change[k]
            best = int(np.argmax(candidate))
            value = candidate[best] + own[top, k]
            if value > total[top, k]:
                total[top, k], back[top, k] = value, best
    return total, back


def _trace_back(
    total: Profile,
    back: npt.NDArray[np.int64],
    spacings: npt.NDArray[np.int64],
    signals: SpineSignals,
    margin: int,
) -> DiscBorders:
    length = len(signals.disc)
    ends = total[margin + length - 1 :]
    top, k = np.unravel_index(int(np.argmax(ends)), ends.shape)
    position, kind = int(top) + margin + length - 1, int(k)
    borders = [position]
    while True:
        lower, previous = position - int(spacings[kind]), int(back[position, kind])
        borders.append(lower)
        if previous < 0:
            break
        position, kind = lower, previous
    s = np.array(borders[::-1], float) - margin
    index = np.clip(s.astype(int), 0, length - 1)
    strength = np.where((s >= 0) & (s < length), signals.disc[index], 0.0)
    return DiscBorders(s * STEP_MM, strength)
