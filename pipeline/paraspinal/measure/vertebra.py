"""Trabecular bone per vertebra: density, and structure that is coarser than noise explains."""

from __future__ import annotations

import numpy as np

from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.config import MeasureConfig
from paraspinal.measure.body import vertebral_body
from paraspinal.measure.coarsening import KEYS as COARSENING_KEYS
from paraspinal.measure.coarsening import coarsening
from paraspinal.measure.cortex import cortical_peak
from paraspinal.measure.cortical_mass import KEY as MASS_KEY
from paraspinal.measure.cortical_mass import UNIT as MASS_UNIT
from paraspinal.measure.cortical_mass import cortical_masses
from paraspinal.measure.endplate import measure_end_plates, read_end_plates
from paraspinal.measure.erosion import CleanWalls
from paraspinal.measure.interpolated import as_interpolated, touches
from paraspinal.measure.metal import REASON as METAL
from paraspinal.measure.metal import metal_levels
from paraspinal.measure.trabecular_box import TrabecularBox, trabecular_box
from paraspinal.measure.uncertainty import half_range, noise_of_mean
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import CTVolume

_HU = "[hnsf'U]"
_NO_WALL = "the side wall is read from T3 to L5, where enough of the body is in view"
_FOREIGN = "read in thoracic and lumbar vertebrae only"


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

    Keys: ``trabecular_hu``, ``coarsening_index``, ``vertical_persistence`` and, with `walls`, ``cortical_peak_hu``,
    ``cortical_mass_hu_mm`` (`cortex_hu`: density of cortical bone, where the ribs tell it), ``height_ratio``,
    ``endplate_depression_mm`` and ``endplate_step_mm``.
    """
    plates = read_end_plates(volume, anatomy, walls.walls) if walls is not None else {}
    masses = cortical_masses(walls, volume, quality, config, cortex_hu=cortex_hu)
    metal = metal_levels(volume, anatomy, quality)
    measured = {
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
    return {label: _hidden(own) if label in metal else own for label, own in measured.items()}


def _hidden(measured: Measurements) -> Measurements:
    """Return the same measurements as not assessed, because of metal."""
    return {key: Measurement.missing(m.unit, METAL) for key, m in measured.items()}


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
            **{key: Measurement.missing("1", reason) for key in COARSENING_KEYS},
        }
    body = trabecular_box(volume, anatomy, vertebra, region)
    measured = {
        "trabecular_hu": _trabecular(body, anatomy, quality, config),
        **coarsening(volume, body, quality, config),
    }
    return as_interpolated(measured) if touches(volume, region, anatomy.geometry) else measured


def _trabecular(
    body: TrabecularBox, anatomy: Anatomy, quality: ScanQuality, config: MeasureConfig
) -> Measurement:
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
