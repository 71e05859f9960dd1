"""Fill in a slice between slices so that what changes shape keeps its volume.

Averaging two neighbours shows two contours at once and makes every convex body too small: between two slices a
distance a and b away, a sphere loses the area pi × a × b, whatever its radius. Here the contours of the neighbours
are interpolated as signed distances (shape-based interpolation: Raya & Udupa, IEEE Trans Med Imaging 1990, 9:32–42)
by a polynomial through up to four slices, and the grey values of the two nearest slices are carried along.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations, pairwise

import cv2
import numpy as np
import numpy.typing as npt

from paraspinal.volume import HUArray

Plane = npt.NDArray[np.float32]

# Contours further than this from a pixel say nothing about it; the shift of a contour is limited to the same.
_REACH_PX = 16.0
# Influence of a contour on the grey values around it fades with this distance.
_FADE_PX = 6.0
# One contour is followed between each two of these, from air over lung, fat, water and soft tissue to bone: the
# steepest border of a scan, skin against air, would otherwise take all of them.
_BANDS = (-950.0, -600.0, -300.0, -75.0, 0.0, 75.0, 200.0, 1200.0)
_STEP_HU = 12.5
# A contour is an edge if values change this much per pixel along it; noise that was smoothed changes less.
_EDGE_HU_PER_PX = 12.0
_SMOOTH_PX = 0.8


class SourceSlice:
    """One slice of the series with what interpolation needs of it, computed once.

    Parameters
    ----------
    hu : ndarray of int16, shape (rows, columns)
    position_mm : float
        Along the stack's normal.
    """

    def __init__(self, hu: HUArray, position_mm: float) -> None:
        self.hu = hu.astype(np.float32)
        self.position_mm = position_mm
        self._distances: dict[float, Plane] = {}

    @cached_property
    def smooth(self) -> Plane:
        """The slice without pixel noise."""
        return _smoothed(self.hu)

    def distance(self, level: float) -> Plane:
        """Return the signed distance in pixels to the contour of `level` HU, positive inside, to sub-pixels."""
        found = self._distances.get(level)
        if found is None:
            found = self._distances[level] = _signed_distance(self.smooth, level)
        return found


def interpolate(slices: Sequence[SourceSlice], at_mm: float, *, levels: Sequence[float]) -> HUArray:
    """Return the slice at `at_mm` from its neighbours.

    Parameters
    ----------
    slices : sequence of SourceSlice
        Two to four, in order of position; `at_mm` lies between two of them.
    at_mm : float
        Position along the stack's normal.
    levels : sequence of float
        HU of the contours to follow, as `edge_levels` finds them.

    Returns
    -------
    ndarray of int16, shape (rows, columns)
        Hounsfield units, rounded; never outside the range of the two nearest slices.
    """
    after = next(i for i, s in enumerate(slices) if s.position_mm >= at_mm)
    below, above = slices[after - 1], slices[after]
    share = (at_mm - below.position_mm) / (above.position_mm - below.position_mm)
    contours = [(level, _contour(slices, level, at_mm, (below, above))) for level in levels]
    carried = [_carried(part, contours) for part in (below, above)]
    mixed = (1.0 - share) * carried[0] + share * carried[1]
    info = np.iinfo(np.int16)
    return np.clip(np.rint(mixed), info.min, info.max).astype(np.int16)


def edge_levels(planes: HUArray) -> tuple[float, ...]:
    """Return the HU at which tissues meet in `planes`, shape (slices, rows, columns).

    These are the values whose pixels lie on the steepest slopes. A value that tissue has is found on flat ground,
    a value between two tissues only on the slope between them.
    """
    values = np.arange(_BANDS[0], _BANDS[-1], _STEP_HU)
    steep = np.zeros(len(values))
    count = np.zeros(len(values))
    for raw in planes:
        plane = _smoothed(raw.astype(np.float32))
        gy, gx = np.gradient(plane)
        bins = np.rint((plane - values[0]) / _STEP_HU).astype(np.int32).ravel()
        inside = (bins >= 0) & (bins < len(values))
        slope = np.hypot(gy, gx).ravel()[inside]
        steep += np.bincount(bins[inside], weights=slope, minlength=len(values))
        count += np.bincount(bins[inside], minlength=len(values))
    mean = steep / np.maximum(count, 1.0)
    chosen = []
    for low, high in pairwise(_BANDS):
        band = np.flatnonzero((values >= low) & (values < high) & (count > 0))
        if band.size and mean[band].max() >= _EDGE_HU_PER_PX:
            chosen.append(float(values[band[mean[band].argmax()]]))
    return tuple(chosen)


def _smoothed(plane: Plane) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), _SMOOTH_PX), dtype=np.float32)


def _contour(
    slices: Sequence[SourceSlice], level: float, at_mm: float, nearest: tuple[SourceSlice, SourceSlice]
) -> Plane:
    """Return the signed distance to the contour of `level` at `at_mm`.

    The polynomial goes through the two nearest slices and, pixel by pixel, through those beyond them that show the
    contour within reach: a slice in which a body has ended would bend it. Where only one of the nearest slices
    shows it, a body ends in between, nobody knows where; it is infinite there, and grey values are averaged.
    """
    fields = [s.distance(level) for s in slices]
    seen = [np.abs(field) < _REACH_PX for field in fields]
    out = np.full(fields[0].shape, np.inf, dtype=np.float32)
    outer = [i for i, s in enumerate(slices) if s not in nearest]
    ends = np.zeros(out.shape, dtype=bool)
    for i, part in enumerate(slices):
        if part in nearest:
            ends |= ~seen[i]
    for size in range(len(outer), -1, -1):
        for kept in combinations(outer, size):
            used = [i for i, s in enumerate(slices) if s in nearest or i in kept]
            weights = _lagrange([slices[i].position_mm for i in used], at_mm)
            here = np.isinf(out)
            for i in kept:
                here &= seen[i]
            value = sum(np.float32(w) * fields[i] for w, i in zip(weights, used, strict=True))
            out = np.where(here, value, out).astype(np.float32)
    out[ends] = np.inf
    return out


def _carried(part: SourceSlice, contours: Sequence[tuple[float, Plane]]) -> Plane:
    """Return the grey values of `part`, moved so that its contours lie where the interpolated ones do."""
    rows, columns = part.hu.shape
    nearest = np.full(part.hu.shape, np.inf, dtype=np.float32)
    move_y = np.zeros(part.hu.shape, dtype=np.float32)
    move_x = np.zeros(part.hu.shape, dtype=np.float32)
    for level, wanted in contours:
        own = part.distance(level)
        closer = (np.abs(wanted) < _REACH_PX) & (np.abs(wanted) < nearest)
        gy, gx = np.gradient(own)
        target = np.where(closer, wanted, own)
        shift = np.clip(target - own, -_REACH_PX, _REACH_PX) * np.exp(-np.square(target / _FADE_PX))
        move_y = np.where(closer, shift * gy, move_y).astype(np.float32)
        move_x = np.where(closer, shift * gx, move_x).astype(np.float32)
        nearest = np.where(closer, np.abs(wanted), nearest).astype(np.float32)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    return np.asarray(
        cv2.remap(part.hu, x + move_x, y + move_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        dtype=np.float32,
    )


def _signed_distance(smooth: Plane, level: float) -> Plane:
    """Return the distance to the contour, corrected below a pixel by the slope at the contour."""
    inside = smooth >= level
    to_outside = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    to_inside = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = np.where(inside, to_outside - 0.5, 0.5 - to_inside)
    gy, gx = np.gradient(smooth)
    slope = np.maximum(np.hypot(gy, gx), _EDGE_HU_PER_PX)
    close = np.abs(distance) <= 1.0
    distance[close] = np.clip((smooth[close] - level) / slope[close], -1.5, 1.5)
    return np.clip(distance, -_REACH_PX, _REACH_PX).astype(np.float32)


def _lagrange(positions: Sequence[float], at: float) -> list[float]:
    """Return the weights of the polynomial through `positions`, evaluated at `at`."""
    weights = []
    for i, own in enumerate(positions):
        weight = 1.0
        for j, other in enumerate(positions):
            if i != j:
                weight *= (at - other) / (own - other)
        weights.append(weight)
    return weights
