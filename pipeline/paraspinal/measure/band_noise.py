"""Noise of a scan beside a vertebra, within the band in which trabecular structure is read."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from paraspinal.measure.native import Box
from paraspinal.volume import CTVolume

_Array = npt.NDArray[np.float32]

_REACH_MM = 28.0  # muscles, vessels and fat so far beside the body
_EDGE_MM = 3.0  # soft tissue so far from bone and lung
_SOFT_HU = (-160.0, 160.0)
_SEEN_MM = 1.5  # SD of the average by which soft tissue is told
_APART_MM = 2.0  # slices farther apart share hardly any noise
_APART_SLICES = 1.5  # times the thickness of a slice
_PAIRS = 7
_CELL_MM = 3.0  # SD of the window in which the noise of a place is read
_FILLED = 0.3  # windows that hold less soft tissue are not read
_LOW_SHARE = 0.2  # what differs between slices beside noise only adds: the quieter places count
_MIN_AREA_MM2 = 150.0


def band_pass(image: _Array, band_mm: tuple[float, float], spacing_mm: tuple[float, float, float]) -> _Array:
    """Return the difference of two Gaussian averages (SDs `band_mm`) of one slice."""
    return np.asarray(blurred(image, band_mm[0], spacing_mm) - blurred(image, band_mm[1], spacing_mm))


def blurred(image: _Array, sd_mm: float, spacing_mm: tuple[float, float, float]) -> _Array:
    """Return a Gaussian average of one slice; spacing (z, y, x)."""
    return np.asarray(
        cv2.GaussianBlur(
            image,
            (0, 0),
            sigmaX=sd_mm / spacing_mm[2],
            sigmaY=sd_mm / spacing_mm[1],
            borderType=cv2.BORDER_REFLECT,
        )
    )


def noise_beside(volume: CTVolume, box: Box, band_mm: tuple[float, float]) -> float | None:
    """Return the variance (HU²) that noise has in the band beside a vertebral body; None without soft tissue there.

    Half the variance of the difference of two slices that share no noise: what stays the same from one to the other
    is anatomy. It is read in windows of 3 mm in the soft tissue up to 28 mm beside the body's box, and the quiet
    fifth of them tells: vessels and septa that run aslant only add.
    """
    spacing = volume.geometry.spacing_mm
    apart = max(_APART_MM, 2.0 * spacing[0], _APART_SLICES * volume.effective_slice_mm)
    lag = int(np.ceil(apart / spacing[0] - 0.01))
    last = volume.hu.shape[0] - 1 - lag
    if last < 0:
        return None
    first, stop = box[0].start - lag // 2, box[0].stop - 1 - lag // 2
    places = np.unique(np.clip(np.linspace(first, stop, _PAIRS).round().astype(int), 0, last))
    rows, columns = (
        slice(max(0, s.start - int(_REACH_MM / d)), min(n, s.stop + int(_REACH_MM / d)))
        for s, d, n in zip(box[1:], spacing[1:], volume.hu.shape[1:], strict=True)
    )
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    total, weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for z in places:
        pair = [volume.hu[k, rows, columns].astype(np.float32) for k in (z, z + lag)]
        soft = _soft(pair, spacing).astype(np.float32)
        change = band_pass(pair[0] - pair[1], band_mm, spacing)
        total += blurred(0.5 * change**2 * soft, _CELL_MM, spacing)
        weight += blurred(soft, _CELL_MM, spacing)
    read = weight > _FILLED * len(places)
    if np.count_nonzero(read) * spacing[1] * spacing[2] < _MIN_AREA_MM2:
        return None
    return float(np.quantile(total[read] / weight[read], _LOW_SHARE))


def _soft(pair: list[_Array], spacing_mm: tuple[float, float, float]) -> npt.NDArray[np.uint8]:
    """Return the places that are soft tissue or fat in both slices, and far enough from anything else."""
    soft = np.ones(pair[0].shape, np.uint8)
    for image in pair:
        seen = blurred(image, _SEEN_MM, spacing_mm)
        soft &= ((seen > _SOFT_HU[0]) & (seen < _SOFT_HU[1])).astype(np.uint8)
    reach = [2 * int(_EDGE_MM / d) + 1 for d in (spacing_mm[2], spacing_mm[1])]
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach[0], reach[1]))
    return np.asarray(cv2.erode(soft, disc, borderType=cv2.BORDER_REPLICATE), np.uint8)
