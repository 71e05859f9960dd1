"""End plates of the vertebral bodies: two surfaces beside every disc, in the straightened spine.

A disc's plane is the one, near its border, that is darkest against the planes beside it; wedge-shaped discs (L5/S1)
lie oblique to the canal. From it the end plates are met up and down, where HU rises most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.spine.discs import DiscBorders
from paraspinal.anatomy.spine.straighten import STEP_MM, SpineFrame, sample_planes
from paraspinal.config import AnatomyConfig
from paraspinal.volume import Geometry

Surfaces = npt.NDArray[np.float32]
_ANTERIOR_MM = np.arange(4.0, 53.0, 2.0)
_LEFT_MM = np.arange(-30.0, 31.0, 2.0)
_CORE_SIDE_MM, _CORE_FRONT_MM = 13.0, (9.0, 33.0)  # bone or disc whatever the size of the vertebra
_SHIFTS_MM = np.arange(-4.0, 5.0)
_SEARCH_MM = np.arange(-10.0, 11.0)
_TILTS_FRONT = np.arange(-0.6, 0.61, 0.1)  # rise of s per mm forward: up to 31 degrees, a lumbosacral disc
_TILTS_SIDE = np.arange(-0.24, 0.25, 0.08)
_CLIP_HU = (-50.0, 350.0)  # gas in a disc and dense cortex say no more than disc and bone


@dataclass(frozen=True, slots=True)
class EndPlates:
    """Arc length (mm) of three surfaces per disc border, [border, anterior, left] on ``anterior_mm`` x ``left_mm``.

    ``middle`` is the disc's mid-plane, ``below`` the upper end plate of the vertebra below it, ``above`` the lower
    end plate of the vertebra above.
    """

    middle: Surfaces
    below: Surfaces
    above: Surfaces

    def at(
        self, surface: Surfaces, border: int, anterior: npt.NDArray[np.float32], left: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return a surface's arc length at places before and beside the canal."""
        index = np.stack(
            [(anterior - _ANTERIOR_MM[0]) / 2.0, (left - _LEFT_MM[0]) / 2.0],
        )
        return np.asarray(
            ndimage.map_coordinates(surface[border], index, order=1, mode="nearest"), np.float32
        )


def find_end_plates(
    hu: npt.NDArray[np.float32],
    frame: SpineFrame,
    borders: DiscBorders,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> EndPlates:
    """Find the end plates beside every disc border; outside the traced canal they are the border's own plane."""
    value = sample_planes(hu, frame, grid, anterior_mm=_ANTERIOR_MM, left_mm=_LEFT_MM)
    value = ndimage.gaussian_filter(np.clip(value, *_CLIP_HU), (0.7, 1.0, 1.0))
    shape = (len(borders.s_mm), len(_ANTERIOR_MM), len(_LEFT_MM))
    middle, below, above = (np.empty(shape, np.float32) for _ in range(3))
    gaps = np.diff(borders.s_mm)
    for k, s in enumerate(borders.s_mm):
        plane = _disc_plane(value, float(s), config=config)
        middle[k] = plane
        room = config.disc_half_share * float(gaps[max(0, k - 1) : k + 1].min())
        reach = max(2, round(min(config.disc_half_mm, room) / STEP_MM))
        below[k] = plane - _first_rise(value, plane, -1, reach)
        above[k] = plane + _first_rise(value, plane, 1, reach)
    return EndPlates(middle, below, above)


def _sampled(value: npt.NDArray[np.float32], s: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Read [anterior, left] at an arc length of its own for each place, nearest millimetre."""
    index = np.clip(np.rint(s / STEP_MM).astype(int), 0, len(value) - 1)
    rows, columns = np.indices(s.shape[-2:])
    return np.asarray(value[index, rows, columns])


def _disc_plane(
    value: npt.NDArray[np.float32], s: float, *, config: AnatomyConfig
) -> npt.NDArray[np.float32]:
    front = (_ANTERIOR_MM - np.mean(_CORE_FRONT_MM))[:, None]
    flat = np.full((len(_ANTERIOR_MM), len(_LEFT_MM)), s, np.float32)
    if not 3.0 < s < (len(value) - 4) * STEP_MM:
        return flat
    core = (np.abs(_LEFT_MM)[None, :] < _CORE_SIDE_MM) & (
        (_CORE_FRONT_MM[0] < _ANTERIOR_MM) & (_CORE_FRONT_MM[1] > _ANTERIOR_MM)
    )[:, None]
    rows, columns = np.nonzero(core)
    best, plane = -np.inf, flat
    for tilt in _TILTS_FRONT:
        for side in _TILTS_SIDE:
            lean = tilt * front + side * _LEFT_MM[None, :]
            index = np.rint((s + lean[core] + _SEARCH_MM[:, None]) / STEP_MM).astype(int)
            mean = value[np.clip(index, 0, len(value) - 1), rows, columns].mean(axis=1)
            at = np.searchsorted(_SEARCH_MM, _SHIFTS_MM)
            thick = (mean[at - 1] + mean[at] + mean[at + 1]) / 3.0
            dark = 0.5 * (mean[at - 6] + mean[at + 6]) - thick
            gain = dark - config.disc_lean_cost * (tilt**2 + side**2) - config.disc_shift_cost * _SHIFTS_MM**2
            if gain.max() > best:
                best = float(gain.max())
                plane = (s + _SHIFTS_MM[int(np.argmax(gain))] + lean).astype(np.float32)
    return plane


def _first_rise(
    value: npt.NDArray[np.float32], plane: npt.NDArray[np.float32], sign: int, reach: int
) -> npt.NDArray[np.float32]:
    """Distance (mm) from a disc's plane to the steepest rise of HU, at least 1 mm, even between neighbours."""
    steps = np.arange(0, reach + 2)
    profile = _sampled(value, plane + sign * STEP_MM * steps[:, None, None])
    rise = profile[2:] - profile[:-2]  # centred on steps[1:-1]
    rise = ndimage.gaussian_filter(rise, (0.5, 1.0, 1.0))
    typical = float(np.median(np.argmax(rise, axis=0)[2:15, 9:22]))
    pull = ((np.arange(len(rise)) - typical) / 4.0) ** 2
    chosen = np.argmax(rise - 30.0 * pull[:, None, None], axis=0).astype(np.float32) + 1.0
    smooth = ndimage.gaussian_filter(ndimage.median_filter(chosen, 3, mode="nearest"), 0.7)
    return np.asarray(smooth * STEP_MM, np.float32)
