"""What the field of view cuts off, and how the lungs' lower surface moved between slices: from a coarse look."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.config import QualityConfig
from paraspinal.quality.types import FieldCut
from paraspinal.volume import BoolArray, CTVolume

_PIXEL_MM = 4.0
_SLICE_MM = 5.0
_MOTION_SLICE_MM = 2.5  # closer slices differ by less than noise moves a surface
_TISSUE_HU = -300.0
_AERATED_HU = (-800.0, -200.0)  # wholly lung, and not at all
_EVEN_MM = 10.0  # SD of the mean along z; breathing takes 2-4 s, in which the table moves 20-150 mm
_MIN_STEPS = 6
_MIN_BODY_MM2 = 5000.0  # a neck is larger
_TABLE_MM = 12.0  # what is thinner is no body
_END_SHARE, _FULL_SHARE = 0.15, 0.9  # of the lungs' largest section: where their lower end begins and ends


def field_cut(volume: CTVolume, *, config: QualityConfig | None = None) -> FieldCut | None:
    """Return which share of the body's outline the field of view cuts, slice by slice; None without a body."""
    config = config or QualityConfig()
    step = max(1, round(_SLICE_MM / volume.geometry.spacing_mm[0]))
    places = np.arange(0, volume.geometry.shape[0], step)
    shares = np.array([_cut_share(volume, int(z)) for z in places])
    seen = np.isfinite(shares)
    if not seen.any():
        return None
    middle = [(n - 1) / 2 for n in volume.geometry.shape[1:]]
    heights = volume.geometry.to_lps([(z, *middle) for z in places[seen]])[:, 2]
    ranges = _ranges(shares[seen] >= config.field_cut_share, heights, step * volume.geometry.spacing_mm[0])
    return FieldCut(heights_mm=heights, share=shares[seen], ranges_mm=ranges)


def _ranges(
    cut: BoolArray, heights: npt.NDArray[np.float64], step_mm: float
) -> tuple[tuple[float, float], ...]:
    """Return (lowest, highest) LPS z of each run of cut slices."""
    runs = np.flatnonzero(np.diff(np.concatenate([[0], cut.astype(np.int8), [0]])))
    pairs = [(heights[a], heights[b - 1]) for a, b in zip(runs[::2], runs[1::2], strict=True)]
    return tuple((float(min(p)) - step_mm / 2, float(max(p)) + step_mm / 2) for p in pairs)


def _coarse(volume: CTVolume, z: int) -> tuple[npt.NDArray[np.float32], BoolArray]:
    """Return a slice averaged to about 4 mm, and where it lies beyond the field of view or on its border."""
    _, dy, dx = volume.geometry.spacing_mm
    _, ny, nx = volume.geometry.shape
    size = max(4, round(nx * dx / _PIXEL_MM)), max(4, round(ny * dy / _PIXEL_MM))
    small = cv2.resize(volume.hu[z].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    beyond = np.zeros(small.shape, bool)
    if volume.padding is not None:
        share = cv2.resize(volume.padding[z].astype(np.float32), size, interpolation=cv2.INTER_AREA)
        beyond = share > 0.5
    return np.asarray(small, np.float32), beyond


def _body(small: npt.NDArray[np.float32], beyond: BoolArray) -> BoolArray:
    """Return the largest thick object of a coarse slice, its holes filled."""
    tissue = ((small > _TISSUE_HU) & ~beyond).astype(np.uint8)
    side = max(2, round(_TABLE_MM / _PIXEL_MM))
    # Replicated borders: the opening must not take away what the field cuts.
    framed = cv2.copyMakeBorder(tissue, side, side, side, side, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(framed, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    opened = np.ascontiguousarray(opened[side:-side, side:-side])
    outlines, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    body = np.zeros_like(tissue)
    if outlines:
        cv2.drawContours(body, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return body.astype(bool)


def _cut_share(volume: CTVolume, z: int) -> float:
    small, beyond = _coarse(volume, z)
    body = _body(small, beyond)
    if body.sum() * _PIXEL_MM**2 < _MIN_BODY_MM2:
        return float("nan")
    framed = np.pad(body, 1)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    outline = body & ~cv2.erode(framed.astype(np.uint8), cross)[1:-1, 1:-1].astype(bool)
    edge = cv2.dilate(np.pad(beyond, 1, constant_values=True).astype(np.uint8), cross)[1:-1, 1:-1]
    return float(np.count_nonzero(outline & edge.astype(bool)) / np.count_nonzero(outline))


def breathing_score(volume: CTVolume, *, config: QualityConfig | None = None) -> float | None:
    """Return how unevenly the lungs' section grows above their lower end: 0 is even, 1 and more is steps only.

    Above a still diaphragm the section grows evenly with height; one that moved while the table did shows steps, or
    goes back. The score is the mean departure of the growth per slice from its own mean over some 2 cm, relative to
    that mean. A heart that beats adds to it; a slow drift does not show, nor does motion within a slice. Still chests
    read up to about 0.35, depending on how their bases are shaped.

    Parameters
    ----------
    volume : CTVolume
        Native voxels.
    config : QualityConfig, optional
        The least lung that is judged.

    Returns
    -------
    float or None
        None where the scan does not show the lower end of a lung.
    """
    config = config or QualityConfig()
    step = max(1, round(_MOTION_SLICE_MM / volume.geometry.spacing_mm[0]))
    distance = step * volume.geometry.spacing_mm[0]
    places = np.arange(0, volume.geometry.shape[0], step)
    areas = np.array([_air(volume, int(z)) for z in places]) * _PIXEL_MM**2 / 100.0
    if areas.max() < config.breathing_min_section_cm2:
        return None
    growth = np.diff(areas[_lung_base(areas, config.breathing_min_area_cm2)])
    if growth.size < _MIN_STEPS:
        return None
    even = ndimage.gaussian_filter1d(growth, _EVEN_MM / distance, mode="nearest")
    return float(np.abs(growth - even).sum() / max(float(np.abs(even).sum()), 1e-6))


def _lung_base(areas: npt.NDArray[np.floating], least_cm2: float) -> slice:
    """Return the slices over which the lungs grow from their lower end to nine tenths of their largest section.

    Empty where the scan ends before the lungs do, or before they have grown.
    """
    top = int(np.argmax(areas))
    if top == len(areas) - 1:
        return slice(0, 0)
    small = np.flatnonzero(areas[:top] < max(least_cm2, _END_SHARE * float(areas[top])))
    if small.size == 0:
        return slice(0, 0)
    first = int(small[-1]) + 1
    return slice(first, first + int(np.argmax(areas[first:] >= _FULL_SHARE * areas[top])) + 1)


def _air(volume: CTVolume, z: int) -> float:
    """Return how many pixels of a coarse slice are aerated lung: air inside the body, by shares of pixels."""
    small, beyond = _coarse(volume, z)
    full, none = _AERATED_HU
    share = np.clip((none - small) / (none - full), 0.0, 1.0)
    return float(share[_body(small, beyond)].sum())
