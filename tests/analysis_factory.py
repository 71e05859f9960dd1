"""A small made-up analysis: every object that a result holds, without running a stage."""

from __future__ import annotations

import numpy as np

from paraspinal.analysis.assemble import anatomy_result, mass_result, series_info
from paraspinal.analysis.types import Analysis
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.types import Anatomy, Organ, Vertebra
from paraspinal.masses.types import Mass, MassSearch
from paraspinal.quality.types import ScanQuality
from paraspinal.result import (
    AnalysisResult,
    Coverage,
    Differential,
    Loading,
    Measurement,
    Provenance,
)
from paraspinal.volume import Acquisition, CTVolume, Geometry, LabelMap, Region, SliceRef, SourceAxes

LEVELS = ("T9", "T10", "T11")


def make_geometry() -> Geometry:
    """A grid of 30 × 24 × 20 voxels of 2 × 1.5 × 1.5 mm."""
    return Geometry((30, 24, 20), (2.0, 1.5, 1.5), (-15.0, 5.0, -100.0))


def make_volume(*, source_axes: SourceAxes | None = None) -> CTVolume:
    geometry = make_geometry()
    slices = tuple(SliceRef(f"1.2.{z}", 30 - z) for z in range(30))
    return CTVolume(
        np.zeros(geometry.shape, np.int16),
        geometry,
        Acquisition(modality="CT", kvp=120.0, series_description="Secret <b>name</b>"),
        slices,
        source_axes=source_axes or SourceAxes(),
    )


def make_anatomy(volume: CTVolume) -> Anatomy:
    """A working grid of half the resolution whose upper half is labelled 200."""
    nz, ny, nx = (n // 2 for n in volume.geometry.shape)
    geometry = volume.geometry.resampled((nz, ny, nx))
    data = np.zeros(geometry.shape, np.uint16)
    data[nz // 2 + 1 :] = 200
    z = np.linspace(-42.0, -100.0, 30)
    line = np.stack([np.zeros(30), np.full(30, 30.0), z], axis=1)
    vertebrae = tuple(
        Vertebra(
            label=level,
            label_probabilities={level: 0.95},
            centroid_lps_mm=(0.0, 20.0, -50.0 - 20 * i),
            top_mm=-41.0 - 20 * i,
            bottom_mm=-59.0 - 20 * i,
            s_mm=50.0 - 20 * i,
            number=35 - i,
            confidence=0.95,
        )
        for i, level in enumerate(LEVELS)
    )
    organs = {"spleen": Organ("present", 0.9), "liver": Organ("not_in_view", 1.0)}
    labels = LabelMap(data, geometry, {200: "spinal_canal"})
    nothing = np.zeros((0, 0, 0), np.float32)
    return Anatomy(
        geometry=geometry,
        hu=np.zeros(geometry.shape, np.float32),
        masks={},
        labels=labels,
        centreline_lps_mm=line,
        vertebrae=vertebrae,
        organs=organs,
        spine=SpineCoordinates((slice(0, 0),) * 3, nothing, nothing, nothing),
        spine_length_mm=58.0,
    )


def make_mass(*, mass_id: int = 1, state: str = "present", side: str = "left") -> Mass:
    return Mass(
        id=mass_id,
        state=state,  # type: ignore[arg-type]
        side=side,  # type: ignore[arg-type]
        region=Region((10, 5, 12), np.ones((4, 3, 2), bool)),
        levels=("T9", "T10"),
        level_probabilities={"T9": 0.9},
        centroid_lps_mm=(5.0, 12.0, -76.0),
        key_slice=12,
        confidence=0.9,
    )


def make_coverage(fraction: float = 1.0, *, reasons: tuple[str, ...] = ()) -> tuple[Coverage, ...]:
    return tuple(
        Coverage(level=level, side=side, assessed_fraction=fraction, reasons=reasons)
        for level in LEVELS
        for side in ("left", "right")
    )


def make_search(*masses: Mass, coverage: tuple[Coverage, ...] | None = None) -> MassSearch:
    return MassSearch(masses, (), make_coverage() if coverage is None else coverage)


def make_quality() -> ScanQuality:
    return ScanQuality(12.0, 1.2, "unenhanced", "no agent named", 120.0, 4.0, 0.0)


def make_analysis(*masses: Mass, volume: CTVolume | None = None) -> Analysis:
    """An analysis with the given masses; by default one present mass on the left at T9–T10."""
    volume = volume or make_volume()
    anatomy, quality = make_anatomy(volume), make_quality()
    search = make_search(*(masses or (make_mass(),)))
    numbers = {
        "volume_ml": Measurement.measured(35.2, "mL", type_a=1.0),
        "long_axis_mm": Measurement.measured(42.0, "mm"),
        "short_axis_mm": Measurement.measured(28.0, "mm", status="lower_bound", reason="cut off"),
        "attenuation_mean_hu": Measurement.measured(45.0, "[hnsf'U]", type_a=3.0, type_b=4.0),
        "rim_contrast_hu": Measurement.missing("[hnsf'U]", "unenhanced scan"),
    }
    ranked = Differential(posterior={"emh": 0.8, "lymphoma": 0.2})
    result = AnalysisResult(
        provenance=Provenance(
            software_version="0",
            config="default",
            config_digest="0" * 16,
            model="m",
            input_digest="1" * 16,
            started="2026-01-01T00:00:00+00:00",
            seconds={"loading": 1.0},
        ),
        outcome="mass",
        outcome_reason="One mass.",
        series=series_info(volume, quality, uid_digest="2" * 16),
        loading=Loading(verdict="ok", chosen_because="it is the only one"),
        coverage=search.coverage,
        anatomy=anatomy_result(
            anatomy, {"T9": {"trabecular_hu": Measurement.missing("[hnsf'U]", "slices > 3 mm")}}
        ),
        masses=tuple(
            mass_result(mass, volume, measurements=numbers, findings=(), differential=ranked)
            for mass in search.masses
        ),
        explained_away=(),
        measurements={"spleen_volume_ml": Measurement.measured(520.0, "mL")},
        findings=(),
        differential=ranked,
        not_assessed=("Organs not in view: liver.",),
    )
    return Analysis(result, volume, anatomy, search, quality)
