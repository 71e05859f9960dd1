"""Trabecular bone per vertebra: density, and structure that is coarser than noise explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.config import MeasureConfig
from paraspinal.measure.body import middle_slab, vertebral_body
from paraspinal.measure.cortex import cortical_peak
from paraspinal.measure.cortical_mass import KEY as MASS_KEY
from paraspinal.measure.cortical_mass import UNIT as MASS_UNIT
from paraspinal.measure.cortical_mass import cortical_masses
from paraspinal.measure.endplate import measure_end_plates, read_end_plates
from paraspinal.measure.erosion import CleanWalls
from paraspinal.measure.gates import why_not
from paraspinal.measure.interpolated import as_interpolated, touches
from paraspinal.measure.native import distance_on_box, mask_on_box, native_box
from paraspinal.measure.uncertainty import half_range, noise_of_mean
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray, CTVolume, Region

_FRONT_SHARE = 0.67  # the basivertebral vein enters from behind
_MIDDLE_SHARE = 0.3  # of the height above and below the middle: end plates are denser
_INNER_MM = 2.0  # the Gaussians see no cortex: they average over what lies deeper than this
_FWHM_PER_SD = 2.3548
_REFERENCE_PERIOD_MM = 3.0  # the scan's own blur is undone for structure of this spacing
_CONTRAST_UNIT_HU = 100.0  # index 1 = 100 HU of structure
_LAG_MM = 3.0  # slices this far apart share no noise and no fine trabecula, but a coarse column
_BAND_CELL_MM2 = 6.0  # area that shares one value of the band
_CELL_HEIGHT_MM = 1.5
_TANGENT_MM = 12.0
_HU = "[hnsf'U]"
_NO_WALL = "the side wall is read from T3 to L5, where enough of the body is in view"
_FOREIGN = "read in thoracic and lumbar vertebrae only"

_Array = npt.NDArray[np.float32]
_Kind = TypeVar("_Kind", bound=np.generic)


@dataclass(frozen=True)
class _Body:
    """A vertebral body on its native box: HU, signed distance inside (mm), front and middle part, axis.

    ``drift`` is how far the vertebra's axis moves back (y) and to the left (x) per millimetre upwards.
    """

    hu: _Array
    depth_mm: _Array
    readable: BoolArray
    spacing_mm: tuple[float, float, float]
    drift: tuple[float, float]

    def inside(self, depth_mm: float) -> BoolArray:
        return np.asarray((self.depth_mm >= depth_mm) & self.readable)

    @property
    def voxel_ml(self) -> float:
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def pixel_mm(self) -> float:
        return float(np.sqrt(self.spacing_mm[1] * self.spacing_mm[2]))


def measure_vertebrae(
    volume: CTVolume,
    anatomy: Anatomy,
    quality: ScanQuality,
    *,
    config: MeasureConfig,
    walls: CleanWalls | None = None,
    cortex_hu: float | None = None,
) -> dict[str, Measurements]:
    """Return the measurements of every vertebra, keyed by its label ("T5", "L1" …).

    Keys: ``trabecular_hu``, ``coarsening_index`` and, with `walls`, ``cortical_peak_hu`` and
    ``cortical_mass_hu_mm`` (`cortex_hu`: density of cortical bone, where the ribs tell it), ``height_ratio``,
    ``endplate_depression_mm`` and ``endplate_step_mm``.
    """
    plates = read_end_plates(volume, anatomy, walls.walls) if walls is not None else {}
    masses = cortical_masses(walls, volume, quality, config, cortex_hu=cortex_hu)
    return {
        v.label: _one(volume, anatomy, quality, v, config)
        | measure_end_plates(plates, v.label, quality, config, slice_mm=volume.effective_slice_mm)
        | {
            MASS_KEY: masses.get(v.label, Measurement.missing(MASS_UNIT, _NO_WALL)),
            "cortical_peak_hu": cortical_peak(
                walls, v.label, quality, config, slice_mm=volume.effective_slice_mm
            ),
        }
        for v in anatomy.vertebrae
    }


def _one(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, vertebra: Vertebra, config: MeasureConfig
) -> Measurements:
    # Cervical and sacral bodies have another structure; an uncertain name may still be any.
    foreign = vertebra.label[0] not in "TL"
    region = None if foreign else vertebral_body(anatomy, vertebra)
    if region is None:
        reason = _FOREIGN if foreign else "too little of the vertebral body was found"
        return {
            "trabecular_hu": Measurement.missing(_HU, reason),
            "coarsening_index": Measurement.missing("1", reason),
        }
    body = _native_body(volume, anatomy, vertebra, region)
    measured = {
        "trabecular_hu": _trabecular(body, anatomy, quality, config),
        "coarsening_index": _coarsening(body, quality, config, thickness_mm=volume.effective_slice_mm),
    }
    return as_interpolated(measured) if touches(volume, region, anatomy.geometry) else measured


def _native_body(volume: CTVolume, anatomy: Anatomy, vertebra: Vertebra, region: Region) -> _Body:
    working, native = anatomy.geometry, volume.geometry
    box = native_box(volume, working, region, margin_mm=4.0)
    depth = distance_on_box(region.full(working.shape), working, native, box)
    slab = Region(region.start, middle_slab(anatomy, vertebra, region, share=_MIDDLE_SHARE))
    readable = mask_on_box(slab.full(working.shape), working, native, box)
    rows = np.flatnonzero((depth > 0).any(axis=(0, 2)))
    if rows.size:
        readable[:, int(rows[0] + _FRONT_SHARE * (rows[-1] - rows[0])) + 1 :] = False
    return _Body(
        volume.hu[box].astype(np.float32), depth, readable, native.spacing_mm, _drift(anatomy, vertebra)
    )


def _drift(anatomy: Anatomy, vertebra: Vertebra) -> tuple[float, float]:
    """Return the slope (y, x per z) of the canal beside a vertebra: its columns run along it."""
    x, y, z = anatomy.centreline_lps_mm.T
    near = np.abs(z - vertebra.centroid_lps_mm[2]) <= _TANGENT_MM
    if np.count_nonzero(near) < 3:
        return (0.0, 0.0)
    up = z[near] - z[near].mean()
    scale = float((up**2).sum())
    return (float((up * y[near]).sum()) / scale, float((up * x[near]).sum()) / scale)


# ---- density ---------------------------------------------------------------------------------------------------


def _trabecular(body: _Body, anatomy: Anatomy, quality: ScanQuality, config: MeasureConfig) -> Measurement:
    depth = config.trabecular_depth_mm
    roi = body.inside(depth)
    if np.count_nonzero(roi) * body.voxel_ml < config.min_trabecular_ml:
        return Measurement.missing(_HU, "the trabecular region is too small")
    values = body.hu[roi]
    half = 0.5 * anatomy.geometry.spacing_mm[0]  # the body's border was found on the working grid
    moved = [body.hu[m] for m in (body.inside(depth - half), body.inside(depth + half)) if m.any()]
    mean = float(values.mean(dtype=np.float64))
    border = half_range([mean, *(float(m.mean(dtype=np.float64)) for m in moved)])
    noise = noise_of_mean(float(values.std(dtype=np.float64)), values.size, body.pixel_mm, quality)
    state = quality.contrast_state
    note = {True: "contrast medium in the blood", False: None, None: "contrast not known"}[state]
    return Measurement.measured(
        mean,
        _HU,
        type_a=float(np.hypot(border, noise)),
        type_b=quality.calibration_sd_hu,
        method="type A: border moved by half a working voxel, noise; type B: scanner calibration",
        region=f"front of the body, {depth:g} mm inside",
        reason=note,
    )


# ---- coarseness ------------------------------------------------------------------------------------------------


def _coarsening(
    body: _Body, quality: ScanQuality, config: MeasureConfig, *, thickness_mm: float
) -> Measurement:
    """Structure contrast between 1 and 4 mm that runs on upwards, in units of 100 HU, the scan's blur undone.

    index = √C / MTF(3 mm) / 100 HU. C is the covariance of the band-passed trabecular region (difference of in-plane
    Gaussians of SD 0.5 and 2 mm) with itself 3 mm higher along the vertebra's axis. Noise, streaks included, is not
    shared by slices that far apart, so that it drops out where it is, however it varies; so do trabeculae of normal
    fineness, while coarse columns run on. MTF is the Gaussian of the scan's own edge response. Unless C
    exceeds twice its standard uncertainty the index is below the detection limit.
    """
    refusal = why_not("coarsening_index", quality, config, slice_mm=thickness_mm)
    if refusal is not None:
        return Measurement.missing("1", refusal)
    roi = body.inside(config.trabecular_depth_mm - 0.5)
    lag = max(1, int(np.ceil(max(_LAG_MM, thickness_mm) / body.spacing_mm[0] - 0.2)))
    band = _band(body.hu, body.depth_mm >= _INNER_MM, body, config)
    low, high = _lagged(band, lag, body)
    low_roi, high_roi = _lagged(roi, lag, body)
    both = low_roi & high_roi
    if np.count_nonzero(both) * body.voxel_ml < config.min_trabecular_ml:
        return Measurement.missing("1", "the trabecular region is too small")
    first, second = low[both].astype(np.float64), high[both].astype(np.float64)
    shared = float(np.mean((first - first.mean()) * (second - second.mean())))
    cell_mm3 = _BAND_CELL_MM2 * max(body.spacing_mm[0], _CELL_HEIGHT_MM)
    independent = max(1.0, first.size * body.voxel_ml * 1000.0 / cell_mm3)
    error = float(np.sqrt((first.var() * second.var() + shared**2) / independent))
    unit = _transfer(quality) * _CONTRAST_UNIT_HU
    limit = (2.0 * error) ** 0.5 / unit
    if shared <= 2.0 * error:
        reason = "no structure beyond what noise explains"
        return Measurement.below("1", reason, limit=limit)
    index = shared**0.5 / unit
    return Measurement.measured(
        index,
        "1",
        type_a=0.5 * error / shared * index,  # a square root halves the relative uncertainty
        method="type A: covariance over independent cells of the band",
        detection_limit=limit,
        region="front and middle of the body",
    )


def _transfer(quality: ScanQuality) -> float:
    """Return the modulation transfer of the scan's in-plane blur at the reference period."""
    sigma = (quality.edge_fwhm_mm or 0.0) / _FWHM_PER_SD
    return float(np.exp(-2.0 * (np.pi * sigma / _REFERENCE_PERIOD_MM) ** 2))


def _band(hu: _Array, mask: BoolArray, body: _Body, config: MeasureConfig) -> _Array:
    """Return the difference of two in-plane Gaussian averages, both taken from inside `mask` only."""
    fine, coarse = (_blur(hu, mask, body, sd) for sd in config.coarsening_band_mm)
    return np.asarray(fine - coarse)


def _blur(hu: _Array, mask: BoolArray, body: _Body, sd_mm: float) -> _Array:
    sigma = (0.0, sd_mm / body.spacing_mm[1], sd_mm / body.spacing_mm[2])
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="constant", truncate=3.0)
    total = ndimage.gaussian_filter(np.where(mask, hu, 0.0), sigma, mode="constant", truncate=3.0)
    return np.asarray(total / np.maximum(weight, 1e-6))


def _lagged(
    array: npt.NDArray[_Kind], lag: int, body: _Body
) -> tuple[npt.NDArray[_Kind], npt.NDArray[_Kind]]:
    """Return the array and itself `lag` slices higher, moved sideways along the vertebra's axis, as equal crops."""
    rise = lag * body.spacing_mm[0]
    moves = [lag, *(round(d * rise / s) for d, s in zip(body.drift, body.spacing_mm[1:], strict=True))]
    low = tuple(slice(max(0, -m), n - max(0, m)) for m, n in zip(moves, array.shape, strict=True))
    high = tuple(slice(max(0, m), n - max(0, -m)) for m, n in zip(moves, array.shape, strict=True))
    return array[low], array[high]
