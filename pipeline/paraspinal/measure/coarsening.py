"""Coarse trabeculae: contrast of the structure in a vertebral body beyond noise and the scan's own blur."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from paraspinal.config import MeasureConfig
from paraspinal.measure.band_noise import blurred, noise_beside
from paraspinal.measure.gates import why_not
from paraspinal.measure.native import masked_gaussian
from paraspinal.measure.trabecular_box import TrabecularBox
from paraspinal.quality.resolution import FWHM_PER_SD, STRUCTURE_PERIOD_MM
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import CTVolume

INDEX, PERSISTENCE = "coarsening_index", "vertical_persistence"
KEYS = (INDEX, PERSISTENCE)
_INNER_MM = 2.0  # the Gaussians see no cortex: they average over what lies deeper than this
_CONTRAST_UNIT_HU = 100.0  # index 1 = 100 HU of structure
_WINDOW_MM = 3.0  # SD of the window in which the contrast of a place is read
_RUN_MM = 3.0  # fine trabeculae do not run on so far upwards
_CELL_MM3 = 20.0  # volume that shares one value of the band
_NOISE_DOUBT = 0.3  # relative standard uncertainty of the noise at the place
_BAND_GAIN, _BAND_POWER = 0.88, 0.55
_LEAST_TRANSFER = 0.05
_NOTHING = "no structure beyond what noise explains"
_USUAL_RUNNING = 1.25  # a quarter of the structure of a real, healthy vertebra runs on 3 mm upwards
_SCAN_DOUBT = 0.07  # of what blur and slices leave of structure, relative

_Array = npt.NDArray[np.float32]
_Kind = TypeVar("_Kind", bound=np.generic)


def coarsening(
    volume: CTVolume, body: TrabecularBox, quality: ScanQuality, config: MeasureConfig
) -> Measurements:
    """Return ``coarsening_index`` and ``vertical_persistence`` of a vertebral body.

    index = √((V − N) / A · (1 + P) / 1.25) / B / 100 HU. V is the variance of the trabecular region in a band
    (difference of in-plane Gaussians of SD 0.5 and 2 mm), read in windows of 3 mm of which the median counts, so that
    a part of the body does not make the whole coarse. N is the noise's variance in that band beside the body
    (`noise_beside`). A and B are what the slice's thickness and the blur in the plane leave of structure. P is the
    persistence, the share of the structure that runs on 3 mm upwards: the columns of coarse bone do. V − N below
    twice its uncertainty is below the detection limit.
    """
    refusal = why_not(INDEX, quality, config, slice_mm=body.slice_mm)
    roi = body.inside(config.trabecular_depth_mm - 0.5)
    noise = None
    if refusal is None and np.count_nonzero(roi) * body.voxel_ml < config.coarsening_min_ml:
        refusal = "the trabecular region is too small"
    if refusal is None:
        noise = noise_beside(volume, body.box, config.coarsening_band_mm)
        refusal = None if noise is not None else "no soft tissue beside the body tells the noise"
    if noise is None:
        return {key: Measurement.missing("1", refusal or "") for key in KEYS}
    band = _band(body, config.coarsening_band_mm)
    cells = max(2.0, np.count_nonzero(roi) * body.voxel_ml * 1000.0 / _CELL_MM3)
    structure = _typical(band**2, roi, body) - noise
    error = float(np.hypot(max(structure, 0.0) * np.sqrt(2.0 / cells), _NOISE_DOUBT * noise))
    unit = _unit(quality, body, config)
    limit = (2.0 * _NOISE_DOUBT * noise) ** 0.5 / unit
    if structure <= 2.0 * error:
        return {
            INDEX: Measurement.below("1", _NOTHING, limit=limit),
            PERSISTENCE: Measurement.missing("1", _NOTHING),
        }
    running = _running(band, roi, body, structure)
    index = structure**0.5 / unit * ((1.0 + running) / _USUAL_RUNNING) ** 0.5
    method = "type A: noise beside the body, number of independent cells"
    return {
        INDEX: Measurement.measured(
            index,
            "1",
            type_a=0.5 * error / structure * index,  # a square root halves the relative uncertainty
            type_b=_SCAN_DOUBT * index,
            method=f"{method}; type B: blur and thickness of the slices",
            detection_limit=limit,
            region="front and middle of the body",
        ),
        PERSISTENCE: Measurement.measured(
            running,
            "1",
            type_a=float(np.hypot(running * error / structure, cells**-0.5)),
            method=method,
            region="front and middle of the body",
        ),
    }


def _unit(quality: ScanQuality, body: TrabecularBox, config: MeasureConfig) -> float:
    """Return the SD (HU) that structure of index 1 shows in this scan."""
    kept = _averaged_share(body.slice_mm, config.coarsening_run_mm)
    return float(_blurred_share(quality) * np.sqrt(kept) * _CONTRAST_UNIT_HU)


def _running(band: _Array, roi: npt.NDArray[np.bool_], body: TrabecularBox, structure: float) -> float:
    """Return the share of the structure's variance that is the same 3 mm higher along the axis.

    What two slices share because their Gaussian profiles overlap is taken off.
    """
    lag = max(1, int(np.ceil(max(_RUN_MM, body.slice_mm) / body.spacing_mm[0] - 0.2)))
    low, high = _lagged(band, lag, body)
    low_roi, high_roi = _lagged(roi, lag, body)
    both = low_roi & high_roi
    if np.count_nonzero(both) < 2:
        return 0.0
    overlap = float(2.0 ** (-2.0 * (lag * body.spacing_mm[0] / body.slice_mm) ** 2))
    shared = _typical(low * high, both, body) / structure
    return float(np.clip((shared - overlap) / (1.0 - overlap), 0.0, 1.0))


def _blurred_share(quality: ScanQuality) -> float:
    """Return what the blur in the plane leaves of the contrast of structure without a preferred spacing.

    In this band it is 0.88 · MTF(3 mm) ** 0.55 for Gaussian blurs of 1 to 2 mm FWHM, within 6 %. The transfer is
    the one that was read, else that of a Gaussian of the scan's edge.
    """
    transfer = quality.structure_transfer
    if transfer is None:
        sigma = (quality.edge_fwhm_mm or 0.0) / FWHM_PER_SD
        transfer = float(np.exp(-2.0 * (np.pi * sigma / STRUCTURE_PERIOD_MM) ** 2))
    return float(_BAND_GAIN * max(transfer, _LEAST_TRANSFER) ** _BAND_POWER)


def _averaged_share(slice_mm: float, run_mm: float) -> float:
    """Return what a mean over a slice leaves of the variance of structure with covariance exp(−|z| / run)."""
    t = slice_mm / run_mm
    return float(2.0 / t * (1.0 - (1.0 - np.exp(-t)) / t))


def _band(body: TrabecularBox, band_mm: tuple[float, float]) -> _Array:
    """Return the difference of two in-plane Gaussian averages, both taken from inside the cortex only."""
    out = np.zeros_like(body.hu)
    for section, hu, depth in zip(out, body.hu, body.depth_mm, strict=True):
        mask = (depth >= _INNER_MM).astype(np.float32)
        if mask.any():
            fine, coarse = (
                blurred(hu * mask, sd, body.spacing_mm) / np.maximum(blurred(mask, sd, body.spacing_mm), 1e-6)
                for sd in band_mm
            )
            section[:] = fine - coarse
    return out


def _typical(product: _Array, roi: npt.NDArray[np.bool_], body: TrabecularBox) -> float:
    """Return the median, over the region, of the mean of `product` in windows of 3 mm."""
    sigma = [_WINDOW_MM / d for d in body.spacing_mm]
    return float(np.median(masked_gaussian(np.asarray(product, np.float32), roi, sigma)[roi]))


def _lagged(
    array: npt.NDArray[_Kind], lag: int, body: TrabecularBox
) -> tuple[npt.NDArray[_Kind], npt.NDArray[_Kind]]:
    """Return the array and itself `lag` slices higher, moved sideways along the vertebra's axis, as equal crops."""
    rise = lag * body.spacing_mm[0]
    moves = [lag, *(round(d * rise / s) for d, s in zip(body.drift, body.spacing_mm[1:], strict=True))]
    low = tuple(slice(max(0, -m), n - max(0, m)) for m, n in zip(moves, array.shape, strict=True))
    high = tuple(slice(max(0, m), n - max(0, -m)) for m, n in zip(moves, array.shape, strict=True))
    return array[low], array[high]
